#pragma once

// The series that a rule writes: their labels and references, and which of them the last evaluation wrote.
//
//   series.Begin();
//   const uint32_t n = series.Find(labels);            // once; then the number is remembered
//   if (!series.Put(n, value, nullptr)) return Repeated();
//   RETURN_IF_ERROR(series.AppendTo(appender, t));     // the values, and markers for series that ended
//
// Threads: touched by whoever holds the group.
// Cost:    Find() hashes the labels; the rest of an evaluation touches one entry a sample, and all
//          entries only when one of them ended.

#include <cstdint>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "base/result.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "storage/appender.h"

namespace tocsin::ruler {

class WrittenSeries {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Numbers that were found are good as long as this is the same.
  uint64_t epoch() const { return epoch_; }

  // An evaluation begins; what an earlier one put and did not append is forgotten.
  void Begin();
  // The number of the series with these labels, made if there is none.
  uint32_t Find(const model::Labels& labels);
  // False: this evaluation has put a value there already.
  bool Put(uint32_t number, double v, model::HistogramPtr h);
  size_t put() const { return points_.size(); }
  // Whether AppendTo() has anything to append.
  bool any_change() const { return !points_.empty() || active_ > 0; }

  // Puts the evaluation's values into a batch, and stale markers for what the last one wrote and this one
  // did not.  Errors: the last sample that was refused, by name; the others are in the batch.
  base::Status AppendTo(storage::Appender* appender, model::Timestamp t);

  // Adds a stale marker for everything that was written last, and forgets it.
  void EndAll(model::Timestamp t, std::vector<storage::FloatSample>* batch);

 private:
  struct Series {
    model::Labels labels;
    storage::SeriesRef ref = 0;
    uint64_t put_in = 0;  // the last evaluation that put a value
    bool active = false;  // the last evaluation that was appended has it
  };
  struct Point {
    uint32_t series;
    double v;
    model::HistogramPtr h;
  };

  base::Status AppendFloats(storage::Appender* appender);
  // Forgets series that are long gone.
  void Compact();

  uint64_t epoch_ = 1;
  uint64_t evaluation_ = 0;
  std::vector<Series> series_;
  absl::flat_hash_map<model::Labels, uint32_t, model::LabelsHash, model::LabelsEqual> by_labels_;
  size_t active_ = 0;
  // Of the evaluation.
  std::vector<Point> points_;
  size_t continued_ = 0;  // points of active series
  std::vector<storage::FloatSample> batch_;
  std::vector<uint32_t> batch_series_;
  std::vector<storage::AppendOutcome> outcomes_;
};

}  // namespace tocsin::ruler
