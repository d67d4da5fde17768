#include "promql/parse/series_notation.h"

#include <algorithm>
#include <fmt/core.h>

#include <charconv>
#include <functional>
#include <optional>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "promql/parse/histogram_notation.h"
#include "promql/parse/token_stream.h"

namespace tocsin::promql {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

bool StartsNumber(TokenType t) {
  return t == TokenType::kNumber || t == TokenType::kDuration || t == TokenType::kAdd ||
         t == TokenType::kSub;
}

class SeriesParser : public TokenStream {
 public:
  SeriesParser(std::string_view text, LexMode mode, size_t wanted = 0)
      : TokenStream(text, mode), wanted_(wanted) {}

  void ParseSeries(SeriesDescription* series);
  void ParseMetricAlone(model::Labels* labels);

 private:
  using Values = std::vector<SequenceValue>;

  bool ParseMetricName(model::Labels* labels);
  bool ParseLabelSet(model::LabelsBuilder* labels);
  bool ParseLabel(model::LabelsBuilder* labels);
  bool ParseItem(Values* values);
  bool ParseNumberItem(Values* values);
  bool ParseHistogramItem(Values* values);
  bool ParseHistogram(HistogramFields* fields);
  bool ParseField(HistogramFields* fields);
  bool ParseBuckets(std::vector<double>* buckets);
  bool ParseSigned(double* value);
  bool ParseInt(int64_t* value);
  bool ParseUint(uint64_t* value);
  bool Repeat(uint64_t count, Values* values, const std::function<SequenceValue(uint64_t)>& make);
  void Finish();

  const size_t wanted_;  // values; 0: all
};

// What is left over fits nowhere.
void SeriesParser::Finish() {
  if (!unwinding() && !AtEnd()) BeginUnwinding();
  if (unwinding() && Recover("", "")) {
    while (!AtEnd()) Consume();
  }
}

void SeriesParser::ParseMetricAlone(model::Labels* labels) {
  ParseMetricName(labels);
  Finish();
}

void SeriesParser::ParseSeries(SeriesDescription* series) {
  if (ParseMetricName(&series->labels)) {
    while (ConsumeIf(TokenType::kSpace)) {
      TokenType t = PeekType();
      bool item = t == TokenType::kBlank || t == TokenType::kIdentifier || StartsNumber(t) ||
                  t == TokenType::kOpenHist;
      if (!item || ParseItem(&series->values)) continue;
      // One error is enough: what follows it is not read.
      Recover("series values", "");
      return;
    }
  }
  Finish();
}

// up{job="a"}, {"quoted name", a="b"}, or nothing at all.
bool SeriesParser::ParseMetricName(model::Labels* labels) {
  TokenType t = PeekType();
  std::string name;
  model::LabelsBuilder builder;
  if (t != TokenType::kLeftBrace && !AtEnd()) {
    bool word = t == TokenType::kIdentifier || t == TokenType::kMetricIdentifier ||
                IsAggregatorToken(t) ||
                (t > TokenType::kPreprocessorStart && t < TokenType::kPreprocessorEnd);
    switch (t) {
      case TokenType::kBy:
      case TokenType::kFill:
      case TokenType::kFillLeft:
      case TokenType::kFillRight:
      case TokenType::kLand:
      case TokenType::kLor:
      case TokenType::kLunless:
      case TokenType::kOffset:
      case TokenType::kWithout:
      case TokenType::kAnchored:
      case TokenType::kSmoothed: word = true; break;
      default: break;
    }
    if (word) name = Consume().text;
  }
  if (PeekType() == TokenType::kLeftBrace && !ParseLabelSet(&builder)) return false;
  if (!name.empty()) builder.Set(model::kMetricName, name);
  *labels = builder.Build();
  return true;
}

bool SeriesParser::ParseLabelSet(model::LabelsBuilder* labels) {
  Consume();
  if (ConsumeIf(TokenType::kRightBrace)) return true;
  if (!ParseLabel(labels)) return false;
  while (!ConsumeIf(TokenType::kRightBrace)) {
    if (ConsumeIf(TokenType::kComma)) {
      if (ConsumeIf(TokenType::kRightBrace)) return true;
      if (!ParseLabel(labels)) return false;
    } else if (!DropToken() && !Recover("label set", "\",\" or \"}\"")) {
      return false;
    }
  }
  return true;
}

bool SeriesParser::ParseLabel(model::LabelsBuilder* labels) {
  TokenType t = PeekType();
  if (t != TokenType::kIdentifier && t != TokenType::kString) {
    return Recover("label set", "identifier or \"}\"");
  }
  Token token = Consume();
  std::string name = t == TokenType::kString ? Unquote(token) : std::string(token.text);
  if (!ConsumeIf(TokenType::kEql)) {
    if (t == TokenType::kIdentifier) return Recover("label set", "\"=\"");
    labels->Set(model::kMetricName, name);
    return true;
  }
  Token value;
  if (!ConsumeIf(TokenType::kString, &value)) return Recover("label set", "string");
  labels->Set(name, Unquote(value));
  return true;
}

bool SeriesParser::Repeat(uint64_t count, Values* values,
                          const std::function<SequenceValue(uint64_t)>& make) {
  if (wanted_ > 0) count = std::min<uint64_t>(count, wanted_ - std::min(wanted_, values->size()));
  if (count > kMaxSeriesValues - values->size()) {
    AddError(LastRange(),
             fmt::format("series has more than {} values; use a longer interval, or fewer "
                         "repetitions",
                         kMaxSeriesValues));
    GiveUp();
    return false;
  }
  for (uint64_t i = 0; i < count; ++i) values->push_back(make(i));
  return true;
}

bool SeriesParser::ParseItem(Values* values) {
  if (PeekType() == TokenType::kOpenHist) return ParseHistogramItem(values);
  if (!ConsumeIf(TokenType::kBlank)) return ParseNumberItem(values);
  uint64_t count = 1;
  if (ConsumeIf(TokenType::kTimes) && !ParseUint(&count)) return false;
  return Repeat(count, values, [](uint64_t) { return SequenceValue{.omitted = true}; });
}

// 1, 1x3, 1+2x3, stale.
bool SeriesParser::ParseNumberItem(Values* values) {
  double value = 0;
  Token word;
  if (ConsumeIf(TokenType::kIdentifier, &word)) {
    if (word.text != "stale") Unexpected("series values", "number or \"stale\"");
    value = model::StaleMarker();
  } else if (!ParseSigned(&value)) {
    return false;
  }
  uint64_t times = 0;
  if (ConsumeIf(TokenType::kTimes)) {
    if (!ParseUint(&times)) return false;
    return Repeat(times + 1, values, [&](uint64_t) { return SequenceValue{.value = value}; });
  }
  TokenType t = PeekType();
  if (t != TokenType::kAdd && t != TokenType::kSub) {
    return Repeat(1, values, [&](uint64_t) { return SequenceValue{.value = value}; });
  }
  double step = 0;
  if (!ParseSigned(&step) || !Expect(TokenType::kTimes) || !ParseUint(&times)) return false;
  return Repeat(times + 1, values, [&](uint64_t) {
    SequenceValue v{.value = value};
    value += step;
    return v;
  });
}

// {{...}}, {{...}}x3, {{...}}+{{...}}x3.
bool SeriesParser::ParseHistogramItem(Values* values) {
  HistogramFields fields;
  if (!ParseHistogram(&fields)) return false;
  SequenceValue v{.histogram = MakeHistogram(fields),
                  .counter_reset_given = fields.counter_reset.has_value()};
  uint64_t times = 0;
  TokenType t = PeekType();
  if (t != TokenType::kTimes && t != TokenType::kAdd && t != TokenType::kSub) {
    return Repeat(1, values, [&](uint64_t) { return v; });
  }
  Consume();
  if (t == TokenType::kTimes) {
    if (!ParseUint(&times)) return false;
    return Repeat(times + 1, values, [&](uint64_t) { return v; });
  }
  HistogramFields change_fields;
  if (!ParseHistogram(&change_fields)) return false;
  model::HistogramPtr change = MakeHistogram(change_fields);
  v.counter_reset_given = change_fields.counter_reset.has_value();
  if (!Expect(TokenType::kTimes) || !ParseUint(&times)) return false;
  double sign = t == TokenType::kAdd ? 1 : -1;
  std::string problem;
  bool ok = Repeat(times + 1, values, [&](uint64_t i) {
    if (i > 0 && problem.empty()) {
      auto sum = AddHistograms(*v.histogram, *change, sign);
      if (sum) {
        v.histogram = std::make_shared<model::Histogram>(*std::move(sum));
      } else {
        problem = sum.error().message();
      }
    }
    return v;
  });
  if (!problem.empty()) AddError(LastRange(), problem);
  return ok;
}

bool SeriesParser::ParseHistogram(HistogramFields* fields) {
  if (!Expect(TokenType::kOpenHist)) return false;
  if (ConsumeIf(TokenType::kCloseHist)) return true;
  if (ConsumeIf(TokenType::kSpace)) return Expect(TokenType::kCloseHist);
  if (!ParseField(fields)) return false;
  while (!ConsumeIf(TokenType::kCloseHist)) {
    bool ok = ConsumeIf(TokenType::kSpace);
    if (ok) {
      if (ConsumeIf(TokenType::kCloseHist)) return true;
      ok = ParseField(fields);
    } else {
      ok = DropToken();
    }
    if (!ok && !Recover("histogram description",
                        "histogram description key, e.g. buckets:[5 10 7]")) {
      return false;
    }
  }
  return true;
}

bool SeriesParser::ParseField(HistogramFields* fields) {
  TokenType key = PeekType();
  if (key <= TokenType::kHistogramDescStart || key >= TokenType::kHistogramDescEnd) {
    return DropToken();
  }
  Token token = Consume();
  if (!Expect(TokenType::kColon)) return false;
  if (!fields->seen.insert(key).second) {
    AddError({}, fmt::format("duplicate key \"{}\" in histogram", base::ToLower(token.text)));
  }
  switch (key) {
    case TokenType::kSchemaDesc: return ParseInt(&fields->schema);
    case TokenType::kOffsetDesc: return ParseInt(&fields->offset);
    case TokenType::kNegativeOffsetDesc: return ParseInt(&fields->negative_offset);
    case TokenType::kSumDesc: return ParseSigned(&fields->sum);
    case TokenType::kCountDesc: return ParseSigned(&fields->count);
    case TokenType::kZeroBucketDesc: return ParseSigned(&fields->zero_count);
    case TokenType::kZeroBucketWidthDesc:
      if (PeekType() == TokenType::kSub || PeekType() == TokenType::kAdd) break;
      return ParseSigned(&fields->zero_threshold);
    case TokenType::kBucketsDesc: return ParseBuckets(&fields->buckets);
    case TokenType::kNegativeBucketsDesc: return ParseBuckets(&fields->negative_buckets);
    case TokenType::kCustomValuesDesc: return ParseBuckets(&fields->custom_values);
    default:
      switch (PeekType()) {
        case TokenType::kUnknownCounterReset:
          fields->counter_reset = model::CounterReset::kUnknown;
          break;
        case TokenType::kCounterReset: fields->counter_reset = model::CounterReset::kReset; break;
        case TokenType::kNotCounterReset:
          fields->counter_reset = model::CounterReset::kNotReset;
          break;
        case TokenType::kGaugeType: fields->counter_reset = model::CounterReset::kGauge; break;
        default: BeginUnwinding(); return false;
      }
      Consume();
      return true;
  }
  BeginUnwinding();
  return false;
}

// [1 2.5 -3]
bool SeriesParser::ParseBuckets(std::vector<double>* buckets) {
  if (!Expect(TokenType::kLeftBracket)) return false;
  buckets->clear();
  for (;;) {
    double value = 0;
    if (!ParseSigned(&value)) return false;
    buckets->push_back(value);
    bool space = ConsumeIf(TokenType::kSpace);
    if (ConsumeIf(TokenType::kRightBracket)) return true;
    if (!space) {
      BeginUnwinding();
      return false;
    }
  }
}

bool SeriesParser::ParseSigned(double* value) {
  TokenType t = PeekType();
  bool negative = t == TokenType::kSub;
  if (negative || t == TokenType::kAdd) {
    Consume();
    t = PeekType();
  }
  if (t != TokenType::kNumber && t != TokenType::kDuration) {
    BeginUnwinding();
    return false;
  }
  *value = NumberOrDuration(Consume());
  if (negative) *value = -*value;
  return true;
}

bool SeriesParser::ParseInt(int64_t* value) {
  bool negative = ConsumeIf(TokenType::kSub);
  uint64_t magnitude = 0;
  if (!ParseUint(&magnitude)) return false;
  *value = static_cast<int64_t>(negative ? -magnitude : magnitude);
  return true;
}

bool SeriesParser::ParseUint(uint64_t* value) {
  Token token;
  if (!ConsumeIf(TokenType::kNumber, &token)) {
    BeginUnwinding();
    return false;
  }
  const char* end = token.text.data() + token.text.size();
  auto [at, error] = std::from_chars(token.text.data(), end, *value);
  if (error == std::errc() && at == end) return true;
  bool range = error == std::errc::result_out_of_range && at == end;
  AddError(RangeOf(token),
           fmt::format("invalid repetition in series values: strconv.ParseUint: parsing {}: {}",
                       base::Quote(token.text), range ? "value out of range" : "invalid syntax"));
  *value = 0;
  return true;
}

template <class T>
base::Result<T> ResultOf(SeriesParser* parser, std::string_view text, T value) {
  if (parser->ok()) return value;
  return base::InvalidArgument(ParseErrors{parser->TakeErrors()}.First(text));
}

base::Status CheckSize(std::string_view text) {
  if (text.size() <= kMaxBytes) return {};
  return base::InvalidArgument(fmt::format("series line is {} bytes long, the limit is {} (1 MB)",
                                           text.size(), kMaxBytes));
}

}  // namespace

base::Result<SeriesDescription> ParseSeriesDescription(std::string_view line, size_t wanted) {
  RETURN_IF_ERROR(CheckSize(line));
  SeriesParser parser(line, LexMode::kSeries, wanted);
  SeriesDescription series;
  parser.ParseSeries(&series);
  return ResultOf(&parser, line, std::move(series));
}

base::Result<model::Labels> ParseMetric(std::string_view text) {
  RETURN_IF_ERROR(CheckSize(text));
  SeriesParser parser(text, LexMode::kExpression);
  model::Labels labels;
  parser.ParseMetricAlone(&labels);
  return ResultOf(&parser, text, std::move(labels));
}

namespace {

// A signed duration at the start of *text, which is moved on behind it.
base::Result<int64_t> TakeSignedDuration(std::string_view* text) {
  std::string_view rest = *text;
  bool negative = !rest.empty() && rest.front() == '-';
  if (negative || (!rest.empty() && rest.front() == '+')) rest.remove_prefix(1);
  std::string_view number = rest.substr(0, rest.find_first_of("+-x"));
  ASSIGN_OR_RETURN(base::Duration d, base::ParseDuration(number));
  text->remove_prefix(text->size() - rest.size() + number.size());
  int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  return negative ? -ms : ms;
}

base::Status AppendOffsets(std::string_view item, std::vector<StartOffset>* offsets) {
  std::string_view rest = item;
  StartOffset first;
  int64_t step = 0;
  bool needs_count = false;
  if (rest.front() == '_') {
    first.omitted = true;
    rest.remove_prefix(1);
  } else {
    ASSIGN_OR_RETURN(first.ms, TakeSignedDuration(&rest));
    if (!rest.empty() && rest.front() != 'x') {
      ASSIGN_OR_RETURN(step, TakeSignedDuration(&rest));
      needs_count = true;
    }
  }
  uint64_t count = 1;
  if (!rest.empty() || needs_count) {
    uint64_t times = 0;
    const char* end = rest.data() + rest.size();
    auto [at, error] = rest.starts_with('x') ? std::from_chars(rest.data() + 1, end, times)
                                             : std::from_chars_result{rest.data(), std::errc::invalid_argument};
    if (error != std::errc() || at != end || (first.omitted && times == 0)) {
      return base::InvalidArgument("expected x and a number of repetitions, as in -1m+15sx3 or _x2");
    }
    if (times >= kMaxSeriesValues - offsets->size()) {
      return base::InvalidArgument(fmt::format("more than {} values", kMaxSeriesValues));
    }
    count = first.omitted ? times : times + 1;
  }
  for (uint64_t i = 0; i < count; ++i) {
    offsets->push_back(first);
    first.ms += step;
  }
  return {};
}

}  // namespace

base::Result<std::vector<StartOffset>> ParseStartOffsets(std::string_view items) {
  std::vector<StartOffset> offsets;
  size_t at = 0;
  while ((at = items.find_first_not_of(" \t", at)) != std::string_view::npos) {
    size_t end = std::min(items.find_first_of(" \t", at), items.size());
    std::string_view item = items.substr(at, end - at);
    if (auto status = AppendOffsets(item, &offsets); !status) {
      return base::InvalidArgument(
          fmt::format("start timestamp {}: {}", base::Quote(item), status.error().message()));
    }
    at = end;
  }
  return offsets;
}

}  // namespace tocsin::promql
