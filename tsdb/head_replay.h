#pragma once

// Bringing the head back: its written chunks are listed, a snapshot read if there is one, then the log (the checkpoint,
// the segments behind it, the late samples), without the samples that the chunks have.  For the head's files only.
//
// Threads: one reads, others append (replay_workers.h), one makes the postings (replay_postings.h).

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "tsdb/head.h"
#include "tsdb/page_cursor.h"
#include "tsdb/replay_postings.h"
#include "tsdb/replay_workers.h"

namespace tocsin::tsdb {

// A snapshot of the head, and where the log goes on.
struct SnapshotRef {
  std::string path;
  int segment = 0;
  uint64_t offset = 0;
};
std::optional<SnapshotRef> LastSnapshot(base::FileSystem* fs, const std::string& folder);
// All but the one at `keep`, and leftovers.
base::Status RemoveSnapshots(base::FileSystem* fs, const std::string& folder, const std::string& keep);

class HeadReplay {
 public:
  HeadReplay(Head* head, model::Timestamp min_valid) : head_(head), min_valid_(min_valid) {}

  // Lists the written chunks; each series gets its own when it is met.
  base::Status Chunks();
  // Reads a snapshot.  False: it is damaged, or the log does not go on from it; nothing was read.
  base::Result<bool> Snapshot(const SnapshotRef& snapshot);
  // Waits until all that was read is in the chunks, and takes the numbers over.
  void Drain();
  // After the log: what written chunks have need not be in memory, and what only the log has beside the chunks is
  // sealed, so that the log can do without it; then the last samples of series whose newest is in a written chunk.
  void Finish();

  // Segments behind number `after`; of segment `from` what stands behind `offset`.
  base::Status Folder(const std::string& folder, int after, bool may_be_torn, bool late, int from = -1, uint64_t offset = 0);
  void Report() const;
  // What the log has, and what of it chunks have.
  uint64_t read_samples() const { return read_samples_; }
  uint64_t samples() const { return samples_; }
  model::Timestamp mint() const { return mint_; }
  model::Timestamp maxt() const { return maxt_; }
  // Second numbers of series, to the first.
  absl::flat_hash_map<storage::SeriesRef, storage::SeriesRef> Aliases() const;

 private:
  base::Status Segment(const std::string& path, bool last, bool late, uint64_t offset);
  void Record(std::string_view record, bool late);
  void Series();
  // The slot of a new series, or of the one with these labels; kNoSlot: the reference cannot be.
  Slot Create(storage::SeriesRef ref, const Head::Probe& probe) TOCSIN_REQUIRES(head_->index_mu_);
  base::Status SnapshotRecord(std::string_view record, bool apply);
  base::Status SnapshotSeries(std::string_view record, bool apply);
  base::Status CheckChunk(chunk::Encoding encoding, std::string_view data);
  void Samples(bool late);
  void Histograms(bool late);
  void Tombstones();
  void Exemplars();
  void Metadata();
  void MmapMarkers();
  void Attach(storage::SeriesRef ref, Slot slot);
  void AttachChunk(Slot slot, const HeadChunk& chunk);
  void ForgetWrittenLate(SeriesPage* page, uint32_t at);
  void SealFilled();
  storage::SeriesRef OwnRef(Slot slot) const;
  // Whether a written chunk has the sample; with gaps that takes a closer look.
  bool IsWritten(Slot slot, model::Timestamp t) const { return slot < written_until_.size() && t <= written_until_[slot] && !loaded_.gaps; }
  // The slot of a reference as the log names it; kNoSlot: no record of it was read.
  Slot Known(storage::SeriesRef ref) const {
    const Slot slot = head_->refs_.Find(ref);
    if (slot != RefTable::kNone || others_.empty()) [[likely]] return slot;
    const auto it = others_.find(ref);
    return it == others_.end() ? kNoSlot : it->second;
  }
  // The same; one that is not known is noted as lost.
  Slot Find(storage::SeriesRef ref) {
    const Slot slot = Known(ref);
    if (slot != kNoSlot) [[likely]] return slot;
    ++unknown_samples_;
    if (unknown_.size() < 100000) unknown_.insert(ref);
    return kNoSlot;
  }
  // A sample of the log of late ones.
  void Late(Slot slot, const LateSample& sample, model::Timestamp start) {
    PageCursor cursor(head_->table_);
    SeriesPage* page = cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    Note(sample.t);
    const bool repeat = page->has(at, SeriesPage::kHasSamples) && sample.t == page->last_t[at];
    if (repeat || !InsertLate(page, at, sample, start)) return;
    head_->late_samples_.fetch_add(1, std::memory_order_relaxed);
    if (page->late->find(at)->second.samples.size() < kMaxLateSamples) return;
    SealLate(page, at, head_->policy_);
    sealed_.push_back(slot);
  }
  void Note(model::Timestamp t) {
    mint_ = std::min(mint_, t);
    maxt_ = std::max(maxt_, t);
  }

  Head* const head_;
  const model::Timestamp min_valid_;
  // Written chunks, by series: a chain through next_ from the first.
  HeadChunks::Loaded loaded_;
  struct Chain {
    uint32_t first, last;
  };
  absl::flat_hash_map<storage::SeriesRef, Chain> chains_;
  std::vector<uint32_t> next_;
  std::vector<model::Timestamp> written_until_;  // by slot: up to when chunks have its samples
  size_t attached_ = 0, unattached_ = 0;
  // Chunks of late samples from before the head, by their number: those that the log of late samples names are in no
  // block yet.
  struct OldLate {
    Slot slot;
    uint32_t chunk;
  };
  absl::flat_hash_map<uint64_t, OldLate> old_late_;
  std::unique_ptr<ReplayWorkers> workers_;
  std::unique_ptr<ReplayPostings> postings_;
  std::vector<Slot> sealed_;  // with chunks to be written
  std::vector<Slot> filled_;  // with samples that lay in damaged chunks
  bool snapshot_whole_ = false;
  absl::flat_hash_map<storage::SeriesRef, Slot> others_;  // a second number for a series that has one
  absl::flat_hash_set<storage::SeriesRef> unknown_;
  uint64_t unknown_samples_ = 0, unknown_late_ = 0, read_samples_ = 0, samples_ = 0, records_ = 0, bad_records_ = 0;
  model::Timestamp mint_ = model::kMaxTimestamp, maxt_ = model::kMinTimestamp;

  wal::DecodedSeries series_;
  std::vector<Head::Probe> probes_;
  std::vector<storage::FloatSample> floats_;
  std::vector<model::Timestamp> starts_;  // of the floats, or empty
  std::vector<wal::HistogramEntry> histograms_;
  std::vector<wal::Tombstone> tombstones_;
  std::vector<wal::ExemplarEntry> exemplars_;
  storage::SampleColumns checked_;
  std::vector<wal::MetadataEntry> metadata_;
  std::vector<wal::MmapMarker> markers_;
};

}  // namespace tocsin::tsdb
