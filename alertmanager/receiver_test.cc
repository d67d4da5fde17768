#include "alertmanager/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/mime.h"
#include "alertmanager/prepared.h"
#include "alertmanager/shared_kit_test.h"
#include "base/text.h"
#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"

namespace tocsin::alertmanager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const base::Time kNow = base::FromUnixMillis(1'767'323'045'000);  // 2026-01-02T03:04:05Z

Notification Down(std::string_view status = "firing") {
  Notification n;
  n.group_key = "{}/{severity=\"page\"}:{alertname=\"Down\"}";
  n.now = kNow;
  n.random = 42;
  n.hostname = "host";
  n.data.receiver = "ops";
  n.data.status = status;
  n.data.notification_reason = "first notification";
  n.data.group_labels = {{"alertname", "Down"}};
  n.data.common_labels = {{"alertname", "Down"}, {"instance", "h1:9100"}, {"severity", "page"}};
  n.data.common_annotations = {{"summary", "h1 down"}};
  n.data.external_url = "http://p:9090";
  n.data.alerts.push_back({.status = std::string(status),
                           .labels = n.data.common_labels,
                           .annotations = n.data.common_annotations,
                           .starts_at = templates::GoTime::FromTime(kNow),
                           .ends_at = {},
                           .generator_url = "http://p:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                           .fingerprint = "0123456789abcdef"});
  return n;
}

// Runs a receiver against answers of its server; "METHOD path body" of each request.
struct Conversation {
  std::vector<std::string> sent;
  Outcome outcome;
};
Conversation Converse(const Receiver& receiver, const Notification& n, std::vector<std::pair<int, std::string>> answers) {
  Conversation c;
  Step step;
  for (auto& [status, body] : answers) {
    const auto built = receiver.Build(n, step);
    if (!built) {
      c.outcome = OutcomeOfError(built.error());
      return c;
    }
    const auto& request = std::get<net::FetchRequest>(built->message);
    c.sent.push_back(request.method + " " + request.url.substr(request.url.find('/', 8)) + " " + request.body);
    net::FetchResponse response;
    response.status = status;
    if (body.starts_with('{')) response.headers = {{"Content-Type", "application/json"}};
    response.body = body;
    c.outcome = receiver.Judge(n, step, response);
    if (!c.outcome.ok || !c.outcome.more) return c;
    step = {.index = step.index + 1, .carried = c.outcome.carried};
  }
  return c;
}

class ReceiverTest : public testing::Test {
 protected:
  // The first integration of a receiver that has the block `yaml`.
  std::unique_ptr<Receiver> Make(const std::string& yaml, Compat compat = {}) {
    auto config = LoadConfig("route: {receiver: ops}\nreceivers:\n- name: ops\n  " + yaml + "\n", "am.yml");
    EXPECT_TRUE(config.has_value()) << config.error().message();
    if (!config) return nullptr;
    auto set = std::make_shared<templates::TemplateSet>(templates::AlertmanagerFunctions([] { return kNow; }));
    EXPECT_TRUE(templates::AddDefaultTemplates(set.get()).has_value());
    return MakeReceiver((*config)->receivers[0].integrations[0],
                        {.templates = set, .fs = base::RealFileSystem(), .compat = compat, .user_agent = "Alertmanager/test"});
  }

  static net::FetchRequest Request(const base::Result<Built>& built) {
    EXPECT_TRUE(built.has_value()) << built.error().message();
    return built ? std::get<net::FetchRequest>(built->message) : net::FetchRequest();
  }

  // Equal as JSON, whatever the order of keys and blanks.
  static void ExpectJson(const std::string& got, const std::string& want) {
    EXPECT_EQ(Canonical(got), Canonical(want)) << got;
  }
  static std::string Canonical(const std::string& text) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(simdjson::padded_string(text)).get(root) != simdjson::SUCCESS) return "not JSON: " + text;
    return Sorted(root);
  }
  static std::string Sorted(simdjson::dom::element e) {
    if (e.type() == simdjson::dom::element_type::OBJECT) {
      std::map<std::string, std::string> fields;
      for (auto [key, value] : e.get_object()) fields[std::string(key)] = Sorted(value);
      std::string out = "{";
      for (const auto& [key, value] : fields) out += key + ":" + value + ",";
      return out + "}";
    }
    if (e.type() == simdjson::dom::element_type::ARRAY) {
      std::string out = "[";
      for (auto item : e.get_array()) out += Sorted(item) + ",";
      return out + "]";
    }
    return simdjson::minify(e);
  }
};

TEST_F(ReceiverTest, AWebhookGetsTheNotificationAsVersionFour) {
  auto hook = Make("webhook_configs: [{url: 'http://hook/x?a=1'}]");
  const auto request = Request(hook->Build(Down(), {}));
  EXPECT_EQ(request.url, "http://hook/x?a=1");
  EXPECT_EQ(request.headers.Get("User-Agent"), "Alertmanager/test");
  ExpectJson(request.body,
             R"({"receiver":"ops","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Down","instance":"h1:9100",)"
             R"("severity":"page"},"annotations":{"summary":"h1 down"},"startsAt":"2026-01-02T03:04:05Z","endsAt":"0001-01-01T00:00:00Z",)"
             R"("generatorURL":"http://p:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1","fingerprint":"0123456789abcdef"}],)"
             R"("notification_reason":"first notification","groupLabels":{"alertname":"Down"},"commonLabels":{"alertname":"Down",)"
             R"("instance":"h1:9100","severity":"page"},"commonAnnotations":{"summary":"h1 down"},"routeLabels":{},)"
             R"("externalURL":"http://p:9090","version":"4","groupKey":"{}/{severity=\"page\"}:{alertname=\"Down\"}","truncatedAlerts":0})");
}

TEST_F(ReceiverTest, AWebhooksOwnPayloadIsExpandedAndKeepsTypes) {
  auto hook = Make("webhook_configs: [{url: 'http://hook/', payload: {'{{ .Status }}': '{{ len .Alerts }}', deep: [true, 5, '{{ .CommonLabels.severity }}', "
                   "'{{ .GroupLabels | toJson }}', null]}}]");
  ExpectJson(Request(hook->Build(Down(), {})).body, R"({"firing":1,"deep":[true,5,"page",{"alertname":"Down"},null]})");
}

TEST_F(ReceiverTest, SlackGetsOneAttachment) {
  auto slack = Make("slack_configs: [{api_url: 'http://slack/', channel: '#ops'}]");
  ExpectJson(Request(slack->Build(Down(), {})).body,
             R"j({"channel":"#ops","username":"Alertmanager","attachments":[{"title":"[FIRING:1] Down (h1:9100 page)",)j"
             R"j("title_link":"http://p:9090/#/alerts?receiver=ops","text":"",)j"
             R"j("fallback":"[FIRING:1] Down (h1:9100 page) | http://p:9090/#/alerts?receiver=ops",)j"
             R"j("callback_id":"","footer":"","color":"danger","mrkdwn_in":["fallback","pretext","text"]}]})j");
}

TEST_F(ReceiverTest, SlacksErrorsWithStatus200AreErrors) {
  auto slack = Make("slack_configs: [{api_url: 'http://slack/', channel: c}]");
  struct Row {
    std::string type, body;
    bool ok;
  };
  for (const Row& row : {Row{"text/html", "ok", true}, Row{"text/html", "no_service", false},
                         Row{"application/json", R"({"ok":true})", true},
                         Row{"application/json", R"({"ok":false,"error":"channel_not_found"})", false},
                         Row{"application/json", "{", false}}) {
    net::FetchResponse r;
    r.status = 200;
    r.headers = {{"Content-Type", row.type}};
    r.body = row.body;
    EXPECT_EQ(slack->Judge(Down(), {}, r).ok, row.ok) << row.body;
  }
}

TEST_F(ReceiverTest, SlackEditsItsFirstMessageWhenAsked) {
  auto slack = Make("slack_configs: [{app_token: xoxb, app_url: 'http://slack/api/chat.postMessage', channel: c, update_message: true}]");
  net::FetchResponse r;
  r.status = 200;
  r.headers = {{"Content-Type", "application/json"}};
  r.body = R"({"ok":true,"channel":"C1","ts":"12.34"})";
  const Outcome o = slack->Judge(Down(), {}, r);
  ASSERT_TRUE(o.receiver_data.has_value());
  Notification next = Down();
  next.data.notification_reason = "new alerts added";
  next.receiver_data = *o.receiver_data;
  const auto request = Request(slack->Build(next, {}));
  EXPECT_EQ(request.url, "http://slack/api/chat.update");
  EXPECT_EQ(request.headers.Get("Authorization"), "Bearer xoxb");
  EXPECT_THAT(request.body, HasSubstr(R"("channel":"C1","ts":"12.34")"));
}

TEST_F(ReceiverTest, SnsAssumesARoleAndKeepsItsCredentialsUntilTheyEnd) {
  auto sns = Make("sns_configs: [{topic_arn: t, api_url: 'http://sns/', sigv4: {region: r, access_key: a, secret_key: s, role_arn: 'arn:role', external_id: x}}]");
  const std::pair<int, std::string> role = {
      200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A2</AccessKeyId><SecretAccessKey>S2</SecretAccessKey>"
           "<SessionToken>T2</SessionToken><Expiration>2026-01-02T04:04:05Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"};
  const std::pair<int, std::string> published = {200, "<PublishResponse/>"};
  const Conversation first = Converse(*sns, Down(), {role, published});
  ASSERT_EQ(first.sent.size(), 2u);
  EXPECT_TRUE(first.outcome.ok);
  EXPECT_THAT(first.sent[0], HasSubstr("Action=AssumeRole"));
  EXPECT_THAT(first.sent[0], HasSubstr("ExternalId=x&RoleArn=arn%3Arole"));
  EXPECT_THAT(first.sent[1], HasSubstr("Action=Publish"));
  Notification later = Down();
  later.now = kNow + std::chrono::minutes(54);
  const auto request = Request(sns->Build(later, {}));
  EXPECT_EQ(request.headers.Get("X-Amz-Security-Token"), "T2");
  EXPECT_THAT(std::string(request.headers.Get("Authorization")), HasSubstr("Credential=A2/"));
  later.now = kNow + std::chrono::minutes(56);
  EXPECT_THAT(Request(sns->Build(later, {})).body, HasSubstr("Action=AssumeRole"));
}

TEST_F(ReceiverTest, SlackAnswersItsFirstMessageInAThread) {
  const std::string token = "app_token: xoxb, app_url: 'http://slack/api/chat.postMessage', channel: c, ";
  const std::pair<int, std::string> root = {200, R"({"ok":true,"channel":"C1","ts":"1.0"})"};
  const std::pair<int, std::string> reply = {200, R"({"ok":true,"channel":"C1","ts":"2.0"})"};
  struct Row {
    std::string flags;
    std::vector<std::string> later;  // how the requests of the second notification begin
  };
  for (const Row& row : {Row{"post_updates_to_thread: true", {R"(POST /api/chat.postMessage {"channel":"C1","thread_ts":"1.0")"}},
                         Row{"post_updates_to_thread: true, update_message: true",
                             {R"(POST /api/chat.update {"channel":"C1","ts":"1.0")",
                              R"(POST /api/chat.postMessage {"channel":"C1","thread_ts":"1.0")"}}}) {
    auto slack = Make("slack_configs: [{" + token + row.flags + "}]");
    const Conversation first = Converse(*slack, Down(), {root});
    ASSERT_TRUE(first.outcome.receiver_data.has_value());
    EXPECT_FALSE(first.outcome.more);
    Notification next = Down("resolved");
    next.data.notification_reason = "all alerts resolved";
    next.receiver_data = *first.outcome.receiver_data;
    const Conversation later = Converse(*slack, next, row.later.size() == 1 ? std::vector{reply} : std::vector{root, reply});
    EXPECT_FALSE(later.outcome.more);
    EXPECT_FALSE(later.outcome.receiver_data.has_value()) << "an answer does not take the first message's place";
    ASSERT_EQ(later.sent.size(), row.later.size());
    for (size_t i = 0; i < row.later.size(); ++i) EXPECT_THAT(later.sent[i], testing::StartsWith(row.later[i]));
  }
}

TEST_F(ReceiverTest, SlackTakesBlocksInPlaceOfTheAttachment) {
  auto slack = Make("slack_configs: [{api_url: 'http://slack/', channel: c, fallback: '{{ .Status }}', "
                    "blocks: [{type: section, text: {type: mrkdwn, text: '*{{ .CommonLabels.alertname }}*'}}]}]");
  ExpectJson(Request(slack->Build(Down(), {})).body,
             R"({"channel":"c","username":"Alertmanager","text":"firing","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*Down*"}}]})");
}

constexpr std::string_view kJiraBlock =
    "jira_configs: [{api_url: 'http://jira/rest/api/2/', project: OPS, issue_type: Bug, summary: '{{ .CommonLabels.alertname }}', "
    "description: {template: down, enable_update: false}, labels: [zz], fields: {customfield_1: {value: '{{ .Status }}'}}, "
    "resolve_transition: Done, reopen_transition: Reopen, reopen_duration: 1h, wont_fix_resolution: \"Won't\"}]";

TEST_F(ReceiverTest, JiraOpensAnIssueWhenItFindsNone) {
  auto jira = Make(std::string(kJiraBlock));
  const std::string label = "ALERT{" + HashOfKey(Down().group_key) + "}";
  const Conversation c = Converse(*jira, Down(), {{200, R"({"issues":[]})"}, {201, R"({"key":"OPS-1"})"}});
  ASSERT_EQ(c.sent.size(), 2u);
  EXPECT_TRUE(c.outcome.ok);
  EXPECT_EQ(c.sent[0], R"(POST /rest/api/2/search {"fields":["status"],"jql":"resolution != \"Won't\" and (resolutiondate is EMPTY OR )"
                       R"(resolutiondate \u003e= -60m) and project=\"OPS\" and labels=\")" + label +
                       "\\\" order by status ASC,resolutiondate DESC\",\"maxResults\":2}\n");
  EXPECT_EQ(c.sent[1], R"(POST /rest/api/2/issue {"fields":{"customfield_1":{"value":"firing"},"description":"down","issuetype":{"name":"Bug"},)"
                       R"("labels":[")" + label + R"(","zz"],"project":{"key":"OPS"},"summary":"Down"}})" "\n");
}

TEST_F(ReceiverTest, JiraUpdatesTheIssueItFindsAndMovesItWhereItBelongs) {
  auto jira = Make(std::string(kJiraBlock));
  auto found = [](std::string_view category) {
    return std::pair(200, R"({"issues":[{"key":"OPS-7","fields":{"status":{"statusCategory":{"key":")" + std::string(category) + R"("}}}}]})");
  };
  const std::pair<int, std::string> transitions = {200, R"({"transitions":[{"id":"11","name":"Done"},{"id":"12","name":"Reopen"}]})"};
  struct Row {
    std::string_view status, category, last;  // last: what the last request says
    size_t requests;
  };
  for (const Row& row : {Row{"firing", "new", R"("summary":"Down"}})", 2}, Row{"firing", "done", R"({"transition":{"id":"12"}})", 4},
                         Row{"resolved", "new", R"({"transition":{"id":"11"}})", 4}, Row{"resolved", "done", R"("summary":"Down"}})", 2}}) {
    const Conversation c = Converse(*jira, Down(row.status), {found(row.category), {204, ""}, transitions, {204, ""}});
    EXPECT_TRUE(c.outcome.ok) << c.outcome.error;
    ASSERT_EQ(c.sent.size(), row.requests) << row.status << " " << row.category;
    EXPECT_THAT(c.sent[1], testing::StartsWith("PUT /rest/api/2/issue/OPS-7 "));
    EXPECT_THAT(c.sent[1], testing::Not(HasSubstr("description"))) << "enable_update is false";
    EXPECT_THAT(c.sent.back(), HasSubstr(row.last));
  }
  EXPECT_EQ(Converse(*jira, Down("resolved"), {{200, R"({"issues":[]})"}}).sent.size(), 1u) << "nothing is opened for what has ended";
}

TEST_F(ReceiverTest, JirasErrorsSayAtWhichStepTheyCame) {
  auto jira = Make(std::string(kJiraBlock));
  const Outcome limited = Converse(*jira, Down(), {{429, "slow down"}}).outcome;
  EXPECT_TRUE(limited.retry);
  EXPECT_EQ(limited.error, "looking for the group's issue: unexpected status code 429: slow down");
  const Outcome garbage = Converse(*jira, Down(), {{200, "<html>"}}).outcome;
  EXPECT_FALSE(garbage.ok);
  EXPECT_THAT(garbage.error, HasSubstr("not the expected JSON: <html>"));
  const Outcome missing = Converse(*jira, Down("resolved"), {{200, R"({"issues":[{"key":"OPS-7","fields":{}}]})"}, {204, ""}, {200, R"({"transitions":[]})"}}).outcome;
  EXPECT_EQ(missing.error, "can't find transition Done for issue OPS-7");
}

TEST_F(ReceiverTest, JirasCloudHasItsOwnSearchAndDescriptionsAreDocuments) {
  auto search = [&](const std::string& type, const std::string& url) {
    auto jira = Make("jira_configs: [{api_url: '" + url + "', api_type: " + type + ", project: P, issue_type: B, description: down}]");
    return Converse(*jira, Down(), {{200, R"({"issues":[]})"}, {201, ""}}).sent;
  };
  EXPECT_THAT(search("auto", "https://x.atlassian.net/rest/api/2")[0], HasSubstr("/rest/api/3/search/jql "));
  EXPECT_THAT(search("auto", "https://jira.example.org/rest/api/2")[0], HasSubstr("/rest/api/2/search "));
  EXPECT_THAT(search("datacenter", "https://x.atlassian.net/rest/api/2")[0], HasSubstr("/rest/api/2/search "));
  EXPECT_THAT(search("cloud", "https://proxy/rest/api/3")[1],
              HasSubstr(R"("description":{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"down"}]}]})"));
}

TEST_F(ReceiverTest, OpsGenieChangesBothTextsAfterCreating) {
  auto genie = Make("opsgenie_configs: [{api_key: k, api_url: 'http://genie', update_alerts: true, message: m}]");
  std::vector<std::string> sent;
  net::FetchResponse ok;
  ok.status = 202;
  for (int step = 0;; ++step) {
    const auto request = Request(genie->Build(Down(), {.index = step, .carried = {}}));
    sent.push_back(request.method + " " + request.url.substr(request.url.rfind('/') + 1));
    if (!genie->Judge(Down(), {.index = step, .carried = {}}, ok).more) break;
  }
  EXPECT_THAT(sent, ElementsAre("POST alerts", "PUT message?identifierType=alias", "PUT description?identifierType=alias"));
  EXPECT_THAT(Request(genie->Build(Down("resolved"), {})).url, HasSubstr("/close?identifierType=alias"));
}

TEST_F(ReceiverTest, WeChatAsksForATokenOnceAndAgainWhenItHasExpired) {
  auto chat = Make("wechat_configs: [{api_url: 'http://w/', api_secret: s, corp_id: c}]");
  net::FetchResponse r;
  r.status = 200;
  r.body = R"({"errcode":0,"access_token":"t1"})";
  EXPECT_THAT(Request(chat->Build(Down(), {})).url, HasSubstr("gettoken?corpid=c&corpsecret=s"));
  EXPECT_TRUE(chat->Judge(Down(), {}, r).more);
  EXPECT_THAT(Request(chat->Build(Down(), {})).url, HasSubstr("access_token=t1"));
  r.body = R"({"errcode":42001})";
  EXPECT_TRUE(chat->Judge(Down(), {}, r).retry);
  EXPECT_THAT(Request(chat->Build(Down(), {})).url, HasSubstr("gettoken"));
}

TEST_F(ReceiverTest, ATemplateThatFailsInAKeyStopsTheMessageButInATextItIsReplaced) {
  auto bad_text = Make("slack_configs: [{api_url: 'http://slack/', channel: c, title: '{{ .Nope }}'}]");
  auto built = bad_text->Build(Down(), {});
  ASSERT_TRUE(built.has_value());
  EXPECT_TRUE(built->replaced.has_value());
  EXPECT_THAT(std::get<net::FetchRequest>(built->message).body, HasSubstr("template failed"));
  auto bad_key = Make("slack_configs: [{api_url: 'http://slack/', channel: '{{ .Nope }}'}]");
  EXPECT_FALSE(bad_key->Build(Down(), {}).has_value());
  auto upstream = Make("slack_configs: [{api_url: 'http://slack/', channel: c, title: '{{ .Nope }}'}]", Compat::Upstream());
  EXPECT_FALSE(upstream->Build(Down(), {}).has_value());
}

// Every kind that is built makes a message of the same notification.
TEST_F(ReceiverTest, EveryKindThatIsBuiltMakesAMessage) {
  const std::map<std::string, std::string> rows = {
      {"webhook", "{url: 'http://x/'}"},
      {"email", "{to: a@b.c, from: d@e.f, smarthost: 'mx:25'}"},
      {"pagerduty", "{routing_key: k, url: 'http://x/'}"},
      {"opsgenie", "{api_key: k}"},
      {"wechat", "{api_secret: s, corp_id: c}"},
      {"slack", "{api_url: 'http://x/', channel: c}"},
      {"victorops", "{api_key: k, routing_key: r}"},
      {"pushover", "{user_key: u, token: t}"},
      {"sns", "{topic_arn: t, sigv4: {region: r, access_key: a, secret_key: s}}"},
      {"telegram", "{bot_token: 't:t', chat_id: 1}"},
      {"discord", "{webhook_url: 'http://x/'}"},
      {"webex", "{room_id: r, http_config: {authorization: {credentials: c}}}"},
      {"msteams", "{webhook_url: 'http://x/'}"},
      {"msteamsv2", "{webhook_url: 'http://x/'}"},
      {"rocketchat", "{token: t, token_id: i, channel: c}"},
      {"mattermost", "{webhook_url: 'http://x/'}"},
      {"jira", "{api_url: 'http://x/', project: P, issue_type: B}"},
      {"incidentio", "{url: 'http://x/', alert_source_token: t}"},
  };
  for (const ReceiverKind& kind : ReceiverKinds()) {
    ASSERT_TRUE(rows.contains(std::string(kind.integration))) << kind.integration;
    auto receiver = Make(std::string(kind.key) + ": [" + rows.at(std::string(kind.integration)) + "]");
    ASSERT_NE(receiver, nullptr) << kind.integration;
    for (const char* status : {"firing", "resolved"}) {
      auto built = receiver->Build(Down(status), {});
      ASSERT_TRUE(built.has_value()) << kind.integration << ": " << built.error().message();
      EXPECT_FALSE(built->replaced.has_value()) << kind.integration << ": " << built->replaced->message();
      if (auto* request = std::get_if<net::FetchRequest>(&built->message);
          request != nullptr && request->headers.Get("Content-Type") == "application/json") {
        EXPECT_THAT(Canonical(request->body), testing::Not(HasSubstr("not JSON"))) << kind.integration;
      }
    }
  }
}

TEST(MimeTest, AddressListsReadAsRfc5322) {
  struct Row {
    std::string text;
    std::vector<std::string> addresses;  // empty: refused
  };
  for (const Row& row : {Row{"a@b.c", {"a@b.c"}},
                         Row{"Ops Team <ops@example.org>, second@example.org", {"ops@example.org", "second@example.org"}},
                         Row{"\"Last, First\" <x@y>", {"x@y"}},
                         Row{"Älarm <a@b>", {"a@b"}},
                         Row{"a@b (comment), c@d", {"a@b", "c@d"}},
                         Row{"", {}}, Row{"nobody", {}}, Row{"a@", {}}, Row{"<a@b", {}}, Row{"a@b c@d", {}}}) {
    auto got = ParseAddressList(row.text);
    EXPECT_EQ(got.has_value(), !row.addresses.empty()) << row.text;
    if (!got) continue;
    std::vector<std::string> addresses;
    for (const MailAddress& a : *got) addresses.push_back(a.address);
    EXPECT_EQ(addresses, row.addresses) << row.text;
  }
}

TEST(MimeTest, HeadersNeverCarryALineBreakThatAUserWrote) {
  EXPECT_EQ(EncodeHeader("plain text"), "plain text");
  EXPECT_EQ(EncodeHeader("a\r\nBcc: x@y"), "=?utf-8?q?a=0D=0ABcc:_x@y?=");
  const std::string folded = EncodeHeader(std::string(200, 'x') + "é");
  for (std::string_view line : base::Split(folded, '\n')) EXPECT_LE(line.size(), 78U);
}

TEST(MimeTest, QuotedPrintableLinesAreShortAndKeepTheText) {
  EXPECT_EQ(QuotedPrintable("a=b\nc \n"), "a=3Db\r\nc=20\r\n");
  EXPECT_EQ(QuotedPrintable("é"), "=C3=A9");
  for (std::string_view line : base::Split(QuotedPrintable(std::string(500, 'y')), '\n')) EXPECT_LE(line.size(), 77U);
}

}  // namespace
}  // namespace tocsin::alertmanager
