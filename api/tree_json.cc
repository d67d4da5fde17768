#include "api/tree_json.h"

#include "base/number.h"
#include "promql/parse/functions.h"

namespace tocsin::api {
namespace {

using promql::As;
using promql::Expr;
using promql::ExprKind;

int64_t Millis(base::Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

std::string_view OpText(const promql::DurationExpr& e) {
  switch (e.op) {
    case promql::DurationOp::kAdd: return "+";
    case promql::DurationOp::kSub:
    case promql::DurationOp::kNegate: return "-";
    case promql::DurationOp::kMul: return "*";
    case promql::DurationOp::kDiv: return "/";
    case promql::DurationOp::kMod: return "%";
    case promql::DurationOp::kPow: return "^";
    case promql::DurationOp::kStep: return "step";
    case promql::DurationOp::kRange: return "range";
    case promql::DurationOp::kMin: return "min_of";
    case promql::DurationOp::kMax: return "max_of";
  }
  return "";
}

void WriteDuration(const Expr* e, JsonWriter* json) {
  if (e == nullptr) return json->Null();
  if (e->kind == ExprKind::kNumber) {
    const auto& n = As<promql::NumberLiteral>(*e);
    json->BeginObject();
    json->Member("type", "numberLiteral");
    json->Member("val", base::FormatF(n.value));
    json->Member("duration", n.is_duration);
    json->EndObject();
    return;
  }
  if (e->kind != ExprKind::kDuration) return WriteTree(*e, json);
  const auto& d = As<promql::DurationExpr>(*e);
  json->BeginObject();
  json->Member("type", "durationExpr");
  json->Member("op", OpText(d));
  json->Key("lhs");
  WriteDuration(d.lhs.get(), json);
  json->Key("rhs");
  WriteDuration(d.rhs.get(), json);
  json->Member("wrapped", d.wrapped);
  json->EndObject();
}

void WriteShift(const promql::TimeShift& s, JsonWriter* json) {
  json->Member("offset", Millis(s.offset));
  json->Key("offsetExpr");
  WriteDuration(s.offset_expr.get(), json);
  json->Key("timestamp");
  s.at == promql::AtKind::kTimestamp ? json->Int(s.at_ms) : json->Null();
  json->Key("startOrEnd");
  switch (s.at) {
    case promql::AtKind::kStart: json->String("start"); break;
    case promql::AtKind::kEnd: json->String("end"); break;
    default: json->Null();
  }
}

void WriteSelector(const promql::VectorSelector& s, JsonWriter* json) {
  json->Member("name", s.name);
  json->Key("matchers");
  json->BeginArray();
  for (const model::Matcher& m : s.matchers) {
    json->BeginObject();
    json->Member("name", m.name());
    json->Member("value", m.value());
    json->Member("type", model::MatchOpText(m.op()));
    json->EndObject();
  }
  json->EndArray();
  WriteShift(s.shift, json);
  json->Member("anchored", s.anchored);
  json->Member("smoothed", s.smoothed);
}

void WriteRange(std::string_view name, base::Duration d, const promql::DurationExpr* e,
                JsonWriter* json) {
  json->Member(name, Millis(d));
  json->Key(std::string(name) + "Expr");
  WriteDuration(e, json);
}

void WriteMatching(const promql::VectorMatching& m, JsonWriter* json) {
  constexpr const char* kCards[] = {"one-to-one", "many-to-one", "one-to-many", "many-to-many"};
  auto fill = [json](std::string_view side, const std::optional<double>& value) {
    json->Key(side);
    value ? json->Double(*value) : json->Null();
  };
  json->BeginObject();
  json->Member("card", kCards[static_cast<int>(m.card)]);
  json->MemberList("labels", m.labels);
  json->Member("on", m.on);
  json->MemberList("include", m.include);
  json->Key("fillValues");
  json->BeginObject();
  fill("lhs", m.fill_left);
  fill("rhs", m.fill_right);
  json->EndObject();
  json->EndObject();
}

void WriteChild(std::string_view name, const promql::ExprPtr& e, JsonWriter* json) {
  json->Key(name);
  e == nullptr ? json->Null() : WriteTree(*e, json);
}

void WriteFunction(const promql::FunctionSpec& f, JsonWriter* json) {
  json->BeginObject();
  json->Member("name", f.name);
  json->Key("argTypes");
  json->BeginArray();
  for (promql::ValueType t : f.arg_types) json->String(promql::ValueTypeCode(t));
  json->EndArray();
  json->Member("variadic", f.variadic);
  json->Member("returnType", promql::ValueTypeCode(f.return_type));
  json->EndObject();
}

}  // namespace

void WriteTree(const Expr& e, JsonWriter* json) {
  if (e.kind == ExprKind::kStepInvariant) {
    return WriteTree(*As<promql::StepInvariant>(e).expr, json);
  }
  if (e.kind == ExprKind::kDuration) return WriteDuration(&e, json);
  json->BeginObject();
  switch (e.kind) {
    case ExprKind::kAggregate: {
      const auto& a = As<promql::Aggregate>(e);
      json->Member("type", "aggregation");
      json->Member("op", promql::AggregateOpName(a.op));
      WriteChild("expr", a.expr, json);
      WriteChild("param", a.param, json);
      json->MemberList("grouping", a.grouping);
      json->Member("without", a.without);
      break;
    }
    case ExprKind::kBinary: {
      const auto& b = As<promql::Binary>(e);
      json->Member("type", "binaryExpr");
      json->Member("op", promql::BinaryOpText(b.op));
      WriteChild("lhs", b.lhs, json);
      WriteChild("rhs", b.rhs, json);
      json->Key("matching");
      b.matching ? WriteMatching(*b.matching, json) : json->Null();
      json->Member("bool", b.return_bool);
      break;
    }
    case ExprKind::kCall: {
      const auto& c = As<promql::Call>(e);
      json->Member("type", "call");
      json->Key("func");
      WriteFunction(*c.function, json);
      json->Key("args");
      json->BeginArray();
      for (const promql::ExprPtr& arg : c.args) WriteTree(*arg, json);
      json->EndArray();
      break;
    }
    case ExprKind::kMatrixSelector: {
      const auto& m = As<promql::MatrixSelector>(e);
      json->Member("type", "matrixSelector");
      WriteRange("range", m.range, m.range_expr.get(), json);
      WriteSelector(*m.vector, json);
      break;
    }
    case ExprKind::kSubquery: {
      const auto& s = As<promql::Subquery>(e);
      json->Member("type", "subquery");
      WriteChild("expr", s.expr, json);
      WriteRange("range", s.range, s.range_expr.get(), json);
      WriteRange("step", s.step, s.step_expr.get(), json);
      WriteShift(s.shift, json);
      break;
    }
    case ExprKind::kNumber:
      json->Member("type", "numberLiteral");
      json->Member("val", base::FormatF(As<promql::NumberLiteral>(e).value));
      break;
    case ExprKind::kString:
      json->Member("type", "stringLiteral");
      json->Member("val", As<promql::StringLiteral>(e).value);
      break;
    case ExprKind::kParen:
      json->Member("type", "parenExpr");
      WriteChild("expr", As<promql::Paren>(e).expr, json);
      break;
    case ExprKind::kUnary:
      json->Member("type", "unaryExpr");
      json->Member("op", As<promql::Unary>(e).negate ? "-" : "+");
      WriteChild("expr", As<promql::Unary>(e).expr, json);
      break;
    case ExprKind::kVectorSelector:
      json->Member("type", "vectorSelector");
      WriteSelector(As<promql::VectorSelector>(e), json);
      break;
    case ExprKind::kStepInvariant:
    case ExprKind::kDuration: break;
  }
  json->EndObject();
}

}  // namespace tocsin::api
