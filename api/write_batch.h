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

// A series' key in the cache, and how many bytes at the start of its message its labels are; 0 when they
// do not stand together there.
struct SeriesKey {
  base::Hash128 hash;
  size_t label_bytes = 0;
};

class WriteBatch;

// What a protocol knows of the bodies of requests and the messages of series in them.
class WriteProtocol {
 public:
  virtual ~WriteProtocol() = default;
  // Puts what a body has into the batch.  Errors: those of the storage, and protozero::exception for what is no
  // protobuf: nothing may be stored then, since a body that ends in the middle says nothing about its beginning.
  virtual base::Status Take(std::string_view body, WriteBatch* batch) = 0;
  // The labels borrow the message or what the request has.  Errors: malformed.
  virtual base::Status ReadLabels(std::string_view message, std::vector<model::Label>* labels) const = 0;
  virtual SeriesKey KeyOf(std::string_view message) const = 0;
};

class WriteBatch {
 public:
  // `latest`: samples after it are refused.  `messages` and the body outlive the batch.
  WriteBatch(storage::Appendable* storage, SeriesCache* cache, model::Timestamp latest,
             const WriteProtocol* messages)
      : appender_(storage->NewAppender()), cursor_(cache), latest_(latest), messages_(messages) {}

  // About how many series the request has.
  void Reserve(size_t series);

  // The samples that follow are of the series of this message.  False: its labels are invalid
  // (counted), leave it out.  Errors: malformed, or the storage's.
  base::Result<bool> BeginSeries(std::string_view message, const SeriesKey& key);

  // The series that followed the last one in an earlier request: how many bytes its labels have (0:
  // there is none, or it is not known) and the hash of its key.  For a message that begins with labels
  // of this hash BeginExpected() stands for BeginSeries().
  size_t expected_bytes() const { return cursor_.expected_bytes(); }
  const base::Hash128& expected_key() const { return cursor_.expected_key(); }
  void BeginExpected(std::string_view message);

  // `start`: when what the sample counts began; 0: not known.
  void Add(model::Timestamp t, double v, model::Timestamp start = 0);
  void Add(model::Timestamp t, model::Histogram h, model::Timestamp start = 0);
  void Add(const model::Exemplar& exemplar);
  void SetMetadata(const model::Metadata& metadata);

  // Stores what is good; stable once the ticket is.  Errors: the storage's; nothing is stored then.
  base::Result<storage::SyncTicket> Commit();

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
    std::string_view message;
    size_t first_sample = 0;
  };

  // kInvalidArgument: the labels are invalid.
  base::Result<storage::SeriesRef> Resolve(std::string_view message, const SeriesKey& key);
  base::Status RetryUnknown();
  void Append(std::span<const storage::FloatSample> samples, std::span<const model::Timestamp> starts,
              std::span<storage::AppendOutcome> outcomes);
  base::Status AppendFloats();
  void Judge(storage::AppendOutcome outcome, model::Timestamp t);

  std::unique_ptr<storage::Appender> appender_;
  SeriesCache::Cursor cursor_;
  const model::Timestamp latest_;
  const WriteProtocol* const messages_;
  storage::SeriesRef ref_ = 0;  // of the series being taken
  base::Status failed_;         // of the storage, when a series was to be made again
  std::vector<Begun> begun_;
  std::vector<storage::FloatSample> floats_;
  std::vector<model::Timestamp> starts_;  // of the floats, up to the last that has one
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
