#pragma once

// Holds one page's mutex at a time; moving to a slot of the same page costs a comparison.

#include <utility>

#include "tsdb/series_table.h"

namespace tocsin::tsdb {

class PageCursor {
 public:
  explicit PageCursor(const SeriesTable& table) : table_(table) {}
  ~PageCursor() { Release(); }
  PageCursor(const PageCursor&) = delete;
  PageCursor& operator=(const PageCursor&) = delete;

  // The slot's page, locked until the next move; null when the page holds nothing.
  SeriesPage* MoveTo(Slot slot) TOCSIN_NO_THREAD_SAFETY_ANALYSIS {
    const Slot page = slot / SeriesPage::kSlots;
    if (handle_ == nullptr || page != page_) [[unlikely]] {
      Release();
      handle_ = table_.PageOf(slot);
      page_ = page;
      handle_->mu.Lock();
    }
    return handle_->data.get();
  }
  // The slot's page if it is the one that is locked, else null.
  const SeriesPage* Peek(Slot slot) const TOCSIN_NO_THREAD_SAFETY_ANALYSIS {
    return handle_ != nullptr && slot / SeriesPage::kSlots == page_ ? handle_->data.get() : nullptr;
  }
  void Release() TOCSIN_NO_THREAD_SAFETY_ANALYSIS {
    if (handle_ != nullptr) std::exchange(handle_, nullptr)->mu.Unlock();
  }

 private:
  const SeriesTable& table_;
  PageHandle* handle_ = nullptr;
  Slot page_ = 0;
};

}  // namespace tocsin::tsdb
