#include "tools/tsdb/create_blocks.h"

#include <algorithm>

#include "tsdb/block_writer.h"
#include "tsdb/compact.h"

namespace tocsin::tools {

int64_t CompatibleBlockDuration(base::Duration wanted) {
  const int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(wanted).count();
  return tsdb::BlockRanges(kDefaultBlockMs, ms).back();
}

model::Timestamp BlockStart(model::Timestamp t, int64_t block_ms) {
  const int64_t rest = t % block_ms;
  return t - rest - (rest < 0 ? block_ms : 0);
}

size_t BlockBuilder::SeriesOf(const model::Labels& labels) {
  const auto [it, added] = numbers_.try_emplace(labels, series_.size());
  if (added) series_.push_back({labels, {}});
  return it->second;
}

bool BlockBuilder::empty() const {
  return std::all_of(series_.begin(), series_.end(), [](const Series& s) { return s.samples.empty(); });
}

base::Result<std::string> BlockBuilder::Write(base::FileSystem* fs, const std::string& parent, base::Time now,
                                              int64_t block_ms, uint64_t* repeated) {
  numbers_.clear();
  std::erase_if(series_, [](const Series& s) { return s.samples.empty(); });
  std::sort(series_.begin(), series_.end(), [](const Series& a, const Series& b) { return a.labels < b.labels; });
  tsdb::BlockMeta meta;
  meta.ulid = tsdb::MakeUlid(base::ToUnixMillis(now), parent);
  meta.sources = {meta.ulid};
  meta.min_time = model::kMaxTimestamp;
  meta.max_time = model::kMinTimestamp;
  std::vector<std::string_view> symbols;
  for (Series& s : series_) {
    std::stable_sort(s.samples.begin(), s.samples.end(), [](const auto& a, const auto& b) { return a.t < b.t; });
    const auto end = std::unique(s.samples.begin(), s.samples.end(), [](const auto& a, const auto& b) { return a.t == b.t; });
    *repeated += static_cast<uint64_t>(s.samples.end() - end);
    s.samples.erase(end, s.samples.end());
    meta.min_time = std::min(meta.min_time, s.samples.front().t);
    meta.max_time = std::max(meta.max_time, s.samples.back().t + 1);
    for (const model::Label& l : s.labels) {
      symbols.push_back(l.name);
      symbols.push_back(l.value);
    }
  }
  std::sort(symbols.begin(), symbols.end());
  symbols.erase(std::unique(symbols.begin(), symbols.end()), symbols.end());
  ASSIGN_OR_RETURN(const std::unique_ptr<tsdb::BlockWriter> writer, tsdb::BlockWriter::Create(fs, parent, meta, symbols));
  storage::SampleColumns columns;
  for (const Series& s : series_) {
    columns.Clear();
    for (const model::Sample& sample : s.samples) {
      columns.times.push_back(sample.t);
      columns.values.push_back(sample.v);
    }
    columns.offsets = {0, static_cast<uint32_t>(columns.times.size())};
    // As promtool, whose chunks are cut for twice the block's length.
    RETURN_IF_ERROR(writer->Add(s.labels, tsdb::EncodeChunks(columns, 2 * block_ms)));
  }
  series_.clear();
  return writer->Finish();
}

base::Status BlockPrinter::Print(const std::string& folder) {
  if (quiet_) return {};
  ASSIGN_OR_RETURN(const std::shared_ptr<tsdb::Block> block, tsdb::Block::Open(io_.fs, folder));
  io_.out(FormatBlockTable({{&block->meta(), block->size_bytes()}},
                           human_ ? BlockTable::kHumanReadable : BlockTable::kPlain, std::exchange(header_, false)));
  return {};
}

}  // namespace tocsin::tools
