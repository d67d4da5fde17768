#pragma once

// One rule and its state.
//
// Threads: touched by whoever holds the group (see group.h).

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/alert.h"
#include "promql/engine.h"
#include "promql/standing/standing_query.h"
#include "ruler/rule_file.h"
#include "ruler/status.h"
#include "ruler/written_series.h"
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

class Rule {
 public:
  // REQUIRES: `query` was prepared from the spec's expression.
  Rule(RuleSpec spec, const promql::PreparedQuery& query);
  virtual ~Rule() = default;
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;

  const RuleSpec& spec() const { return spec_; }

  // Runs the expression, advances the state and puts what is to be written.  Errors: the query's; equal
  // label sets in the result; the limit exceeded (for alerts, all active state is then dropped, as in
  // Prometheus).
  virtual base::Status Evaluate(const EvaluationContext& context, WrittenSeries* out) = 0;

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
  // The query and what its last run read; null: the expression is of a type that no rule can have.
  const promql::standing::StandingQuery* query() const { return query_ ? &query_->result() : nullptr; }
  // The same, for what it has in common with those of the group's other rules.
  promql::KeptQuery* kept_query() { return query_ ? &*query_ : nullptr; }

 protected:
  // The expression's value: rows and samples, until the next run.
  base::Result<const promql::standing::StandingQuery*> RunQuery(const EvaluationContext& context);

 private:
  const std::shared_ptr<const RuleSpec> shared_spec_;

 protected:
  const RuleSpec& spec_;

 private:
  std::optional<promql::KeptQuery> query_;  // none: the expression is of a type that no rule can have
  LastRun status_;
  std::vector<std::string> warnings_;
};

class RecordingRule : public Rule {
 public:
  using Rule::Rule;
  base::Status Evaluate(const EvaluationContext& context, WrittenSeries* out) override;

 private:
  model::Labels RecordedLabels(model::LabelsView labels);

  uint64_t version_ = 0;           // of the query's rows, that targets_ is by
  uint64_t epoch_ = 0;             // of the written series, whose numbers it has
  std::vector<uint32_t> targets_;  // by row; kNone: not looked up yet
  model::LabelsBuilder builder_;
};

base::Result<std::unique_ptr<Rule>> MakeRule(const RuleSpec& spec, const promql::Engine& engine);

}  // namespace tocsin::ruler
