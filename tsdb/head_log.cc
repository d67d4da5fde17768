// The log behind the head: shortened when samples are in written chunks, or before the head.

#include <algorithm>

#include "base/log.h"
#include "tsdb/head.h"
#include "tsdb/index/shrink.h"
#include "tsdb/page_cursor.h"
#include "tsdb/wal/checkpoint.h"

namespace tocsin::tsdb {

bool Head::LogIsLong() const {
  const uint64_t covered = covered_samples_.load(std::memory_order_relaxed);
  return log_ != nullptr && !chunk_files_->sync_failed() && covered >= options_.shorten_samples && covered * 2 >= logged_samples_.load(std::memory_order_relaxed);
}

base::Status Head::ShortenLog() {
  base::MutexLock once(&truncate_mu_);
  if (log_ == nullptr) return {};
  RETURN_IF_ERROR(FlushChunks());
  // A block that is being cut, or could not be, has nothing yet of what is in the head before min_valid_.
  return TruncateLog(std::min(min_valid_time(), min_time()));
}

std::vector<model::Timestamp> Head::WrittenUntil() {
  std::vector<model::Timestamp> until(table_.slots_end(), model::kMinTimestamp);
  {
    PageCursor cursor(table_);
    for (Slot slot = 0; slot < until.size(); ++slot) {
      const SeriesPage* page = cursor.MoveTo(slot);
      if (page == nullptr) continue;
      for (const SealedChunk& c : page->sealed_of(SeriesTable::At(slot))) {
        if (c.in_memory()) break;
        until[slot] = c.maxt();
      }
      if (!page->has(SeriesTable::At(slot), SeriesPage::kOutOfOrder)) continue;
      // Samples of a damaged chunk, which the log alone has until they are written.
      for (const SealedChunk& c : page->late->find(SeriesTable::At(slot))->second.chunks) {
        if (c.in_memory()) until[slot] = std::min(until[slot], c.mint - 1);
      }
    }
  }
  base::MutexLock flush(&flush_mu_);
  if (base::Status synced = chunk_files_->Sync(); !synced) {
    base::LogError("chunks_head: syncing failed; until a restart the write-ahead log keeps its samples too",
                   {{"error", synced.error()}});
    until.clear();
  }
  return until;
}

// Deletions that end before it concern nothing in the head, nor in the log of late samples.
model::Timestamp Head::DeletionsFrom() {
  model::Timestamp from = std::min(late_log_from_, min_time());
  ForEachDeleted([&](SeriesPage* page, uint32_t at) { from = std::min(from, MinTimeOf(*page, at)); });
  return from;
}

// As the log does, so that samples which come at those times are seen now and after a restart.
void Head::ForgetDeletions(model::Timestamp from) {
  ForEachDeleted([from](SeriesPage* page, uint32_t at) {
    const auto it = page->deleted->find(at);
    std::erase_if(it->second, [from](const Interval& i) { return i.maxt < from; });
    if (!it->second.empty()) return;
    page->deleted->erase(it);
    page->flags[at] &= static_cast<uint8_t>(~SeriesPage::kDeleted);
    ++page->edits[at];
  });
}

void Head::ForEachDeleted(const std::function<void(SeriesPage*, uint32_t)>& visit) {
  PageCursor cursor(table_);
  const uint32_t end = table_.slots_end();
  for (Slot first = 0; first < end; first += SeriesPage::kSlots) {
    SeriesPage* page = cursor.MoveTo(first);
    for (uint32_t at = 0; page != nullptr && page->deleted != nullptr && at < SeriesPage::kSlots; ++at) {
      if (page->has(at, SeriesPage::kDeleted)) visit(page, at);
    }
  }
}

// Checkpoints all segments but the one that is begun now, without what is before `mint` or in written chunks.
base::Status Head::TruncateLog(model::Timestamp mint) {
  if (log_ == nullptr) return {};
  const std::string folder = base::JoinPath(options_.folder, "wal");
  const base::Duration begin = options_.monotonic ? options_.monotonic() : base::Duration(0);
  metrics_->wal_truncations->Add();
  // Nobody's sample: what is appended from here on goes to the next segment.
  const uint64_t logged = logged_samples_.load(std::memory_order_relaxed);
  const uint64_t covered = covered_samples_.load(std::memory_order_relaxed);
  const model::Timestamp deletions_from = DeletionsFrom();
  const std::vector<model::Timestamp> until = WrittenUntil();
  const uint64_t appended = log_->appended();
  ASSIGN_OR_RETURN(const int current, log_->Cut());
  ASSIGN_OR_RETURN(const std::vector<int> segments, wal::ListSegments(options_.fs, folder));
  const int first = segments.empty() ? current : segments.front(), last = current - 1;
  if (last < first) return {};
  metrics_->checkpoint_creations->Add();
  base::Result<wal::CheckpointStats> stats = wal::CheckpointStats();
  {
    // A writer id keeps the leaves of the reference table while they are looked at, and the slots.
    const uint64_t id = isolation_.EnterWriter();
    absl::flat_hash_map<storage::SeriesRef, int> removed;
    absl::flat_hash_map<storage::SeriesRef, storage::SeriesRef> aliases;
    {
      base::ReaderLock lock(&index_mu_);
      removed = removed_;
      aliases = aliases_;
    }
    const wal::CheckpointFilter filter{
        .keep_from = [&](storage::SeriesRef ref) -> std::optional<model::Timestamp> {
          const Slot slot = refs_.Find(ref);
          if (slot != RefTable::kNone) {
            return slot < until.size() && until[slot] != model::kMinTimestamp ? std::max(mint, until[slot] + 1) : mint;
          }
          if (aliases.contains(ref)) return mint;  // what chunks have goes by the first number
          const auto it = removed.find(ref);
          if (it == removed.end() || it->second <= last) return std::nullopt;
          return mint;
        },
        .tombstones_from = deletions_from,
        .exemplars_from = mint,
        .start_times = options_.start_times};
    stats = wal::WriteCheckpoint(options_.fs, folder, last, filter, options_.compression);
    isolation_.Leave(id);
  }
  if (!stats) {
    metrics_->checkpoint_creations_failed->Add();
    metrics_->wal_truncations_failed->Add();
    return std::unexpected(stats.error().Within("write-ahead log: checkpoint"));
  }
  RETURN_IF_ERROR(log_->Truncate(last + 1));
  {
    base::WriterLock lock(&index_mu_);
    absl::erase_if(removed_, [last](const auto& entry) { return entry.second <= last; });
    index::ShrinkIfSparse(&removed_);
  }
  ForgetDeletions(deletions_from);
  checkpointed_.store(appended, std::memory_order_relaxed);
  metrics_->checkpoint_deletions->Add();
  if (base::Status s = wal::RemoveCheckpoints(options_.fs, folder, last); !s) {
    // Wasted space, nothing worse: the newest checkpoint is the one that is read.
    metrics_->checkpoint_deletions_failed->Add();
    base::LogWarn("old checkpoints could not be removed", {{"error", s.error()}});
  }
  logged_samples_.fetch_sub(logged - std::min(logged, stats->samples), std::memory_order_relaxed);
  covered_samples_.fetch_sub(covered, std::memory_order_relaxed);
  log_is_long_told_.store(false, std::memory_order_relaxed);
  freed_.store(true, std::memory_order_relaxed);  // what was read through is some MiB
  if (options_.monotonic) metrics_->wal_truncate_seconds->Observe(base::ToSeconds(options_.monotonic() - begin));
  base::LogInfo("write-ahead log checkpointed", {{"first", first}, {"last", last}, {"series", stats->series},
                                                 {"samples", stats->samples}, {"dropped_samples", stats->dropped_samples}});
  return {};
}

base::Status Head::Close() {
  base::Status status = FlushChunks();
  if (status && options_.snapshot && log_ != nullptr && !closed_) {
    if (base::Status s = WriteSnapshot(); !s) {
      base::LogError("head snapshot could not be written; the next start reads the write-ahead log", {{"error", s.error()}});
    }
  }
  closed_ = true;
  if (chunk_files_ != nullptr) {
    base::MutexLock flush(&flush_mu_);
    if (base::Status s = chunk_files_->Close(); !s && status) status = std::move(s);
  }
  base::MutexLock commit(&commit_mu_);
  if (log_ != nullptr) {
    if (base::Status s = log_->Close(); !s && status) status = std::move(s);
  }
  if (late_log_ != nullptr) {
    if (base::Status s = late_log_->Close(); !s && status) status = std::move(s);
  }
  return status;
}

}  // namespace tocsin::tsdb
