#include "promql/exec/label_ops.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>

namespace tocsin::promql::exec {

bool IsMetadata(std::string_view name) {
  return name == model::kMetricName || name == kTypeLabel || name == kUnitLabel;
}

namespace {

// How many bytes of metadata the encoding begins with; npos when some stands elsewhere.
size_t MetadataPrefix(model::LabelsView labels) {
  const std::string_view all = labels.encoded();
  size_t prefix = 0;
  auto it = labels.begin();
  const auto end = labels.end();
  for (; it != end && IsMetadata(it->name); ++it) {
    prefix = static_cast<size_t>(it->value.data() + it->value.size() - all.data());
  }
  for (; it != end && it->name <= kUnitLabel; ++it) {
    if (IsMetadata(it->name)) return std::string_view::npos;
  }
  return prefix;
}

}  // namespace

std::string_view WithoutName(model::LabelsView labels, std::string* scratch) {
  auto it = labels.begin();
  if (it == labels.end() || it->name > model::kMetricName) return labels.encoded();
  if (it->name == model::kMetricName) {
    const std::string_view all = labels.encoded();
    return all.substr(static_cast<size_t>(it->value.data() + it->value.size() - all.data()));
  }
  scratch->clear();
  for (const model::Label& l : labels) {
    if (l.name != model::kMetricName) model::AppendEncodedLabel(l.name, l.value, scratch);
  }
  return *scratch;
}

bool SameMetadata(const SeriesTable& rows) {
  if (rows.empty()) return true;
  const size_t first = MetadataPrefix(rows[0].labels);
  if (first == std::string_view::npos) return false;
  const std::string_view prefix = rows[0].labels.encoded().substr(0, first);
  return std::ranges::all_of(rows, [&](const Series& s) {
    return MetadataPrefix(s.labels) == first && s.labels.encoded().starts_with(prefix);
  });
}

model::LabelsView DropMetadata(model::LabelsView labels, LabelArena* arena) {
  const size_t prefix = MetadataPrefix(labels);
  if (prefix != std::string_view::npos) {
    return model::LabelsView(labels.encoded().substr(prefix));
  }
  std::string encoded;
  for (const model::Label& l : labels) {
    if (!IsMetadata(l.name)) model::AppendEncodedLabel(l.name, l.value, &encoded);
  }
  return arena->Store(encoded);
}

void EncodeWith(model::LabelsView labels, std::span<const std::string> names, std::string* out) {
  if (names.empty()) return;
  size_t n = 0;
  for (const model::Label& l : labels) {
    while (n < names.size() && names[n] < l.name) ++n;
    if (n == names.size()) return;
    if (names[n] == l.name) model::AppendEncodedLabel(l.name, l.value, out);
  }
}

void EncodeWithout(model::LabelsView labels, std::span<const std::string> names, std::string* out) {
  size_t n = 0;
  for (const model::Label& l : labels) {
    while (n < names.size() && names[n] < l.name) ++n;
    if (n < names.size() && names[n] == l.name) continue;
    model::AppendEncodedLabel(l.name, l.value, out);
  }
}

model::LabelsView AbsentLabels(const plan::Node& argument, LabelArena* arena) {
  const model::Matchers* matchers = nullptr;
  if (argument.kind == plan::NodeKind::kInstantSelector) {
    matchers = &As<VectorSelector>(*argument.expr).matchers;
  } else if (argument.kind == plan::NodeKind::kRangeSelector) {
    matchers = &As<MatrixSelector>(*argument.expr).vector->matchers;
  } else {
    return {};
  }
  model::LabelsBuilder labels;
  std::vector<std::string_view> seen;
  for (const model::Matcher& m : *matchers) {
    if (m.name() == model::kMetricName) continue;
    const bool first = std::ranges::find(seen, m.name()) == seen.end();
    if (m.op() == model::MatchOp::kEqual && first) {
      labels.Set(m.name(), m.value());
      seen.push_back(m.name());
    } else {
      labels.Del(m.name());
    }
  }
  return arena->Store(labels.Build().view().encoded());
}

std::vector<std::string> SortedUnique(std::vector<std::string> names) {
  std::ranges::sort(names);
  auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  return names;
}

void RowMerge::Build(const SeriesTable& in, SeriesTable* out) {
  target_.clear();
  out->clear();
  injective_ = true;
  absl::flat_hash_map<std::pair<std::string_view, bool>, uint32_t> seen;
  seen.reserve(in.size());
  target_.reserve(in.size());
  for (const Series& s : in) {
    auto [it, fresh] = seen.try_emplace(std::pair(s.labels.encoded(), s.drop_name),
                                        static_cast<uint32_t>(out->size()));
    if (fresh) {
      out->push_back(s);
    } else {
      injective_ = false;
    }
    target_.push_back(it->second);
  }
}

void RowMerge::BuildWithoutMetadata(SeriesTable in, LabelArena* arena, SeriesTable* out) {
  const bool apart = SameMetadata(in);
  for (Series& s : in) s.labels = DropMetadata(s.labels, arena);
  if (!apart) return Build(in, out);
  target_.clear();
  injective_ = true;
  *out = std::move(in);
}

base::Status RowMerge::Apply(Block& in, size_t out_rows, Block* out) const {
  out->Reset(out_rows, in.steps());
  for (size_t row = 0; row < in.rows(); ++row) {
    const uint8_t* cells = in.cells(row);
    const uint32_t to = target_[row];
    uint8_t* out_cells = out->cells(to);
    for (size_t s = 0; s < in.steps(); ++s) {
      if (cells[s] == kAbsent) continue;
      if (out_cells[s] != kAbsent) return SameLabelset();
      out->SetCell(to, s, in, row, s);
    }
  }
  return {};
}

base::Status SameLabelset() {
  return base::FailedPrecondition("vector cannot contain metrics with the same labelset");
}

}  // namespace tocsin::promql::exec
