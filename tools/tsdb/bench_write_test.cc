// `tsdb bench write`, in process and small.

#include "tools/tsdb/folder_test_util.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::tools {
namespace {

using BenchWriteTest = TsdbFolderTest;

TEST_F(BenchWriteTest, WritesWhatItSaysAndPrintsAsPromtool) {
  ASSERT_TRUE(fs_.WriteFileAtomically(
      "series.json", "{\"__name__\":\"a\",\"x\":\"1\"}\n{\"x\":\"1\",\"__name__\":\"a\"}\n\n{\"__name__\":\"b\"}\n{\"__name__\":\"c\"}\n"));
  ASSERT_EQ(Run(TsdbBenchWrite, {"--metrics=2", "--scrapes=150", "--out=out", "series.json"}), 0) << err_;
  EXPECT_TRUE(out_.starts_with(">> start stage=readData\n>> completed stage=readData duration=")) << out_;
  EXPECT_NE(out_.find("ingestion completed\n"), std::string::npos) << out_;
  EXPECT_NE(out_.find("\n > total samples: 300\n > samples/sec: "), std::string::npos) << out_;
  ASSERT_EQ(Run(TsdbDump, {"out/storage"}), 0) << err_;
  EXPECT_EQ(Lines(out_), 300u);
  EXPECT_NE(out_.find("{__name__=\"b\"} 1.23506789e+08 4500000\n"), std::string::npos) << out_.substr(out_.size() - 200);
}

TEST_F(BenchWriteTest, MakesSeriesUpAndRefusesBadOnes) {
  ASSERT_EQ(Run(TsdbBenchWrite, {"--metrics=1500", "--scrapes=2", "--out=out"}), 0) << err_;
  EXPECT_NE(out_.find(" > total samples: 3000\n"), std::string::npos) << out_;
  ASSERT_TRUE(fs_.WriteFileAtomically("series.json", "{\"a\"}\n"));
  EXPECT_EQ(Run(TsdbBenchWrite, {"--out=out", "series.json"}), 1);
  EXPECT_EQ(err_, "series.json: line 1: \"a\": write \"name\":\"value\"\n");
  EXPECT_EQ(Run(TsdbBenchWrite, {"--metrics=0"}), 1);
}

}  // namespace
}  // namespace tocsin::tools
