// Gathers the facts: alerts that are known now and alerts the journal knows, their routes, groups and
// what the journal says of each.  The sentences are made in explain_text.cc.
//
//   1. loop: alerts that are known   2. the journal's events   3. worker: Gather()
//   4. loop: LookUp()                5. worker: Write()

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

// Made on the loop, lent to a worker for each step.
struct Task {
  const Alertmanager* am;
  base::Executor* executor;
  ExplainQuery query;
  ExplainScene scene{};
  bool journal_on = true;
  JournalPage page{};
  Explanation result{};
  std::map<uint64_t, model::AlertPtr> live{};
  std::move_only_function<void(base::Result<Explanation>)> done{};
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

// The route that a group of the journal belongs to: that of its key, receiver and timers.  Timers that are
// not known, or that a reload has changed since, do not tell routes apart.
RouteFacts* RouteOf(const JournalGroup& g, AlertExplanation* alert) {
  auto timers_known = [](const auto& x) { return x.group_interval != base::Duration{}; };
  RouteFacts* same_name = nullptr;
  for (RouteFacts& route : alert->routes) {
    if (route.group_key != g.key || route.receiver != g.receiver) continue;
    if (route.group_wait == g.group_wait && route.group_interval == g.group_interval && route.repeat_interval == g.repeat_interval) return &route;
    if (same_name == nullptr && (route.route != nullptr || !timers_known(route) || !timers_known(g))) same_name = &route;
  }
  if (same_name != nullptr) return same_name;
  alert->routes.push_back({.receiver = g.receiver,
                           .group_key = g.key,
                           .group_wait = g.group_wait,
                           .group_interval = g.group_interval,
                           .repeat_interval = g.repeat_interval});
  return &alert->routes.back();
}

// `changed`: when the alert itself began or ended last, as far as the events before tell.
void NoteEvent(const JournalEntry& e, base::Time* changed, AlertExplanation* alert) {
  if (e.kind == JournalKind::kReceived || e.kind == JournalKind::kResolved) {
    alert->firing = e.kind == JournalKind::kReceived;
    *changed = e.at;
  } else if (e.tick >= *changed) {
    // A message tells of its alerts as they were at its tick.  Tried again, it is written after changes that it
    // knows nothing of.
    auto is = [alert](const JournalAlertPtr& a) { return a->fingerprint == alert->fingerprint; };
    if (std::ranges::any_of(e.firing, is)) alert->firing = true;
    if (std::ranges::any_of(e.resolved, is)) alert->firing = false;
  }
  if (e.group == nullptr) return;
  RouteFacts* const route = RouteOf(*e.group, alert);
  switch (e.kind) {
    case JournalKind::kGrouped: route->grouped = e; break;
    case JournalKind::kSuppressed: route->suppressed = e; break;
    case JournalKind::kReleased: route->suppressed.reset(); break;
    case JournalKind::kNotSent:
    case JournalKind::kRequest:
    case JournalKind::kUnanswered:
    case JournalKind::kGaveUp:
    case JournalKind::kRecovered: NoteDelivery(e, route); break;
    default: break;
  }
}

// The routes an alert takes now.
void AddRoutes(const PreparedPtr& prepared, AlertExplanation* alert) {
  if (prepared == nullptr) return;
  for (const Route* route : prepared->root->Match(alert->labels)) {
    const RouteOptions& o = route->options();
    RouteFacts facts{.route = route,
                     .path = route->key(),
                     .receiver = o.receiver,
                     .group_key = GroupKey(*route, route->GroupLabels(alert->labels)),
                     .group_wait = o.group_wait,
                     .group_interval = o.group_interval,
                     .repeat_interval = o.repeat_interval};
    for (const Integration& i : prepared->Integrations(o.receiver)) {
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
  for (const RuleFact& rule : task->scene.rules) {
    for (const RuleAlert& alert : rule.alerts) {
      if (!MatchesAll(task->query.matchers, alert.labels)) continue;
      AlertExplanation* subject = Subject(alert.labels.Fingerprint(), alert.labels, task);
      if (subject != nullptr && !task->live.contains(subject->fingerprint)) subject->starts_at = alert.active_at;
    }
  }
}

// What can be said of rules when the question found no alert of theirs.
void AddGeneral(Task* task) {
  Explanation& r = task->result;
  const bool past = task->scene.past;
  for (const JournalEntry& e : task->page.entries) {
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
  for (const RuleFact& rule : task->scene.rules) {
    const bool named = std::ranges::any_of(task->query.matchers, [&](const Matcher& m) {
      return m.name() == model::kAlertName && m.Matches(rule.name);
    });
    if (named && told++ < kMaxExplained) r.general.push_back(RuleSentence(rule, r.at));
  }
  if (told == 0 && task->query.rules != nullptr && !past) {
    r.general.push_back("No alerting rule of this server has such a name; alerts may also come from other senders.");
  }
  if (!task->journal_on) r.general.push_back("No journal is kept (--journal.retention=0), so nothing older can be told.");
}

// On a worker: whom the answer is about, and what the journal says of each.
void Gather(Task* task) {
  for (const auto& [fingerprint, alert] : task->live) {
    AlertExplanation* subject = Subject(fingerprint, alert->labels, task);
    if (subject == nullptr) break;
    subject->annotations = alert->annotations;
    subject->starts_at = alert->starts_at;
  }
  auto take = [task](const JournalAlertPtr& alert) {
    if (alert == nullptr || task->live.contains(alert->fingerprint) || !MatchesAll(task->query.matchers, alert->labels)) return;
    AlertExplanation* subject = Subject(alert->fingerprint, alert->labels, task);
    if (subject == nullptr) return;
    subject->annotations = alert->annotations;
    subject->starts_at = alert->starts_at;
  };
  for (const JournalEntry& e : task->page.entries) {
    take(e.alert);
    for (const JournalAlertPtr& alert : e.firing) take(alert);
    for (const JournalAlertPtr& alert : e.resolved) take(alert);
  }
  if (!task->scene.past) AddPendingOfRules(task);
  for (AlertExplanation& alert : task->result.alerts) {
    if (task->live.contains(alert.fingerprint)) AddRoutes(task->scene.prepared, &alert);
    base::Time changed{};
    for (const JournalEntry& e : task->page.entries) {
      if (SpeaksOf(e, alert.fingerprint)) NoteEvent(e, &changed, &alert);
    }
  }
}

// On the loop: what is so now.
void LookUp(Task* task) {
  const Alertmanager& am = *task->am;
  ExplainScene& scene = task->scene;
  auto speak_of_silences = [&](const std::vector<std::string>& ids) {
    for (const std::string& id : ids) {
      if (SilencePtr silence = am.silences().Find(id)) scene.silences.emplace(id, std::move(silence));
    }
  };
  auto speak_of_source = [&](const std::vector<std::string>& fingerprints) {
    if (fingerprints.empty()) return;
    const uint64_t fingerprint = FingerprintOf(fingerprints.front());
    if (model::AlertPtr source = am.FindAlert(fingerprint)) scene.sources.emplace(fingerprint, std::move(source));
  };
  for (AlertExplanation& alert : task->result.alerts) {
    const auto live = task->live.find(alert.fingerprint);
    if (live != task->live.end()) {
      alert.firing = !live->second->ResolvedAt(scene.at);
      alert.status = am.StatusOf(*live->second);
      speak_of_source(alert.status.inhibited_by);
      // Routes of an earlier configuration are past.
      std::erase_if(alert.routes, [](const RouteFacts& route) { return route.route == nullptr; });
    } else if (!scene.past) {
      alert.firing = false;
    }
    for (RouteFacts& route : alert.routes) {
      if (route.route != nullptr && am.prepared() == scene.prepared) {
        if (const auto clock = am.ClockOf(*route.route, alert.labels)) {
          route.next_flush = clock->next_flush;
          route.muted_by = clock->muted_by;
        }
      }
      if (!scene.past) route.silenced_by = am.silences().Muting(alert.labels, scene.at, route.receiver);
      speak_of_silences(route.silenced_by);
      if (!route.suppressed) continue;
      const auto cause = static_cast<SuppressCause>(route.suppressed->cause);
      if (cause == SuppressCause::kSilence) speak_of_silences(route.suppressed->by);
      if (cause == SuppressCause::kInhibition) speak_of_source(route.suppressed->by);
    }
    if (!scene.past) AddRepeats(am, &alert);
  }
}

// On a worker.
void Write(Task* task) {
  for (AlertExplanation& alert : task->result.alerts) WriteSentences(task->scene, &alert);
  AddGeneral(task);
  task->result.events = std::move(task->page.entries);
}

using TaskPtr = std::shared_ptr<Task>;

void WithPage(TaskPtr task, base::Result<JournalPage> page) {
  if (!page) return task->done(std::unexpected(page.error()));
  task->page = std::move(*page);
  base::Executor* const executor = task->executor;
  executor->Offload(base::Lane::kQueries, [task] { Gather(task.get()); }, [task, executor] {
    LookUp(task.get());
    executor->Offload(base::Lane::kQueries, [task] { Write(task.get()); }, [task] { task->done(std::move(task->result)); });
  });
}

void ReadJournal(TaskPtr task, std::vector<model::AlertPtr> live) {
  const base::Time at = task->scene.at;
  base::Time from = at - kLookBack;
  for (model::AlertPtr& alert : live) {
    from = std::min(from, std::max(alert->starts_at - std::chrono::minutes(5), at - kMaxLookBack));
    const uint64_t fingerprint = alert->fingerprint();
    task->live.emplace(fingerprint, std::move(alert));
  }
  task->am->journal().FlushSoon();
  SearchJournal(task->am->store(),
                {.matchers = task->query.matchers, .service = true, .from = from, .to = at + base::Duration(1), .limit = kMaxEvents},
                [task](base::Result<JournalPage> page) { WithPage(task, std::move(page)); });
}

}  // namespace

void Explain(const Alertmanager* am, base::Executor* executor, ExplainQuery query,
             std::move_only_function<void(base::Result<Explanation>)> done) {
  auto task = std::make_shared<Task>(Task{.am = am, .executor = executor, .query = std::move(query), .done = std::move(done)});
  ExplainScene& scene = task->scene;
  scene.past = task->query.at.has_value();
  scene.at = task->query.at.value_or(executor->Now());
  scene.prepared = am->prepared();
  task->result.at = scene.at;
  task->journal_on = am->journal().on();
  if (scene.past) return ReadJournal(std::move(task), {});
  if (task->query.rules) scene.rules = task->query.rules();
  am->FindKnown(task->query.matchers, kMaxExplained,
                [task](std::vector<model::AlertPtr> live) { ReadJournal(task, std::move(live)); });
}

}  // namespace tocsin::alertmanager
