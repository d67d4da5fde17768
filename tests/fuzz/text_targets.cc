// Texts that people write, in files, requests and pages: expressions, series, matchers, templates, YAML.

#include "alertmanager/matchers.h"
#include "base/check.h"
#include "base/yaml.h"
#include "promql/parse/parser.h"
#include "promql/parse/printer.h"
#include "promql/parse/series_notation.h"
#include "target.h"
#include "templates/alertmanager_functions.h"
#include "templates/defaults.h"
#include "templates/notification_data.h"

namespace tocsin::fuzz {
namespace {

constexpr size_t kMaxTextBytes = 64 << 10;  // longer ones take time and find nothing else

// What is printed of a tree is read as the same tree.
void RunPromql(const std::string& input) {
  if (input.size() > kMaxTextBytes) return;
  const promql::ParseOptions everything{.experimental_functions = true, .extended_range_selectors = true, .binop_fill_modifiers = true};
  const auto expr = promql::ParseAll(input, everything);
  if (!expr) {
    TOCSIN_CHECK(!expr.error().errors.empty());
    TOCSIN_CHECK(!expr.error().First(input).empty() && !expr.error().Explain(input).empty());
    for (const promql::ParseError& e : expr.error().errors) {
      TOCSIN_CHECK(e.pos.start >= 0 && e.pos.start <= e.pos.end && static_cast<size_t>(e.pos.end) <= input.size() + 1) << e.message;
    }
  } else {
    const std::string printed = promql::Print(**expr);
    const auto again = promql::Parse(printed, everything);
    TOCSIN_CHECK(again.has_value()) << printed << ": " << again.error().message();
    TOCSIN_CHECK(promql::Print(**again) == printed) << printed;
    const auto pretty = promql::Parse(promql::Prettify(**expr), everything);
    TOCSIN_CHECK(pretty.has_value()) << promql::Prettify(**expr) << ": " << pretty.error().message();
    TOCSIN_CHECK(promql::Print(**pretty) == printed) << printed;
  }
  base::Ignore(promql::ParseMetricSelector(input));  // an error is an answer
}

void RunSeries(const std::string& input) {
  constexpr size_t kWanted = 1000;
  const auto series = promql::ParseSeriesDescription(input, kWanted);
  TOCSIN_CHECK(!series || series->values.size() <= kWanted);
  base::Ignore(promql::ParseMetric(input));  // errors are answers
  if (input.size() < 100) base::Ignore(promql::ParseStartOffsets(input));
}

// What is printed of matchers is read as the same matchers, which match the same.
void RunMatchers(const std::string& input) {
  using alertmanager::MatcherMode;
  for (const MatcherMode mode : {MatcherMode::kUtf8, MatcherMode::kClassic, MatcherMode::kFallback}) {
    std::vector<alertmanager::MatcherWarning> warnings;
    const auto matchers = alertmanager::ParseMatchers(input, mode, &warnings);
    const auto one = alertmanager::ParseMatcher(input, mode, &warnings);
    // In the classic grammar one matcher's value may look like further ones.
    TOCSIN_CHECK(!one || (matchers && matchers->size() == 1) || mode != MatcherMode::kUtf8);
    if (!matchers) continue;
    const std::string printed = alertmanager::MatchersText(*matchers);
    const auto again = alertmanager::ParseMatchers(printed, MatcherMode::kUtf8);
    TOCSIN_CHECK(again.has_value()) << printed << ": " << again.error().message();
    TOCSIN_CHECK(*again == *matchers) << printed << " is read as " << alertmanager::MatchersText(*again);
    for (const alertmanager::Matcher& m : *matchers) {
      for (const std::string& value : m.set_matches()) TOCSIN_CHECK(m.op() == model::MatchOp::kNotRegex || m.Matches(value)) << m.ToString() << " and " << value;
    }
  }
}

templates::Value Notification() {
  templates::NotificationData d;
  d.receiver = "team";
  d.status = "firing";
  d.group_labels = {{"alertname", "Down"}};
  d.common_labels = d.group_labels;
  d.common_annotations = {{"summary", "<b> & \"co\""}};
  d.external_url = "http://am";
  for (const char* instance : {"a:1", "b:1"}) {
    d.alerts.push_back({.status = "firing", .labels = {{"alertname", "Down"}, {"instance", instance}}, .annotations = d.common_annotations,
                        .starts_at = templates::GoTime::FromUnix(1'600'000'000, 0), .ends_at = {}, .generator_url = "http://p/graph", .fingerprint = "00"});
  }
  return templates::MakeNotificationValue(d);
}

// The limits hold, in plain text and in HTML.
void RunTemplate(const std::string& input) {
  if (input.size() > kMaxTextBytes) return;
  static const templates::Value data = Notification();
  static const templates::TemplateSet set = [] {
    templates::TemplateSet defaults(templates::AlertmanagerFunctions([] { return base::FromUnixMillis(1'700'000'000'000); }));
    TOCSIN_CHECK(templates::AddDefaultTemplates(&defaults).has_value());
    return defaults;
  }();
  constexpr size_t kMaxOutput = 1 << 20;
  for (const templates::Mode mode : {templates::Mode::kText, templates::Mode::kHtml}) {
    const auto out = set.ExecuteText(input, data,
                                     {.mode = mode, .limits = {.max_steps = 20'000, .max_output = kMaxOutput, .max_allocated = 4 << 20, .max_depth = 100}});
    TOCSIN_CHECK(out ? out->size() <= kMaxOutput : !out.error().message().empty());
  }
}

// Whatever is read can be asked and emitted.
void RunYaml(const std::string& input) {
  if (input.size() > kMaxTextBytes) return;
  const auto doc = base::yaml::Parse(input, "f");
  if (!doc) return;
  base::yaml::Errors errors("f");
  base::yaml::Reader reader(doc->root(), &errors);
  std::string text;
  base::Duration duration{};
  std::vector<std::string> list;
  reader.String("name", &text);
  reader.Duration("interval", &duration);
  reader.Strings("list", &list);
  reader.Finish();
  for (const auto& item : errors.Sorted()) TOCSIN_CHECK(item.position.line >= 0 && !item.text.empty());
  base::Ignore(base::yaml::Parse(base::yaml::Emit(doc->root()), "f"));  // a tree of aliases may be longer than what is read
}

}  // namespace

std::vector<Target> TextTargets() {
  const auto seeds = [](std::vector<std::string> texts) { return [texts = std::move(texts)] { return texts; }; };
  return {
      {.name = "promql",
       .seeds = seeds({"sum by (g) (rate(x_total{a=\"b\",c!~\"d.*\"}[5m] offset -1m)) / on (i) group_left (g) y @ 300.5 > bool 1",
                       "histogram_quantile(0.9, sum without (le) (rate(b_bucket[2m]))) or -vector(1e3) ^ 2 and ignoring (a) {\"x.y\", a='\\n'}",
                       "max_over_time(rate(x[1m])[5m:30s] @ end()) unless topk(2, y) + 0x1F * Inf % NaN # comment\n",
                       "y + on (i) fill_left (0) x{i=`1`} + sum_over_time(y[2m + 30s] anchored) atan2 limitk(2, y)"}),
       .run = RunPromql},
      {.name = "series",
       .seeds = seeds({"up{job=\"a\"} 1+2x3 _ stale NaN -3x2 _x4 0x1F+0x3", "h {{schema:3 sum:5 count:4 buckets:[1 2 1] offset:-1 z_bucket:2 n_buckets:[1 1]}}x5",
                       "h {{count:1}}+{{count:2 counter_reset_hint:gauge}}x3", "name@st -1m 0s _ 15s+5sx3"}),
       .run = RunSeries},
      {.name = "alertmanager_matchers",
       .seeds = seeds({R"({team="db",severity=~"page|warn", "a b"!~"c.*"})", R"(foo=bar)", R"(foo="a\nb\"c")", R"({foo=bar baz, x!=""})", R"(a={b},c="d)"}),
       .run = RunMatchers},
      {.name = "templates",
       .rounds = 1000,
       .seeds = seeds({"{{ range $i, $a := .Alerts }}{{ if eq .Status \"firing\" }}{{ .Labels.instance | toUpper }}{{ else }}{{ break }}{{ end }}{{ end }}",
                       "{{ define \"t\" }}<a href=\"{{ . }}\" onclick='f({{ . }})'>{{ end }}{{ template \"t\" .ExternalURL }}{{- /* c */ -}}",
                       "{{ with $x := printf \"%05.1f|%q\" 3.14 `a` }}{{ $x }}{{ end }}{{ template \"slack.default.title\" . }}",
                       "{{ (index .Alerts 0).StartsAt.Format \"2006-01-02\" }}{{ .CommonLabels.SortedPairs.Values | join \"-\" | reReplaceAll \"(.)o\" \"$1\" }}"}),
       .run = RunTemplate},
      {.name = "yaml",
       .seeds = seeds({"name: a\ninterval: 1m\nlist: [x, 'y', \"z\\n\"]\nmap: {a: &x 1, b: *x, <<: {c: d}}\ntext: |\n  line\n  two\n",
                       "- a: >-\n    folded\n    text\n  b: !!str 1\n- ~\n- {}\n---\nmore: yes\n"}),
       .run = RunYaml},
  };
}

}  // namespace tocsin::fuzz
