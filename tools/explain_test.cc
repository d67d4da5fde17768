// The verbs that ask a server why: what they make of its answers.

#include "tools/explain.h"

#include "tools/canned_server_test_util.h"
#include "tools/tool.h"

namespace tocsin::tools {
namespace {

class ExplainVerbsTest : public testing::Test {
 protected:
  int Run(Verb verb, std::vector<std::string> args) {
    args.push_back("--alertmanager.url=" + server_.url());
    out_.clear();
    err_.clear();
    return verb(args, {.out = [this](std::string_view s) { out_ += s; },
                       .err = [this](std::string_view s) { err_ += s; },
                       .read_input = [] { return std::string(); },
                       .fs = base::RealFileSystem()});
  }
  CannedServer server_;
  std::string out_, err_;
};

TEST_F(ExplainVerbsTest, TheJournalIsATable) {
  server_.Answer("/api/v2/journal", R"({"alerts":{"f1":{"labels":{"alertname":"Down","i":"1"}}},"more":true,"events":[
      {"at":"2026-01-02T03:04:05Z","kind":"request","fingerprint":"f1","integration":"slack","outcome":"retry","status":503,
       "attempt":2,"durationSeconds":0.25,"nextAttemptSeconds":1.5,"firing":["f1"],"by":["s1"]}]})");
  ASSERT_EQ(Run(JournalVerb, {"Down"}), 0) << err_;
  EXPECT_EQ(out_, "2026-01-02T03:04:05Z  request  Down i=1, slack, retry, 503, attempt 2, 250 ms, next attempt after 1.5 s, s1, "
                  "firing: Down i=1  \n");
  EXPECT_NE(err_.find("there are older events"), std::string::npos);
}

// A proxy, another version, a bug: whatever JSON comes, no field is taken for there or for a text.
TEST_F(ExplainVerbsTest, AnswersWithoutTheirFieldsAreNoCrash) {
  const std::string odd[] = {
      R"({"events":[{"fingerprint":"f","status":"x","attempt":null,"by":[1,{}],"firing":[2],"resolved":{"a":1},
          "durationSeconds":"x","nextAttemptSeconds":[]},7,null,[]]})",
      R"({"events":{"a":1},"alerts":[]})", R"({"events":"x"})", "{}",
      R"([{"messages":[{"request":{}},{"request":{"headers":{"a":1},"body":3}},5],"alerts":[{},3],"mutedBy":[1]},{}, 4])",
      R"({"ok":true,"integrations":[{},{"requests":[{},{"status":"x"}]},3]})", "[]", "null", "3", "no JSON"};
  for (const std::string& text : odd) {
    SCOPED_TRACE(text);
    for (const char* path : {"/api/v2/journal", "/api/v2/preview", "/api/v2/explain", "/api/v2/receivers/r/test"}) server_.Answer(path, text);
    for (const auto& [verb, word] : std::initializer_list<std::pair<Verb, const char*>>{
             {JournalVerb, "x=1"}, {PreviewVerb, "x=1"}, {ExplainVerb, "x=1"}, {ReceiverTestVerb, "r"}}) {
      const int exit = Run(verb, {word});
      EXPECT_TRUE(exit == 0 || exit == 1) << exit;
      EXPECT_TRUE(exit == 0 || !err_.empty() || !out_.empty());
    }
  }
}

}  // namespace
}  // namespace tocsin::tools
