// The tables of the conformance kit (../shared): every row must hold.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "promql/parse/functions.h"
#include "promql/parse/lexer.h"
#include "promql/parse/parser.h"
#include "promql/parse/printer.h"
#include "promql/parse/series_notation.h"

namespace tocsin::promql {
namespace {

using nlohmann::json;

constexpr ParseOptions kTableOptions{.experimental_functions = true,
                                     .extended_range_selectors = true,
                                     .binop_fill_modifiers = false,
                                     .duration_expressions = true};
constexpr ParseOptions kEverything{.experimental_functions = true,
                                   .extended_range_selectors = true,
                                   .binop_fill_modifiers = true,
                                   .duration_expressions = true};

std::string ReadShared(const std::string& name) {
  const char* root = std::getenv("TOCSIN_SHARED");
  std::ifstream file(std::string(root != nullptr ? root : "../shared") + "/" + name,
                     std::ios::binary);
  std::stringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

#define LOAD_TABLE_OR_SKIP(variable, name)                                        \
  std::string variable##_text = ReadShared("conformance/promql/" name);           \
  if (variable##_text.empty()) GTEST_SKIP() << "no ../shared: " name " is absent"; \
  json variable = json::parse(variable##_text)

std::string Decode64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8) & 0xFF);
  }
  return out;
}

std::string TextOf(const json& j) {
  return j.is_object() ? Decode64(j.at("_base64").get<std::string>()) : j.get<std::string>();
}

double NumberOf(const json& j) {
  if (j.is_number()) return j.get<double>();
  std::string text = j.get<std::string>();
  if (text == "NaN") return std::nan("");
  if (text == "+Inf") return INFINITY;
  if (text == "-Inf") return -INFINITY;
  return std::strtod(text.c_str(), nullptr);
}

std::string_view OpName(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd: return "ADD";
    case BinaryOp::kSub: return "SUB";
    case BinaryOp::kMul: return "MUL";
    case BinaryOp::kDiv: return "DIV";
    case BinaryOp::kMod: return "MOD";
    case BinaryOp::kPow: return "POW";
    case BinaryOp::kAtan2: return "ATAN2";
    case BinaryOp::kEq: return "EQLC";
    case BinaryOp::kNe: return "NEQ";
    case BinaryOp::kLt: return "LSS";
    case BinaryOp::kLe: return "LTE";
    case BinaryOp::kGt: return "GTR";
    case BinaryOp::kGe: return "GTE";
    case BinaryOp::kAnd: return "LAND";
    case BinaryOp::kOr: return "LOR";
    case BinaryOp::kUnless: return "LUNLESS";
    case BinaryOp::kTrimUpper: return "TRIM_UPPER";
    case BinaryOp::kTrimLower: return "TRIM_LOWER";
  }
  return "";
}

std::string_view OpName(DurationOp op) {
  switch (op) {
    case DurationOp::kAdd: return "ADD";
    case DurationOp::kSub:
    case DurationOp::kNegate: return "SUB";
    case DurationOp::kMul: return "MUL";
    case DurationOp::kDiv: return "DIV";
    case DurationOp::kMod: return "MOD";
    case DurationOp::kPow: return "POW";
    case DurationOp::kStep: return "STEP";
    case DurationOp::kRange: return "RANGE";
    case DurationOp::kMin: return "MIN_OF";
    case DurationOp::kMax: return "MAX_OF";
  }
  return "";
}

// The tree in the words of the table.  A field with its zero value is left out.
class Dump {
 public:
  static json Of(const Expr& e) {
    switch (e.kind) {
      case ExprKind::kNumber: {
        const auto& n = As<NumberLiteral>(e);
        json j{{"_type", "NumberLiteral"}, {"PosRange", Range(e.pos)}};
        j["Val"] = std::isnan(n.value)   ? json("NaN")
                   : std::isinf(n.value) ? json(n.value > 0 ? "+Inf" : "-Inf")
                                         : json(n.value);
        if (n.is_duration) j["Duration"] = true;
        return j;
      }
      case ExprKind::kString:
        return {{"_type", "StringLiteral"},
                {"Val", As<StringLiteral>(e).value},
                {"PosRange", Range(e.pos)}};
      case ExprKind::kVectorSelector: return Selector(As<VectorSelector>(e));
      case ExprKind::kMatrixSelector: {
        const auto& m = As<MatrixSelector>(e);
        json j{{"_type", "MatrixSelector"},
               {"VectorSelector", Selector(*m.vector)},
               {"EndPos", e.pos.end}};
        Set(&j, "Range", m.range.count());
        if (m.range_expr != nullptr) j["RangeExpr"] = Of(*m.range_expr);
        return j;
      }
      case ExprKind::kSubquery: {
        const auto& s = As<Subquery>(e);
        json j{{"_type", "SubqueryExpr"}, {"Expr", Of(*s.expr)}, {"EndPos", e.pos.end}};
        Set(&j, "Range", s.range.count());
        Set(&j, "Step", s.step.count());
        if (s.range_expr != nullptr) j["RangeExpr"] = Of(*s.range_expr);
        if (s.step_expr != nullptr) j["StepExpr"] = Of(*s.step_expr);
        Shift(s.shift, &j);
        return j;
      }
      case ExprKind::kCall: {
        json j{{"_type", "Call"},
               {"Func", std::string(As<Call>(e).function->name)},
               {"PosRange", Range(e.pos)},
               {"Args", json::array()}};
        for (const ExprPtr& arg : As<Call>(e).args) j["Args"].push_back(Of(*arg));
        return j;
      }
      case ExprKind::kAggregate: {
        const auto& a = As<Aggregate>(e);
        std::string op(AggregateOpName(a.op));
        for (char& c : op) c = static_cast<char>(std::toupper(c));
        json j{{"_type", "AggregateExpr"}, {"Op", op}, {"Expr", Of(*a.expr)}, {"PosRange", Range(e.pos)}};
        if (a.param != nullptr) j["Param"] = Of(*a.param);
        if (!a.grouping.empty()) j["Grouping"] = a.grouping;
        if (a.without) j["Without"] = true;
        return j;
      }
      case ExprKind::kBinary: return BinaryOf(As<Binary>(e));
      case ExprKind::kUnary: {
        json j{{"_type", "UnaryExpr"},
               {"Op", As<Unary>(e).negate ? "SUB" : "ADD"},
               {"Expr", Of(*As<Unary>(e).expr)}};
        Set(&j, "StartPos", e.pos.start);
        return j;
      }
      case ExprKind::kParen:
        return {{"_type", "ParenExpr"},
                {"Expr", Of(*As<Paren>(e).expr)},
                {"PosRange", Range(e.pos)}};
      case ExprKind::kStepInvariant: return Of(*As<StepInvariant>(e).expr);
      case ExprKind::kDuration: {
        const auto& d = As<DurationExpr>(e);
        json j{{"_type", "DurationExpr"}, {"Op", std::string(OpName(d.op))}};
        if (d.lhs != nullptr) j["LHS"] = Of(*d.lhs);
        if (d.rhs != nullptr) j["RHS"] = Of(*d.rhs);
        if (d.wrapped) j["Wrapped"] = true;
        j["StartPos"] = e.pos.start;
        j["EndPos"] = e.pos.end;
        return j;
      }
    }
    return {};
  }

 private:
  static json Range(ByteRange r) {
    return {{"_type", "posrange.PositionRange"}, {"Start", r.start}, {"End", r.end}};
  }
  template <class T>
  static void Set(json* j, const char* key, T value) {
    if (value != T{}) (*j)[key] = value;
  }
  static void Shift(const TimeShift& s, json* j) {
    Set(j, "OriginalOffset", s.offset.count());
    if (s.offset_expr != nullptr) (*j)["OriginalOffsetExpr"] = Of(*s.offset_expr);
    if (s.at == AtKind::kTimestamp) (*j)["Timestamp"] = s.at_ms;
    if (s.at == AtKind::kStart) (*j)["StartOrEnd"] = "START";
    if (s.at == AtKind::kEnd) (*j)["StartOrEnd"] = "END";
  }
  static json Selector(const VectorSelector& s) {
    json j{{"_type", "VectorSelector"}, {"PosRange", Range(s.pos)}};
    Set(&j, "Name", s.name);
    j["LabelMatchers"] = json::array();
    for (const model::Matcher& m : s.matchers) {
      j["LabelMatchers"].push_back({{"op", std::string(model::MatchOpText(m.op()))},
                                    {"name", m.name()},
                                    {"value", m.value()}});
    }
    Shift(s.shift, &j);
    Set(&j, "Anchored", s.anchored);
    Set(&j, "Smoothed", s.smoothed);
    return j;
  }
  static json BinaryOf(const Binary& b) {
    json j{{"_type", "BinaryExpr"},
           {"Op", std::string(OpName(b.op))},
           {"LHS", Of(*b.lhs)},
           {"RHS", Of(*b.rhs)}};
    Set(&j, "ReturnBool", b.return_bool);
    if (!b.matching) return j;
    constexpr const char* kCards[] = {"CardOneToOne", "CardManyToOne", "CardOneToMany",
                                      "CardManyToMany"};
    json m{{"_type", "VectorMatching"}};
    m["Card"] = kCards[static_cast<int>(b.matching->card)];
    if (!b.matching->labels.empty()) m["MatchingLabels"] = b.matching->labels;
    if (!b.matching->include.empty()) m["Include"] = b.matching->include;
    if (b.matching->on) m["On"] = true;
    j["VectorMatching"] = m;
    return j;
  }
};

bool IsZero(const json& j) {
  if (j.is_null() || (j.is_array() && j.empty())) return true;
  if (j.is_boolean()) return !j.get<bool>();
  if (j.is_number()) return j.get<double>() == 0;
  if (j.is_string()) {
    const auto& text = j.get_ref<const std::string&>();
    return text.empty() || text == "CardOneToOne" || text == "VectorMatching";
  }
  if (!j.is_object()) return false;
  for (const auto& [key, value] : j.items()) {
    if (key != "_type" && !IsZero(value)) return false;
  }
  return true;
}

// Where two trees differ; empty if they do not.
std::string Difference(const json& want, const json& got, const std::string& path) {
  if (want.is_object() && want.contains("_base64") && got.is_string()) {
    return TextOf(want) == got.get<std::string>() ? "" : path + ": other bytes";
  }
  if (want.is_object() && got.is_object()) {
    for (const auto& [key, value] : want.items()) {
      // Prometheus keeps it beside the selector; here the check knows.
      if (key == "BypassEmptyMatcherCheck") continue;
      if (!got.contains(key)) {
        if (!IsZero(value)) return path + "." + key + ": missing, want " + value.dump();
        continue;
      }
      if (std::string d = Difference(value, got.at(key), path + "." + key); !d.empty()) return d;
    }
    bool duration = want.value("_type", "") == "DurationExpr";
    for (const auto& [key, value] : got.items()) {
      // Our expressions of durations all have positions.
      if (duration && (key == "StartPos" || key == "EndPos")) continue;
      if (!want.contains(key) && !IsZero(value)) return path + "." + key + ": extra " + value.dump();
    }
    return {};
  }
  if (want.is_array() && got.is_array()) {
    if (want.size() != got.size()) return path + ": sizes differ";
    for (size_t i = 0; i < want.size(); ++i) {
      if (std::string d = Difference(want[i], got[i], path + "[" + std::to_string(i) + "]");
          !d.empty()) {
        return d;
      }
    }
    return {};
  }
  if (want.is_number() && got.is_number() && want.get<double>() == got.get<double>()) return {};
  if (want.is_string() && got.is_number() && want.get<std::string>() == got.dump()) return {};
  if (want == got || (IsZero(want) && IsZero(got))) return {};
  return path + ": want " + want.dump() + ", got " + got.dump();
}

std::string Short(const std::string& text) {
  return text.size() > 200 ? text.substr(0, 200) + "..." : text;
}

TEST(ConformanceTest, ParserTable) {
  LOAD_TABLE_OR_SKIP(rows, "parser_cases.json");
  for (const json& row : rows) {
    std::string input = TextOf(row.at("input"));
    auto e = ParseAll(input, kTableOptions);
    if (!row.at("fails").get<bool>()) {
      if (!e) {
        ADD_FAILURE() << Short(input) << ": " << e.error().First(input);
        continue;
      }
      EXPECT_EQ(Difference(row.at("ast"), Dump::Of(**e), ""), "") << Short(input);
      continue;
    }
    if (e) {
      ADD_FAILURE() << Short(input) << ": parsed, want " << row.at("error");
      continue;
    }
    EXPECT_EQ(e.error().First(input), TextOf(row.at("error"))) << Short(input);
    std::vector<std::tuple<int, int, std::string>> want;
    for (const json& error : row.at("errors")) {
      want.emplace_back(error.value("start", 0), error.value("end", 0),
                        error.contains("error") ? TextOf(error.at("error"))
                                                : TextOf(error.at("message")));
    }
    std::vector<std::tuple<int, int, std::string>> got;
    for (const ParseError& error : e.error().errors) {
      got.emplace_back(error.pos.start, error.pos.end, error.message);
    }
    EXPECT_EQ(got, want) << Short(input);
  }
}

std::string TokenName(TokenType t) {
  static const std::map<TokenType, std::string> names = {
      {TokenType::kEql, "EQL"},
      {TokenType::kBlank, "BLANK"},
      {TokenType::kColon, "COLON"},
      {TokenType::kComma, "COMMA"},
      {TokenType::kComment, "COMMENT"},
      {TokenType::kDuration, "DURATION"},
      {TokenType::kIdentifier, "IDENTIFIER"},
      {TokenType::kLeftBrace, "LEFT_BRACE"},
      {TokenType::kLeftBracket, "LEFT_BRACKET"},
      {TokenType::kLeftParen, "LEFT_PAREN"},
      {TokenType::kOpenHist, "OPEN_HIST"},
      {TokenType::kCloseHist, "CLOSE_HIST"},
      {TokenType::kMetricIdentifier, "METRIC_IDENTIFIER"},
      {TokenType::kNumber, "NUMBER"},
      {TokenType::kRightBrace, "RIGHT_BRACE"},
      {TokenType::kRightBracket, "RIGHT_BRACKET"},
      {TokenType::kRightParen, "RIGHT_PAREN"},
      {TokenType::kSpace, "SPACE"},
      {TokenType::kString, "STRING"},
      {TokenType::kTimes, "TIMES"},
      {TokenType::kSumDesc, "SUM_DESC"},
      {TokenType::kCountDesc, "COUNT_DESC"},
      {TokenType::kSchemaDesc, "SCHEMA_DESC"},
      {TokenType::kOffsetDesc, "OFFSET_DESC"},
      {TokenType::kNegativeOffsetDesc, "NEGATIVE_OFFSET_DESC"},
      {TokenType::kBucketsDesc, "BUCKETS_DESC"},
      {TokenType::kNegativeBucketsDesc, "NEGATIVE_BUCKETS_DESC"},
      {TokenType::kZeroBucketDesc, "ZERO_BUCKET_DESC"},
      {TokenType::kZeroBucketWidthDesc, "ZERO_BUCKET_WIDTH_DESC"},
      {TokenType::kAdd, "ADD"},
      {TokenType::kDiv, "DIV"},
      {TokenType::kEqlc, "EQLC"},
      {TokenType::kEqlRegex, "EQL_REGEX"},
      {TokenType::kGte, "GTE"},
      {TokenType::kGtr, "GTR"},
      {TokenType::kLand, "LAND"},
      {TokenType::kLor, "LOR"},
      {TokenType::kLss, "LSS"},
      {TokenType::kLte, "LTE"},
      {TokenType::kLunless, "LUNLESS"},
      {TokenType::kMod, "MOD"},
      {TokenType::kMul, "MUL"},
      {TokenType::kNeq, "NEQ"},
      {TokenType::kNeqRegex, "NEQ_REGEX"},
      {TokenType::kPow, "POW"},
      {TokenType::kSub, "SUB"},
      {TokenType::kAt, "AT"},
      {TokenType::kAtan2, "ATAN2"},
      {TokenType::kAvg, "AVG"},
      {TokenType::kCount, "COUNT"},
      {TokenType::kMax, "MAX"},
      {TokenType::kMin, "MIN"},
      {TokenType::kStddev, "STDDEV"},
      {TokenType::kStdvar, "STDVAR"},
      {TokenType::kSum, "SUM"},
      {TokenType::kTopk, "TOPK"},
      {TokenType::kBool, "BOOL"},
      {TokenType::kBy, "BY"},
      {TokenType::kGroupLeft, "GROUP_LEFT"},
      {TokenType::kGroupRight, "GROUP_RIGHT"},
      {TokenType::kIgnoring, "IGNORING"},
      {TokenType::kOffset, "OFFSET"},
      {TokenType::kOn, "ON"},
      {TokenType::kWithout, "WITHOUT"},
      {TokenType::kStart, "START"},
      {TokenType::kEnd, "END"},
  };
  auto it = names.find(t);
  return it == names.end() ? "?" : it->second;
}

TEST(ConformanceTest, LexerTable) {
  LOAD_TABLE_OR_SKIP(rows, "lexer_cases.json");
  for (const json& row : rows) {
    std::string input = TextOf(row.at("input"));
    Lexer lexer(input, row.at("series").get<bool>() ? LexMode::kSeries : LexMode::kExpression);
    json got = json::array();
    Token token;
    do {
      token = lexer.Next();
      if (token.type == TokenType::kEof || token.type == TokenType::kError) break;
      got.push_back({TokenName(token.type), token.pos, std::string(token.text)});
    } while (true);
    bool fails = token.type == TokenType::kError;
    EXPECT_EQ(fails, row.at("fails").get<bool>()) << input << " " << token.error;
    if (!fails && row.contains("items")) {
      EXPECT_EQ(got, row.at("items")) << input;
    }
  }
}

TEST(ConformanceTest, PrinterTable) {
  LOAD_TABLE_OR_SKIP(rows, "printer_cases.json");
  for (const json& row : rows) {
    std::string input = TextOf(row.at("input"));
    auto e = ParseAll(input, kEverything);
    ASSERT_TRUE(e) << input << ": " << e.error().First(input);
    EXPECT_EQ(Print(**e), TextOf(row.at("output"))) << input;
  }
}

TEST(ConformanceTest, PrettierTable) {
  LOAD_TABLE_OR_SKIP(rows, "prettier_cases.json");
  for (const json& row : rows) {
    std::string input = TextOf(row.at("input"));
    auto e = ParseAll(input, kEverything);
    ASSERT_TRUE(e) << input << ": " << e.error().First(input);
    EXPECT_EQ(Prettify(**e, row.at("max_characters_per_line").get<int>()),
              TextOf(row.at("output")))
        << input;
  }
}

json HistogramDump(const model::Histogram& h) {
  constexpr const char* kHints[] = {"unknown", "reset", "not_reset", "gauge"};
  auto spans = [](const std::vector<model::Span>& list) {
    json out = json::array();
    for (const model::Span& s : list) out.push_back({{"Offset", s.offset}, {"Length", s.length}});
    return out;
  };
  return {{"Schema", h.schema},
          {"Sum", h.sum},
          {"Count", h.count},
          {"ZeroCount", h.zero_count},
          {"ZeroThreshold", h.zero_threshold},
          {"PositiveBuckets", h.positive_buckets},
          {"PositiveSpans", spans(h.positive_spans)},
          {"NegativeBuckets", h.negative_buckets},
          {"NegativeSpans", spans(h.negative_spans)},
          {"CustomValues", h.custom_values},
          {"CounterResetHint", kHints[static_cast<int>(h.counter_reset)]}};
}

TEST(ConformanceTest, SeriesTable) {
  LOAD_TABLE_OR_SKIP(rows, "series_cases.json");
  for (const json& row : rows) {
    std::string input = TextOf(row.at("input"));
    auto series = ParseSeriesDescription(input);
    ASSERT_EQ(!series, row.at("fails").get<bool>())
        << input << ": " << (series ? "" : series.error().message());
    if (!series) {
      if (row.contains("error") && row.at("error").is_string()) {
        EXPECT_NE(series.error().message().find(TextOf(row.at("error"))), std::string::npos)
            << input << "\ngot:  " << series.error().message() << "\nwant: " << row.at("error");
      }
      continue;
    }
    if (row.contains("labels")) {
      json labels = json::object();
      for (auto [name, value] : series->labels) labels[std::string(name)] = std::string(value);
      EXPECT_EQ(labels, row.at("labels")) << input;
    }
    if (row.contains("values")) {
      const json& want = row.at("values");
      ASSERT_EQ(series->values.size(), want.size()) << input;
      for (size_t i = 0; i < want.size(); ++i) {
        bool omitted = want[i].value("omitted", false) || want[i].value("Omitted", false);
        EXPECT_EQ(series->values[i].omitted, omitted) << input << " " << i;
        if (omitted) continue;
        double value = NumberOf(want[i].contains("value") ? want[i].at("value") : want[i].at("Value"));
        EXPECT_EQ(series->values[i].value, value) << input << " " << i;
      }
    }
    if (row.contains("histograms")) {
      const json& want = row.at("histograms");
      ASSERT_EQ(series->values.size(), want.size()) << input;
      for (size_t i = 0; i < want.size(); ++i) {
        ASSERT_NE(series->values[i].histogram, nullptr) << input;
        json got = HistogramDump(*series->values[i].histogram);
        if (want[i].is_array()) continue;  // {{}}: all fields zero
        json expected = want[i];
        if (!expected.contains("CounterResetHint")) expected["CounterResetHint"] = "unknown";
        EXPECT_EQ(Difference(expected, got, ""), "") << input;
      }
    }
  }
}

TEST(ConformanceTest, StartTimestampTable) {
  LOAD_TABLE_OR_SKIP(rows, "start_timestamp_sequences.json");
  for (const json& row : rows) {
    std::string input = TextOf(row.at("input"));
    auto offsets = ParseStartOffsets(input);
    ASSERT_EQ(!offsets, row.at("fails").get<bool>()) << input;
    if (!offsets) continue;
    json got = json::array();
    for (const StartOffset& o : *offsets) {
      got.push_back(o.omitted ? json{{"Omitted", true}} : json{{"Value", o.ms}});
    }
    if (got.empty()) got = nullptr;
    EXPECT_EQ(got, row.at("offsets_ms")) << input;
  }
}

TEST(ConformanceTest, EveryExpressionOfTheDashboardsParses) {
  std::string text = ReadShared("corpus/dashboards/queries_from_dashboards.txt");
  if (text.empty()) GTEST_SKIP() << "no ../shared: the dashboards are absent";
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    ++count;
    auto e = ParseAll(line, kEverything);
    ASSERT_TRUE(e) << e.error().Explain(line);
    std::string printed = Print(**e);
    auto again = ParseAll(printed, kEverything);
    ASSERT_TRUE(again) << printed;
    EXPECT_EQ(Print(**again), printed);
    auto pretty = ParseAll(Prettify(**e), kEverything);
    ASSERT_TRUE(pretty) << Prettify(**e);
    EXPECT_EQ(Print(**pretty), printed);
  }
  EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace tocsin::promql
