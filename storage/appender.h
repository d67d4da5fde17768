#pragma once

// How samples are written.  An Appender takes one batch: a scrape, a remote-write request, the
// results of one rule.  After Commit() the batch is visible as a whole; before, and after
// Rollback(), not at all.
//
//   std::unique_ptr<storage::Appender> app = head->NewAppender();
//   ASSIGN_OR_RETURN(storage::SeriesRef ref, app->Resolve(labels));     // once, then remembered
//   app->Append(samples, outcomes);
//   RETURN_IF_ERROR(app->Commit());
//
// Threads: an Appender belongs to one thread at a time; many may be open at once.

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/result.h"
#include "model/exemplar.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "model/sample.h"

namespace tocsin::storage {

// A series for writers: never reused while the data directory lives; 0 is none.
using SeriesRef = uint64_t;

enum class AppendOutcome : uint8_t {
  kOk,                  // also an exact repeat of the last sample
  kUnknownSeries,       // the reference is gone: Resolve() again
  kOutOfOrder,          // older than the series' last sample
  kDuplicateTimestamp,  // the last sample's time with another value
  kOutOfBounds,         // older than what the head still takes
  kTooOld,              // outside the out-of-order window
  kTooFarInFuture,
  kInvalidHistogram,
};

struct FloatSample {
  SeriesRef ref = 0;
  model::Timestamp t = 0;
  double v = 0;
};

// Whether Commit() returns once the log is written, or once it is on stable storage.
enum class Durability { kWritten, kSynced };

// What to wait for so that a batch is on stable storage; 0: nothing.  A greater one is later in the log.
using SyncTicket = uint64_t;

class Appender {
 public:
  virtual ~Appender() = default;  // an open batch is rolled back

  // The series with these labels, made if there is none.  REQUIRES: valid, non-empty labels.
  // Errors: kInvalidArgument (no labels), kResourceExhausted (a limit).  Hashes the labels.
  virtual base::Result<SeriesRef> Resolve(model::LabelsView labels) = 0;

  // Takes each sample that is acceptable and says of each what became of it.
  // REQUIRES: outcomes.size() == samples.size().
  virtual void Append(std::span<const FloatSample> samples, std::span<AppendOutcome> outcomes) = 0;
  virtual AppendOutcome AppendHistogram(SeriesRef ref, model::Timestamp t, model::HistogramPtr h) = 0;

  // The same, and when what each sample counts began (ms; 0: not known).  Where storage keeps no start times they are
  // dropped.  REQUIRES: starts.size() == samples.size().
  virtual void AppendStarted(std::span<const FloatSample> samples, std::span<const model::Timestamp> starts,
                             std::span<AppendOutcome> outcomes);
  virtual AppendOutcome AppendStartedHistogram(SeriesRef ref, model::Timestamp t, model::Timestamp start,
                                               model::HistogramPtr h);

  virtual AppendOutcome AppendExemplar(SeriesRef ref, const model::Exemplar& exemplar) = 0;
  virtual void UpdateMetadata(SeriesRef ref, const model::Metadata& metadata) = 0;

  // While on, samples older than their series' last one are kOutOfOrder even inside an out-of-order
  // window: a late stale marker must not end up amid a series that goes on.
  virtual void SetInOrderOnly(bool) {}

  // Writes the batch to the log, then makes it visible; with kSynced returns only when it is on
  // stable storage.  Errors: kResourceExhausted (disk full), kUnavailable: nothing is visible; when
  // only the log of late samples failed, what came in order is.  Sending all of it again is safe.
  virtual base::Status Commit(Durability durability = Durability::kWritten) = 0;
  virtual void Rollback() = 0;

  // Of the last Commit(kWritten).
  virtual SyncTicket ticket() const { return 0; }
};

inline void Appender::AppendStarted(std::span<const FloatSample> samples, std::span<const model::Timestamp>,
                                    std::span<AppendOutcome> outcomes) {
  Append(samples, outcomes);
}
inline AppendOutcome Appender::AppendStartedHistogram(SeriesRef ref, model::Timestamp t, model::Timestamp,
                                                      model::HistogramPtr h) {
  return AppendHistogram(ref, t, std::move(h));
}

class Appendable {
 public:
  virtual ~Appendable() = default;
  virtual std::unique_ptr<Appender> NewAppender() = 0;

  // Returns when the batch of a ticket is on stable storage, and each one before it; those who wait at
  // the same time wait for one write.  Errors: kUnavailable, this batch may be lost.
  virtual base::Status WaitSynced(SyncTicket) { return {}; }

  // Series gone since the start.  Who remembers many references forgets what is gone when this has risen by as many.
  virtual uint64_t series_gone() const { return 0; }
  // Sets those references to 0 that are of no series any more.
  virtual void ForgetGone(std::span<SeriesRef>) const {}
};

}  // namespace tocsin::storage
