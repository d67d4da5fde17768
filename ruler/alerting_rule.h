#pragma once

// An alerting rule: its active alerts and their way from pending to firing to resolved.
// Source: Prometheus 3.14, rules/alerting.go.
//
// Identity: an alert is its label set after the rule's labels; a templated label whose value changes
//           is another alert.

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
  AlertingRule(RuleSpec spec, promql::PreparedQuery query);

  base::Result<std::vector<RecordedSample>> Evaluate(const EvaluationContext& context) override;
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

  const std::map<model::Labels, ActiveAlert>& alerts() const { return active_; }

 private:
  ActiveAlert Expand(const promql::VectorSample& sample, const EvaluationContext& context) const;
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

  const std::vector<Text> labels_;
  const std::vector<Text> annotations_;
  std::map<model::Labels, ActiveAlert> active_;  // resolved ones too, for 15 minutes
  bool restored_ = false;
  bool evaluated_ = false;
};

}  // namespace tocsin::ruler
