#pragma once

// One rule and its state.
//
// Threads: touched by whoever holds the group (see group.h).

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/alert.h"
#include "promql/engine.h"
#include "ruler/rule_file.h"
#include "ruler/status.h"
#include "storage/queryable.h"

namespace tocsin::ruler {

// What an evaluation may use.  All outlive it.
struct EvaluationContext {
  base::Time ts{};                   // the slot
  base::Duration query_offset{0};    // queries see, and results carry, ts - query_offset
  int64_t limit = 0;
  const promql::Engine* engine = nullptr;
  storage::Queryable* storage = nullptr;
  std::string external_url;
  model::Labels external_labels;

  model::Timestamp query_time() const { return base::ToUnixMillis(ts - query_offset); }
};

// A sample that a rule wants written at the context's query time.
struct RecordedSample {
  model::Labels labels;
  double value = 0;
  model::HistogramPtr histogram;  // instead of the value
};

class Rule {
 public:
  // REQUIRES: `query` was prepared from the spec's expression.
  Rule(RuleSpec spec, promql::PreparedQuery query) : spec_(std::move(spec)), query_(std::move(query)) {}
  virtual ~Rule() = default;
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;

  const RuleSpec& spec() const { return spec_; }

  // Runs the expression and advances the state.  Errors: the query's; equal label sets in the
  // result; the limit exceeded (for alerts, all active state is then dropped, as in Prometheus).
  virtual base::Result<std::vector<RecordedSample>> Evaluate(const EvaluationContext& context) = 0;

  // Of alerting rules: what is due to be sent, with ends_at set.
  virtual std::vector<model::AlertPtr> TakeAlertsToSend(const EvaluationContext&, base::Duration /*resend_delay*/,
                                                        base::Duration /*interval*/) {
    return {};
  }

  // Takes over the state of an earlier rule of the same name and labels.
  virtual void CopyStateFrom(const Rule& old) { status_ = old.status_; }

  virtual void FillStatus(RuleStatus* status) const;
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Kept by the group after each evaluation.
  struct LastRun {
    RuleHealth health = RuleHealth::kUnknown;
    std::string error;
    base::Time at{};
    base::Duration took{0};
    size_t samples = 0;
  };
  LastRun& last_run() { return status_; }

 protected:
  // The expression's value as an instant vector; a scalar is one sample without labels.
  base::Result<promql::Vector> RunQuery(const EvaluationContext& context);

  const RuleSpec spec_;
  const promql::PreparedQuery query_;

 private:
  LastRun status_;
  std::vector<std::string> warnings_;
};

class RecordingRule : public Rule {
 public:
  using Rule::Rule;
  base::Result<std::vector<RecordedSample>> Evaluate(const EvaluationContext& context) override;
};

base::Result<std::unique_ptr<Rule>> MakeRule(const RuleSpec& spec, const promql::Engine& engine);

}  // namespace tocsin::ruler
