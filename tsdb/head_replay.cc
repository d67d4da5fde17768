// Damage of the log is repaired segment by segment as it is met.

#include "tsdb/head_replay.h"

#include <algorithm>
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
  workers_ = std::make_unique<ReplayWorkers>(&head_->table_, head_->policy_, loaded_.gaps, threads);
  return {};
}

void HeadReplay::Drain() {
  workers_->Drain();
  const ReplayWorkers::Totals done = workers_->Take();
  samples_ += done.samples;
  mint_ = std::min(mint_, done.mint);
  maxt_ = std::max(maxt_, done.maxt);
  sealed_.insert(sealed_.end(), done.sealed.begin(), done.sealed.end());
  head_->chunk_count_.fetch_add(static_cast<uint64_t>(done.chunks), std::memory_order_relaxed);
  head_->stale_.fetch_add(done.stale, std::memory_order_relaxed);
  head_->late_samples_.fetch_add(done.late, std::memory_order_relaxed);
}

void HeadReplay::Attach(storage::SeriesRef ref, Slot slot) {
  const auto it = chains_.find(ref);
  if (it == chains_.end()) return;
  if (written_until_.size() <= slot) written_until_.resize(slot + slot / 2 + 1, model::kMinTimestamp);
  PageCursor cursor(head_->table_);
  SeriesPage* page = cursor.MoveTo(slot);
  const uint32_t at = SeriesTable::At(slot);
  size_t added = 0;
  for (uint32_t i = it->second.first; i != kNoSlot; i = next_[i]) {
    const HeadChunk& c = loaded_.chunks[i];
    const std::span<const SealedChunk> sealed = page->sealed_of(at);
    const bool follows = sealed.empty() || sealed.back().maxt() < c.mint;
    if (c.maxt - c.mint > UINT32_MAX || (!c.late && (!follows || page->open[at] != nullptr))) {
      ++unattached_;
      continue;
    }
    const SealedChunk chunk{.mint = c.mint, .place = c.number, .span = static_cast<uint32_t>(c.maxt - c.mint),
                            .count = c.samples, .encoding = c.encoding, .unused = 0};
    ++attached_;
    Note(std::max(c.mint, min_valid_));
    Note(c.maxt);
    if (c.late) {
      AddLate(page, at, chunk);
      head_->late_samples_.fetch_add(c.samples, std::memory_order_relaxed);
      continue;
    }
    AddSealed(page, at, chunk);
    ++added;
    page->last_t[at] = c.maxt;
    page->flags[at] |= SeriesPage::kHasSamples;
    written_until_[slot] = c.maxt;
  }
  head_->chunk_count_.fetch_add(added, std::memory_order_relaxed);
  chains_.erase(it);
}

void HeadReplay::Finish() {
  for (const auto& [ref, chain] : chains_) {
    for (uint32_t i = chain.first; i != kNoSlot; i = next_[i]) ++unattached_;
  }
  storage::SampleColumns last;
  PageCursor cursor(head_->table_);
  const uint32_t end = head_->table_.slots_end();
  for (Slot slot = 0; slot < end; ++slot) {
    SeriesPage* page = cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
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
  head_->QueueSealed(sealed_);
  sealed_.clear();
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
  ASSIGN_OR_RETURN(const wal::Repair repair, wal::RepairSegment(fs, path, damaged, last));
  for (const wal::Damage& d : repair.damage) {
    base::LogWarn(repair.kept_in.empty() ? "write-ahead log: torn end cut off" : "write-ahead log: damaged, read on behind it",
                  {{"segment", path}, {"offset", d.offset}, {"resumed_at", d.resumed_at}, {"what", d.what},
                   {"copy", repair.kept_in}});
  }
  // A write that was cut short is no corruption: every crash leaves one.
  if (!repair.kept_in.empty()) head_->metrics_->wal_corruptions->Add();
  return {};
}

base::Status HeadReplay::Folder(const std::string& folder, int after, bool may_be_torn, bool late, int from, uint64_t offset) {
  base::FileSystem* fs = head_->options_.fs;
  ASSIGN_OR_RETURN(const std::vector<int> segments, wal::ListSegments(fs, folder));
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
      status = wal::DecodeSamples(record, &floats_);
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
  for (size_t i = 0; i < series_.refs.size(); ++i) {
    const storage::SeriesRef ref = series_.refs[i];
    const model::LabelsView labels = series_.labels(i);
    if (ref == 0 || ref >= RefTable::kMaxRef || labels.empty()) {
      ++bad_records_;
      continue;
    }
    Create(ref, labels);
  }
}

Slot HeadReplay::Create(storage::SeriesRef ref, model::LabelsView labels) {
  base::WriterLock lock(&head_->index_mu_);
  head_->next_ref_ = std::max(head_->next_ref_, ref + 1);
  const Head::Probe probe = Head::ProbeOf(labels);
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
  const Slot slot = head_->CreateSeries(ref, probe, true);
  Attach(ref, slot);
  return slot;
}

void HeadReplay::Samples(bool late) {
  read_samples_ += floats_.size();
  for (const storage::FloatSample& s : floats_) {
    if (s.t < min_valid_ && !late) continue;
    const Slot slot = Find(s.ref);
    if (slot == kNoSlot) continue;
    if (late) {
      Late(slot, {s.t, s.v, nullptr});
    } else if (!IsWritten(slot, s.t)) {
      workers_->Add(slot, s.t, s.v);
    }
  }
}

void HeadReplay::Histograms(bool late) {
  read_samples_ += histograms_.size();
  for (const wal::HistogramEntry& h : histograms_) {
    if (h.t < min_valid_ && !late) continue;
    const Slot slot = Find(h.ref);
    if (slot == kNoSlot) continue;
    if (late) {
      Late(slot, {h.t, h.histogram->sum, h.histogram});
    } else if (!IsWritten(slot, h.t)) {
      workers_->Add(slot, h.t, h.histogram);
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
    const Slot slot = head_->refs_.Find(e.ref);
    if (slot == RefTable::kNone) continue;
    labels.clear();
    head_->EncodeLabels(*head_->LabelsOfSlot(slot), &labels);
    head_->exemplars_.Add(e.ref, model::LabelsView(labels), e.exemplar);
  }
}

void HeadReplay::Metadata() {
  for (wal::MetadataEntry& m : metadata_) {
    if (head_->refs_.Find(m.ref) == RefTable::kNone) continue;
    base::MutexLock lock(&head_->metadata_mu_);
    head_->metadata_[m.ref] = std::move(m.metadata);
  }
}

// What stands before a marker in the log of late samples is in its chunk.
void HeadReplay::MmapMarkers() {
  PageCursor cursor(head_->table_);
  for (const wal::MmapMarker& m : markers_) {
    const Slot slot = head_->refs_.Find(m.ref);
    SeriesPage* page = slot == RefTable::kNone ? nullptr : cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    if (page == nullptr || !page->has(at, SeriesPage::kOutOfOrder)) continue;
    LateSamples& late = page->late->find(at)->second;
    if (std::none_of(late.chunks.begin(), late.chunks.end(), [&](const SealedChunk& c) { return c.place == m.chunk; })) continue;
    head_->late_samples_.fetch_sub(late.samples.size(), std::memory_order_relaxed);
    late.samples.clear();
  }
}

void HeadReplay::Report() const {
  if (unattached_ > 0) {
    base::LogInfo("chunks_head: chunks of series that the log does not name, or that overlap, were left out", {{"chunks", unattached_}});
  }
  head_->metrics_->replay_unknown_series->Add(static_cast<double>(unknown_samples_));
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
    logged_samples_ = replay.read_samples();
    covered_samples_ = replay.read_samples() - std::min(replay.samples(), replay.read_samples());
    ASSIGN_OR_RETURN(log_, wal::Log::Open({.fs = fs,
                                           .folder = folder,
                                           .segment_bytes = options_.segment_bytes,
                                           .monotonic = options_.monotonic,
                                           .metrics = {.page_flushes = metrics_->wal_page_flushes,
                                                       .writes_failed = metrics_->wal_writes_failed,
                                                       .bytes = metrics_->wal_bytes,
                                                       .fsync_seconds = metrics_->wal_fsync_seconds,
                                                       .segment = metrics_->wal_segment}}));
  }
  // Consumers of the change stream resolve first: what replay created is no change.
  base::WriterLock lock(&index_mu_);
  first_change_ += changes_.size();
  changes_.clear();
  if (options_.progress != nullptr) options_.progress->done = true;
  if (options_.monotonic) metrics_->replay_seconds->Set(base::ToSeconds(options_.monotonic() - begin));
  return {};
}

}  // namespace tocsin::tsdb
