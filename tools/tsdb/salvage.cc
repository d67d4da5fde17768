#include "tools/tsdb/salvage.h"

#include <algorithm>

#include "tsdb/block_writer.h"
#include "tsdb/compact.h"

namespace tocsin::tools {
namespace {

constexpr int64_t kChunkRangeMs = 2 * 3600 * 1000;

using SeriesRun = std::vector<const ScannedSeries*>;  // of equal labels

base::Result<std::vector<tsdb::ChunkOut>> ChunksOf(const SeriesRun& run, const tsdb::Tombstones& tombstones) {
  std::vector<tsdb::ChunkPart> parts;
  std::vector<const ScannedChunk*> chunks;
  for (const ScannedSeries* s : run) {
    const auto it = tombstones.find(s->id);
    for (const ScannedChunk& c : s->chunks) {
      if (!c.good) continue;
      parts.push_back({c.meta.mint, c.meta.maxt, it == tombstones.end() ? nullptr : &it->second, chunks.size()});
      chunks.push_back(&c);
    }
  }
  const auto read = [&](const tsdb::ChunkPart& p) -> base::Result<tsdb::RawChunk> {
    return tsdb::RawChunk{chunks[p.id]->encoding, chunks[p.id]->data};
  };
  std::vector<tsdb::ChunkOut> out;
  RETURN_IF_ERROR(tsdb::MergeChunks(std::move(parts), read, {.range_ms = kChunkRangeMs}, &out));
  return out;
}

}  // namespace

base::Result<std::optional<Salvaged>> SalvageBlock(base::FileSystem* fs, const std::string& parent, base::Time now,
                                                   const BlockScan& scan) {
  std::vector<const ScannedSeries*> series;
  std::vector<std::string_view> symbols;
  tsdb::BlockMeta meta;
  meta.min_time = model::kMaxTimestamp;
  meta.max_time = model::kMinTimestamp;
  for (const ScannedSeries& s : scan.series) {
    bool any = false;
    for (const ScannedChunk& c : s.chunks) {
      if (!c.good) continue;
      any = true;
      meta.min_time = std::min(meta.min_time, c.meta.mint);
      meta.max_time = std::max(meta.max_time, c.meta.maxt + 1);
    }
    if (!any) continue;
    series.push_back(&s);
    for (const model::Label& l : model::LabelsView(s.labels)) {
      symbols.push_back(l.name);
      symbols.push_back(l.value);
    }
  }
  if (series.empty()) return std::nullopt;
  std::sort(symbols.begin(), symbols.end());
  symbols.erase(std::unique(symbols.begin(), symbols.end()), symbols.end());
  std::stable_sort(series.begin(), series.end(), [](const ScannedSeries* a, const ScannedSeries* b) {
    return model::LabelsView(a->labels) < model::LabelsView(b->labels);
  });
  meta.ulid = tsdb::MakeUlid(base::ToUnixMillis(now), parent);
  meta.sources = {meta.ulid};
  if (scan.meta) {
    meta.min_time = std::min(meta.min_time, scan.meta->min_time);
    meta.max_time = std::max(meta.max_time, scan.meta->max_time);
    meta.level = scan.meta->level;
    meta.hints = scan.meta->hints;
    if (!scan.meta->sources.empty()) meta.sources = scan.meta->sources;
  }
  static const tsdb::Tombstones kNone;
  const tsdb::Tombstones& tombstones = scan.tombstones ? *scan.tombstones : kNone;
  ASSIGN_OR_RETURN(const std::unique_ptr<tsdb::BlockWriter> writer, tsdb::BlockWriter::Create(fs, parent, meta, symbols));
  for (size_t i = 0; i < series.size();) {
    SeriesRun run;
    const model::LabelsView labels(series[i]->labels);
    for (; i < series.size() && model::LabelsView(series[i]->labels) == labels; ++i) run.push_back(series[i]);
    ASSIGN_OR_RETURN(const std::vector<tsdb::ChunkOut> chunks, ChunksOf(run, tombstones));
    if (!chunks.empty()) RETURN_IF_ERROR(writer->Add(labels, chunks));
  }
  if (writer->meta().series == 0) return std::nullopt;
  RETURN_IF_ERROR(writer->Finish());
  return Salvaged{writer->meta().ulid, writer->meta().series, writer->meta().samples};
}

}  // namespace tocsin::tools
