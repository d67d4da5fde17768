#include "tsdb/db.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/mutex.h"
#include "storage/merge.h"
#include "tsdb/db_impl.h"

namespace tocsin::tsdb {
namespace {

// Shorter ones would compact all the time.
constexpr base::Duration kMinMaintenanceInterval = std::chrono::seconds(1);
constexpr base::Duration kProgressInterval = std::chrono::seconds(10);

int64_t Millis(base::Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

wal::Compression CompressionOf(WalCompression c) {
  switch (c) {
    case WalCompression::kSnappy: return wal::Compression::kSnappy;
    case WalCompression::kZstd: return wal::Compression::kZstd;
    case WalCompression::kNone: break;
  }
  return wal::Compression::kNone;
}

}  // namespace

Db::Impl::Impl(DbOptions o)
    : options(std::move(o)),
      own_registry(options.registry == nullptr ? std::make_unique<base::Registry>() : nullptr),
      metrics(options.registry == nullptr ? own_registry.get() : options.registry),
      retention_ms(Millis(options.retention_time)),
      retention_bytes(options.retention_bytes),
      retention_percentage(options.retention_percentage),
      xor2(options.xor2) {
  HeadOptions h;
  h.fs = options.fs;
  h.folder = options.path;
  h.wal = options.wal;
  h.compression = CompressionOf(options.wal_compression);
  h.sync = options.wal_sync == WalSync::kBatch;
  h.segment_bytes = options.wal_segment_bytes;
  h.shorten_samples = options.wal_shorten_samples;
  h.chunk_range_ms = Millis(options.min_block_duration);
  h.out_of_order_ms = Millis(options.out_of_order_window);
  h.max_exemplars = options.max_exemplars;
  h.snapshot = options.memory_snapshot;
  h.start_times = options.start_times;
  h.histogram_start_times = options.start_times && options.histogram_start_times;
  h.metrics = &metrics;
  h.progress = &options.progress->replay;
  if (options.executor != nullptr) {
    h.monotonic = [executor = options.executor] { return executor->Monotonic(); };
    h.when_log_is_long = [this, state = loop, executor = options.executor] {
      executor->Post([this, state] {
        if (state->stopped || state->busy || !state->open) return;
        state->timer.Cancel();
        Maintain();
      });
    };
  }
  head = std::make_unique<Head>(std::move(h));
  standing = std::make_unique<Standing>(head.get(), [this](storage::Window w) { return AllInHead(w); });
  {
    base::MutexLock guard(&alive->mu);
    alive->impl = this;
  }
  AddGauges();
}

// Gauges that are read when somebody asks.  The registry may outlive the database: then they are 0.
void Db::Impl::AddGauges() {
  if (options.registry == nullptr) return;  // nobody can ask
  const auto add = [this](std::string_view name, std::string_view help, double (*read)(Impl&)) {
    options.registry->AddGaugeCallback(name, help, [alive = alive, read] {
      base::MutexLock guard(&alive->mu);
      return alive->impl == nullptr ? 0.0 : read(*alive->impl);
    });
  };
  add("prometheus_tsdb_head_series", "Total number of series in the head block.",
      [](Impl& db) { return static_cast<double>(db.head->series()); });
  add("prometheus_tsdb_head_stale_series", "Total number of stale series in the head block.",
      [](Impl& db) { return static_cast<double>(db.head->stale_series()); });
  add("prometheus_tsdb_head_chunks", "Total number of chunks in the head block.",
      [](Impl& db) { return static_cast<double>(db.head->chunks()); });
  add("prometheus_tsdb_head_min_time", "Minimum time bound of the head block.",
      [](Impl& db) { return static_cast<double>(db.HeadTimes().first); });
  add("prometheus_tsdb_head_max_time", "Maximum timestamp of the head block.",
      [](Impl& db) { return static_cast<double>(db.HeadTimes().second); });
  add("prometheus_tsdb_head_min_time_seconds", "Minimum time bound of the head block.",
      [](Impl& db) { return static_cast<double>(db.HeadTimes().first / 1000); });
  add("prometheus_tsdb_head_max_time_seconds", "Maximum timestamp of the head block.",
      [](Impl& db) { return static_cast<double>(db.HeadTimes().second / 1000); });
  add("prometheus_tsdb_head_active_appenders", "Number of currently active appender transactions",
      [](Impl& db) { return static_cast<double>(db.head->open_appenders()); });
  add("prometheus_tsdb_symbol_table_size_bytes", "Size of symbol table in memory for loaded blocks",
      [](Impl& db) { return static_cast<double>(db.head->symbol_bytes()); });
  add("prometheus_tsdb_head_chunks_storage_size_bytes", "Size of the chunks_head directory.",
      [](Impl& db) { return static_cast<double>(db.head->ChunkFileBytes()); });
  add("prometheus_tsdb_wal_storage_size_bytes", "Size of the write log directory.",
      [](Impl& db) { return static_cast<double>(db.head->LogBytes()); });
  add("prometheus_tsdb_exemplar_exemplars_in_storage", "Number of exemplars currently in circular storage.",
      [](Impl& db) { return static_cast<double>(db.head->exemplars()->size()); });
  add("prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
      "Number of series with exemplars currently in circular storage.",
      [](Impl& db) { return static_cast<double>(db.head->exemplars()->series()); });
  add("prometheus_tsdb_exemplar_max_exemplars",
      "Total number of exemplars the exemplar storage can store, resizeable.",
      [](Impl& db) { return static_cast<double>(db.head->exemplars()->capacity()); });
  add("prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds",
      "The timestamp of the oldest exemplar stored in circular storage, so of the time that its size allows for.",
      [](Impl& db) { return static_cast<double>(db.head->exemplars()->oldest_time()) / 1000; });
  add("prometheus_tsdb_isolation_high_watermark", "The highest TSDB append ID that has been given out.",
      [](Impl& db) { return static_cast<double>(db.head->batches().highest); });
  add("prometheus_tsdb_isolation_low_watermark", "The lowest TSDB append ID that is still referenced.",
      [](Impl& db) { return static_cast<double>(db.head->batches().lowest); });
  add("prometheus_tsdb_lowest_timestamp", "Lowest timestamp value stored in the database.",
      [](Impl& db) { return static_cast<double>(db.MinTime().value_or(0)); });
  add("prometheus_tsdb_lowest_timestamp_seconds", "Lowest timestamp value stored in the database.",
      [](Impl& db) { return static_cast<double>(db.MinTime().value_or(0) / 1000); });
  add("prometheus_tsdb_compaction_populating_block", "Set to 1 when a block is currently being written to the disk.",
      [](Impl& db) { return db.options.progress->compaction.source == CompactionProgress::Source::kNone ? 0.0 : 1.0; });
  add("prometheus_tsdb_blocks_loaded", "Number of currently loaded data blocks",
      [](Impl& db) { return static_cast<double>(db.Blocks().size()); });
  add("prometheus_tsdb_storage_blocks_bytes",
      "The number of bytes that are currently used for local storage by all blocks.", [](Impl& db) {
        double bytes = 0;
        for (const auto& b : db.Blocks()) bytes += static_cast<double>(b->size_bytes());
        return bytes;
      });
}

Db::Impl::~Impl() {
  base::MutexLock guard(&alive->mu);
  alive->impl = nullptr;
}

// First and last sample of the head; zeros when it is empty.
std::pair<model::Timestamp, model::Timestamp> Db::Impl::HeadTimes() const {
  const model::Timestamp mint = head->min_time(), maxt = head->max_time();
  return mint > maxt ? std::pair<model::Timestamp, model::Timestamp>() : std::pair(mint, maxt);
}

base::Result<std::unique_ptr<Db>> Db::Open(DbOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  RETURN_IF_ERROR(impl->Open());
  Impl* raw = impl.get();
  std::unique_ptr<Db> db(new Db(std::move(impl)));
  if (raw->options.executor != nullptr) {
    // Open() may run on a worker; timers are the loop's.
    raw->options.executor->Post([raw, state = raw->loop] {
      if (state->stopped) return;
      state->open = true;
      raw->ScheduleMaintenance();
    });
  }
  return db;
}

base::Status Db::Impl::Open() {
  base::FileSystem* fs = options.fs;
  RETURN_IF_ERROR(fs->CreateFolders(options.path));
  if (options.lock_file) {
    auto held = fs->Lock(base::JoinPath(options.path, "lock"));
    if (!held) return std::unexpected(held.error().Within("another process uses the database; stop it or give another folder"));
    lock = std::move(*held);
    metrics.clean_start->Set(1);
  } else {
    metrics.clean_start->Set(-1);
  }
  metrics.retention_limit_bytes->Set(static_cast<double>(RetentionBytes()));
  metrics.retention_limit_percentage->Set(retention_percentage);
  metrics.retention_limit_seconds->Set(static_cast<double>(retention_ms) / 1000);
  model::Timestamp min_valid = model::kMinTimestamp;
  if (options.wal) {
    base::MutexLock once(&compact_mu);
    RETURN_IF_ERROR(OpenBlocks());
    // What is in blocks need not come back from the log.
    for (const auto& b : Blocks()) {
      if (!b->meta().Has(kFromOutOfOrder) && !b->meta().Has(kFromStaleSeries) && !b->meta().Has(kFromSelectedSeries)) {
        min_valid = std::max(min_valid, b->meta().max_time);
      }
    }
  }
  return head->Replay(min_valid);
}

void Db::Impl::ScheduleMaintenance() {
  loop->timer = options.executor->After(std::max(options.maintenance_interval, kMinMaintenanceInterval), [this] { Maintain(); });
}

void Db::Impl::TellProgress() {
  const CompactionProgress& now = options.progress->compaction;
  if (const auto source = now.source.load(); source != CompactionProgress::Source::kNone) {
    base::LogInfo("a block is being made", {{"source", source == CompactionProgress::Source::kHead ? "head" : "blocks"},
                                            {"min_time", now.min_time.load()}, {"max_time", now.max_time.load()},
                                            {"series", now.series.load()}, {"of_series", now.of_series.load()}});
  }
  loop->timer = options.executor->After(kProgressInterval, [this] { TellProgress(); });
}

void Db::Impl::Maintain() {
  loop->busy = true;
  loop->timer = options.executor->After(kProgressInterval, [this] { TellProgress(); });
  options.executor->Offload(
      base::Lane::kBackground,
      [this] {
        const base::Status s = Compact();
        if (!s && s.error().code() != base::Code::kCancelled) {
          base::LogError("compaction failed; tried again at the next round", {{"error", s.error()}});
        }
      },
      [this, state = loop] {
        state->busy = false;
        if (state->stopped) {
          Close(std::move(state->when_idle));
        } else {
          ScheduleMaintenance();
        }
      });
}

// Closes the log on a worker, then tells.
void Db::Impl::Close(base::Task done) {
  options.executor->Offload(base::Lane::kBackground, [this] { CloseNow(); }, std::move(done));
}

void Db::Impl::CloseNow() {
  if (std::exchange(closed, true)) return;
  if (base::Status s = head->Close(); !s) {
    base::LogError("write-ahead log: closing failed, what was written last may be lost", {{"error", s.error()}});
  }
  lock = nullptr;
}

Db::Db(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Db::~Db() {
  impl_->loop->stopped = true;
  impl_->CloseNow();
}

uint64_t Db::LogCorruptions() const { return static_cast<uint64_t>(impl_->metrics.wal_corruptions->value()); }

std::unique_ptr<storage::Appender> Db::NewAppender() { return impl_->head->NewAppender(); }
uint64_t Db::series_gone() const { return impl_->head->series_gone(); }
void Db::ForgetGone(std::span<storage::SeriesRef> refs) const { impl_->head->ForgetGone(refs); }
base::Status Db::WaitSynced(storage::SyncTicket ticket) { return impl_->head->WaitSynced(ticket); }

namespace {

bool Overlaps(const Block& b, storage::Window window) {
  return b.meta().max_time - 1 > window.after && b.meta().min_time <= window.upto;
}

}  // namespace

std::unique_ptr<storage::Querier> Db::NewQuerier(storage::Window window) {
  // The head is entered first: its truncation waits for readers from before a block took samples over, so
  // whoever enters later must see the block.  Where both have a sample, the block's counts.
  std::unique_ptr<storage::Querier> head = impl_->head->NewQuerier(window);
  std::vector<std::unique_ptr<storage::Querier>> parts;
  {
    base::MutexLock lock(&impl_->blocks_mu);
    for (const auto& b : impl_->blocks) {
      if (Overlaps(*b, window)) parts.push_back(Block::NewQuerier(b, window));
    }
  }
  parts.push_back(std::move(head));
  return storage::MakeMergeQuerier(std::move(parts));
}

base::Result<std::vector<storage::ExemplarSeries>> Db::SelectExemplars(storage::Window window,
                                                                       std::span<const model::Matchers> any_of) {
  return impl_->head->exemplars()->Select(window, any_of);
}

storage::StandingSource* Db::standing() { return impl_->standing.get(); }

bool Db::Impl::AllInHead(storage::Window window) const {
  base::MutexLock guard(&blocks_mu);
  return std::ranges::none_of(blocks, [&](const std::shared_ptr<Block>& b) { return Overlaps(*b, window); });
}

uint64_t Db::Generation() const { return impl_->head->Generation(); }
std::optional<storage::SeriesChanges> Db::ChangesSince(uint64_t generation) const {
  return impl_->head->ChangesSince(generation);
}
std::optional<model::Labels> Db::LabelsOf(storage::SeriesRef ref) const { return impl_->head->LabelsOf(ref); }
HeadStats Db::Stats(size_t top) const { return impl_->head->Stats(top); }
std::optional<model::Timestamp> Db::MinTime() const { return impl_->MinTime(); }
std::optional<model::Timestamp> Db::MaxTime() const { return impl_->MaxTime(); }

std::vector<BlockInfo> Db::Blocks() const {
  std::vector<BlockInfo> out;
  for (const auto& b : impl_->Blocks()) {
    const BlockMeta& m = b->meta();
    out.push_back({.ulid = m.ulid,
                   .folder = b->folder(),
                   .min_time = m.min_time,
                   .max_time = m.max_time,
                   .samples = m.samples,
                   .series = m.series,
                   .chunks = m.chunks,
                   .tombstones = b->tombstone_count(),
                   .bytes = b->size_bytes(),
                   .level = m.level,
                   .sources = m.sources});
  }
  return out;
}

base::Status Db::DeleteSeries(model::Timestamp mint, model::Timestamp maxt, std::span<const model::Matchers> any_of) {
  return impl_->DeleteSeries(mint, maxt, any_of);
}
base::Status Db::CleanTombstones() { return impl_->CleanTombstones(); }
base::Result<std::string> Db::Snapshot(SnapshotHead head) { return impl_->Snapshot(head); }
base::Status Db::Compact() { return impl_->Compact(); }

void Db::SetOutOfOrderWindow(base::Duration window) { impl_->head->SetOutOfOrderWindow(Millis(window)); }
void Db::SetMaxExemplars(size_t count) { impl_->head->exemplars()->Resize(count); }
void Db::SetXor2(bool on) { impl_->xor2 = on; }

void Db::SetRetention(const Retention& retention) {
  impl_->retention_ms = Millis(retention.time);
  impl_->retention_bytes = retention.bytes;
  impl_->retention_percentage = retention.percentage;
  impl_->metrics.retention_limit_bytes->Set(static_cast<double>(impl_->RetentionBytes()));
  impl_->metrics.retention_limit_percentage->Set(retention.percentage);
  impl_->metrics.retention_limit_seconds->Set(static_cast<double>(Millis(retention.time)) / 1000);
}

void Db::Stop(base::Task done) {
  if (impl_->options.executor == nullptr) {
    impl_->CloseNow();
    done();
    return;
  }
  TOCSIN_DCHECK(impl_->options.executor->OnThread()) << "Stop() is for the loop";
  Impl::LoopState& loop = *impl_->loop;
  loop.stopped = true;
  impl_->stopping = true;
  loop.timer.Cancel();
  if (loop.busy) {
    loop.when_idle = std::move(done);
  } else {
    impl_->Close(std::move(done));
  }
}

}  // namespace tocsin::tsdb
