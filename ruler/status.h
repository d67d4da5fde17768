#pragma once

// What the API and the pages show of rules: immutable snapshots made at the end of each evaluation.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "ruler/rule_file.h"

namespace tocsin::ruler {

enum class RuleHealth { kUnknown, kOk, kErr };
std::string_view RuleHealthName(RuleHealth h);  // unknown, ok, err

enum class AlertState { kUnknown, kInactive, kPending, kFiring };
std::string_view AlertStateName(AlertState s);  // unknown, inactive, pending, firing

struct ActiveAlert {
  model::Labels labels;
  model::Labels annotations;
  AlertState state = AlertState::kPending;
  double value = 0;
  model::HistogramPtr histogram;
  base::Time active_at{};
  base::Time fired_at{};
  base::Time resolved_at{};
  base::Time last_sent_at = base::kZeroTime;  // never
  base::Time keep_firing_since{};  // zero: the expression still has it
};

struct RuleStatus {
  std::shared_ptr<const RuleSpec> spec;  // never null
  RuleHealth health = RuleHealth::kUnknown;
  std::string last_error;
  std::vector<std::string> warnings;  // annotations of the last run of the query
  base::Time last_evaluation{};
  base::Duration evaluation_time{0};
  size_t samples = 0;                 // written by the last evaluation
  AlertState state = AlertState::kUnknown;  // the highest of its alerts
  std::vector<ActiveAlert> alerts;    // pending and firing, by labels
};

struct GroupStatus {
  std::string file;
  std::string name;
  base::Duration interval{0};
  base::Duration query_offset{0};
  int64_t limit = 0;
  base::Time last_evaluation{};
  base::Duration evaluation_time{0};
  std::vector<RuleStatus> rules;
};

}  // namespace tocsin::ruler
