#include "config/prometheus_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/simulated_file_system.h"

namespace tocsin::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

base::Result<PrometheusConfig> Parse(std::string_view text, LoadOptions options = {}) {
  static base::SimulatedFileSystem fs;
  if (!options.env) {
    options.env = [](const std::string& name) { return name == "TEAM" ? "blue" : ""; };
  }
  return ParsePrometheusConfig(&fs, text, "p.yml", "/etc/p", options);
}

PrometheusConfig Sound(std::string_view text) {
  auto config = Parse(text);
  EXPECT_TRUE(config) << (config ? "" : config.error().message());
  return config ? std::move(*config) : PrometheusConfig();
}

TEST(PrometheusConfigTest, AnEmptyFileHasTheDefaults) {
  PrometheusConfig c = Sound("");
  EXPECT_EQ(c.global.scrape.scrape_interval, std::chrono::minutes(1));
  EXPECT_EQ(c.global.scrape.scrape_timeout, std::chrono::seconds(10));
  EXPECT_EQ(c.global.evaluation_interval, std::chrono::minutes(1));
  EXPECT_EQ(c.storage.max_exemplars, 100000);
  EXPECT_EQ(c.gogc, 75);
  EXPECT_TRUE(c.UnsupportedStatus());
}

TEST(PrometheusConfigTest, JobsInheritFromGlobal) {
  PrometheusConfig c = Sound(
      "global: {scrape_interval: 5s, sample_limit: 7, body_size_limit: 1MB, scrape_native_histograms: true}\n"
      "scrape_configs:\n"
      "- job_name: a\n"
      "- job_name: b\n"
      "  scrape_interval: 30s\n"
      "  scrape_timeout: 20s\n"
      "  sample_limit: 9\n"
      "  scrape_native_histograms: false\n"
      "  params: {z: [1], a: [x, y]}\n");
  const auto& a = c.scrape_jobs.at(0).scrape;
  EXPECT_EQ(a.scrape_interval, std::chrono::seconds(5));
  EXPECT_EQ(a.scrape_timeout, std::chrono::seconds(5));  // of the smaller interval
  EXPECT_EQ(a.sample_limit, 7u);
  EXPECT_EQ(a.body_size_limit, 1u << 20);
  EXPECT_EQ(a.scrape_protocols.front(), scrape::Protocol::kPrometheusProto);
  const auto& b = c.scrape_jobs.at(1).scrape;
  EXPECT_EQ(b.scrape_timeout, std::chrono::seconds(20));
  EXPECT_EQ(b.sample_limit, 9u);
  EXPECT_EQ(b.scrape_protocols.front(), scrape::Protocol::kOpenMetricsText1_0_0);
  EXPECT_EQ(b.params.front().first, "a");
}

TEST(PrometheusConfigTest, ExternalLabelsMayNameTheEnvironment) {
  struct Row {
    const char *value, *expanded;
  };
  for (const Row& row : {Row{"$TEAM", "blue"}, {"x-${TEAM}-y", "x-blue-y"}, {"$$TEAM", "$TEAM"}, {"${NONE}a", "a"},
                         {"plain", "plain"}, {"a$", "a$"}, {"$-", ""}}) {
    PrometheusConfig c = Sound("global: {external_labels: {l: '" + std::string(row.value) + "'}}");
    EXPECT_EQ(c.global.external_labels.Get("l"), row.expanded) << row.value;
  }
  EXPECT_THAT(Sound("global: {external_labels: {l: '$NONE'}}").warnings, ElementsAre(HasSubstr("NONE is empty")));
  EXPECT_EQ(Sound("scrape_configs: [{job_name: '$TEAM'}]").scrape_jobs[0].scrape.job_name, "$TEAM");
}

TEST(PrometheusConfigTest, RelativePathsAreJoinedToTheFilesFolder) {
  PrometheusConfig c = Sound(
      "global: {query_log_file: q.log}\n"
      "rule_files: [rules/*.yml, /abs/r.yml]\n"
      "scrape_configs: [{job_name: a, file_sd_configs: [{files: [t.yml]}], tls_config: {ca_file: ca.pem}}]\n"
      "alerting: {alertmanagers: [{file_sd_configs: [{files: [am.yml]}]}]}\n"
      "remote_write: [{url: 'http://h/w', basic_auth: {username: u, password_file: pw}}]\n");
  EXPECT_EQ(c.global.query_log_file, "/etc/p/q.log");
  EXPECT_THAT(c.rule_files, ElementsAre("/etc/p/rules/*.yml", "/abs/r.yml"));
  EXPECT_EQ(c.scrape_jobs[0].discovery.files[0].files[0], "/etc/p/t.yml");
  EXPECT_EQ(c.scrape_jobs[0].scrape.http.tls.ca_file, "/etc/p/ca.pem");
  EXPECT_EQ(c.alerting.alertmanagers[0].discovery.files[0].files[0], "/etc/p/am.yml");
  EXPECT_EQ(c.remote_write[0].http.basic_auth->password_file, "/etc/p/pw");
  EXPECT_FALSE(c.remote_write[0].http.enable_http2);
}

TEST(PrometheusConfigTest, AllErrorsOfAFileAreToldAtOnceInOrder) {
  auto c = Parse(
      "global:\n"
      "  scrape_interval: 5minutes\n"
      "  evaluation: 1m\n"
      "scrape_configs:\n"
      "- job_name: a\n"
      "  relabel_configs: [{action: nope}]\n"
      "- job_name: a\n"
      "remote_write: [{}]\n"
      "colour: red\n");
  ASSERT_FALSE(c);
  std::vector<std::string> lines;
  for (size_t at = 0; at != std::string::npos;) {
    size_t end = c.error().message().find('\n', at);
    lines.push_back(c.error().message().substr(at, end - at));
    at = end == std::string::npos ? end : end + 1;
  }
  EXPECT_THAT(lines,
              ElementsAre(HasSubstr("p.yml:2:20: scrape_interval: unknown unit \"minutes\""),
                          HasSubstr("p.yml:3:3: field evaluation not found in type config.plain; known keys: "),
                          HasSubstr("p.yml:6:30: action: unknown relabel action \"nope\""),
                          HasSubstr("p.yml:7:3: found multiple scrape configs with job name \"a\""),
                          HasSubstr("p.yml:8:16: url: url for remote_write is empty"),
                          HasSubstr("p.yml:9:1: field colour not found in type config.plain")));
}

TEST(PrometheusConfigTest, ScrapeConfigFilesAddJobsWithTheirOwnFolder) {
  base::SimulatedFileSystem fs;
  ASSERT_TRUE(fs.CreateFolders("/etc/p/more"));
  ASSERT_TRUE(fs.WriteFileAtomically("/etc/p/p.yml",
                                     "global: {scrape_interval: 7s}\nscrape_config_files: [more/*.yml]\n"
                                     "scrape_configs: [{job_name: own}]\n"));
  ASSERT_TRUE(fs.WriteFileAtomically(
      "/etc/p/more/one.yml", "scrape_configs: [{job_name: one, file_sd_configs: [{files: [t.yml]}]}]\n"));
  auto c = LoadPrometheusConfig(&fs, "/etc/p/p.yml");
  ASSERT_TRUE(c) << c.error().message();
  ASSERT_EQ(c->scrape_jobs.size(), 2u);
  EXPECT_EQ(c->own_scrape_jobs, 1u);
  EXPECT_EQ(c->scrape_jobs[1].scrape.scrape_interval, std::chrono::seconds(7));
  EXPECT_EQ(c->scrape_jobs[1].discovery.files[0].files[0], "/etc/p/more/t.yml");
  EXPECT_THAT(c->ToYaml(), Not(HasSubstr("job_name: one")));
  EXPECT_THAT(c->JobYaml("one"), testing::StartsWith("job_name: one\n"));
  EXPECT_EQ(c->JobYaml("none"), "");
  ASSERT_TRUE(fs.WriteFileAtomically("/etc/p/more/two.yml", "scrape_configs: [{job_name: own}]\n"));
  c = LoadPrometheusConfig(&fs, "/etc/p/p.yml");
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().message(),
            "/etc/p/more/two.yml:1:18: found multiple scrape configs with job name \"own\", first found in the main "
            "config file");
  EXPECT_FALSE(LoadPrometheusConfig(&fs, "/none.yml"));
}

TEST(PrometheusConfigTest, BlocksThatCannotBeRunAreNamed) {
  PrometheusConfig c = Sound(
      "scrape_configs:\n"
      "- job_name: k\n"
      "  kubernetes_sd_configs: [{role: pod}]\n"
      "remote_write: [{url: 'http://h/w', sigv4: {region: x}}]\n");
  auto status = c.UnsupportedStatus();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), base::Code::kUnimplemented);
  EXPECT_THAT(status.error().message(), HasSubstr("job \"k\": kubernetes_sd_configs (p.yml:3)"));
  EXPECT_THAT(status.error().message(), HasSubstr("remote_write (p.yml:4)"));
}

TEST(PrometheusConfigTest, AnAgentRefusesWhatItDoesNotDo) {
  for (const char* text : {"rule_files: [a.yml]", "remote_read: [{url: 'http://h'}]",
                           "alerting: {alertmanagers: [{static_configs: [{targets: [a]}]}]}"}) {
    EXPECT_TRUE(Parse(text)) << text;
    auto c = Parse(text, {.agent = true});
    ASSERT_FALSE(c) << text;
    EXPECT_THAT(c.error().message(), HasSubstr("is not allowed in agent mode"));
  }
}

TEST(PrometheusConfigTest, TheConfigurationInEffectIsPrintedWithoutSecrets) {
  const char* text =
      "global: {external_labels: {env: prod}}\n"
      "rule_files: [r.yml]\n"
      "scrape_configs:\n"
      "- job_name: a\n"
      "  basic_auth: {username: me, password: hush}\n"
      "  static_configs: [{targets: ['h:1'], labels: {x: y}}]\n"
      "  relabel_configs: [{source_labels: [a], target_label: b, separator: ''}]\n"
      "  consul_sd_configs: [{token: hush}]\n"
      "alerting: {alertmanagers: [{authorization: {credentials: hush}}]}\n"
      "remote_write: [{url: 'http://h/w', proxy_url: 'http://me:hush@proxy:3128', sigv4: {access_key: k, secret_key: hush}}]\n"
      "remote_read: [{url: 'http://h/r', required_matchers: {a: b}}]\n"
      "tracing: {endpoint: e, headers: {a: b}}\n"
      "storage: {tsdb: {out_of_order_time_window: 10m, retention: {time: 5d, size: 1GB, percentage: 10}}}\n";
  std::string yaml = Sound(text).ToYaml();
  EXPECT_THAT(yaml, Not(HasSubstr("hush")));
  for (const char* part :
       {"  scrape_interval: 1m\n", "  external_labels:\n    env: prod\n", "- job_name: a\n", "    password: <secret>\n",
        "  - targets:\n    - h:1\n    labels:\n      x: \"y\"\n", "    separator: \"\"\n", "  - token: <secret>\n",
        "      credentials: <secret>\n", "    secret_key: <secret>\n", "  protobuf_message: prometheus.WriteRequest\n",
        "  required_matchers:\n    a: b\n", "  proxy_url: http://me:xxxxx@proxy:3128\n", "    out_of_order_time_window: 10m\n", "      time: 5d\n      size: 1GiB\n",
        "rule_files:\n- /etc/p/r.yml\n"}) {
    EXPECT_THAT(yaml, HasSubstr(part));
  }
  auto again = Parse(yaml);
  ASSERT_TRUE(again) << again.error().message() << "\n" << yaml;
  EXPECT_EQ(again->ToYaml(), yaml);
}

TEST(PrometheusConfigTest, RetentionIsTheFilesWholeBlockOrTheFlags) {
  Retention flags{.time = std::chrono::hours(24 * 15), .bytes = 1 << 20};
  LoadOptions options;
  options.retention = flags;
  struct Row {
    const char* text;
    const char* yaml;
  };
  const Row rows[] = {
      {"global: {}\n", "storage:\n  tsdb:\n    retention:\n      time: 15d\n      size: 1MiB\n"},
      {"storage: {tsdb: {out_of_order_time_window: 10m}}\n", "    retention:\n      time: 15d\n      size: 1MiB\n"},
      {"storage: {tsdb: {retention: {size: 1GB}}}\n", "    retention:\n      size: 1GiB\n"},
      {"storage: {tsdb: {retention: {time: 0s}}}\n", "    retention: {}\n"},
  };
  for (const Row& row : rows) {
    auto config = Parse(row.text, options);
    ASSERT_TRUE(config) << row.text << config.error().message();
    EXPECT_THAT(config->ToYaml(), HasSubstr(row.yaml)) << row.text;
  }
}

TEST(PrometheusConfigTest, ProtobufGoesFirstOnDemandWhereTheFileNamesNoProtocols) {
  const LoadOptions options{.protobuf_first = true};
  const auto plain = Parse("scrape_configs: [{job_name: a}, {job_name: b, scrape_protocols: [PrometheusText0.0.4]}]", options);
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain->scrape_jobs[0].scrape.scrape_protocols.size(), 5u);
  EXPECT_EQ(plain->scrape_jobs[0].scrape.scrape_protocols[0], scrape::Protocol::kPrometheusProto);
  EXPECT_THAT(plain->scrape_jobs[1].scrape.scrape_protocols, ElementsAre(scrape::Protocol::kPrometheusText0_0_4));
  const auto named = Parse("global: {scrape_protocols: [OpenMetricsText1.0.0]}\nscrape_configs: [{job_name: a}]", options);
  ASSERT_TRUE(named) << named.error().message();
  EXPECT_THAT(named->scrape_jobs[0].scrape.scrape_protocols, ElementsAre(scrape::Protocol::kOpenMetricsText1_0_0));
}

TEST(PrometheusConfigTest, PatternsAreExpandedEachFileOnce) {
  base::SimulatedFileSystem fs;
  ASSERT_TRUE(fs.CreateFolders("/r"));
  ASSERT_TRUE(fs.WriteFileAtomically("/r/b.yml", ""));
  ASSERT_TRUE(fs.WriteFileAtomically("/r/a.yml", ""));
  auto files = ExpandPatterns(&fs, {"/r/*.yml", "/r/a.yml", "/none.yml", "/none/*.yml"});
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_THAT(*files, ElementsAre("/r/a.yml", "/r/b.yml", "/none.yml"));
}

}  // namespace
}  // namespace tocsin::config
