#include "tsdb/wal/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <climits>

#include <fmt/format.h>

#include "tsdb/wal/record.h"

namespace tocsin::tsdb::wal {
namespace {

constexpr std::string_view kPrefix = "checkpoint.";
// A record of a checkpoint gathers what is kept of many records up to about this size.
constexpr size_t kRecordTarget = 1 << 20;
constexpr size_t kSegmentBytes = 128 << 20;

// Writes records one after another into numbered segments of a folder.
class Output {
 public:
  Output(base::FileSystem* fs, std::string folder, Compression compression)
      : fs_(fs), folder_(std::move(folder)), compression_(compression) {}

  base::Status Add(std::string record) { return Add(Pack(std::move(record), compression_)); }
  base::Status Add(const PackedRecord& packed) {
    if (file_ == nullptr || offset_ + FramedBytes(packed.bytes.size()) > kSegmentBytes) {
      RETURN_IF_ERROR(Finish());
      ASSIGN_OR_RETURN(file_, fs_->Open(SegmentPath(folder_, next_++), base::FileSystem::Mode::kTruncate));
      offset_ = 0;
    }
    buffer_.clear();
    Frame(packed, &offset_, &buffer_);
    return file_->Append(buffer_);
  }
  // Syncs what is open.
  base::Status Finish() {
    if (file_ == nullptr) return {};
    RETURN_IF_ERROR(file_->Sync());
    RETURN_IF_ERROR(file_->Close());
    file_ = nullptr;
    return {};
  }
  // A checkpoint has a segment even when nothing is kept.
  base::Status EnsureSegment() {
    if (next_ > 0) return {};
    ASSIGN_OR_RETURN(file_, fs_->Open(SegmentPath(folder_, next_++), base::FileSystem::Mode::kTruncate));
    offset_ = 0;
    return {};
  }

 private:
  base::FileSystem* fs_;
  std::string folder_;
  Compression compression_;
  std::unique_ptr<base::File> file_;
  uint64_t offset_ = 0;
  int next_ = 0;
  std::string buffer_;
};

// Keeps of each record what is still needed and writes it on, small records gathered.
class Filter {
 public:
  Filter(Output* out, const CheckpointFilter& filter, Compression compression)
      : out_(out), filter_(filter), compression_(compression) {}

  base::Status Add(std::string_view record) {
    switch (TypeOf(record)) {
      case RecordType::kSeries: return AddSeries(record);
      case RecordType::kSamples:
      case RecordType::kSamplesV2: return AddSamples(record);
      case RecordType::kTombstones: return AddTombstones(record);
      case RecordType::kExemplars: return AddExemplars(record);
      case RecordType::kMetadata: return AddMetadata(record);
      case RecordType::kHistograms:
      case RecordType::kFloatHistograms:
      case RecordType::kCustomHistograms:
      case RecordType::kCustomFloatHistograms:
      case RecordType::kHistogramsV2:
      case RecordType::kFloatHistogramsV2: return AddHistograms(record);
      case RecordType::kMmapMarkers:
      case RecordType::kMinValidTime:
      case RecordType::kUnknown: break;
    }
    return {};  // of no use to a later reader
  }

  // Series go first, so that every record finds its series before it.
  base::Status Flush() {
    RETURN_IF_ERROR(FlushSeries());
    if (!samples_.empty()) {
      if (!starts_.empty()) starts_.resize(samples_.size());
      const PackedRecord record = PackSamples(samples_, compression_, starts_);
      samples_.clear();
      starts_.clear();
      RETURN_IF_ERROR(out_->Add(record));
    }
    return {};
  }
  const CheckpointStats& stats() const { return stats_; }

 private:
  base::Status FlushSeries() {
    if (series_.empty()) return {};
    return out_->Add(std::exchange(series_, std::string()));
  }

  base::Status AddSeries(std::string_view record) {
    DecodedSeries decoded;
    base::Ignore(DecodeSeries(record, &decoded));  // what was read counts
    for (size_t i = 0; i < decoded.refs.size(); ++i) {
      if (!filter_.keep_from(decoded.refs[i])) {
        ++stats_.dropped_series;
        continue;
      }
      ++stats_.series;
      EncodeSeries(decoded.refs[i], decoded.labels(i), &series_);
    }
    return series_.size() >= kRecordTarget ? FlushSeries() : base::Status();
  }

  base::Status AddSamples(std::string_view record) {
    decoded_.clear();
    decoded_starts_.clear();
    base::Ignore(DecodeSamples(record, &decoded_, filter_.start_times ? &decoded_starts_ : nullptr));
    const size_t before = samples_.size();
    for (size_t i = 0; i < decoded_.size(); ++i) {
      const storage::FloatSample& s = decoded_[i];
      if (!Keeps(s.ref, s.t)) continue;
      samples_.push_back(s);
      if (decoded_starts_.empty() || decoded_starts_[i] == 0) continue;
      starts_.resize(samples_.size());
      starts_.back() = decoded_starts_[i];
    }
    const size_t kept = samples_.size() - before;
    stats_.samples += kept;
    stats_.dropped_samples += decoded_.size() - kept;
    return samples_.size() >= kRecordTarget / 16 ? Flush() : base::Status();
  }

  base::Status AddTombstones(std::string_view record) {
    std::vector<Tombstone> decoded, kept;
    base::Ignore(DecodeTombstones(record, &decoded));
    for (const Tombstone& t : decoded) {
      if (t.maxt >= filter_.tombstones_from && filter_.keep_from(t.ref)) kept.push_back(t);
    }
    stats_.tombstones += kept.size();
    stats_.dropped_tombstones += decoded.size() - kept.size();
    if (kept.empty()) return {};
    RETURN_IF_ERROR(Flush());
    std::string out;
    EncodeTombstones(kept, &out);
    return out_->Add(std::move(out));
  }

  base::Status AddExemplars(std::string_view record) {
    std::vector<ExemplarEntry> decoded, kept;
    base::Ignore(DecodeExemplars(record, &decoded));
    for (ExemplarEntry& e : decoded) {
      if (e.exemplar.t >= filter_.exemplars_from && filter_.keep_from(e.ref)) kept.push_back(std::move(e));
    }
    stats_.exemplars += kept.size();
    stats_.dropped_exemplars += decoded.size() - kept.size();
    if (kept.empty()) return {};
    RETURN_IF_ERROR(FlushSeries());
    std::string out;
    EncodeExemplars(kept, &out);
    return out_->Add(std::move(out));
  }

  base::Status AddMetadata(std::string_view record) {
    std::vector<MetadataEntry> decoded, kept;
    base::Ignore(DecodeMetadata(record, &decoded));
    for (MetadataEntry& m : decoded) {
      if (filter_.keep_from(m.ref)) kept.push_back(std::move(m));
    }
    if (kept.empty()) return {};
    RETURN_IF_ERROR(FlushSeries());
    std::string out;
    EncodeMetadata(kept, &out);
    return out_->Add(std::move(out));
  }

  base::Status AddHistograms(std::string_view record) {
    std::vector<HistogramEntry> decoded, kept;
    base::Ignore(DecodeHistograms(record, &decoded));
    for (HistogramEntry& h : decoded) {
      if (!filter_.start_times) h.start = 0;
      if (Keeps(h.ref, h.t)) kept.push_back(std::move(h));
    }
    stats_.samples += kept.size();
    stats_.dropped_samples += decoded.size() - kept.size();
    if (kept.empty()) return {};
    RETURN_IF_ERROR(Flush());  // a series may have floats before its histograms
    // Records of newer versions may mix kinds that older types keep apart.
    base::Status status;
    ForEachKind(kept, [&](std::span<const HistogramEntry> some) {
      if (!status) return;
      std::string out;
      EncodeHistograms(some, &out);
      status = out_->Add(std::move(out));
    });
    return status;
  }

  bool Keeps(storage::SeriesRef ref, model::Timestamp t) const {
    const std::optional<model::Timestamp> from = filter_.keep_from(ref);
    return from && t >= *from;
  }

  Output* out_;
  const CheckpointFilter& filter_;
  const Compression compression_;
  std::vector<storage::FloatSample> decoded_;
  std::vector<model::Timestamp> decoded_starts_;
  std::string series_;
  std::vector<storage::FloatSample> samples_;
  std::vector<model::Timestamp> starts_;  // of samples_, up to the last that has one
  CheckpointStats stats_;
};

base::Status FilterFolder(base::FileSystem* fs, const std::string& folder, int first, int last, Filter* filter) {
  ASSIGN_OR_RETURN(const std::vector<int> segments, ListSegments(fs, folder));
  for (int index : segments) {
    if (index < first || index > last) continue;
    ASSIGN_OR_RETURN(const std::unique_ptr<base::MappedFile> file, fs->Map(SegmentPath(folder, index)));
    SegmentReader reader(file->data());
    std::string_view record;
    while (reader.Next(&record)) RETURN_IF_ERROR(filter->Add(record));
  }
  return {};
}

}  // namespace

base::Result<std::optional<CheckpointRef>> LastCheckpoint(base::FileSystem* fs, const std::string& folder) {
  auto files = fs->List(folder);
  if (!files) {
    if (files.error().code() == base::Code::kNotFound) return std::nullopt;
    return std::unexpected(files.error());
  }
  std::optional<CheckpointRef> last;
  for (const base::FileInfo& f : *files) {
    if (!f.is_folder || !f.name.starts_with(kPrefix)) continue;
    int index = 0;
    const char* begin = f.name.data() + kPrefix.size();
    const char* end = f.name.data() + f.name.size();
    const auto [p, error] = std::from_chars(begin, end, index);
    if (error != std::errc() || p != end) continue;
    if (!last || index > last->index) last = CheckpointRef{base::JoinPath(folder, f.name), index};
  }
  return last;
}

base::Result<CheckpointStats> WriteCheckpoint(base::FileSystem* fs, const std::string& folder, int last,
                                              const CheckpointFilter& wanted,
                                              Compression compression) {
  ASSIGN_OR_RETURN(const std::optional<CheckpointRef> before, LastCheckpoint(fs, folder));
  if (before && before->index >= last) {
    // Of an earlier attempt that failed over the segments it stands for.
    RETURN_IF_ERROR(fs->SyncFolder(folder));
    return CheckpointStats();
  }
  const std::string path = base::JoinPath(folder, fmt::format("{}{:08}", kPrefix, last));
  const std::string temporary = path + ".tmp";
  RETURN_IF_ERROR(fs->RemoveAll(temporary));
  RETURN_IF_ERROR(fs->CreateFolders(temporary));
  Output out(fs, temporary, compression);
  Filter filter(&out, wanted, compression);
  if (before) RETURN_IF_ERROR(FilterFolder(fs, before->path, 0, INT_MAX, &filter));
  RETURN_IF_ERROR(FilterFolder(fs, folder, before ? before->index + 1 : 0, last, &filter));
  RETURN_IF_ERROR(filter.Flush());
  RETURN_IF_ERROR(out.EnsureSegment());
  RETURN_IF_ERROR(out.Finish());
  RETURN_IF_ERROR(fs->SyncFolder(temporary));
  RETURN_IF_ERROR(fs->Rename(temporary, path));
  RETURN_IF_ERROR(fs->SyncFolder(folder));
  return filter.stats();
}

base::Status RemoveCheckpoints(base::FileSystem* fs, const std::string& folder, int index) {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs->List(folder));
  for (const base::FileInfo& f : files) {
    if (!f.is_folder || !f.name.starts_with(kPrefix)) continue;
    int found = 0;
    const char* end = f.name.data() + f.name.size();
    const auto [p, error] = std::from_chars(f.name.data() + kPrefix.size(), end, found);
    if (error != std::errc()) continue;
    if (found < index || std::string_view(p, static_cast<size_t>(end - p)) == ".tmp") {
      RETURN_IF_ERROR(fs->RemoveAll(base::JoinPath(folder, f.name)));
    }
  }
  return {};
}

base::Result<Repair> RepairSegment(base::FileSystem* fs, const std::string& path, const std::string& damaged,
                                   bool last, uint64_t from) {
  Repair repair;
  ASSIGN_OR_RETURN(std::unique_ptr<base::MappedFile> file, fs->Map(path));
  SegmentReader reader(file->data(), from);
  std::string_view record;
  while (reader.Next(&record)) {
  }
  repair.damage = reader.damage();
  if (repair.damage.empty()) return repair;
  if (last && reader.torn() && repair.damage.size() == 1) {
    const uint64_t end = reader.good_end();
    file.reset();
    ASSIGN_OR_RETURN(const std::unique_ptr<base::File> out, fs->Open(path, base::FileSystem::Mode::kReadWrite));
    RETURN_IF_ERROR(out->Truncate(end));
    RETURN_IF_ERROR(out->Sync());
    return repair;
  }
  RETURN_IF_ERROR(fs->CreateFolders(damaged));
  repair.kept_in = base::JoinPath(damaged, base::NameOf(path));
  for (int n = 1; fs->Stat(repair.kept_in); ++n) {
    repair.kept_in = base::JoinPath(damaged, fmt::format("{}.{}", base::NameOf(path), n));
  }
  RETURN_IF_ERROR(fs->WriteFileAtomically(repair.kept_in, file->data()));
  std::string good(file->data().substr(0, from));
  uint64_t offset = from;
  SegmentReader again(file->data(), from);
  while (again.Next(&record)) Frame(Pack(std::string(record), Compression::kSnappy), &offset, &good);
  file.reset();
  RETURN_IF_ERROR(fs->WriteFileAtomically(path, good));
  return repair;
}

}  // namespace tocsin::tsdb::wal
