// The tables of /api/v1/status/tsdb.

#include <algorithm>
#include <functional>

#include "tsdb/head.h"

namespace tocsin::tsdb {
namespace {

// Keeps the largest rows.
class Top {
 public:
  explicit Top(size_t n) : n_(n) {}
  void Add(std::string_view name, uint64_t value) {
    if (rows_.size() == n_ && (n_ == 0 || value < rows_.front().value)) return;
    rows_.push_back({std::string(name), value});
    std::push_heap(rows_.begin(), rows_.end(), After);
    if (rows_.size() > n_) {
      std::pop_heap(rows_.begin(), rows_.end(), After);
      rows_.pop_back();
    }
  }
  std::vector<HeadStats::Row> Take() {
    std::sort(rows_.begin(), rows_.end(), After);
    return std::move(rows_);
  }

 private:
  static bool After(const HeadStats::Row& a, const HeadStats::Row& b) {
    return a.value != b.value ? a.value > b.value : a.name < b.name;
  }
  size_t n_;
  std::vector<HeadStats::Row> rows_;
};

}  // namespace

HeadStats Head::Stats(size_t top) const {
  HeadStats out;
  out.series = series();
  out.chunks = chunks();
  out.min_time = min_time();
  out.max_time = max_time();
  Top metrics(top), values(top), memory(top), pairs(top);
  base::ReaderLock lock(&index_mu_);
  out.label_pairs = postings_.pairs();
  for (const std::string_view name : postings_.Names()) {
    uint64_t count = 0, bytes = 0;
    postings_.ForEachValue(name, [&](std::string_view value, uint32_t n) {
      ++count;
      bytes += value.size() * n;
      std::string pair(name);
      pair.append("=").append(value);
      pairs.Add(pair, n);
      if (name == model::kMetricName) metrics.Add(value, n);
    });
    values.Add(name, count);
    memory.Add(name, bytes);
  }
  out.series_by_metric_name = metrics.Take();
  out.values_by_label_name = values.Take();
  out.memory_by_label_name = memory.Take();
  out.series_by_label_pair = pairs.Take();
  return out;
}

}  // namespace tocsin::tsdb
