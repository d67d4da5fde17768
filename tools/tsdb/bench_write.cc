// `tsdb bench write`: how fast the database takes scrapes, as promtool's: series in shards of a thousand, a hundred
// scrapes of each at a time, half a minute apart.

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "absl/container/flat_hash_set.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "net/event_loop.h"
#include "tools/tsdb/verbs.h"
#include "tsdb/db.h"

namespace tocsin::tools {
namespace {

constexpr size_t kShardSeries = 1000;
constexpr int64_t kScrapesAtOnce = 100;
constexpr model::Timestamp kStepMs = 30000;
constexpr double kFirstValue = 123456789;

using SeriesList = std::vector<model::Labels>;

// Lines of {"__name__":"x","label":"value",...}, as Prometheus's 20kseries.json has them.
base::Result<SeriesList> ReadSeries(std::string_view text, size_t limit) {
  SeriesList series;
  absl::flat_hash_set<model::Labels, model::LabelsHash, model::LabelsEqual> seen;
  size_t number = 0;
  for (const std::string_view line : base::Split(text, '\n')) {
    ++number;
    if (series.size() == limit) break;
    if (base::Trim(line).empty()) continue;
    std::string bare(line);
    std::erase_if(bare, [](char c) { return c == '"' || c == '{' || c == '}' || c == '\r'; });
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string_view pair : base::Split(bare, ',')) {
      const size_t colon = pair.find(':');
      if (colon == std::string_view::npos) {
        return base::InvalidArgument(fmt::format("line {}: \"{}\": write \"name\":\"value\"", number, pair));
      }
      pairs.emplace_back(base::Trim(pair.substr(0, colon)), pair.substr(colon + 1));
    }
    model::Labels labels = model::Labels::FromPairs(pairs);
    if (!labels.empty() && seen.insert(labels).second) series.push_back(std::move(labels));
  }
  return series;
}

// Where no file is given: series of a few metrics of many instances.
SeriesList MakeSeries(size_t count) {
  SeriesList series;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = fmt::format("bench_metric_{}_total", i % 100), instance = fmt::format("10.0.{}.{}:9100", i / 25600, i / 100 % 256);
    series.push_back(model::Labels::FromPairs({{"__name__", name}, {"instance", instance}, {"job", "bench"}}));
  }
  return series;
}

class WriteBench {
 public:
  WriteBench(const ToolIo& io, std::string folder) : io_(io), folder_(std::move(folder)), clock_({.threads = 1}) {}

  base::Status Run(const std::string& file, size_t metrics, int64_t scrapes);

 private:
  template <class Fn>
  base::Result<base::Duration> Stage(std::string_view name, Fn work) {
    io_.out(fmt::format(">> start stage={}\n", name));
    const base::Duration begin = clock_.Monotonic();
    RETURN_IF_ERROR(work());
    const base::Duration took = clock_.Monotonic() - begin;
    io_.out(fmt::format(">> completed stage={} duration={}\n", name, base::FormatGoDuration(took)));
    return took;
  }
  // `count` scrapes of the shard, the first a step behind `t`.
  base::Status Shard(std::span<const model::Labels> shard, int64_t count, model::Timestamp t);

  const ToolIo& io_;
  const std::string folder_;
  const net::EventLoop clock_;
  std::unique_ptr<tsdb::Db> db_;
  uint64_t total_ = 0;
};

base::Status WriteBench::Shard(std::span<const model::Labels> shard, int64_t count, model::Timestamp t) {
  std::vector<storage::FloatSample> samples(shard.size());
  std::vector<storage::AppendOutcome> outcomes(shard.size());
  for (int64_t scrape = 0; scrape < count; ++scrape) {
    const std::unique_ptr<storage::Appender> app = db_->NewAppender();
    t += kStepMs;
    for (size_t i = 0; i < shard.size(); ++i) {
      if (scrape == 0) {
        ASSIGN_OR_RETURN(samples[i].ref, app->Resolve(shard[i]));
      }
      samples[i].t = t;
      samples[i].v = kFirstValue + 1000.0 * static_cast<double>(scrape + 1);
    }
    app->Append(samples, outcomes);
    if (std::any_of(outcomes.begin(), outcomes.end(), [](auto o) { return o != storage::AppendOutcome::kOk; })) {
      return base::Internal("the database refused a sample");
    }
    RETURN_IF_ERROR(app->Commit());
    total_ += shard.size();
  }
  return {};
}

base::Status WriteBench::Run(const std::string& file, size_t metrics, int64_t scrapes) {
  const std::string storage = base::JoinPath(folder_, "storage");
  // promtool empties the whole folder; only what a benchmark wrote is removed here.
  RETURN_IF_ERROR(io_.fs->RemoveAll(storage));
  RETURN_IF_ERROR(io_.fs->CreateFolders(storage));
  ASSIGN_OR_RETURN(db_, tsdb::Db::Open({.path = storage, .fs = io_.fs}));

  SeriesList series;
  RETURN_IF_ERROR(Stage("readData", [&]() -> base::Status {
    if (file.empty()) {
      series = MakeSeries(metrics);
      return {};
    }
    ASSIGN_OR_RETURN(const std::string text, io_.fs->ReadFile(file));
    auto read = ReadSeries(text, metrics);
    if (!read) return std::unexpected(read.error().Within(file));
    series = std::move(*read);
    return {};
  }));

  ASSIGN_OR_RETURN(const base::Duration took, Stage("ingestScrapes", [&]() -> base::Status {
    for (int64_t scrape = 0; scrape < scrapes; scrape += kScrapesAtOnce) {
      const int64_t count = std::min(kScrapesAtOnce, scrapes - scrape);
      for (size_t i = 0; i < series.size(); i += kShardSeries) {
        RETURN_IF_ERROR(Shard(std::span(series).subspan(i, std::min(kShardSeries, series.size() - i)), count, kStepMs * scrape));
      }
    }
    io_.out("ingestion completed\n");
    return {};
  }));
  io_.out(fmt::format(" > total samples: {}\n > samples/sec: {}\n", total_,
                      base::FormatG(static_cast<double>(total_) / std::max(base::ToSeconds(took), 1e-9))));
  RETURN_IF_ERROR(Stage("stopStorage", [&]() -> base::Status {
    db_->Stop([] {});
    db_.reset();
    return {};
  }));
  return {};
}

}  // namespace

int TsdbBenchWrite(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool tsdb bench write [FLAGS] [FILE]",
                "Measures how fast the database takes samples, into OUT/storage, which is emptied before.  FILE has a series\n"
                "a line, {\"__name__\":\"x\",\"label\":\"value\"}; without it series are made up.");
  std::string out = "benchout";
  int64_t metrics = 10000, scrapes = 3000;
  flags.String("out", &out, "Where the database is written.");
  flags.Int("metrics", &metrics, "How many series.");
  flags.Int("scrapes", &scrapes, "How many scrapes of each.");
  flags.Examples("  tocsin tsdb bench write --metrics=10000 --scrapes=300 --out=/tmp/bench\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() > 1) return Fail(io, "error: unexpected " + words[1] + "; try --help");
  if (metrics <= 0 || scrapes <= 0) return Fail(io, "error: --metrics and --scrapes must be above 0");
  const base::Status status =
      WriteBench(io, out).Run(words.empty() ? "" : words[0], static_cast<size_t>(metrics), scrapes);
  return status ? 0 : Fail(io, status.error().message());
}

}  // namespace tocsin::tools
