#pragma once

// What the tests of the database share.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/faulty_file_system.h"
#include "base/simulated_file_system.h"
#include "tsdb/db.h"

namespace tocsin::tsdb {

inline constexpr storage::Window kAll;

// Series as text, with times and values.
using Dump = std::map<std::string, std::vector<std::pair<model::Timestamp, double>>>;

inline model::Matcher M(std::string_view name, model::MatchOp op, std::string_view value) {
  return *model::Matcher::Make(op, name, value);
}
inline model::Matcher Name(std::string_view name) { return model::Matcher::Equal("__name__", name); }

inline storage::AppendOutcome Put(storage::Appender* app, const model::Labels& labels, model::Timestamp t, double v) {
  const auto ref = app->Resolve(labels);
  EXPECT_TRUE(ref);
  const storage::FloatSample sample{*ref, t, v};
  storage::AppendOutcome outcome;
  app->Append({&sample, 1}, {&outcome, 1});
  return outcome;
}

inline void Add(Db* db, const model::Labels& labels, std::vector<model::Sample> samples,
                storage::Durability d = storage::Durability::kWritten) {
  auto app = db->NewAppender();
  for (const model::Sample& s : samples) EXPECT_EQ(Put(app.get(), labels, s.t, s.v), storage::AppendOutcome::kOk) << s.t;
  EXPECT_TRUE(app->Commit(d));
}

inline Dump Read(storage::Querier* q, std::vector<model::Matcher> matchers, storage::Window window = kAll) {
  auto set = q->Select({.window = window}, matchers);
  EXPECT_TRUE(set) << set.error().message();
  storage::SampleColumns columns;
  const base::Status status = (*set)->Read(0, (*set)->size(), window, &columns);
  EXPECT_TRUE(status) << status.error().message();
  Dump out;
  if (!status) return out;
  for (size_t i = 0; i < (*set)->size(); ++i) {
    auto& samples = out[(*set)->labels(i).ToMetricString()];
    for (size_t k = 0; k < columns.times_of(i).size(); ++k) {
      samples.emplace_back(columns.times_of(i)[k], columns.values_of(i)[k]);
    }
  }
  return out;
}

inline Dump Read(Db* db, std::vector<model::Matcher> matchers, storage::Window window = kAll) {
  return Read(db->NewQuerier(window).get(), std::move(matchers), window);
}

inline Dump ReadAll(Db* db) { return Read(db, {M("__name__", model::MatchOp::kRegex, ".+")}); }

inline const model::Labels kUp = model::Labels::FromPairs({{"__name__", "up"}, {"job", "node"}});

class DbTest : public testing::Test {
 protected:
  std::unique_ptr<Db> Open(DbOptions options = {}) {
    options.path = "data";
    options.fs = fs;
    options.lock_file = false;
    auto db = Db::Open(std::move(options));
    EXPECT_TRUE(db) << db.error().message();
    return db ? std::move(*db) : nullptr;
  }
  // As kill -9 does: nothing of the process runs any more.  It is destroyed when the test ends.
  void Kill(std::unique_ptr<Db> db) { killed_.push_back(std::move(db)); }

  base::SimulatedFileSystem fs_;
  base::FaultyFileSystem faulty_{&fs_};
  base::FileSystem* fs = &faulty_;
  std::vector<std::unique_ptr<Db>> killed_;
};

}  // namespace tocsin::tsdb
