#pragma once

// Series in memory behind storage::Queryable, for test scripts: small, simple, no limits.
//
// Threads: one writes, then any number read.

#include <map>
#include <memory>
#include <vector>

#include "model/labels.h"
#include "storage/queryable.h"

namespace tocsin::promqltest {

class MemoryStorage : public storage::Queryable {
 public:
  void Clear() { series_.clear(); }

  // Samples of a series come in order of time.  An equal repeat is dropped.
  // Errors: kInvalidArgument.
  base::Status Append(const model::Labels& labels, model::Timestamp t, double v,
                      model::HistogramPtr h, model::Timestamp start = 0);

  std::unique_ptr<storage::Querier> NewQuerier(storage::Window window) override;

  struct Sample {
    model::Timestamp t = 0;
    double v = 0;           // of a histogram: its sum
    model::HistogramPtr h;  // null: a float
    model::Timestamp start = 0;
  };

 private:
  std::map<model::Labels, std::vector<Sample>> series_;
};

}  // namespace tocsin::promqltest
