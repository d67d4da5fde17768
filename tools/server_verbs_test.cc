// promtool's verbs that talk to a server, against one with canned answers; `check service-discovery` and `promql`.

#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>

#include "base/compress.h"
#include "base/simulated_file_system.h"
#include "tools/amtool.h"
#include "tools/canned_server_test_util.h"
#include "tools/check_discovery.h"
#include "tools/debug_archive.h"
#include "tools/promql_verbs.h"
#include "tools/push_metrics.h"
#include "tools/query.h"

namespace tocsin::tools {
namespace {

class ServerVerbsTest : public testing::Test {
 protected:
  int Run(Verb verb, const std::vector<std::string>& args, const std::string& input = "") {
    out_.clear();
    err_.clear();
    return RunVerb(verb, args, {.out = [this](std::string_view s) { out_ += s; },
                                .err = [this](std::string_view s) { err_ += s; },
                                .read_input = [input] { return input; },
                                .fs = &fs_});
  }
  CannedServer server_;
  base::SimulatedFileSystem fs_;
  std::string out_, err_;
};

TEST_F(ServerVerbsTest, PushedMetricsAreARemoteWriteRequest) {
  server_.Answer("/api/v1/write", "", 204);
  ASSERT_EQ(Run(PushMetrics, {"--header=X-Tenant=a", server_.url() + "/api/v1/write"},
                "# HELP up Help.\n# TYPE up gauge\nup{job=\"own\"} 1 5000\nup 2.5\n"), 0) << err_;
  EXPECT_EQ(out_, "Parsing standard input\n  SUCCESS: metrics pushed to remote write.\n");
  const net::HttpRequest request = server_.requests().at(0);
  EXPECT_EQ(request.headers.Get("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(request.headers.Get("Content-Encoding"), "snappy");
  EXPECT_EQ(request.headers.Get("X-Prometheus-Remote-Write-Version"), "0.1.0");
  EXPECT_EQ(request.headers.Get("X-Tenant"), "a");
  const auto body = base::SnappyDecode(request.body, 1 << 20);
  ASSERT_TRUE(body);
  std::vector<int> fields;
  for (protozero::pbf_reader reader(*body); reader.next(); reader.skip()) fields.push_back(static_cast<int>(reader.tag()));
  EXPECT_EQ(fields, (std::vector<int>{1, 1, 3}));
}

TEST_F(ServerVerbsTest, PushedMetricsKeepTheirLabelsTimesAndTypes) {
  const auto metrics = ReadPushedMetrics(
      "# TYPE h histogram\nh_bucket{le=\"1\",job=\"own\"} 3\nh_sum 2 7\n# HELP c Help.\n# TYPE c counter\nc 1\nother 2\n",
      {{"job", "x"}, {"a", "b"}}, 99);
  ASSERT_TRUE(metrics) << metrics.error().message();
  ASSERT_EQ(metrics->series.size(), 4u);
  EXPECT_EQ(metrics->series[0].labels, (scrape::LabelPairs{{"__name__", "h_bucket"}, {"a", "b"}, {"job", "own"}, {"le", "1"}}));
  EXPECT_EQ(metrics->series[0].t, 99);
  EXPECT_EQ(metrics->series[1].t, 7);
  EXPECT_EQ(metrics->series[0].family, 0u);
  EXPECT_EQ(metrics->series[1].family, 0u);
  EXPECT_EQ(metrics->series[2].family, 1u);
  EXPECT_EQ(metrics->series[3].family, SIZE_MAX);
  EXPECT_EQ(metrics->families[1].metadata.type, model::MetricType::kCounter);
  EXPECT_EQ(metrics->families[1].metadata.help, "Help.");

  // Blanks before a name, which a scrape takes for part of it, are not sent.
  const auto indented = ReadPushedMetrics("  # TYPE c counter\n  c 1\n\tc{x=\"y\"} 2\n", {}, 0);
  ASSERT_TRUE(indented) << indented.error().message();
  EXPECT_EQ(indented->series.at(0).labels, (scrape::LabelPairs{{"__name__", "c"}}));
  EXPECT_EQ(indented->series.at(1).labels, (scrape::LabelPairs{{"__name__", "c"}, {"x", "y"}}));

  // 2.0: every text once, series refer to them.
  std::vector<std::string> symbols;
  size_t series = 0;
  const std::string request = WriteRequestV2(*metrics);
  protozero::pbf_reader reader(request);
  while (reader.next()) {
    if (reader.tag() == 4) {
      symbols.push_back(reader.get_string());
      continue;
    }
    protozero::pbf_reader message = reader.get_message();
    ASSERT_TRUE(message.next(1));
    std::string text;
    for (const uint32_t ref : message.get_packed_uint32()) text += symbols.at(ref) + " ";
    if (series++ == 2) {
      EXPECT_EQ(text, "__name__ c a b job x ");
    }
  }
  EXPECT_EQ(series, 4u);
  EXPECT_EQ(symbols[0], "");
  EXPECT_FALSE(ReadPushedMetrics("a{ 1\n", {}, 0));
}

TEST_F(ServerVerbsTest, MetricsArePushedToTheUrlAsItStands) {
  const struct {
    const char* url;
    std::vector<std::string> flags;
    const char* target;
  } rows[] = {
      {"/api/v1/write", {}, "/api/v1/write"},
      {"/push/", {}, "/push/"},
      {"/push/?tenant=a", {}, "/push/?tenant=a"},
      {"/base/?tenant=a", {"--remote-write.path=/api/v1/write"}, "/base/api/v1/write?tenant=a"},
      {"", {"--remote-write.path=api/v1/write"}, "/api/v1/write"},
  };
  for (const auto& row : rows) {
    const std::string target = row.target;
    server_.Answer(target.substr(0, target.find('?')), "", 204);
    std::vector<std::string> args = row.flags;
    args.push_back(server_.url() + row.url);
    EXPECT_EQ(Run(PushMetrics, args, "up 1\n"), 0) << err_;
    EXPECT_EQ(server_.requests().back().target, target);
  }
}

TEST_F(ServerVerbsTest, WhatPushMetricsSaysOfFailures) {
  server_.Answer("/full", "out of order sample\nmore\n", 400);
  ASSERT_TRUE(fs_.WriteFileAtomically("a.prom", "a 1\n"));
  ASSERT_TRUE(fs_.WriteFileAtomically("bad.prom", "a{ 1\n"));
  EXPECT_EQ(Run(PushMetrics, {server_.url() + "/full", "a.prom", "bad.prom", "missing.prom"}), 1);
  EXPECT_EQ(out_, "Parsing metrics file a.prom\nParsing metrics file bad.prom\n");
  EXPECT_NE(err_.find("  FAILED: server returned HTTP status 400 Bad Request: out of order sample\n"), std::string::npos) << err_;
  EXPECT_NE(err_.find("missing.prom"), std::string::npos) << err_;
  EXPECT_EQ(Run(PushMetrics, {}), 1);
  EXPECT_EQ(Run(PushMetrics, {"--label=x", server_.url()}), 1);
  EXPECT_EQ(Run(PushMetrics, {"--protobuf_message=x", server_.url()}), 1);
}

// Names and contents of the files of a tar archive.
std::vector<std::pair<std::string, std::string>> Untar(const std::string& tar) {
  std::vector<std::pair<std::string, std::string>> files;
  for (size_t at = 0; at + 1024 < tar.size() + 512 && tar[at] != 0;) {
    const size_t size = std::stoul(tar.substr(at + 124, 11), nullptr, 8);
    EXPECT_EQ(tar.substr(at + 257, 5), "ustar");
    files.emplace_back(tar.c_str() + at, tar.substr(at + 512, size));
    at += 512 + (size + 511) / 512 * 512;
  }
  return files;
}

TEST_F(ServerVerbsTest, DebugWritesAnArchive) {
  server_.Answer("/metrics", "up 1\n");
  ASSERT_EQ(Run(DebugVerb, {"metrics", server_.url() + "/"}), 0) << err_;
  EXPECT_EQ(out_, "collecting: " + server_.url() +
                      "/metrics\nCompiling debug information complete, all files written in \"debug.tar.gz\".\n");
  const auto tar = base::GunzipAll(*fs_.ReadFile("debug.tar.gz"), 1 << 20);
  ASSERT_TRUE(tar);
  EXPECT_EQ(tar->size() % 512, 0u);
  EXPECT_EQ(Untar(*tar), (std::vector<std::pair<std::string, std::string>>{{"metrics.txt", "up 1\n"}}));

  // A server without profiles says so; all others are there.
  EXPECT_EQ(Run(DebugVerb, {"pprof", server_.url()}), 1);
  EXPECT_NE(err_.find("not written in Go"), std::string::npos) << err_;
  for (const char* path : {"buildinfo", "runtimeinfo", "flags", "tsdb", "walreplay"}) server_.Answer(std::string("/api/v1/status/") + path, "{}");
  server_.Answer("/api/v1/targets", "{}");
  server_.Answer("/api/v1/rules", "{}");
  ASSERT_EQ(Run(DebugVerb, {"all", server_.url()}), 0) << err_;
  EXPECT_NE(err_.find("not written in Go"), std::string::npos) << err_;
  EXPECT_EQ(Untar(*base::GunzipAll(*fs_.ReadFile("debug.tar.gz"), 1 << 20)).size(), 8u);

  // One with profiles.
  for (const char* path : {"profile", "block", "goroutine", "heap", "mutex", "threadcreate", "trace"}) {
    server_.Answer(std::string("/debug/pprof/") + path, path);
  }
  ASSERT_EQ(Run(DebugVerb, {"pprof", server_.url()}), 0) << err_;
  EXPECT_EQ(Untar(*base::GunzipAll(*fs_.ReadFile("debug.tar.gz"), 1 << 20)).size(), 7u);
  EXPECT_EQ(Run(DebugVerb, {"some", server_.url()}), 1);
}

TEST_F(ServerVerbsTest, QueryAnalyzeCountsPopulatedBuckets) {
  server_.Answer("/api/v1/query", R"({"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"__name__":"n","job":"x"},"histograms":[
      [1,{"count":"3","sum":"2","buckets":[[0,"1","2","1"],[0,"2","4","2"]]}],
      [2,{"count":"3","sum":"2","buckets":[[0,"1","2","1"],[0,"2","4","2"],[0,"4","8","3"]]}],
      [3,{"count":"3","sum":"2"}]]},
    {"metric":{"__name__":"h_bucket","le":"+Inf","job":"x"},"values":[[1,"3"],[2,"5"]]},
    {"metric":{"__name__":"h_bucket","le":"0.5","job":"x"},"values":[[1,"1"],[2,"1"]]},
    {"metric":{"__name__":"h_bucket","le":"1","job":"x"},"values":[[1,"3"],[2,"4"]]},
    {"metric":{"__name__":"k_bucket","le":"1"},"values":[[1,"3"],[2,"4"]]},
    {"metric":{"__name__":"h_sum"},"values":[[1,"3"],[2,"4"]]}]}})");
  ASSERT_EQ(Run(QueryVerb, {"analyze", "--server=" + server_.url(), "--type=histogram", "--match=h_bucket", "--time=100"}), 0) << err_;
  EXPECT_TRUE(out_.starts_with("Bucket stats for each histogram series over time\n----")) << out_;
  EXPECT_NE(out_.find("- n{job=\"x\"} (native): 0/1.667/3\n"
                      "- h{job=\"x\"} (classic): 2/2.500/3\n"
                      "- k{} (classic): 1/1.000/1\n"
                      "\nAggregated bucket stats\n-----------------------\nEach line shows min/avg/max over the series above.\n"
                      "\nNative histogram series (1 in total):\n- min populated: 0/0.000/0\n- avg populated: 1/1.000/1\n"
                      "- max populated: 3/3.000/3\n"
                      "\nClassic histogram series (2 in total):\n- min populated: 1/1.500/2\n- avg populated: 1/1.500/2\n"
                      "- max populated: 1/2.000/3\n"),
            std::string::npos) << out_;
  EXPECT_EQ(server_.requests()[0].body, "query=h_bucket%5B1h%5D&time=100");
  EXPECT_EQ(Run(QueryVerb, {"analyze", "--server=x", "--type=gauge", "--match=up"}), 1);
  EXPECT_NE(err_.find("analyze type is gauge, must be 'histogram'"), std::string::npos) << err_;
  EXPECT_EQ(Run(QueryVerb, {"analyze", "--type=histogram", "--match=up"}), 1);
  server_.Answer("/api/v1/query", R"({"status":"success","data":{"resultType":"matrix","result":[{"values":[[1,"2"]]}]}})");
  EXPECT_EQ(Run(QueryVerb, {"analyze", "--server=" + server_.url(), "--type=histogram", "--match=up"}), 1);
}

TEST_F(ServerVerbsTest, AnAnswerOfAnotherShapeIsAnErrorAndNotTheEndOfTheProgram) {
  const struct {
    std::string answer;
    const char* says;
  } rows[] = {
      {R"({"status":"success"})", "has no data"},
      {R"({"status":7,"data":{}})", "not of the shape"},
      {R"({"status":"success","warnings":[1],"data":{}})", "not of the shape"},
      {R"({"status":"error","error":[]})", "not of the shape"},
      {R"({"status":"success","data":{"resultType":"vector"}})", "not of the shape"},
      {R"({"status":"success","data":{"resultType":"scalar","result":[]}})", "not of the shape"},
      {R"({"status":"success","data":{"resultType":"string","result":[1]}})", "not of the shape"},
      {R"({"status":"success","data":{"resultType":"vector","result":[{"value":[1,"2"]}]}})", "not of the shape"},
      {R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"2"]}]}})", "not of the shape"},
      {R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[]}]}})", "not of the shape"},
      {"[]", "client error: 200"},
      {"", "client error: 200"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.answer);
    server_.Answer("/api/v1/query", row.answer);
    EXPECT_EQ(Run(QueryVerb, {"instant", server_.url(), "up"}), 1) << out_;
    EXPECT_NE(err_.find(row.says), std::string::npos) << err_;
  }
  for (const char* data : {"7", "[7]", R"([{"a":1}])"}) {
    SCOPED_TRACE(data);
    server_.Answer("/api/v1/series", std::string(R"({"status":"success","data":)") + data + "}");
    server_.Answer("/api/v1/label/job/values", std::string(R"({"status":"success","data":)") + data + "}");
    EXPECT_EQ(Run(QueryVerb, {"series", "--match=up", server_.url()}), 1) << out_;
    EXPECT_EQ(Run(QueryVerb, {"labels", server_.url(), "job"}), 1) << out_;
  }
}

TEST_F(ServerVerbsTest, WhatAnotherAlertmanagerLeavesOutIsEmpty) {
  server_.Answer("/api/v2/alerts", R"([{}, 7, {"labels":{"alertname":"Down","a":1},"status":7}])");
  server_.Answer("/api/v2/silences", R"([{}, {"id":7,"endsAt":"2099-01-01T00:00:00Z","matchers":[7,{"name":"a"}]}])");
  server_.Answer("/api/v2/status", R"({"config":7,"cluster":[],"versionInfo":"x","uptime":3})");
  const std::string url = "--alertmanager.url=" + server_.url();
  EXPECT_EQ(Run(AlertVerb, {"query", url}), 0) << err_;
  EXPECT_EQ(Run(AlertVerb, {"query", "-o", "extended", url}), 0) << err_;
  EXPECT_NE(out_.find("alertname=\"Down\" a=\"1\""), std::string::npos) << out_;
  EXPECT_EQ(Run(SilenceVerb, {"query", url}), 0) << err_;
  EXPECT_EQ(Run(SilenceVerb, {"query", "--expired", url}), 0) << err_;
  EXPECT_EQ(Run(AmtoolConfigVerb, {"show", "-o", "extended", url}), 0) << err_;
  EXPECT_EQ(Run(AmtoolConfigVerb, {"routes", "show", url}), 1) << out_;
  EXPECT_EQ(Run(ClusterVerb, {"show", url}), 0) << err_;
}

TEST_F(ServerVerbsTest, CheckHealthySendsHeaders) {
  server_.Answer("/-/healthy", "Healthy.\n");
  ASSERT_EQ(Run(CheckHealthy, {"--url=" + server_.url() + "/", "--header=X-A=b"}), 0) << err_;
  EXPECT_EQ(out_, "  SUCCESS: Healthy.\n");
  EXPECT_EQ(server_.requests()[0].headers.Get("X-A"), "b");
}

TEST_F(ServerVerbsTest, ServiceDiscoveryShowsLabelsBeforeAndAfterRelabeling) {
  ASSERT_TRUE(fs_.WriteFileAtomically("targets.json", R"([{"targets":["b:2","b:2"],"labels":{"zone":"z"}}])"));
  ASSERT_TRUE(fs_.WriteFileAtomically("p.yml", R"(
scrape_configs:
- job_name: one
  static_configs: [{targets: ["a:1", "drop:1"]}]
  file_sd_configs: [{files: [targets.json]}]
  relabel_configs:
  - {source_labels: [__address__], regex: "drop.*", action: drop}
  - {target_label: env, replacement: test}
- job_name: two
)"));
  ASSERT_EQ(Run(CheckServiceDiscovery, {"p.yml", "one"}), 0) << err_;
  const auto rows = nlohmann::json::parse(out_);
  ASSERT_EQ(rows.size(), 3u) << out_;
  EXPECT_FALSE(out_.ends_with('\n'));
  size_t dropped = 0;
  for (const auto& row : rows) {
    dropped += row["labels"].empty();
    if (row["discoveredLabels"]["__address__"] != "b:2") continue;
    EXPECT_EQ(row["discoveredLabels"]["zone"], "z");
    EXPECT_EQ(row["labels"]["env"], "test");
    EXPECT_EQ(row["labels"]["instance"], "b:2");
    EXPECT_FALSE(row["labels"].contains("__meta_filepath"));
  }
  EXPECT_EQ(dropped, 1u);
  // A source that cannot be read is said; the targets of the others are shown.
  server_.Answer("/targets", "down for maintenance\n", 500);
  ASSERT_TRUE(fs_.WriteFileAtomically("broken.yml", "- targets: [x\n"));
  ASSERT_TRUE(fs_.WriteFileAtomically("q.yml", "scrape_configs:\n"
                                               "- {job_name: http, static_configs: [{targets: [\"a:1\"]}], http_sd_configs: [{url: \"" +
                                                   server_.url() + "/targets\"}]}\n" +
                                                   "- {job_name: file, file_sd_configs: [{files: [broken.yml]}]}\n"));
  EXPECT_EQ(Run(CheckServiceDiscovery, {"q.yml", "http"}), 1);
  EXPECT_NE(err_.find("error: " + server_.url() + "/targets: server returned HTTP status 500\n"), std::string::npos) << err_;
  EXPECT_EQ(nlohmann::json::parse(out_).size(), 1u) << out_;
  EXPECT_EQ(Run(CheckServiceDiscovery, {"q.yml", "file"}), 1);
  EXPECT_NE(err_.find("error: broken.yml: "), std::string::npos) << err_;
  EXPECT_EQ(Run(CheckServiceDiscovery, {"p.yml", "none"}), 1);
  EXPECT_EQ(err_, "Job none not found. Select one of:\n\tone\n\ttwo\n");
  EXPECT_EQ(Run(CheckServiceDiscovery, {"missing.yml", "one"}), 1);
  EXPECT_TRUE(err_.starts_with("Cannot load config ")) << err_;
}

TEST_F(ServerVerbsTest, LabelMatchersAreSetAndDeleted) {
  const struct {
    std::vector<std::string> args;
    const char* out;
  } rows[] = {
      {{"set", "up", "a", "b"}, "up{a=\"b\"}\n"},
      {{"set", "-t", "=~", "rate(x{a=\"1\",c=\"d\"}[5m]) / y", "a", "b|c"}, "rate(x{a=~\"b|c\",c=\"d\"}[5m]) / y{a=~\"b|c\"}\n"},
      {{"set", "--type=!=", "sum by (a) ({a=\"1\"})", "a", "2"}, "sum by (a) ({a!=\"2\"})\n"},
      {{"delete", "max_over_time(x{a=\"1\"}[5m:1m]) + y{a!=\"1\",b=\"2\"}", "a"}, "max_over_time(x[5m:1m]) + y{b=\"2\"}\n"},
      {{"delete", "up", "none"}, "up\n"},
  };
  for (const auto& row : rows) {
    std::vector<std::string> args = {"--experimental", "label-matchers"};
    args.insert(args.end(), row.args.begin(), row.args.end());
    EXPECT_EQ(Run(PromqlVerb, args), 0) << err_;
    EXPECT_EQ(out_, row.out);
  }
  EXPECT_EQ(Run(PromqlVerb, {"label-matchers", "set", "up", "a", "b"}), 1);
  EXPECT_EQ(err_, "This command is experimental and requires the --experimental flag to be set.\n");
  EXPECT_EQ(Run(PromqlVerb, {"--experimental", "label-matchers", "set", "--type=<", "up", "a", "b"}), 1);
  EXPECT_EQ(Run(PromqlVerb, {"--experimental", "label-matchers", "set", "--type==~", "up", "a", "("}), 1);
  EXPECT_EQ(Run(PromqlVerb, {"--experimental", "label-matchers", "set", "up", "a"}), 1);
  EXPECT_EQ(Run(PromqlVerb, {"format", "1+1"}), 0);
}

}  // namespace
}  // namespace tocsin::tools
