// `tsdb create-blocks-from`, in process; with a server it is tested by tests/interop.

#include "tools/tsdb/create_blocks.h"

#include "tools/tsdb/folder_test_util.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::tools {
namespace {

class CreateBlocksTest : public TsdbFolderTest {
 protected:
  int Create(const std::string& text, std::vector<std::string> flags = {}) {
    EXPECT_TRUE(fs_.WriteFileAtomically("in.om", text));
    flags.insert(flags.end(), {"in.om", "data"});
    return Run(TsdbCreateBlocksFromOpenMetrics, flags);
  }
};

TEST_F(CreateBlocksTest, EachTwoHoursBecomeABlock) {
  ASSERT_EQ(Create("# TYPE a counter\na_total{x=\"1\"} 1 7200\na_total{x=\"1\"} 2 7260.5\na_total{x=\"1\"} 3 21600\n"
                   "# TYPE h histogram\nh_bucket{le=\"1\"} 3 7200\nh_bucket{le=\"+Inf\"} 3 7200\n# EOF\n"), 0) << err_;
  EXPECT_EQ(Lines(out_), 3u) << out_;
  EXPECT_NE(out_.find("  7200000      7260501      1m0.501s     4            3            3 "), std::string::npos) << out_;
  EXPECT_NE(out_.find("  21600000     21600001     1ms          1            1            1 "), std::string::npos) << out_;
  ASSERT_EQ(Run(TsdbDump, {"data"}), 0) << err_;
  EXPECT_EQ(out_,
            "{__name__=\"a_total\", x=\"1\"} 1 7200000\n{__name__=\"a_total\", x=\"1\"} 2 7260500\n"
            "{__name__=\"a_total\", x=\"1\"} 3 21600000\n{__name__=\"h_bucket\", le=\"+Inf\"} 3 7200000\n"
            "{__name__=\"h_bucket\", le=\"1.0\"} 3 7200000\n");
}

TEST_F(CreateBlocksTest, LongerBlocksLabelsAndQuiet) {
  ASSERT_EQ(Create("a 1 7200\na 3 21599\na 4 21600\n# EOF\n",
                   {"-q", "--max-block-duration=7h", "--label=site=berlin", "--label=x=y=z"}), 0) << err_;
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Blocks().size(), 2u);
  ASSERT_EQ(Run(TsdbDump, {"--max-time=7200000", "data"}), 0);
  EXPECT_EQ(out_, "{__name__=\"a\", site=\"berlin\", x=\"y=z\"} 1 7200000\n");
}

TEST_F(CreateBlocksTest, SamplesMayComeInAnyOrderButOnceATime) {
  ASSERT_EQ(Create("a 1 2\na 2 1\na 3 2\n# EOF\n"), 0);
  EXPECT_EQ(err_, "warning: 1 samples left out: their series has an earlier one in the file at the same time\n");
  ASSERT_EQ(Run(TsdbDump, {"data"}), 0);
  EXPECT_EQ(out_, "{__name__=\"a\"} 2 1000\n{__name__=\"a\"} 1 2000\n");
}

TEST_F(CreateBlocksTest, WhatItSaysOfBadFiles) {
  const struct {
    const char* text;
    const char* error;
  } rows[] = {
      {"a 1\n# EOF\n", "line 1: expected timestamp for series a, got none"},
      {"a 1 1\n", "data does not end with # EOF"},
      {"a{ 1 1\n# EOF\n", "getting min and max timestamp: next: "},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(Create(row.text), 1) << row.text;
    EXPECT_NE(err_.find(row.error), std::string::npos) << row.text << err_;
    EXPECT_TRUE(Blocks().empty());
  }
  EXPECT_EQ(Run(TsdbCreateBlocksFromOpenMetrics, {"nowhere.om", "data"}), 1);
  EXPECT_EQ(Create("# EOF\n", {"--label=x"}), 1);
  EXPECT_EQ(Create("# EOF\n", {"--max-block-duration=x"}), 1);
  EXPECT_EQ(Create("# EOF\n"), 0);
}

TEST_F(CreateBlocksTest, RulesNeedFilesAndTimes) {
  EXPECT_EQ(Run(TsdbCreateBlocksFromRules, {"rules.yml"}), 1);
  EXPECT_NE(err_.find("--start is required"), std::string::npos);
  EXPECT_EQ(Run(TsdbCreateBlocksFromRules, {"--start=10", "--end=10", "rules.yml"}), 1);
  EXPECT_EQ(err_, "start time is not before end time\n");
  EXPECT_EQ(Run(TsdbCreateBlocksFromRules, {"--start=10", "--end=20", "rules.yml"}), 1);
  EXPECT_NE(err_.find("rules.yml"), std::string::npos) << err_;
}

// A server may answer with a series that has no values.
TEST_F(CreateBlocksTest, ASeriesWithoutSamplesIsLeftOut) {
  BlockBuilder builder;
  builder.SeriesOf(model::Labels::FromPairs({{"__name__", "a"}}));
  EXPECT_TRUE(builder.empty());
  builder.Add(model::Labels::FromPairs({{"__name__", "b"}}), 5, 1);
  EXPECT_FALSE(builder.empty());
  uint64_t repeated = 0;
  const auto folder = builder.Write(&fs_, "data", {}, 2 * kHour, &repeated);
  ASSERT_TRUE(folder) << folder.error().message();
  ASSERT_EQ(Run(TsdbDump, {"data"}), 0) << err_;
  EXPECT_EQ(out_, "{__name__=\"b\"} 1 5\n");
}

TEST_F(CreateBlocksTest, BlockLengthsAreThoseOfPrometheus) {
  using std::chrono::hours;
  for (const auto& [wanted, got] : {std::pair{1, 2}, {2, 2}, {5, 2}, {6, 6}, {17, 6}, {18, 18}, {1000000, 2 * 19683}}) {
    EXPECT_EQ(CompatibleBlockDuration(hours(wanted)), got * kHour) << wanted;
  }
  EXPECT_EQ(BlockStart(-1, 100), -100);
  EXPECT_EQ(BlockStart(-100, 100), -100);
  EXPECT_EQ(BlockStart(199, 100), 100);
}

}  // namespace
}  // namespace tocsin::tools
