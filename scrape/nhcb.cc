#include "scrape/nhcb.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/number.h"
#include "scrape/histogram_build.h"

namespace tocsin::scrape {
namespace {

enum class Part { kNone, kBucket, kSum, kCount };

Part PartOf(std::string_view name, std::string_view family) {
  if (!name.starts_with(family)) return Part::kNone;
  const std::string_view suffix = name.substr(family.size());
  if (suffix == "_bucket") return Part::kBucket;
  if (suffix == "_sum") return Part::kSum;
  if (suffix == "_count") return Part::kCount;
  return Part::kNone;
}

class NhcbSource : public EntrySource {
 public:
  NhcbSource(std::unique_ptr<EntrySource> inner, ExpositionFormat format, bool keep_classic)
      : inner_(std::move(inner)), format_(format), keep_classic_(keep_classic) {}

  base::Result<bool> Next(Entry* entry) override {
    while (true) {
      bool more = true;
      if (held_) {
        *entry = *std::exchange(held_, std::nullopt);
      } else if (!ended_) {
        ASSIGN_OR_RETURN(more, inner_->Next(entry));
      } else {
        return false;
      }
      Series series;
      if (more && entry->kind == EntryKind::kSeries && type_ == model::MetricType::kHistogram) {
        RETURN_IF_ERROR(Read(*entry, &series));
      }
      if (collecting_ && (!more || series.part == Part::kNone || series.labels != labels_)) {
        collecting_ = false;
        std::optional<Entry> converted = Convert();
        if (converted) {
          if (more) held_ = std::move(*entry);
          ended_ = !more;
          *entry = std::move(*converted);
          return true;
        }
      }
      if (!more) return false;
      if (entry->kind == EntryKind::kType) {
        type_ = entry->type;
        family_ = entry->metric;
      }
      if (series.part == Part::kNone) return true;
      Collect(*entry, series);
      if (keep_classic_) return true;
    }
  }

 private:
  struct Series {
    Part part = Part::kNone;
    LabelPairs labels;  // sorted, without name and le
    double upper_bound = 0;
  };

  base::Status Read(const Entry& entry, Series* series) {
    LabelPairs pairs;
    RETURN_IF_ERROR(ParseSeries(entry.series, format_, model::MetricType::kUnknown, &pairs));
    std::string_view le;
    for (auto& [name, value] : pairs) {
      if (name == model::kMetricName) {
        series->part = PartOf(value, family_);
      } else if (name == model::kBucketLabel) {
        le = value;
      } else if (!value.empty()) {
        series->labels.emplace_back(name, value);
      }
    }
    if (series->part == Part::kBucket) {
      const auto bound = base::ParseFloat(le);
      if (!bound || std::isnan(*bound)) {
        series->part = Part::kNone;
      } else {
        series->upper_bound = *bound;
      }
    }
    std::sort(series->labels.begin(), series->labels.end());
    return {};
  }

  void Collect(const Entry& entry, Series& series) {
    if (!collecting_) {
      collecting_ = true;
      collected_family_ = family_;
      labels_ = std::move(series.labels);
      histogram_ = {};
      exemplars_.clear();
      has_timestamp_ = entry.has_timestamp;
      start_ = entry.start;
    }
    t_ = entry.t;
    if (series.part == Part::kBucket) histogram_.SetBucket(series.upper_bound, entry.value);
    if (series.part == Part::kSum) histogram_.SetSum(entry.value);
    if (series.part == Part::kCount) histogram_.SetCount(entry.value);
    if (entry.has_exemplar) exemplars_.push_back(entry.exemplar);
  }

  // Nothing where the parts do not make a histogram: they are lost, as in Prometheus, unless kept.
  std::optional<Entry> Convert() {
    auto histogram = histogram_.Convert();
    if (!histogram || !histogram->Validate()) return std::nullopt;
    text_.clear();
    AppendSeriesText(collected_family_, labels_, &text_);
    Entry entry;
    entry.kind = EntryKind::kHistogram;
    entry.series = text_;
    entry.has_timestamp = has_timestamp_;
    entry.t = t_;
    entry.start = start_;
    entry.histogram = std::make_shared<const model::Histogram>(std::move(*histogram));
    entry.exemplars = std::move(exemplars_);
    return entry;
  }

  const std::unique_ptr<EntrySource> inner_;
  const ExpositionFormat format_;
  const bool keep_classic_;
  model::MetricType type_ = model::MetricType::kUnknown;
  std::string family_;
  std::optional<Entry> held_;
  bool ended_ = false;

  bool collecting_ = false;
  std::string collected_family_;
  LabelPairs labels_;
  ClassicHistogram histogram_;
  std::vector<model::Exemplar> exemplars_;
  bool has_timestamp_ = false;
  model::Timestamp t_ = 0;
  model::Timestamp start_ = 0;
  std::string text_;  // of the histogram given last
};

}  // namespace

std::unique_ptr<EntrySource> MakeNhcbSource(std::unique_ptr<EntrySource> inner, ExpositionFormat format,
                                            bool keep_classic) {
  return std::make_unique<NhcbSource>(std::move(inner), format, keep_classic);
}

}  // namespace tocsin::scrape
