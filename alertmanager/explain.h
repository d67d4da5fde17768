#pragma once

// Why a notification was, or was not, sent: what the rules, the routes, the groups, the silences and
// the journal know of some alerts, in plain sentences.
//
//   ExplainQuery query{.matchers = m, .rules = rules_now};
//   Explain(&alertmanager, executor, query, [](base::Result<Explanation> e) { ... e->text ... });
//
// Threads: loop only; the journal is read and sentences are made on workers.
// Errors:  the store's.
// Bounds:  kMaxExplained alerts; events of the 24 hours before and since the alert fires, at most 5,000.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "alertmanager/journal_format.h"
#include "alertmanager/matchers.h"
#include "base/executor.h"

namespace tocsin::alertmanager {

inline constexpr size_t kMaxExplained = 20;

// What a rule knows of an alert that it makes.
struct RuleAlert {
  model::Labels labels{};
  bool firing = false;  // else pending
  base::Time active_at{};
  base::Time keep_firing_since{};  // zero: the expression still has it
  double value = 0;
};
struct RuleFact {
  std::string group{};
  std::string file{};
  std::string name{};
  std::string query{};
  base::Duration hold{};
  base::Duration keep_firing{};
  base::Duration interval{};
  base::Time last_evaluation{};  // zero: never
  std::string error{};             // of the last evaluation
  std::vector<RuleAlert> alerts{};
};

struct ExplainQuery {
  Matchers matchers{};
  std::optional<base::Time> at{};  // unset: now
  // The alerting rules of this process; null where there are none (`tocsin alertmanager`).
  std::function<std::vector<RuleFact>()> rules;
};

// The short answer, for machines.
enum class Verdict {
  kNotified, kDeduplicated, kPending, kWaiting, kSilenced, kInhibited, kMuted, kFailing, kResolved, kNotRouted, kUnknown
};
std::string_view VerdictName(Verdict verdict);

struct IntegrationFacts {
  std::string key{};
  bool send_resolved = false;
  std::optional<JournalEntry> told{};    // the last delivery that speaks of the alert
  std::optional<JournalEntry> failed{};  // the last attempt, when it failed and no delivery followed
  std::optional<JournalEntry> not_sent{};  // the last flush without a request
  base::Time log_sent_at{};            // the notification log's word; zero: none
  base::Time next_repeat{};            // zero: not known
};

struct RouteFacts {
  const Route* route = nullptr;     // of the configuration in use; null: only the journal knows it
  std::string path{};               // the route's matchers from the root down; empty: as `route`
  std::string receiver{};
  std::string group_key{};
  base::Duration group_wait{}, group_interval{}, repeat_interval{};
  base::Time next_flush{};        // zero: no group is there
  std::vector<std::string> muted_by{};
  std::vector<std::string> silenced_by{};  // ids, for this receiver, now
  std::optional<JournalEntry> suppressed{};  // still so at the moment asked for
  std::optional<JournalEntry> grouped{};
  std::optional<JournalEntry> not_sent{};  // the last flush at which no integration was called
  std::vector<IntegrationFacts> integrations{};
};

struct AlertExplanation {
  model::Labels labels{};
  model::Labels annotations{};
  uint64_t fingerprint = 0;
  bool firing = false;
  base::Time starts_at{};
  Verdict verdict = Verdict::kUnknown;
  std::string summary{};                  // one sentence
  std::vector<std::string> sentences{};   // the evidence, in the order of the way
  std::vector<RouteFacts> routes{};
  AlertStatus status{};                   // of now; empty for a moment in the past
};

struct Explanation {
  base::Time at{};
  std::vector<AlertExplanation> alerts{};
  std::vector<std::string> general{};     // not about a single alert
  std::vector<JournalEntry> events{};     // what the journal has, oldest first
  bool more_alerts = false;

  std::string Text() const;             // for people
};

void Explain(const Alertmanager* am, base::Executor* executor, ExplainQuery query,
             std::move_only_function<void(base::Result<Explanation>)> done);

// What sentences need beside an alert's facts, looked up on the loop so that they are made anywhere.
struct ExplainScene {
  base::Time at{};
  bool past = false;
  PreparedPtr prepared{};  // may be null
  std::vector<RuleFact> rules{};
  std::map<std::string, SilencePtr> silences{};      // that are spoken of and still known
  std::map<uint64_t, model::AlertPtr> sources{};     // of inhibitions
};

// The sentences of an alert whose facts are complete; for Explain().
void WriteSentences(const ExplainScene& scene, AlertExplanation* alert);
// About a rule that has no alert for the question.
std::string RuleSentence(const RuleFact& rule, base::Time at);

// Down{instance="a"}
std::string AlertTitle(model::LabelsView labels);

}  // namespace tocsin::alertmanager
