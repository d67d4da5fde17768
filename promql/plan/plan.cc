#include "promql/plan/plan.h"

#include <algorithm>
#include <cmath>

#include "promql/parse/functions.h"
#include "promql/plan/equality.h"

namespace tocsin::promql::plan {
namespace {

const Expr& WithoutParens(const Expr& e) {
  const Expr* p = &e;
  while (p->kind == ExprKind::kParen || p->kind == ExprKind::kStepInvariant) {
    p = p->kind == ExprKind::kParen ? As<Paren>(*p).expr.get() : As<StepInvariant>(*p).expr.get();
  }
  return *p;
}

// What Prometheus's PreprocessExpr finds out of a subtree.
struct Invariance {
  bool invariant = false;  // the same at every step
  bool wrap = false;       // worth a StepInvariant node of its own
};

struct Made {
  std::unique_ptr<Node> node;
  Invariance invariance;
};

std::unique_ptr<Node> NewNode(NodeKind kind, ValueType type, const Expr& e) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->type = type;
  node->pos = e.pos;
  node->expr = &e;
  return node;
}

std::unique_ptr<Node> Wrap(std::unique_ptr<Node> node) {
  auto wrapped = std::make_unique<Node>();
  wrapped->kind = NodeKind::kStepInvariant;
  wrapped->type = node->type;
  wrapped->pos = node->pos;
  wrapped->expr = node->expr;
  wrapped->inputs.push_back(std::move(node));
  return wrapped;
}

bool IsNumber(const Node& n) { return n.kind == NodeKind::kNumber; }

class Planner {
 public:
  base::Result<Made> Make(const Expr& with_parens) {
    const Expr& e = WithoutParens(with_parens);
    switch (e.kind) {
      case ExprKind::kNumber: {
        auto node = NewNode(NodeKind::kNumber, ValueType::kScalar, e);
        node->number = As<NumberLiteral>(e).value;
        return Made{std::move(node), {true, false}};
      }
      case ExprKind::kString:
        return Made{NewNode(NodeKind::kString, ValueType::kString, e), {true, false}};
      case ExprKind::kVectorSelector: {
        const bool fixed = As<VectorSelector>(e).shift.at != AtKind::kNone;
        return Made{NewNode(NodeKind::kInstantSelector, ValueType::kVector, e), {fixed, fixed}};
      }
      case ExprKind::kMatrixSelector: {
        const bool fixed = As<MatrixSelector>(e).vector->shift.at != AtKind::kNone;
        return Made{NewNode(NodeKind::kRangeSelector, ValueType::kMatrix, e), {fixed, false}};
      }
      case ExprKind::kSubquery: return MakeSubquery(As<Subquery>(e));
      case ExprKind::kCall: return MakeCall(As<Call>(e));
      case ExprKind::kAggregate: return MakeAggregate(As<Aggregate>(e));
      case ExprKind::kBinary: return MakeBinary(As<Binary>(e));
      case ExprKind::kUnary: return MakeUnary(As<Unary>(e));
      case ExprKind::kParen:
      case ExprKind::kStepInvariant:
      case ExprKind::kDuration: break;
    }
    return base::Internal("promql plan: an expression of a kind that cannot be evaluated");
  }

 private:
  base::Result<Made> MakeSubquery(const Subquery& e) {
    ASSIGN_OR_RETURN(Made inner, Make(*e.expr));
    auto node = NewNode(NodeKind::kSubquery, ValueType::kMatrix, e);
    // Constants need no wrapping, they are cheap at any grid.
    const bool wrap = inner.invariance.invariant && !IsNumber(*inner.node);
    node->inputs.push_back(wrap ? Wrap(std::move(inner.node)) : std::move(inner.node));
    return Made{std::move(node), {e.shift.at != AtKind::kNone, false}};
  }

  base::Result<Made> MakeCall(const Call& e) {
    std::optional<Function> function = FindFunctionByName(e.function->name);
    if (!function) {
      return base::Internal("promql plan: no implementation of function \"" +
                            std::string(e.function->name) + "\"");
    }
    auto node = NewNode(NodeKind::kCall, e.function->return_type, e);
    node->function = *function;
    const bool query_time = *function == Function::kStart || *function == Function::kEnd ||
                            *function == Function::kRange || *function == Function::kStep;
    if (query_time) return Made{std::move(node), {true, false}};

    bool invariant = !DependsOnTime(*function);
    // timestamp(x @ 1) does not depend on the evaluation's time, timestamp(abs(x @ 1)) does.
    bool timestamps_fixed = *function == Function::kTimestamp;
    std::vector<bool> wrap;
    for (const ExprPtr& arg : e.args) {
      ASSIGN_OR_RETURN(Made made, Make(*arg));
      invariant = invariant && made.invariance.invariant;
      if (!made.invariance.invariant || made.node->kind != NodeKind::kInstantSelector) {
        timestamps_fixed = false;
      }
      wrap.push_back(made.invariance.wrap);
      node->inputs.push_back(std::move(made.node));
    }
    if (invariant || timestamps_fixed) return Made{std::move(node), {true, true}};
    for (size_t i = 0; i < wrap.size(); ++i) {
      if (wrap[i]) node->inputs[i] = Wrap(std::move(node->inputs[i]));
    }
    return Made{std::move(node), {false, false}};
  }

  base::Result<Made> MakeAggregate(const Aggregate& e) {
    auto node = NewNode(NodeKind::kAggregate, ValueType::kVector, e);
    node->grouping = e.grouping;
    std::ranges::sort(node->grouping);
    auto repeated = std::ranges::unique(node->grouping);
    node->grouping.erase(repeated.begin(), repeated.end());
    ASSIGN_OR_RETURN(Made made, Make(*e.expr));
    Invariance invariance = made.invariance;
    node->inputs.push_back(std::move(made.node));
    if (e.param) {
      ASSIGN_OR_RETURN(Made param, Make(*e.param));
      // Prometheus looks at the vector alone; a parameter that varies must vary the result.
      if (!param.invariance.invariant && invariance.wrap) {
        node->inputs[0] = Wrap(std::move(node->inputs[0]));
        invariance = {false, false};
      }
      if (!param.invariance.invariant) invariance = {false, false};
      if (param.invariance.wrap && !invariance.invariant) param.node = Wrap(std::move(param.node));
      node->inputs.push_back(std::move(param.node));
    }
    return Made{std::move(node), invariance};
  }

  base::Result<Made> MakeBinary(const Binary& e) {
    ASSIGN_OR_RETURN(Made left, Make(*e.lhs));
    ASSIGN_OR_RETURN(Made right, Make(*e.rhs));
    if (IsNumber(*left.node) && IsNumber(*right.node)) {
      auto node = NewNode(NodeKind::kNumber, ValueType::kScalar, e);
      node->number = ScalarBinary(e.op, left.node->number, right.node->number);
      return Made{std::move(node), {true, false}};
    }
    const bool scalars =
        left.node->type == ValueType::kScalar && right.node->type == ValueType::kScalar;
    auto node =
        NewNode(NodeKind::kBinary, scalars ? ValueType::kScalar : ValueType::kVector, e);
    const bool invariant = left.invariance.invariant && right.invariance.invariant;
    if (!invariant) {
      if (left.invariance.wrap) left.node = Wrap(std::move(left.node));
      if (right.invariance.wrap) right.node = Wrap(std::move(right.node));
    }
    node->inputs.push_back(std::move(left.node));
    node->inputs.push_back(std::move(right.node));
    return Made{std::move(node), {invariant, invariant}};
  }

  base::Result<Made> MakeUnary(const Unary& e) {
    ASSIGN_OR_RETURN(Made made, Make(*e.expr));
    if (!e.negate) return made;
    if (IsNumber(*made.node)) {
      auto node = NewNode(NodeKind::kNumber, ValueType::kScalar, e);
      node->number = -made.node->number;
      return Made{std::move(node), {true, false}};
    }
    auto node = NewNode(NodeKind::kNegate, made.node->type, e);
    node->inputs.push_back(std::move(made.node));
    return Made{std::move(node), made.invariance};
  }
};

// Selectors below histogram_count(), histogram_sum() or histogram_avg() need no buckets, unless something
// on the way looks at them: a subquery (for resets), a quantile, a trim.
void MarkStatsOnly(Node* node, bool stats_only) {
  switch (node->kind) {
    case NodeKind::kSubquery: stats_only = false; break;
    case NodeKind::kCall:
      switch (node->function) {
        case Function::kHistogramCount:
        case Function::kHistogramSum:
        case Function::kHistogramAvg: stats_only = true; break;
        case Function::kHistogramQuantile:
        case Function::kHistogramQuantiles:
        case Function::kHistogramFraction: stats_only = false; break;
        default: break;
      }
      break;
    case NodeKind::kBinary: {
      const BinaryOp op = As<Binary>(*node->expr).op;
      if (op == BinaryOp::kTrimLower || op == BinaryOp::kTrimUpper) stats_only = false;
      break;
    }
    default: break;
  }
  node->histogram_stats_only = stats_only;
  // Below a subquery nothing is skipped, whatever stands there: resets are found from buckets.
  for (auto& input : node->inputs) {
    if (node->kind == NodeKind::kSubquery) continue;
    MarkStatsOnly(input.get(), stats_only);
  }
}

}  // namespace

base::Result<std::unique_ptr<Plan>> MakePlan(std::shared_ptr<const Expr> expr, bool share) {
  auto plan = std::make_unique<Plan>();
  Planner planner;
  ASSIGN_OR_RETURN(Made made, planner.Make(*expr));
  plan->type = made.node->type;
  plan->root = made.invariance.wrap ? Wrap(std::move(made.node)) : std::move(made.node);
  plan->expr = std::move(expr);
  MarkStatsOnly(plan->root.get(), false);
  if (share) ShareEqualSubtrees(plan.get());
  return plan;
}

double ScalarBinary(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd: return a + b;
    case BinaryOp::kSub: return a - b;
    case BinaryOp::kMul: return a * b;
    case BinaryOp::kDiv: return a / b;
    case BinaryOp::kMod: return std::fmod(a, b);
    case BinaryOp::kPow: return std::pow(a, b);
    case BinaryOp::kAtan2: return std::atan2(a, b);
    case BinaryOp::kEq: return a == b ? 1 : 0;
    case BinaryOp::kNe: return a != b ? 1 : 0;
    case BinaryOp::kLt: return a < b ? 1 : 0;
    case BinaryOp::kLe: return a <= b ? 1 : 0;
    case BinaryOp::kGt: return a > b ? 1 : 0;
    case BinaryOp::kGe: return a >= b ? 1 : 0;
    default: return std::nan("");  // set operators and trims: the parser refuses them on scalars
  }
}

}  // namespace tocsin::promql::plan
