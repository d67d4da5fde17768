// The samples of one series from several places, as one run.

#include <algorithm>
#include <cstring>

#include "storage/merge.h"

namespace tocsin::storage {
namespace {

// A run that is being read.
class Cursor {
 public:
  explicit Cursor(const SampleRun& run)
      : columns_(run.columns),
        at_(run.begin),
        end_(run.end),
        histogram_(static_cast<size_t>(std::lower_bound(columns_->histogram_at.begin(), columns_->histogram_at.end(), run.begin) -
                                       columns_->histogram_at.begin())) {}

  bool done() const { return at_ == end_; }
  model::Timestamp time() const { return columns_->times[at_]; }
  model::Timestamp last() const { return columns_->times[end_ - 1]; }

  void Skip() {
    histogram_ += IsHistogram();
    ++at_;
  }

  // How many samples stand before `bound`, at least one.
  uint32_t CountUntil(model::Timestamp bound) const {
    const model::Timestamp* first = columns_->times.data() + at_;
    const model::Timestamp* last = columns_->times.data() + end_;
    if (first + 1 == last || first[1] >= bound) return 1;  // they take turns
    return std::max<uint32_t>(1, static_cast<uint32_t>(std::lower_bound(first, last, bound) - first));
  }
  uint32_t left() const { return end_ - at_; }
  void Take(uint32_t n, SampleColumns* out) {
    const size_t begin = out->times.size();
    const uint32_t to = at_ + n;
    for (; histogram_ < columns_->histogram_at.size() && columns_->histogram_at[histogram_] < to; ++histogram_) {
      out->histogram_at.push_back(static_cast<uint32_t>(begin + columns_->histogram_at[histogram_] - at_));
      out->histograms.push_back(columns_->histograms[histogram_]);
    }
    out->times.insert(out->times.end(), columns_->times.begin() + at_, columns_->times.begin() + to);
    out->values.resize(begin + n);
    // Copied as bytes: a stale marker keeps its bits.
    if (n > 0) std::memcpy(out->values.data() + begin, columns_->values.data() + at_, n * sizeof(double));
    if (!columns_->start_times.empty()) {
      out->start_times.resize(begin);
      out->start_times.insert(out->start_times.end(), columns_->start_times.begin() + at_, columns_->start_times.begin() + to);
    } else if (!out->start_times.empty()) {
      out->start_times.resize(begin + n);
    }
    at_ = to;
  }

 private:
  bool IsHistogram() const {
    return histogram_ < columns_->histogram_at.size() && columns_->histogram_at[histogram_] == at_;
  }
  const SampleColumns* columns_;
  uint32_t at_, end_;
  size_t histogram_;  // the next in histogram_at
};

// A binary heap by the time of the cursors' next samples.  Its order among equal times is that of Go's
// container/heap, since Prometheus's answers show it: the library's is left open.
class Heap {
 public:
  bool empty() const { return items_.empty(); }
  model::Timestamp time() const { return items_[0]->time(); }
  void Push(Cursor* c) {
    items_.push_back(c);
    for (size_t child = items_.size() - 1; child > 0;) {
      const size_t parent = (child - 1) / 2;
      if (items_[child]->time() >= items_[parent]->time()) break;
      std::swap(items_[child], items_[parent]);
      child = parent;
    }
  }
  Cursor* Pop() {
    std::swap(items_.front(), items_.back());
    Cursor* top = items_.back();
    items_.pop_back();
    for (size_t parent = 0;;) {
      size_t child = 2 * parent + 1;
      if (child >= items_.size()) break;
      if (child + 1 < items_.size() && items_[child + 1]->time() < items_[child]->time()) ++child;
      if (items_[child]->time() >= items_[parent]->time()) break;
      std::swap(items_[child], items_[parent]);
      parent = child;
    }
    return top;
  }

 private:
  std::vector<Cursor*> items_;
};

void Interleave(std::vector<Cursor>* cursors, SampleColumns* out) {
  Heap heap;
  for (Cursor& c : *cursors) heap.Push(&c);
  Cursor* c = heap.Pop();
  for (;;) {
    c->Take(heap.empty() ? c->left() : c->CountUntil(heap.time()), out);
    const model::Timestamp taken = out->times.back();
    for (;;) {
      if (!c->done()) {
        if (heap.empty() || c->time() < heap.time()) break;
        heap.Push(c);
      } else if (heap.empty()) {
        return;
      }
      c = heap.Pop();
      if (c->time() != taken) break;
      c->Skip();
    }
  }
}

}  // namespace

void MergeSamples(std::span<const SampleRun> runs, SampleColumns* out) {
  std::vector<Cursor> cursors;
  cursors.reserve(runs.size());
  for (const SampleRun& run : runs) {
    if (run.begin < run.end) cursors.emplace_back(run);
  }
  // Stores of consecutive stretches of time follow each other.
  bool apart = true;
  for (size_t i = 1; i < cursors.size() && apart; ++i) apart = cursors[i - 1].last() < cursors[i].time();
  if (!apart) {
    Interleave(&cursors, out);
    return;
  }
  for (Cursor& c : cursors) c.Take(c.left(), out);
}

}  // namespace tocsin::storage
