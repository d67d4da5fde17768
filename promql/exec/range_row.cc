#include "promql/exec/range_row.h"

#include <algorithm>
#include <bit>

#include "promql/exec/histogram_math.h"

namespace tocsin::promql::exec {
namespace {

bool AnyStale(const double* v, size_t n) {
  uint64_t found = 0;
  for (size_t i = 0; i < n; ++i) {
    found |= static_cast<uint64_t>(std::bit_cast<uint64_t>(v[i]) == model::kStaleBits);
  }
  return found != 0;
}

}  // namespace

const RangeRow& RowSplitter::Split(const storage::SampleColumns& columns, size_t i) {
  const size_t first = columns.offsets[i];
  const size_t last = columns.offsets[i + 1];
  const model::Timestamp* t = columns.times.data();
  const double* v = columns.values.data();
  row_ = {};
  auto h = std::lower_bound(columns.histogram_at.begin(), columns.histogram_at.end(), first);
  const bool histograms = h != columns.histogram_at.end() && *h < last;
  const bool starts = !columns.start_times.empty();
  if (!histograms && !AnyStale(v + first, last - first)) {
    row_.times = t + first;
    row_.values = v + first;
    row_.starts = starts ? columns.start_times.data() + first : nullptr;
    row_.count = last - first;
    return row_;
  }
  Clear();
  for (size_t s = first; s < last; ++s) {
    const bool is_histogram = h != columns.histogram_at.end() && *h == s;
    if (is_histogram) {
      const model::HistogramPtr& histogram =
          columns.histograms[static_cast<size_t>(h - columns.histogram_at.begin())];
      ++h;
      if (histogram->IsStale()) continue;
      histogram_times_.push_back(t[s]);
      histograms_.push_back(histogram);
      if (starts) histogram_starts_.push_back(columns.start_times[s]);
    } else if (!model::IsStale(v[s])) {
      times_.push_back(t[s]);
      values_.push_back(v[s]);
      if (starts) starts_.push_back(columns.start_times[s]);
    }
  }
  row_.times = times_.data();
  row_.values = values_.data();
  row_.count = times_.size();
  row_.starts = starts ? starts_.data() : nullptr;
  row_.histogram_starts = starts ? histogram_starts_.data() : nullptr;
  row_.histogram_times = histogram_times_.data();
  row_.histograms = histograms_.data();
  row_.histogram_count = histograms_.size();
  return row_;
}

void RowSplitter::Clear() {
  row_ = {};
  times_.clear();
  values_.clear();
  histogram_times_.clear();
  histograms_.clear();
  starts_.clear();
  histogram_starts_.clear();
}

void ReduceToStats(storage::SampleColumns* columns) {
  size_t h = 0;
  for (size_t i = 0; i + 1 < columns->offsets.size(); ++i) {
    model::HistogramPtr before;
    for (; h < columns->histogram_at.size() && columns->histogram_at[h] < columns->offsets[i + 1];
         ++h) {
      model::HistogramPtr whole = columns->histograms[h];
      if (whole->IsStale()) continue;
      columns->histograms[h] = StatsOnly(*whole, before.get());
      before = std::move(whole);
    }
  }
}

const model::HistogramPtr* FindHistogram(const storage::SampleColumns& columns, size_t at) {
  auto h = std::lower_bound(columns.histogram_at.begin(), columns.histogram_at.end(), at);
  if (h == columns.histogram_at.end() || *h != at) return nullptr;
  return &columns.histograms[static_cast<size_t>(h - columns.histogram_at.begin())];
}

}  // namespace tocsin::promql::exec
