#pragma once

// An alerting rule: its active alerts and their way from pending to firing to resolved.
// Source: Prometheus 3.14, rules/alerting.go.
//
// Identity: an alert is its label set after the rule's labels; a templated label whose value changes
//           is another alert.
// Cost:     a sample of the query with the value it had is known by its row: its templates are not run
//           again (unless they ask for the time or run queries), and no label is looked at.

#include <cstdint>
#include <map>
#include <optional>

#include "ruler/rule.h"
#include "templates/rule_functions.h"

namespace tocsin::ruler {

struct RestoreOptions {
  base::Duration outage_tolerance = std::chrono::hours(1);
  base::Duration grace_period = std::chrono::minutes(10);
};

class AlertingRule : public Rule {
 public:
  AlertingRule(RuleSpec spec, const promql::PreparedQuery& query);

  base::Status Evaluate(const EvaluationContext& context, WrittenSeries* out) override;
  std::vector<model::AlertPtr> TakeAlertsToSend(const EvaluationContext& context,
                                                base::Duration resend_delay,
                                                base::Duration interval) override;
  void CopyStateFrom(const Rule& old) override;
  void FillStatus(RuleStatus* status) const override;

  // Until then ALERTS and ALERTS_FOR_STATE are not written, so that what is stored stays readable.
  void SetRestored() { restored_ = true; }
  bool restored() const { return restored_; }
  // Moves back the begin of pending alerts by what ALERTS_FOR_STATE has of the time before the restart.
  base::Status Restore(base::Time ts, storage::Queryable* storage, const RestoreOptions& options);

 private:
  struct Tracked {
    ActiveAlert alert;
    uint64_t seen_in = 0;         // the last evaluation whose result has it
    uint64_t version = 0;         // of the query's rows, and the row that it was expanded from last
    uint32_t row = 0;
    uint64_t epoch = 0;           // of the written series, whose numbers follow
    uint32_t pending = WrittenSeries::kNone;
    uint32_t firing = WrittenSeries::kNone;
    uint32_t for_state = WrittenSeries::kNone;
  };
  using ActiveMap = std::map<model::Labels, Tracked>;
  // What is known of a row of the query's result.
  struct Row {
    Tracked* tracked = nullptr;
    uint64_t erasures = 0;  // when it was noted: what was tracked then may be gone
    double value = 0;
  };
  // An alert of the result.
  struct Present {
    uint32_t row = 0;
    Tracked* tracked = nullptr;        // null: not known yet
    std::optional<ActiveAlert> fresh;  // none: as it was
    double value = 0;
  };

  ActiveAlert Expand(model::LabelsView labels, const promql::standing::StandingSample& sample,
                     const EvaluationContext& context) const;
  // Which alerts the result has; marks those that are known as seen.  Errors: equal label sets.
  base::Status FindPresent(const promql::standing::StandingQuery& result, const EvaluationContext& context);
  void Join(Present present);
  void PutStates(WrittenSeries* out);
  // Advances the alert; false: forget it.
  bool Advance(ActiveAlert* alert, bool present, base::Time ts) const;

  // A label or annotation: its name and, parsed once, its text.
  struct Text {
    std::string name;
    std::string text;
    std::optional<templates::RuleTemplate> parsed;  // none: plain text, or one that cannot be parsed
    std::string problem;                            // of one that cannot
  };
  static std::vector<Text> ParseTexts(const std::string& alert, const LabelList& list);
  static bool AreFixed(const std::vector<Text>& texts);

  const std::vector<Text> labels_;
  const std::vector<Text> annotations_;
  const bool fixed_texts_;  // equal labels and value give equal texts
  ActiveMap active_;        // resolved ones too, for 15 minutes
  uint64_t evaluation_ = 0;
  uint64_t erasures_ = 0;   // evaluations that took alerts out of active_
  uint64_t version_ = 0;    // of the query's rows, that rows_ is by
  std::vector<Row> rows_;
  std::vector<Present> present_;
  bool restored_ = false;
  bool evaluated_ = false;
};

}  // namespace tocsin::ruler
