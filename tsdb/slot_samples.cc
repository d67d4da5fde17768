// The samples of one slot as readers see them: sealed chunks, the open one, what came late, without what is
// deleted or not visible yet.

#include <algorithm>

#include "base/check.h"
#include "storage/merge.h"
#include "tsdb/block.h"
#include "tsdb/block_writer.h"
#include "tsdb/series_table.h"

namespace tocsin::tsdb {

base::Result<std::string_view> BytesOf(const SealedChunk& c, const HeadChunks* files) {
  if (c.in_memory()) return c.memory()->data();
  TOCSIN_CHECK(files != nullptr) << "a written chunk in a head without files";
  return files->Read(c.place);
}

namespace {

void ReadRun(const SeriesPage& page, uint32_t at, storage::Window window, size_t hidden, storage::SampleColumns* out) {
  const HistogramRun& run = *page.run(at);
  std::vector<model::Timestamp> starts;
  if (HasOpenStarts(page, at)) [[unlikely]] {
    AppendOpenStarts(page, at, &starts);
    out->start_times.resize(out->times.size());
  }
  for (size_t i = 0; i < run.times.size() - hidden; ++i) {
    if (run.times[i] <= window.after || run.times[i] > window.upto) continue;
    out->histogram_at.push_back(static_cast<uint32_t>(out->times.size()));
    out->times.push_back(run.times[i]);
    out->values.push_back(run.histograms[i]->sum);
    out->histograms.push_back(run.histograms[i]);
    if (!starts.empty()) out->start_times.push_back(starts[i]);
  }
}

// The open float chunk with its start times, which go by the samples' places: it is read from its first sample.
base::Status ReadStarted(const SeriesPage& page, uint32_t at, storage::Window window, size_t hidden, storage::SampleColumns* out) {
  const OpenChunk& c = *page.xor_chunk(at);
  std::vector<model::Timestamp> starts;
  AppendOpenStarts(page, at, &starts);
  const size_t begin = out->times.size();
  RETURN_IF_ERROR(chunk::DecodeXor({reinterpret_cast<const char*>(c.bytes), (c.state.bits + 7) / 8},
                                   {model::kMinTimestamp, window.upto}, hidden, &out->times, &out->values));
  const auto first = out->times.begin() + static_cast<ptrdiff_t>(begin);
  const auto kept = std::upper_bound(first, out->times.end(), window.after);
  const ptrdiff_t before = kept - first, count = out->times.end() - kept;
  out->values.erase(out->values.begin() + static_cast<ptrdiff_t>(begin), out->values.begin() + static_cast<ptrdiff_t>(begin) + before);
  out->times.erase(first, kept);
  out->start_times.resize(begin);
  out->start_times.insert(out->start_times.end(), starts.begin() + before, starts.begin() + before + count);
  return {};
}

base::Status ReadChunks(const SeriesPage& page, uint32_t at, storage::Window window, size_t hidden,
                        const HeadChunks* files, storage::SampleColumns* out) {
  // How many of the hidden samples lie in the open chunk, and how many in sealed ones.
  size_t open_count = 0;
  const bool is_run = page.has(at, SeriesPage::kHistogramRun);
  if (page.open[at] != nullptr) open_count = is_run ? page.run(at)->times.size() : page.xor_chunk(at)->state.count;
  const size_t hidden_open = std::min(hidden, open_count);
  size_t hidden_sealed = hidden - hidden_open;
  const std::span<const SealedChunk> sealed = page.sealed_of(at);
  size_t end = sealed.size();
  while (end > 0 && hidden_sealed >= sealed[end - 1].count) hidden_sealed -= sealed[--end].count;
  for (size_t i = 0; i < end; ++i) {
    const SealedChunk& c = sealed[i];
    if (c.maxt() <= window.after || c.mint > window.upto) continue;
    ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
    RETURN_IF_ERROR(chunk::Decode(c.encoding, bytes, window, i + 1 == end ? hidden_sealed : 0, out));
  }
  if (hidden_open == open_count || page.last_t[at] <= window.after) return {};
  if (is_run) {
    ReadRun(page, at, window, hidden_open, out);
    return {};
  }
  const OpenChunk& c = *page.xor_chunk(at);
  if (c.mint > window.upto) return {};
  if (HasOpenStarts(page, at)) [[unlikely]] return ReadStarted(page, at, window, hidden_open, out);
  return chunk::DecodeXor({reinterpret_cast<const char*>(c.bytes), (c.state.bits + 7) / 8}, window, hidden_open,
                          &out->times, &out->values, MarksOf(page, at));
}

void HideDeletedFrom(const SeriesPage& page, uint32_t at, size_t begin, storage::SampleColumns* out) {
  if (page.has(at, SeriesPage::kDeleted)) [[unlikely]] DropDeleted(page.deleted->find(at)->second, begin, out);
}

}  // namespace

base::Status ReadInOrder(const SeriesPage& page, uint32_t at, storage::Window window, uint64_t visible,
                         const HeadChunks* files, storage::SampleColumns* out) {
  const size_t begin = out->times.size();
  RETURN_IF_ERROR(ReadChunks(page, at, window, HiddenSamples(page, at, visible), files, out));
  out->PadStartTimes();
  HideDeletedFrom(page, at, begin, out);
  return {};
}

base::Status ReadLate(const SeriesPage& page, uint32_t at, storage::Window window, uint64_t visible,
                      const HeadChunks* files, storage::SampleColumns* out) {
  if (!page.has(at, SeriesPage::kOutOfOrder)) return {};
  const size_t begin = out->times.size();
  const LateSamples& late = page.late->find(at)->second;
  std::vector<storage::SampleColumns> parts(late.chunks.size() + 1);
  for (size_t i = 0; i < late.chunks.size(); ++i) {
    const SealedChunk& c = late.chunks[i];
    if (c.maxt() <= window.after || c.mint > window.upto) continue;
    ASSIGN_OR_RETURN(const std::string_view bytes, BytesOf(c, files));
    RETURN_IF_ERROR(chunk::Decode(c.encoding, bytes, window, 0, &parts[i]));
  }
  for (const LateSample& s : late.samples) {
    if (s.t <= window.after || s.t > window.upto || s.batch > visible) continue;
    storage::SampleColumns& memory = parts.back();
    if (s.histogram) {
      memory.histogram_at.push_back(static_cast<uint32_t>(memory.times.size()));
      memory.histograms.push_back(s.histogram);
    }
    memory.times.push_back(s.t);
    memory.values.push_back(s.v);
    memory.AddStartTime(LateStartOf(page, at, s.t));
  }
  std::vector<storage::SampleRun> runs;
  for (const storage::SampleColumns& part : parts) runs.push_back({&part, 0, static_cast<uint32_t>(part.times.size())});
  storage::MergeSamples(runs, out);
  HideDeletedFrom(page, at, begin, out);
  return {};
}

base::Status ReadSlot(const SeriesPage& page, uint32_t at, storage::Window window, uint64_t visible,
                      const HeadChunks* files, storage::SampleColumns* out) {
  if (!page.has(at, SeriesPage::kOutOfOrder)) [[likely]] return ReadInOrder(page, at, window, visible, files, out);
  storage::SampleColumns chunks, late;
  RETURN_IF_ERROR(ReadInOrder(page, at, window, visible, files, &chunks));
  RETURN_IF_ERROR(ReadLate(page, at, window, visible, files, &late));
  const storage::SampleRun runs[] = {{&chunks, 0, static_cast<uint32_t>(chunks.times.size())},
                                     {&late, 0, static_cast<uint32_t>(late.times.size())}};
  storage::MergeSamples(runs, out);
  return {};
}

namespace {

// What came late for the slot, to which a sample at `t` is added.
LateSamples& LateOf(SeriesPage* page, uint32_t at, model::Timestamp t) {
  if (!page->has(at, SeriesPage::kHasSamples) || t > page->last_t[at]) page->flags[at] |= SeriesPage::kLateIsNewest;
  if (page->late == nullptr) page->late = std::make_unique<absl::flat_hash_map<uint32_t, LateSamples>>();
  page->flags[at] |= SeriesPage::kOutOfOrder;
  return (*page->late)[at];
}

}  // namespace

void AddLate(SeriesPage* page, uint32_t at, const SealedChunk& chunk) { LateOf(page, at, chunk.maxt()).chunks.push_back(chunk); }

bool InsertLate(SeriesPage* page, uint32_t at, const LateSample& sample, model::Timestamp start) {
  std::vector<LateSample>& late = LateOf(page, at, sample.t).samples;
  const auto it = std::lower_bound(late.begin(), late.end(), sample.t,
                                   [](const LateSample& s, model::Timestamp t) { return s.t < t; });
  if (it != late.end() && it->t == sample.t) return false;
  late.insert(it, sample);
  if (start != 0) {
    if (page->starts == nullptr) page->starts = std::make_unique<PageStarts>();
    page->starts->late[{at, sample.t}] = start;
  }
  ++page->edits[at];
  return true;
}

size_t SealLate(SeriesPage* page, uint32_t at, const CutPolicy& policy) {
  LateSamples& late = page->late->find(at)->second;
  storage::SampleColumns columns;
  for (const LateSample& s : late.samples) {
    if (s.histogram) {
      columns.histogram_at.push_back(static_cast<uint32_t>(columns.times.size()));
      columns.histograms.push_back(s.histogram);
    }
    columns.times.push_back(s.t);
    columns.values.push_back(s.v);
    columns.AddStartTime(LateStartOf(*page, at, s.t));
    ForgetLateStart(page, at, s.t);
  }
  const std::vector<ChunkOut> chunks = EncodeChunks(columns, policy.chunk_range_ms);
  for (const ChunkOut& c : chunks) {
    late.chunks.push_back(MakeSealed(c.mint, c.maxt, static_cast<uint16_t>(c.samples), c.encoding, c.data));
  }
  late.samples = {};
  return chunks.size();
}

size_t DropLate(SeriesPage* page, uint32_t at, model::Timestamp mint, uint64_t last_batch) {
  if (!page->has(at, SeriesPage::kOutOfOrder)) return 0;
  const auto it = page->late->find(at);
  LateSamples& late = it->second;
  size_t dropped = std::erase_if(late.samples, [&](const LateSample& s) {
    if (s.t >= mint || s.batch > last_batch) return false;
    ForgetLateStart(page, at, s.t);
    return true;
  });
  std::erase_if(late.chunks, [&](const SealedChunk& c) {
    if (c.maxt() >= mint) return false;
    dropped += c.count;
    FreeBytes(c);
    return true;
  });
  if (late.samples.empty() && late.chunks.empty()) {
    page->late->erase(it);
    page->flags[at] &= static_cast<uint8_t>(~(SeriesPage::kOutOfOrder | SeriesPage::kLateIsNewest));
    if (page->late->empty()) page->late.reset();
  }
  return dropped;
}

void HideDeleted(SeriesPage* page, uint32_t at, Interval interval) {
  if (page->deleted == nullptr) page->deleted = std::make_unique<absl::flat_hash_map<uint32_t, Intervals>>();
  AddInterval(&(*page->deleted)[at], interval);
  page->flags[at] |= SeriesPage::kDeleted;
  ++page->edits[at];
}

}  // namespace tocsin::tsdb
