#include "api/alertmanager/insight_json.h"

#include <map>
#include <set>

#include "api/http/json.h"
#include "base/duration.h"

namespace tocsin::api {
namespace {

using alertmanager::JournalAlertPtr;
using alertmanager::JournalEntry;
using alertmanager::JournalKind;

void TimeMember(std::string_view key, base::Time t, JsonWriter* json) {
  if (t == base::Time{}) return;
  json->Member(key, base::FormatRfc3339Millis(t));
}

void TextMember(std::string_view key, std::string_view text, JsonWriter* json) {
  if (!text.empty()) json->Member(key, text);
}

void SpanMember(std::string_view key, base::Duration d, JsonWriter* json) {
  if (d != base::Duration{}) json->Member(key, base::ToSeconds(d));
}

void WriteRequest(const alertmanager::RenderedRequest& r, JsonWriter* json) {
  json->BeginObject();
  json->Member("method", r.method);
  json->Member("url", r.url);
  json->Key("headers");
  json->BeginObject();
  for (const auto& [name, value] : r.headers) json->Member(name, value);
  json->EndObject();
  json->Member("body", r.body);
  json->EndObject();
}

void WriteFingerprints(std::string_view key, const std::vector<JournalAlertPtr>& alerts, JsonWriter* json) {
  if (alerts.empty()) return;
  json->Key(key);
  json->BeginArray();
  for (const JournalAlertPtr& a : alerts) json->String(alertmanager::FingerprintText(a->fingerprint));
  json->EndArray();
}

void WriteEntry(const JournalEntry& e, JsonWriter* json) {
  json->BeginObject();
  json->Member("at", base::FormatRfc3339Millis(e.at));
  json->Member("kind", alertmanager::JournalKindName(e.kind));
  TextMember(e.kind == JournalKind::kRequest ? "outcome" : "cause", alertmanager::JournalCauseName(e), json);
  if (e.alert != nullptr) json->Member("fingerprint", alertmanager::FingerprintText(e.alert->fingerprint));
  if (e.group != nullptr) {
    json->Member("group", e.group->key);
    json->Member("receiver", e.group->receiver);
  }
  TextMember("integration", e.integration, json);
  if (e.kind == JournalKind::kSilence) {
    constexpr std::string_view kFields[] = {"silence", "matchers", "createdBy"};
    for (size_t i = 0; i < e.by.size() && i < std::size(kFields); ++i) json->Member(kFields[i], e.by[i]);
    TextMember("comment", e.text, json);
    TimeMember("startsAt", e.tick, json);
    TimeMember("endsAt", e.due, json);
    json->EndObject();
    return;
  }
  if (!e.by.empty()) json->MemberList("by", e.by);
  TimeMember("flush", e.tick, json);
  const std::string_view due = e.kind == JournalKind::kGrouped ? "nextFlush" : e.kind == JournalKind::kResolved ? "endsAt" : "nextRepeat";
  TimeMember(due, e.due, json);
  if (e.attempt > 0) json->Member("attempt", e.attempt);
  if (e.step > 0) json->Member("step", e.step);
  if (e.status > 0) json->Member("status", e.status);
  SpanMember("durationSeconds", e.duration, json);
  SpanMember("nextAttemptSeconds", e.wait, json);
  TextMember("reason", e.reason, json);
  TextMember("text", e.text, json);
  WriteFingerprints("firing", e.firing, json);
  WriteFingerprints("resolved", e.resolved, json);
  json->EndObject();
}

// {"<fingerprint>": {"labels": ..., "annotations": ..., "startsAt": ...}} of all alerts that are named.
void WriteAlertTable(const std::vector<JournalEntry>& entries, JsonWriter* json) {
  std::map<uint64_t, JournalAlertPtr> alerts;
  auto add = [&](const JournalAlertPtr& a) {
    if (a != nullptr) alerts[a->fingerprint] = a;
  };
  for (const JournalEntry& e : entries) {
    add(e.alert);
    for (const JournalAlertPtr& a : e.firing) add(a);
    for (const JournalAlertPtr& a : e.resolved) add(a);
  }
  json->BeginObject();
  for (const auto& [fingerprint, alert] : alerts) {
    json->Key(alertmanager::FingerprintText(fingerprint));
    json->BeginObject();
    json->Member("labels", alert->labels.view());
    json->Member("annotations", alert->annotations.view());
    TimeMember("startsAt", alert->starts_at, json);
    TextMember("generatorURL", alert->generator_url, json);
    json->EndObject();
  }
  json->EndObject();
}

void WriteEntries(const std::vector<JournalEntry>& entries, JsonWriter* json) {
  json->Key("events");
  json->BeginArray();
  for (const JournalEntry& e : entries) WriteEntry(e, json);
  json->EndArray();
  json->Key("alerts");
  WriteAlertTable(entries, json);
}

void WriteIntegration(const alertmanager::IntegrationFacts& i, JsonWriter* json) {
  json->BeginObject();
  json->Member("integration", i.key);
  json->Member("sendResolved", i.send_resolved);
  TimeMember("lastSent", i.log_sent_at, json);
  TimeMember("nextRepeat", i.next_repeat, json);
  for (const auto& [key, entry] : {std::pair("lastDelivery", &i.told), std::pair("lastFailure", &i.failed), std::pair("lastNotSent", &i.not_sent)}) {
    if (!*entry) continue;
    json->Key(key);
    WriteEntry(**entry, json);
  }
  json->EndObject();
}

void WriteTimers(base::Duration wait, base::Duration interval, base::Duration repeat, JsonWriter* json) {
  json->Member("groupWait", base::FormatDuration(wait));
  json->Member("groupInterval", base::FormatDuration(interval));
  json->Member("repeatInterval", base::FormatDuration(repeat));
}

}  // namespace

void WriteJournal(const alertmanager::JournalPage& page, std::string* out) {
  JsonWriter json(out);
  json.BeginObject();
  WriteEntries(page.entries, &json);
  json.Member("more", page.more);
  if (page.damaged > 0) json.Member("damagedParts", static_cast<int64_t>(page.damaged));
  json.EndObject();
}

void WriteExplanation(const alertmanager::Explanation& e, std::string* out) {
  JsonWriter json(out);
  json.BeginObject();
  json.Member("at", base::FormatRfc3339Millis(e.at));
  json.Member("text", e.Text());
  json.Key("alerts");
  json.BeginArray();
  for (const alertmanager::AlertExplanation& a : e.alerts) {
    json.BeginObject();
    json.Member("labels", a.labels.view());
    json.Member("annotations", a.annotations.view());
    json.Member("fingerprint", alertmanager::FingerprintText(a.fingerprint));
    json.Member("firing", a.firing);
    TimeMember("startsAt", a.starts_at, &json);
    json.Member("verdict", alertmanager::VerdictName(a.verdict));
    json.Member("summary", a.summary);
    json.MemberList("sentences", a.sentences);
    json.Key("routes");
    json.BeginArray();
    for (const alertmanager::RouteFacts& r : a.routes) {
      json.BeginObject();
      TextMember("route", r.path, &json);
      json.Member("receiver", r.receiver);
      json.Member("group", r.group_key);
      WriteTimers(r.group_wait, r.group_interval, r.repeat_interval, &json);
      TimeMember("nextFlush", r.next_flush, &json);
      if (!r.muted_by.empty()) json.MemberList("mutedBy", r.muted_by);
      json.Key("integrations");
      json.BeginArray();
      for (const alertmanager::IntegrationFacts& i : r.integrations) WriteIntegration(i, &json);
      json.EndArray();
      json.EndObject();
    }
    json.EndArray();
    json.MemberList("silencedBy", a.status.silenced_by);
    json.MemberList("inhibitedBy", a.status.inhibited_by);
    json.EndObject();
  }
  json.EndArray();
  json.MemberList("general", e.general);
  json.Key("journal");
  json.BeginObject();
  WriteEntries(e.events, &json);
  json.EndObject();
  json.EndObject();
}

void WritePreview(const std::vector<alertmanager::RoutePreview>& routes, std::string* out) {
  JsonWriter json(out);
  json.BeginArray();
  for (const alertmanager::RoutePreview& r : routes) {
    json.BeginObject();
    json.Member("route", r.path);
    json.Member("receiver", r.receiver);
    json.Member("group", r.group_key);
    json.Member("groupLabels", r.group_labels.view());
    WriteTimers(r.group_wait, r.group_interval, r.repeat_interval, &json);
    json.MemberList("mutedBy", r.muted_by);
    json.Key("alerts");
    json.BeginArray();
    for (size_t i = 0; i < r.alerts.size(); ++i) {
      json.BeginObject();
      json.Member("labels", r.alerts[i]->labels.view());
      json.Member("fingerprint", alertmanager::FingerprintText(r.alerts[i]->fingerprint()));
      json.Member("firing", r.alerts[i]->ends_at == base::Time{});
      json.MemberList("silencedBy", r.statuses[i].silenced_by);
      json.MemberList("inhibitedBy", r.statuses[i].inhibited_by);
      json.EndObject();
    }
    json.EndArray();
    json.Key("messages");
    json.BeginArray();
    for (const alertmanager::RenderedMessage& m : r.messages) {
      json.BeginObject();
      json.Member("integration", m.integration);
      TextMember("error", m.error, &json);
      TextMember("replaced", m.replaced, &json);
      if (m.nothing) json.Member("nothing", "only ended alerts, and send_resolved is false");
      if (!m.request.method.empty()) {
        json.Key("request");
        WriteRequest(m.request, &json);
      }
      json.EndObject();
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
}

void WriteReceiverTest(const std::string& receiver, const std::vector<alertmanager::IntegrationTest>& tests, std::string* out) {
  JsonWriter json(out);
  json.BeginObject();
  json.Member("receiver", receiver);
  bool ok = true;
  for (const alertmanager::IntegrationTest& t : tests) ok = ok && t.ok;
  json.Member("ok", ok);
  json.Key("integrations");
  json.BeginArray();
  for (const alertmanager::IntegrationTest& t : tests) {
    json.BeginObject();
    json.Member("integration", t.integration);
    json.Member("ok", t.ok);
    if (!t.ok) json.Member("wouldRetry", t.retry);
    TextMember("error", t.error, &json);
    TextMember("replaced", t.replaced, &json);
    json.Key("requests");
    json.BeginArray();
    for (const alertmanager::TestedRequest& r : t.requests) {
      json.BeginObject();
      json.Key("request");
      WriteRequest(r.request, &json);
      if (r.status > 0) json.Member("status", r.status);
      json.Member("answer", r.answer);
      TextMember("error", r.error, &json);
      json.Member("durationSeconds", base::ToSeconds(r.duration));
      json.EndObject();
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

}  // namespace tocsin::api
