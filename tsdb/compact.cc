#include "tsdb/compact.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "storage/merge.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/head_export.h"

namespace tocsin::tsdb {
namespace {

// A block is rewritten when more than this share of its series has tombstones.
constexpr double kTombstoneShare = 0.05;
constexpr size_t kSeriesAStep = 256;

// Tells how far a block is, and ends with it.
class Steps {
 public:
  Steps(const CompactContext& context, CompactionProgress::Source source, const BlockMeta& meta, uint64_t of_series) : context_(context) {
    if (context.progress == nullptr) return;
    context.progress->min_time = meta.min_time;
    context.progress->max_time = meta.max_time;
    context.progress->series = 0;
    context.progress->of_series = of_series;
    context.progress->source = source;
  }
  ~Steps() {
    if (context_.progress != nullptr) context_.progress->source = CompactionProgress::Source::kNone;
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  // Before a series is written, which was read from `read` places.
  base::Status Step(size_t read) {
    series_ += read;
    if (n_++ % kSeriesAStep != 0) return {};
    if (context_.progress != nullptr) context_.progress->series = series_;
    if (context_.stopping != nullptr && context_.stopping->load(std::memory_order_relaxed)) return base::Cancelled("the database is stopping");
    return {};
  }

 private:
  const CompactContext& context_;
  uint64_t series_ = 0;
  uint64_t n_ = 0;
};

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

using ReadPart = std::function<base::Result<RawChunk>(const ChunkPart&)>;

bool Touches(const ChunkPart& p) {
  return p.deleted != nullptr && std::any_of(p.deleted->begin(), p.deleted->end(), [&](const Interval& i) {
    return i.mint <= p.maxt && i.maxt >= p.mint;
  });
}

// Chunks that lie across each other, and what is left of those that a deletion touches.
base::Status MergeParts(std::span<const ChunkPart> parts, const ReadPart& read, const ChunkCut& cut, std::vector<ChunkOut>* out) {
  std::vector<storage::SampleColumns> columns(parts.size());
  std::vector<storage::SampleRun> runs;
  // The first chunk last: so Prometheus's compaction enters them, and their order decides between three.
  for (size_t k = 0; k < parts.size(); ++k) {
    const ChunkPart& p = parts[(k + 1) % parts.size()];
    ASSIGN_OR_RETURN(const RawChunk raw, read(p));
    RETURN_IF_ERROR(chunk::Decode(raw.encoding, raw.data, {}, 0, &columns[k]));
    if (p.deleted != nullptr) DropDeleted(*p.deleted, 0, &columns[k]);
    runs.push_back({&columns[k], 0, static_cast<uint32_t>(columns[k].times.size())});
  }
  storage::SampleColumns merged;
  storage::MergeSamples(runs, &merged);
  std::vector<ChunkOut> chunks = EncodeChunks(merged, cut.range_ms, cut.xor2);
  std::move(chunks.begin(), chunks.end(), std::back_inserter(*out));
  return {};
}

// The chunks of one series that stands in `sources`.
base::Status MergeSeries(std::span<BlockCursor* const> sources, const CompactContext& context, std::vector<ChunkOut>* out) {
  std::vector<ChunkPart> parts;
  std::vector<std::pair<const Block*, uint64_t>> places;  // by id
  for (const BlockCursor* s : sources) {
    for (const index::ChunkMeta& c : s->chunks()) {
      parts.push_back({c.mint, c.maxt, s->deleted(), places.size()});
      places.emplace_back(&s->block(), c.ref);
    }
  }
  const auto read = [&](const ChunkPart& p) { return places[p.id].first->ReadChunk(places[p.id].second); };
  return MergeChunks(std::move(parts), read, {.range_ms = context.chunk_range_ms, .xor2 = context.xor2}, out);
}

}  // namespace

base::Status MergeChunks(std::vector<ChunkPart> parts, const ReadPart& read, const ChunkCut& cut, std::vector<ChunkOut>* out) {
  std::erase_if(parts, [](const ChunkPart& p) { return p.deleted != nullptr && Covers(*p.deleted, p.mint, p.maxt); });
  std::stable_sort(parts.begin(), parts.end(), [](const ChunkPart& a, const ChunkPart& b) { return a.mint < b.mint; });
  for (size_t begin = 0, end; begin < parts.size(); begin = end) {
    model::Timestamp maxt = parts[begin].maxt;
    for (end = begin + 1; end < parts.size() && parts[end].mint <= maxt; ++end) maxt = std::max(maxt, parts[end].maxt);
    const ChunkPart& first = parts[begin];
    if (end - begin > 1 || Touches(first)) {
      RETURN_IF_ERROR(MergeParts(std::span(parts).subspan(begin, end - begin), read, cut, out));
      continue;
    }
    ASSIGN_OR_RETURN(const RawChunk raw, read(first));
    const uint32_t samples = chunk::SampleCount(raw.encoding, raw.data);
    out->push_back({first.mint, first.maxt, samples, raw.encoding, std::string(raw.data)});
  }
  return {};
}

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
  Steps steps(context, CompactionProgress::Source::kHead, meta, series.size());
  std::string labels;
  std::vector<ChunkOut> chunks;
  for (size_t i = 0; i < series.size(); ++i) {
    RETURN_IF_ERROR(steps.Step(1));
    chunks.clear();
    RETURN_IF_ERROR(series.Chunks(i, &chunks));
    if (chunks.empty()) continue;
    for (ChunkOut& c : chunks) {
      if (context.metrics != nullptr) {
        context.metrics->compaction_chunk_range->Observe(static_cast<double>(c.maxt - c.mint) / 1000);
        context.metrics->compaction_chunk_samples->Observe(c.samples);
        context.metrics->compaction_chunk_bytes->Observe(static_cast<double>(c.data.size()));
      }
      if (context.xor2 && c.encoding == chunk::Encoding::kXor) RETURN_IF_ERROR(ToXor2(&c));
    }
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
  uint64_t of_series = 0;
  for (const std::shared_ptr<Block>& b : blocks) {
    const BlockMeta& m = b->meta();
    meta.min_time = std::min(meta.min_time, m.min_time);
    meta.max_time = std::max(meta.max_time, m.max_time);
    if (level == 0) meta.level = std::max(meta.level, m.level + 1);
    meta.sources.insert(meta.sources.end(), m.sources.begin(), m.sources.end());
    meta.parents.push_back({m.ulid, m.min_time, m.max_time});
    of_series += m.series;
    for (const std::string_view s : b->index().Symbols()) names.insert(s);
    ASSIGN_OR_RETURN(BlockCursor cursor, BlockCursor::Open(b));
    cursors.push_back(std::move(cursor));
  }
  // A hint holds of the result when it holds of every part.
  for (const std::string_view hint : {kFromOutOfOrder, kFromStaleSeries, kFromSelectedSeries}) {
    if (std::all_of(blocks.begin(), blocks.end(), [&](const auto& b) { return b->meta().Has(hint); })) {
      meta.hints.emplace_back(hint);
    }
  }
  if (blocks.size() == 1) meta.hints = blocks[0]->meta().hints;  // a block rewritten stays what it is
  std::sort(meta.sources.begin(), meta.sources.end());
  meta.sources.erase(std::unique(meta.sources.begin(), meta.sources.end()), meta.sources.end());
  std::vector<std::string_view> symbols(names.begin(), names.end());
  std::sort(symbols.begin(), symbols.end());
  ASSIGN_OR_RETURN(const std::unique_ptr<BlockWriter> writer, BlockWriter::Create(context.fs, context.parent, meta, symbols));

  std::vector<BlockCursor*> same;
  std::vector<ChunkOut> chunks;
  Steps steps(context, CompactionProgress::Source::kBlocks, meta, of_series);
  for (;;) {
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
    RETURN_IF_ERROR(steps.Step(same.size()));
    chunks.clear();
    RETURN_IF_ERROR(MergeSeries(same, context, &chunks));
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

namespace {

// One class of blocks.
std::vector<size_t> PlanClass(std::span<const BlockMeta* const> metas, std::span<const int64_t> ranges) {
  // Overlapping first: the first group of blocks that touch each other's time.
  if (metas.size() >= 2) {
    std::vector<size_t> group;
    model::Timestamp end = metas[0]->max_time;
    for (size_t i = 1; i < metas.size(); ++i) {
      if (metas[i]->min_time < end) {
        if (group.empty()) group.push_back(i - 1);
        group.push_back(i);
      } else if (!group.empty()) {
        break;
      }
      end = std::max(end, metas[i]->max_time);
    }
    if (!group.empty()) return group;
  }
  if (metas.size() < 2) return {};
  const std::span<const BlockMeta* const> older = metas.first(metas.size() - 1);  // the newest may be joined by others yet
  const model::Timestamp high = older.back()->min_time;
  for (size_t r = 1; r < ranges.size(); ++r) {
    const int64_t range = ranges[r];
    for (size_t i = 0; i < older.size();) {
      const model::Timestamp t = older[i]->min_time;
      const model::Timestamp begin = (t >= 0 ? t / range : (t - range + 1) / range) * range;
      if (older[i]->max_time > begin + range) {  // longer than the range, or across its edge
        ++i;
        continue;
      }
      std::vector<size_t> part;
      bool failed = false;
      for (; i < older.size() && older[i]->max_time <= begin + range; ++i) {
        part.push_back(i);
        failed = failed || older[i]->failed;
      }
      const model::Timestamp mint = older[part.front()]->min_time, maxt = older[part.back()]->max_time;
      if (!failed && part.size() > 1 && (maxt - mint == range || maxt <= high)) return part;
    }
  }
  for (size_t i = older.size(); i-- > 0;) {
    const BlockMeta& m = *older[i];
    if (m.max_time - m.min_time < ranges[ranges.size() / 2]) {
      // Too small to be worth it, but for one whose every series has something deleted.
      if (m.tombstones > 0 && m.tombstones >= m.series) return {i};
      break;
    }
    if (static_cast<double>(m.tombstones) / static_cast<double>(m.series + 1) > kTombstoneShare) return {i};
  }
  return {};
}

}  // namespace

std::vector<size_t> PlanCompaction(std::span<const BlockMeta> metas, std::span<const int64_t> ranges) {
  std::vector<const BlockMeta*> classes[3];
  std::vector<size_t> places[3];
  for (size_t i = 0; i < metas.size(); ++i) {
    const size_t c = metas[i].Has(kFromStaleSeries) ? 1 : metas[i].Has(kFromSelectedSeries) ? 2 : 0;
    classes[c].push_back(&metas[i]);
    places[c].push_back(i);
  }
  for (size_t c = 0; c < 3; ++c) {
    std::vector<size_t> plan = PlanClass(classes[c], ranges);
    for (size_t& i : plan) i = places[c][i];
    if (!plan.empty()) return plan;
  }
  return {};
}

}  // namespace tocsin::tsdb
