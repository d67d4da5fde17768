#include "scrape/created.h"

#include <cmath>

#include "base/digest.h"

namespace tocsin::scrape {
namespace {

using model::MetricType;

constexpr std::string_view kSuffix = "_created";

bool HasStart(MetricType type) {
  return type == MetricType::kCounter || type == MetricType::kSummary || type == MetricType::kHistogram;
}

class CreatedSource : public EntrySource {
 public:
  explicit CreatedSource(std::string_view body) : parser_(ExpositionFormat::kOpenMetrics, body) {}

  void Expect(std::string_view series) override { parser_.Expect(series); }

  base::Result<bool> Next(Entry* entry) override {
    while (true) {
      ASSIGN_OR_RETURN(const bool more, parser_.Next(entry));
      entry->start = 0;
      if (!more) return false;
      if (entry->kind != EntryKind::kSeries) {
        // Whatever is described next is another run of series.
        if (entry->kind == EntryKind::kType) type_ = entry->type;
        if (!entry->metric.empty()) family_bytes_ = entry->metric.size();
        looked_ahead_ = false;
        return true;
      }
      Identity identity;
      // What cannot be read is the reader's to tell.
      if (!HasStart(type_) || !Identify(*entry, &identity)) return true;
      if (identity.created) continue;
      entry->start = StartOf(identity.series);
      return true;
    }
  }

 private:
  struct Identity {
    bool created = false;
    uint64_t series = 0;  // a hash of the family and of the labels that its parts share
  };
  struct Created {
    size_t end = 0;  // of its line
    uint64_t series = 0;
    double seconds = 0;
  };

  // False: the series is broken.
  bool Identify(const Entry& entry, Identity* identity) const {
    LabelPairs labels;
    if (!ParseSeries(entry.series, ExpositionFormat::kOpenMetrics, MetricType::kUnknown, &labels)) return false;
    const std::string_view own = type_ == MetricType::kSummary ? "quantile" : type_ == MetricType::kHistogram ? "le" : "";
    std::string text, name;
    for (const auto& [label, value] : labels) {
      if (label == model::kMetricName) {
        name = value;
      } else if (label != own) {
        text += label + '\xff' + value + '\xff';
      }
    }
    identity->created = name.ends_with(kSuffix);
    text += identity->created ? name.substr(0, name.size() - kSuffix.size()) : name.substr(0, family_bytes_);
    identity->series = base::Xxh3(text);
    return true;
  }

  // The next time told in this run of series is this series', or it has none.  A series of the same labels
  // as the last one shares its time, also behind it.
  model::Timestamp StartOf(uint64_t series) {
    if (last_start_ > 0 && last_series_ == series) return last_start_;
    if (!looked_ahead_) LookAhead();
    while (next_ < created_.size() && created_[next_].end <= parser_.position()) ++next_;
    last_start_ = 0;
    if (next_ == created_.size() || created_[next_].series != series) return 0;
    const double ms = std::trunc(created_[next_].seconds * 1000);
    constexpr double kMost = 9e15;  // what a double counts exactly
    if (!(std::abs(ms) < kMost)) return 0;
    last_series_ = series;
    return last_start_ = static_cast<model::Timestamp>(ms);
  }

  void LookAhead() {
    looked_ahead_ = true;
    created_.clear();
    next_ = 0;
    ExpositionParser ahead = parser_;
    ahead.Expect({});
    Entry entry;
    Identity identity;
    while (true) {
      const auto more = ahead.Next(&entry);
      if (!more || !*more || entry.kind != EntryKind::kSeries) return;  // the reader comes to a fault itself
      if (Identify(entry, &identity) && identity.created) {
        created_.push_back({.end = ahead.position(), .series = identity.series, .seconds = entry.value});
      }
    }
  }

  ExpositionParser parser_;
  MetricType type_ = MetricType::kUnknown;
  size_t family_bytes_ = 0;  // of the family described last
  bool looked_ahead_ = false;
  std::vector<Created> created_;  // of this run of series
  size_t next_ = 0;
  uint64_t last_series_ = 0;
  model::Timestamp last_start_ = 0;  // 0: none
};

}  // namespace

std::unique_ptr<EntrySource> MakeCreatedSource(std::string_view body) { return std::make_unique<CreatedSource>(body); }

}  // namespace tocsin::scrape
