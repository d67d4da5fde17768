#pragma once

// Reading the head: one view of the batches that were published when it began.
//
// Threads: a querier and its sets from any number of threads; they keep the head's slots alive.

#include <atomic>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "storage/queryable.h"
#include "tsdb/head.h"

namespace tocsin::tsdb {

// What a querier and its sets share.
class HeadView {
 public:
  explicit HeadView(Head* head) : head_(head), reader_(head->isolation_.EnterReader()) {}
  ~HeadView() { head_->isolation_.Leave(reader_.id); }
  HeadView(const HeadView&) = delete;
  HeadView& operator=(const HeadView&) = delete;

  Head* head() const { return head_; }
  uint64_t visible() const { return reader_.visible; }

  // The labels' encoding, kept as long as the view, with its length before it.
  const char* Keep(const SeriesLabels& labels);
  static model::LabelsView ViewOf(const char* kept) {
    uint32_t n;
    __builtin_memcpy(&n, kept, 4);
    return model::LabelsView(std::string_view(kept + 4, n));
  }

 private:
  Head* const head_;
  const Isolation::Reader reader_;
  base::Mutex mu_;
  std::vector<std::unique_ptr<char[]>> blocks_ TOCSIN_GUARDED_BY(mu_);
  size_t used_ TOCSIN_GUARDED_BY(mu_) = 0, size_ TOCSIN_GUARDED_BY(mu_) = 0;
};

// The newest visible sample of a slot in the window, put at `place` of `out` (whose times and values are
// laid out).  The page's mutex is held.
base::Status ReadLastOf(const SeriesPage& page, uint32_t at, uint64_t visible, const HeadChunks* files,
                        storage::Window window, size_t place, storage::LastColumns* out);

// The same where the columns tell; false: they do not.
inline bool ReadLastColumn(const SeriesPage& page, uint32_t at, uint64_t visible, storage::Window window, size_t place,
                           storage::LastColumns* out) {
  constexpr uint8_t kElsewhere = SeriesPage::kHistogramRun | SeriesPage::kDeleted | SeriesPage::kLateIsNewest;
  const model::Timestamp t = page.last_t[at];
  const uint8_t flags = page.flags[at];
  if (t <= window.after) return (flags & SeriesPage::kOutOfOrder) == 0;
  if (t > window.upto || page.batch[at] > visible || (flags & (kElsewhere | SeriesPage::kHasSamples)) != SeriesPage::kHasSamples) {
    return false;
  }
  out->times[place] = t;
  __builtin_memcpy(&out->values[place], &page.last_v[at], sizeof(double));  // a stale marker keeps its bits
  return true;
}

// A series of a selection.
struct HeadItem {
  Slot slot;
  const SeriesLabels* labels;
};

class HeadQuerier : public storage::Querier {
 public:
  HeadQuerier(Head* head, storage::Window window) : view_(std::make_shared<HeadView>(head)), window_(window) {}

  base::Result<std::unique_ptr<storage::SeriesSet>> Select(const storage::SelectHints& hints,
                                                           std::span<const model::Matcher> matchers) override;
  base::Result<std::vector<std::string>> LabelNames(const storage::LabelQuery& query,
                                                    std::span<const model::Matcher> matchers) override;
  base::Result<std::vector<std::string>> LabelValues(std::string_view name, const storage::LabelQuery& query,
                                                     std::span<const model::Matcher> matchers) override;

 private:
  friend class Standing;
  bool Overlaps(storage::Window window) const;
  static bool SortByRanks(Head* head, std::vector<HeadItem>* items, std::vector<uint32_t>* by_slot);
  static std::vector<uint32_t> SortByLabels(Head* head, std::vector<HeadItem>* items);

  const std::shared_ptr<HeadView> view_;
  const storage::Window window_;
};

}  // namespace tocsin::tsdb
