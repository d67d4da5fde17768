// The head's snapshot: what is in memory at a clean stop, so that the next start need not read the log.  In the form of
// Prometheus's --enable-feature=memory-snapshot-on-shutdown:
//
//   chunk_snapshot.<segment, 6 digits>.<offset, 10 digits>/00000000 ...   segments of the log's framing
//   1 series      ref(8) labels range(8, unused) u 0 | u 1 mint(8) maxt(8) encoding(1) u length, data, last samples
//   2 tombstones  u length, 1, { u ref, v mint, v maxt }*
//   3 exemplars   a record of the log
//
// The log is read on from that segment and offset.  Sealed chunks are in chunks_head/.

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/log.h"
#include "tsdb/head.h"
#include "tsdb/head_replay.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {
namespace {

constexpr std::string_view kPrefix = "chunk_snapshot.";
constexpr char kSeriesRecord = 1, kTombstonesRecord = 2, kExemplarsRecord = 3;
constexpr char kTombstonesVersion = 1;
constexpr size_t kSegmentBytes = 128 << 20;
constexpr size_t kWriteBytes = 1 << 20;
// Samples that stood behind the chunk in older versions; the last value is the only one that is read.
constexpr size_t kSampleBytes = 4 * 16;

// Records one after another into numbered segments.
class Output {
 public:
  Output(base::FileSystem* fs, std::string folder) : fs_(fs), folder_(std::move(folder)) {}
  // Uncompressed: the disk is faster than the compression, and the chunks are compressed as they are.
  base::Status Add(std::string record) {
    wal::PackedRecord packed{std::move(record), wal::Compression::kNone};
    if (file_ == nullptr || offset_ + wal::FramedBytes(packed.bytes.size()) > kSegmentBytes) {
      RETURN_IF_ERROR(Finish());
      ASSIGN_OR_RETURN(file_, fs_->Open(wal::SegmentPath(folder_, next_++), base::FileSystem::Mode::kTruncate));
      offset_ = 0;
    }
    wal::Frame(packed, &offset_, &buffer_);
    return buffer_.size() >= kWriteBytes ? Write() : base::Status();
  }
  base::Status Finish() {
    if (file_ == nullptr) return {};
    RETURN_IF_ERROR(Write());
    RETURN_IF_ERROR(file_->Sync());
    file_ = nullptr;
    return {};
  }

 private:
  base::Status Write() {
    const base::Status written = file_->Append(buffer_);
    buffer_.clear();
    return written;
  }
  base::FileSystem* fs_;
  std::string folder_;
  std::unique_ptr<base::File> file_;
  uint64_t offset_ = 0;
  int next_ = 0;
  std::string buffer_;
};

void PutLabels(storage::SeriesRef ref, model::LabelsView labels, std::string* out) {
  out->push_back(kSeriesRecord);
  base::PutBe64(out, ref);
  base::PutUvarint(out, labels.size());
  for (const auto& [name, value] : labels) {
    base::PutText(out, name);
    base::PutText(out, value);
  }
  base::PutBe64(out, 0);
}

void PutOpen(const SeriesPage& page, uint32_t at, std::string* out) {
  if (page.open[at] == nullptr || page.has(at, SeriesPage::kHistogramRun)) {
    base::PutUvarint(out, 0);
    return;
  }
  std::string made;
  const EncodedOpen open = EncodeOpen(page, at, &made);
  base::PutUvarint(out, 1);
  base::PutBe64(out, static_cast<uint64_t>(page.xor_chunk(at)->mint));
  base::PutBe64(out, static_cast<uint64_t>(page.last_t[at]));
  out->push_back(static_cast<char>(open.encoding));
  base::PutText(out, open.data);
  out->append(kSampleBytes - 8, '\0');
  base::PutDouble(out, page.last_v[at]);
}

}  // namespace

std::optional<SnapshotRef> LastSnapshot(base::FileSystem* fs, const std::string& folder) {
  const auto files = fs->List(folder);
  std::optional<SnapshotRef> last;
  if (!files) return last;
  for (const base::FileInfo& f : *files) {
    if (!f.is_folder || !f.name.starts_with(kPrefix)) continue;
    SnapshotRef found{base::JoinPath(folder, f.name)};
    const char* end = f.name.data() + f.name.size();
    const auto [p, error] = std::from_chars(f.name.data() + kPrefix.size(), end, found.segment);
    if (error != std::errc() || p == end || *p != '.') continue;
    const auto [q, bad] = std::from_chars(p + 1, end, found.offset);
    if (bad != std::errc() || q != end) continue;
    if (!last || std::pair(found.segment, found.offset) > std::pair(last->segment, last->offset)) last = std::move(found);
  }
  return last;
}

base::Status RemoveSnapshots(base::FileSystem* fs, const std::string& folder, const std::string& keep) {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs->List(folder));
  for (const base::FileInfo& f : files) {
    const std::string path = base::JoinPath(folder, f.name);
    if (f.is_folder && f.name.starts_with(kPrefix) && path != keep) RETURN_IF_ERROR(fs->RemoveAll(path));
  }
  return {};
}

base::Status Head::WriteSnapshot() {
  const base::Duration begin = options_.monotonic ? options_.monotonic() : base::Duration(0);
  // Runs of histograms have no encoded form: they become chunks.
  std::vector<Slot> sealed;
  const uint32_t end = table_.slots_end();
  {
    PageCursor cursor(table_);
    for (Slot slot = 0; slot < end; ++slot) {
      SeriesPage* page = cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      if (page == nullptr || page->ref[at] == 0 || !page->has(at, SeriesPage::kHistogramRun)) continue;
      SealOpen(page, at);
      sealed.push_back(slot);
    }
  }
  QueueSealed(sealed);
  RETURN_IF_ERROR(FlushChunks());
  {
    base::MutexLock flush(&flush_mu_);
    RETURN_IF_ERROR(chunk_files_->Sync());
  }
  // Chunks that wait in memory would be in neither.
  {
    PageCursor cursor(table_);
    for (Slot slot = 0; slot < end; ++slot) {
      const SeriesPage* page = cursor.MoveTo(slot);
      if (page == nullptr) continue;
      const std::span<const SealedChunk> chunks = page->sealed_of(SeriesTable::At(slot));
      if (std::ranges::any_of(chunks, &SealedChunk::in_memory)) return base::FailedPrecondition("a chunk is too large for chunks_head/");
    }
  }
  base::MutexLock commit(&commit_mu_);
  const wal::Log::Position position = log_->position();
  const std::string path = base::JoinPath(options_.folder, fmt::format("{}{:06}.{:010}", kPrefix, position.segment, position.offset));
  const std::string temporary = path + ".tmp";
  RETURN_IF_ERROR(options_.fs->RemoveAll(temporary));
  RETURN_IF_ERROR(options_.fs->CreateFolders(temporary));
  Output out(options_.fs, temporary);
  std::string labels, tombstones(1, kTombstonesVersion);
  uint64_t series = 0;
  for (Slot slot = 0; slot < end; ++slot) {
    std::string record;
    {
      PageCursor cursor(table_);
      const SeriesPage* page = cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      if (page == nullptr || page->ref[at] == 0 || page->has(at, SeriesPage::kUnlogged)) continue;
      labels.clear();
      EncodeLabels(*page->labels[at], &labels);
      PutLabels(page->ref[at], model::LabelsView(labels), &record);
      PutOpen(*page, at, &record);
      if (page->has(at, SeriesPage::kDeleted)) {
        for (const Interval& i : page->deleted->find(at)->second) {
          base::PutUvarint(&tombstones, page->ref[at]);
          base::PutVarint(&tombstones, i.mint);
          base::PutVarint(&tombstones, i.maxt);
        }
      }
    }
    RETURN_IF_ERROR(out.Add(std::move(record)));
    ++series;
  }
  std::string record;
  absl::flat_hash_map<storage::SeriesRef, storage::SeriesRef> aliases;
  {
    base::ReaderLock lock(&index_mu_);
    aliases = aliases_;
  }
  for (const auto& [alias, ref] : aliases) {
    const Slot slot = refs_.Find(ref);
    if (slot == RefTable::kNone) continue;
    labels.clear();
    EncodeLabels(*LabelsOfSlot(slot), &labels);
    record.clear();
    PutLabels(alias, model::LabelsView(labels), &record);
    base::PutUvarint(&record, 0);
    RETURN_IF_ERROR(out.Add(std::move(record)));
  }
  record.assign(1, kTombstonesRecord);
  base::PutText(&record, tombstones);
  RETURN_IF_ERROR(out.Add(std::move(record)));
  std::vector<wal::ExemplarEntry> exemplars = exemplars_.All();
  if (!exemplars.empty()) {
    record.assign(1, kExemplarsRecord);
    wal::EncodeExemplars(exemplars, &record);
    RETURN_IF_ERROR(out.Add(std::move(record)));
  }
  RETURN_IF_ERROR(out.Finish());
  RETURN_IF_ERROR(options_.fs->SyncFolder(temporary));
  RETURN_IF_ERROR(options_.fs->Rename(temporary, path));
  RETURN_IF_ERROR(options_.fs->SyncFolder(options_.folder));
  RETURN_IF_ERROR(RemoveSnapshots(options_.fs, options_.folder, path));
  const double seconds = options_.monotonic ? base::ToSeconds(options_.monotonic() - begin) : 0;
  base::LogInfo("head snapshot written", {{"series", series}, {"folder", path}, {"seconds", seconds}});
  return {};
}

base::Result<bool> HeadReplay::Snapshot(const SnapshotRef& snapshot) {
  base::FileSystem* fs = head_->options_.fs;
  const auto leave_out = [&](std::string_view why) {
    head_->metrics_->snapshot_replay_errors->Add();
    base::LogWarn("head snapshot left out; the write-ahead log is read instead", {{"folder", snapshot.path}, {"why", why}});
    return false;
  };
  const auto segment = fs->Stat(wal::SegmentPath(base::JoinPath(head_->options_.folder, "wal"), snapshot.segment));
  if (!segment || segment->size < snapshot.offset) return leave_out("the log does not reach to where it was taken");
  ASSIGN_OR_RETURN(const std::vector<int> segments, wal::ListSegments(fs, snapshot.path));
  // Everything is looked at before anything is taken.  Where a chunk does not go with what is there the log is read over
  // what was taken: it has everything, and what is there twice is taken once.
  base::Status taken;
  for (const bool apply : {false, true}) {
    snapshot_whole_ = false;
    for (const int index : segments) {
      ASSIGN_OR_RETURN(const std::unique_ptr<base::MappedFile> file, fs->Map(wal::SegmentPath(snapshot.path, index)));
      wal::SegmentReader reader(file->data());
      std::string_view record;
      while (reader.Next(&record)) {
        base::Status status = SnapshotRecord(record, apply);
        if (!status && !apply) return leave_out(status.error().message());
        if (!status) taken = std::move(status);
      }
      if (!reader.damage().empty()) return leave_out(reader.damage().front().what);
    }
    if (!snapshot_whole_) return leave_out("it ends before its tombstones, which stand behind the series");
  }
  if (!taken) return leave_out(taken.error().message());
  base::LogInfo("head snapshot read", {{"folder", snapshot.path}, {"series", head_->series()}, {"chunks", attached_}});
  return true;
}

base::Status HeadReplay::SnapshotRecord(std::string_view record, bool apply) {
  if (record.empty()) return base::DataLoss("an empty record");
  switch (record[0]) {
    case kSeriesRecord: return SnapshotSeries(record, apply);
    case kTombstonesRecord: {
      snapshot_whole_ = true;
      base::Decoder in(record.substr(1));
      base::Decoder list(in.Text());
      if (const uint8_t version = list.Byte(); version != kTombstonesVersion) {
        return base::DataLoss(fmt::format("tombstones of version {}", version));
      }
      while (list.more()) {
        const storage::SeriesRef ref = list.Uvarint();
        const Interval interval{list.Varint(), list.Varint()};
        if (!list.ok()) break;
        const Slot slot = head_->refs_.Find(ref);
        if (!apply || slot == RefTable::kNone) continue;
        PageCursor cursor(head_->table_);
        HideDeleted(cursor.MoveTo(slot), SeriesTable::At(slot), interval);
      }
      return in.ok() && list.ok() ? base::Status() : base::DataLoss("tombstones end too early");
    }
    case kExemplarsRecord: {
      exemplars_.clear();
      RETURN_IF_ERROR(wal::DecodeExemplars(record.substr(1), &exemplars_));
      if (apply) Exemplars();
      return {};
    }
    default: return base::DataLoss(fmt::format("a record of type {}", static_cast<int>(record[0])));
  }
}

// A chunk that cannot be taken is found before the log behind which the snapshot stands is passed over.
base::Status HeadReplay::CheckChunk(chunk::Encoding encoding, std::string_view data) {
  checked_.Clear();
  RETURN_IF_ERROR(chunk::Decode(encoding, data, {}, 0, &checked_));
  const std::vector<model::Timestamp>& times = checked_.times;
  if (std::adjacent_find(times.begin(), times.end(), std::greater_equal<>()) != times.end()) {
    return base::DataLoss("a chunk whose times do not ascend");
  }
  return {};
}

base::Status HeadReplay::SnapshotSeries(std::string_view record, bool apply) {
  base::Decoder in(record.substr(1));
  const storage::SeriesRef ref = in.Be64();
  std::string& text = series_.text;
  text.clear();
  const size_t n = in.Count(2);
  std::string_view last;
  for (size_t i = 0; i < n && in.ok(); ++i) {
    const std::string_view name = in.Text(), value = in.Text();
    if (in.ok() && (name <= last || value.empty())) return base::DataLoss("labels that are empty or out of order");
    last = name;
    if (apply) model::AppendEncodedLabel(name, value, &text);
  }
  in.Be64();
  model::Timestamp mint = 0, maxt = 0;
  auto encoding = chunk::Encoding::kNone;
  std::string_view data;
  if (in.Uvarint() != 0) {
    mint = static_cast<model::Timestamp>(in.Be64());
    maxt = static_cast<model::Timestamp>(in.Be64());
    encoding = static_cast<chunk::Encoding>(in.Byte());
    data = in.Text();
  }
  if (!in.ok() || n == 0 || ref == 0 || ref >= RefTable::kMaxRef) return base::DataLoss("a series ends too early");
  if (!apply) return data.empty() ? base::Status() : CheckChunk(encoding, data);
  Slot slot;
  {
    base::WriterLock lock(&head_->index_mu_);
    slot = Create(ref, Head::ProbeOf(model::LabelsView(text)));
  }
  if (slot == kNoSlot || data.empty() || maxt < min_valid_) return {};
  PageCursor cursor(head_->table_);
  SeriesPage* page = cursor.MoveTo(slot);
  const uint32_t at = SeriesTable::At(slot);
  // A chunk that was written since has these samples.
  if (page->open[at] != nullptr || (page->has(at, SeriesPage::kHasSamples) && page->last_t[at] >= mint)) return {};
  const size_t before = page->sealed_of(at).size();
  if (encoding == chunk::Encoding::kXor) {
    RETURN_IF_ERROR(RestoreOpen(page, at, data, head_->policy_));
  } else {
    storage::SampleColumns samples;
    RETURN_IF_ERROR(chunk::Decode(encoding, data, {}, 0, &samples));
    if (!head_->options_.start_times) samples.start_times.clear();
    AppendSamples(page, at, samples, head_->policy_);
  }
  if (page->sealed_of(at).size() > before) sealed_.push_back(slot);
  head_->chunk_count_.fetch_add(page->sealed_of(at).size() - before + 1, std::memory_order_relaxed);
  if (page->has(at, SeriesPage::kStaleLast)) head_->stale_.fetch_add(1, std::memory_order_relaxed);
  Note(std::max(mint, min_valid_));
  Note(maxt);
  return {};
}

}  // namespace tocsin::tsdb
