#pragma once

// What became of the set of series since a generation: how standing queries keep their selections
// without resolving them again.  Pulled by the consumer at the start of each evaluation.

#include <cstdint>
#include <optional>
#include <vector>

#include "model/labels.h"
#include "storage/appender.h"

namespace tocsin::storage {

struct SeriesChanges {
  uint64_t generation = 0;  // ask with this the next time
  struct Created {
    SeriesRef ref;
    model::Labels labels;
  };
  std::vector<Created> created;
  std::vector<SeriesRef> deleted;
};

class ChangeSource {
 public:
  virtual ~ChangeSource() = default;
  // The generation now.
  virtual uint64_t Generation() const = 0;
  // nullopt: too old (the stream is bounded), resolve again.
  virtual std::optional<SeriesChanges> ChangesSince(uint64_t generation) const = 0;
};

}  // namespace tocsin::storage
