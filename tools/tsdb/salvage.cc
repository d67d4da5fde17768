#include "tools/tsdb/salvage.h"

#include <algorithm>

#include "storage/merge.h"
#include "tsdb/block_writer.h"
#include "tsdb/compact.h"

namespace tocsin::tools {
namespace {

constexpr int64_t kChunkRangeMs = 2 * 3600 * 1000;

using SeriesRun = std::vector<const ScannedSeries*>;  // of equal labels

bool Touches(const tsdb::Intervals& deleted, const tsdb::index::ChunkMeta& m) {
  return std::any_of(deleted.begin(), deleted.end(), [&](const auto& i) { return i.mint <= m.maxt && i.maxt >= m.mint; });
}

// Takes out what is deleted.
void DropDeleted(const tsdb::Intervals& deleted, storage::SampleColumns* columns) {
  storage::SampleColumns kept;
  size_t h = 0;
  for (size_t i = 0; i < columns->times.size(); ++i) {
    const model::Timestamp t = columns->times[i];
    const bool histogram = h < columns->histogram_at.size() && columns->histogram_at[h] == i;
    if (!std::any_of(deleted.begin(), deleted.end(), [t](const auto& d) { return d.mint <= t && t <= d.maxt; })) {
      if (histogram) {
        kept.histogram_at.push_back(static_cast<uint32_t>(kept.times.size()));
        kept.histograms.push_back(columns->histograms[h]);
      }
      kept.times.push_back(t);
      kept.values.push_back(columns->values[i]);
      if (!columns->start_times.empty()) kept.start_times.push_back(columns->start_times[i]);
    }
    h += histogram;
  }
  *columns = std::move(kept);
}

base::Result<std::vector<tsdb::ChunkOut>> ChunksOf(const SeriesRun& run, const tsdb::Tombstones& tombstones) {
  struct Part {
    const ScannedChunk* chunk;
    const tsdb::Intervals* deleted;  // may be null
  };
  std::vector<Part> parts;
  bool copy = true;
  for (const ScannedSeries* s : run) {
    const auto it = tombstones.find(s->id);
    const tsdb::Intervals* deleted = it == tombstones.end() ? nullptr : &it->second;
    for (const ScannedChunk& c : s->chunks) {
      if (!c.good || (deleted != nullptr && tsdb::Covers(*deleted, c.meta.mint, c.meta.maxt))) continue;
      if (deleted != nullptr && Touches(*deleted, c.meta)) copy = false;
      parts.push_back({&c, deleted});
    }
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.chunk->meta.mint < b.chunk->meta.mint; });
  for (size_t i = 1; i < parts.size(); ++i) {
    copy = copy && parts[i - 1].chunk->meta.maxt < parts[i].chunk->meta.mint;
  }
  std::vector<tsdb::ChunkOut> out;
  if (copy) {
    for (const Part& p : parts) {
      const ScannedChunk& c = *p.chunk;
      out.push_back({c.meta.mint, c.meta.maxt, tsdb::chunk::SampleCount(c.encoding, c.data), c.encoding, std::string(c.data)});
    }
    return out;
  }
  std::vector<storage::SampleColumns> columns(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    RETURN_IF_ERROR(tsdb::chunk::Decode(parts[i].chunk->encoding, parts[i].chunk->data, {}, 0, &columns[i]));
    if (parts[i].deleted != nullptr) DropDeleted(*parts[i].deleted, &columns[i]);
  }
  std::vector<storage::SampleRun> runs;
  for (const storage::SampleColumns& c : columns) runs.push_back({&c, 0, static_cast<uint32_t>(c.times.size())});
  storage::SampleColumns merged;
  storage::MergeSamples(runs, &merged);
  if (merged.times.empty()) return out;
  merged.offsets = {0, static_cast<uint32_t>(merged.times.size())};
  return tsdb::EncodeChunks(merged, kChunkRangeMs);
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
