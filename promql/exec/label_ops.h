#pragma once

// Label sets of results, made on the encoded form, without unpacking.
//
// Threads: free functions over plain values.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "promql/exec/run.h"

namespace tocsin::promql::exec {

inline constexpr std::string_view kTypeLabel = "__type__";
inline constexpr std::string_view kUnitLabel = "__unit__";

bool IsMetadata(std::string_view name);  // __name__, __type__, __unit__

// The labels without __name__, __type__ and __unit__: usually a part of the same bytes.
model::LabelsView DropMetadata(model::LabelsView labels, LabelArena* arena);

// The same without the name alone; a part of the same bytes, or stored in `scratch`.
std::string_view WithoutName(model::LabelsView labels, std::string* scratch);

// Appends the encoding of the labels that are in `names` (sorted), or that are not.
void EncodeWith(model::LabelsView labels, std::span<const std::string> names, std::string* out);
void EncodeWithout(model::LabelsView labels, std::span<const std::string> names, std::string* out);

// The labels of absent(): those that the selector asks for with one equality each.
model::LabelsView AbsentLabels(const plan::Node& argument, LabelArena* arena);

std::vector<std::string> SortedUnique(std::vector<std::string> names);

// Merges rows of equal label sets: input row -> output row.
class RowMerge {
 public:
  // Rows are equal with the same labels and drop_name.
  void Build(const SeriesTable& in, SeriesTable* out);
  // Drops the metadata of all rows first.  Cost: nothing is hashed where all rows have the same name,
  // for then they stay apart.  REQUIRES: the rows of `in` differ.
  void BuildWithoutMetadata(SeriesTable in, LabelArena* arena, SeriesTable* out);
  bool injective() const { return injective_; }
  // REQUIRES: made by Build().
  const std::vector<uint32_t>& target() const { return target_; }

  // Moves the rows of `in` to their targets.  Errors: kFailedPrecondition where two have a cell at one
  // step.
  base::Status Apply(Block& in, size_t out_rows, Block* out) const;

 private:
  std::vector<uint32_t> target_;
  bool injective_ = true;
};

// Whether all rows begin with the same name (and type and unit) and have none of these elsewhere: rows
// that differ then differ without.
bool SameMetadata(const SeriesTable& rows);

// "vector cannot contain metrics with the same labelset"
base::Status SameLabelset();

}  // namespace tocsin::promql::exec
