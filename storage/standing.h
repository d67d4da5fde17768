#pragma once

// Selections that are kept: matchers resolved once, the set of series held up to date from the stream
// of changes, and read again at each evaluation without looking for anything.
//
//   std::unique_ptr<StandingReader> reader = queryable->standing()->NewReader();   // kept with the query
//   KeptSeries* up = reader->Keep(matchers);
//   ...                                             // at each evaluation:
//   if (!reader->Enter(window)) return AdHoc();     // the window reaches where the reader cannot look
//   if (up->version() != seen) MakeTablesAnew();    // labels() of an earlier version are gone
//   RETURN_IF_ERROR(up->ReadLast(0, up->size(), window, &columns));
//   reader->Leave();
//
// A kept set has every series that matches, whether it has samples in the window or not.  Between Enter()
// and Leave() readers see one state of the store, and sets do not change.
//
// Threads: a StandingSource is used from any; a reader and its sets belong to one thread at a time, but
//          several threads may read disjoint ranges of a set at once.
// Cost:    Enter() a few locks when no series came or went since the last; else the changes are looked
//          at once for all readers of the source, and a set is made anew only if one of its series
//          came or went.

#include <memory>

#include "model/matcher.h"
#include "storage/queryable.h"

namespace tocsin::storage {

class KeptSeries : public SeriesSet {
 public:
  // Raised when the set of series changes.  Valid from Enter() on.
  virtual uint64_t version() const = 0;
};

class StandingReader {
 public:
  virtual ~StandingReader() = default;

  // The series that match, sorted by labels.  Empty until Enter().  Lives as long as the reader.
  virtual KeptSeries* Keep(const model::Matchers& matchers) = 0;

  // Begins an evaluation that reads samples of the window only.  False: these are not all where the
  // reader looks (some are in blocks); read with an ordinary Querier this time.
  virtual bool Enter(Window window) = 0;
  // Ends it, so that memory that was held for it may go.  REQUIRES: Enter() gave true.
  virtual void Leave() = 0;
};

class StandingSource {
 public:
  virtual ~StandingSource() = default;
  // The source outlives its readers.
  virtual std::unique_ptr<StandingReader> NewReader() = 0;
};

}  // namespace tocsin::storage
