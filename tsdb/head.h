#pragma once

// The head: the series that are written now, in memory, and the log that brings them back.
//
// The way of a batch: Append() checks each sample against its series' last one, under the page's lock;
// Commit() encodes the records without a lock, then holds commit_mu_ for one write() of the records,
// the append to chunks and the publication of the batch's number.  So the log's order is the
// order in memory, batches are published in order, and kill -9 loses nothing visible.  Samples that come
// late are kept beside the chunks.
//
// The way of a chunk: sealed, it waits in memory until enough wait with it; then they are written to
// chunks_head/ at once (head_flush.cc) and read from there through a mapping.  The log has their samples too,
// until half of it is such samples: then it is checkpointed without them (head_log.cc).
//
// Threads: every method from any thread but Replay().
// Lock order: truncate_mu_, flush_mu_, commit_mu_, index_mu_, a page's mutex, then leaves (Isolation, Exemplars,
//             metadata_mu_, sealed_mu_).
//
// Between appender and garbage collection: a sample in an open batch pins its slot (`pending`).
// Between reader and garbage collection: a removed slot is freed when every reader and writer that was
// open is gone (Isolation's stamps).

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "storage/appender.h"
#include "storage/change_stream.h"
#include "storage/queryable.h"
#include "tsdb/db.h"
#include "tsdb/exemplars.h"
#include "tsdb/head_chunks.h"
#include "tsdb/index/postings.h"
#include "tsdb/index/symbols.h"
#include "tsdb/isolation.h"
#include "tsdb/label_order.h"
#include "tsdb/metrics.h"
#include "tsdb/ref_table.h"
#include "tsdb/series_table.h"
#include "tsdb/wal/log.h"
#include "tsdb/wal/record.h"

namespace tocsin::tsdb {

struct HeadOptions {
  base::FileSystem* fs = nullptr;
  std::string folder;  // of the database
  bool wal = true;
  wal::Compression compression = wal::Compression::kSnappy;
  bool sync = true;  // whether kSynced waits
  size_t segment_bytes = 128 << 20;
  uint64_t shorten_samples = 500'000;  // LogIsLong() from so many on that chunks have too
  int64_t chunk_range_ms = 2 * 3600 * 1000;
  int64_t out_of_order_ms = 0;
  size_t max_exemplars = 0;
  size_t flush_bytes = 256 << 10;  // sealed chunks that are written together
  size_t max_chunk_bytes = HeadChunks::kMaxChunkBytes;  // in chunks_head/; larger ones stay in memory
  bool snapshot = false;           // a start reads the last one, Close() writes one
  bool start_times = false;            // are kept, and taken from the log
  bool histogram_start_times = false;  // also in chunks of histograms.  REQUIRES: start_times
  int replay_threads = 0;          // that append while another reads the log; 0: by the machine's cores
  // Called by any thread, once, when LogIsLong() becomes true.  May be empty.
  std::function<void()> when_log_is_long;
  Metrics* metrics = nullptr;
  std::function<base::Duration()> monotonic;  // may be empty
  WalReplayProgress* progress = nullptr;      // may be null
};

// The number from which new references may be used, in the database's folder.
inline constexpr std::string_view kRefsFile = "series_refs";

class Head {
 public:
  explicit Head(HeadOptions options);
  ~Head();
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  // Reads the log (repairing it), then opens it for writing.  Samples before `min_valid` are in blocks
  // and left out.  Once, before anything else.
  base::Status Replay(model::Timestamp min_valid);

  std::unique_ptr<storage::Appender> NewAppender();
  base::Status WaitSynced(storage::SyncTicket ticket);
  std::unique_ptr<storage::Querier> NewQuerier(storage::Window window);
  Exemplars* exemplars() { return &exemplars_; }

  // No lock.  Raised before a removed series' slot may be given up: who enters as a reader and then finds
  // the generation unchanged may go on reading the slots it knows.
  uint64_t Generation() const { return generation_.load(std::memory_order_acquire); }
  std::optional<storage::SeriesChanges> ChangesSince(uint64_t generation) const;
  std::optional<model::Labels> LabelsOf(storage::SeriesRef ref) const;
  uint64_t series_gone() const { return series_gone_.load(std::memory_order_relaxed); }
  void ForgetGone(std::span<storage::SeriesRef> refs) const;
  HeadStats Stats(size_t top) const;

  // kMaxTimestamp and kMinTimestamp when there are no samples.
  model::Timestamp min_time() const { return min_time_.load(std::memory_order_relaxed); }
  model::Timestamp max_time() const { return max_time_.load(std::memory_order_relaxed); }
  model::Timestamp min_valid_time() const { return min_valid_.load(std::memory_order_relaxed); }
  int64_t chunk_range_ms() const { return options_.chunk_range_ms; }

  // Drops samples before `mint` and series without any; what is older is out of bounds from now on.
  // Then shortens the log behind a checkpoint.
  base::Status Truncate(model::Timestamp mint);

  // Writes the sealed chunks that wait in memory.  They stay there when that fails.
  base::Status FlushChunks();
  // Gives back what queries noted in passing and none has used for a round.
  void ForgetUnusedMarks() { table_.ForgetUnusedMarks(); }

  // Whether series, chunks or much else was freed since the last call.
  bool TakeFreed() { return freed_.exchange(false, std::memory_order_relaxed); }
  // Whether half of the log is samples that chunks_head/ has too.
  bool LogIsLong() const;
  // Checkpoints the log without them, after their chunks are on stable storage.
  base::Status ShortenLog();
  // Whether a sync of the log failed since it was checkpointed last: what it covered is in memory, and may be on no disk.
  // Until ShortenLog() the ticket of a batch that repeats samples fails too.
  bool log_in_doubt() const { return failed_ticket_.load(std::memory_order_relaxed) > checkpointed_.load(std::memory_order_relaxed); }

  // Takes nothing before `mint` in order from now on.
  void RaiseMinValid(model::Timestamp mint);
  // The same, since a block of all before `mint` is about to be written: late samples that come from
  // now on may not be in it, and outlive the next Truncate().
  void BeginCut(model::Timestamp mint);
  // A moment, and whether everybody who reads or writes since before it is gone.
  uint64_t Stamp() const { return isolation_.Stamp(); }
  bool ReadersGoneSince(uint64_t stamp) const { return isolation_.AllGoneSince(stamp); }

  // Hides samples of matching series in [mint, maxt], and logs it.
  base::Status Delete(model::Timestamp mint, model::Timestamp maxt, std::span<const model::Matchers> any_of);

  void SetOutOfOrderWindow(int64_t ms) { out_of_order_ms_.store(ms, std::memory_order_relaxed); }
  int64_t out_of_order_ms() const { return out_of_order_ms_.load(std::memory_order_relaxed); }
  // Whether there are samples that came out of order, and what they span.
  bool has_out_of_order() const { return late_samples_.load(std::memory_order_relaxed) > 0; }
  wal::Log* log() { return log_.get(); }
  uint64_t LogBytes() const { return log_ ? log_->SizeBytes() : 0; }
  uint64_t ChunkFileBytes() const { return chunk_files_ ? chunk_files_->size_bytes() : 0; }
  Isolation::Batches batches() const { return isolation_.batches(); }
  size_t open_appenders() const { return isolation_.writers(); }
  uint64_t series() const { return series_count_.load(std::memory_order_relaxed); }
  uint64_t chunks() const { return chunk_count_.load(std::memory_order_relaxed); }
  uint64_t stale_series() const { return static_cast<uint64_t>(std::max<int64_t>(0, stale_.load(std::memory_order_relaxed))); }
  size_t symbol_bytes() const;
  uint64_t edits() const { return edits_.load(std::memory_order_relaxed); }

  // With a snapshot, if the options say so.
  base::Status Close();

 private:
  friend class HeadAppender;
  friend class HeadQuerier;
  friend class HeadView;
  friend class HeadExport;
  friend class HeadSeriesSet;
  friend class HeadReplay;
  friend class Standing;
  friend class StandingHeadReader;
  friend class StandingHeadSet;

  struct TableKey {
    uint32_t tag;
    Slot slot;
  };
  struct Probe {
    uint32_t tag;
    model::LabelsView labels;
  };
  static Probe ProbeOf(model::LabelsView labels) {
    const uint64_t hash = labels.Hash();
    return {static_cast<uint32_t>(hash >> 32 ^ hash), labels};
  }
  struct TableHash {
    using is_transparent = void;
    size_t operator()(const TableKey& k) const { return k.tag * 0x9e3779b97f4a7c15ULL; }
    size_t operator()(const Probe& p) const { return p.tag * 0x9e3779b97f4a7c15ULL; }
  };
  struct TableEqual {
    using is_transparent = void;
    const Head* head;
    bool operator()(const TableKey& a, const TableKey& b) const { return a.slot == b.slot; }
    bool operator()(const TableKey& a, const Probe& b) const { return a.tag == b.tag && head->SameLabels(a.slot, b.labels); }
    bool operator()(const Probe& a, const TableKey& b) const { return (*this)(b, a); }
  };
  struct Change {
    storage::SeriesRef ref : 63;
    storage::SeriesRef created : 1;
  };
  // Taken out of the index, not free yet.
  struct Limbo {
    uint64_t stamp;
    Slot slot;                              // kNoSlot: only the leaf
    std::unique_ptr<RefTable::Leaf> leaf;   // may be null
  };

  // REQUIRES: index_mu_ is held, or the slot cannot go.
  const SeriesLabels* LabelsOfSlot(Slot slot) const TOCSIN_NO_THREAD_SAFETY_ANALYSIS;
  bool SameLabels(Slot slot, model::LabelsView labels) const;
  void EncodeLabels(const SeriesLabels& labels, std::string* out) const;
  std::strong_ordering CompareLabels(const SeriesLabels& a, const SeriesLabels& b) const;
  // Ranks of all series by labels as of now.  REQUIRES: the caller holds a reader's view.
  LabelOrder::RanksPtr Ranks();

  std::optional<Slot> FindSeries(const Probe& probe) const TOCSIN_REQUIRES_SHARED(index_mu_);
  // A series that no record of the log names yet.
  Slot CreateSeries(storage::SeriesRef ref, const Probe& probe) TOCSIN_REQUIRES(index_mu_);
  // All of it but its postings and those who watch series come and go.
  Slot EnterSeries(storage::SeriesRef ref, const Probe& probe) TOCSIN_REQUIRES(index_mu_);
  base::Status ReserveRefs(storage::SeriesRef upto) TOCSIN_REQUIRES(index_mu_);
  bool RemoveSeries(Slot slot) TOCSIN_REQUIRES(index_mu_);
  void SweepLimbo() TOCSIN_REQUIRES(index_mu_);
  void NoteChange(storage::SeriesRef ref, bool created) TOCSIN_REQUIRES(index_mu_);

  void NoteTimes(model::Timestamp mint, model::Timestamp maxt);
  // What goes to wbl/ at once.
  struct LateBatch {
    std::vector<wal::MmapMarker> markers;
    std::vector<storage::FloatSample> floats;
    std::vector<model::Timestamp> starts;  // of the floats, up to the last that has one
    std::vector<wal::HistogramEntry> histograms;
    bool empty() const { return markers.empty() && floats.empty() && histograms.empty(); }
    // Those that wait in memory.  REQUIRES: the slot has late samples.
    void AddWaiting(const SeriesPage& page, uint32_t at);
    void Add(storage::SeriesRef ref, const storage::SampleColumns& samples);
    void Add(const storage::FloatSample& sample, model::Timestamp start);
  };
  // Returns what to wait for.
  base::Result<uint64_t> LogLate(const LateBatch& batch) TOCSIN_REQUIRES(commit_mu_);
  size_t CollectGarbage(model::Timestamp mint);
  base::Status TruncateLog(model::Timestamp mint) TOCSIN_REQUIRES(truncate_mu_);
  model::Timestamp DeletionsFrom() TOCSIN_REQUIRES(truncate_mu_);
  void ForgetDeletions(model::Timestamp from);
  void ForEachDeleted(const std::function<void(SeriesPage*, uint32_t)>& visit);
  // By slot, up to when chunks on stable storage have its samples; empty when they cannot be synced.
  std::vector<model::Timestamp> WrittenUntil();
  // REQUIRES: nobody appends.
  base::Status WriteSnapshot();
  // Begins the log of late samples anew, with those that are in the head still and in no written chunk.
  base::Status TruncateLateLog() TOCSIN_REQUIRES(truncate_mu_);
  base::Status CollectLate(LateBatch* batch);
  // The first file of chunks_head/ with late samples in use.
  uint32_t FirstLateFile();
  base::Status OpenLateLog() TOCSIN_REQUIRES(commit_mu_);

  // What became of the chunks of a flush.
  struct Flushed {
    Slot slot;
    storage::SeriesRef ref;
    model::Timestamp mint;
    uint64_t from;    // place in memory
    uint64_t number;  // in chunks_head/
    uint16_t samples;
    bool late;
  };
  // Notes slots with sealed chunks in memory, of about so many bytes.
  void QueueSealed(std::span<const Slot> slots);
  // Flushes if enough waits and nobody flushes already.
  void FlushIfDue();
  base::Status FlushLocked() TOCSIN_REQUIRES(flush_mu_);
  base::Status WriteOut(std::vector<Flushed>* flushed) TOCSIN_REQUIRES(flush_mu_);
  base::Status MarkLateChunks(std::span<const Flushed> flushed) TOCSIN_REQUIRES(flush_mu_);

  const HeadOptions options_;
  const CutPolicy policy_;
  Metrics* const metrics_;
  std::unique_ptr<wal::Log> log_;
  std::unique_ptr<wal::Log> late_log_ TOCSIN_GUARDED_BY(commit_mu_);  // wbl/, begun by the first late sample

  std::unique_ptr<HeadChunks> chunk_files_;  // null: chunks stay in memory.  Written under flush_mu_
  base::Mutex flush_mu_;
  base::Mutex sealed_mu_;
  std::vector<Slot> sealed_ TOCSIN_GUARDED_BY(sealed_mu_);  // that have sealed chunks in memory
  std::atomic<size_t> sealed_count_{0};
  std::atomic<bool> flush_failed_{false};  // not tried again but by FlushChunks()

  base::Mutex commit_mu_;
  uint64_t next_batch_ TOCSIN_GUARDED_BY(commit_mu_) = 1;
  // The oldest sample that came since garbage was begun to be collected.
  model::Timestamp oldest_since_ TOCSIN_GUARDED_BY(commit_mu_) = model::kMaxTimestamp;

  mutable base::SharedMutex index_mu_;
  index::Symbols symbols_;
  index::Postings postings_{&symbols_};
  absl::flat_hash_set<TableKey, TableHash, TableEqual> by_labels_ TOCSIN_GUARDED_BY(index_mu_);
  SeriesTable table_;
  RefTable refs_;
  storage::SeriesRef next_ref_ TOCSIN_GUARDED_BY(index_mu_) = 1;
  storage::SeriesRef reserved_refs_ TOCSIN_GUARDED_BY(index_mu_) = 0;  // noted on disk
  std::deque<Limbo> limbo_ TOCSIN_GUARDED_BY(index_mu_);
  LabelOrder order_ TOCSIN_GUARDED_BY(index_mu_);
  std::deque<Change> changes_ TOCSIN_GUARDED_BY(index_mu_);
  uint64_t first_change_ TOCSIN_GUARDED_BY(index_mu_) = 0;  // generation of changes_[0]
  // Removed series and the segment that was written then: their records stay in checkpoints until every
  // sample of theirs is behind one.
  absl::flat_hash_map<storage::SeriesRef, int> removed_ TOCSIN_GUARDED_BY(index_mu_);
  // Second numbers that the log had for series at the start, to the first; and the last sample of that log.  Their
  // records are kept until the head begins behind it: samples and written chunks go by them.
  absl::flat_hash_map<storage::SeriesRef, storage::SeriesRef> aliases_ TOCSIN_GUARDED_BY(index_mu_);
  model::Timestamp aliases_until_ TOCSIN_GUARDED_BY(index_mu_) = model::kMinTimestamp;

  Isolation isolation_;
  Exemplars exemplars_;
  mutable base::Mutex metadata_mu_;
  absl::flat_hash_map<storage::SeriesRef, model::Metadata> metadata_ TOCSIN_GUARDED_BY(metadata_mu_);
  base::Mutex order_mu_;     // one builder of order_ at a time; before index_mu_
  base::Mutex truncate_mu_;  // one truncation or deletion at a time; before commit_mu_
  // Nothing before it was in the log of late samples when that was begun anew.
  model::Timestamp late_log_from_ TOCSIN_GUARDED_BY(truncate_mu_) = model::kMinTimestamp;
  // Whether it may have samples that the head has dropped: since garbage was collected last it was not begun anew.
  bool late_log_stale_ TOCSIN_GUARDED_BY(truncate_mu_) = false;

  std::atomic<model::Timestamp> min_time_{model::kMaxTimestamp};
  std::atomic<model::Timestamp> max_time_{model::kMinTimestamp};
  std::atomic<model::Timestamp> min_valid_{model::kMinTimestamp};
  std::atomic<int64_t> out_of_order_ms_;
  std::atomic<uint64_t> series_count_{0};
  std::atomic<uint64_t> series_gone_{0};
  std::atomic<uint64_t> chunk_count_{0};
  std::atomic<uint64_t> late_samples_{0};
  // The last batch that is in the block being cut for certain; the maximum while none is.
  std::atomic<uint64_t> cut_batch_{UINT64_MAX};
  std::atomic<int64_t> stale_{0};
  std::atomic<uint64_t> edits_{0};
  // Samples in the log since it was shortened last, and those of them that chunks have; about.
  std::atomic<uint64_t> logged_samples_{0};
  std::atomic<uint64_t> covered_samples_{0};
  std::atomic<bool> log_is_long_told_{false};
  std::atomic<bool> freed_{false};
  std::atomic<uint64_t> failed_ticket_{0};  // the last that was waited for in vain
  std::atomic<uint64_t> checkpointed_{0};   // appends of the log up to it are in a checkpoint
  bool closed_ = false;
  std::atomic<uint64_t> generation_{0};  // first_change_ + changes_.size()
};

}  // namespace tocsin::tsdb
