#pragma once

// A small storage in memory for tests of rules: floats and histograms, everything at once, no log.
// Threads: one.

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/appender.h"
#include "storage/queryable.h"

namespace tocsin::ruler {

class MemoryStorage : public storage::Appendable, public storage::Queryable {
 public:
  struct Point {
    double value = 0;
    model::HistogramPtr histogram;
  };
  struct Series {
    model::Labels labels;
    std::map<model::Timestamp, Point> points;
  };

  std::unique_ptr<storage::Appender> NewAppender() override { return std::make_unique<BatchAppender>(this); }
  std::unique_ptr<storage::Querier> NewQuerier(storage::Window) override { return std::make_unique<View>(this); }

  void Add(std::initializer_list<std::pair<std::string_view, std::string_view>> labels, model::Timestamp t, double v) {
    series_[Find(model::Labels::FromPairs(labels))].points[t] = {v, nullptr};
  }
  void Add(std::initializer_list<std::pair<std::string_view, std::string_view>> labels, model::Timestamp t, model::HistogramPtr h) {
    series_[Find(model::Labels::FromPairs(labels))].points[t] = {h->sum, h};
  }
  // "time:value ..." of a series, a stale marker as "stale".
  std::string Dump(std::initializer_list<std::pair<std::string_view, std::string_view>> labels) const {
    const model::Labels wanted = model::Labels::FromPairs(labels);
    std::string out;
    for (const Series& s : series_) {
      if (s.labels != wanted) continue;
      for (const auto& [t, p] : s.points) {
        if (!out.empty()) out += ' ';
        std::string v = model::IsStale(p.value) ? "stale" : std::to_string(p.value);
        if (!model::IsStale(p.value)) v = v.substr(0, v.find_last_not_of('0') + 1 - (v.find_last_not_of('0') == v.find('.')));
        out += std::to_string(t / 1000) + ":" + v;
      }
    }
    return out;
  }
  bool Has(std::string_view metric) const {
    return std::ranges::any_of(series_, [&](const Series& s) { return s.labels.MetricName() == metric && !s.points.empty(); });
  }
  bool fail_commits = false;
  // As a head that dropped all its series: references are unknown until they are resolved again.
  void ForgetReferences() { ++age_; }

 private:
  // References hold the age of the storage in which they were resolved.
  static constexpr storage::SeriesRef kAge = 1 << 20;
  storage::SeriesRef RefOf(size_t series) const { return age_ * kAge + series + 1; }
  bool Knows(storage::SeriesRef ref) const { return ref / kAge == age_ && ref % kAge > 0 && ref % kAge <= series_.size(); }
  Series& Of(storage::SeriesRef ref) { return series_[ref % kAge - 1]; }

  size_t Find(const model::Labels& labels) {
    for (size_t i = 0; i < series_.size(); ++i) {
      if (series_[i].labels == labels) return i;
    }
    series_.push_back({labels, {}});
    return series_.size() - 1;
  }

  class BatchAppender : public storage::Appender {
   public:
    explicit BatchAppender(MemoryStorage* storage) : storage_(storage) {}
    base::Result<storage::SeriesRef> Resolve(model::LabelsView labels) override {
      return storage_->RefOf(storage_->Find(model::Labels(labels)));
    }
    void Append(std::span<const storage::FloatSample> samples, std::span<storage::AppendOutcome> outcomes) override {
      for (size_t i = 0; i < samples.size(); ++i) outcomes[i] = Put(samples[i].ref, samples[i].t, {samples[i].v, nullptr});
    }
    storage::AppendOutcome AppendHistogram(storage::SeriesRef ref, model::Timestamp t, model::HistogramPtr h) override {
      return Put(ref, t, {h->sum, h});
    }
    storage::AppendOutcome AppendExemplar(storage::SeriesRef, const model::Exemplar&) override {
      return storage::AppendOutcome::kOk;
    }
    void UpdateMetadata(storage::SeriesRef, const model::Metadata&) override {}
    base::Status Commit(storage::Durability) override {
      if (storage_->fail_commits) return base::ResourceExhausted("no space left");
      for (auto& [ref, t, p] : batch_) storage_->Of(ref).points[t] = p;
      batch_.clear();
      return {};
    }
    void Rollback() override { batch_.clear(); }

   private:
    storage::AppendOutcome Put(storage::SeriesRef ref, model::Timestamp t, Point p) {
      if (!storage_->Knows(ref)) return storage::AppendOutcome::kUnknownSeries;
      const auto& points = storage_->Of(ref).points;
      if (!points.empty() && points.rbegin()->first > t) return storage::AppendOutcome::kOutOfOrder;
      if (!points.empty() && points.rbegin()->first == t && !model::SameBits(points.rbegin()->second.value, p.value)) {
        return storage::AppendOutcome::kDuplicateTimestamp;
      }
      batch_.emplace_back(ref, t, std::move(p));
      return storage::AppendOutcome::kOk;
    }
    MemoryStorage* storage_;
    std::vector<std::tuple<storage::SeriesRef, model::Timestamp, Point>> batch_;
  };

  class Set : public storage::SeriesSet {
   public:
    explicit Set(std::vector<Series> series) : series_(std::move(series)) {}
    size_t size() const override { return series_.size(); }
    model::LabelsView labels(size_t i) const override { return series_[i].labels; }
    base::Status Read(size_t first, size_t count, storage::Window w, storage::SampleColumns* out) const override {
      out->Clear();
      out->offsets.push_back(0);
      for (size_t i = first; i < first + count; ++i) {
        for (auto it = series_[i].points.upper_bound(w.after); it != series_[i].points.end() && it->first <= w.upto; ++it) {
          if (it->second.histogram != nullptr) {
            out->histogram_at.push_back(static_cast<uint32_t>(out->times.size()));
            out->histograms.push_back(it->second.histogram);
          }
          out->times.push_back(it->first);
          out->values.push_back(it->second.value);
        }
        out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
      }
      return {};
    }
    base::Status ReadLast(size_t first, size_t count, storage::Window w, storage::LastColumns* out) const override {
      out->times.assign(count, model::kMinTimestamp);
      out->values.assign(count, 0);
      out->histograms.assign(count, nullptr);
      for (size_t i = 0; i < count; ++i) {
        const auto& points = series_[first + i].points;
        auto it = points.upper_bound(w.upto);
        if (it == points.begin() || std::prev(it)->first <= w.after) continue;
        --it;
        out->times[i] = it->first;
        out->values[i] = it->second.value;
        out->histograms[i] = it->second.histogram;
      }
      return {};
    }

   private:
    const std::vector<Series> series_;
  };

  class View : public storage::Querier {
   public:
    explicit View(const MemoryStorage* storage) : storage_(storage) {}
    base::Result<std::unique_ptr<storage::SeriesSet>> Select(const storage::SelectHints&,
                                                             std::span<const model::Matcher> matchers) override {
      std::vector<Series> found;
      for (const Series& s : storage_->series_) {
        if (model::MatchesAll(matchers, s.labels)) found.push_back(s);
      }
      std::ranges::sort(found, [](const Series& a, const Series& b) { return a.labels < b.labels; });
      // A set lives as long as its querier, which lives as long as this.
      return std::make_unique<Set>(std::move(found));
    }
    base::Result<std::vector<std::string>> LabelNames(const storage::LabelQuery&, std::span<const model::Matcher>) override {
      return std::vector<std::string>();
    }
    base::Result<std::vector<std::string>> LabelValues(std::string_view, const storage::LabelQuery&,
                                                       std::span<const model::Matcher>) override {
      return std::vector<std::string>();
    }

   private:
    const MemoryStorage* storage_;
  };

  std::vector<Series> series_;
  storage::SeriesRef age_ = 0;
};

}  // namespace tocsin::ruler
