#include "tools/check_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/simulated_file_system.h"

namespace tocsin::tools {
namespace {

using ::testing::HasSubstr;

// Names of files are relative to a folder, as for a process that stands there.
class InFolder : public base::FileSystem {
 public:
  InFolder(base::FileSystem* fs, std::string folder) : fs_(fs), folder_(std::move(folder)) {}
  base::Result<std::unique_ptr<base::File>> Open(const std::string& p, Mode m) override { return fs_->Open(At(p), m); }
  base::Result<std::unique_ptr<base::MappedFile>> Map(const std::string& p) override { return fs_->Map(At(p)); }
  base::Result<std::string> ReadFile(const std::string& p) override { return fs_->ReadFile(At(p)); }
  base::Status WriteFileAtomically(const std::string& p, std::string_view d) override {
    return fs_->WriteFileAtomically(At(p), d);
  }
  base::Status Rename(const std::string& a, const std::string& b) override { return fs_->Rename(At(a), At(b)); }
  base::Status Link(const std::string& a, const std::string& b) override { return fs_->Link(At(a), At(b)); }
  base::Status Remove(const std::string& p) override { return fs_->Remove(At(p)); }
  base::Status RemoveAll(const std::string& p) override { return fs_->RemoveAll(At(p)); }
  base::Status CreateFolders(const std::string& p) override { return fs_->CreateFolders(At(p)); }
  base::Status SyncFolder(const std::string& p) override { return fs_->SyncFolder(At(p)); }
  base::Result<std::vector<base::FileInfo>> List(const std::string& p) override { return fs_->List(At(p)); }
  base::Result<base::FileInfo> Stat(const std::string& p) override { return fs_->Stat(At(p)); }
  base::Result<std::unique_ptr<base::File>> Lock(const std::string& p) override { return fs_->Lock(At(p)); }
  base::Result<Space> FreeSpace(const std::string& p) override { return fs_->FreeSpace(At(p)); }

 private:
  std::string At(const std::string& path) const { return base::JoinPath(folder_, path); }
  base::FileSystem* const fs_;
  const std::string folder_;
};

struct Outcome {
  int exit = 0;
  std::string out;
  std::string err;
};

Outcome Check(base::FileSystem* fs, const std::vector<std::string>& args) {
  Outcome run;
  ToolIo io{.out = [&](std::string_view text) { run.out += text; },
            .err = [&](std::string_view text) { run.err += text; },
            .read_input = [] { return std::string(); },
            .fs = fs};
  run.exit = CheckConfig(args, io);
  return run;
}

class CheckConfigTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, std::string_view text) {
    ASSERT_TRUE(fs_.CreateFolders(base::FolderOf(path)));
    ASSERT_TRUE(fs_.WriteFileAtomically(path, text));
  }
  base::SimulatedFileSystem fs_;
};

TEST_F(CheckConfigTest, ASoundFileIsSaidToBeValidWithItsRuleFiles) {
  Write("/p.yml", "rule_files: [r*.yml]\n");
  Write("/r1.yml", "groups: [{name: g, rules: [{record: a, expr: b}]}]\n");
  Outcome run = Check(&fs_, {"/p.yml"});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_EQ(run.out,
            "Checking /p.yml\n  SUCCESS: 1 rule files found\n SUCCESS: /p.yml is valid prometheus config file syntax\n\n"
            "Checking /r1.yml\n  SUCCESS: 1 rules found\n\n");
  EXPECT_EQ(Check(&fs_, {"--syntax-only", "/p.yml"}).out,
            "Checking /p.yml\n SUCCESS: /p.yml is valid prometheus config file syntax\n\n");
}

TEST_F(CheckConfigTest, ErrorsAreToldAndLintIsFatalOnDemand) {
  Write("/bad.yml", "colour: red\n");
  Write("/badrule.yml", "rule_files: [r.yml]\n");
  Write("/r.yml", "groups: [{name: g, rules: [{record: a, expr: 'b('}]}]\n");
  Write("/dup.yml", "rule_files: [d.yml]\n");
  Write("/d.yml", "groups: [{name: g, rules: [{record: a, expr: b}, {record: a, expr: b}]}]\n");
  Write("/long.yml", "scrape_configs: [{job_name: a, scrape_interval: 5m}]\n");
  Write("/missing.yml", "rule_files: [none.yml]\n");
  Write("/sd.yml", "scrape_configs: [{job_name: a, file_sd_configs: [{files: [t.yml, none.yml]}]}]\n");
  Write("/t.yml", "- target: [x]\n");
  Write("/agent.yml", "rule_files: [d.yml]\n");
  struct Row {
    std::vector<std::string> args;
    int exit;
    const char* said;
  };
  for (const Row& row : {
           Row{{"/bad.yml"}, 1, "  FAILED: parsing YAML file /bad.yml: yaml: unmarshal errors:\n  /bad.yml:1:1: field colour"},
           {{"/badrule.yml"}, 1, "FAILED"},
           {{"--syntax-only", "/badrule.yml"}, 0, ""},
           {{"/dup.yml"}, 0, "duplicate rule(s) found"},
           {{"--lint-fatal", "/dup.yml"}, 3, "duplicate rule(s) found"},
           {{"--lint-fatal", "--lint=none", "/dup.yml"}, 0, ""},
           {{"--lint-fatal", "/long.yml"}, 0, ""},
           {{"--lint-fatal", "--lint=too-long-scrape-interval", "/long.yml"}, 3, "job: a, interval: 5m"},
           {{"--lint-fatal", "--lint=all", "--query.lookback-delta=10m", "/long.yml"}, 0, ""},
           {{"/missing.yml"}, 1, "\"/none.yml\" does not point to an existing file"},
           {{"/sd.yml"}, 1, "checking SD file \"/t.yml\": /t.yml:1:3: field target not found"},
           {{"--agent", "/agent.yml"}, 1, "field rule_files is not allowed in agent mode"},
           {{"/absent.yml"}, 1, "error: path '/absent.yml' does not exist"},
           {{"--lint=what", "/long.yml"}, 0, "WARNING: unknown lint option: \"what\""},
           {{}, 1, "required argument 'config-files' not provided"},
       }) {
    Outcome run = Check(&fs_, row.args);
    std::string all = run.out + run.err;
    EXPECT_EQ(run.exit, row.exit) << all;
    EXPECT_THAT(all, HasSubstr(row.said));
  }
}

TEST_F(CheckConfigTest, BlocksThatCannotBeRunAreSoundWithAWarning) {
  Write("/k.yml", "scrape_configs: [{job_name: k, kubernetes_sd_configs: [{role: pod}]}]\n");
  Outcome run = Check(&fs_, {"/k.yml"});
  EXPECT_EQ(run.exit, 0);
  EXPECT_THAT(run.err, HasSubstr("WARNING: /k.yml:1: job \"k\": kubernetes_sd_configs: sound, but"));
}

TEST(CheckConfigConformanceTest, ExitsAndWordsAreThoseOfTheKit) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  std::string folder = std::string(shared != nullptr ? shared : "../shared") + "/conformance/config/";
  std::ifstream found(folder + "promtool/manifest.json");
  if (!found) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  size_t all = 0;
  size_t agreed = 0;
  for (const auto& [name, list] : {std::pair("promtool", "check_config"), {"prometheus", "bad"}, {"prometheus", "good"}}) {
    std::ifstream file(folder + name + "/manifest.json");
    const nlohmann::json manifest = nlohmann::json::parse(file);
    for (const auto& row : manifest[list]) {
      std::vector<std::string> args = row["args"];
      InFolder fs(base::RealFileSystem(), folder + name);
      Outcome run = Check(&fs, {args.begin() + 2, args.end()});
      bool same = run.exit == row["exit"].get<int>() &&
                  (!row.contains("error") ||
                   (run.out + run.err).find(row["error"].get<std::string>()) != std::string::npos);
      ++all;
      agreed += same ? 1 : 0;
      EXPECT_TRUE(same) << row["args"] << " expected " << row["exit"] << " " << row.value("error", "") << ", got "
                        << run.exit << "\n"
                        << run.out << run.err;
    }
  }
  std::cout << agreed << " of " << all << " check config cases agree\n";
}

}  // namespace
}  // namespace tocsin::tools
