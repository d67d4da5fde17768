#include "templates/template.h"

#include <gtest/gtest.h>

#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"
#include "templates/notification_data.h"
#include "templates/rule_functions.h"

namespace tocsin::templates {
namespace {

const base::Time kNow = base::FromUnixMillis(1'700'000'000'000);

TemplateSet NewSet() { return TemplateSet(AlertmanagerFunctions([] { return kNow; })); }

NotificationData Sample() {
  NotificationData d;
  d.receiver = "team";
  d.status = "firing";
  d.group_labels = {{"alertname", "Down"}};
  d.common_labels = {{"alertname", "Down"}, {"job", "api"}};
  d.common_annotations = {{"summary", "<b> & co"}};
  d.external_url = "http://am";
  for (const char* instance : {"a:1", "b:1"}) {
    d.alerts.push_back({.status = "firing",
                        .labels = {{"alertname", "Down"}, {"instance", instance}, {"job", "api"}},
                        .annotations = {{"summary", "<b> & co"}},
                        .starts_at = GoTime::FromUnix(1'600'000'000, 0),
                        .ends_at = {},
                        .generator_url = "http://p/graph",
                        .fingerprint = "0011223344556677"});
  }
  d.alerts[1].status = "resolved";
  return d;
}

struct Row {
  const char* text;
  const char* output;  // or the end of the error
};

TEST(TemplateTest, TheLanguageRendersAsInGo) {
  const Row rows[] = {
      {"a{{/* note */}}b {{- \"c\" -}} d", "abcd"},
      {"{{ if eq .Status \"x\" }}1{{ else if gt (len .Alerts) 1 }}2{{ else }}3{{ end }}", "2"},
      {"{{ with .Nothing }}x{{ else }}y{{ end }}", "!can't evaluate field Nothing in type template.Data"},
      {"{{ with .CommonLabels.none }}x{{ else with .Status }}{{ . }}{{ end }}", "firing"},
      {"{{ range $i, $a := .Alerts }}{{ $i }}{{ $a.Labels.instance }},{{ end }}", "0a:1,1b:1,"},
      {"{{ range 3 }}{{ . }}{{ end }}", "012"},
      {"{{ range .Alerts }}{{ if eq .Status \"resolved\" }}{{ break }}{{ end }}x{{ end }}", "x"},
      {"{{ $x := 1 }}{{ range 3 }}{{ $x = . }}{{ end }}{{ $x }}", "2"},
      {"{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" 1 }}{{ block \"u\" 2 }}[{{ . }}]{{ end }}", "<1>[2]"},
      {"{{ printf \"%05.1f|%-4d|%q|%x|%v\" 3.14159 7 \"a\\\"b\" \"hi\" (stringSlice \"a\" \"b\") }}", "003.1|7   |\"a\\\"b\"|6869|[a b]"},
      {"{{ 1e6 }} {{ 0x1F }} {{ 'a' }} {{ 1.5 }} {{ 1_000 }}", "1e+06 31 97 1.5 1000"},
      {"{{ and 0 (index .Alerts 99) }}{{ or 1 (index .Alerts 99) }}", "01"},
      {"{{ len \"\u2603\" }} {{ index \"abc\" 1 }} {{ slice \"abcd\" 1 3 }}", "3 98 bc"},
      {"{{ js \"it's <b>\" }} {{ html \"<&\" }} {{ urlquery \"a b\" }}", "it\\'s \\u003Cb\\u003E &lt;&amp; a+b"},
      {"{{ .CommonLabels }} {{ .CommonLabels.SortedPairs.Values | join \"-\" }}", "alertname=Down, job=api Down-api"},
      {"{{ (index .Alerts 0).StartsAt.Format \"2006-01-02\" }} {{ (index .Alerts 0).StartsAt.Unix }}", "2020-09-13 1600000000"},
      {"{{ ((index .Alerts 0).StartsAt.Add 3600000000000).UTC }}", "2020-09-13 13:26:40 +0000 UTC"},
      {"{{ now.Unix }} {{ since (index .Alerts 0).StartsAt | humanizeDuration }}", "1700000000 1157d 9h 46m 40s"},
      {"{{ toDate \"2006-01-02 15:04\" \"2024-02-29 10:11\" | tz \"Europe/Paris\" }}", "2024-02-29 11:11:00 +0100 CET"},
      {"{{ dict \"a\" (list 1 2.5 \"x\" nil) | toJson }}", "{\"a\":[1,2.5,\"x\",null]}"},
      {"{{ lt 1 \"a\" }}", "!error calling lt: incompatible types for comparison"},
      {"{{ template \"none\" }}", "!template \"none\" not defined"},
      {"{{ toUpper 1 }}", "!executing \"\" at <1>: expected string; found 1"},
  };
  for (const Row& row : rows) {
    const auto out = NewSet().ExecuteText(row.text, MakeNotificationValue(Sample()));
    if (row.output[0] == '!') {
      ASSERT_FALSE(out) << row.text << " gave " << *out;
      EXPECT_TRUE(out.error().message().ends_with(row.output + 1)) << row.text << ": " << out.error().message();
    } else {
      ASSERT_TRUE(out) << row.text << ": " << out.error().message();
      EXPECT_EQ(*out, row.output) << row.text;
    }
  }
}

TEST(TemplateTest, ErrorsOfATextNameItsLine) {
  const Row rows[] = {
      {"{{ if }}", "template: f:1: missing value for if"},
      {"x\n{{ nofunc }}", "template: f:2: function \"nofunc\" not defined"},
      {"{{ range .A }}", "template: f:1: unexpected EOF"},
      {"{{ \"a }}", "template: f:1: unterminated quoted string"},
      {"{{ end }}", "template: f:1: unexpected {{end}}"},
      {"{{\n.A\n", "template: f:3: unclosed action started at f:1"},
      {"{{ $x }}", "template: f:1: undefined variable \"$x\""},
      {"{{ break }}", "template: f:1: {{break}} outside {{range}}"},
      {"{{ define \"a\" }}1{{ end }}{{ define \"a\" }}2{{ end }}", "template: f:1: template: multiple definition of template \"a\""},
  };
  for (const Row& row : rows) {
    TemplateSet set = NewSet();
    const base::Status status = set.Parse("f", row.text);
    ASSERT_FALSE(status) << row.text;
    EXPECT_EQ(status.error().message(), row.output);
    EXPECT_FALSE(set.Lookup("f")) << "an unparsable text must not be kept";
  }
}

TEST(TemplateTest, EveryPrefixOfATemplateParsesOrFailsCleanly) {
  const std::string text =
      "{{- define \"t\" -}}{{ range $i, $a := .Alerts }}{{ if and (gt $i 0) .Status }}{{ printf \"%d %q\" $i 'x' }}"
      "{{ else if false }}{{ break }}{{ end }}{{ end }}{{ end }}{{ template \"t\" . }}{{/* c */}}{{ 1i }}{{ 0x1p-2 }}`raw`";
  for (size_t n = 0; n <= text.size(); ++n) {
    base::Ignore(NewSet().ExecuteText(text.substr(0, n), MakeNotificationValue(Sample())));
    std::string flipped = text;
    if (n < text.size()) flipped[n] = static_cast<char>(flipped[n] ^ 0x15);
    base::Ignore(NewSet().ExecuteText(flipped, MakeNotificationValue(Sample())));
  }
}

TEST(TemplateTest, HostileTemplatesEndWithAnError) {
  const char* rows[] = {
      "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}",
      "{{ define \"r\" }}{{ range 10 }}{{ template \"r\" . }}{{ end }}{{ end }}{{ template \"r\" . }}",
      "{{ range 1000000000 }}x{{ end }}",
      "{{ range 10000 }}{{ printf \"%1000000d\" 1 }}{{ end }}",
      "{{ $x := \"xxxxxxxxxxxxxxxx\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}",
      "{{ $l := list 1 }}{{ range 100 }}{{ $l = list $l $l }}{{ end }}{{ $l }}",
  };
  for (const char* text : rows) {
    const auto out = NewSet().ExecuteText(text, MakeNotificationValue(Sample()), {.limits = {.max_steps = 100'000}});
    ASSERT_FALSE(out) << text;
    EXPECT_EQ(out.error().code(), base::Code::kResourceExhausted) << text << ": " << out.error().message();
  }
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "{{ if 1 }}";
  EXPECT_FALSE(NewSet().ExecuteText(deep, {}));
  EXPECT_FALSE(NewSet().ExecuteText("{{ " + std::string(100'000, '(') + " }}", {}));
}

TEST(TemplateTest, DefaultTemplatesRenderTheDocumentedTexts) {
  TemplateSet set = NewSet();
  const base::Status added = AddDefaultTemplates(&set);
  ASSERT_TRUE(added) << added.error().message();
  NotificationData one = Sample();
  one.alerts.resize(1);
  one.group_labels = {{"alertname", "Down"}};
  one.common_labels = {{"alertname", "Down"}, {"instance", "h1:9100"}, {"severity", "page"}};
  one.receiver = "ops";
  one.external_url = "http://p:9090";
  const Value data = MakeNotificationValue(one);
  auto render = [&](const char* name) { return set.Execute(name, data).value_or("(failed)"); };
  EXPECT_EQ(render("slack.default.title"), "[FIRING:1] Down (h1:9100 page)");
  EXPECT_EQ(render("slack.default.fallback"), "[FIRING:1] Down (h1:9100 page) | http://p:9090/#/alerts?receiver=ops");
  EXPECT_EQ(render("slack.default.color"), "danger");
  EXPECT_EQ(render("slack.default.text"), "");
  EXPECT_EQ(render("jira.default.priority"), "");
  one.group_labels.clear();
  one.common_labels.clear();
  EXPECT_EQ(set.Execute("__subject", MakeNotificationValue(one)).value_or(""), "[FIRING:1]  ");
  const auto html = set.Execute("email.default.html", data, {.mode = Mode::kHtml});
  ASSERT_TRUE(html) << html.error().message();
  EXPECT_NE(html->find("summary = &lt;b&gt; &amp; co"), std::string::npos) << *html;
  EXPECT_NE(html->find("<a href=\"http://p/graph\""), std::string::npos) << *html;
}

TEST(TemplateTest, HtmlActionsAreEscapedForWhereTheyStand) {
  const Row rows[] = {
      {"<p>{{ \"<b>\" }}</p>", "<p>&lt;b&gt;</p>"},
      {"<a href=\"{{ \"javascript:x()\" }}\">", "<a href=\"#ZgotmplZ\">"},
      {"<a href=\"/q?a={{ \"b c&d\" }}\">", "<a href=\"/q?a=b%20c%26d\">"},
      {"<p title={{ \"a b\" }}>", "<p title=a&#32;b>"},
      {"<script>f({{ \"</script>\" }}, {{ 3 }})</script>", "<script>f(\"\\u003c/script\\u003e\",  3 )</script>"},
      {"<script>var s = '{{ \"it's\" }}'; // {{ 1 }}\n</script>", "<script>var s = 'it\\u0027s'; \n</script>"},
      {"<p style=\"color: {{ \"red; x: expression(1)\" }}\">", "<p style=\"color: ZgotmplZ\">"},
      {"<style>a { background: url({{ \"http://x/(y)\" }}) }</style>", "<style>a { background: url(http://x/%28y%29) }</style>"},
      {"<img srcset=\"{{ \"a.png 2x, javascript:b\" }}\">", "<img srcset=\"a.png 2x,#ZgotmplZ\">"},
      {"<!-- {{ 1 }} -->{{ safeHtml \"<i>\" }}", "<i>"},
      {"{{ define \"u\" }}{{ . }}{{ end }}<a href=\"{{ template \"u\" \"javascript:1\" }}\">{{ template \"u\" \"<\" }}</a>",
       "<a href=\"#ZgotmplZ\">&lt;</a>"},
      {"<ul>{{ range list 1 2 }}<li>{{ . }}</li>{{ if eq . 1 }}{{ continue }}{{ end }}x{{ end }}</ul>",
       "<ul><li>1</li><li>2</li>x</ul>"},
      {"{{ define \"r\" }}{{ if . }}<b>{{ template \"r\" (slice . 1) }}</b>{{ end }}{{ end }}{{ template \"r\" \"ab\" }}",
       "<b><b></b></b>"},
      {"<a href='{{ if 1 }}x{{ else }}'{{ end }}>", "!}"},
      {"<p title=\"{{ 1 }}", "!ends in a non-text context: {stateAttr delimDoubleQuote urlPartNone jsCtxRegexp attrNone elementNone <nil>}"},
  };
  for (const Row& row : rows) {
    const auto out = NewSet().ExecuteText(row.text, {}, {.mode = Mode::kHtml});
    if (row.output[0] == '!') {
      ASSERT_FALSE(out) << row.text << " gave " << *out;
      EXPECT_TRUE(out.error().message().ends_with(row.output + 1)) << row.text << ": " << out.error().message();
    } else {
      ASSERT_TRUE(out) << row.text << ": " << out.error().message();
      EXPECT_EQ(*out, row.output) << row.text;
    }
  }
}

TEST(TemplateTest, EveryPrefixOfAPageIsPlannedOrRefused) {
  const std::string page =
      "<!DOCTYPE html><p class=x title='{{ . }}' onclick=\"f({{ . }})\">a < b<br/><!-- c --><style>a{b:url(\"{{ . }}\")}/*x*/"
      "</style><script type=\"text/javascript\">var a = /[/]{{ . }}/g; `${ {{ . }} }`; a++ / 2</script><textarea>{{ . }}</textarea>";
  for (size_t n = 0; n <= page.size(); ++n) {
    base::Ignore(NewSet().ExecuteText(page.substr(0, n), Value::String("x"), {.mode = Mode::kHtml}));
    std::string flipped = page;
    if (n < page.size()) flipped[n] = static_cast<char>(flipped[n] ^ 0x1b);
    base::Ignore(NewSet().ExecuteText(flipped, Value::String("x"), {.mode = Mode::kHtml}));
  }
}

TEST(TemplateTest, UsersDefinitionsReplaceDefaults) {
  TemplateSet set = NewSet();
  ASSERT_TRUE(AddDefaultTemplates(&set));
  ASSERT_TRUE(set.Parse("mine", "{{ define \"__subject\" }}S{{ end }}{{ define \"slack.default.text\" }}T{{ end }}"));
  EXPECT_EQ(set.Execute("slack.default.title", {}).value_or(""), "S");
  EXPECT_EQ(set.Execute("slack.default.text", {}).value_or(""), "T");
}

TEST(TemplateTest, RuleTemplatesSeeLabelsAndValue) {
  const model::Labels labels = model::Labels::FromPairs({{"instance", "h1"}});
  const model::Labels external = model::Labels::FromPairs({{"region", "eu"}});
  const Value data = AlertTemplateData(labels, external, "http://p", 0.25, nullptr);
  RuleTemplateContext context{.query = {}, .now_ms = 60'000, .external_url = "http://p"};
  const std::string text = std::string(RuleTemplateDefinitions()) +
                           "{{ $labels.instance }}{{ $labels.none }} {{ $value | humanizePercentage }} "
                           "{{ $externalLabels.region }} {{ .ExternalURL }} {{ now }}";
  EXPECT_EQ(ExpandRuleTemplate("t", text, data, context).value_or(""), "h1 25% eu http://p 60");
  EXPECT_TRUE(CheckRuleTemplate("t", "{{ $labels.a }}{{ query \"up\" | first | value }}"));
  const base::Status bad = CheckRuleTemplate("t", "{{ $lables.a }}");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message(), "error parsing template t: template: t:1: undefined variable \"$lables\"");
}

}  // namespace
}  // namespace tocsin::templates
