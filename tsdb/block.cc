#include "tsdb/block.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include <fmt/format.h>

#include "absl/container/flat_hash_set.h"
#include "base/digest.h"
#include "base/log.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/index/coding.h"

namespace tocsin::tsdb {
namespace {

constexpr uint32_t kChunksMagic = 0x85BD40DD;
constexpr size_t kChunksHeaderBytes = 8;

bool IsDigits(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

storage::Window Narrow(storage::Window a, storage::Window b) {
  return {std::max(a.after, b.after), std::min(a.upto, b.upto)};
}

class BlockSeriesSet : public storage::SeriesSet {
 public:
  BlockSeriesSet(std::shared_ptr<const Block> block, std::shared_ptr<const Tombstones> tombstones, storage::Window window)
      : block_(std::move(block)), tombstones_(std::move(tombstones)), window_(window) {}

  base::Status Fill(const std::vector<index::SeriesId>& ids, size_t limit, std::deque<std::string>* arena);

  size_t size() const override { return series_.size(); }
  model::LabelsView labels(size_t i) const override { return series_[i].labels; }

  base::Status Read(size_t first, size_t count, storage::Window window, storage::SampleColumns* out) const override {
    out->Clear();
    out->offsets.push_back(0);
    window = Narrow(window, window_);
    for (size_t i = first; i < first + count; ++i) {
      RETURN_IF_ERROR(ReadChunks(*block_, ChunksOf(i), series_[i].deleted, window, out));
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    return {};
  }

  base::Status ReadLast(size_t first, size_t count, storage::Window window, storage::LastColumns* out) const override {
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    out->histograms.clear();
    window = Narrow(window, window_);
    storage::SampleColumns scratch;
    for (size_t i = 0; i < count; ++i) {
      // The last chunk that has something in the window.
      const std::span<const index::ChunkMeta> chunks = ChunksOf(first + i);
      for (size_t c = chunks.size(); c-- > 0;) {
        if (chunks[c].maxt <= window.after) break;
        if (chunks[c].mint > window.upto) continue;
        if (series_[first + i].deleted == nullptr) {
          ASSIGN_OR_RETURN(const RawChunk raw, block_->ReadChunk(chunks[c].ref));
          if (raw.encoding == chunk::Encoding::kXor) {
            model::Timestamp found = 0;
            ASSIGN_OR_RETURN(const bool any, block_->marks()->With(chunks[c].ref, [&](chunk::XorMarks* marks) {
              return chunk::DecodeXorLast(raw.data, window, 0, &found, &out->values[i], marks);
            }));
            if (!any) continue;
            out->times[i] = found;
            break;
          }
        }
        scratch.Clear();
        RETURN_IF_ERROR(ReadChunks(*block_, chunks.subspan(c, 1), series_[first + i].deleted, window, &scratch));
        if (scratch.times.empty()) continue;
        out->times[i] = scratch.times.back();
        std::memcpy(&out->values[i], &scratch.values.back(), sizeof(double));
        if (!scratch.histogram_at.empty() && scratch.histogram_at.back() + 1 == scratch.times.size()) {
          if (out->histograms.empty()) out->histograms.resize(count);
          out->histograms[i] = scratch.histograms.back();
        }
        break;
      }
    }
    return {};
  }

 private:
  struct Series {
    model::LabelsView labels;
    const Intervals* deleted;  // may be null
    uint32_t first_chunk;
    uint32_t chunk_count;
  };
  std::span<const index::ChunkMeta> ChunksOf(size_t i) const {
    return std::span(chunks_).subspan(series_[i].first_chunk, series_[i].chunk_count);
  }

  const std::shared_ptr<const Block> block_;
  const std::shared_ptr<const Tombstones> tombstones_;
  const storage::Window window_;
  std::vector<Series> series_;
  std::vector<index::ChunkMeta> chunks_;
};

base::Status BlockSeriesSet::Fill(const std::vector<index::SeriesId>& ids, size_t limit, std::deque<std::string>* arena) {
  constexpr size_t kBlockBytes = 64 << 10;
  std::vector<index::ChunkMeta> chunks;
  std::string labels;
  for (const index::SeriesId id : ids) {
    chunks.clear();
    labels.clear();
    RETURN_IF_ERROR(block_->index().ReadSeries(id, &labels, &chunks));
    const Intervals* deleted = nullptr;
    if (const auto it = tombstones_->find(id); it != tombstones_->end()) deleted = &it->second;
    std::erase_if(chunks, [&](const index::ChunkMeta& c) {
      return c.maxt <= window_.after || c.mint > window_.upto || (deleted != nullptr && Covers(*deleted, c.mint, c.maxt));
    });
    if (chunks.empty()) continue;
    if (arena->empty() || arena->back().capacity() - arena->back().size() < labels.size()) {
      arena->emplace_back().reserve(std::max(kBlockBytes, labels.size()));
    }
    std::string& block = arena->back();
    const size_t begin = block.size();
    block += labels;  // within the capacity: what was given out stays where it is
    series_.push_back({model::LabelsView(std::string_view(block).substr(begin)), deleted,
                       static_cast<uint32_t>(chunks_.size()), static_cast<uint32_t>(chunks.size())});
    chunks_.insert(chunks_.end(), chunks.begin(), chunks.end());
    if (limit > 0 && series_.size() == limit) break;
  }
  return {};
}

class BlockQuerier : public storage::Querier {
 public:
  BlockQuerier(std::shared_ptr<const Block> block, storage::Window window)
      : block_(std::move(block)), tombstones_(block_->tombstones()), window_(window) {}

  base::Result<std::unique_ptr<storage::SeriesSet>> Select(const storage::SelectHints& hints,
                                                           std::span<const model::Matcher> matchers) override {
    auto set = std::make_unique<BlockSeriesSet>(block_, tombstones_, Narrow(hints.window, window_));
    ASSIGN_OR_RETURN(const std::vector<index::SeriesId> ids, block_->index().Select(matchers));
    std::deque<std::string> arena;
    RETURN_IF_ERROR(set->Fill(ids, hints.limit, &arena));
    base::MutexLock lock(&mu_);
    arenas_.push_back(std::move(arena));  // labels live as long as the querier
    return set;
  }

  base::Result<std::vector<std::string>> LabelNames(const storage::LabelQuery& query,
                                                    std::span<const model::Matcher> matchers) override {
    std::vector<std::string> out;
    if (!Overlaps(query.window)) return out;
    if (matchers.empty()) {
      for (const std::string_view name : block_->index().Names()) out.emplace_back(name);
    } else {
      ASSIGN_OR_RETURN(const std::vector<index::SeriesId> ids, block_->index().Select(matchers));
      ASSIGN_OR_RETURN(const std::vector<std::string_view> names, block_->index().NamesOf(ids));
      out.assign(names.begin(), names.end());
    }
    if (query.limit > 0 && out.size() > query.limit) out.resize(query.limit);
    return out;
  }

  base::Result<std::vector<std::string>> LabelValues(std::string_view name, const storage::LabelQuery& query,
                                                     std::span<const model::Matcher> matchers) override {
    std::vector<std::string> out;
    if (!Overlaps(query.window)) return out;
    if (matchers.empty()) {
      for (const std::string_view value : block_->index().ValuesOf(name)) out.emplace_back(value);
    } else {
      ASSIGN_OR_RETURN(const std::vector<index::SeriesId> ids, block_->index().Select(matchers));
      ASSIGN_OR_RETURN(const std::vector<std::string_view> values, block_->index().ValuesOf(name, ids));
      out.assign(values.begin(), values.end());
    }
    if (query.limit > 0 && out.size() > query.limit) out.resize(query.limit);
    return out;
  }

 private:
  bool Overlaps(storage::Window window) const {
    window = Narrow(window, window_);
    return block_->meta().max_time - 1 > window.after && block_->meta().min_time <= window.upto;
  }
  const std::shared_ptr<const Block> block_;
  const std::shared_ptr<const Tombstones> tombstones_;
  const storage::Window window_;
  base::Mutex mu_;
  std::deque<std::deque<std::string>> arenas_ TOCSIN_GUARDED_BY(mu_);
};

}  // namespace

void DropDeleted(const Intervals& deleted, size_t begin, storage::SampleColumns* out) {
  const size_t first_histogram =
      static_cast<size_t>(std::lower_bound(out->histogram_at.begin(), out->histogram_at.end(), begin) - out->histogram_at.begin());
  size_t kept = begin, h = first_histogram, kept_h = first_histogram;
  for (size_t i = begin; i < out->times.size(); ++i) {
    const model::Timestamp t = out->times[i];
    const bool histogram = h < out->histogram_at.size() && out->histogram_at[h] == i;
    const bool gone = std::any_of(deleted.begin(), deleted.end(), [t](const Interval& x) { return x.mint <= t && t <= x.maxt; });
    if (!gone) {
      if (histogram) {
        out->histogram_at[kept_h] = static_cast<uint32_t>(kept);
        out->histograms[kept_h] = std::move(out->histograms[h]);
        ++kept_h;
      }
      out->times[kept] = t;
      std::memmove(&out->values[kept], &out->values[i], sizeof(double));
      if (!out->start_times.empty()) out->start_times[kept] = out->start_times[i];
      ++kept;
    }
    h += histogram;
  }
  out->times.resize(kept);
  out->values.resize(kept);
  if (!out->start_times.empty()) out->start_times.resize(kept);
  out->histogram_at.resize(kept_h);
  out->histograms.resize(kept_h);
}

base::Status ReadChunks(const Block& block, std::span<const index::ChunkMeta> chunks, const Intervals* deleted,
                        storage::Window window, storage::SampleColumns* out) {
  const size_t begin = out->times.size();
  for (const index::ChunkMeta& c : chunks) {
    if (c.maxt <= window.after || c.mint > window.upto) continue;
    ASSIGN_OR_RETURN(const RawChunk raw, block.ReadChunk(c.ref));
    // Marks are of use where the window begins inside the chunk.
    if (raw.encoding != chunk::Encoding::kXor || c.mint > window.after) {
      RETURN_IF_ERROR(chunk::Decode(raw.encoding, raw.data, window, 0, out));
      continue;
    }
    RETURN_IF_ERROR(block.marks()->With(c.ref, [&](chunk::XorMarks* marks) {
      return chunk::DecodeXor(raw.data, window, 0, &out->times, &out->values, marks);
    }));
    out->PadStartTimes();
  }
  if (deleted != nullptr) DropDeleted(*deleted, begin, out);
  return {};
}

base::Result<std::shared_ptr<Block>> Block::Open(base::FileSystem* fs, const std::string& folder) {
  std::shared_ptr<Block> block(new Block);
  block->fs_ = fs;
  block->folder_ = folder;
  const std::string meta_path = base::JoinPath(folder, "meta.json");
  ASSIGN_OR_RETURN(const std::string meta, fs->ReadFile(meta_path));
  base::Result<BlockMeta> parsed = ParseBlockMeta(meta);
  if (!parsed) return std::unexpected(parsed.error().Within(folder));
  block->meta_ = std::move(*parsed);
  block->failed_ = block->meta_.failed;

  const std::string index_path = base::JoinPath(folder, "index");
  ASSIGN_OR_RETURN(std::unique_ptr<base::MappedFile> index_file, fs->Map(index_path));
  ASSIGN_OR_RETURN(block->index_, index::IndexReader::Open(index_path, std::move(index_file)));

  const std::string chunks = base::JoinPath(folder, "chunks");
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs->List(chunks));
  block->size_bytes_ = meta.size() + block->index_->size_bytes();
  for (const base::FileInfo& f : files) {
    if (!IsDigits(f.name)) continue;
    const std::string path = base::JoinPath(chunks, f.name);
    ASSIGN_OR_RETURN(std::unique_ptr<base::MappedFile> segment, fs->Map(path));
    index::Decoder in(segment->data());
    const uint32_t magic = in.Be32();
    const int version = in.Byte();
    if (!in.ok() || magic != kChunksMagic || version != 1) {
      return base::DataLoss(fmt::format("{}: magic {:08x} version {}, {:08x} and 1 expected", path, magic, version, kChunksMagic));
    }
    block->size_bytes_ += segment->data().size();
    block->segments_.push_back(std::move(segment));
  }

  auto tombstones = std::make_shared<Tombstones>();
  const auto file = fs->ReadFile(base::JoinPath(folder, "tombstones"));
  if (file) {
    auto stones = ParseTombstones(*file);
    if (!stones) {
      // Better samples that should be hidden than none: the file is kept, and the log says it.
      const std::string path = base::JoinPath(folder, "tombstones"), kept = path + ".damaged";
      base::LogError("tombstones damaged: what was deleted from this block shows again; delete it again",
                     {{"block", folder}, {"copy", kept}, {"error", stones.error()}});
      RETURN_IF_ERROR(fs->Rename(path, kept));
    } else {
      *tombstones = std::move(*stones);
    }
    block->size_bytes_ += file->size();
  } else if (file.error().code() != base::Code::kNotFound) {
    return std::unexpected(file.error());
  }
  base::MutexLock lock(&block->mu_);
  block->tombstones_ = std::move(tombstones);
  return block;
}

base::Result<RawChunk> Block::ReadChunk(uint64_t ref) const {
  const uint64_t segment = ref >> 32, offset = ref & UINT32_MAX;
  const auto bad = [&](std::string_view what) {
    return base::DataLoss(fmt::format("{}/chunks/{:06} offset {}: {}", folder_, segment + 1, offset, what));
  };
  if (segment >= segments_.size()) return bad(fmt::format("there are {} segments", segments_.size()));
  const std::string_view data = segments_[segment]->data();
  if (offset < kChunksHeaderBytes || offset >= data.size()) return bad(fmt::format("the file has {} bytes", data.size()));
  index::Decoder in(data.substr(offset));
  const uint64_t length = in.Uvarint();
  if (!in.ok() || length > in.left() || in.left() - length < 5) {
    return bad(fmt::format("a chunk of {} bytes where {} are left", length, in.left()));
  }
  const std::string_view checked(in.position(), length + 1);
  const uint32_t stored = index::Decoder({checked.data() + checked.size(), 4}).Be32(), computed = base::Crc32c(checked);
  if (stored != computed) return bad(fmt::format("CRC {:08x}, computed {:08x}", stored, computed));
  return RawChunk{static_cast<chunk::Encoding>(checked[0]), checked.substr(1)};
}

std::shared_ptr<const Tombstones> Block::tombstones() const {
  base::MutexLock lock(&mu_);
  return tombstones_;
}

uint64_t Block::tombstone_count() const {
  uint64_t n = 0;
  const std::shared_ptr<const Tombstones> held = tombstones();
  for (const auto& [id, intervals] : *held) n += intervals.size();
  return n;
}

base::Status Block::Delete(model::Timestamp mint, model::Timestamp maxt, std::span<const model::Matchers> any_of) {
  base::MutexLock once(&delete_mu_);
  auto next = std::make_shared<Tombstones>(*tombstones());
  bool changed = false;
  std::vector<index::ChunkMeta> chunks;
  for (const model::Matchers& m : any_of) {
    ASSIGN_OR_RETURN(const std::vector<index::SeriesId> ids, index_->Select(m));
    for (const index::SeriesId id : ids) {
      chunks.clear();
      RETURN_IF_ERROR(index_->ReadSeries(id, nullptr, &chunks));
      if (chunks.empty() || chunks.front().mint > maxt || chunks.back().maxt < mint) continue;
      AddInterval(&(*next)[id], {std::max(mint, chunks.front().mint), std::min(maxt, chunks.back().maxt)});
      changed = true;
    }
  }
  if (!changed) return {};
  RETURN_IF_ERROR(fs_->WriteFileAtomically(base::JoinPath(folder_, "tombstones"), FormatTombstones(*next)));
  BlockMeta meta = meta_;
  meta.failed = failed();
  meta.tombstones = 0;
  for (const auto& [id, intervals] : *next) meta.tombstones += intervals.size();
  RETURN_IF_ERROR(fs_->WriteFileAtomically(base::JoinPath(folder_, "meta.json"), FormatBlockMeta(meta)));
  base::MutexLock lock(&mu_);
  tombstones_ = std::move(next);
  return {};
}

base::Status Block::MarkFailed() {
  base::MutexLock once(&delete_mu_);
  BlockMeta meta = meta_;
  meta.failed = true;
  meta.tombstones = tombstone_count();
  failed_ = true;
  return fs_->WriteFileAtomically(base::JoinPath(folder_, "meta.json"), FormatBlockMeta(meta));
}

std::unique_ptr<storage::Querier> Block::NewQuerier(std::shared_ptr<const Block> block, storage::Window window) {
  return std::make_unique<BlockQuerier>(std::move(block), window);
}

}  // namespace tocsin::tsdb
