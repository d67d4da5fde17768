#pragma once

// What some sets of series can do beyond a SeriesSet: tell the order in which their series lie in memory, so
// that large reads of newest samples can be cut where neighbours stay together.
//
//   if (const auto* order = dynamic_cast<const storage::ReadingOrder*>(set)) order->ReadLastOf(...);
//
// Threads: as SeriesSet.

#include <cstdint>
#include <span>

#include "storage/queryable.h"

namespace tocsin::storage {

class ReadingOrder {
 public:
  virtual ~ReadingOrder() = default;
  // All series of the set; empty: their own order is the one.  Lives as long as the set.
  virtual std::span<const uint32_t> reading_order() const = 0;
  // As ReadLast(), of the series `series`, one after another: a part of reading_order() costs least.
  virtual base::Status ReadLastOf(std::span<const uint32_t> series, Window window, LastColumns* out) const = 0;
};

}  // namespace tocsin::storage
