#include "tools/tsdb/log_scan.h"

#include <algorithm>

#include <fmt/format.h>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "storage/queryable.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/head_chunks.h"
#include "tsdb/wal/checkpoint.h"
#include "tsdb/wal/record.h"

namespace tocsin::tools {
namespace {

namespace wal = tsdb::wal;

// Files missing in a row, beyond which they are named together and those behind them should take their numbers.
constexpr uint32_t kMaxNamedGaps = 1000;

class LogScanner {
 public:
  LogScanner(base::FileSystem* fs, const std::string& folder, Live live, Report* report)
      : fs_(fs), folder_(folder), live_(live), report_(report) {}
  LogScan Run();

 private:
  // The segments of a folder after number `after`; `may_be_torn`: the last one is still written or was when the
  // process died.
  void Segments(const std::string& folder, int after, bool may_be_torn);
  void Segment(const std::string& path, bool may_be_torn);
  base::Status Record(std::string_view record);
  void Use(storage::SeriesRef ref, uint64_t samples) {
    if (!known_.contains(ref)) unknown_[ref] += samples;
  }
  void Checkpoints();
  void HeadChunks();
  // `found` files are missing before `path`, which should be named `should_be`.
  void FarGap(const std::string& path, const std::string& should_be, uint32_t found, const std::string& cost);
  // What is wrong; empty: nothing.
  std::string HeadChunk(const tsdb::HeadChunkReader::Item& item);

  base::FileSystem* const fs_;
  const std::string folder_;
  const Live live_;
  Report* const report_;
  LogScan scan_;
  absl::flat_hash_set<storage::SeriesRef> known_;
  absl::flat_hash_map<storage::SeriesRef, uint64_t> unknown_;  // samples by series without a record
  int checkpoint_ = -1;
  std::map<int, uint64_t> newer_types_;  // records of the segment, by type
  uint64_t strange_chunks_ = 0;  // of chunks_head, of series that the log does not know

  wal::DecodedSeries series_;
  std::vector<storage::FloatSample> floats_;
  std::vector<wal::HistogramEntry> histograms_;
  std::vector<wal::Tombstone> tombstones_;
  std::vector<wal::ExemplarEntry> exemplars_;
  std::vector<wal::MetadataEntry> metadata_;
  std::vector<wal::MmapMarker> markers_;
};

base::Status LogScanner::Record(std::string_view record) {
  using wal::RecordType;
  ++report_->records;
  switch (wal::TypeOf(record)) {
    case RecordType::kSeries: {
      series_.Clear();
      base::Status s = wal::DecodeSeries(record, &series_);
      known_.insert(series_.refs.begin(), series_.refs.end());
      return s;
    }
    case RecordType::kSamples:
    case RecordType::kSamplesV2: {
      floats_.clear();
      base::Status s = wal::DecodeSamples(record, &floats_);
      for (const auto& sample : floats_) Use(sample.ref, 1);
      return s;
    }
    case RecordType::kHistograms:
    case RecordType::kFloatHistograms:
    case RecordType::kCustomHistograms:
    case RecordType::kCustomFloatHistograms:
    case RecordType::kHistogramsV2:
    case RecordType::kFloatHistogramsV2: {
      histograms_.clear();
      base::Status s = wal::DecodeHistograms(record, &histograms_);
      for (const auto& sample : histograms_) Use(sample.ref, 1);
      return s;
    }
    case RecordType::kTombstones: tombstones_.clear(); return wal::DecodeTombstones(record, &tombstones_);
    case RecordType::kExemplars: exemplars_.clear(); return wal::DecodeExemplars(record, &exemplars_);
    case RecordType::kMetadata: metadata_.clear(); return wal::DecodeMetadata(record, &metadata_);
    case RecordType::kMmapMarkers: markers_.clear(); return wal::DecodeMmapMarkers(record, &markers_);
    case RecordType::kMinValidTime: return {};
    case RecordType::kUnknown: break;
  }
  if (record.empty()) return base::DataLoss("an empty record");
  ++newer_types_[static_cast<uint8_t>(record[0])];
  return {};
}

void LogScanner::Segment(const std::string& path, bool may_be_torn) {
  report_->Reading(path);
  ++report_->segments;
  auto file = fs_->Map(base::JoinPath(folder_, path));
  if (!file) {
    report_->Damage(path, std::nullopt, file.error().message(), "all samples of the segment");
    return;
  }
  wal::SegmentReader reader((*file)->data());
  std::string_view record;
  bool damaged = false;
  newer_types_.clear();
  while (reader.Next(&record)) {
    if (const base::Status s = Record(record); !s) {
      damaged = true;
      scan_.bad_records[path].push_back(reader.record_offset());
      report_->Damage(path, reader.record_offset(), s.error().message(), "what the record holds from there on");
    }
  }
  for (const auto& [type, count] : newer_types_) {
    report_->Note(path, fmt::format("{} records are of type {}, which this version does not know; no start reads them", count, type));
  }
  for (const wal::Damage& d : reader.damage()) {
    if (may_be_torn && reader.torn() && reader.damage().size() == 1) {
      if (live_ == Live::kYes) {
        report_->Note(path, fmt::format("ends within a record at byte {}: the server is writing", d.offset));
        continue;
      }
      report_->Damage(path, d.offset, "ends within a record: " + d.what,
                      fmt::format("the last {} bytes, most likely a write that a crash cut short and that was never "
                                  "acknowledged as stable; the next start cuts them off", d.resumed_at - d.offset));
    } else {
      report_->Damage(path, d.offset, d.what,
                      fmt::format("what stood in {} bytes; reading goes on at byte {}", d.resumed_at - d.offset, d.resumed_at));
    }
    damaged = true;
  }
  if (damaged) scan_.damaged_segments.push_back(path);
}

void LogScanner::Segments(const std::string& folder, int after, bool may_be_torn) {
  const auto segments = wal::ListSegments(fs_, base::JoinPath(folder_, folder));
  if (!segments) {
    report_->Damage(folder, std::nullopt, segments.error().message(), "all that is only in the log");
    return;
  }
  int last = -1;
  for (const int index : *segments) {
    const std::string path = wal::SegmentPath(folder, index);
    if (index <= after) {
      report_->Note(path, fmt::format("the checkpoint stands for it; nothing reads it"));
      scan_.leftovers.push_back(path);
      continue;
    }
    const int expected = last >= 0 ? last + 1 : after >= 0 ? after + 1 : index;
    const std::string cost = "its samples, and those of series that begin in it";
    if (const auto gap = static_cast<uint32_t>(index - expected); gap > kMaxNamedGaps) {
      FarGap(path, wal::SegmentPath(folder, expected), gap, cost);
    } else {
      for (int missing = expected; missing < index; ++missing) {
        scan_.missing_segments.push_back(wal::SegmentPath(folder, missing));
        report_->Damage(scan_.missing_segments.back(), std::nullopt, "the segment is missing", cost);
      }
    }
    last = index;
    Segment(path, may_be_torn && index == segments->back());
  }
}

void LogScanner::Checkpoints() {
  const auto checkpoint = wal::LastCheckpoint(fs_, base::JoinPath(folder_, "wal"));
  if (!checkpoint) {
    report_->Damage("wal", std::nullopt, checkpoint.error().message(), "all that is only in the log");
    return;
  }
  const auto files = fs_->List(base::JoinPath(folder_, "wal"));
  if (!files) return;
  for (const base::FileInfo& f : *files) {
    if (!f.name.starts_with("checkpoint.")) continue;
    if (*checkpoint && f.name == base::NameOf((*checkpoint)->path)) continue;
    report_->Note("wal/" + f.name, f.name.ends_with(".tmp") ? "left by a checkpoint that was not finished"
                                                             : "a newer checkpoint stands for it; nothing reads it");
    scan_.leftovers.push_back("wal/" + f.name);
  }
  if (!*checkpoint) return;
  checkpoint_ = (*checkpoint)->index;
  Segments("wal/" + base::NameOf((*checkpoint)->path), -1, false);
}

void LogScanner::FarGap(const std::string& path, const std::string& should_be, uint32_t found, const std::string& cost) {
  report_->Damage(should_be, std::nullopt,
                  fmt::format("{} files are missing from here to {}, which is read nevertheless; Prometheus refuses such a folder", found, path), cost);
  scan_.misnumbered.emplace_back(path, should_be);
}

std::string LogScanner::HeadChunk(const tsdb::HeadChunkReader::Item& item) {
  const tsdb::HeadChunk& c = item.chunk;
  if (c.series == 0) return {};  // nobody's: what stood here was damaged and mended
  storage::SampleColumns columns;
  if (const base::Status s = tsdb::chunk::Decode(c.encoding, item.data, {}, 0, &columns); !s) return s.error().message();
  if (columns.times.size() != c.samples) {
    return fmt::format("the chunk's header says {} samples, it has {}", c.samples, columns.times.size());
  }
  if (columns.times.empty() || columns.times.front() != c.mint || columns.times.back() != c.maxt) {
    return "its header says " + TimeSpan(c.mint, c.maxt) + ", its samples say other";
  }
  ++report_->chunks;
  strange_chunks_ += !known_.contains(c.series);
  return {};
}

void LogScanner::HeadChunks() {
  const std::string folder = base::JoinPath(folder_, "chunks_head");
  const auto listed = fs_->List(folder);
  if (!listed) return;  // there need not be any
  std::map<uint32_t, std::string> files;  // by number
  for (const base::FileInfo& f : *listed) {
    if (f.is_folder) continue;
    const auto number = FileNumber(f.name);
    if (number && *number < tsdb::HeadChunks::kMaxFiles && f.name == fmt::format("{:06}", *number)) {
      files.emplace(*number, f.name);
    } else {
      report_->Note("chunks_head/" + f.name, "no file of chunks; nothing reads it");
    }
  }
  const std::string cost = "what the log no longer has of these samples; the rest comes back from it";
  std::optional<uint32_t> last;
  for (const auto& [number, name] : files) {
    const std::string path = "chunks_head/" + name;
    report_->Reading(path);
    const auto damage = [&](std::optional<uint64_t> offset, const std::string& what) {
      report_->Damage(path, offset, what, cost);
      if (scan_.damaged_head_chunks.empty() || scan_.damaged_head_chunks.back() != path) scan_.damaged_head_chunks.push_back(path);
    };
    const uint32_t expected = last ? *last + 1 : number;
    if (number - expected > kMaxNamedGaps) {
      FarGap(path, fmt::format("chunks_head/{:06}", expected), number - expected, cost);
    } else {
      for (uint32_t missing = expected; missing < number; ++missing) {
        const std::string gap = fmt::format("chunks_head/{:06}", missing);
        report_->Damage(gap, std::nullopt, "the file is missing", cost);
        scan_.missing_head_chunks.push_back(gap);
      }
    }
    last = number;
    auto mapped = fs_->Map(base::JoinPath(folder, name));
    if (!mapped) {
      damage(std::nullopt, mapped.error().message());
      continue;
    }
    const std::string_view data = (*mapped)->data();
    if (std::all_of(data.begin(), data.end(), [](char c) { return c == 0; })) continue;  // made and not yet written to
    if (!tsdb::HeadChunkReader::HasHeader(data)) {
      damage(0, fmt::format("no header of a chunk file; all of its {} bytes are lost", data.size()));
      continue;
    }
    tsdb::HeadChunkReader reader(data);
    tsdb::HeadChunkReader::Item item;
    while (reader.Next(&item)) {
      const std::string wrong = item.damage.empty() ? HeadChunk(item) : item.damage;
      if (wrong.empty()) continue;
      const bool rest = item.searched && item.end == data.size();
      if (rest && live_ == Live::kYes && number == files.rbegin()->first) {
        report_->Note(path, fmt::format("ends within a chunk at byte {}: the server is writing", item.offset));
      } else if (rest) {
        damage(item.offset, fmt::format("{}; no chunk stands behind it: the last {} bytes are lost", wrong, data.size() - item.offset));
      } else {
        damage(item.offset, item.searched ? fmt::format("{}; the next chunk is found at byte {}", wrong, item.end) : wrong);
      }
    }
  }
  if (strange_chunks_ > 0) {
    report_->Note("chunks_head", fmt::format("{} chunks are of series that the log does not have; they are not used", strange_chunks_));
  }
}

LogScan LogScanner::Run() {
  Checkpoints();
  Segments("wal", checkpoint_, true);
  Segments("wbl", -1, true);
  const bool lost_records = !scan_.damaged_segments.empty() || !scan_.missing_segments.empty();
  uint64_t samples = 0, series = 0;
  for (const auto& [ref, count] : unknown_) {
    samples += count;
    series += count > 0;
  }
  if (series > 0) {
    const std::string what = fmt::format("{} samples of {} series have no series record", samples, series);
    if (lost_records) {
      report_->Damage("wal", std::nullopt, what, "these samples: whose they are stood in what cannot be read");
    } else {
      report_->Note("wal", what + "; they are left out at every start");
    }
  }
  HeadChunks();
  return std::move(scan_);
}

}  // namespace

LogScan ScanLog(base::FileSystem* fs, const std::string& folder, Live live, Report* report) {
  return LogScanner(fs, folder, live, report).Run();
}

}  // namespace tocsin::tools
