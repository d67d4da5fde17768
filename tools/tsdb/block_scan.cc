#include "tools/tsdb/block_scan.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/digest.h"
#include "storage/queryable.h"

namespace tocsin::tools {
namespace {

constexpr uint32_t kChunksMagic = 0x85BD40DD;
constexpr size_t kChunksHeaderBytes = 8;
// Segments missing in a row, beyond which a file is taken for a stray one.
constexpr size_t kMaxGap = 1000;

std::string Labels(const ScannedSeries& s) { return model::LabelsView(s.labels).ToMetricString(); }

void ScanMeta(base::FileSystem* fs, const std::string& folder, const std::string& name, BlockScan* scan, Report* report) {
  const std::string path = name + "/meta.json";
  report->Reading(path);
  const auto text = fs->ReadFile(base::JoinPath(folder, "meta.json"));
  auto meta = text ? tsdb::ParseBlockMeta(*text) : std::unexpected(text.error());
  if (!meta) {
    scan->damaged = true;
    report->Damage(path, std::nullopt, meta.error().message(),
                   "the block is not opened; times and counts can be made anew of index and chunks");
    return;
  }
  scan->meta = std::move(*meta);
  if (scan->meta->ulid != base::NameOf(folder)) {
    report->Note(path, "the ULID in it is " + scan->meta->ulid + ", not the folder's");
  }
}

void ScanSegments(base::FileSystem* fs, const std::string& folder, const std::string& name, BlockScan* scan,
                  Report* report) {
  const std::string chunks = base::JoinPath(folder, "chunks");
  const auto files = fs->List(chunks);
  if (!files) {
    scan->damaged = true;
    report->Damage(name + "/chunks", std::nullopt, files.error().message(), "all samples of the block");
    return;
  }
  for (const base::FileInfo& f : *files) {
    const std::string path = name + "/chunks/" + f.name;
    if (f.name.find_first_not_of("0123456789") != std::string::npos) {
      report->Note(path, "no segment; nothing reads it");
      continue;
    }
    const size_t expected = scan->segments.size() + 1;
    const std::optional<uint32_t> number = FileNumber(f.name);
    if (!number || *number < expected || *number - expected >= kMaxGap) {
      scan->damaged = true;
      report->Damage(path, std::nullopt, fmt::format("no segment of the block: {:06} would come next", expected),
                     "the block may not be opened; its chunks may be whole");
      continue;
    }
    for (size_t missing = expected; missing < *number; ++missing) {
      scan->damaged = true;
      report->Damage(fmt::format("{}/chunks/{:06}", name, missing), std::nullopt, "the segment is missing; " + f.name + " is there",
                     "the samples of its chunks");
      scan->segments.push_back(nullptr);
    }
    auto file = fs->Map(base::JoinPath(chunks, f.name));
    if (!file) {
      scan->damaged = true;
      report->Damage(path, std::nullopt, file.error().message(), "the samples of its chunks");
      scan->segments.push_back(nullptr);
      continue;
    }
    base::Decoder in((*file)->data());
    const uint32_t magic = in.Be32();
    const int version = in.Byte();
    if (!in.ok() || magic != kChunksMagic || version != 1) {
      scan->damaged = true;
      report->Damage(path, 0, fmt::format("magic {:08x} version {}, {:08x} and 1 expected", magic, version, kChunksMagic),
                     "the block is not opened; its chunks may be whole");
    }
    scan->segments.push_back(std::move(*file));
  }
}

// A chunk and whose it is.
struct ChunkPlace {
  uint32_t series;
  uint32_t chunk;
};

// What is wrong with the chunk; empty: nothing.
std::string CheckChunk(const BlockScan& scan, ScannedChunk* chunk, uint64_t* end, uint64_t* samples) {
  const uint64_t number = chunk->meta.ref >> 32, offset = chunk->meta.ref & UINT32_MAX;
  if (number >= scan.segments.size() || scan.segments[number] == nullptr) {
    return fmt::format("the index names segment {:06}, which is missing", number + 1);
  }
  const std::string_view data = scan.segments[number]->data();
  if (offset < kChunksHeaderBytes || offset >= data.size()) {
    return fmt::format("the index names a chunk here, the file has {} bytes", data.size());
  }
  base::Decoder in(data.substr(offset));
  const uint64_t length = in.Uvarint();
  if (!in.ok() || in.left() < 5 || length > in.left() - 5) {
    return fmt::format("a chunk of {} bytes where {} are left", length, in.left());
  }
  const std::string_view checked = in.Bytes(length + 1);
  const uint32_t stored = in.Be32(), computed = base::Crc32c(checked);
  if (stored != computed) return fmt::format("chunk CRC {:08x}, computed {:08x}", stored, computed);
  *end = offset + in.offset();
  chunk->encoding = static_cast<tsdb::chunk::Encoding>(checked[0]);
  chunk->data = checked.substr(1);
  storage::SampleColumns columns;
  if (const base::Status s = tsdb::chunk::Decode(chunk->encoding, chunk->data, {}, 0, &columns); !s) return s.error().message();
  const size_t told = tsdb::chunk::SampleCount(chunk->encoding, chunk->data);
  if (columns.times.empty() || columns.times.size() != told) {
    return fmt::format("the chunk's header says {} samples, it has {}", told, columns.times.size());
  }
  if (!std::is_sorted(columns.times.begin(), columns.times.end(), std::less_equal<>())) return "its times do not ascend";
  chunk->good = true;
  *samples += told;
  if (columns.times.front() != chunk->meta.mint || columns.times.back() != chunk->meta.maxt) {
    const std::string index_says = TimeSpan(chunk->meta.mint, chunk->meta.maxt);
    // Whoever goes on with the chunk goes by its samples.
    chunk->meta.mint = columns.times.front();
    chunk->meta.maxt = columns.times.back();
    return fmt::format("the index says {}, the chunk's samples are {}", index_says,
                       TimeSpan(columns.times.front(), columns.times.back()));
  }
  return {};
}

void ScanChunks(const std::string& name, BlockScan* scan, Report* report) {
  std::vector<ChunkPlace> places;
  for (uint32_t s = 0; s < scan->series.size(); ++s) {
    const ScannedSeries& series = scan->series[s];
    for (uint32_t c = 0; c < series.chunks.size(); ++c) {
      places.push_back({s, c});
      const tsdb::index::ChunkMeta& meta = series.chunks[c].meta;
      if (c > 0 && meta.mint <= series.chunks[c - 1].meta.maxt) {
        scan->damaged = true;
        report->Damage(name + "/index", series.offset, "chunks of " + Labels(series) + " overlap or are out of order",
                       "queries may miss samples " + TimeSpan(meta.mint, meta.maxt));
      }
    }
  }
  // In the order of the files.
  std::sort(places.begin(), places.end(), [&](const ChunkPlace& a, const ChunkPlace& b) {
    return scan->series[a.series].chunks[a.chunk].meta.ref < scan->series[b.series].chunks[b.chunk].meta.ref;
  });
  uint64_t segment = UINT64_MAX, end = 0;
  for (const ChunkPlace& place : places) {
    const ScannedSeries& series = scan->series[place.series];
    ScannedChunk& chunk = scan->series[place.series].chunks[place.chunk];
    const uint64_t number = chunk.meta.ref >> 32, offset = chunk.meta.ref & UINT32_MAX;
    const std::string path = fmt::format("{}/chunks/{:06}", name, number + 1);
    if (number != segment) {
      report->Reading(path);
      segment = number;
      end = kChunksHeaderBytes;
    }
    if (offset > end) report->Note(path, fmt::format("bytes {} to {} belong to no series", end, offset));
    end = std::max(end, offset);
    ++report->chunks;
    const model::Timestamp mint = chunk.meta.mint, maxt = chunk.meta.maxt;
    const std::string wrong = CheckChunk(*scan, &chunk, &end, &report->samples);
    if (!wrong.empty()) {
      scan->damaged = true;
      if (!chunk.good) ++scan->lost_chunks;
      report->Damage(path, offset, wrong,
                     chunk.good ? "queries may miss samples of " + Labels(series)
                                : "samples of " + Labels(series) + " " + TimeSpan(mint, maxt));
    }
    if (scan->meta && chunk.good && (chunk.meta.mint < scan->meta->min_time || chunk.meta.maxt >= scan->meta->max_time)) {
      scan->damaged = true;
      report->Damage(path, offset,
                     "samples " + TimeSpan(chunk.meta.mint, chunk.meta.maxt) + " are outside of the block's time",
                     "queries may miss samples of " + Labels(series));
    }
  }
}

void ScanTombstones(base::FileSystem* fs, const std::string& folder, const std::string& name, BlockScan* scan,
                    Report* report) {
  const std::string path = name + "/tombstones";
  const auto file = fs->ReadFile(base::JoinPath(folder, "tombstones"));
  if (!file) {
    if (file.error().code() == base::Code::kNotFound) {
      scan->tombstones.emplace();
    } else {
      report->Damage(path, std::nullopt, file.error().message(), "what was deleted from the block shows again");
    }
    return;
  }
  auto stones = tsdb::ParseTombstones(*file);
  if (!stones) {
    report->Damage(path, std::nullopt, stones.error().message(), "what was deleted from the block shows again");
    return;
  }
  for (const auto& [id, intervals] : *stones) {
    const auto at = std::lower_bound(scan->series.begin(), scan->series.end(), id,
                                     [](const ScannedSeries& s, uint64_t wanted) { return s.id < wanted; });
    if (at == scan->series.end() || at->id != id) report->Note(path, fmt::format("deletes samples of series {}, which the index does not have", id));
  }
  scan->tombstones = std::move(*stones);
}

}  // namespace

BlockScan ScanBlock(base::FileSystem* fs, const std::string& folder, const std::string& name, Report* report) {
  BlockScan scan;
  ++report->blocks;
  ScanMeta(fs, folder, name, &scan, report);
  ScanSegments(fs, folder, name, &scan, report);
  auto index = fs->Map(base::JoinPath(folder, "index"));
  if (index) {
    scan.index = std::move(*index);
    ScanIndex(name, &scan, report);
  } else {
    scan.damaged = true;
    report->Damage(name + "/index", std::nullopt, index.error().message(), "all samples of the block: whose they are stood there");
  }
  const uint64_t samples_before = report->samples, chunks_before = report->chunks;
  ScanChunks(name, &scan, report);
  ScanTombstones(fs, folder, name, &scan, report);
  report->series += scan.series.size();
  if (scan.meta && !scan.damaged) {
    const uint64_t samples = report->samples - samples_before, chunks = report->chunks - chunks_before;
    const tsdb::BlockMeta& m = *scan.meta;
    if (m.samples != samples || m.chunks != chunks || m.series != scan.series.size()) {
      report->Note(name + "/meta.json",
                   fmt::format("says {} samples, {} chunks, {} series; the block has {}, {}, {}", m.samples, m.chunks,
                               m.series, samples, chunks, scan.series.size()));
    }
  }
  return scan;
}

}  // namespace tocsin::tools
