#include "tsdb/compact.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "storage/merge.h"
#include "tsdb/block_writer.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/head_export.h"

namespace tocsin::tsdb {
namespace {

// A block is rewritten when more than this share of its series has tombstones.
constexpr double kTombstoneShare = 0.05;
constexpr size_t kStopCheckSeries = 256;

base::Status CheckStop(const CompactContext& context, size_t n) {
  if (n % kStopCheckSeries == 0 && context.stopping != nullptr && context.stopping->load(std::memory_order_relaxed)) {
    return base::Cancelled("the database is stopping");
  }
  return {};
}

// A block's series in order.
class BlockCursor {
 public:
  static base::Result<BlockCursor> Open(std::shared_ptr<Block> block) {
    BlockCursor c;
    ASSIGN_OR_RETURN(c.ids_, block->index().Select({}));
    c.tombstones_ = block->tombstones();
    c.block_ = std::move(block);
    RETURN_IF_ERROR(c.Load());
    return c;
  }
  bool done() const { return next_ > ids_.size(); }
  model::LabelsView labels() const { return model::LabelsView(labels_); }
  const std::vector<index::ChunkMeta>& chunks() const { return chunks_; }
  const Intervals* deleted() const { return deleted_; }
  const Block& block() const { return *block_; }
  base::Status Next() { return Load(); }

 private:
  base::Status Load() {
    if (next_ == ids_.size()) {
      ++next_;
      return {};
    }
    const index::SeriesId id = ids_[next_++];
    labels_.clear();
    chunks_.clear();
    RETURN_IF_ERROR(block_->index().ReadSeries(id, &labels_, &chunks_));
    const auto it = tombstones_->find(id);
    deleted_ = it == tombstones_->end() ? nullptr : &it->second;
    return {};
  }
  std::shared_ptr<Block> block_;
  std::shared_ptr<const Tombstones> tombstones_;
  std::vector<index::SeriesId> ids_;
  size_t next_ = 0;
  std::string labels_;
  std::vector<index::ChunkMeta> chunks_;
  const Intervals* deleted_ = nullptr;
};

// The chunks of one series that stands in `sources`, copied where they do not touch each other or a
// deletion, decoded and made anew where they do.
base::Status MergeSeries(std::span<BlockCursor* const> sources, int64_t chunk_range_ms, std::vector<ChunkOut>* out) {
  struct Part {
    const BlockCursor* source;
    index::ChunkMeta chunk;
  };
  std::vector<Part> parts;
  bool copy = true;
  for (const BlockCursor* s : sources) {
    for (const index::ChunkMeta& c : s->chunks()) {
      if (s->deleted() != nullptr) {
        if (Covers(*s->deleted(), c.mint, c.maxt)) continue;
        copy = copy && std::none_of(s->deleted()->begin(), s->deleted()->end(),
                                    [&](const Interval& i) { return i.mint <= c.maxt && i.maxt >= c.mint; });
      }
      parts.push_back({s, c});
    }
  }
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.chunk.mint < b.chunk.mint; });
  for (size_t i = 1; i < parts.size(); ++i) copy = copy && parts[i - 1].chunk.maxt < parts[i].chunk.mint;
  if (copy) {
    for (const Part& p : parts) {
      ASSIGN_OR_RETURN(const RawChunk raw, p.source->block().ReadChunk(p.chunk.ref));
      const uint32_t samples = chunk::SampleCount(raw.encoding, raw.data);
      out->push_back({p.chunk.mint, p.chunk.maxt, samples, raw.encoding, std::string(raw.data)});
    }
    return {};
  }
  std::vector<storage::SampleColumns> columns(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    RETURN_IF_ERROR(ReadChunks(sources[i]->block(), sources[i]->chunks(), sources[i]->deleted(), {}, &columns[i]));
  }
  std::vector<storage::SampleRun> runs;
  for (const storage::SampleColumns& c : columns) runs.push_back({&c, 0, static_cast<uint32_t>(c.times.size())});
  storage::SampleColumns merged;
  storage::MergeSamples(runs, &merged);
  std::vector<ChunkOut> chunks = EncodeChunks(merged, chunk_range_ms);
  std::move(chunks.begin(), chunks.end(), std::back_inserter(*out));
  return {};
}

}  // namespace

base::Result<std::optional<std::string>> WriteHeadBlock(const CompactContext& context, Head* head,
                                                        model::Timestamp mint, model::Timestamp maxt) {
  const HeadExport series(head, mint, maxt);
  if (series.size() == 0) return std::nullopt;
  BlockMeta meta;
  meta.ulid = MakeUlid(context.now_ms, context.parent);
  meta.min_time = mint;
  meta.max_time = maxt;
  meta.level = 1;
  meta.sources = {meta.ulid};
  ASSIGN_OR_RETURN(const std::unique_ptr<BlockWriter> writer,
                   BlockWriter::Create(context.fs, context.parent, meta, series.Symbols()));
  std::string labels;
  std::vector<ChunkOut> chunks;
  for (size_t i = 0; i < series.size(); ++i) {
    RETURN_IF_ERROR(CheckStop(context, i));
    chunks.clear();
    RETURN_IF_ERROR(series.Chunks(i, &chunks));
    if (chunks.empty()) continue;
    series.Labels(i, &labels);
    RETURN_IF_ERROR(writer->Add(model::LabelsView(labels), chunks));
  }
  if (writer->meta().samples == 0) return std::nullopt;
  ASSIGN_OR_RETURN(std::string folder, writer->Finish());
  return folder;
}

base::Result<std::optional<std::string>> MergeBlocks(const CompactContext& context,
                                                     std::span<const std::shared_ptr<Block>> blocks, int level) {
  BlockMeta meta;
  meta.ulid = MakeUlid(context.now_ms, context.parent);
  meta.min_time = model::kMaxTimestamp;
  meta.max_time = model::kMinTimestamp;
  meta.level = level;
  std::vector<BlockCursor> cursors;
  absl::flat_hash_set<std::string_view> names;
  for (const std::shared_ptr<Block>& b : blocks) {
    const BlockMeta& m = b->meta();
    meta.min_time = std::min(meta.min_time, m.min_time);
    meta.max_time = std::max(meta.max_time, m.max_time);
    if (level == 0) meta.level = std::max(meta.level, m.level + 1);
    meta.sources.insert(meta.sources.end(), m.sources.begin(), m.sources.end());
    meta.parents.push_back({m.ulid, m.min_time, m.max_time});
    for (const std::string_view s : b->index().Symbols()) names.insert(s);
    ASSIGN_OR_RETURN(BlockCursor cursor, BlockCursor::Open(b));
    cursors.push_back(std::move(cursor));
  }
  std::sort(meta.sources.begin(), meta.sources.end());
  meta.sources.erase(std::unique(meta.sources.begin(), meta.sources.end()), meta.sources.end());
  std::vector<std::string_view> symbols(names.begin(), names.end());
  std::sort(symbols.begin(), symbols.end());
  ASSIGN_OR_RETURN(const std::unique_ptr<BlockWriter> writer, BlockWriter::Create(context.fs, context.parent, meta, symbols));

  std::vector<BlockCursor*> same;
  std::vector<ChunkOut> chunks;
  for (size_t n = 0;; ++n) {
    RETURN_IF_ERROR(CheckStop(context, n));
    same.clear();
    for (BlockCursor& c : cursors) {
      if (c.done()) continue;
      if (!same.empty()) {
        const auto order = c.labels() <=> same[0]->labels();
        if (order > 0) continue;
        if (order < 0) same.clear();
      }
      same.push_back(&c);
    }
    if (same.empty()) break;
    chunks.clear();
    RETURN_IF_ERROR(MergeSeries(same, context.chunk_range_ms, &chunks));
    if (!chunks.empty()) RETURN_IF_ERROR(writer->Add(same[0]->labels(), chunks));
    for (BlockCursor* c : same) RETURN_IF_ERROR(c->Next());
  }
  if (writer->meta().series == 0) return std::nullopt;
  ASSIGN_OR_RETURN(std::string folder, writer->Finish());
  return folder;
}

std::vector<int64_t> BlockRanges(int64_t min_ms, int64_t max_ms) {
  std::vector<int64_t> ranges;
  for (int64_t r = min_ms; ranges.size() < 10; r *= 3) {
    if (r > max_ms && !ranges.empty()) break;
    ranges.push_back(r);
  }
  return ranges;
}

std::vector<size_t> PlanCompaction(std::span<const BlockMeta> metas, std::span<const int64_t> ranges) {
  // Overlapping first: the first group of blocks that touch each other's time.
  if (metas.size() >= 2) {
    std::vector<size_t> group;
    model::Timestamp end = metas[0].max_time;
    for (size_t i = 1; i < metas.size(); ++i) {
      if (metas[i].min_time < end) {
        if (group.empty()) group.push_back(i - 1);
        group.push_back(i);
      } else if (!group.empty()) {
        break;
      }
      end = std::max(end, metas[i].max_time);
    }
    if (!group.empty()) return group;
  }
  if (metas.empty()) return {};
  const std::span<const BlockMeta> older = metas.first(metas.size() - 1);  // the newest may be joined by others yet
  if (older.empty()) return {};
  const model::Timestamp high = older.back().min_time;
  for (size_t r = 1; r < ranges.size(); ++r) {
    const int64_t range = ranges[r];
    for (size_t i = 0; i < older.size();) {
      const model::Timestamp t = older[i].min_time;
      const model::Timestamp begin = (t >= 0 ? t / range : (t - range + 1) / range) * range;
      if (older[i].max_time > begin + range) {  // longer than the range, or across its edge
        ++i;
        continue;
      }
      std::vector<size_t> part;
      bool failed = false;
      for (; i < older.size() && older[i].max_time <= begin + range; ++i) {
        part.push_back(i);
        failed = failed || older[i].failed;
      }
      const model::Timestamp mint = older[part.front()].min_time, maxt = older[part.back()].max_time;
      if (!failed && part.size() > 1 && (maxt - mint == range || maxt <= high)) return part;
    }
  }
  for (size_t i = older.size(); i-- > 0;) {
    const BlockMeta& m = older[i];
    if (m.max_time - m.min_time < ranges[ranges.size() / 2]) break;
    if (static_cast<double>(m.tombstones) / static_cast<double>(m.series + 1) > kTombstoneShare) return {i};
  }
  return {};
}

}  // namespace tocsin::tsdb
