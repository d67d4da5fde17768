// Both grammars share the series part, name{label="value",...}, and differ in what stands around it:
//
//   text         blanks anywhere between tokens, those before a bare name being part of it; "# HELP", "# TYPE", other comments; integer
//                milliseconds; the last line may lack its line feed
//   OpenMetrics  exactly one blank; "# HELP", "# TYPE", "# UNIT", "# EOF" and nothing else;
//                float seconds; exemplars: value # {labels} value [timestamp]

#include "scrape/exposition.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/number.h"
#include "base/text.h"
#include "model/sample.h"

namespace tocsin::scrape {
namespace {

using base::InvalidArgument;
using model::MetricType;

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool IsNameByte(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }
bool IsMetricStart(char c) { return IsNameStart(c) || c == ':'; }
bool IsMetricByte(char c) { return IsNameByte(c) || c == ':'; }

// The index after the closing quote of the string that begins at `at`; npos if it is not closed.
size_t EndOfQuoted(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// \\, \" and \n; any other backslash stays as it is.
std::string Unescape(std::string_view text, bool quotes = true) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      const char c = text[i + 1];
      if (c == '\\' || c == 'n' || (c == '"' && quotes)) {
        out += c == 'n' ? '\n' : c;
        ++i;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

MetricType TypeOf(std::string_view text, ExpositionFormat format, bool* known) {
  *known = true;
  if (text == "counter") return MetricType::kCounter;
  if (text == "gauge") return MetricType::kGauge;
  if (text == "histogram") return MetricType::kHistogram;
  if (text == "summary") return MetricType::kSummary;
  if (format == ExpositionFormat::kText) {
    *known = text == "untyped";
    return MetricType::kUnknown;
  }
  if (text == "gaugehistogram") return MetricType::kGaugeHistogram;
  if (text == "info") return MetricType::kInfo;
  if (text == "stateset") return MetricType::kStateset;
  *known = text == "unknown";
  return MetricType::kUnknown;
}

// What does not fit is as far away as can be: the storage refuses it as out of bounds.
model::Timestamp Milliseconds(double seconds) {
  constexpr double kMost = 9.2e18;
  const double ms = std::trunc(seconds * 1000);
  if (ms > kMost) return model::kMaxTimestamp;
  if (ms < -kMost) return model::kMinTimestamp;
  return static_cast<model::Timestamp>(ms);
}

// Walks the tokens of one series' bytes.
class SeriesReader {
 public:
  SeriesReader(std::string_view text, ExpositionFormat format) : text_(text), format_(format) {}

  base::Status Read(LabelPairs* labels) {
    const size_t begin = at_;
    Blanks();
    if (at_ < text_.size() && IsMetricStart(text_[at_])) {
      while (at_ < text_.size() && IsMetricByte(text_[at_])) ++at_;
      labels->emplace_back(model::kMetricName, text_.substr(begin, at_ - begin));
      named_ = true;
    }
    Blanks();
    if (at_ < text_.size()) {
      if (text_[at_] != '{') return Fail("expected value after metric");
      ++at_;
      RETURN_IF_ERROR(ReadLabels(labels));
    }
    if (!named_) return InvalidArgument("metric name not set while parsing: " + base::Quote(text_));
    return {};
  }

 private:
  void Blanks() {
    if (format_ == ExpositionFormat::kOpenMetrics) return;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  std::unexpected<base::Error> Fail(std::string_view expected) {
    return InvalidArgument(std::string(expected) + ", got " +
                           base::Quote(text_.substr(std::min(at_, text_.size()), 1)) +
                           " while parsing: " + base::Quote(text_.substr(0, at_ + 1)));
  }

  base::Status ReadLabels(LabelPairs* labels) {
    bool first = true;
    while (true) {
      Blanks();
      if (at_ >= text_.size()) return Fail("expected label name");
      if (text_[at_] == '}') {
        ++at_;
        return {};
      }
      if (!first && format_ == ExpositionFormat::kOpenMetrics && !comma_) {
        return Fail("expected comma or brace close");
      }
      first = false;
      std::string name;
      const bool quoted = text_[at_] == '"';
      if (quoted) {
        const size_t end = EndOfQuoted(text_, at_);
        if (end == std::string_view::npos) return Fail("expected label name");
        name = Unescape(text_.substr(at_ + 1, end - at_ - 2));
        if (!base::IsValidUtf8(name)) return Fail("invalid UTF-8 label name");
        at_ = end;
      } else if (IsNameStart(text_[at_])) {
        const size_t begin = at_;
        while (at_ < text_.size() && IsNameByte(text_[at_])) ++at_;
        name = text_.substr(begin, at_ - begin);
      } else {
        return Fail("expected label name");
      }
      Blanks();
      if (quoted && at_ < text_.size() && (text_[at_] == ',' || text_[at_] == '}')) {
        // A quoted string alone is the metric's name.
        if (named_) {
          return InvalidArgument("metric name already set while parsing: " + base::Quote(text_));
        }
        named_ = true;
        labels->emplace_back(model::kMetricName, std::move(name));
      } else {
        if (at_ >= text_.size() || text_[at_] != '=') return Fail("expected equal");
        ++at_;
        Blanks();
        if (at_ >= text_.size() || text_[at_] != '"') return Fail("expected label value");
        const size_t end = EndOfQuoted(text_, at_);
        if (end == std::string_view::npos) return Fail("expected label value");
        const std::string_view raw = text_.substr(at_ + 1, end - at_ - 2);
        if (format_ == ExpositionFormat::kOpenMetrics && raw.find('\n') != std::string_view::npos) {
          return Fail("expected label value");
        }
        if (!base::IsValidUtf8(raw)) {
          return InvalidArgument("invalid UTF-8 label value: " + base::Quote(text_.substr(at_, end - at_)));
        }
        labels->emplace_back(std::move(name), Unescape(raw));
        at_ = end;
      }
      Blanks();
      comma_ = at_ < text_.size() && text_[at_] == ',';
      if (comma_) ++at_;
    }
  }

  const std::string_view text_;
  const ExpositionFormat format_;
  size_t at_ = 0;
  bool named_ = false;
  bool comma_ = true;
};

}  // namespace

std::string FormatOpenMetricsFloat(double v) {
  std::string text = base::FormatG(v);
  if (std::isfinite(v) && text.find_first_of("e.") == std::string::npos) text += ".0";
  return text;
}

base::Status ParseSeries(std::string_view series, ExpositionFormat format, MetricType type,
                         LabelPairs* labels) {
  labels->clear();
  RETURN_IF_ERROR(SeriesReader(series, format).Read(labels));
  const std::string_view bound = type == MetricType::kHistogram  ? "le"
                                 : type == MetricType::kSummary ? "quantile"
                                                                : "";
  if (bound.empty()) return {};
  for (auto& [name, value] : *labels) {
    if (name != bound) continue;
    if (const auto number = base::ParseFloat(value)) value = FormatOpenMetricsFloat(*number);
  }
  return {};
}

std::unexpected<base::Error> ExpositionParser::FailWith(std::string message) {
  ended_ = true;
  const std::string_view seen = body_.substr(line_start_, std::min(at_ + 1, body_.size()) - line_start_);
  // Enough to recognise the line; it may be a megabyte long.
  constexpr size_t kShown = 200;
  return InvalidArgument(std::move(message) + " while parsing: " +
                         base::Quote(seen.substr(0, kShown)) + " (line " +
                         std::to_string(1 + std::count(body_.begin(), body_.begin() + line_start_, '\n')) + ")");
}

std::unexpected<base::Error> ExpositionParser::Fail(std::string_view expected) {
  return FailWith(std::string(expected) + ", got " +
                  (AtEnd() ? "the end" : base::Quote(body_.substr(at_, 1))));
}

base::Result<double> ExpositionParser::Float(std::string_view text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(v) && text[0] != 'i' &&
      text[0] != 'n') {
    return v;
  }
  if (text.find_first_of("pPxX_") != std::string_view::npos) {
    return FailWith("unsupported character in float");
  }
  const auto parsed = base::ParseFloat(text);
  if (!parsed) {
    return FailWith("strconv.ParseFloat: parsing " + base::Quote(text) + ": invalid syntax");
  }
  return std::isnan(*parsed) ? model::NormalNan() : *parsed;
}

base::Result<bool> ExpositionParser::Next(Entry* entry) {
  if (ended_) return false;
  return format_ == ExpositionFormat::kText ? NextText(entry) : NextOpenMetrics(entry);
}

base::Status ExpositionParser::MetaName(std::string_view what, Entry* entry) {
  const std::string expected = "expected metric name after " + std::string(what);
  if (!AtEnd() && body_[at_] == '"') {
    const size_t end = EndOfQuoted(body_, at_);
    if (end == std::string_view::npos) return Fail(expected);
    entry->metric = Unescape(body_.substr(at_ + 1, end - at_ - 2));
    at_ = end;
    return {};
  }
  if (AtEnd() || !IsMetricStart(body_[at_])) return Fail(expected);
  const size_t begin = at_;
  while (!AtEnd() && IsMetricByte(body_[at_])) ++at_;
  entry->metric = body_.substr(begin, at_ - begin);
  return {};
}

// Equal bytes have the same end, if what follows cannot go on: after a bare name a brace could.
bool ExpositionParser::SkipExpected(Entry* entry) {
  const std::string_view rest = body_.substr(at_);
  if (expected_.empty() || !rest.starts_with(expected_)) return false;
  size_t after = expected_.size();
  if (after >= rest.size() || (rest[after] != ' ' && rest[after] != '\t')) return false;
  if (expected_.back() != '}') {
    while (after < rest.size() && (rest[after] == ' ' || rest[after] == '\t')) ++after;
    if (after < rest.size() && rest[after] == '{') return false;
  }
  entry->series = rest.substr(0, expected_.size());
  at_ += expected_.size();
  return true;
}

base::Status ExpositionParser::SkipSeries(Entry* entry) {
  entry->kind = EntryKind::kSeries;
  entry->has_timestamp = false;
  entry->has_exemplar = false;
  if (SkipExpected(entry)) return {};
  const size_t begin = at_;
  if (format_ == ExpositionFormat::kText) SkipBlanks();
  const size_t name = at_;
  while (!AtEnd() && IsMetricByte(body_[at_])) ++at_;
  size_t end = at_;
  if (format_ == ExpositionFormat::kText) SkipBlanks();
  if (!AtEnd() && body_[at_] == '{') {
    while (true) {
      if (AtEnd()) return Fail("expected label name");
      const char c = body_[at_];
      if (c == '"') {
        const size_t close = EndOfQuoted(body_, at_);
        if (close == std::string_view::npos) return Fail("expected label value");
        at_ = close;
        continue;
      }
      if (c == '\n') return Fail("expected label value");
      ++at_;
      if (c == '}') break;
    }
    end = at_;
  } else if (end == name) {
    return Fail("expected a valid start token");
  }
  entry->series = body_.substr(begin, end - begin);
  return {};
}

base::Result<bool> ExpositionParser::NextText(Entry* entry) {
  while (true) {
    line_start_ = at_;
    SkipBlanks();
    if (AtEnd()) {
      ended_ = true;
      return false;
    }
    if (body_[at_] != '\n') break;
    ++at_;
  }
  if (body_[at_] != '#') {
    if (!IsMetricStart(body_[at_]) && body_[at_] != '{') return Fail("expected a valid start token");
    if (body_[at_] != '{') at_ = line_start_;
    RETURN_IF_ERROR(TextSeries(entry));
    return true;
  }

  const size_t line_end = std::min(body_.find('\n', at_), body_.size());
  size_t word = at_ + 1;
  while (word < line_end && (body_[word] == ' ' || body_[word] == '\t')) ++word;
  const std::string_view rest = body_.substr(word, line_end - word);
  const bool help = rest.starts_with("HELP");
  if (word > at_ + 1 && rest.size() > 4 && (help || rest.starts_with("TYPE")) &&
      (rest[4] == ' ' || rest[4] == '\t')) {
    at_ = word + 4;
    SkipBlanks();
    RETURN_IF_ERROR(MetaName(help ? "HELP" : "TYPE", entry));
    // One blank belongs to the syntax, the rest to the text.
    const size_t after = std::min(at_ + 1, line_end);
    const std::string_view text = body_.substr(after, line_end - after);
    if (help) {
      if (!base::IsValidUtf8(text)) {
        return FailWith("help text " + base::Quote(text) + " is not a valid utf8 string");
      }
      entry->kind = EntryKind::kHelp;
      entry->text = Unescape(text, false);
    } else {
      bool known = false;
      entry->kind = EntryKind::kType;
      entry->type = TypeOf(text, format_, &known);
      if (!known) return FailWith("invalid metric type " + base::Quote(text));
    }
  } else {
    entry->kind = EntryKind::kComment;
    entry->text = body_.substr(at_, line_end - at_);
  }
  at_ = line_end + 1;
  return true;
}

base::Status ExpositionParser::TextSeries(Entry* entry) {
  RETURN_IF_ERROR(SkipSeries(entry));
  SkipBlanks();
  size_t begin = at_;
  while (!AtEnd() && body_[at_] != ' ' && body_[at_] != '\t' && body_[at_] != '\n' && body_[at_] != '{' &&
         body_[at_] != '\0') {
    ++at_;
  }
  if (at_ == begin) return Fail("expected value after metric");
  ASSIGN_OR_RETURN(entry->value, Float(body_.substr(begin, at_ - begin)));
  SkipBlanks();
  begin = at_;
  while (!AtEnd() && body_[at_] >= '0' && body_[at_] <= '9') ++at_;
  if (at_ > begin) {
    const auto [end, error] = std::from_chars(body_.data() + begin, body_.data() + at_, entry->t);
    if (error != std::errc()) return Fail("timestamp out of range");
    entry->has_timestamp = true;
  }
  SkipBlanks();
  if (!AtEnd() && body_[at_] != '\n') {
    return Fail(entry->has_timestamp ? "expected next entry after timestamp"
                                     : "expected timestamp or new record");
  }
  ++at_;
  return {};
}

base::Result<bool> ExpositionParser::NextOpenMetrics(Entry* entry) {
  line_start_ = at_;
  if (AtEnd()) {
    ended_ = true;
    return InvalidArgument("data does not end with # EOF");
  }
  if (body_[at_] != '#') {
    if (!IsMetricStart(body_[at_]) && body_[at_] != '{') return Fail("expected a valid start token");
    RETURN_IF_ERROR(OpenMetricsSeries(entry));
    return true;
  }

  const std::string_view rest = body_.substr(at_);
  if (rest.starts_with("# EOF")) {
    at_ += 5;
    if (!AtEnd() && body_[at_] == '\n') ++at_;
    ended_ = true;
    if (!AtEnd()) return InvalidArgument("unexpected data after # EOF");
    return false;
  }
  static constexpr std::pair<std::string_view, EntryKind> kWords[] = {
      {"# HELP ", EntryKind::kHelp}, {"# TYPE ", EntryKind::kType}, {"# UNIT ", EntryKind::kUnit}};
  for (const auto& [word, kind] : kWords) {
    if (!rest.starts_with(word)) continue;
    const std::string name(word.substr(2, 4));
    at_ += word.size();
    RETURN_IF_ERROR(MetaName(name, entry));
    const size_t line_end = body_.find('\n', at_);
    if (Peek() != ' ' || AtEnd() || line_end == std::string_view::npos) {
      return FailWith("expected text in " + name);
    }
    const std::string_view text = body_.substr(at_ + 1, line_end - at_ - 1);
    entry->kind = kind;
    if (kind == EntryKind::kType) {
      bool known = false;
      entry->type = TypeOf(text, format_, &known);
      if (!known) return FailWith("invalid metric type " + base::Quote(text));
    } else {
      if (!base::IsValidUtf8(text)) {
        return FailWith("help text " + base::Quote(text) + " is not a valid utf8 string");
      }
      entry->text = Unescape(text);
    }
    if (kind == EntryKind::kUnit && !text.empty() && !entry->metric.ends_with("_" + entry->text)) {
      return FailWith("unit " + base::Quote(text) + " not a suffix of metric " +
                      base::Quote(entry->metric));
    }
    at_ = line_end + 1;
    return true;
  }
  return Fail("expected a valid start token");
}

base::Status ExpositionParser::OpenMetricsSeries(Entry* entry) {
  RETURN_IF_ERROR(SkipSeries(entry));
  auto word = [&](std::string_view expected) -> base::Result<std::string_view> {
    if (AtEnd() || body_[at_] != ' ') return Fail(expected);
    const size_t begin = ++at_;
    while (!AtEnd() && body_[at_] != ' ' && body_[at_] != '\n') ++at_;
    if (at_ == begin) return Fail(expected);
    return body_.substr(begin, at_ - begin);
  };
  ASSIGN_OR_RETURN(const std::string_view value, word("expected value after metric"));
  ASSIGN_OR_RETURN(entry->value, Float(value));
  if (AtEnd()) return InvalidArgument("data does not end with # EOF");
  if (body_[at_] == ' ' && !body_.substr(at_).starts_with(" # {")) {
    ASSIGN_OR_RETURN(const std::string_view text, word("expected timestamp or new record"));
    ASSIGN_OR_RETURN(const double seconds, Float(text));
    if (!std::isfinite(seconds)) return FailWith("invalid timestamp " + base::FormatG(seconds));
    entry->has_timestamp = true;
    entry->t = Milliseconds(seconds);
    if (AtEnd()) return InvalidArgument("data does not end with # EOF");
  }
  if (body_.substr(at_).starts_with(" # {")) {
    at_ += 3;
    RETURN_IF_ERROR(OpenMetricsExemplar(entry));
  }
  if (AtEnd()) return InvalidArgument("data does not end with # EOF");
  if (body_[at_] != '\n') return Fail("expected next entry after timestamp");
  ++at_;
  return {};
}

base::Status ExpositionParser::OpenMetricsExemplar(Entry* entry) {
  // The braces read as a series with a name of our own.
  expected_ = {};
  const size_t begin = at_;
  Entry labels_text;
  RETURN_IF_ERROR(SkipSeries(&labels_text));
  LabelPairs pairs;
  const std::string named = "x" + std::string(body_.substr(begin, at_ - begin));
  if (auto parsed = ParseSeries(named, format_, MetricType::kUnknown, &pairs); !parsed) {
    return FailWith(parsed.error().message());
  }
  pairs.erase(pairs.begin());
  auto word = [&](std::string_view expected) -> base::Result<std::string_view> {
    if (AtEnd() || body_[at_] != ' ') return Fail(expected);
    const size_t start = ++at_;
    while (!AtEnd() && body_[at_] != ' ' && body_[at_] != '\n') ++at_;
    if (at_ == start) return Fail(expected);
    return body_.substr(start, at_ - start);
  };
  entry->exemplar.labels = model::Labels::FromPairs(pairs);
  ASSIGN_OR_RETURN(const std::string_view value, word("expected value after exemplar labels"));
  ASSIGN_OR_RETURN(entry->exemplar.value, Float(value));
  entry->exemplar.has_timestamp = false;
  entry->exemplar.t = 0;
  if (!AtEnd() && body_[at_] == ' ') {
    ASSIGN_OR_RETURN(const std::string_view text, word("expected exemplar timestamp"));
    ASSIGN_OR_RETURN(const double seconds, Float(text));
    if (!std::isfinite(seconds)) {
      return FailWith("invalid exemplar timestamp " + base::FormatG(seconds));
    }
    entry->exemplar.has_timestamp = true;
    entry->exemplar.t = Milliseconds(seconds);
  }
  entry->has_exemplar = true;
  return {};
}

}  // namespace tocsin::scrape
