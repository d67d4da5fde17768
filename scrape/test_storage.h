#pragma once

// A storage for this folder's tests: series and samples in vectors, with a head's answers.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/number.h"
#include "storage/appender.h"

namespace tocsin::scrape {

class TestStorage : public storage::Appendable {
 public:
  struct Series {
    model::Labels labels;
    std::vector<model::Sample> samples;
    std::vector<model::Timestamp> starts;  // of the samples; 0: not told
    std::vector<std::pair<model::Timestamp, model::HistogramPtr>> histograms;
    std::vector<model::Timestamp> histogram_starts;  // of those that came with one
    std::vector<model::Exemplar> exemplars;
    std::vector<model::Metadata> metadata;
    bool forgotten = false;
  };

  std::unique_ptr<storage::Appender> NewAppender() override { return std::make_unique<Batch>(this); }

  // All samples of a series as "value@time" words; a stale marker is "stale".
  std::string Samples(const std::string& labels) const {
    std::string text;
    for (const Series& s : series) {
      if (s.labels.ToMetricString() != labels) continue;
      for (const model::Sample& sample : s.samples) {
        if (!text.empty()) text += " ";
        text += (model::IsStale(sample.v) ? "stale" : base::FormatG(sample.v)) + "@" + std::to_string(sample.t);
      }
    }
    return text;
  }
  const Series* Find(const std::string& labels) const {
    for (const Series& s : series) {
      if (s.labels.ToMetricString() == labels && !s.forgotten) return &s;
    }
    return nullptr;
  }
  // When what its samples and histograms count began, in their order.
  std::vector<model::Timestamp> StartsOf(const std::string& labels) const {
    std::vector<model::Timestamp> all;
    for (const Series& s : series) {
      if (s.labels.ToMetricString() != labels) continue;
      all.insert(all.end(), s.starts.begin(), s.starts.end());
      all.insert(all.end(), s.histogram_starts.begin(), s.histogram_starts.end());
    }
    return all;
  }
  // As if the series had been collected: its reference is unknown from now on.
  void Forget(const std::string& labels) {
    for (Series& s : series) s.forgotten |= s.labels.ToMetricString() == labels;
  }
  // Names of all series but the target's own.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const Series& s : series) {
      const std::string_view name = s.labels.MetricName();
      if (name != "up" && !name.starts_with("scrape_")) names.push_back(s.labels.ToMetricString());
    }
    return names;
  }

  std::vector<Series> series;  // reference k is series[k - 1]
  base::Status resolve_status;
  base::Status commit_status;
  int commits = 0;

 private:
  class Batch : public storage::Appender {
   public:
    explicit Batch(TestStorage* storage) : storage_(storage) {}

    base::Result<storage::SeriesRef> Resolve(model::LabelsView labels) override {
      if (!storage_->resolve_status) return std::unexpected(storage_->resolve_status.error());
      storage::SeriesRef& ref = storage_->refs_[std::string(labels.encoded())];
      if (ref != 0 && !storage_->series[ref - 1].forgotten) return ref;
      storage_->series.push_back({.labels = model::Labels(labels)});
      return ref = storage_->series.size();
    }

    void Append(std::span<const storage::FloatSample> samples,
                std::span<storage::AppendOutcome> outcomes) override {
      for (size_t k = 0; k < samples.size(); ++k) {
        outcomes[k] = Check(samples[k].ref, samples[k].t, samples[k].v);
        if (outcomes[k] != storage::AppendOutcome::kOk) continue;
        pending_.push_back(samples[k]);
        pending_starts_.push_back(0);
        newest_[samples[k].ref] = {samples[k].t, samples[k].v};
      }
    }
    void AppendStarted(std::span<const storage::FloatSample> samples, std::span<const model::Timestamp> starts,
                       std::span<storage::AppendOutcome> outcomes) override {
      for (size_t k = 0; k < samples.size(); ++k) {
        Append(samples.subspan(k, 1), outcomes.subspan(k, 1));
        if (outcomes[k] == storage::AppendOutcome::kOk) pending_starts_.back() = starts[k];
      }
    }
    storage::AppendOutcome AppendStartedHistogram(storage::SeriesRef ref, model::Timestamp t, model::Timestamp start,
                                                  model::HistogramPtr h) override {
      const auto outcome = AppendHistogram(ref, t, std::move(h));
      if (outcome == storage::AppendOutcome::kOk) storage_->series[ref - 1].histogram_starts.push_back(start);
      return outcome;
    }
    storage::AppendOutcome AppendHistogram(storage::SeriesRef ref, model::Timestamp t,
                                           model::HistogramPtr h) override {
      if (!h->Validate()) return storage::AppendOutcome::kInvalidHistogram;
      const auto outcome = Check(ref, t, 0);
      if (outcome == storage::AppendOutcome::kOk) {
        storage_->series[ref - 1].histograms.emplace_back(t, std::move(h));
      }
      return outcome;
    }
    storage::AppendOutcome AppendExemplar(storage::SeriesRef ref, const model::Exemplar& e) override {
      auto& exemplars = storage_->series[ref - 1].exemplars;
      if (!exemplars.empty() && exemplars.back().t >= e.t) return storage::AppendOutcome::kOutOfOrder;
      exemplars.push_back(e);
      return storage::AppendOutcome::kOk;
    }
    void UpdateMetadata(storage::SeriesRef ref, const model::Metadata& m) override {
      storage_->series[ref - 1].metadata.push_back(m);
    }
    base::Status Commit(storage::Durability) override {
      if (!storage_->commit_status) return storage_->commit_status;
      for (size_t k = 0; k < pending_.size(); ++k) {
        const storage::FloatSample& s = pending_[k];
        storage_->series[s.ref - 1].samples.push_back({s.t, s.v});
        storage_->series[s.ref - 1].starts.push_back(pending_starts_[k]);
      }
      ++storage_->commits;
      return {};
    }
    void Rollback() override {
      pending_.clear();
      pending_starts_.clear();
      newest_.clear();
    }

   private:
    storage::AppendOutcome Check(storage::SeriesRef ref, model::Timestamp t, double v) const {
      if (ref == 0 || storage_->series[ref - 1].forgotten) return storage::AppendOutcome::kUnknownSeries;
      const model::Sample* last = nullptr;
      const auto& samples = storage_->series[ref - 1].samples;
      if (!samples.empty()) last = &samples.back();
      const auto pending = newest_.find(ref);
      if (pending != newest_.end()) last = &pending->second;
      if (last == nullptr || t > last->t) return storage::AppendOutcome::kOk;
      if (t < last->t) return storage::AppendOutcome::kOutOfOrder;
      return model::SameBits(v, last->v) ? storage::AppendOutcome::kOk
                                         : storage::AppendOutcome::kDuplicateTimestamp;
    }

    TestStorage* const storage_;
    std::vector<storage::FloatSample> pending_;
    std::map<storage::SeriesRef, model::Sample> newest_;  // of pending_, by series
    std::vector<model::Timestamp> pending_starts_;  // of pending_, in their order
  };

  std::map<std::string, storage::SeriesRef> refs_;  // by encoded labels
};

}  // namespace tocsin::scrape
