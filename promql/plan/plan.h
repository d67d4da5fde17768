#pragma once

// A plan is what is known of an expression before it is run: parentheses are gone, constants folded,
// functions resolved, and what gives the same at every step or is computed elsewhere too is marked.  It holds nothing of a run and
// no absolute times: start(), end() and duration expressions are resolved by exec from QueryTimes.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<plan::Plan> p, plan::MakePlan(std::move(expr)));
//
// Threads: immutable once made.

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "promql/parse/ast.h"
#include "promql/plan/functions.h"

namespace tocsin::promql::plan {

enum class NodeKind {
  kNumber,
  kString,
  kInstantSelector,
  kRangeSelector,   // only under a range function, or the root
  kSubquery,        // likewise; inputs: the expression
  kCall,            // inputs: the arguments
  kAggregate,       // inputs: the vector, and the parameter if there is one
  kBinary,          // inputs: both sides
  kNegate,
  kStepInvariant,   // the same at every step: evaluated once
};

struct Node {
  NodeKind kind = NodeKind::kNumber;
  ValueType type = ValueType::kNone;
  ByteRange pos;
  const Expr* expr = nullptr;  // without parentheses; lives as long as the plan
  double number = 0;           // kNumber
  Function function{};         // kCall
  std::vector<std::string> grouping;  // kAggregate: sorted, each once
  // Selectors: only count and sum of histograms are asked for (histogram_count() and its like).
  bool histogram_stats_only = false;
  // Of subtrees that are equal and evaluated over one grid (promql/plan/equality.h): the first in the order of
  // the text, itself in the first.  They are computed once.
  const Node* first_equal = nullptr;
  std::vector<std::unique_ptr<Node>> inputs;
};

struct Plan {
  std::shared_ptr<const Expr> expr;
  std::unique_ptr<Node> root;
  ValueType type = ValueType::kNone;
};

// `share`: equal subtrees are computed once.
// Errors: kInternal for a function that exec does not know.
base::Result<std::unique_ptr<Plan>> MakePlan(std::shared_ptr<const Expr> expr, bool share = true);

// The times of a query, which start(), end(), range() and step() mean.
struct QueryTimes {
  model::Timestamp start = 0;
  model::Timestamp end = 0;
  int64_t step_ms = 0;  // 0: an instant query
};

// The value of a duration expression in milliseconds.
// Errors: kFailedPrecondition: division by zero, not positive (unless allowed), out of range.
enum class Sign { kPositive, kAny };
base::Result<int64_t> ResolveDuration(const DurationExpr& expr, const QueryTimes& times, Sign sign);

// As the operators of scalars do.
double ScalarBinary(BinaryOp op, double a, double b);

}  // namespace tocsin::promql::plan
