#include "tsdb/exemplars.h"

#include <algorithm>

namespace tocsin::tsdb {

using storage::AppendOutcome;

void Exemplars::Resize(size_t capacity) {
  base::MutexLock lock(&mu_);
  while (count_ > capacity) DropOldest();
  std::vector<Entry> ring(capacity);
  for (size_t i = 0; i < count_; ++i) ring[i] = std::move(ring_[(first_ + i) % capacity_]);
  ring_ = std::move(ring);
  capacity_ = capacity;
  first_ = 0;
}

std::vector<wal::ExemplarEntry> Exemplars::All() const {
  base::MutexLock lock(&mu_);
  std::vector<wal::ExemplarEntry> all;
  for (size_t i = 0; i < count_; ++i) {
    const Entry& e = ring_[(first_ + i) % capacity_];
    all.push_back({e.ref, e.exemplar});
  }
  return all;
}

bool Exemplars::enabled() const {
  base::MutexLock lock(&mu_);
  return capacity_ > 0;
}

void Exemplars::DropOldest() {
  Entry& e = ring_[first_];
  const auto it = series_.find(e.ref);
  if (--it->second.count == 0) series_.erase(it);
  e.exemplar = model::Exemplar();
  first_ = (first_ + 1) % capacity_;
  --count_;
}

AppendOutcome Exemplars::CheckLocked(storage::SeriesRef ref, const model::Exemplar& e) const {
  const auto it = series_.find(ref);
  if (it == series_.end()) return AppendOutcome::kOk;
  const model::Exemplar& newest = it->second.newest;
  const bool same_value = model::SameBits(newest.value, e.value);
  // Without a time of its own an exemplar is a repeat whatever the scrape's time.
  if (newest.labels == e.labels && same_value && (newest.t == e.t || !e.has_timestamp)) {
    return AppendOutcome::kDuplicateTimestamp;
  }
  if (e.t < newest.t || (e.t == newest.t && e.value < newest.value)) return AppendOutcome::kOutOfOrder;
  if (e.t == newest.t && same_value && e.labels.Hash() < newest.labels.Hash()) return AppendOutcome::kOutOfOrder;
  return AppendOutcome::kOk;
}

AppendOutcome Exemplars::Check(storage::SeriesRef ref, const model::Exemplar& exemplar) const {
  base::MutexLock lock(&mu_);
  return CheckLocked(ref, exemplar);
}

AppendOutcome Exemplars::Add(storage::SeriesRef ref, model::LabelsView labels, const model::Exemplar& exemplar) {
  base::MutexLock lock(&mu_);
  if (capacity_ == 0) return AppendOutcome::kOk;
  const AppendOutcome outcome = CheckLocked(ref, exemplar);
  if (outcome != AppendOutcome::kOk) return outcome;
  if (count_ == capacity_) DropOldest();
  ring_[(first_ + count_) % capacity_] = {ref, exemplar};
  ++count_;
  Series& s = series_[ref];
  if (s.count++ == 0) s.labels = model::Labels(labels);
  s.newest = exemplar;
  return outcome;
}

std::vector<storage::ExemplarSeries> Exemplars::Select(storage::Window window,
                                                       std::span<const model::Matchers> any_of) const {
  std::vector<storage::ExemplarSeries> out;
  absl::flat_hash_map<storage::SeriesRef, size_t> places;
  base::MutexLock lock(&mu_);
  for (const auto& [ref, series] : series_) {
    const bool match = std::any_of(any_of.begin(), any_of.end(), [&, labels = series.labels.view()](const model::Matchers& m) {
      return model::MatchesAll(m, labels);
    });
    if (!match) continue;
    places[ref] = out.size();
    out.push_back({series.labels, {}});
  }
  for (size_t i = 0; i < count_; ++i) {
    const Entry& e = ring_[(first_ + i) % capacity_];
    if (e.exemplar.t <= window.after || e.exemplar.t > window.upto) continue;
    const auto it = places.find(e.ref);
    if (it != places.end()) out[it->second].exemplars.push_back(e.exemplar);
  }
  std::erase_if(out, [](const storage::ExemplarSeries& s) { return s.exemplars.empty(); });
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.labels < b.labels; });
  return out;
}

size_t Exemplars::size() const {
  base::MutexLock lock(&mu_);
  return count_;
}
size_t Exemplars::series() const {
  base::MutexLock lock(&mu_);
  return series_.size();
}
model::Timestamp Exemplars::oldest_time() const {
  base::MutexLock lock(&mu_);
  return count_ == 0 ? 0 : ring_[first_].exemplar.t;
}
size_t Exemplars::capacity() const {
  base::MutexLock lock(&mu_);
  return capacity_;
}

}  // namespace tocsin::tsdb
