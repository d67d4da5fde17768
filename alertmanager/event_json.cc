#include "alertmanager/event_json.h"

#include <fmt/format.h>

#include "alertmanager/journal.h"
#include "alertmanager/matchers.h"
#include "alertmanager/notification_log.h"
#include "alertmanager/receiver.h"
#include "base/duration.h"

namespace tocsin::alertmanager {
namespace {

// 64-bit integers are texts in protobuf's JSON, and zeros and empty texts are left out.
void AppendNumber(std::string_view key, uint64_t number, JsonObject* o) {
  if (number != 0) o->Text(key, std::to_string(number));
}

void AppendTime(std::string_view key, base::Time t, JsonObject* o) {
  if (t != base::Time{}) o->Text(key, base::FormatRfc3339(t));
}

void AppendLabels(model::LabelsView labels, std::string* out) {
  JsonObject set(out);
  if (!labels.empty()) {
    *set.Key("labels") += '[';
    for (const auto [name, value] : labels) {
      if (out->back() != '[') *out += ',';
      JsonObject pair(out);
      pair.TextIfAny("key", name);
      pair.TextIfAny("value", value);
      pair.Close();
    }
    *out += ']';
  }
  set.Close();
}

void AppendAlert(const JournalAlert& a, base::Time ends_at, std::string* out) {
  JsonObject o(out);
  AppendNumber("fingerprint", a.fingerprint, &o);
  o.TextIfAny("name", a.labels.Get("alertname"));
  AppendLabels(a.labels, o.Key("labels"));
  AppendLabels(a.annotations, o.Key("annotations"));
  AppendTime("startsAt", a.starts_at, &o);
  AppendTime("endsAt", ends_at, &o);
  if (ends_at != base::Time{}) o.Flag("resolved", true);
  o.Close();
}

enum class Details { kYes, kNo };
void AppendGrouped(const JournalAlert& a, base::Time ends_at, Details details, std::string* out) {
  JsonObject o(out);
  AppendNumber("hash", AlertHash(a.labels), &o);
  if (details == Details::kYes) AppendAlert(a, ends_at, o.Key("details"));
  o.Close();
}

void AppendMuted(const JournalAlert& a, std::string* out) {
  JsonObject o(out);
  AppendLabels(a.labels, o.Key("labels"));
  AppendNumber("fingerprint", a.fingerprint, &o);
  o.Close();
}

void AppendGroup(const JournalGroup& g, std::string* out) {
  JsonObject o(out);
  o.TextIfAny("groupKey", g.key);
  o.Text("groupId", HashOfKey(g.key));
  o.TextIfAny("receiverName", g.receiver);
  o.Close();
}

void AppendMatchers(const Matchers& matchers, std::string* out) {
  *out += '[';
  for (const Matcher& m : matchers) {
    if (out->back() != '[') *out += ',';
    JsonObject o(out);
    constexpr std::pair<MatchOp, std::string_view> kTypes[] = {{MatchOp::kEqual, "TYPE_EQUAL"},
                                                               {MatchOp::kRegex, "TYPE_REGEXP"},
                                                               {MatchOp::kNotEqual, "TYPE_NOT_EQUAL"},
                                                               {MatchOp::kNotRegex, "TYPE_NOT_REGEXP"}};
    for (const auto& [op, type] : kTypes) {
      if (op == m.op()) o.Text("type", type);
    }
    o.TextIfAny("name", m.name());
    o.TextIfAny("pattern", m.value());
    o.Text("rendered", m.ToString());
    o.Close();
  }
  *out += ']';
}

// The sets of MatcherSetsText(); none if the journal has cut the text, or a value looks like what stands between.
std::vector<Matchers> ReadSets(std::string_view text) {
  constexpr std::string_view kBetween = "} or {";
  std::vector<Matchers> sets;
  while (true) {
    const size_t end = text.find(kBetween);
    auto set = ParseMatchers(text.substr(0, end == std::string_view::npos ? end : end + 1));
    if (!set) return {};
    sets.push_back(std::move(*set));
    if (end == std::string_view::npos) return sets;
    text.remove_prefix(end + kBetween.size() - 1);
  }
}

void AppendSilence(const JournalEntry& e, std::string* out) {
  JsonObject o(out);
  o.TextIfAny("id", e.by[0]);
  const std::vector<Matchers> sets = ReadSets(e.by[1]);
  if (!sets.empty()) AppendMatchers(sets.front(), o.Key("matchers"));
  AppendTime("startsAt", e.tick, &o);
  AppendTime("endsAt", e.due, &o);
  AppendTime("updatedAt", e.at, &o);
  o.TextIfAny("createdBy", e.by[2]);
  o.TextIfAny("comment", e.text);
  if (!sets.empty()) {
    *o.Key("matcherSets") += '[';
    for (const Matchers& set : sets) {
      if (out->back() != '[') *out += ',';
      JsonObject one(out);
      AppendMatchers(set, one.Key("matchers"));
      one.Close();
    }
    *out += ']';
  }
  o.Close();
}

std::string_view ReasonName(std::string_view reason) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"first notification", "NOTIFY_REASON_FIRST_NOTIFICATION"},
      {"new alerts added", "NOTIFY_REASON_NEW_ALERTS_IN_GROUP"},
      {"some alerts resolved", "NOTIFY_REASON_NEW_RESOLVED_ALERTS"},
      {"all alerts resolved", "NOTIFY_REASON_ALL_ALERTS_RESOLVED"},
      {"repeat interval elapsed", "NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED"}};
  for (const auto& [text, name] : kNames) {
    if (reason.starts_with(text)) return name;  // more may follow, after a crash
  }
  return {};
}

// "team/a/slack/0": slack, 0.
void AppendIntegration(std::string_view key, std::string* out) {
  JsonObject o(out);
  const size_t last = key.rfind('/');
  if (last != std::string_view::npos) {
    const std::string_view before = key.substr(0, last);
    o.TextIfAny("name", before.substr(before.rfind('/') + 1));
    if (key.substr(last + 1) != "0") o.TextIfAny("index", key.substr(last + 1));
  }
  o.Close();
}

void AppendNotification(const JournalEntry& e, JsonObject* o) {
  auto append = [&](std::string_view key, const std::vector<std::pair<const std::vector<JournalAlertPtr>*, base::Time>>& lists, Details details) {
    std::string* const out = o->Key(key);
    *out += '[';
    for (const auto& [alerts, ends_at] : lists) {
      for (const JournalAlertPtr& a : *alerts) {
        if (out->back() != '[') *out += ',';
        AppendGrouped(*a, ends_at, details, out);
      }
    }
    *out += ']';
  };
  append("alerts", {{&e.firing, {}}, {&e.resolved, e.tick}}, Details::kYes);
  if (!e.firing.empty()) append("firingAlerts", {{&e.firing, {}}}, Details::kNo);
  if (!e.resolved.empty()) append("resolvedAlerts", {{&e.resolved, {}}}, Details::kNo);
  AppendGroup(*e.group, o->Key("groupInfo"));
  o->Text("repeatInterval", fmt::format("{}s", base::ToSeconds(e.group->repeat_interval)));
  o->TextIfAny("reason", ReasonName(e.reason));
  AppendIntegration(e.integration, o->Key("integration"));
}

}  // namespace

void AppendEvents(const JournalEntry& e, std::string_view instance, std::vector<RecordedEvent>* out) {
  // `append` writes the object of the event's own.
  auto add = [&](std::string_view type, std::string_view key, auto append) {
    RecordedEvent event{.type = type, .json = {}};
    JsonObject o(&event.json);
    AppendTime("@timestamp", e.at, &o);
    o.TextIfAny("instance", instance);
    JsonObject data(o.Key("data"));
    JsonObject own(data.Key(key));
    append(own);
    own.Close();
    data.Close();
    o.Close();
    out->push_back(std::move(event));
  };
  switch (e.kind) {
    case JournalKind::kService:
      if (e.cause == static_cast<uint8_t>(ServiceEvent::kStarted)) {
        add("alertmanager_startup_event", "alertmanagerStartupEvent", [&](JsonObject& o) { o.TextIfAny("version", e.text); });
      } else if (e.cause == static_cast<uint8_t>(ServiceEvent::kStopping)) {
        add("alertmanager_shutdown_event", "alertmanagerShutdownEvent", [](JsonObject&) {});
      }
      break;
    case JournalKind::kReceived:
      if (e.alert == nullptr || e.cause != 0) break;  // one that comes again is not new
      add("alert_created", "alertCreated", [&](JsonObject& o) { AppendAlert(*e.alert, {}, o.Key("alert")); });
      break;
    case JournalKind::kResolved:
      if (e.alert == nullptr) break;
      add("alert_resolved", "alertResolved", [&](JsonObject& o) { AppendGrouped(*e.alert, e.due, Details::kYes, o.Key("alert")); });
      break;
    case JournalKind::kGrouped:
      if (e.alert == nullptr || e.group == nullptr) break;
      add("alert_grouped", "alertGrouped", [&](JsonObject& o) {
        AppendGrouped(*e.alert, {}, Details::kYes, o.Key("alert"));
        AppendGroup(*e.group, o.Key("groupInfo"));
      });
      break;
    case JournalKind::kRequest:
      if (e.group == nullptr || e.cause != static_cast<uint8_t>(RequestOutcome::kDelivered)) break;
      add("notification", "notification", [&](JsonObject& o) { AppendNotification(e, &o); });
      break;
    case JournalKind::kSuppressed:
      if (e.alert == nullptr) break;
      if (e.cause == static_cast<uint8_t>(SuppressCause::kSilence)) {
        for (const std::string& id : e.by) {
          add("silence_muted_alert", "silenceMutedAlert", [&](JsonObject& o) {
            JsonObject silence(o.Key("silence"));
            silence.Text("id", id);
            silence.Close();
            AppendMuted(*e.alert, o.Key("mutedAlert"));
          });
        }
      } else if (e.cause == static_cast<uint8_t>(SuppressCause::kInhibition) && !e.by.empty()) {
        add("inhibition_muted_alert", "inhibitionMutedAlert", [&](JsonObject& o) {
          AppendMuted(*e.alert, o.Key("mutedAlert"));
          *o.Key("inhibitingFingerprints") += fmt::format("[\"{}\"]", FingerprintOf(e.by.front()));
        });
      }
      break;
    case JournalKind::kSilence: {
      if (e.by.size() < 3) break;
      const bool created = e.cause == static_cast<uint8_t>(SilenceChange::kCreated);
      add(created ? "silence_created" : "silence_updated", created ? "silenceCreated" : "silenceUpdated",
          [&](JsonObject& o) { AppendSilence(e, o.Key("silence")); });
      break;
    }
    default: break;
  }
}

}  // namespace tocsin::alertmanager
