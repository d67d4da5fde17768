#pragma once

// One remote-write request on its way into an Appender.  Internal to api/.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/series_cache.h"
#include "model/exemplar.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "storage/appender.h"

namespace tocsin::api {

class WriteBatch {
 public:
  // Reads the labels of a series' message when the series is not known.  Errors: malformed.
  // The labels borrow the message or what `context` points to.
  using ReadLabels = base::Status (*)(std::string_view message, const void* context,
                                      std::vector<model::Label>* labels);

  // `latest`: samples after it are refused.  `context` outlives the batch.
  WriteBatch(storage::Appendable* storage, SeriesCache* cache, model::Timestamp latest,
             ReadLabels read, const void* context)
      : appender_(storage->NewAppender()),
        cache_(cache),
        latest_(latest),
        read_(read),
        context_(context) {}

  // The series of the request, all of them, before the first is begun.
  struct Incoming {
    std::string_view message;  // outlives the batch
    std::string_view samples;  // the part of it behind the labels
    base::Hash128 key;
  };
  void Expect(std::vector<Incoming> series);

  // The samples that follow are of the series that was expected as number `i`.  False: its labels are
  // invalid (counted), leave it out.  Errors: malformed, or the storage's.
  base::Result<bool> BeginSeries(size_t i);
  void Add(model::Timestamp t, double v);
  void Add(model::Timestamp t, model::Histogram h);
  void Add(const model::Exemplar& exemplar);
  void SetMetadata(const model::Metadata& metadata);

  // Stores what is good.  Errors: the storage's; nothing is stored then.
  base::Status Commit();

  size_t samples() const { return samples_; }
  size_t histograms() const { return histograms_; }
  size_t exemplars() const { return exemplars_; }
  size_t invalid_series() const { return invalid_series_; }
  // Whether nothing but labels was wrong.
  bool only_invalid_labels() const { return problem_count_ == invalid_series_; }
  // What was wrong with series and samples: the first few, a line each; empty if nothing was.
  const std::string& problems() const { return problems_; }
  void AddProblem(std::string_view text);

 private:
  // A series whose samples are taken, and where they begin.
  struct Begun {
    size_t series = 0;
    size_t first_sample = 0;
  };

  // kInvalidArgument: the labels are invalid.
  base::Result<storage::SeriesRef> Resolve(const Incoming& series);
  void RetryUnknown();
  void AppendFloats();
  void Judge(storage::AppendOutcome outcome, model::Timestamp t);

  std::unique_ptr<storage::Appender> appender_;
  SeriesCache* const cache_;
  const model::Timestamp latest_;
  const ReadLabels read_;
  const void* const context_;
  storage::SeriesRef ref_ = 0;  // of the series being taken
  std::vector<Incoming> series_;
  std::vector<storage::SeriesRef> refs_;  // of series_; 0: not known
  std::vector<Begun> begun_;
  std::vector<storage::FloatSample> floats_;
  std::vector<storage::AppendOutcome> outcomes_;
  std::vector<model::Label> labels_;  // kept between series

  size_t samples_ = 0;
  size_t histograms_ = 0;
  size_t exemplars_ = 0;
  size_t invalid_series_ = 0;
  size_t problem_count_ = 0;
  std::string problems_;
};

}  // namespace tocsin::api
