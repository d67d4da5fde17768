#include "templates/defaults.h"

#include <string>

namespace tocsin::templates {

namespace {

// The parts that receivers' templates are made of.
constexpr std::string_view kParts = R"({{- define "__alertmanager" }}Alertmanager{{ end -}}
{{- define "__alertmanagerURL" }}{{ printf "%s/#/alerts?receiver=%s" .ExternalURL (urlquery .Receiver) }}{{ end -}}
{{- define "__description" }}{{ end -}}

{{- define "__subject" -}}
[{{ toUpper .Status }}{{ if eq .Status "firing" }}{{ .Alerts.Firing | len | printf ":%d" }}{{ end }}] {{ join " " .GroupLabels.SortedPairs.Values }} {{ if lt (len .GroupLabels) (len .CommonLabels) }}({{ join " " (.CommonLabels.Remove .GroupLabels.Names).Values }}){{ end }}
{{- end -}}

{{- define "__pair_lines" }}{{ range . }}{{ printf " - %s = %s\n" .Name .Value }}{{ end }}{{ end -}}
{{- define "__text_alert_list" }}
{{- range . -}}
Labels:
{{ template "__pair_lines" .Labels.SortedPairs }}Annotations:
{{ template "__pair_lines" .Annotations.SortedPairs }}Source: {{ .GeneratorURL }}
{{ end }}
{{- end -}}

{{- define "__text_alert_list_markdown" }}
{{- range . }}
Labels:
{{ range .Labels.SortedPairs }}{{ printf "  - %s = %s\n" .Name .Value }}{{ end }}
Annotations:
{{ range .Annotations.SortedPairs }}{{ printf "  - %s = %s\n" .Name .Value }}{{ end }}
Source: {{ .GeneratorURL }}
{{ end }}{{ "\n" }}
{{- end -}}

{{- define "__annotation_values" }}{{ join " " .CommonAnnotations.SortedPairs.Values }}{{ end -}}

{{- /* Blank lines stand around each part whether or not it is there: receivers' messages have always looked so. */ -}}
{{- define "__sections" }}
{{ with .Alerts.Firing }}
Alerts Firing:
{{ template "__text_alert_list" . }}
{{ end }}
{{ with .Alerts.Resolved }}
Alerts Resolved:
{{ template "__text_alert_list" . }}
{{ end }}
{{ end -}}
{{- define "__sections_markdown" }}
{{ with .Alerts.Firing }}
# Alerts Firing:
{{ template "__text_alert_list_markdown" . }}
{{ end }}
{{ with .Alerts.Resolved }}
# Alerts Resolved:
{{ template "__text_alert_list_markdown" . }}
{{ end }}
{{ end -}}
{{- define "__sections_tight" }}{{ template "__annotation_values" . }}{{ "\n" }}
{{- with .Alerts.Firing }}{{ "Alerts Firing:\n" }}{{ template "__text_alert_list" . }}{{ end }}{{ "\n" }}
{{- with .Alerts.Resolved }}{{ "Alerts Resolved:\n" }}{{ template "__text_alert_list" . }}{{ end }}
{{- end -}}

{{- define "__color" }}{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}{{ end -}}

{{- /* The most severe of a list, in Jira's words; nothing when no alert has a known severity. */ -}}
{{- define "__jira_priority" }}
{{- $rank := 0 }}
{{- range . }}
{{- $own := 0 }}
{{- if eq .Labels.severity "critical" }}{{ $own = 3 }}{{ end }}
{{- if eq .Labels.severity "warning" }}{{ $own = 2 }}{{ end }}
{{- if eq .Labels.severity "info" }}{{ $own = 1 }}{{ end }}
{{- if gt $own $rank }}{{ $rank = $own }}{{ end }}
{{- end }}
{{- if $rank }}{{ index (stringSlice "" "Low" "Medium" "High") $rank }}{{ end }}
{{- end -}}
{{- define "jira.default.priority" }}
{{- $known := false }}
{{- range .Alerts.Firing }}{{ if match "^(critical|warning|info)$" .Labels.severity }}{{ $known = true }}{{ end }}{{ end }}
{{- if $known }}{{ template "__jira_priority" .Alerts.Firing }}{{ else }}{{ template "__jira_priority" .Alerts.Resolved }}{{ end }}
{{- end -}}
)";

// The public names and what each is made of.
struct Row {
  std::string_view name;
  std::string_view body;
};

constexpr std::string_view kEmpty = "";
constexpr std::string_view kSubject = R"({{ template "__subject" . }})";
constexpr std::string_view kName = R"({{ template "__alertmanager" . }})";
constexpr std::string_view kUrl = R"({{ template "__alertmanagerURL" . }})";
constexpr std::string_view kColor = R"({{ template "__color" . }})";
constexpr std::string_view kSections = R"({{ template "__sections" . }})";
constexpr std::string_view kMarkdown = R"({{ template "__sections_markdown" . }})";
constexpr std::string_view kTight = R"({{ template "__sections_tight" . }})";
constexpr std::string_view kValuesAndSections = R"({{ template "__annotation_values" . }}{{ template "__sections" . }})";

constexpr Row kRows[] = {
    {"slack.default.title", kSubject},
    {"slack.default.username", kName},
    {"slack.default.fallback", R"({{ template "slack.default.title" . }} | {{ template "slack.default.titlelink" . }})"},
    {"slack.default.callbackid", kEmpty},
    {"slack.default.pretext", kEmpty},
    {"slack.default.titlelink", kUrl},
    {"slack.default.iconemoji", kEmpty},
    {"slack.default.iconurl", kEmpty},
    {"slack.default.text", kEmpty},
    {"slack.default.footer", kEmpty},
    {"slack.default.color", kColor},
    {"pagerduty.default.description", kSubject},
    {"pagerduty.default.client", kName},
    {"pagerduty.default.clientURL", kUrl},
    {"pagerduty.default.instances", R"({{ template "__text_alert_list" . }})"},
    {"opsgenie.default.message", kSubject},
    {"opsgenie.default.description", kTight},
    {"opsgenie.default.source", kUrl},
    {"wechat.default.message",
     R"({{ template "__subject" . }}{{ "\n" }}{{ template "__sections_tight" . }}{{ "\nAlertmanagerUrl:\n" }}{{ template "__alertmanagerURL" . }})"},
    {"wechat.default.to_user", kEmpty},
    {"wechat.default.to_party", kEmpty},
    {"wechat.default.to_tag", kEmpty},
    {"wechat.default.agent_id", kEmpty},
    {"victorops.default.state_message", kTight},
    {"victorops.default.entity_display_name", kSubject},
    {"victorops.default.monitoring_tool", kName},
    {"pushover.default.title", kSubject},
    {"pushover.default.message", kValuesAndSections},
    {"pushover.default.url", kUrl},
    {"sns.default.subject", kSubject},
    {"sns.default.message", kValuesAndSections},
    {"telegram.default.message", kSections},
    {"discord.default.content", kEmpty},
    {"discord.default.title", kSubject},
    {"discord.default.message", kSections},
    {"webex.default.message", kValuesAndSections},
    {"msteams.default.summary", kSubject},
    {"msteams.default.title", kSubject},
    {"msteams.default.text", kMarkdown},
    {"msteamsv2.default.title", kSubject},
    {"msteamsv2.default.text", kMarkdown},
    {"jira.default.summary", kSubject},
    {"jira.default.description", kMarkdown},
    {"rocketchat.default.title", kSubject},
    {"rocketchat.default.alias", kName},
    {"rocketchat.default.titlelink", kUrl},
    {"rocketchat.default.emoji", kEmpty},
    {"rocketchat.default.iconurl", kEmpty},
    {"rocketchat.default.text", kEmpty},
    {"mattermost.default.color", kColor},
    {"mattermost.default.username", kName},
    {"mattermost.default.title", kSubject},
    {"mattermost.default.titlelink", kUrl},
    {"mattermost.default.fallback",
     R"({{ template "mattermost.default.title" . }} | {{ template "mattermost.default.titlelink" . }})"},
    {"mattermost.default.text", kMarkdown},
    {"email.default.subject", kSubject},
};

constexpr std::string_view kEmail = R"({{- define "__email_alerts" }}
{{- range . }}
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:0 0 16px;border:1px solid #d9dde3;border-radius:6px">
<tr><td style="padding:12px 16px">
<p style="margin:0 0 4px;font-weight:bold">Labels</p>
{{- range .Labels.SortedPairs }}
<div>{{ .Name }} = {{ .Value }}</div>
{{- end }}
{{- if .Annotations }}
<p style="margin:12px 0 4px;font-weight:bold">Annotations</p>
{{- range .Annotations.SortedPairs }}
<div style="white-space:pre-line">{{ .Name }} = {{ .Value }}</div>
{{- end }}
{{- end }}
{{- if .GeneratorURL }}
<p style="margin:12px 0 0"><a href="{{ .GeneratorURL }}" style="color:#1f5fbf">Source</a></p>
{{- end }}
</td></tr>
</table>
{{- end }}
{{- end }}

{{- define "email.default.html" -}}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ template "__subject" . }}</title>
</head>
<body style="margin:0;padding:24px;background:#f2f4f7;color:#1b2430;font:14px/1.5 Arial,Helvetica,sans-serif">
<table role="presentation" align="center" width="100%" cellpadding="0" cellspacing="0" style="max-width:640px;margin:0 auto;background:#ffffff;border-radius:8px">
{{- if .Alerts.Firing }}
<tr><td style="padding:16px 20px;background:#b3261e;color:#ffffff;border-radius:8px 8px 0 0;font-size:16px">
{{- else }}
<tr><td style="padding:16px 20px;background:#1e7a3c;color:#ffffff;border-radius:8px 8px 0 0;font-size:16px">
{{- end }}
{{ len .Alerts }} alert{{ if ne (len .Alerts) 1 }}s{{ end }} for
{{- range .GroupLabels.SortedPairs }} {{ .Name }}={{ .Value }}{{ end }}
</td></tr>
<tr><td style="padding:20px">
<p style="margin:0 0 20px"><a href="{{ template "__alertmanagerURL" . }}" style="display:inline-block;padding:8px 16px;background:#1f5fbf;color:#ffffff;border-radius:4px;text-decoration:none">View in {{ template "__alertmanager" . }}</a></p>
{{- with .Alerts.Firing }}
<h2 style="margin:0 0 8px;font-size:15px">[{{ len . }}] Firing</h2>
{{- template "__email_alerts" . }}
{{- end }}
{{- with .Alerts.Resolved }}
<h2 style="margin:0 0 8px;font-size:15px">[{{ len . }}] Resolved</h2>
{{- template "__email_alerts" . }}
{{- end }}
<p style="margin:8px 0 0;text-align:center;font-size:12px"><a href="{{ .ExternalURL }}" style="color:#6b7480">Sent by {{ template "__alertmanager" . }}</a></p>
</td></tr>
</table>
</body>
</html>
{{ end -}}
)";

std::string Assemble() {
  std::string text(kParts);
  for (const Row& row : kRows) {
    text += "{{ define \"" + std::string(row.name) + "\" }}" + std::string(row.body) + "{{ end }}";
  }
  return text;
}

}  // namespace

std::string_view DefaultTemplates() {
  static const std::string text = Assemble();
  return text;
}

std::string_view DefaultEmailTemplate() { return kEmail; }

base::Status AddDefaultTemplates(TemplateSet* set) {
  RETURN_IF_ERROR(set->Parse("default.tmpl", DefaultTemplates()));
  return set->Parse("email.tmpl", DefaultEmailTemplate());
}

}  // namespace tocsin::templates
