// Sealed chunks on their way to chunks_head/.

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "tsdb/head.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {
namespace {

// A chunk's share of flush_bytes; what it takes is known when it is written.
constexpr size_t kUsualChunkBytes = 300;

}  // namespace

void Head::QueueSealed(std::span<const Slot> slots) {
  if (chunk_files_ == nullptr) return;
  base::MutexLock lock(&sealed_mu_);
  sealed_.insert(sealed_.end(), slots.begin(), slots.end());
  sealed_count_.store(sealed_.size(), std::memory_order_relaxed);
}

void Head::FlushIfDue() {
  if (sealed_count_.load(std::memory_order_relaxed) * kUsualChunkBytes < options_.flush_bytes) return;
  if (flush_failed_.load(std::memory_order_relaxed) || !flush_mu_.TryLock()) return;
  // An error is logged and tried again by housekeeping; the samples are in memory and in the log.
  base::Ignore(FlushLocked());
  flush_mu_.Unlock();
  if (options_.when_log_is_long && LogIsLong() && !log_is_long_told_.exchange(true)) options_.when_log_is_long();
}

base::Status Head::FlushChunks() {
  if (chunk_files_ == nullptr) return {};
  base::MutexLock flush(&flush_mu_);
  return FlushLocked();
}

base::Status Head::FlushLocked() {
  std::vector<Slot> slots;
  {
    base::MutexLock lock(&sealed_mu_);
    slots.swap(sealed_);
    sealed_count_.store(0, std::memory_order_relaxed);
  }
  if (slots.empty()) return {};
  const uint64_t id = isolation_.EnterWriter();  // keeps the slots
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  base::Status status;
  std::vector<Flushed> flushed;
  size_t done = 0;  // slots before it are written
  for (size_t i = 0; status && i < slots.size(); ++i) {
    {
      PageCursor cursor(table_);
      SeriesPage* page = cursor.MoveTo(slots[i]);
      const uint32_t at = SeriesTable::At(slots[i]);
      if (page == nullptr || page->ref[at] == 0) continue;  // gone meanwhile
      bool too_large = false;
      const auto add = [&](const SealedChunk& c, bool late) -> base::Status {
        if (!c.in_memory()) return {};
        // What chunks_head/ cannot have stays in memory and in the log, and in order what follows it: the log is read
        // from behind the last chunk that was written.
        too_large = too_large || c.memory()->data().size() > options_.max_chunk_bytes;
        if (too_large) return {};
        ASSIGN_OR_RETURN(const uint64_t number,
                         chunk_files_->Add(page->ref[at], c.mint, c.maxt(), c.encoding, late, c.memory()->data()));
        flushed.push_back({slots[i], page->ref[at], c.mint, c.place, number, c.count, late});
        return {};
      };
      for (const SealedChunk& c : page->sealed_of(at)) {
        if (status) status = add(c, false);
      }
      if (page->has(at, SeriesPage::kOutOfOrder)) {
        for (const SealedChunk& c : page->late->find(at)->second.chunks) {
          too_large = false;
          if (status) status = add(c, true);
        }
      }
    }
    if (status && (chunk_files_->buffered() >= HeadChunks::kWriteBytes || i + 1 == slots.size())) {
      status = WriteOut(&flushed);
      if (status) done = i + 1;
    }
  }
  if (status && !flushed.empty()) status = WriteOut(&flushed);
  isolation_.Leave(id);
  flush_failed_.store(!status, std::memory_order_relaxed);
  if (!status) {
    QueueSealed(std::span(slots).subspan(done));
    base::LogError("chunks_head: writing failed; sealed chunks stay in memory until it works again", {{"error", status.error()}});
  }
  return status;
}

// Writes what was added and lets the slots know.
base::Status Head::WriteOut(std::vector<Flushed>* flushed) {
  RETURN_IF_ERROR(chunk_files_->Write());
  bool late = false;
  uint64_t covered = 0;
  {
    PageCursor cursor(table_);
    for (const Flushed& f : *flushed) {
      if (!f.late) covered += f.samples;
      SeriesPage* page = cursor.MoveTo(f.slot);
      const uint32_t at = SeriesTable::At(f.slot);
      if (page == nullptr || page->ref[at] != f.ref) continue;
      const auto place = [&](std::span<SealedChunk> chunks) {
        for (SealedChunk& c : chunks) {
          if (c.place != f.from || c.mint != f.mint) continue;
          FreeBytes(c);
          c.place = f.number;
          return;
        }
      };
      if (!f.late) {
        place(page->sealed_of(at));
      } else if (page->has(at, SeriesPage::kOutOfOrder)) {
        place(page->late->find(at)->second.chunks);
        late = true;
      }
    }
  }
  covered_samples_.fetch_add(covered, std::memory_order_relaxed);
  metrics_->chunks_mapped->Add(static_cast<double>(flushed->size()));
  base::Status status;
  if (late) status = MarkLateChunks(*flushed);
  flushed->clear();
  return status;
}

}  // namespace tocsin::tsdb
