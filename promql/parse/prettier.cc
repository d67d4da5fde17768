// Expressions over several lines: a node longer than a line is split, its children are indented.
// Rules: Prometheus's promql/parser/prettier_rules.md.

#include <algorithm>

#include "base/text.h"
#include "promql/parse/functions.h"
#include "promql/parse/print_parts.h"
#include "promql/parse/printer.h"

namespace tocsin::promql {
namespace {

class Prettier {
 public:
  explicit Prettier(size_t max_width) : max_width_(max_width) {}

  // Writes `e`, whose first line begins at `level`.
  void Write(const Expr& e, int level);
  std::string Take() { return std::move(out_); }

 private:
  // Each level of a long expression prints what is below it once more: the parser's bounds on height
  // and length bound that.
  bool Fits(const Expr& e) const { return Print(e).size() <= max_width_; }
  void Indent(int level) { out_.append(2 * static_cast<size_t>(level), ' '); }
  void WriteSplit(const Expr& e, int level);

  size_t max_width_;
  std::string out_;
};

void Prettier::Write(const Expr& e, int level) {
  switch (e.kind) {
    case ExprKind::kAggregate:
    case ExprKind::kBinary:
    case ExprKind::kCall:
    case ExprKind::kParen:
      if (!Fits(e)) {
        WriteSplit(e, level);
        return;
      }
      break;
    case ExprKind::kStepInvariant: Write(*As<StepInvariant>(e).expr, level); return;
    case ExprKind::kSubquery:
      if (!Fits(e)) {
        Write(*As<Subquery>(e).expr, level);
        AppendSubquerySuffix(As<Subquery>(e), &out_);
        return;
      }
      break;
    case ExprKind::kUnary: {
      Prettier child(max_width_);
      child.Write(*As<Unary>(e).expr, level);
      Indent(level);
      out_ += As<Unary>(e).negate ? '-' : '+';
      out_ += base::Trim(child.out_);
      return;
    }
    default: break;
  }
  Indent(level);
  out_ += Print(e);
}

void Prettier::WriteSplit(const Expr& e, int level) {
  if (e.kind == ExprKind::kBinary) {
    const auto& b = As<Binary>(e);
    Write(*b.lhs, level + 1);
    out_ += '\n';
    Indent(level);
    AppendOperator(b, &out_);
    out_ += '\n';
    Write(*b.rhs, level + 1);
    return;
  }
  Indent(level);
  auto open = [&](std::string_view head) {
    out_ += head;
    out_ += "(\n";
  };
  switch (e.kind) {
    case ExprKind::kAggregate: {
      const auto& a = As<Aggregate>(e);
      AppendAggregateHead(a, &out_);
      open("");
      if (a.param != nullptr) {
        Write(*a.param, level + 1);
        out_ += ",\n";
      }
      Write(*a.expr, level + 1);
      break;
    }
    case ExprKind::kCall: {
      const auto& c = As<Call>(e);
      open(c.function->name);
      for (size_t i = 0; i < c.args.size(); ++i) {
        if (i > 0) out_ += ",\n";
        Write(*c.args[i], level + 1);
      }
      break;
    }
    default:
      open("");
      Write(*As<Paren>(e).expr, level + 1);
  }
  out_ += '\n';
  Indent(level);
  out_ += ')';
}

}  // namespace

std::string Prettify(const Expr& e, int max_width) {
  Prettier p(static_cast<size_t>(std::max(max_width, 0)));
  p.Write(e, 0);
  return p.Take();
}

}  // namespace tocsin::promql
