#include <fmt/format.h>

#include <algorithm>

#include "alertmanager/explain.h"
#include "alertmanager/prepared.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::alertmanager {
namespace {

// 2026-11-20T13:00:30Z (12m ago)
std::string When(base::Time t, base::Time at) {
  const auto second = std::chrono::floor<std::chrono::seconds>(t);
  const auto away = std::chrono::round<std::chrono::seconds>(t - at);
  std::string relative = "now";
  if (away.count() > 0) relative = "in " + base::FormatDuration(away);
  if (away.count() < 0) relative = base::FormatDuration(-away) + " ago";
  return base::FormatRfc3339(second) + " (" + relative + ")";
}

std::string Clock(base::Time t) { return base::FormatRfc3339(std::chrono::floor<std::chrono::seconds>(t)); }

std::string Span(base::Duration d) {
  if (d < std::chrono::seconds(1)) return fmt::format("{} ms", std::chrono::round<std::chrono::milliseconds>(d).count());
  return base::FormatDuration(std::chrono::round<std::chrono::seconds>(d));
}

// Of the journal's time zone-less text: HTTP 429, "slow down".
std::string AnswerText(const JournalEntry& e) {
  std::string text = e.status != 0 ? fmt::format("answered {}", e.status) : "";
  if (!e.text.empty()) text += (text.empty() ? "failed: " : ": ") + e.text;
  return text.empty() ? "accepted it" : text;
}

std::string SilenceText(const ExplainScene& scene, const std::string& id) {
  std::string text = "silence " + id;
  const auto known = scene.silences.find(id);
  if (known == scene.silences.end()) return text;
  const SilencePtr& silence = known->second;
  text += fmt::format(" {} of {}", MatcherSetsText(silence->matcher_sets), silence->created_by.empty() ? "an unnamed creator" : silence->created_by);
  if (!silence->comment.empty()) text += " (\"" + silence->comment + "\")";
  if (!silence->receivers.empty()) text += " for receiver " + base::Join(silence->receivers, ", ") + " only";
  if (!silence->schedule.empty()) text += ", recurring (" + silence->schedule + ")";
  return text + fmt::format(", {} {}", silence->ends_at > scene.at ? "until" : "ended", When(silence->ends_at, scene.at));
}

std::string SilencesText(const ExplainScene& scene, const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "" : " and ") + SilenceText(scene, id);
  return text;
}

std::string SourceText(const ExplainScene& scene, model::LabelsView target, const std::string& fingerprint) {
  const auto known = scene.sources.find(FingerprintOf(fingerprint));
  if (known == scene.sources.end()) return "the alert with fingerprint " + fingerprint;
  const model::AlertPtr& source = known->second;
  std::string text = AlertTitle(source->labels);
  if (scene.prepared == nullptr) return text;
  const auto& rules = scene.prepared->config->inhibit_rules;
  for (size_t i = 0; i < rules.size(); ++i) {
    const InhibitRuleConfig& rule = rules[i];
    const bool equal = std::ranges::all_of(rule.equal, [&](const std::string& name) {
      return target.Get(name) == source->labels.Get(name);
    });
    if (!equal || !MatchesAll(rule.AllSource(), source->labels) || !MatchesAll(rule.AllTarget(), target)) continue;
    text += fmt::format(", by inhibition rule {} ({} mutes {}", rule.name.empty() ? fmt::format("#{}", i + 1) : base::Quote(rule.name),
                        MatchersText(rule.AllSource()), MatchersText(rule.AllTarget()));
    if (!rule.equal.empty()) text += " where " + base::Join(rule.equal, ", ") + (rule.equal.size() > 1 ? " are equal" : " is equal");
    return text + ")";
  }
  return text;
}

// When the named intervals next say otherwise, looked for minute by minute; kZeroTime: not within 8 days.
base::Time NextChange(const Prepared& prepared, const std::vector<std::string>& names, base::Time at) {
  const bool now = !prepared.ActiveIntervals(names, at).empty();
  base::Time t = std::chrono::floor<std::chrono::minutes>(at);
  for (int i = 0; i < 8 * 24 * 60; ++i) {
    t += std::chrono::minutes(1);
    if (prepared.ActiveIntervals(names, t).empty() == now) return t;
  }
  return base::kZeroTime;
}

std::string IntervalText(const ExplainScene& scene, SuppressCause cause, const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + base::Quote(name);
  std::string text = cause == SuppressCause::kActiveInterval ? "outside the active time interval " + list
                                                             : "within the mute time interval " + list;
  if (scene.prepared == nullptr) return text;
  for (const std::string& name : names) {
    if (scene.prepared->config->FindTimeInterval(name) == nullptr) return text;  // of an earlier configuration
  }
  if (const base::Time end = NextChange(*scene.prepared, names, scene.at); end != base::kZeroTime) {
    text += ", which changes at " + When(end, scene.at);
  }
  return text;
}

struct Held {
  Verdict verdict = Verdict::kUnknown;
  std::string by;
};

Held HeldByJournal(const ExplainScene& scene, model::LabelsView labels, const JournalEntry& e) {
  const auto cause = static_cast<SuppressCause>(e.cause);
  switch (cause) {
    case SuppressCause::kSilence: return {Verdict::kSilenced, SilencesText(scene, e.by)};
    case SuppressCause::kInhibition:
      return {Verdict::kInhibited, e.by.empty() ? "another alert" : SourceText(scene, labels, e.by.front())};
    default:
      return {Verdict::kMuted, IntervalText(scene, cause, e.by)};
  }
}

// What holds the alert back at the moment asked for, as far as this route goes.
Held HeldNow(const ExplainScene& scene, const AlertExplanation& alert, const RouteFacts& route) {
  if (scene.past) return route.suppressed ? HeldByJournal(scene, alert.labels, *route.suppressed) : Held{};
  if (!alert.status.inhibited_by.empty()) {
    return {Verdict::kInhibited, SourceText(scene, alert.labels, alert.status.inhibited_by.front())};
  }
  if (route.route != nullptr) {
    const RouteOptions& o = route.route->options();
    if (!o.active_time_intervals.empty() && scene.prepared->ActiveIntervals(o.active_time_intervals, scene.at).empty()) {
      return {Verdict::kMuted, IntervalText(scene, SuppressCause::kActiveInterval, o.active_time_intervals)};
    }
    if (auto muting = scene.prepared->ActiveIntervals(o.mute_time_intervals, scene.at); !muting.empty()) {
      return {Verdict::kMuted, IntervalText(scene, SuppressCause::kMuteInterval, muting)};
    }
  }
  if (!route.silenced_by.empty()) return {Verdict::kSilenced, SilencesText(scene, route.silenced_by)};
  return {};
}

bool ToldState(const JournalEntry& told, const AlertExplanation& alert) {
  auto is = [&](const JournalAlertPtr& a) { return a->fingerprint == alert.fingerprint; };
  return std::ranges::any_of(alert.firing ? told.firing : told.resolved, is);
}

struct Outcome {
  Verdict verdict;
  std::string text;  // for the summary, after the alert's name
};

// What one integration knows, as a sentence; and what that means for the alert.
Outcome ExplainIntegration(const AlertExplanation& alert, const RouteFacts& route, const IntegrationFacts& i, const Held& held,
                           base::Time at, std::vector<std::string>* out) {
  Outcome outcome{.verdict = Verdict::kWaiting, .text = i.key + " was not told yet"};
  const bool told = i.told.has_value();
  if (told) {
    const bool current = ToldState(*i.told, alert) || i.told->kind == JournalKind::kRecovered;
    std::string text = fmt::format("{} was told at {}", i.key, When(i.told->at, at));
    if (!i.told->reason.empty()) text += fmt::format(", because: {}", i.told->reason);
    if (i.told->kind == JournalKind::kRecovered) {
      text += "; that was just before a crash: the notification log has it, the answer is lost.";
    } else {
      text += fmt::format("; it {} after {}, on attempt {}.", AnswerText(*i.told), Span(i.told->duration), i.told->attempt);
    }
    out->push_back(text);
    if (current) outcome = {Verdict::kNotified, fmt::format("{} was told {}", i.key, When(i.told->at, at))};
  } else if (i.log_sent_at != base::Time{}) {
    out->push_back(fmt::format("{} was last told of this group at {}, says the notification log.", i.key, When(i.log_sent_at, at)));
    outcome = {Verdict::kNotified, fmt::format("{} was told {}", i.key, When(i.log_sent_at, at))};
  }
  if (i.failed) {
    const JournalEntry& f = *i.failed;
    std::string text;
    if (f.kind == JournalKind::kUnanswered && f.cause == static_cast<uint8_t>(UnansweredCause::kCrash)) {
      text = fmt::format("A send to {} for the flush of {} was cut off by a crash: whether it arrived is not known, and it is sent "
                         "once more.", i.key, Clock(f.tick));
    } else if (f.kind == JournalKind::kUnanswered) {
      text = fmt::format("The request to {} of the flush at {} (attempt {}) got no answer in time; the next flush tries again.", i.key,
                         Clock(f.tick), f.attempt);
    } else if (f.kind == JournalKind::kGaveUp) {
      text = fmt::format("{} could not be told at the flush of {}: {}.", i.key, Clock(f.tick), f.text);
    } else {
      text = fmt::format("Attempt {} to tell {} at {} {}.", f.attempt, i.key, When(f.at, at), AnswerText(f));
      if (f.cause == static_cast<uint8_t>(RequestOutcome::kRetry)) {
        text += fmt::format(" The next attempt was due {} later, at {}; attempts for this flush end at {}.", Span(f.wait),
                            Clock(f.at + f.wait), Clock(f.tick + std::max<base::Duration>(route.group_interval, std::chrono::seconds(10))));
      } else {
        text += " No retry can mend that: the next flush tries again.";
      }
    }
    out->push_back(text);
    outcome = {Verdict::kFailing, fmt::format("{} could not be told: it {}", i.key, AnswerText(f))};
  }
  if (i.not_sent && !i.failed) {
    const JournalEntry& n = *i.not_sent;
    switch (static_cast<NotSentCause>(n.cause)) {
      case NotSentCause::kRepeatNotDue:
        out->push_back(fmt::format("At the flush of {} {} was not called: it knows of these alerts, and repeat_interval ({}) ends at {}.",
                                   When(n.tick, at), i.key, base::FormatDuration(route.repeat_interval), When(n.due, at)));
        if (outcome.verdict == Verdict::kNotified) outcome.verdict = Verdict::kDeduplicated;
        break;
      case NotSentCause::kToldResolved:
        out->push_back(fmt::format("At the flush of {} {} was not called: it knows that all has ended.", When(n.tick, at), i.key));
        break;
      case NotSentCause::kNeverTold:
        out->push_back(fmt::format("At the flush of {} {} was not called: what has ended was never announced to it, so there is nothing "
                                   "to take back.", When(n.tick, at), i.key));
        outcome = {Verdict::kResolved, "it ended before " + i.key + " was told of it"};
        break;
      case NotSentCause::kResolvedUnwanted:
        out->push_back(fmt::format("At the flush of {} {} was not called: only ends were left to tell, and its send_resolved is false.",
                                   When(n.tick, at), i.key));
        outcome = {Verdict::kResolved, told ? fmt::format("{} was told {} that it fires; it is not told of ends (send_resolved: false)",
                                                          i.key, When(i.told->at, at))
                                            : i.key + " is not told of ends (send_resolved: false)"};
        break;
      case NotSentCause::kAllSuppressed:
        out->push_back(fmt::format("At the flush of {} nothing was sent to {}: all alerts of the group were held back.",
                                   When(n.tick, at), i.key));
        break;
      case NotSentCause::kNoIntegrations: break;
      case NotSentCause::kStillSending:
        out->push_back(fmt::format("At {} a flush was due while the one before was still being sent; it follows that one.", When(n.tick, at)));
        break;
    }
  }
  if (held.verdict != Verdict::kUnknown && outcome.verdict == Verdict::kWaiting) {
    outcome = {held.verdict, "it is held back by " + held.by};
  }
  return outcome;
}

// The most telling one of several integrations.
int Rank(Verdict v) {
  constexpr Verdict kOrder[] = {Verdict::kFailing,  Verdict::kSilenced,     Verdict::kInhibited, Verdict::kMuted,
                                Verdict::kWaiting,  Verdict::kDeduplicated, Verdict::kNotified,  Verdict::kResolved,
                                Verdict::kPending,  Verdict::kNotRouted,    Verdict::kUnknown};
  return static_cast<int>(std::ranges::find(kOrder, v) - std::begin(kOrder));
}

void Consider(Outcome outcome, AlertExplanation* alert, bool* any) {
  if (*any && Rank(outcome.verdict) >= Rank(alert->verdict)) return;
  *any = true;
  alert->verdict = outcome.verdict;
  alert->summary = std::move(outcome.text);
}

void ExplainRoute(const ExplainScene& scene, const RouteFacts& route, AlertExplanation* alert, bool* any) {
  const base::Time at = scene.at;
  std::vector<std::string>* out = &alert->sentences;
  out->push_back(fmt::format("{} {} receiver {} in group {} (group_wait {}, group_interval {}, repeat_interval {}).",
                             route.path.empty() ? "It went to" : "Route " + route.path + " takes it to", "the", route.receiver,
                             route.group_key, base::FormatDuration(route.group_wait), base::FormatDuration(route.group_interval),
                             base::FormatDuration(route.repeat_interval)));
  const Held held = HeldNow(scene, *alert, route);
  if (held.verdict != Verdict::kUnknown) {
    std::string text = "It is held back by ";
    if (held.verdict == Verdict::kMuted) text = "It is held back: the time is ";
    out->push_back(text + held.by + "." +
                   (route.suppressed ? fmt::format(" So it was at the flush of {}.", When(route.suppressed->at, at)) : ""));
  } else if (route.suppressed && !scene.past) {
    out->push_back("At the flush of " + When(route.suppressed->at, at) + " it was held back by " +
                   HeldByJournal(scene, alert->labels, *route.suppressed).by + "; nothing holds it back now.");
  }
  const bool dropped = !scene.past || (route.not_sent && route.not_sent->cause == static_cast<uint8_t>(NotSentCause::kNoIntegrations));
  if (route.integrations.empty() && !dropped) {
    if (held.verdict != Verdict::kUnknown) {
      Consider({held.verdict, "it is held back by " + held.by}, alert, any);
    } else if (route.grouped && route.grouped->due != base::Time{}) {
      out->push_back(fmt::format("The group was made at {}; its first flush was due at {}.", When(route.grouped->at, at),
                                 When(route.grouped->due, at)));
      Consider({Verdict::kWaiting, "it waits for the group's first flush at " + When(route.grouped->due, at)}, alert, any);
    } else {
      Consider({Verdict::kWaiting, "its group was not flushed yet"}, alert, any);
    }
  } else if (route.integrations.empty()) {
    out->push_back("Receiver " + route.receiver + " has no integrations: what is routed to it is dropped on purpose.");
    Consider({Verdict::kNotRouted, "its receiver " + route.receiver + " has no integrations"}, alert, any);
  }
  for (const IntegrationFacts& i : route.integrations) {
    Outcome outcome = ExplainIntegration(*alert, route, i, held, at, out);
    if (outcome.verdict == Verdict::kWaiting && route.next_flush != base::Time{}) {
      const bool first = !i.not_sent && !i.told && i.log_sent_at == base::Time{};
      outcome.text = first ? fmt::format("it waits for the group's first flush at {} (group_wait {})", When(route.next_flush, at),
                                         base::FormatDuration(route.group_wait))
                           : fmt::format("it waits for the group's next flush at {}", When(route.next_flush, at));
    }
    if (held.verdict == Verdict::kMuted && outcome.verdict == Verdict::kMuted) outcome.text = "the time is " + held.by;
    Consider(std::move(outcome), alert, any);
  }
  if (route.next_flush == base::Time{}) return;
  std::string text = "The group is flushed next at " + When(route.next_flush, at) + ".";
  for (const IntegrationFacts& i : route.integrations) {
    if (!alert->firing || i.next_repeat == base::Time{} || held.verdict != Verdict::kUnknown) continue;
    text += fmt::format(" If nothing changes, {} is told again at {}.", i.key, When(i.next_repeat, at));
  }
  out->push_back(text);
}

void ExplainRules(const std::vector<RuleFact>& rules, base::Time at, AlertExplanation* alert, bool known, bool* any) {
  for (const RuleFact& rule : rules) {
    for (const RuleAlert& a : rule.alerts) {
      // External labels and relabeling may have added to what the rule knows.
      const bool same = std::ranges::all_of(a.labels, [&](const model::Label& l) { return alert->labels.Get(l.name) == l.value; });
      if (!same) continue;
      std::string text = fmt::format("Rule {} of group {} ({}) has it for `{}` since {}, last value {}", rule.name, rule.group, rule.file,
                                     rule.query, When(a.active_at, at), a.value);
      if (!a.firing) {
        const base::Time fires = a.active_at + rule.hold;
        text += fmt::format("; it is pending: `for: {}` ends at {}, and until then nothing is sent.", base::FormatDuration(rule.hold),
                            When(fires, at));
        if (!known) {
          *any = true;
          alert->verdict = Verdict::kPending;
          alert->summary = fmt::format("its rule waits for `for: {}`, which ends at {}", base::FormatDuration(rule.hold), When(fires, at));
        }
      } else if (a.keep_firing_since != base::Time{}) {
        text += fmt::format("; the expression is over since {}, keep_firing_for ({}) keeps it.", When(a.keep_firing_since, at),
                            base::FormatDuration(rule.keep_firing));
      } else {
        text += rule.hold > base::Duration{} ? fmt::format("; `for: {}` is over.", base::FormatDuration(rule.hold)) : ".";
      }
      alert->sentences.push_back(std::move(text));
      if (!rule.error.empty()) alert->sentences.push_back("The rule's last evaluation failed: " + rule.error);
    }
  }
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  constexpr std::string_view kNames[] = {"notified",  "deduplicated", "pending", "waiting",  "silenced",  "inhibited",
                                         "muted",     "failing",      "resolved", "not_routed", "unknown"};
  return kNames[static_cast<size_t>(verdict)];
}

std::string AlertTitle(model::LabelsView labels) {
  std::string text;
  for (const model::Label& label : labels) {
    if (label.name == model::kAlertName) continue;
    text += (text.empty() ? "" : ", ") + std::string(label.name) + "=" + base::Quote(label.value);
  }
  const std::string_view name = labels.Get(model::kAlertName);
  return std::string(name) + (text.empty() && !name.empty() ? "" : "{" + text + "}");
}

std::string RuleSentence(const RuleFact& rule, base::Time at) {
  std::string text = fmt::format("Rule {} of group {} ({}), `{}`", rule.name, rule.group, rule.file, rule.query);
  if (rule.last_evaluation == base::Time{}) return text + ", was not evaluated yet.";
  text += ", was last evaluated at " + When(rule.last_evaluation, at);
  if (!rule.error.empty()) return text + " and failed: " + rule.error;
  if (rule.alerts.empty()) return text + ": its expression has no result, so there is no alert.";
  return text + fmt::format(": it has {} alerts, none of which matches.", rule.alerts.size());
}

void WriteSentences(const ExplainScene& scene, AlertExplanation* alert) {
  const base::Time at = scene.at;
  bool any = false;
  const bool known = !alert->routes.empty();
  const std::string title = AlertTitle(alert->labels);
  if (known || alert->firing) {
    alert->sentences.push_back(alert->firing ? fmt::format("{} fires since {}.", title, When(alert->starts_at, at))
                                             : fmt::format("{} has ended; it had fired since {}.", title, When(alert->starts_at, at)));
  }
  ExplainRules(scene.rules, at, alert, known, &any);
  for (const RouteFacts& route : alert->routes) ExplainRoute(scene, route, alert, &any);
  if (!alert->firing && known && alert->verdict == Verdict::kNotified) alert->verdict = Verdict::kResolved;
  if (!any) alert->summary = "nothing is known of its way";
  const bool woken = alert->verdict == Verdict::kNotified || alert->verdict == Verdict::kDeduplicated ||
                     (alert->verdict == Verdict::kResolved && alert->summary.find(" was told ") != std::string::npos);
  alert->summary = fmt::format("{}: {}: {}.", title, woken ? "notified" : "not notified", alert->summary);
}

std::string Explanation::Text() const {
  std::string out;
  for (const AlertExplanation& a : alerts) {
    out += a.summary + "\n";
    for (const std::string& s : a.sentences) out += "  " + s + "\n";
  }
  if (more_alerts) out += fmt::format("More alerts match; these are the first {}.\n", kMaxExplained);
  for (const std::string& s : general) out += s + "\n";
  return out;
}

}  // namespace tocsin::alertmanager
