// `tsdb list`, `dump`, `dump-openmetrics` and `analyze`, in process.

#include "base/log.h"
#include "tools/tsdb/folder_test_util.h"
#include "tools/tsdb/verbs.h"
#include "tsdb/block_writer.h"

namespace tocsin::tools {
namespace {

using DumpTest = TsdbFolderTest;

TEST_F(DumpTest, ListShowsTheBlocksByTime) {
  MakeFolder();
  ASSERT_EQ(Run(TsdbList, {"data"}), 0) << err_;
  EXPECT_TRUE(out_.starts_with("BLOCK ULID                  MIN TIME     MAX TIME     DURATION     NUM SAMPLES  NUM CHUNKS"))
      << out_;
  EXPECT_EQ(Lines(out_), 1 + Blocks().size());
  EXPECT_NE(out_.find("  0            7200000      2h0m0s       600 "), std::string::npos) << out_;
  ASSERT_EQ(Run(TsdbList, {"-r", "data"}), 0);
  EXPECT_NE(out_.find("1970-01-01 00:00:00 +0000 UTC  1970-01-01 02:00:00 +0000 UTC  2h0m0s"), std::string::npos) << out_;
  EXPECT_NE(out_.find("KiB"), std::string::npos) << out_;
}

TEST_F(DumpTest, AMissingFolderIsSaid) {
  for (const Verb verb : {TsdbList, TsdbDump, TsdbDumpOpenMetrics, TsdbAnalyze}) {
    EXPECT_EQ(Run(verb, {"nowhere"}), 1);
    EXPECT_TRUE(err_.starts_with("opening the db dir: ")) << err_;
  }
}

TEST_F(DumpTest, DumpReadsBlocksAndLogAndChangesNothing) {
  MakeFolder();
  const auto before = Files();
  ASSERT_EQ(Run(TsdbDump, {"data"}), 0) << err_;
  EXPECT_EQ(Lines(out_), 5u * kMinutes + 1);
  EXPECT_TRUE(out_.starts_with("{__name__=\"latency\", job=\"api\"} {count:0, sum:0} 0\n")) << out_.substr(0, 200);
  EXPECT_NE(out_.find("{__name__=\"up\", job=\"db\"} 42 32100007\n"), std::string::npos);
  EXPECT_NE(out_.find("{__name__=\"requests_total\", path=\"/a \\\"b\\\"\"} 5.39e+08 32340000\n"), std::string::npos);
  EXPECT_EQ(Files(), before);
}

TEST_F(DumpTest, DumpIsNarrowedByTimeAndSelectors) {
  MakeFolder();
  ASSERT_EQ(Run(TsdbDump, {"--min-time=60000", "--max-time=180000", "--match=up{job=\"web\"}", "--match=up{job=~\"w.*|db\"}", "data"}), 0);
  EXPECT_EQ(out_,
            "{__name__=\"up\", job=\"db\"} 1 60000\n{__name__=\"up\", job=\"db\"} 2 120000\n{__name__=\"up\", job=\"db\"} 3 180000\n"
            "{__name__=\"up\", job=\"web\"} 1 60000\n{__name__=\"up\", job=\"web\"} 2 120000\n{__name__=\"up\", job=\"web\"} 3 180000\n");
  ASSERT_EQ(Run(TsdbDump, {"--format=seriesjson", "--match={path!=\"\"}", "data"}), 0);
  EXPECT_EQ(out_, "{\"__name__\":\"requests_total\",\"path\":\"/a \\\"b\\\"\"}\n");
  EXPECT_EQ(Run(TsdbDump, {"--format=xml", "data"}), 1);
  EXPECT_EQ(Run(TsdbDump, {"--match={", "data"}), 1);
  EXPECT_NE(err_.find("parse error"), std::string::npos) << err_;
}

TEST_F(DumpTest, OpenMetricsHasNoHistogramsAndEnds) {
  MakeFolder();
  ASSERT_EQ(Run(TsdbDumpOpenMetrics, {"--max-time=0", "data"}), 0);
  EXPECT_EQ(out_,
            "requests_total{path=\"/a \\\"b\\\"\"} 0 0.000\nup{job=\"api\"} 0 0.000\nup{job=\"db\"} 0 0.000\n"
            "up{job=\"web\"} 0 0.000\n# EOF\n");
}

TEST_F(DumpTest, ADamagedBlockIsLeftOutAndSaid) {
  MakeFolder();
  const base::CaptureLog log;
  const std::string block = Blocks()[0];
  FlipByte(block + "/index", 9);
  const auto before = Files();
  EXPECT_EQ(Run(TsdbList, {"data"}), 1);
  EXPECT_EQ(Lines(out_), Blocks().size());
  EXPECT_NE(err_.find("corrupted block " + block.substr(5)), std::string::npos) << err_;
  EXPECT_NE(err_.find("tocsin tsdb verify data"), std::string::npos) << err_;
  EXPECT_EQ(Run(TsdbDump, {"data"}), 1);
  EXPECT_GT(Lines(out_), 100u);
  EXPECT_NE(err_.find("tocsin tsdb verify data"), std::string::npos) << err_;
  EXPECT_EQ(Files(), before);
}

TEST_F(DumpTest, AnalyzeCountsLabelsOfTheNewestBlock) {
  MakeFolder();
  ASSERT_EQ(Run(TsdbAnalyze, {"--limit=2", "--extended", "data"}), 0) << err_;
  for (const char* part :
       {"Total Series: 5\nLabel names: 3\nPostings (unique label pairs): 7\nPostings entries (total label pairs): 10\n",
        "\nMost common label pairs:\n3 __name__=up\n2 job=api\n",
        "\nHighest cardinality labels:\n3 __name__\n3 job\n", "\nHighest cardinality metric names:\n3 up\n1 latency\n",
        "\nLabel names with highest cumulative label value length:\n23 __name__\n8 job\n",
        "\nCompaction analysis:\n\nsamples per float chunk (min/avg/max): 120/120/120\n[121, 130]: "}) {
    EXPECT_NE(out_.find(part), std::string::npos) << part << out_;
  }
  ASSERT_EQ(Run(TsdbAnalyze, {"--match=up", "data"}), 0);
  EXPECT_NE(out_.find("Matcher: up\nLabel names: 2\nMatched series: 3\n"), std::string::npos) << out_;
  EXPECT_EQ(Run(TsdbAnalyze, {"data", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}), 1);
  EXPECT_EQ(err_, "block 01ARZ3NDEKTSV4RRFFQ69G5FAV not found\n");
}

// Chunks of the newer encodings count their samples otherwise, and encoding 4 is of floats.
TEST_F(DumpTest, AnalyzeReadsChunksWithStartTimes) {
  tsdb::BlockMeta meta;
  meta.ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  meta.max_time = kHour;
  const std::vector<std::string_view> symbols = {"__name__", "f", "h"};
  auto writer = tsdb::BlockWriter::Create(&fs_, "data", meta, symbols);
  ASSERT_TRUE(writer);
  for (const char* name : {"f", "h"}) {
    storage::SampleColumns samples;
    for (int i = 0; i < 7; ++i) {
      samples.times.push_back(i * kMinute);
      samples.start_times.push_back(i * kMinute - 10);
      samples.values.push_back(i);
      if (*name == 'h') {
        samples.histogram_at.push_back(static_cast<uint32_t>(i));
        samples.histograms.push_back(Histogram(i + 1));
      }
    }
    samples.offsets = {0, 7};
    ASSERT_TRUE((*writer)->Add(model::Labels::FromPairs({{"__name__", name}}).view(), tsdb::EncodeChunks(samples, kHour)));
  }
  ASSERT_TRUE((*writer)->Finish());
  ASSERT_EQ(Run(TsdbAnalyze, {"--extended", "data"}), 0) << err_;
  for (const char* part : {"samples per float chunk (min/avg/max): 7/7/7\n", "samples per histogram chunk (min/avg/max): 7/7/7\n",
                           "buckets per histogram chunk (min/avg/max): 14/14/14\n"}) {
    EXPECT_NE(out_.find(part), std::string::npos) << part << out_;
  }
}

}  // namespace
}  // namespace tocsin::tools
