// Gathers the facts: alerts that are known now and alerts the journal knows, their routes, groups and
// what the journal says of each.  The sentences are made in explain_text.cc.

#include "alertmanager/explain.h"

#include <algorithm>
#include <map>
#include <set>

#include "alertmanager/journal_search.h"
#include "alertmanager/notification_log.h"
#include "alertmanager/prepared.h"
#include "base/duration.h"

namespace tocsin::alertmanager {
namespace {

constexpr size_t kMaxEvents = 5000;
constexpr base::Duration kLookBack = std::chrono::hours(24);
constexpr base::Duration kMaxLookBack = std::chrono::days(30);

struct Task {
  const Alertmanager* am;
  base::Executor* executor;
  ExplainQuery query;
  std::vector<RuleFact> rules;
  Explanation result;
  std::map<uint64_t, model::AlertPtr> live;
};

bool SpeaksOf(const JournalEntry& e, uint64_t fingerprint) {
  auto is = [fingerprint](const JournalAlertPtr& a) { return a->fingerprint == fingerprint; };
  return (e.alert != nullptr && is(e.alert)) || std::ranges::any_of(e.firing, is) || std::ranges::any_of(e.resolved, is);
}

// Where an integration's last delivery, failure and silence stand.
void NoteDelivery(const JournalEntry& e, RouteFacts* route) {
  if (e.integration.empty()) {
    route->not_sent = e;
    for (IntegrationFacts& i : route->integrations) i.not_sent = e;
    return;
  }
  auto found = std::ranges::find(route->integrations, e.integration, &IntegrationFacts::key);
  if (found == route->integrations.end()) {
    route->integrations.push_back({.key = e.integration});
    found = std::prev(route->integrations.end());
  }
  const bool delivered = e.kind == JournalKind::kRecovered ||
                         (e.kind == JournalKind::kRequest && e.cause == static_cast<uint8_t>(RequestOutcome::kDelivered));
  if (delivered) {
    found->told = e;
    found->failed.reset();
    found->not_sent.reset();
  } else if (e.kind == JournalKind::kNotSent) {
    found->not_sent = e;
  } else if (e.kind != JournalKind::kRequest || e.cause != static_cast<uint8_t>(RequestOutcome::kAccepted)) {
    found->failed = e;
  }
}

void NoteEvent(const JournalEntry& e, AlertExplanation* alert) {
  switch (e.kind) {
    case JournalKind::kReceived: alert->firing = true; break;
    case JournalKind::kResolved: alert->firing = false; break;
    default: {
      auto is = [alert](const JournalAlertPtr& a) { return a->fingerprint == alert->fingerprint; };
      if (std::ranges::any_of(e.firing, is)) alert->firing = true;
      if (std::ranges::any_of(e.resolved, is)) alert->firing = false;
    }
  }
  if (e.group == nullptr) return;
  auto route = std::ranges::find(alert->routes, e.group->key, &RouteFacts::group_key);
  if (route == alert->routes.end()) {
    alert->routes.push_back({.receiver = e.group->receiver,
                             .group_key = e.group->key,
                             .group_wait = e.group->group_wait,
                             .group_interval = e.group->group_interval,
                             .repeat_interval = e.group->repeat_interval});
    route = std::prev(alert->routes.end());
  }
  switch (e.kind) {
    case JournalKind::kGrouped: route->grouped = e; break;
    case JournalKind::kSuppressed: route->suppressed = e; break;
    case JournalKind::kReleased: route->suppressed.reset(); break;
    case JournalKind::kNotSent:
    case JournalKind::kRequest:
    case JournalKind::kUnanswered:
    case JournalKind::kGaveUp:
    case JournalKind::kRecovered: NoteDelivery(e, &*route); break;
    default: break;
  }
}

// The routes an alert takes now, with their clocks.
void AddRoutes(const Alertmanager& am, const std::map<std::string, Alertmanager::GroupClock, std::less<>>& clocks,
               AlertExplanation* alert) {
  if (am.prepared() == nullptr) return;
  for (const Route* route : am.prepared()->root->Match(alert->labels)) {
    const RouteOptions& o = route->options();
    RouteFacts facts{.path = route->key(),
                     .receiver = o.receiver,
                     .group_key = GroupKey(*route, route->GroupLabels(alert->labels)),
                     .group_wait = o.group_wait,
                     .group_interval = o.group_interval,
                     .repeat_interval = o.repeat_interval};
    if (const auto clock = clocks.find(facts.group_key); clock != clocks.end()) {
      facts.next_flush = clock->second.next_flush;
      facts.muted_by = clock->second.muted_by;
    }
    for (const Integration& i : am.prepared()->Integrations(o.receiver)) {
      facts.integrations.push_back({.key = i.key, .send_resolved = i.send_resolved});
    }
    alert->routes.push_back(std::move(facts));
  }
}

// When a flush will repeat what was told: the first tick at which the interval has passed.
void AddRepeats(const Alertmanager& am, AlertExplanation* alert) {
  for (RouteFacts& route : alert->routes) {
    for (IntegrationFacts& i : route.integrations) {
      const NotificationEntry* last = am.LastTold(route.group_key, i.key);
      if (last == nullptr) continue;
      // The group may have been told without this alert.
      const uint64_t hash = AlertHash(alert->labels);
      if (!std::ranges::binary_search(alert->firing ? last->firing : last->resolved, hash)) continue;
      i.log_sent_at = last->sent_at;
      if (route.next_flush == base::Time{} || route.group_interval <= base::Duration{}) continue;
      const base::Time due = last->sent_at + route.repeat_interval;
      i.next_repeat = route.next_flush;
      if (due > i.next_repeat) {
        const auto ticks = (due - i.next_repeat + route.group_interval - base::Duration(1)) / route.group_interval;
        i.next_repeat += ticks * route.group_interval;
      }
    }
  }
}

AlertExplanation* Subject(uint64_t fingerprint, model::LabelsView labels, Task* task) {
  auto& list = task->result.alerts;
  auto found = std::ranges::find(list, fingerprint, &AlertExplanation::fingerprint);
  if (found != list.end()) return &*found;
  if (list.size() >= kMaxExplained) {
    task->result.more_alerts = true;
    return nullptr;
  }
  list.push_back({.labels = model::Labels(labels), .fingerprint = fingerprint});
  return &list.back();
}

void AddPendingOfRules(Task* task) {
  for (const RuleFact& rule : task->rules) {
    for (const RuleAlert& alert : rule.alerts) {
      if (!MatchesAll(task->query.matchers, alert.labels)) continue;
      AlertExplanation* subject = Subject(alert.labels.Fingerprint(), alert.labels, task);
      if (subject != nullptr && !task->live.contains(subject->fingerprint)) subject->starts_at = alert.active_at;
    }
  }
}

// What can be said of rules when the question found no alert of theirs.
void AddGeneral(const JournalPage& page, bool past, Task* task) {
  Explanation& r = task->result;
  for (const JournalEntry& e : page.entries) {
    if (e.kind != JournalKind::kService) continue;
    if (e.cause == static_cast<uint8_t>(ServiceEvent::kStarted)) {
      r.general.push_back("The Alertmanager was started at " + base::FormatRfc3339(std::chrono::floor<std::chrono::seconds>(e.at)) + ".");
    } else if (e.cause == static_cast<uint8_t>(ServiceEvent::kConfigurationRefused)) {
      r.general.push_back("A new configuration was refused at " +
                          base::FormatRfc3339(std::chrono::floor<std::chrono::seconds>(e.at)) + "; the one before stayed in use.");
    }
  }
  if (!r.alerts.empty()) return;
  const std::string asked = MatchersText(task->query.matchers);
  r.general.push_back(past ? "The journal knows of no alert that matches " + asked + " at this time or in the 24 hours before."
                           : "No alert matches " + asked + ": none is known now, and the journal has none of the last 24 hours.");
  size_t told = 0;
  for (const RuleFact& rule : task->rules) {
    const bool named = std::ranges::any_of(task->query.matchers, [&](const Matcher& m) {
      return m.name() == model::kAlertName && m.Matches(rule.name);
    });
    if (named && told++ < kMaxExplained) r.general.push_back(RuleSentence(rule, r.at));
  }
  if (told == 0 && task->query.rules != nullptr && !past) {
    r.general.push_back("No alerting rule of this server has such a name; alerts may also come from other senders.");
  }
  if (!task->am->journal().on()) r.general.push_back("No journal is kept (--journal.retention=0), so nothing older can be told.");
}

void Finish(JournalPage page, Task* task) {
  const Alertmanager& am = *task->am;
  Explanation& r = task->result;
  const bool past = task->query.at.has_value();
  for (const auto& [fingerprint, alert] : task->live) {
    AlertExplanation* subject = Subject(fingerprint, alert->labels, task);
    if (subject == nullptr) break;
    subject->annotations = alert->annotations;
    subject->starts_at = alert->starts_at;
  }
  for (const JournalEntry& e : page.entries) {
    if (e.alert == nullptr || !MatchesAll(task->query.matchers, e.alert->labels)) continue;
    AlertExplanation* subject = Subject(e.alert->fingerprint, e.alert->labels, task);
    if (subject == nullptr) break;
    if (task->live.contains(subject->fingerprint)) continue;
    subject->annotations = e.alert->annotations;
    subject->starts_at = e.alert->starts_at;
  }
  if (!past) AddPendingOfRules(task);
  const auto clocks = past ? decltype(am.GroupClocks()){} : am.GroupClocks();
  for (AlertExplanation& alert : r.alerts) {
    if (!past && task->live.contains(alert.fingerprint)) AddRoutes(am, clocks, &alert);
    for (const JournalEntry& e : page.entries) {
      if (SpeaksOf(e, alert.fingerprint)) NoteEvent(e, &alert);
    }
    if (!past) {
      if (const auto live = task->live.find(alert.fingerprint); live != task->live.end()) {
        alert.firing = !live->second->ResolvedAt(r.at);
        alert.status = am.StatusOf(*live->second);
        // Routes of an earlier configuration are past.
        std::erase_if(alert.routes, [](const RouteFacts& route) { return route.path.empty(); });
      } else {
        alert.firing = false;
      }
      AddRepeats(am, &alert);
    }
    WriteSentences(am, task->rules, r.at, past, &alert);
  }
  AddGeneral(page, past, task);
  r.events = std::move(page.entries);
}

}  // namespace

void Explain(const Alertmanager* am, base::Executor* executor, ExplainQuery query,
             std::move_only_function<void(base::Result<Explanation>)> done) {
  auto task = std::make_shared<Task>(Task{.am = am, .executor = executor, .query = std::move(query)});
  const base::Time now = executor->Now();
  const base::Time at = task->query.at.value_or(now);
  task->result.at = at;
  base::Time from = at - kLookBack;
  if (!task->query.at) {
    if (task->query.rules) task->rules = task->query.rules();
    for (const model::AlertPtr& alert : am->Known(task->query.matchers, kMaxExplained)) {
      task->live.emplace(alert->fingerprint(), alert);
      from = std::min(from, std::max(alert->starts_at - std::chrono::minutes(5), at - kMaxLookBack));
    }
  }
  am->journal().FlushSoon();
  SearchJournal(am->store(),
                {.matchers = task->query.matchers, .service = true, .from = from, .to = at + base::Duration(1), .limit = kMaxEvents},
                [task, done = std::move(done)](base::Result<JournalPage> page) mutable {
                  if (!page) return done(std::unexpected(page.error()));
                  Finish(std::move(*page), task.get());
                  done(std::move(task->result));
                });
}

}  // namespace tocsin::alertmanager
