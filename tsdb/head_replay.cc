// Damage of the log is repaired segment by segment as it is met.

#include "tsdb/head_replay.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/log.h"
#include "tsdb/wal/checkpoint.h"

namespace tocsin::tsdb {

namespace {

// References named in the log line about samples without a series.
constexpr size_t kMaxNamedRefs = 10;

}  // namespace

base::Status HeadReplay::Chunks() {
  const HeadOptions& o = head_->options_;
  ASSIGN_OR_RETURN(head_->chunk_files_, HeadChunks::Open({.fs = o.fs,
                                                          .folder = base::JoinPath(o.folder, "chunks_head"),
                                                          .corruptions = head_->metrics_->chunk_corruptions},
                                                         min_valid_, &loaded_));
  const auto& chunks = loaded_.chunks;
  next_.assign(chunks.size(), kNoSlot);
  for (uint32_t i = 0; i < chunks.size(); ++i) {
    const auto [it, first] = chains_.try_emplace(chunks[i].series, Chain{i, i});
    if (!first) next_[std::exchange(it->second.last, i)] = i;
  }
  const int threads = o.replay_threads > 0 ? o.replay_threads : static_cast<int>(std::thread::hardware_concurrency()) - 1;
  workers_ = std::make_unique<ReplayWorkers>(&head_->table_, head_->policy_, loaded_.gaps, o.start_times, threads);
  postings_ = std::make_unique<ReplayPostings>(&head_->postings_);
  return {};
}

void HeadReplay::Drain() {
  workers_->Drain();
  const ReplayWorkers::Totals done = workers_->Take();
  samples_ += done.samples;
  mint_ = std::min(mint_, done.mint);
  maxt_ = std::max(maxt_, done.maxt);
  sealed_.insert(sealed_.end(), done.sealed.begin(), done.sealed.end());
  filled_.insert(filled_.end(), done.filled.begin(), done.filled.end());
  head_->chunk_count_.fetch_add(static_cast<uint64_t>(done.chunks), std::memory_order_relaxed);
  head_->stale_.fetch_add(done.stale, std::memory_order_relaxed);
  head_->late_samples_.fetch_add(done.late, std::memory_order_relaxed);
}

void HeadReplay::Attach(storage::SeriesRef ref, Slot slot) {
  const auto it = chains_.find(ref);
  if (it == chains_.end()) return;
  if (written_until_.size() <= slot) written_until_.resize(slot + slot / 2 + 1, model::kMinTimestamp);
  for (uint32_t i = it->second.first; i != kNoSlot; i = next_[i]) {
    const HeadChunk& c = loaded_.chunks[i];
    if (c.late && c.maxt < min_valid_) {
      old_late_[c.number] = {slot, i};
    } else {
      AttachChunk(slot, c);
    }
  }
  chains_.erase(it);
}

void HeadReplay::AttachChunk(Slot slot, const HeadChunk& c) {
  PageCursor cursor(head_->table_);
  SeriesPage* page = cursor.MoveTo(slot);
  const uint32_t at = SeriesTable::At(slot);
  const SealedChunk chunk{.mint = c.mint, .place = c.number, .span = static_cast<uint32_t>(c.maxt - c.mint),
                          .count = c.samples, .encoding = c.encoding, .unused = 0};
  const bool too_long = c.maxt - c.mint > UINT32_MAX;
  if (c.late && !too_long) {
    AddLate(page, at, chunk);
    head_->late_samples_.fetch_add(c.samples, std::memory_order_relaxed);
    // Of one from across the head's beginning no block may have the first samples.
    Note(c.mint);
    Note(c.maxt);
    ++attached_;
    return;
  }
  if (!too_long && (!page->has(at, SeriesPage::kHasSamples) || page->last_t[at] < c.mint)) {
    if (page->open[at] != nullptr) {
      SealOpen(page, at);
      sealed_.push_back(slot);
      if (page->has(at, SeriesPage::kStaleLast)) head_->stale_.fetch_sub(1, std::memory_order_relaxed);
    }
    AddSealed(page, at, chunk);
    page->last_t[at] = c.maxt;
    page->flags[at] = static_cast<uint8_t>((page->flags[at] | SeriesPage::kHasSamples) & ~SeriesPage::kStaleLast);
  } else if (too_long || !InsertSealed(page, at, chunk)) {
    ++unattached_;
    if (c.late) return;
    // Its samples may be no other chunk's.
    loaded_.gaps = true;
    workers_->LookForGaps();
    return;
  }
  ++attached_;
  Note(std::max(c.mint, min_valid_));
  Note(c.maxt);
  head_->chunk_count_.fetch_add(1, std::memory_order_relaxed);
  written_until_[slot] = std::max(written_until_[slot], c.maxt);
}

void HeadReplay::Finish() {
  head_->metrics_->series_created->Add(static_cast<double>(postings_->Finish()));
  for (const auto& [ref, chain] : chains_) {
    for (uint32_t i = chain.first; i != kNoSlot; i = next_[i]) ++unattached_;
  }
  storage::SampleColumns last;
  PageCursor cursor(head_->table_);
  const uint32_t end = head_->table_.slots_end();
  for (Slot slot = 0; slot < end; ++slot) {
    SeriesPage* page = cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    if (page != nullptr) ForgetWrittenLate(page, at);
    if (page == nullptr || page->open[at] != nullptr || page->sealed_of(at).empty()) continue;
    const SealedChunk& c = page->sealed_of(at).back();
    last.Clear();
    const auto bytes = BytesOf(c, head_->chunk_files_.get());
    base::Status read = bytes ? chunk::Decode(c.encoding, *bytes, {c.maxt() - 1, c.maxt()}, 0, &last)
                              : base::Status(std::unexpected(bytes.error()));
    if (!read || last.values.empty()) continue;  // its checksum was good: the reader of the chunk will say more
    std::memcpy(&page->last_v[at], &last.values.back(), sizeof(double));
    if (model::IsStale(last.values.back())) {
      page->flags[at] |= SeriesPage::kStaleLast;
      head_->stale_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  cursor.Release();
  SealFilled();
  head_->QueueSealed(sealed_);
  sealed_.clear();
}

// The log of late samples, or a log with samples of a damaged chunk, is read from its beginning, and what stands there
// may be in a chunk by now.  A marker says so of late samples, but not which of them: those that waited beside the chunk
// are logged behind the marker once more, and a crash may come between.
void HeadReplay::ForgetWrittenLate(SeriesPage* page, uint32_t at) {
  if (!page->has(at, SeriesPage::kOutOfOrder)) return;
  LateSamples& late = page->late->find(at)->second;
  const bool in_memory = !late.samples.empty() || std::ranges::any_of(late.chunks, &SealedChunk::in_memory);
  if (!in_memory) return;
  const auto bits = [](double v) { return std::bit_cast<uint64_t>(v); };
  absl::flat_hash_set<std::pair<model::Timestamp, uint64_t>> written;
  storage::SampleColumns columns;
  const auto decode = [&](const SealedChunk& c) {
    columns.Clear();
    const auto bytes = BytesOf(c, head_->chunk_files_.get());
    return bytes && chunk::Decode(c.encoding, *bytes, {}, 0, &columns);
  };
  for (const SealedChunk& c : late.chunks) {
    if (c.in_memory() || !decode(c)) continue;
    for (size_t i = 0; i < columns.times.size(); ++i) written.emplace(columns.times[i], bits(columns.values[i]));
  }
  if (written.empty()) return;
  size_t gone = std::erase_if(late.samples, [&](const LateSample& s) {
    if (!written.contains({s.t, bits(s.v)})) return false;
    ForgetLateStart(page, at, s.t);
    return true;
  });
  std::erase_if(late.chunks, [&](const SealedChunk& c) {
    if (!c.in_memory() || !decode(c)) return false;
    for (size_t i = 0; i < columns.times.size(); ++i) {
      if (!written.contains({columns.times[i], bits(columns.values[i])})) return false;
    }
    gone += c.count;
    FreeBytes(c);
    return true;
  });
  head_->late_samples_.fetch_sub(gone, std::memory_order_relaxed);
}

void HeadReplay::SealFilled() {
  std::sort(filled_.begin(), filled_.end());
  filled_.erase(std::unique(filled_.begin(), filled_.end()), filled_.end());
  PageCursor cursor(head_->table_);
  for (const Slot slot : filled_) {
    SeriesPage* page = cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    if (!page->has(at, SeriesPage::kOutOfOrder) || page->late->find(at)->second.samples.empty()) continue;
    SealLate(page, at, head_->policy_);
    sealed_.push_back(slot);
  }
}

storage::SeriesRef HeadReplay::OwnRef(Slot slot) const {
  PageCursor cursor(head_->table_);
  return cursor.MoveTo(slot)->ref[SeriesTable::At(slot)];
}

absl::flat_hash_map<storage::SeriesRef, storage::SeriesRef> HeadReplay::Aliases() const {
  absl::flat_hash_map<storage::SeriesRef, storage::SeriesRef> aliases;
  for (const auto& [ref, slot] : others_) aliases[ref] = OwnRef(slot);
  return aliases;
}

base::Status HeadReplay::Segment(const std::string& path, bool last, bool late, uint64_t offset) {
  base::FileSystem* fs = head_->options_.fs;
  ASSIGN_OR_RETURN(std::unique_ptr<base::MappedFile> file, fs->Map(path));
  wal::SegmentReader reader(file->data(), offset);
  std::string_view record;
  while (reader.Next(&record)) Record(record, late);
  if (reader.damage().empty()) return {};
  file.reset();
  const std::string damaged = base::JoinPath(base::FolderOf(path), "damaged");
  ASSIGN_OR_RETURN(const wal::Repair repair, wal::RepairSegment(fs, path, damaged, last, offset));
  for (const wal::Damage& d : repair.damage) {
    base::LogWarn(repair.kept_in.empty() ? "write-ahead log: torn end cut off" : "write-ahead log: damaged, read on behind it",
                  {{"segment", path}, {"offset", d.offset}, {"resumed_at", d.resumed_at}, {"what", d.what},
                   {"copy", repair.kept_in}});
  }
  // A write that was cut short is no corruption: every crash leaves one.
  if (repair.kept_in.empty()) return {};
  head_->metrics_->wal_corruptions->Add();
  if (offset > 0 || late) return {};
  // A snapshot goes on from a place in a segment: records have moved.  The log has what it has.
  if (base::Status s = RemoveSnapshots(fs, head_->options_.folder, {}); !s) return s;
  return {};
}

base::Status HeadReplay::Folder(const std::string& folder, int after, bool may_be_torn, bool late, int from, uint64_t offset) {
  base::FileSystem* fs = head_->options_.fs;
  ASSIGN_OR_RETURN(const std::vector<int> segments, wal::ListSegments(fs, folder));
  const uint64_t unknown_before = unknown_samples_;
  WalReplayProgress* progress = head_->options_.progress;
  if (progress != nullptr && !late && !segments.empty()) {
    progress->min = std::max(segments.front(), after + 1);
    progress->max = segments.back();
  }
  for (const int index : segments) {
    if (index <= after) continue;
    if (progress != nullptr && !late) progress->current = index;
    RETURN_IF_ERROR(Segment(wal::SegmentPath(folder, index), may_be_torn && index == segments.back(), late,
                            index == from ? offset : 0));
    if (segments.size() > 1) base::LogInfo("write-ahead log: segment read", {{"folder", folder}, {"segment", index}, {"last", segments.back()}});
  }
  if (late) unknown_late_ += unknown_samples_ - unknown_before;
  return {};
}

void HeadReplay::Record(std::string_view record, bool late) {
  using wal::RecordType;
  ++records_;
  base::Status status;
  switch (wal::TypeOf(record)) {
    case RecordType::kSeries:
      series_.Clear();
      status = wal::DecodeSeries(record, &series_);
      Series();
      break;
    case RecordType::kSamples:
    case RecordType::kSamplesV2:
      floats_.clear();
      starts_.clear();
      status = wal::DecodeSamples(record, &floats_, head_->options_.start_times ? &starts_ : nullptr);
      Samples(late);
      break;
    case RecordType::kHistograms:
    case RecordType::kFloatHistograms:
    case RecordType::kCustomHistograms:
    case RecordType::kCustomFloatHistograms:
    case RecordType::kHistogramsV2:
    case RecordType::kFloatHistogramsV2:
      histograms_.clear();
      status = wal::DecodeHistograms(record, &histograms_);
      Histograms(late);
      break;
    case RecordType::kTombstones:
      tombstones_.clear();
      status = wal::DecodeTombstones(record, &tombstones_);
      Tombstones();
      break;
    case RecordType::kExemplars:
      exemplars_.clear();
      status = wal::DecodeExemplars(record, &exemplars_);
      Exemplars();
      break;
    case RecordType::kMetadata:
      metadata_.clear();
      status = wal::DecodeMetadata(record, &metadata_);
      Metadata();
      break;
    case RecordType::kMmapMarkers:
      markers_.clear();
      status = wal::DecodeMmapMarkers(record, &markers_);
      MmapMarkers();
      break;
    case RecordType::kMinValidTime:
    case RecordType::kUnknown: break;  // of a newer version
  }
  if (!status) {
    ++bad_records_;
    base::LogWarn("write-ahead log: a record ends too early", {{"error", status.error()}});
  }
}

void HeadReplay::Series() {
  constexpr size_t kAhead = 8;
  const size_t n = series_.refs.size();
  probes_.clear();
  for (size_t i = 0; i < n; ++i) probes_.push_back(Head::ProbeOf(series_.labels(i)));
  base::WriterLock lock(&head_->index_mu_);
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) head_->by_labels_.prefetch(probes_[i + kAhead]);
    const storage::SeriesRef ref = series_.refs[i];
    if (ref == 0 || ref >= RefTable::kMaxRef || probes_[i].labels.empty()) {
      ++bad_records_;
      continue;
    }
    Create(ref, probes_[i]);
  }
}

Slot HeadReplay::Create(storage::SeriesRef ref, const Head::Probe& probe) {
  head_->next_ref_ = std::max(head_->next_ref_, ref + 1);
  if (const std::optional<Slot> slot = head_->FindSeries(probe)) {
    if (head_->refs_.Find(ref) != *slot) {
      others_[ref] = *slot;
      if (chains_.contains(ref)) {
        Drain();  // what was read before may decide whether the chunks fit
        Attach(ref, *slot);
      }
    }
    return *slot;
  }
  if (head_->refs_.Find(ref) != RefTable::kNone) {
    ++bad_records_;  // one number for two series: the first keeps it
    return kNoSlot;
  }
  const Slot slot = head_->EnterSeries(ref, probe);
  postings_->Add(slot, head_->LabelsOfSlot(slot));
  Attach(ref, slot);
  return slot;
}

void HeadReplay::Samples(bool late) {
  read_samples_ += floats_.size();
  for (size_t i = 0; i < floats_.size(); ++i) {
    const storage::FloatSample& s = floats_[i];
    if (s.t < min_valid_ && !late) continue;
    const Slot slot = Find(s.ref);
    if (slot == kNoSlot) continue;
    const model::Timestamp start = starts_.empty() ? 0 : starts_[i];
    if (late) {
      Late(slot, {s.t, s.v, nullptr}, start);
    } else if (!IsWritten(slot, s.t)) {
      workers_->Add(slot, s.t, s.v, start);
    }
  }
}

void HeadReplay::Histograms(bool late) {
  read_samples_ += histograms_.size();
  for (const wal::HistogramEntry& h : histograms_) {
    if (h.t < min_valid_ && !late) continue;
    const Slot slot = Find(h.ref);
    if (slot == kNoSlot) continue;
    const model::Timestamp start = head_->options_.histogram_start_times ? h.start : 0;
    if (late) {
      Late(slot, {h.t, h.histogram->sum, h.histogram}, start);
    } else if (!IsWritten(slot, h.t)) {
      workers_->Add(slot, h.t, h.histogram, start);
    }
  }
}

void HeadReplay::Tombstones() {
  // What the workers have not appended yet is hidden as well: intervals hide by time.
  PageCursor cursor(head_->table_);
  for (const wal::Tombstone& t : tombstones_) {
    const Slot slot = Find(t.ref);
    if (slot == kNoSlot) continue;
    SeriesPage* page = cursor.MoveTo(slot);
    HideDeleted(page, SeriesTable::At(slot), {t.mint, t.maxt});
  }
}

void HeadReplay::Exemplars() {
  std::string labels;
  for (const wal::ExemplarEntry& e : exemplars_) {
    if (e.exemplar.t < min_valid_) continue;
    const Slot slot = Known(e.ref);
    if (slot == kNoSlot) continue;
    labels.clear();
    head_->EncodeLabels(*head_->LabelsOfSlot(slot), &labels);
    head_->exemplars_.Add(OwnRef(slot), model::LabelsView(labels), e.exemplar);
  }
}

void HeadReplay::Metadata() {
  for (wal::MetadataEntry& m : metadata_) {
    const Slot slot = Known(m.ref);
    if (slot == kNoSlot) continue;
    base::MutexLock lock(&head_->metadata_mu_);
    head_->metadata_[OwnRef(slot)] = std::move(m.metadata);
  }
}

// A chunk that the log of late samples names is in no block for certain.  What of the log it has: ForgetWrittenLate().
void HeadReplay::MmapMarkers() {
  for (const wal::MmapMarker& m : markers_) {
    const auto it = old_late_.find(m.chunk);
    if (it == old_late_.end() || it->second.slot != Known(m.ref)) continue;
    AttachChunk(it->second.slot, loaded_.chunks[it->second.chunk]);
    old_late_.erase(it);
  }
}

void HeadReplay::Report() const {
  if (unattached_ > 0) {
    base::LogInfo("chunks_head: chunks of series that the log does not name, or that overlap, were left out", {{"chunks", unattached_}});
  }
  head_->metrics_->replay_unknown_series->Add(static_cast<double>(unknown_samples_ - unknown_late_));
  head_->metrics_->replay_unknown_late_series->Add(static_cast<double>(unknown_late_));
  if (unknown_samples_ > 0) {
    std::vector<storage::SeriesRef> refs(unknown_.begin(), unknown_.end());
    std::sort(refs.begin(), refs.end());
    std::string named;
    for (size_t i = 0; i < std::min(refs.size(), kMaxNamedRefs); ++i) named += fmt::format("{}{}", i == 0 ? "" : " ", refs[i]);
    if (refs.size() > kMaxNamedRefs) named += " ...";
    base::LogWarn("write-ahead log: samples of series whose record is lost were left out",
                  {{"samples", unknown_samples_}, {"series", refs.size()}, {"references", named}});
  }
  if (bad_records_ > 0) base::LogWarn("write-ahead log: entries left out", {{"entries", bad_records_}});
  if (records_ > 0) base::LogInfo("write-ahead log replayed", {{"records", records_}, {"samples", samples_}, {"series", head_->series()}, {"chunks", attached_}});
}

base::Status Head::Replay(model::Timestamp min_valid) {
  const base::Duration begin = options_.monotonic ? options_.monotonic() : base::Duration(0);
  min_valid_.store(min_valid, std::memory_order_relaxed);
  if (options_.wal) {
    base::FileSystem* fs = options_.fs;
    const std::string folder = base::JoinPath(options_.folder, "wal");
    if (const auto text = fs->ReadFile(base::JoinPath(options_.folder, kRefsFile))) {
      storage::SeriesRef reserved = 0;
      std::from_chars(text->data(), text->data() + text->size(), reserved);
      base::WriterLock lock(&index_mu_);
      if (reserved < RefTable::kMaxRef) next_ref_ = std::max(next_ref_, reserved);
    }
    HeadReplay replay(this, min_valid);
    RETURN_IF_ERROR(replay.Chunks());
    ASSIGN_OR_RETURN(const auto checkpoint, wal::LastCheckpoint(fs, folder));
    std::optional<SnapshotRef> snapshot;
    if (options_.snapshot) snapshot = LastSnapshot(fs, options_.folder);
    if (snapshot) {
      ASSIGN_OR_RETURN(const bool read, replay.Snapshot(*snapshot));
      if (!read) snapshot.reset();
    }
    int after = checkpoint ? checkpoint->index : -1;
    if (snapshot && snapshot->segment > after) {
      after = snapshot->segment - 1;
    } else if (checkpoint) {
      RETURN_IF_ERROR(replay.Folder(checkpoint->path, -1, false, false));
    }
    RETURN_IF_ERROR(replay.Folder(folder, after, true, false, snapshot ? snapshot->segment : -1, snapshot ? snapshot->offset : 0));
    replay.Drain();  // late samples are judged by the last one in order
    RETURN_IF_ERROR(replay.Folder(base::JoinPath(options_.folder, "wbl"), -1, true, true));
    replay.Finish();
    replay.Report();
    if (replay.mint() <= replay.maxt()) NoteTimes(replay.mint(), replay.maxt());
    {
      base::WriterLock lock(&index_mu_);
      aliases_ = replay.Aliases();
      aliases_until_ = replay.maxt();
    }
    logged_samples_ = replay.read_samples();
    covered_samples_ = replay.read_samples() - std::min(replay.samples(), replay.read_samples());
    ASSIGN_OR_RETURN(log_, wal::Log::Open({.fs = fs,
                                           .folder = folder,
                                           .segment_bytes = options_.segment_bytes,
                                           .monotonic = options_.monotonic,
                                           .metrics = {.page_flushes = metrics_->wal_page_flushes,
                                                       .pages_completed = metrics_->wal_pages_completed,
                                                       .writes_failed = metrics_->wal_writes_failed,
                                                       .bytes = metrics_->wal_bytes,
                                                       .fsync_seconds = metrics_->wal_fsync_seconds,
                                                       .segment = metrics_->wal_segment}}));
  }
  if (options_.monotonic) metrics_->replay_seconds->Set(base::ToSeconds(options_.monotonic() - begin));
  return {};
}

}  // namespace tocsin::tsdb
