#include "tsdb/block_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/digest.h"
#include "storage/queryable.h"
#include "tsdb/chunk/histogram_chunk.h"
#include "tsdb/chunk/xor2.h"
#include "tsdb/index/coding.h"
#include "tsdb/series_table.h"

namespace tocsin::tsdb {
namespace {

constexpr uint32_t kChunksMagic = 0x85BD40DD;
constexpr uint64_t kSegmentBytes = 512 << 20;
constexpr size_t kFlushBytes = 1 << 20;

}  // namespace

base::Result<std::unique_ptr<BlockWriter>> BlockWriter::Create(base::FileSystem* fs, std::string parent, BlockMeta meta,
                                                               std::span<const std::string_view> symbols) {
  std::unique_ptr<BlockWriter> w(new BlockWriter);
  w->fs_ = fs;
  w->temporary_ = base::JoinPath(parent, meta.ulid + ".tmp-for-creation");
  w->parent_ = std::move(parent);
  w->meta_ = std::move(meta);
  w->meta_.samples = w->meta_.float_samples = w->meta_.histogram_samples = 0;
  w->meta_.series = w->meta_.chunks = w->meta_.tombstones = 0;
  RETURN_IF_ERROR(fs->RemoveAll(w->temporary_));
  RETURN_IF_ERROR(fs->CreateFolders(base::JoinPath(w->temporary_, "chunks")));
  ASSIGN_OR_RETURN(w->index_, index::IndexWriter::Create(fs, base::JoinPath(w->temporary_, "index"), symbols));
  return w;
}

BlockWriter::~BlockWriter() {
  if (!finished_) base::Ignore(fs_->RemoveAll(temporary_));  // otherwise removed at the next start
}

base::Status BlockWriter::FinishSegment() {
  if (segment_ == nullptr) return {};
  RETURN_IF_ERROR(segment_->Append(buffer_));
  buffer_.clear();
  RETURN_IF_ERROR(segment_->Sync());
  RETURN_IF_ERROR(segment_->Close());
  segment_ = nullptr;
  return {};
}

base::Status BlockWriter::PutChunk(const ChunkOut& chunk, uint64_t* ref) {
  const uint64_t size = chunk.data.size() + 16;
  if (segment_ == nullptr || segment_offset_ + size > kSegmentBytes) {
    RETURN_IF_ERROR(FinishSegment());
    ++segment_number_;
    ASSIGN_OR_RETURN(segment_, fs_->Open(base::JoinPath(base::JoinPath(temporary_, "chunks"), fmt::format("{:06}", segment_number_)),
                                         base::FileSystem::Mode::kTruncate));
    index::PutBe32(&buffer_, kChunksMagic);
    buffer_.append("\x01\0\0\0", 4);
    segment_offset_ = 8;
  }
  *ref = static_cast<uint64_t>(segment_number_ - 1) << 32 | segment_offset_;
  const size_t before = buffer_.size();
  index::PutUvarint(&buffer_, chunk.data.size());
  const size_t checked = buffer_.size();
  buffer_.push_back(static_cast<char>(chunk.encoding));
  buffer_.append(chunk.data);
  index::PutBe32(&buffer_, base::Crc32c(std::string_view(buffer_).substr(checked)));
  segment_offset_ += buffer_.size() - before;
  if (buffer_.size() >= kFlushBytes) {
    RETURN_IF_ERROR(segment_->Append(buffer_));
    buffer_.clear();
  }
  return {};
}

base::Status BlockWriter::Add(model::LabelsView labels, std::span<const ChunkOut> chunks) {
  TOCSIN_DCHECK(!chunks.empty()) << labels.ToString();
  metas_.clear();
  for (const ChunkOut& c : chunks) {
    uint64_t ref = 0;
    RETURN_IF_ERROR(PutChunk(c, &ref));
    metas_.push_back({c.mint, c.maxt, ref});
    meta_.samples += c.samples;
    (chunk::IsFloat(c.encoding) ? meta_.float_samples : meta_.histogram_samples) += c.samples;
  }
  meta_.chunks += chunks.size();
  ++meta_.series;
  return index_->AddSeries(labels, metas_);
}

base::Result<std::string> BlockWriter::Finish() {
  RETURN_IF_ERROR(FinishSegment());
  RETURN_IF_ERROR(index_->Finish());
  RETURN_IF_ERROR(fs_->WriteFileAtomically(base::JoinPath(temporary_, "tombstones"), FormatTombstones({})));
  RETURN_IF_ERROR(fs_->WriteFileAtomically(base::JoinPath(temporary_, "meta.json"), FormatBlockMeta(meta_)));
  RETURN_IF_ERROR(fs_->SyncFolder(base::JoinPath(temporary_, "chunks")));
  RETURN_IF_ERROR(fs_->SyncFolder(temporary_));
  const std::string folder = base::JoinPath(parent_, meta_.ulid);
  RETURN_IF_ERROR(fs_->Rename(temporary_, folder));
  RETURN_IF_ERROR(fs_->SyncFolder(parent_));
  finished_ = true;
  return folder;
}

base::Status ToXor2(ChunkOut* c) {
  storage::SampleColumns samples;
  RETURN_IF_ERROR(chunk::Decode(c->encoding, c->data, {}, 0, &samples));
  if (samples.times.empty()) return base::DataLoss("a chunk without samples");
  c->data = chunk::EncodeXor2(samples.times, samples.values, samples.start_times);
  c->encoding = chunk::Encoding::kXor2;
  return {};
}

std::vector<ChunkOut> EncodeChunks(const storage::SampleColumns& samples, int64_t chunk_range_ms, bool xor2) {
  // The head's own appending, on a page that only serves this.
  thread_local const std::unique_ptr<SeriesPage> page = std::make_unique<SeriesPage>();
  const CutPolicy policy{.chunk_range_ms = chunk_range_ms};
  Rebuild(page.get(), 0, samples, policy);
  SealOpen(page.get(), 0);
  std::vector<ChunkOut> out;
  for (const SealedChunk& c : page->sealed_of(0)) {
    out.push_back({c.mint, c.maxt(), c.count, c.encoding, std::string(c.memory()->data())});
  }
  DropChunksBefore(page.get(), 0, model::kMaxTimestamp);
  for (ChunkOut& c : out) {
    if (!xor2 || c.encoding != chunk::Encoding::kXor) continue;
    const base::Status encoded = ToXor2(&c);
    TOCSIN_CHECK(encoded) << "a chunk that was just made: " << encoded.error().message();
  }
  return out;
}

}  // namespace tocsin::tsdb
