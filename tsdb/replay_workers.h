#pragma once

// Appends what the log has, on threads of its own, while another reads on.  A series belongs to one thread, so its
// samples keep their order and the result does not depend on the number of threads.
//
// Threads: one that adds; the work is done on `threads` others.  Series may be made meanwhile.
// Bounds:  a few batches of samples for each thread; whoever adds waits when they are full.

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "model/histogram.h"
#include "model/sample.h"
#include "tsdb/series_table.h"

namespace tocsin::tsdb {

class ReplayWorkers {
 public:
  struct Sample {
    Slot slot;
    model::Timestamp t;
    double v;
  };
  struct HistogramSample {
    Slot slot;
    model::Timestamp t;
    model::HistogramPtr histogram;
    model::Timestamp start;  // 0: not known
  };
  struct Totals {
    uint64_t samples = 0;
    uint64_t late = 0;  // put beside the chunks, since a damaged one had their time
    int64_t chunks = 0;
    int64_t stale = 0;
    model::Timestamp mint = model::kMaxTimestamp, maxt = model::kMinTimestamp;
    std::vector<Slot> sealed;  // with chunks to be written
    std::vector<Slot> filled;  // with samples beside the chunks, which only the log has
  };

  // `gaps`: chunks may be missing before others of their series.
  // `start_times`: whether samples may have some.
  ReplayWorkers(const SeriesTable* table, const CutPolicy& policy, bool gaps, bool start_times, int threads);
  ~ReplayWorkers();
  ReplayWorkers(const ReplayWorkers&) = delete;
  ReplayWorkers& operator=(const ReplayWorkers&) = delete;

  // `start`: when what the sample counts began; 0: not known.
  void Add(Slot slot, model::Timestamp t, double v, model::Timestamp start);
  void Add(Slot slot, model::Timestamp t, model::HistogramPtr histogram, model::Timestamp start);
  // Chunks may be missing from now on.
  void LookForGaps() { gaps_.store(true, std::memory_order_relaxed); }
  // Returns when all that was added is in the chunks.
  void Drain();
  // What was done since the last call.  REQUIRES: drained.
  Totals Take();

 private:
  struct Batch {
    std::vector<Sample> floats;
    std::vector<model::Timestamp> starts;  // of the floats, up to the last that has one
    std::vector<HistogramSample> histograms;  // after the floats
  };
  struct Worker {
    Batch filling;  // of the thread that adds
    base::Mutex mu;
    base::CondVar changed;
    std::deque<Batch> queue TOCSIN_GUARDED_BY(mu);
    std::vector<Batch> spare TOCSIN_GUARDED_BY(mu);
    bool busy TOCSIN_GUARDED_BY(mu) = false;
    bool stop TOCSIN_GUARDED_BY(mu) = false;
    Totals totals;  // of the worker while it is busy
    std::thread thread;
  };
  static constexpr size_t kBatchSamples = 4096;
  static constexpr size_t kMaxQueued = 8;

  Worker& WorkerOf(Slot slot) { return *workers_[slot / SeriesPage::kSlots % workers_.size()]; }
  void Hand(Worker* worker);
  void Run(Worker* worker);
  void Apply(const Batch& batch, Totals* totals) const;

  const SeriesTable* const table_;
  const CutPolicy policy_;
  std::atomic<bool> gaps_;
  const bool start_times_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace tocsin::tsdb
