#pragma once

// One expression in three forms that must give the same: evaluated once (the engine as a query runs it), as
// the middle of a range query, and kept (promql/standing).  Where equal subtrees are computed once, the first
// two are held against what they give without, to the bit.
//
// Threads: one.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "promql/engine.h"

namespace tocsin::promqltest {

class ThreeForms {
 public:
  // Errors: the expression's.
  static base::Result<std::unique_ptr<ThreeForms>> Make(const promql::Engine& engine, std::string text);

  // Empty if all forms agree at `at`; else how they do not.  Sums whose order depends on the series at hand
  // may differ by rounding.
  std::string Compare(storage::Queryable* storage, model::Timestamp at);
  // A reload: what was kept is gone.
  void Reload() { kept_.reset(); }
  // Whether the last evaluation was over kept selections.
  bool was_kept() const { return was_kept_; }
  // Evaluations that gave a value, not an error.
  int64_t values() const { return values_; }
  // Whether something in it is computed once for several places.
  bool shares() const { return shares_; }

 private:
  ThreeForms(std::string text, promql::PreparedQuery query, promql::PreparedQuery unshared);
  std::string CompareUnshared(storage::Queryable* storage, model::Timestamp at) const;

  const std::string text_;
  promql::PreparedQuery query_;
  promql::PreparedQuery unshared_;
  bool shares_ = false;
  bool in_range_ = true;  // means the same in a range query
  std::optional<promql::KeptQuery> kept_;
  bool was_kept_ = false;
  int64_t values_ = 0;
};

}  // namespace tocsin::promqltest
