#pragma once

// Equal subtrees are computed once: their operators are readers of one shared operator.  A block that was
// computed for one reader is kept until all others took it.
//
// What computing had beside its values, every reader has too, as if it had computed: annotations at places
// of its own, samples read and counted, and the most samples held at once.
//
// Threads: one.

#include <memory>

#include "promql/exec/operator.h"
#include "promql/exec/sample_counts.h"

namespace tocsin::promql::exec {

// What a part of a run had beside its values.
class Effects {
 public:
  // Between these two the part runs.
  void Begin(Run& run);
  void End(Run& run);
  // The part is the whole run, whose annotations go.
  void Take(Run& run);
  // They have happened again, `shift` bytes further on.  Errors: too many samples.
  base::Status Repeat(Run& run, int32_t shift) const;

 private:
  Annotations annotations_;  // in between: those of before
  SampleCounts::Part counts_;
  int64_t samples_read_ = 0;
  int64_t held_ = 0;
  int64_t peak_ = 0;
};

class SharedOperator {
 public:
  SharedOperator(const plan::Node& node, OperatorPtr op) : node_(node), op_(std::move(op)) {}

  // One more operator of it, for an equal node.
  static OperatorPtr NewReader(std::shared_ptr<SharedOperator> shared, const plan::Node& node, const Grid* grid);

 private:
  friend class SharedReader;
  base::Status Open(Run& run, const plan::Node& reader, bool leave_labels);
  base::Status Eval(Run& run, const plan::Node& reader, StepSpan span, Block* out);
  base::Status Take(Run& run, const plan::Node& reader, Block* out);

  const plan::Node& node_;  // that the operator is of
  OperatorPtr op_;
  size_t readers_ = 0;
  bool open_ = false;
  Effects opening_;  // operators whose label sets depend on values have read them when they are open

  // The last block that was computed.
  Block block_;
  Effects effects_;
  StepSpan span_;
  uint64_t evaluation_ = 0;
  size_t waiting_ = 0;    // readers that did not take it
  int64_t charged_ = 0;
};

}  // namespace tocsin::promql::exec
