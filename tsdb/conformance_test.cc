// Data directories that Prometheus wrote, from the conformance kit beside the project.  Without the kit
// the tests are skipped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "tsdb/block.h"
#include "tsdb/db_test_util.h"
#include "tsdb/kit_test_util.h"

namespace tocsin::tsdb {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ConformanceTest : public DbTest {
 protected:
  // The database of the kit's folder; null when there is no kit.
  std::unique_ptr<Db> OpenCopy(const std::string& name) {
    if (!base::RealFileSystem()->Stat(KitFolder(name))) return nullptr;
    CopyFolder(KitFolder(name), &fs_, "data");
    return Open({.retention_time = std::chrono::hours(10 * 365 * 24), .max_exemplars = 1000});
  }
};

// Samples that are no stale markers, by metric.
std::map<std::string, size_t> Counts(Db* db) {
  auto q = db->NewQuerier(kAll);
  auto set = *q->Select({}, std::vector{M("__name__", model::MatchOp::kRegex, ".+")});
  storage::SampleColumns c;
  EXPECT_TRUE(set->Read(0, set->size(), kAll, &c));
  std::map<std::string, size_t> counts;
  for (size_t i = 0; i < set->size(); ++i) {
    size_t& n = counts[std::string(set->labels(i).MetricName())];
    for (const double v : c.values_of(i)) n += !model::IsStale(v);
  }
  return counts;
}

#define SKIP_WITHOUT_KIT(db) \
  if ((db) == nullptr) GTEST_SKIP() << "no conformance kit: set TOCSIN_SHARED to its folder"

TEST_F(ConformanceTest, BlocksTombstonesAndALogOfThreeRunsOpen) {
  base::CaptureLog log;
  auto db = OpenCopy("blocks-and-wal/data");
  SKIP_WITHOUT_KIT(db);
  for (const std::string& line : log.lines()) EXPECT_THAT(line, Not(HasSubstr("level=warn"))) << line;
  EXPECT_EQ(db->Blocks().size(), 4u);
  EXPECT_EQ(db->Stats().series, 377u);
  size_t total = 0;
  for (const auto& [name, n] : Counts(db.get())) total += n;
  EXPECT_GT(total, 162'000u);
  // A tombstone in each block hides a shard; one in the log hides the beginning of a series.
  const Dump hidden = Read(db.get(), {Name("demo_many"), M("shard", model::MatchOp::kEqual, "3")});
  EXPECT_TRUE(hidden.empty());
  const Dump sawtooth = Read(db.get(), {Name("sim_sawtooth"), M("phase", model::MatchOp::kEqual, "2")});
  ASSERT_EQ(sawtooth.size(), 1u);
  EXPECT_GT(sawtooth.begin()->second.front().first, 1795159139000);
  const std::vector<model::Matchers> any = {{M("__name__", model::MatchOp::kRegex, ".+")}};
  EXPECT_FALSE(db->SelectExemplars(kAll, any)->empty());
  // A second start finds everything as the first left it.
  const auto counts = Counts(db.get());
  Kill(std::move(db));
  db = Open();
  EXPECT_EQ(Counts(db.get()), counts);
}

TEST_F(ConformanceTest, ACheckpointAndLateSamplesOpen) {
  base::CaptureLog log;
  auto db = OpenCopy("compacted/data");
  SKIP_WITHOUT_KIT(db);
  for (const std::string& line : log.lines()) EXPECT_THAT(line, Not(HasSubstr("level=warn"))) << line;
  auto counts = Counts(db.get());
  // What Prometheus counted.
  EXPECT_EQ(counts["sim_late"], 394u);
  EXPECT_EQ(counts["sim_sawtooth"], 1370u);
  EXPECT_EQ(counts["sim_native_seconds"], 274u);
  EXPECT_EQ(counts["sim_flapping"], 368u);
  EXPECT_EQ(counts["sim_churn"], 274u);
  EXPECT_EQ(counts["up"], 274u);
}

TEST_F(ConformanceTest, AnIndexOfTheFirstVersionIsRead) {
  const std::string folder = KitFolder("testdata/index_format_v1");
  if (!base::RealFileSystem()->Stat(folder)) GTEST_SKIP() << "no conformance kit: set TOCSIN_SHARED to its folder";
  CopyFolder(folder, &fs_, "block");
  auto block = Block::Open(&fs_, "block");
  ASSERT_TRUE(block) << block.error().message();
  EXPECT_EQ((*block)->index().version(), 1);
  auto q = Block::NewQuerier(*block, kAll);
  const Dump all = Read(q.get(), {M("foo", model::MatchOp::kRegex, ".*")});
  size_t samples = 0;
  for (const auto& [labels, list] : all) samples += list.size();
  EXPECT_EQ(all.size(), (*block)->meta().series);
  EXPECT_EQ(samples, (*block)->meta().samples);
}

TEST_F(ConformanceTest, AnIndexOfTheBrokenReleaseIsRepaired) {
  const std::string folder = KitFolder("testdata/repair_index_version");
  if (!base::RealFileSystem()->Stat(folder)) GTEST_SKIP() << "no conformance kit: set TOCSIN_SHARED to its folder";
  const std::string ulid = "01BZJ9WJQPWHGNC2W4J9TA62KC";
  CopyFolder(folder, &fs_, "data");
  ASSERT_TRUE(fs_.CreateFolders("data/" + ulid + "/chunks"));
  EXPECT_FALSE(Block::Open(&fs_, "data/" + ulid)) << "refused as it is";
  auto db = Open();
  ASSERT_EQ(db->Blocks().size(), 1u);
  auto block = Block::Open(&fs_, "data/" + ulid);
  ASSERT_TRUE(block);
  EXPECT_EQ((*block)->meta().version, 1);
  const auto ids = (*block)->index().Select(std::vector{M("b", model::MatchOp::kEqual, "1")});
  ASSERT_TRUE(ids);
  std::vector<std::string> found;
  for (const index::SeriesId id : *ids) {
    std::string labels;
    ASSERT_TRUE((*block)->index().ReadSeries(id, &labels, nullptr));
    found.push_back(model::LabelsView(labels).ToString());
  }
  EXPECT_THAT(found, ElementsAre("{a=\"1\", b=\"1\"}", "{a=\"2\", b=\"1\"}"));
}

}  // namespace
}  // namespace tocsin::tsdb
