#include "memory_storage.h"

#include <algorithm>
#include <set>

#include "promql/exec/histogram_math.h"

namespace tocsin::promqltest {
namespace {

using model::CounterReset;
using Sample = MemoryStorage::Sample;
using Rows = std::vector<std::pair<const model::Labels*, const std::vector<Sample>*>>;

// What reading gives as the counter reset hint: a database knows it within a chunk only, and begins a
// chunk where the layout changes or a counter is reset.
CounterReset HintAfter(const Sample* before, const model::Histogram& h) {
  if (h.counter_reset == CounterReset::kGauge) return CounterReset::kGauge;
  if (before == nullptr || !before->h || before->h->IsStale() || h.IsStale()) {
    return CounterReset::kUnknown;
  }
  const model::Histogram& b = *before->h;
  if (b.counter_reset == CounterReset::kGauge || h.counter_reset == CounterReset::kReset ||
      b.schema != h.schema || b.zero_threshold != h.zero_threshold ||
      b.custom_values != h.custom_values) {
    return CounterReset::kUnknown;
  }
  model::Histogram plain = h;
  plain.counter_reset = CounterReset::kUnknown;
  return promql::exec::DetectReset(plain, b) ? CounterReset::kUnknown : CounterReset::kNotReset;
}

class Set : public storage::SeriesSet {
 public:
  explicit Set(Rows rows) : rows_(std::move(rows)) {}
  size_t size() const override { return rows_.size(); }
  model::LabelsView labels(size_t i) const override { return rows_[i].first->view(); }

  base::Status Read(size_t first, size_t count, storage::Window window,
                    storage::SampleColumns* out) const override {
    out->Clear();
    out->offsets.push_back(0);
    for (size_t i = first; i < first + count; ++i) {
      for (const Sample& s : *rows_[i].second) {
        if (s.t <= window.after || s.t > window.upto) continue;
        if (s.h) {
          out->histogram_at.push_back(static_cast<uint32_t>(out->times.size()));
          out->histograms.push_back(s.h);
        }
        out->times.push_back(s.t);
        out->values.push_back(s.v);
        out->start_times.push_back(s.start);
      }
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    const bool any_start =
        std::ranges::any_of(out->start_times, [](model::Timestamp t) { return t != 0; });
    if (!any_start) out->start_times.clear();
    return {};
  }

  base::Status ReadLast(size_t first, size_t count, storage::Window window,
                        storage::LastColumns* out) const override {
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    out->histograms.clear();
    for (size_t i = 0; i < count; ++i) {
      for (const Sample& s : *rows_[first + i].second) {
        if (s.t <= window.after || s.t > window.upto) continue;
        out->times[i] = s.t;
        out->values[i] = s.v;
        if (s.h && out->histograms.empty()) out->histograms.resize(count);
        if (!out->histograms.empty()) out->histograms[i] = s.h;
      }
    }
    return {};
  }

 private:
  Rows rows_;
};

class MemoryQuerier : public storage::Querier {
 public:
  explicit MemoryQuerier(const std::map<model::Labels, std::vector<Sample>>* series)
      : series_(*series) {}

  base::Result<std::unique_ptr<storage::SeriesSet>> Select(
      const storage::SelectHints& hints, std::span<const model::Matcher> matchers) override {
    Rows rows;
    for (const auto& [labels, samples] : series_) {
      const bool any = std::ranges::any_of(samples, [&](const Sample& s) {
        return s.t > hints.window.after && s.t <= hints.window.upto;
      });
      if (any && model::MatchesAll(matchers, labels)) rows.emplace_back(&labels, &samples);
    }
    return std::make_unique<Set>(std::move(rows));
  }
  base::Result<std::vector<std::string>> LabelNames(
      const storage::LabelQuery&, std::span<const model::Matcher> matchers) override {
    std::set<std::string> names;
    for (const auto& [labels, samples] : series_) {
      if (!model::MatchesAll(matchers, labels)) continue;
      for (const model::Label& l : labels) names.emplace(l.name);
    }
    return std::vector<std::string>(names.begin(), names.end());
  }
  base::Result<std::vector<std::string>> LabelValues(
      std::string_view name, const storage::LabelQuery&,
      std::span<const model::Matcher> matchers) override {
    std::set<std::string> values;
    for (const auto& [labels, samples] : series_) {
      if (model::MatchesAll(matchers, labels) && labels.Has(name)) {
        values.emplace(labels.Get(name));
      }
    }
    return std::vector<std::string>(values.begin(), values.end());
  }

 private:
  const std::map<model::Labels, std::vector<Sample>>& series_;
};

}  // namespace

base::Status MemoryStorage::Append(const model::Labels& labels, model::Timestamp t, double v,
                                   model::HistogramPtr h, model::Timestamp start) {
  std::vector<Sample>& samples = series_[labels];
  const Sample* before = samples.empty() ? nullptr : &samples.back();
  if (before != nullptr && t < before->t) {
    return base::InvalidArgument("out of order sample for " + labels.ToString());
  }
  if (before != nullptr && t == before->t) {
    const bool same = h ? before->h && promql::exec::SameHistogram(*h, *before->h)
                        : !before->h && model::SameBits(v, before->v);
    if (same) return {};
    return base::InvalidArgument("duplicate sample for timestamp of " + labels.ToString());
  }
  if (h) {
    const CounterReset hint = HintAfter(before, *h);
    const double sum = h->sum;
    samples.push_back({t, sum, promql::exec::WithCounterReset(h, hint), start});
  } else {
    samples.push_back({t, v, nullptr, start});
  }
  return {};
}

std::unique_ptr<storage::Querier> MemoryStorage::NewQuerier(storage::Window) {
  return std::make_unique<MemoryQuerier>(&series_);
}

}  // namespace tocsin::promqltest
