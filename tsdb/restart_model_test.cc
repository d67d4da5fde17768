// Operations in random order on a database that is killed at any file operation, with power loss or without, and a model of
// what must be there, may be there, and must not: samples in order and late, floats and histograms, deletions, second numbers
// of series, start times, cuts with and without readers, checkpoints of the log, clean stops with and without a snapshot.
//
//   TOCSIN_SEED=17 TOCSIN_ROUNDS=1 TOCSIN_CHECK_ALL=1 TOCSIN_LOG=1 build/tsdb_test --gtest_filter='RestartModelTest.*'

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <set>

#include "base/log.h"
#include "tsdb/db_test_util.h"
#include "tsdb/head_chunks.h"
#include "tsdb/series_table.h"
#include "tsdb/wal/log.h"
#include "tsdb/wal/record.h"

namespace tocsin::tsdb {
namespace {

using model::Labels;

constexpr model::Timestamp kMinute = 60'000;
constexpr int kSeries = 7, kHistograms = 5, kMixed = 6;  // the last two are of histograms, and of both

Labels Series(int s) { return Labels::FromPairs({{"__name__", "m"}, {"s", std::to_string(s)}}); }

uint64_t Mix(uint64_t x) {
  x = (x ^ x >> 31) * 0x7fb5d329728ea185;
  return x ^ x >> 27;
}

// What a series has at a time is always the same, so that the model need not know it.
bool IsHistogram(int s, model::Timestamp t) { return s == kHistograms || (s == kMixed && t / (20 * kMinute) % 2 == 1); }
double ValueAt(int s, model::Timestamp t) {
  const uint64_t mixed = Mix(static_cast<uint64_t>(t) * kSeries + static_cast<uint64_t>(s));
  if (s < kHistograms && mixed % 40 == 0) return model::StaleMarker();
  return static_cast<double>(mixed % 1000) / 8;
}
model::HistogramPtr HistogramAt(int s, model::Timestamp t) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = true;
  h->schema = 1;
  h->positive_spans = {{0, 2}};
  const auto n = static_cast<double>(t / 1000);
  h->positive_buckets = {n, n + 1};
  h->count = 2 * n + 1;
  h->sum = ValueAt(s, t);
  return h;
}

// When what a sample counts began: long ago, at the sample before, or not known.
model::Timestamp StartAt(int s, model::Timestamp t) {
  if (!IsHistogram(s, t) && model::IsStale(ValueAt(s, t))) return 0;
  if (s % 3 == 0) return t / (30 * kMinute) * 30 * kMinute - 1;
  return Mix(static_cast<uint64_t>(t)) % 3 == 0 ? 0 : t - 15'000;
}

class RestartModelTest : public DbTest {
 protected:
  enum class State { kMust, kMay, kMustNot };
  // When a sample came, for messages.
  struct Came {
    model::Timestamp now;
    size_t trace;
  };

  void Run(uint64_t seed) {
    random_.seed(seed);
    trace_ = "seed " + std::to_string(seed) + ":";
    ASSERT_TRUE(fs_.RemoveAll("data"));
    faulty_.Heal();
    model_.assign(kSeries, {});
    came_.clear();
    deleted_.assign(kSeries, {});
    now_ = 1'000'000;
    aliases_ = 0;
    power_ = One(2);
    started_ = seed % 2 == 0;
    StartLife();
    for (int round = 0; round < 60 && !HasFatalFailure(); ++round) {
      Step();
      if (check_all_) Check("after this");
      if (HasFatalFailure()) return;
      if (calls_ > kill_at_ || One(9)) Restart();
    }
    reader_.reset();
    db_.reset();
  }

  bool One(uint64_t in) { return random_() % in == 0; }
  int64_t Below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  void Note(const std::string& what) {
    trace_ += " " + what;
    base::LogInfo("step", {{"what", what}, {"now", now_}});
  }

  void StartLife() {
    faulty_.Heal();
    for (int opens = One(3) ? 2 : 1; opens > 0; --opens) {
      snapshots_ = One(2);
      db_ = Open({.start_times = started_,
                  .histogram_start_times = started_,
                  .min_block_duration = std::chrono::minutes(30),
                  .max_block_duration = std::chrono::hours(2),
                  .wal_segment_bytes = 32 << 10,
                  .wal_shorten_samples = 1,
                  .out_of_order_window = std::chrono::hours(4),
                  .memory_snapshot = snapshots_});
      ASSERT_NE(db_, nullptr) << trace_;
      Note(snapshots_ ? "open+" : "open");
      if (opens > 1) Stop(false);
    }
    calls_ = 0;
    kill_at_ = One(2) ? random_() % 300 : UINT64_MAX;
    faulty_.Fail({.when = [this](base::FaultyFileSystem::Op, const std::string&) { return calls_++ >= kill_at_; }});
    Check("after the start");
  }

  // `clean`: an orderly stop; else nothing that happens reaches the disk.
  void Stop(bool clean) {
    reader_.reset();
    if (!clean) faulty_.Fail({.when = [](base::FaultyFileSystem::Op, const std::string&) { return true; }});
    db_.reset();
    faulty_.Heal();
  }

  void Restart() {
    if (calls_ <= kill_at_) Check("before the stop");
    if (HasFatalFailure()) return;
    const bool killed = calls_ > kill_at_, clean = !killed && One(2);
    Note(killed ? "killed" : clean ? "stop" : "kill");
    Stop(clean);
    if (power_) {
      Note("power");
      fs_.Crash(One(2) ? 0 : random_() | 1);
    }
    if (One(3)) WriteAlias();
    if (!HasFatalFailure()) StartLife();
  }

  void Step() {
    const int64_t what = Below(20);
    if (what < 12) {
      const int64_t batches = 1 + Below(40);
      Note("append " + std::to_string(batches));
      if (One(12)) now_ += Below(40) * kMinute;
      for (int64_t i = 0; i < batches && calls_ <= kill_at_; ++i) Batch();
    } else if (what < 16) {
      if (One(3)) reader_ = db_->NewQuerier(kAll);
      if (One(3)) reader_.reset();
      Note(reader_ ? "compact-read" : "compact");
      base::Ignore(db_->Compact());
    } else if (what < 18) {
      Delete();
    } else if (what < 19) {
      Note("clean");
      base::Ignore(db_->CleanTombstones());
    } else {
      Check("at once");
    }
  }

  void Batch() {
    auto app = db_->NewAppender();
    now_ += 15'000 + Below(30'000);
    std::vector<std::pair<int, model::Timestamp>> samples;
    for (int s = 0; s < kSeries; ++s) {
      if (!One(6)) samples.emplace_back(s, now_);
      while (One(5)) {
        const model::Timestamp t = now_ - 1 - Below(100 * kMinute);
        if (t > 0 && !model_[s].contains(t)) samples.emplace_back(s, t);
      }
    }
    for (const auto& [s, t] : samples) {
      model_[s].try_emplace(t, State::kMay);
      came_[{s, t}] = {now_, trace_.size()};
      const auto ref = app->Resolve(Series(s));
      if (!ref) return;
      auto outcome = storage::AppendOutcome::kOk;
      if (IsHistogram(s, t)) {
        outcome = app->AppendStartedHistogram(*ref, t, StartAt(s, t), HistogramAt(s, t));
      } else {
        const storage::FloatSample sample{*ref, t, ValueAt(s, t)};
        const model::Timestamp start = StartAt(s, t);
        app->AppendStarted({&sample, 1}, {&start, 1}, {&outcome, 1});
      }
      ASSERT_EQ(outcome, storage::AppendOutcome::kOk) << trace_ << " series " << s << " at " << t << " now " << now_;
    }
    if (!app->Commit(power_ || One(2) ? storage::Durability::kSynced : storage::Durability::kWritten)) return;
    for (const auto& [s, t] : samples) {
      if (!IsDeleted(s, t)) model_[s][t] = State::kMust;
    }
  }

  bool IsDeleted(int s, model::Timestamp t) const {
    for (const auto& [from, to] : deleted_[s]) {
      if (from <= t && t <= to) return true;
    }
    return false;
  }

  void Delete() {
    const int s = static_cast<int>(Below(kSeries));
    const model::Timestamp from = now_ - Below(150 * kMinute), to = from + Below(20 * kMinute);
    Note("delete");
    base::LogInfo("deleted", {{"series", s}, {"from", from}, {"to", to}});
    const std::vector<model::Matchers> any = {{M("s", model::MatchOp::kEqual, std::to_string(s))}};
    const bool done = db_->DeleteSeries(from, to, any).has_value();
    deleted_[s].emplace_back(from, to);
    for (auto& [t, state] : model_[s]) {
      if (t < from || t > to || state == State::kMustNot) continue;
      state = done && state == State::kMust ? State::kMustNot : State::kMay;
    }
  }

  // Another program, which knew the series by another number, wrote to the log: Prometheus's own logs have such.
  void WriteAlias() {
    Note("alias");
    const int s = static_cast<int>(Below(kHistograms));
    const storage::SeriesRef ref = ++aliases_ << 31;  // far from those that are given to new series
    const model::Timestamp begin = now_;
    std::vector<storage::FloatSample> samples;
    std::vector<model::Timestamp> starts;
    const int64_t count = 1 + Below(100);
    now_ += kMinute;
    SeriesPage page{};
    for (int64_t i = 0; i < count; ++i) {
      now_ += 1000;
      samples.push_back({ref, now_, ValueAt(s, now_)});
      AppendFloat(&page, 0, now_, samples.back().v, {.chunk_range_ms = 1 << 30, .samples = 1000});
      if (!started_) continue;
      starts.push_back(StartAt(s, now_));
      NoteStart(&page, 0, starts.back());
    }
    SealOpen(&page, 0);
    std::vector<std::string> records(1);
    wal::EncodeSeries(ref, Series(s), &records[0]);
    const bool as_chunk = One(2);
    base::LogInfo("alias", {{"series", s}, {"ref", ref}, {"after", begin}, {"upto", now_}, {"chunk", as_chunk}});
    if (as_chunk) {
      HeadChunks::Loaded loaded;
      auto files = HeadChunks::Open({.fs = fs, .folder = "data/chunks_head"}, 0, &loaded);
      ASSERT_TRUE(files);
      const SealedChunk& c = page.sealed_of(0)[0];
      ASSERT_TRUE((*files)->Add(ref, c.mint, c.maxt(), c.encoding, false, c.memory()->data()));
      ASSERT_TRUE((*files)->Close());
    } else {
      wal::EncodeSamples(samples, &records.emplace_back(), starts);
    }
    DropChunksBefore(&page, 0, model::kMaxTimestamp);
    auto log = wal::Log::Open({.fs = fs, .folder = "data/wal", .segment_bytes = 32 << 10});
    ASSERT_TRUE(log);
    for (std::string& record : records) {
      const wal::PackedRecord packed = wal::Pack(std::move(record), wal::Compression::kSnappy);
      ASSERT_TRUE((*log)->Append({&packed, 1}));
    }
    ASSERT_TRUE((*log)->Close());
    for (const storage::FloatSample& sample : samples) {
      model_[s].emplace(sample.t, IsDeleted(s, sample.t) ? State::kMay : State::kMust);
    }
  }

  void Check(const std::string& when) {
    if (calls_ > kill_at_ || HasFatalFailure()) return;
    const std::string where = trace_ + " " + when;
    const auto q = db_->NewQuerier(kAll);
    const auto set = q->Select({}, std::vector{Name("m")});
    if (calls_ > kill_at_) return;
    ASSERT_TRUE(set) << where << ": " << set.error().message();
    std::set<int> seen;
    for (size_t i = 0; i < (*set)->size(); ++i) {
      const int s = std::atoi(std::string((*set)->labels(i).Get("s")).c_str());
      ASSERT_TRUE(seen.insert(s).second) << where << ": series " << s << " twice";
      storage::SampleColumns columns;
      const base::Status read = (*set)->Read(i, 1, kAll, &columns);
      if (calls_ > kill_at_) return;
      ASSERT_TRUE(read) << where << ": " << read.error().message();
      CheckSeries(s, columns, where);
      if (HasFatalFailure()) return;
      CheckLast(**set, i, columns, where);
      if (HasFatalFailure()) return;
    }
    for (int s = 0; s < kSeries; ++s) {
      if (!seen.contains(s)) CheckSeries(s, {}, where);
      if (HasFatalFailure()) return;
    }
  }

  void CheckSeries(int s, const storage::SampleColumns& found, const std::string& where) {
    std::set<model::Timestamp> have;
    size_t histogram = 0;
    for (size_t k = 0; k < found.times.size(); ++k) {
      const model::Timestamp t = found.times[k];
      const std::string at = where + ": series " + std::to_string(s) + " at " + std::to_string(t);
      ASSERT_TRUE(k == 0 || found.times[k - 1] < t) << at << ": out of order, or twice";
      const auto known = model_[s].find(t);
      ASSERT_TRUE(known != model_[s].end()) << at << " was never written";
      ASSERT_NE(known->second, State::kMustNot) << at << " was deleted";
      ASSERT_TRUE(model::SameBits(found.values[k], ValueAt(s, t))) << at << " has another value";
      const bool is_histogram = histogram < found.histogram_at.size() && found.histogram_at[histogram] == k;
      if (is_histogram) {
        ASSERT_EQ(found.histograms[histogram++]->positive_buckets, HistogramAt(s, t)->positive_buckets) << at;
      }
      ASSERT_EQ(is_histogram, IsHistogram(s, t)) << at;
      ASSERT_TRUE(found.start_times.empty() || found.start_times.size() == found.times.size()) << at;
      ASSERT_EQ(found.start_times.empty() ? 0 : found.start_times[k], started_ ? StartAt(s, t) : 0) << at << ": its start time";
      have.insert(t);
    }
    for (const auto& [t, state] : model_[s]) {
      ASSERT_TRUE(state != State::kMust || have.contains(t)) << where << ": series " << s << " at " << t << " is gone; it came at " << came_[{s, t}].now
          << ", now " << now_ << ", after" << trace_.substr(0, came_[{s, t}].trace);
    }
  }

  // An instant query sees what a range query sees.
  void CheckLast(const storage::SeriesSet& set, size_t i, const storage::SampleColumns& all, const std::string& where) {
    constexpr int64_t kHour = 60 * kMinute;
    const model::Timestamp upto = now_ - static_cast<int64_t>(check_random_() % kHour);
    const storage::Window window{upto - 1 - static_cast<int64_t>(check_random_() % kHour), upto};
    storage::LastColumns last;
    const base::Status read = set.ReadLast(i, 1, window, &last);
    if (calls_ > kill_at_) return;
    ASSERT_TRUE(read) << where;
    model::Timestamp expected = model::kMinTimestamp;
    for (const model::Timestamp t : all.times) {
      if (t > window.after && t <= window.upto) expected = t;
    }
    ASSERT_EQ(last.times[0], expected) << where << ": the last of (" << window.after << ", " << window.upto << "]";
  }

  std::map<std::pair<int, model::Timestamp>, Came> came_;
  std::mt19937_64 random_;
  std::mt19937_64 check_random_;  // of checks, so that more of them change nothing
  const bool check_all_ = std::getenv("TOCSIN_CHECK_ALL") != nullptr;
  std::string trace_;
  std::vector<std::map<model::Timestamp, State>> model_;
  std::vector<std::vector<std::pair<model::Timestamp, model::Timestamp>>> deleted_;
  model::Timestamp now_ = 0;
  uint64_t aliases_ = 0;
  bool power_ = false;  // whether lives end with a power loss; then everything waits for syncs
  bool snapshots_ = false;
  bool started_ = false;  // whether start times are kept
  uint64_t calls_ = 0, kill_at_ = UINT64_MAX;
  std::unique_ptr<Db> db_;
  std::unique_ptr<storage::Querier> reader_;
};

TEST_F(RestartModelTest, NothingAcknowledgedIsMissingOrThereTwiceWhereverItIsKilled) {
  const auto number = [](const char* name, uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
  };
  const uint64_t first = number("TOCSIN_SEED", 1), rounds = number("TOCSIN_ROUNDS", 20);
  for (uint64_t seed = first; seed < first + rounds; ++seed) {
    std::optional<base::CaptureLog> quiet;
    if (std::getenv("TOCSIN_LOG") == nullptr) quiet.emplace();
    Run(seed);
    if (HasFatalFailure() || HasFailure()) return;
  }
}

}  // namespace
}  // namespace tocsin::tsdb
