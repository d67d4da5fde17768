// Blocks of the database: opening, cutting from the head, merging, retention, deletion, snapshots.

#include <malloc.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/log.h"
#include "tsdb/db_impl.h"

namespace tocsin::tsdb {
namespace {

int64_t Millis(base::Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

// The end of the range that holds t (division towards zero, as in Go).
model::Timestamp RangeEnd(model::Timestamp t, int64_t width) { return t / width * width + width; }

bool IsLeftover(std::string_view name) {
  return name.ends_with(".tmp-for-creation") || name.ends_with(".tmp-for-deletion") || name.ends_with(".tmp");
}

// A folder disappears at once for readers of the database and then for good.
base::Status RemoveBlock(base::FileSystem* fs, const std::string& folder) {
  const std::string temporary = folder + ".tmp-for-deletion";
  RETURN_IF_ERROR(fs->Rename(folder, temporary));
  return fs->RemoveAll(temporary);
}

void SortByTime(BlockList* blocks) {
  std::sort(blocks->begin(), blocks->end(), [](const auto& a, const auto& b) {
    return a->meta().min_time != b->meta().min_time ? a->meta().min_time < b->meta().min_time
                                                    : a->meta().ulid < b->meta().ulid;
  });
}

base::Status LinkFiles(base::FileSystem* fs, const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(fs->CreateFolders(to));
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs->List(from));
  for (const base::FileInfo& f : files) {
    const std::string source = base::JoinPath(from, f.name), target = base::JoinPath(to, f.name);
    if (f.is_folder) {
      RETURN_IF_ERROR(LinkFiles(fs, source, target));
    } else if (f.name == "meta.json" || f.name == "tombstones") {
      // These are replaced in place by deletions; a copy keeps the snapshot as it is now.
      ASSIGN_OR_RETURN(const std::string text, fs->ReadFile(source));
      RETURN_IF_ERROR(fs->WriteFileAtomically(target, text));
    } else {
      RETURN_IF_ERROR(fs->Link(source, target));
    }
  }
  return fs->SyncFolder(to);
}

}  // namespace

int64_t Db::Impl::NowMs() const {
  if (options.executor != nullptr) return base::ToUnixMillis(options.executor->Now());
  return head->max_time() == model::kMinTimestamp ? 0 : head->max_time();
}

CompactContext Db::Impl::Context(std::string parent) {
  return {options.fs, std::move(parent), NowMs(), head->chunk_range_ms(), &stopping, xor2, &options.progress->compaction, &metrics};
}

BlockList Db::Impl::Blocks() const {
  base::MutexLock guard(&blocks_mu);
  return blocks;
}

std::optional<model::Timestamp> Db::Impl::MinTime() const {
  std::optional<model::Timestamp> t;
  if (head->min_time() <= head->max_time()) t = head->min_time();
  for (const auto& b : Blocks()) t = std::min(t.value_or(model::kMaxTimestamp), b->meta().min_time);
  return t;
}

std::optional<model::Timestamp> Db::Impl::MaxTime() const {
  std::optional<model::Timestamp> t;
  if (head->min_time() <= head->max_time()) t = head->max_time();
  for (const auto& b : Blocks()) t = std::max(t.value_or(model::kMinTimestamp), b->meta().max_time - 1);
  return t;
}

base::Status Db::Impl::OpenBlocks() {
  base::FileSystem* fs = options.fs;
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs->List(options.path));
  BlockList opened;
  for (const base::FileInfo& f : files) {
    const std::string folder = base::JoinPath(options.path, f.name);
    if (f.is_folder && IsLeftover(f.name)) {
      RETURN_IF_ERROR(fs->RemoveAll(folder));
      continue;
    }
    if (!f.is_folder || !IsUlid(f.name)) continue;
    base::Result<bool> repaired = RepairIndexVersion(fs, folder);
    if (repaired && *repaired) base::LogInfo("block repaired: its index was written by a broken release", {{"block", f.name}});
    base::Result<std::shared_ptr<Block>> block = Block::Open(fs, folder);
    if (block) {
      opened.push_back(std::move(*block));
      continue;
    }
    if (block.error().code() != base::Code::kDataLoss) {
      base::LogError("block left out: it cannot be read", {{"block", f.name}, {"error", block.error()}});
      continue;
    }
    // Set aside, so that the data stays for whoever can rescue it and the next start is clean.
    const std::string aside = base::JoinPath(options.path, "damaged");
    RETURN_IF_ERROR(fs->CreateFolders(aside));
    RETURN_IF_ERROR(fs->Rename(folder, base::JoinPath(aside, f.name)));
    base::LogError("block set aside: it is damaged; its samples are missing from queries",
                   {{"block", f.name}, {"moved_to", aside}, {"error", block.error()}});
  }
  // A crash between writing a merged block and removing its parents leaves both.
  std::vector<std::string> replaced;
  for (const auto& b : opened) {
    for (const BlockMeta::Parent& p : b->meta().parents) {
      if (p.ulid != b->meta().ulid) replaced.push_back(p.ulid);
    }
  }
  for (auto it = opened.begin(); it != opened.end();) {
    if (std::find(replaced.begin(), replaced.end(), (*it)->meta().ulid) == replaced.end() && !(*it)->meta().deletable) {
      ++it;
      continue;
    }
    const std::string folder = (*it)->folder();
    it = opened.erase(it);
    RETURN_IF_ERROR(RemoveBlock(fs, folder));
  }
  SortByTime(&opened);
  base::MutexLock guard(&blocks_mu);
  blocks = std::move(opened);
  metrics.reloads->Add();
  return {};
}

// Puts the block in `folder` (if any) in the place of `gone`.
base::Status Db::Impl::Replace(const BlockList& gone, const std::optional<std::string>& folder) {
  blocks_changed = true;
  std::shared_ptr<Block> added;
  if (folder) {
    auto block = Block::Open(options.fs, *folder);
    if (!block) {
      metrics.reloads_failed->Add();
      return std::unexpected(block.error().Within("a block just written"));
    }
    added = std::move(*block);
  }
  {
    base::MutexLock guard(&blocks_mu);
    std::erase_if(blocks, [&](const auto& b) { return std::find(gone.begin(), gone.end(), b) != gone.end(); });
    if (added != nullptr) blocks.push_back(std::move(added));
    SortByTime(&blocks);
  }
  metrics.reloads->Add();
  for (const auto& b : gone) RETURN_IF_ERROR(RemoveBlock(options.fs, b->folder()));
  return {};
}

base::Status Db::Impl::CompactHead() {
  // What was cut before and could not be dropped since queries were reading it.
  if (pending) {
    if (!head->ReadersGoneSince(pending->stamp)) return {};
    const model::Timestamp mint = pending->mint;
    pending.reset();
    RETURN_IF_ERROR(head->Truncate(mint));
  }
  const int64_t range = head->chunk_range_ms();
  while (!stopping && head->min_time() <= head->max_time() && head->max_time() - head->min_time() > range / 2 * 3) {
    const model::Timestamp mint = head->min_time();
    const model::Timestamp maxt = RangeEnd(mint, range);
    metrics.compactions_triggered->Add();
    // From here on nothing before `maxt` is taken in order: the block will be complete.
    head->BeginCut(maxt);
    const base::Duration begin = options.executor == nullptr ? base::Duration(0) : options.executor->Monotonic();
    auto folder = WriteHeadBlock(Context(options.path), head.get(), mint, maxt);
    if (!folder) {
      if (folder.error().code() != base::Code::kCancelled) metrics.compactions_failed->Add();
      return std::unexpected(folder.error().Within("cutting a block from the head"));
    }
    RETURN_IF_ERROR(Replace({}, *folder));
    metrics.compactions->Add();
    if (options.executor != nullptr) metrics.compaction_seconds->Observe(base::ToSeconds(options.executor->Monotonic() - begin));
    if (*folder) base::LogInfo("block cut from the head", {{"block", base::NameOf(**folder)}, {"min_time", mint}, {"max_time", maxt}});
    const uint64_t stamp = head->Stamp();
    if (!head->ReadersGoneSince(stamp)) {
      pending = PendingTruncation{maxt, stamp};
      return {};
    }
    RETURN_IF_ERROR(head->Truncate(maxt));
    // What came late meanwhile is for the next round, lest a stream of it makes block after block.
    if (head->min_time() < maxt) return {};
  }
  return {};
}

base::Status Db::Impl::CompactBlocks() {
  const int64_t min_ms = Millis(options.min_block_duration);
  int64_t max_ms = Millis(options.max_block_duration);
  if (max_ms <= 0) {
    max_ms = 31LL * 24 * 3600 * 1000;
    if (retention_ms > 0) max_ms = std::min(max_ms, retention_ms / 10);
  }
  const std::vector<int64_t> ranges = BlockRanges(min_ms, std::max(max_ms, min_ms));
  while (!stopping) {
    const BlockList all = Blocks();
    std::vector<BlockMeta> metas;
    for (const auto& b : all) {
      metas.push_back(b->meta());
      metas.back().tombstones = b->tombstone_count();
      metas.back().failed = b->failed();
    }
    const std::vector<size_t> plan = PlanCompaction(metas, ranges);
    if (plan.empty()) return {};
    BlockList chosen;
    bool overlap = false;
    for (const size_t i : plan) {
      if (!chosen.empty()) overlap = overlap || all[i]->meta().min_time < chosen.back()->meta().max_time;
      chosen.push_back(all[i]);
    }
    const base::Duration begin = options.executor == nullptr ? base::Duration(0) : options.executor->Monotonic();
    auto folder = MergeBlocks(Context(options.path), chosen);
    if (!folder) {
      if (folder.error().code() != base::Code::kCancelled) metrics.compactions_failed->Add();
      if (folder.error().code() == base::Code::kDataLoss) {
        // What cannot be read now will not be read in a minute; a full disk says nothing about the blocks.
        for (const auto& b : chosen) {
          if (const base::Status marked = b->MarkFailed(); !marked) {
            base::LogWarn("block cannot be marked as failed to merge", {{"block", b->meta().ulid}, {"error", marked.error()}});
          }
        }
      }
      return std::unexpected(folder.error().Within(fmt::format("merging {} blocks", chosen.size())));
    }
    RETURN_IF_ERROR(Replace(chosen, *folder));
    metrics.compactions->Add();
    if (overlap) metrics.vertical_compactions->Add();
    if (options.executor != nullptr) metrics.compaction_seconds->Observe(base::ToSeconds(options.executor->Monotonic() - begin));
    base::LogInfo("blocks merged", {{"count", chosen.size()}, {"block", *folder ? base::NameOf(**folder) : std::string("none")}});
  }
  return {};
}

// The limit in bytes; 0: none.  A percentage of a size that is not known limits nothing.
uint64_t Db::Impl::RetentionBytes() const {
  const double percentage = retention_percentage;
  if (!(percentage > 0)) return retention_bytes;
  const auto space = options.fs->FreeSpace(options.path);
  if (!space) {
    base::LogWarn("retention by percentage is not applied: the file system does not tell its size", {{"error", space.error()}});
    return 0;
  }
  return static_cast<uint64_t>(static_cast<double>(space->total) / 100 * percentage);
}

base::Status Db::Impl::ApplyRetention() {
  BlockList all = Blocks();
  if (all.empty()) return {};
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->meta().max_time < b->meta().max_time; });
  BlockList gone;
  model::Timestamp newest = model::kMinTimestamp;
  for (const auto& b : all) newest = std::max(newest, b->meta().max_time);
  const int64_t keep_ms = retention_ms;
  for (const auto& b : all) {
    if (keep_ms > 0 && newest - b->meta().max_time >= keep_ms) gone.push_back(b);
  }
  if (!gone.empty()) metrics.time_retentions->Add();
  if (const uint64_t limit = RetentionBytes(); limit > 0) {
    uint64_t total = head->LogBytes() + head->ChunkFileBytes();
    bool over = false;
    for (size_t i = all.size(); i-- > 0;) {
      if (std::find(gone.begin(), gone.end(), all[i]) != gone.end()) continue;
      total += all[i]->size_bytes();
      if (total <= limit) continue;
      gone.push_back(all[i]);
      over = true;
    }
    if (over) metrics.size_retentions->Add();
  }
  if (gone.empty()) return {};
  for (const auto& b : gone) base::LogInfo("block dropped by retention", {{"block", b->meta().ulid}, {"max_time", b->meta().max_time}});
  return Replace(gone, std::nullopt);
}

base::Status Db::Impl::Compact() {
  base::MutexLock once(&compact_mu);
  base::Status status = CompactLocked();
  // What was read through, written and dropped lies free between what stays, in each thread's arena.
  if (head->TakeFreed() || std::exchange(blocks_changed, false)) ::malloc_trim(0);
  return status;
}

base::Status Db::Impl::CompactLocked() {
  head->ForgetUnusedMarks();
  for (const auto& b : Blocks()) b->ForgetUnusedMarks();
  if (!options.wal) {
    // Nothing goes to disk: the head itself keeps to the retention.
    const int64_t keep_ms = retention_ms, range = head->chunk_range_ms();
    if (keep_ms > 0 && head->min_time() <= head->max_time()) {
      const model::Timestamp bound = RangeEnd(head->max_time() - keep_ms, range) - range;
      if (head->min_time() + range < bound) return head->Truncate(bound);
    }
    return {};
  }
  // What fails on a full disk must not keep retention from making room.  The first error is told.
  base::Status first = head->FlushChunks();
  const auto note = [&](base::Status status) {
    if (first) first = std::move(status);
  };
  note(CompactHead());
  if (head->LogIsLong() || head->log_in_doubt()) note(head->ShortenLog());
  note(CompactBlocks());
  note(ApplyRetention());
  return first;
}

base::Status Db::Impl::DeleteSeries(model::Timestamp mint, model::Timestamp maxt,
                                    std::span<const model::Matchers> any_of) {
  base::MutexLock once(&compact_mu);
  for (const auto& b : Blocks()) {
    if (b->meta().min_time > maxt || b->meta().max_time <= mint) continue;
    RETURN_IF_ERROR(b->Delete(mint, maxt, any_of));
  }
  return head->Delete(mint, maxt, any_of);
}

base::Status Db::Impl::CleanTombstones() {
  base::MutexLock once(&compact_mu);
  const base::Duration begin = options.executor == nullptr ? base::Duration(0) : options.executor->Monotonic();
  for (const auto& b : Blocks()) {
    if (b->tombstone_count() == 0) continue;
    auto folder = MergeBlocks(Context(options.path), {&b, 1}, b->meta().level);
    if (!folder) return std::unexpected(folder.error().Within("cleaning tombstones of block " + b->meta().ulid));
    RETURN_IF_ERROR(Replace({b}, *folder));
  }
  if (options.executor != nullptr) metrics.tombstone_cleanup_seconds->Observe(base::ToSeconds(options.executor->Monotonic() - begin));
  return {};
}

base::Result<std::string> Db::Impl::Snapshot(SnapshotHead with_head) {
  base::MutexLock once(&compact_mu);
  const int64_t now = NowMs();
  // 20261120T094334Z-<tail of a ULID>, the form Prometheus's users know.
  std::string stamp = base::FormatRfc3339(base::Time(std::chrono::seconds(now / 1000)));
  std::erase_if(stamp, [](char c) { return c == '-' || c == ':'; });
  const std::string name = stamp + "-" + MakeUlid(now, options.path).substr(10);
  const std::string folder = base::JoinPath(base::JoinPath(options.path, "snapshots"), name);
  RETURN_IF_ERROR(options.fs->CreateFolders(folder));
  for (const auto& b : Blocks()) {
    const base::Status linked = LinkFiles(options.fs, b->folder(), base::JoinPath(folder, b->meta().ulid));
    if (!linked) return std::unexpected(linked.error().Within("snapshot"));
  }
  if (with_head == SnapshotHead::kInclude && head->min_time() <= head->max_time()) {
    CompactContext context = Context(folder);
    auto written = WriteHeadBlock(context, head.get(), head->min_time(), head->max_time() + 1);
    if (!written) return std::unexpected(written.error().Within("snapshot of the head"));
  }
  RETURN_IF_ERROR(options.fs->SyncFolder(folder));
  return name;
}

}  // namespace tocsin::tsdb
