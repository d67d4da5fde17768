// `tsdb analyze`: what a block's series are made of.

#include <algorithm>
#include <map>
#include <unordered_map>

#include <fmt/format.h>

#include "promql/parse/parser.h"
#include "base/duration.h"
#include "tools/tsdb/data_folder.h"
#include "tools/tsdb/verbs.h"
#include "tsdb/chunk/chunk.h"

namespace tocsin::tools {
namespace {

struct Ranked {
  std::string name;
  uint64_t count = 0;
};

struct PairCount {
  uint64_t series = 0;
  uint64_t uncovered = 0;  // ms of the block's range that its series have no samples in
};
// By name, then by value.
using Pairs = std::map<std::string, std::unordered_map<std::string, PairCount>, std::less<>>;

class Printer {
 public:
  Printer(const ToolIo& io, size_t limit) : io_(io), limit_(limit) {}
  // The largest first, equal ones by name.
  void List(std::string_view title, std::vector<Ranked> rows) const {
    std::sort(rows.begin(), rows.end(),
              [](const Ranked& a, const Ranked& b) { return a.count != b.count ? a.count > b.count : a.name < b.name; });
    std::string text = fmt::format("\n{}:\n", title);
    for (size_t i = 0; i < std::min(limit_, rows.size()); ++i) text += fmt::format("{} {}\n", rows[i].count, rows[i].name);
    io_.out(text);
  }

 private:
  const ToolIo& io_;
  const size_t limit_;
};

// In whole series: how many would have to be added to cover what is not.
uint64_t Churn(uint64_t uncovered, const tsdb::BlockMeta& meta) {
  return static_cast<uint64_t>(static_cast<double>(uncovered) / static_cast<double>(meta.max_time - meta.min_time));
}

base::Result<Pairs> CountPairs(const tsdb::Block& block, const std::vector<tsdb::index::SeriesId>& ids, uint64_t* entries) {
  const tsdb::BlockMeta& meta = block.meta();
  Pairs pairs;
  std::string labels;
  std::vector<tsdb::index::ChunkMeta> chunks;
  for (const tsdb::index::SeriesId id : ids) {
    labels.clear();
    chunks.clear();
    RETURN_IF_ERROR(block.index().ReadSeries(id, &labels, &chunks));
    uint64_t uncovered = static_cast<uint64_t>(meta.max_time - meta.min_time);
    if (!chunks.empty()) uncovered -= static_cast<uint64_t>(chunks.back().maxt - chunks.front().mint);
    for (const model::Label& l : model::LabelsView(labels)) {
      auto name = pairs.find(l.name);
      if (name == pairs.end()) name = pairs.try_emplace(std::string(l.name)).first;
      PairCount& count = name->second[std::string(l.value)];
      ++count.series;
      count.uncovered += uncovered;
      ++*entries;
    }
  }
  return pairs;
}

// What --extended counts of each chunk.
struct ChunkShapes {
  std::vector<int64_t> float_samples, float_bytes, histogram_samples, histogram_bytes, histogram_buckets;
  int64_t total = 0;
};

base::Result<ChunkShapes> MeasureChunks(const tsdb::Block& block, const std::vector<tsdb::index::SeriesId>& ids) {
  ChunkShapes shapes;
  std::vector<tsdb::index::ChunkMeta> chunks;
  storage::SampleColumns columns;
  for (const tsdb::index::SeriesId id : ids) {
    chunks.clear();
    RETURN_IF_ERROR(block.index().ReadSeries(id, nullptr, &chunks));
    for (const tsdb::index::ChunkMeta& c : chunks) {
      ASSIGN_OR_RETURN(const tsdb::RawChunk raw, block.ReadChunk(c.ref));
      const int64_t samples = tsdb::chunk::SampleCount(raw.encoding, raw.data);
      const auto bytes = static_cast<int64_t>(raw.data.size());
      ++shapes.total;
      if (tsdb::chunk::IsFloat(raw.encoding)) {
        shapes.float_samples.push_back(samples);
        shapes.float_bytes.push_back(bytes);
        continue;
      }
      columns.Clear();
      RETURN_IF_ERROR(tsdb::chunk::Decode(raw.encoding, raw.data, {}, 0, &columns));
      int64_t buckets = 0;
      for (const model::HistogramPtr& h : columns.histograms) {
        buckets += static_cast<int64_t>(h->positive_buckets.size() + h->negative_buckets.size());
      }
      shapes.histogram_samples.push_back(samples);
      shapes.histogram_bytes.push_back(bytes);
      shapes.histogram_buckets.push_back(buckets);
    }
  }
  return shapes;
}

// "what (min/avg/max): 1/2/3" and a bar for each bucket; at most 11 buckets of a power of ten.
std::string Distribution(std::string_view what, std::vector<int64_t> values, int64_t total) {
  if (values.empty()) return fmt::format("{}: N/A\n\n", what);
  std::sort(values.begin(), values.end());
  const int64_t low = values.front(), high = values.back();
  int64_t step = 10;
  while (step < (high - low) / 10 && step <= 10000) step *= 10;
  const int64_t begin = low - low % step, end = high - high % step + step;
  std::vector<int64_t> buckets(static_cast<size_t>((end - begin) / step + 1), 0);
  int64_t sum = 0, most = 0;
  for (const int64_t v : values) {
    sum += v;
    most = std::max(most, ++buckets[static_cast<size_t>((v - begin) / step)]);
  }
  const auto digits = [](int64_t v) { return std::to_string(v).size(); };
  std::string text =
      fmt::format("{} (min/avg/max): {}/{}/{}\n", what, low, sum / static_cast<int64_t>(values.size()), high);
  for (size_t i = 0; i < buckets.size(); ++i) {
    const int64_t from = static_cast<int64_t>(i) * step + begin;
    text += fmt::format("[{:{}}, {:{}}]: {:{}} {}\n", from + 1, digits(end), from + step, digits(end + step), buckets[i],
                        digits(most), std::string(static_cast<size_t>(100 * buckets[i] / total), '#'));
  }
  return text + "\n";
}

base::Status Analyze(const ToolIo& io, const tsdb::Block& block, size_t limit, bool extended, const std::string& match) {
  const tsdb::BlockMeta& meta = block.meta();
  model::Matchers matchers;
  if (!match.empty()) {
    ASSIGN_OR_RETURN(matchers, promql::ParseMetricSelector(match));
  }
  ASSIGN_OR_RETURN(const std::vector<tsdb::index::SeriesId> ids, block.index().Select(matchers));
  uint64_t entries = 0;
  ASSIGN_OR_RETURN(const Pairs pairs, CountPairs(block, ids, &entries));

  std::string head = fmt::format("Block ID: {}\nDuration: {}\nTotal Series: {}\n", meta.ulid,
                                 base::FormatGoDuration(std::chrono::milliseconds(meta.max_time - meta.min_time)), meta.series);
  if (!match.empty()) head += "Matcher: " + match + "\n";
  head += fmt::format("Label names: {}\n", pairs.size());
  if (!match.empty()) head += fmt::format("Matched series: {}\n", ids.size());

  std::vector<Ranked> pair_churn, name_churn, common, length, cardinality, metrics;
  for (const auto& [name, values] : pairs) {
    uint64_t uncovered = 0, bytes = 0;
    for (const auto& [value, count] : values) {
      uncovered += count.uncovered;
      bytes += value.size();
      pair_churn.push_back({name + "=" + value, Churn(count.uncovered, meta)});
      common.push_back({name + "=" + value, count.series});
      if (name == model::kMetricName) metrics.push_back({value, count.series});
    }
    name_churn.push_back({name, Churn(uncovered, meta)});
    length.push_back({name, bytes});
    cardinality.push_back({name, values.size()});
  }
  head += fmt::format("Postings (unique label pairs): {}\nPostings entries (total label pairs): {}\n", common.size(), entries);
  io.out(head);
  const Printer printer(io, limit);
  printer.List("Label pairs most involved in churning", std::move(pair_churn));
  printer.List("Label names most involved in churning", std::move(name_churn));
  printer.List("Most common label pairs", std::move(common));
  printer.List("Label names with highest cumulative label value length", std::move(length));
  printer.List("Highest cardinality labels", std::move(cardinality));
  printer.List("Highest cardinality metric names", std::move(metrics));
  if (!extended) return {};

  ASSIGN_OR_RETURN(ChunkShapes shapes, MeasureChunks(block, ids));
  io.out("\nCompaction analysis:\n\n");
  io.out(Distribution("samples per float chunk", std::move(shapes.float_samples), shapes.total));
  io.out(Distribution("bytes per float chunk", std::move(shapes.float_bytes), shapes.total));
  io.out(Distribution("samples per histogram chunk", std::move(shapes.histogram_samples), shapes.total));
  io.out(Distribution("bytes per histogram chunk", std::move(shapes.histogram_bytes), shapes.total));
  io.out(Distribution("buckets per histogram chunk", std::move(shapes.histogram_buckets), shapes.total));
  return {};
}

}  // namespace

int TsdbAnalyze(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb analyze [FLAGS] [DIR [BLOCK]]",
                "Shows what a block's series are made of (default: of data/, the block made last): churn, label pairs,\n"
                "cardinality; with --extended how well its chunks are filled.");
  int64_t limit = 20;
  bool extended = false;
  std::string match;
  flags.Int("limit", &limit, "Rows of each list.");
  flags.Bool("extended", &extended, "Also measure every chunk.");
  flags.String("match", &match, "Series selector: count only what it matches.");
  flags.Examples("  tocsin tsdb analyze --limit=10 /var/lib/tocsin\n"
                 "  tocsin tsdb analyze --extended --match='{job=\"node\"}' /var/lib/tocsin 01M7VWYT144THZADAMJEQ97S0S\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() > 2) return Fail(io, "error: unexpected " + words[2] + "; try --help");
  const auto folder = DataFolder::Open(io, words.empty() ? kDefaultDbPath : words[0]);
  if (!folder) return Fail(io, folder.error().message());
  const auto block = (*folder)->OneBlock(words.size() < 2 ? "" : words[1]);
  if (!block) return Fail(io, block.error().message());
  const base::Status status = Analyze(io, **block, limit < 0 ? 0 : static_cast<size_t>(limit), extended, match);
  return status ? 0 : Fail(io, status.error().message());
}

}  // namespace tocsin::tools
