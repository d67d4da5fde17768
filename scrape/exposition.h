#pragma once

// The text formats of metrics: Prometheus's (0.0.4, 1.0.0) and OpenMetrics (0.0.1, 1.0.0).  A parser
// walks a body entry by entry and decodes values, but leaves the name and labels of a series as the
// bytes that were written: a scrape that has seen those bytes before need not decode them.
//
//   scrape::ExpositionParser parser(scrape::ExpositionFormat::kText, body);
//   scrape::Entry entry;
//   while (true) {
//     ASSIGN_OR_RETURN(const bool more, parser.Next(&entry));
//     if (!more) break;
//     if (entry.kind == EntryKind::kSeries) ...ParseSeries(entry.series, ...)
//   }
//
// Threads: one parser, one thread.  Views are into the body.
// Errors:  kInvalidArgument in Prometheus's words, with the line.  A parser that failed is at its end.
// Cost:    per line linear in its bytes; no allocation for series without exemplars.
// Source:  Prometheus 3.14, model/textparse; OpenMetrics 1.0.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/exemplar.h"
#include "model/histogram.h"

namespace tocsin::scrape {

enum class ExpositionFormat { kText, kOpenMetrics };

enum class EntryKind { kSeries, kHistogram, kType, kHelp, kUnit, kComment };

struct Entry {
  EntryKind kind = EntryKind::kComment;

  // Of a series or a native histogram.
  std::string_view series;  // name and labels as written: foo{a="b"}
  double value = 0;         // a NaN has the bits of model::NormalNan()
  bool has_timestamp = false;
  model::Timestamp t = 0;
  model::Timestamp start = 0;  // when what it counts began; 0: not told
  bool has_exemplar = false;
  model::Exemplar exemplar;

  // Of a native histogram.
  model::HistogramPtr histogram;
  std::vector<model::Exemplar> exemplars;

  // Of a type, help or unit.
  std::string metric;  // the family's name, unescaped
  model::MetricType type = model::MetricType::kUnknown;
  std::string text;    // help or unit, unescaped; of a comment: the comment
};

using LabelPairs = std::vector<std::pair<std::string, std::string>>;

// Whatever gives entries one by one.
class EntrySource {
 public:
  virtual ~EntrySource() = default;
  // False at the end.  Fields that do not belong to the entry's kind keep old values; views live
  // until the next call.
  virtual base::Result<bool> Next(Entry* entry) = 0;
  // A guess at the bytes of the next series, as read before in this format, to save looking for their
  // end.  It lives until the next call of Next().
  virtual void Expect(std::string_view) {}
};

class ExpositionParser : public EntrySource {
 public:
  ExpositionParser(ExpositionFormat format, std::string_view body) : format_(format), body_(body) {}

  // False at the end (for OpenMetrics: after "# EOF").  Views are into the body.
  base::Result<bool> Next(Entry* entry) override;
  void Expect(std::string_view series) override { expected_ = series; }

  // Where the next entry begins, in bytes; a caller that has read some lines itself says where to go on.
  size_t position() const { return std::min(at_, body_.size()); }
  void SetPosition(size_t at) { at_ = at; }

 private:
  bool SkipExpected(Entry* entry);
  base::Result<bool> NextText(Entry* entry);
  base::Result<bool> NextOpenMetrics(Entry* entry);
  base::Status TextSeries(Entry* entry);
  base::Status OpenMetricsSeries(Entry* entry);
  base::Status OpenMetricsExemplar(Entry* entry);
  // Reads the family's name, plain or quoted.
  base::Status MetaName(std::string_view what, Entry* entry);
  // Moves at_ over name and labels; sets entry->series.
  base::Status SkipSeries(Entry* entry);
  base::Result<double> Float(std::string_view text);
  std::unexpected<base::Error> Fail(std::string_view expected);
  std::unexpected<base::Error> FailWith(std::string message);

  bool AtEnd() const { return at_ >= body_.size(); }
  char Peek() const { return at_ < body_.size() ? body_[at_] : '\n'; }
  void SkipBlanks() {
    while (at_ < body_.size() && (body_[at_] == ' ' || body_[at_] == '\t')) ++at_;
  }

  const ExpositionFormat format_;
  const std::string_view body_;
  std::string_view expected_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  bool ended_ = false;
};

// Decodes the bytes of a series: name (as __name__) and labels in written order, unescaped.  With a
// histogram's `le` or a summary's `quantile` the value is written as a float ("1" becomes "1.0").
// Errors: kInvalidArgument; syntax, no metric name, invalid UTF-8.
base::Status ParseSeries(std::string_view series, ExpositionFormat format, model::MetricType type,
                         LabelPairs* labels);

// 1 as "1.0", 0.25 as "0.25", 1e+06 as "1e+06".
std::string FormatOpenMetricsFloat(double v);

}  // namespace tocsin::scrape
