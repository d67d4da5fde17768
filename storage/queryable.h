#pragma once

// How samples are read: a Querier sees one consistent state; Select() finds series; samples come as
// decoded columns, many at a time.
//
//   std::unique_ptr<storage::Querier> q = db->NewQuerier(after, upto);
//   ASSIGN_OR_RETURN(auto set, q->Select({.after = t - 300'000, .upto = t}, matchers));
//   storage::SampleColumns columns;
//   RETURN_IF_ERROR(set->Read(0, set->size(), {t - 300'000, t}, &columns));
//   for (size_t i = 0; i < set->size(); ++i) Use(set->labels(i), columns.times_of(i), columns.values_of(i));
//
// Windows are (after, upto], as in PromQL.
// Threads: a Querier may be used from many threads at once; a SeriesSet's readers too.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/exemplar.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/sample.h"

namespace tocsin::storage {

// Samples with after < t <= upto.
struct Window {
  model::Timestamp after = model::kMinTimestamp;
  model::Timestamp upto = model::kMaxTimestamp;
};

// Samples of several series, one after another.  Buffers are kept between uses.
struct SampleColumns {
  std::vector<model::Timestamp> times;  // ascending within a series
  std::vector<double> values;           // of a histogram sample: its sum (a stale marker keeps its bits)
  std::vector<uint32_t> offsets;        // series i is [offsets[i], offsets[i + 1])

  // Histogram samples by index into times, ascending; empty when there are none.
  std::vector<uint32_t> histogram_at;
  std::vector<model::HistogramPtr> histograms;

  // When what each sample counts began, in ms; 0: not known.  Empty when storage keeps none.
  std::vector<model::Timestamp> start_times;

  void Clear() {
    times.clear();
    values.clear();
    offsets.clear();
    histogram_at.clear();
    histograms.clear();
    start_times.clear();
  }
  size_t capacity() const { return times.capacity(); }
  // Of the sample that was appended last.
  void AddStartTime(model::Timestamp start) {
    if (start == 0 && start_times.empty()) return;
    start_times.resize(times.size());
    start_times.back() = start;
  }
  // After samples without start times were appended.
  void PadStartTimes() {
    if (!start_times.empty()) start_times.resize(times.size());
  }
  size_t series() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  std::span<const model::Timestamp> times_of(size_t i) const {
    return std::span(times).subspan(offsets[i], offsets[i + 1] - offsets[i]);
  }
  std::span<const double> values_of(size_t i) const {
    return std::span(values).subspan(offsets[i], offsets[i + 1] - offsets[i]);
  }
};

// The newest sample of each of several series.
struct LastColumns {
  std::vector<model::Timestamp> times;  // kMinTimestamp: none in the window
  std::vector<double> values;
  std::vector<model::HistogramPtr> histograms;  // empty, or one (or null) a series

  void Clear() {
    times.clear();
    values.clear();
    histograms.clear();
  }
  size_t capacity() const { return times.capacity(); }
};

// The series that a selection matched, sorted by labels, for random access.
class SeriesSet {
 public:
  virtual ~SeriesSet() = default;
  virtual size_t size() const = 0;
  // Lives as long as the Querier.
  virtual model::LabelsView labels(size_t i) const = 0;

  // Decodes the samples of series [first, first + count) in the window into `out` (cleared first;
  // offsets has count + 1 entries).  REQUIRES: the window lies in the selection's.
  virtual base::Status Read(size_t first, size_t count, Window window, SampleColumns* out) const = 0;

  // A store that keeps late samples beside the others has them as a layer of its own.  Read() merges the layers; a
  // merge of stores reads each as a store, so that a time that stands in several is chosen among all of them alike.
  virtual size_t layers() const { return 1; }
  // REQUIRES: layer < layers().
  virtual base::Status ReadLayer(size_t layer, size_t first, size_t count, Window window, SampleColumns* out) const;

  // The newest sample in the window of each series of [first, first + count); stale markers count as
  // samples.  Cost: one sequential walk where the last sample is inside the window.
  virtual base::Status ReadLast(size_t first, size_t count, Window window, LastColumns* out) const = 0;
};

struct SelectHints {
  Window window;         // samples outside are never read
  size_t limit = 0;      // of series; 0: none
  bool sorted = true;    // whether the caller needs label order
};

struct LabelQuery {
  Window window;
  size_t limit = 0;  // 0: none
};

class Querier {
 public:
  virtual ~Querier() = default;
  virtual base::Result<std::unique_ptr<SeriesSet>> Select(const SelectHints& hints,
                                                          std::span<const model::Matcher> matchers) = 0;
  // Sorted, each once; of the series that match (all when empty).
  virtual base::Result<std::vector<std::string>> LabelNames(
      const LabelQuery& query, std::span<const model::Matcher> matchers) = 0;
  virtual base::Result<std::vector<std::string>> LabelValues(
      std::string_view name, const LabelQuery& query, std::span<const model::Matcher> matchers) = 0;
};

struct ExemplarSeries {
  model::Labels labels;
  std::vector<model::Exemplar> exemplars;  // by time
};

class StandingSource;

class Queryable {
 public:
  virtual ~Queryable() = default;
  // A view of what is visible now.  It holds memory: keep it for one query.
  virtual std::unique_ptr<Querier> NewQuerier(Window window) = 0;
  // For queries that are kept (storage/standing.h); null: this store has no such reader.
  virtual StandingSource* standing() { return nullptr; }
  // Exemplars of series that match any of the sets.
  virtual base::Result<std::vector<ExemplarSeries>> SelectExemplars(
      Window window, std::span<const model::Matchers> any_of);
};

}  // namespace tocsin::storage
