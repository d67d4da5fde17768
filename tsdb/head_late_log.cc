// The log of late samples, wbl/: written and synced with their batch, begun anew at each truncation of the head.
//
//   wbl/ = { names of chunks | samples }*
//
// A start takes all samples but those that chunks of late samples have, and of such chunks from before the head those
// that are named: they are in no block yet.

#include <algorithm>

#include "base/log.h"
#include "tsdb/head.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {
namespace {

// Entries of a record; a record must fit the smallest segment.
constexpr size_t kRecordEntries = 1024;

// `encode` is told the first entry of a record, and their number.
template <class Encode>
void PackSome(size_t entries, wal::Compression compression, Encode encode, std::vector<wal::PackedRecord>* out) {
  for (size_t i = 0; i < entries; i += kRecordEntries) {
    std::string record;
    encode(i, std::min(kRecordEntries, entries - i), &record);
    out->push_back(wal::Pack(std::move(record), compression));
  }
}

}  // namespace

base::Status Head::OpenLateLog() {
  if (late_log_ != nullptr) return {};
  ASSIGN_OR_RETURN(late_log_, wal::Log::Open({.fs = options_.fs,
                                              .folder = base::JoinPath(options_.folder, "wbl"),
                                              .segment_bytes = options_.segment_bytes,
                                              .monotonic = {},
                                              .metrics = {}}));
  return {};
}

void Head::LateBatch::Add(const storage::FloatSample& sample, model::Timestamp start) {
  floats.push_back(sample);
  if (start == 0) return;
  starts.resize(floats.size());
  starts.back() = start;
}

void Head::LateBatch::AddWaiting(const SeriesPage& page, uint32_t at) {
  const storage::SeriesRef ref = page.ref[at];
  for (const LateSample& s : page.late->find(at)->second.samples) {
    const model::Timestamp start = LateStartOf(page, at, s.t);
    if (s.histogram) {
      histograms.push_back({ref, s.t, s.histogram, start});
    } else {
      Add({ref, s.t, s.v}, start);
    }
  }
}

void Head::LateBatch::Add(storage::SeriesRef ref, const storage::SampleColumns& samples) {
  size_t next = 0;
  for (size_t i = 0; i < samples.times.size(); ++i) {
    const model::Timestamp start = samples.start_times.empty() ? 0 : samples.start_times[i];
    if (next < samples.histogram_at.size() && samples.histogram_at[next] == i) {
      histograms.push_back({ref, samples.times[i], samples.histograms[next++], start});
    } else {
      Add({ref, samples.times[i], samples.values[i]}, start);
    }
  }
}

base::Result<uint64_t> Head::LogLate(const LateBatch& batch) {
  RETURN_IF_ERROR(OpenLateLog());
  std::vector<wal::PackedRecord> records;
  const auto markers = [&](size_t first, size_t count, std::string* out) {
    wal::EncodeMmapMarkers(std::span(batch.markers).subspan(first, count), out);
  };
  PackSome(batch.markers.size(), options_.compression, markers, &records);
  std::vector<model::Timestamp> starts = batch.starts;
  if (!starts.empty()) starts.resize(batch.floats.size());
  const auto floats = [&](size_t first, size_t count, std::string* out) {
    wal::EncodeSamples(std::span(batch.floats).subspan(first, count), out,
                       starts.empty() ? std::span(starts) : std::span(starts).subspan(first, count));
  };
  PackSome(batch.floats.size(), options_.compression, floats, &records);
  for (const wal::HistogramEntry& h : batch.histograms) {
    std::string record;
    wal::EncodeHistograms({&h, 1}, &record);
    records.push_back(wal::Pack(std::move(record), options_.compression));
  }
  return late_log_->Append(records);
}

// The log of late samples names the chunks that were written.  To Prometheus that says that what stands before is in
// them, so what waits beside them stands behind once more.
base::Status Head::MarkLateChunks(std::span<const Flushed> flushed) {
  base::MutexLock commit(&commit_mu_);
  LateBatch batch;
  {
    PageCursor cursor(table_);
    Slot last = kNoSlot;
    for (const Flushed& f : flushed) {
      if (!f.late) continue;
      batch.markers.push_back({f.ref, f.number});
      SeriesPage* page = cursor.MoveTo(f.slot);
      const uint32_t at = SeriesTable::At(f.slot);
      if (f.slot == last || page == nullptr || page->ref[at] != f.ref || !page->has(at, SeriesPage::kOutOfOrder)) continue;
      last = f.slot;
      batch.AddWaiting(*page, at);
    }
  }
  if (batch.empty()) return {};
  // Nobody waits for it: the samples before it stand where they stood.
  const auto logged = LogLate(batch);
  return logged ? base::Status() : std::unexpected(logged.error());
}

base::Status Head::CollectLate(LateBatch* batch) {
  PageCursor cursor(table_);
  storage::SampleColumns columns;
  const uint32_t end = table_.slots_end();
  for (Slot slot = 0; slot < end;) {
    const SeriesPage* page = cursor.MoveTo(slot);
    if (page == nullptr || page->late == nullptr) {
      slot += SeriesPage::kSlots - SeriesTable::At(slot);
      continue;
    }
    const uint32_t at = SeriesTable::At(slot++);
    if (!page->has(at, SeriesPage::kOutOfOrder)) continue;
    const LateSamples& late = page->late->find(at)->second;
    for (const SealedChunk& c : late.chunks) {
      if (!c.in_memory()) {
        batch->markers.push_back({page->ref[at], c.place});
        continue;
      }
      columns.Clear();
      RETURN_IF_ERROR(chunk::Decode(c.encoding, c.memory()->data(), {}, 0, &columns));
      batch->Add(page->ref[at], columns);
    }
    batch->AddWaiting(*page, at);
  }
  return {};
}

uint32_t Head::FirstLateFile() {
  uint32_t first = HeadChunks::kMaxFiles;
  PageCursor cursor(table_);
  const uint32_t end = table_.slots_end();
  for (Slot slot = 0; slot < end; slot += SeriesPage::kSlots) {
    const SeriesPage* page = cursor.MoveTo(slot);
    if (page == nullptr || page->late == nullptr) continue;
    for (const auto& [at, late] : *page->late) {
      for (const SealedChunk& c : late.chunks) {
        if (!c.in_memory()) first = std::min(first, HeadChunks::FileOf(c.place));
      }
    }
  }
  return first;
}

base::Status Head::TruncateLateLog() {
  base::MutexLock flush(&flush_mu_);  // chunks do not go to files meanwhile
  // What a chunk has leaves the log when the chunk is on stable storage.  A failure has been told by WrittenUntil().
  if (chunk_files_->sync_failed() || !chunk_files_->Sync()) return {};
  base::MutexLock commit(&commit_mu_);
  LateBatch batch;
  RETURN_IF_ERROR(CollectLate(&batch));
  const model::Timestamp from = min_time();
  const std::string folder = base::JoinPath(options_.folder, "wbl");
  if (batch.empty() && late_log_ == nullptr) {
    ASSIGN_OR_RETURN(const std::vector<int> segments, wal::ListSegments(options_.fs, folder));
    for (const int index : segments) RETURN_IF_ERROR(options_.fs->Remove(wal::SegmentPath(folder, index)));
    if (!segments.empty()) RETURN_IF_ERROR(options_.fs->SyncFolder(folder));
  } else {
    RETURN_IF_ERROR(OpenLateLog());
    ASSIGN_OR_RETURN(const int current, late_log_->Cut());
    if (!batch.empty()) {
      ASSIGN_OR_RETURN(const uint64_t number, LogLate(batch));
      RETURN_IF_ERROR(late_log_->WaitSynced(number));
    }
    RETURN_IF_ERROR(late_log_->Truncate(current));
    // A power loss does not bring them back either: what is deleted in blocks from now on would be here again.
    RETURN_IF_ERROR(options_.fs->SyncFolder(folder));
  }
  late_log_from_ = from;
  late_log_stale_ = false;
  return {};
}

}  // namespace tocsin::tsdb
