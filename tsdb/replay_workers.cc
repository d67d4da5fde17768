#include "tsdb/replay_workers.h"

#include <algorithm>
#include <utility>

#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {

ReplayWorkers::ReplayWorkers(const SeriesTable* table, const CutPolicy& policy, bool gaps, bool start_times, int threads)
    : table_(table), policy_(policy), gaps_(gaps), start_times_(start_times) {
  for (int i = 0; i < std::max(threads, 1); ++i) {
    workers_.push_back(std::make_unique<Worker>());
    Worker* w = workers_.back().get();
    w->thread = std::thread([this, w] { Run(w); });
  }
}

ReplayWorkers::~ReplayWorkers() {
  for (const auto& w : workers_) {
    {
      base::MutexLock lock(&w->mu);
      w->stop = true;
      w->changed.NotifyAll();
    }
    w->thread.join();
  }
}

void ReplayWorkers::Add(Slot slot, model::Timestamp t, double v, model::Timestamp start) {
  Worker& w = WorkerOf(slot);
  if (!w.filling.histograms.empty() || w.filling.floats.size() == kBatchSamples) Hand(&w);
  w.filling.floats.push_back({slot, t, v});
  if (start == 0) [[likely]] return;
  w.filling.starts.resize(w.filling.floats.size());
  w.filling.starts.back() = start;
}

void ReplayWorkers::Add(Slot slot, model::Timestamp t, model::HistogramPtr histogram, model::Timestamp start) {
  Worker& w = WorkerOf(slot);
  if (w.filling.histograms.size() == kBatchSamples) Hand(&w);
  w.filling.histograms.push_back({slot, t, std::move(histogram), start});
}

void ReplayWorkers::Hand(Worker* w) {
  base::MutexLock lock(&w->mu);
  while (w->queue.size() >= kMaxQueued) w->changed.Wait(&w->mu);
  w->queue.push_back(std::move(w->filling));
  w->filling = {};
  if (!w->spare.empty()) {
    w->filling = std::move(w->spare.back());
    w->spare.pop_back();
  } else {
    w->filling.floats.reserve(kBatchSamples);
  }
  w->changed.NotifyAll();
}

void ReplayWorkers::Drain() {
  for (const auto& w : workers_) {
    if (!w->filling.floats.empty() || !w->filling.histograms.empty()) Hand(w.get());
  }
  for (const auto& w : workers_) {
    base::MutexLock lock(&w->mu);
    while (!w->queue.empty() || w->busy) w->changed.Wait(&w->mu);
  }
}

ReplayWorkers::Totals ReplayWorkers::Take() {
  Totals all;
  for (const auto& w : workers_) {
    base::MutexLock lock(&w->mu);
    const Totals t = std::exchange(w->totals, {});
    all.samples += t.samples;
    all.late += t.late;
    all.chunks += t.chunks;
    all.stale += t.stale;
    all.mint = std::min(all.mint, t.mint);
    all.maxt = std::max(all.maxt, t.maxt);
    all.sealed.insert(all.sealed.end(), t.sealed.begin(), t.sealed.end());
    all.filled.insert(all.filled.end(), t.filled.begin(), t.filled.end());
  }
  return all;
}

void ReplayWorkers::Run(Worker* w) {
  for (;;) {
    Batch batch;
    {
      base::MutexLock lock(&w->mu);
      while (w->queue.empty() && !w->stop) w->changed.Wait(&w->mu);
      if (w->queue.empty()) return;
      batch = std::move(w->queue.front());
      w->queue.pop_front();
      w->busy = true;
      w->changed.NotifyAll();
    }
    Apply(batch, &w->totals);
    batch.floats.clear();
    batch.starts.clear();
    batch.histograms.clear();
    base::MutexLock lock(&w->mu);
    w->busy = false;
    w->spare.push_back(std::move(batch));
    w->changed.NotifyAll();
  }
}

namespace {

// A sample that is not after the series' last one: it was lost with a damaged chunk if no chunk has its time.
bool IsInGap(const SeriesPage& page, uint32_t at, model::Timestamp t) {
  const std::span<const SealedChunk> sealed = page.sealed_of(at);
  return !sealed.empty() && t <= sealed.back().maxt() &&
         std::none_of(sealed.begin(), sealed.end(), [t](const SealedChunk& c) { return c.mint <= t && t <= c.maxt(); });
}

}  // namespace

void ReplayWorkers::Apply(const Batch& batch, Totals* totals) const {
  PageCursor cursor(*table_);
  const auto note = [&](Slot slot, model::Timestamp t, const AppendEffect& effect) {
    ++totals->samples;
    totals->chunks += effect.chunk_created;
    totals->stale += effect.stale_change;
    if (effect.sealed) [[unlikely]] totals->sealed.push_back(slot);
    totals->mint = std::min(totals->mint, t);
    totals->maxt = std::max(totals->maxt, t);
  };
  const bool gaps = gaps_.load(std::memory_order_relaxed);
  const auto fill_gap = [&](SeriesPage* page, uint32_t at, Slot slot, const LateSample& sample, model::Timestamp start) {
    if (!IsInGap(*page, at, sample.t) || !InsertLate(page, at, sample, start)) return;
    ++totals->late;
    if (totals->filled.empty() || totals->filled.back() != slot) totals->filled.push_back(slot);
    totals->mint = std::min(totals->mint, sample.t);
  };
  const std::span<const Sample> floats = batch.floats;
  for (size_t i = 0; i < floats.size(); ++i) {
    const Sample& s = floats[i];
    SeriesPage* page = cursor.MoveTo(s.slot);
    if (i + 2 * kPrefetchAhead < floats.size()) {
      PrefetchOpen(*page, s.slot, floats[i + kPrefetchAhead].slot, floats[i + 2 * kPrefetchAhead].slot);
    }
    const uint32_t at = SeriesTable::At(s.slot);
    const AppendEffect effect = AppendFloat(page, at, s.t, s.v, policy_);
    if (effect.appended) [[likely]] {
      note(s.slot, s.t, effect);
      if (start_times_) [[unlikely]] NoteStart(page, at, i < batch.starts.size() ? batch.starts[i] : 0);
    } else if (gaps) {
      fill_gap(page, at, s.slot, {s.t, s.v, nullptr}, i < batch.starts.size() ? batch.starts[i] : 0);
    }
  }
  for (const HistogramSample& h : batch.histograms) {
    SeriesPage* page = cursor.MoveTo(h.slot);
    const uint32_t at = SeriesTable::At(h.slot);
    const AppendEffect effect = AppendHistogram(page, at, h.t, h.histogram, policy_);
    if (effect.appended) {
      note(h.slot, h.t, effect);
      if (start_times_) NoteStart(page, at, h.start);
    } else if (gaps) {
      fill_gap(page, at, h.slot, {h.t, h.histogram->sum, h.histogram}, h.start);
    }
  }
}

}  // namespace tocsin::tsdb
