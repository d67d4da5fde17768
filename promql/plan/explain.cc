#include "promql/plan/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number.h"
#include "base/text.h"
#include "promql/parse/print_parts.h"
#include "promql/parse/printer.h"

namespace tocsin::promql::plan {
namespace {

std::string_view KindName(NodeKind kind) {
  switch (kind) {
    case NodeKind::kNumber: return "number";
    case NodeKind::kString: return "string";
    case NodeKind::kInstantSelector: return "selector";
    case NodeKind::kRangeSelector: return "range selector";
    case NodeKind::kSubquery: return "subquery";
    case NodeKind::kCall: return "call";
    case NodeKind::kAggregate: return "aggregate";
    case NodeKind::kBinary: return "binary";
    case NodeKind::kNegate: return "negate";
    case NodeKind::kStepInvariant: break;
  }
  return "once";
}

std::string Operation(const Node& node) {
  std::string text;
  switch (node.kind) {
    case NodeKind::kNumber: return base::FormatF(node.number);
    case NodeKind::kString:
    case NodeKind::kInstantSelector:
    case NodeKind::kRangeSelector:
      text = node.kind == NodeKind::kString ? "" : "select ";
      text += Print(*node.expr);
      if (node.histogram_stats_only) text += " (histograms: count and sum alone)";
      return text;
    case NodeKind::kSubquery:
      text = "subquery ";
      AppendSubquerySuffix(As<Subquery>(*node.expr), &text);
      return text;
    case NodeKind::kCall: return std::string(FunctionName(node.function));
    case NodeKind::kAggregate:
      AppendAggregateHead(As<Aggregate>(*node.expr), &text);
      return std::string(base::Trim(text));
    case NodeKind::kBinary:
      AppendOperator(As<Binary>(*node.expr), &text);
      return text;
    case NodeKind::kNegate: return "-";
    case NodeKind::kStepInvariant: break;
  }
  return "once for all steps";
}

std::string TimeText(base::Duration d) {
  const double us = base::ToSeconds(d) * 1e6;
  if (us < 1000) return fmt::format("{:.0f} us", us);
  if (us < 1e6) return fmt::format("{:.1f} ms", us / 1000);
  return fmt::format("{:.2f} s", us / 1e6);
}

struct Line {
  std::string tree;  // branches and operation
  const Explained* node;
};

void AddLines(const Explained& node, const std::string& first, const std::string& rest,
              std::vector<Line>* out) {
  out->push_back({first + node.operation, &node});
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const bool last = i + 1 == node.inputs.size();
    AddLines(node.inputs[i], rest + (last ? "└─ " : "├─ "), rest + (last ? "   " : "│  "), out);
  }
}

Explained ExplainNode(const Node& node,
                      const std::function<std::optional<NodeCost>(const Node&)>& cost_of) {
  Explained e;
  e.operation = Operation(node);
  e.kind = KindName(node.kind);
  e.pos = node.pos;
  if (cost_of) e.cost = cost_of(node);
  if (node.first_equal != nullptr && node.first_equal != &node) {
    e.shared_with = node.first_equal->pos;
    e.operation += fmt::format(" (shared with byte {})", e.shared_with->start);
    return e;
  }
  for (const auto& input : node.inputs) e.inputs.push_back(ExplainNode(*input, cost_of));
  return e;
}

}  // namespace

Explained Explain(const Plan& plan,
                  const std::function<std::optional<NodeCost>(const Node&)>& cost_of) {
  return ExplainNode(*plan.root, cost_of);
}

std::string ToText(const Explained& explained) {
  constexpr size_t kWidest = 100;  // longer operations push their figures out of line
  std::vector<Line> lines;
  AddLines(explained, "", "", &lines);
  size_t width = 0;
  for (const Line& line : lines) width = std::max(width, base::RuneCount(line.tree));
  width = std::min(width, kWidest);
  std::string text;
  for (const Line& line : lines) {
    text += line.tree;
    if (line.node->cost) {
      const NodeCost& cost = *line.node->cost;
      const size_t length = base::RuneCount(line.tree);
      text.append(width > length ? width - length : 0, ' ');
      text += fmt::format("  {:>8} series  {:>10} samples", cost.series, cost.samples);
      if (cost.time.count() > 0) text += fmt::format("  {:>8}", TimeText(cost.time));
    }
    text += '\n';
  }
  return text;
}

}  // namespace tocsin::promql::plan
