#include "ruler/rule.h"

#include "ruler/alerting_rule.h"

namespace tocsin::ruler {

std::string_view RuleHealthName(RuleHealth h) {
  switch (h) {
    case RuleHealth::kOk: return "ok";
    case RuleHealth::kErr: return "err";
    case RuleHealth::kUnknown: break;
  }
  return "unknown";
}

std::string_view AlertStateName(AlertState s) {
  switch (s) {
    case AlertState::kInactive: return "inactive";
    case AlertState::kPending: return "pending";
    case AlertState::kFiring: return "firing";
    case AlertState::kUnknown: break;
  }
  return "unknown";
}

void Rule::FillStatus(RuleStatus* status) const {
  status->is_alert = spec_.is_alert();
  status->name = spec_.name();
  status->query = spec_.query;
  status->hold = spec_.hold;
  status->keep_firing = spec_.keep_firing;
  status->labels = spec_.labels;
  status->annotations = spec_.annotations;
  status->health = status_.health;
  status->last_error = status_.error;
  status->warnings = warnings_;
  status->last_evaluation = status_.at;
  status->evaluation_time = status_.took;
  status->samples = status_.samples;
}

base::Result<promql::Vector> Rule::RunQuery(const EvaluationContext& context) {
  const model::Timestamp at = context.query_time();
  ASSIGN_OR_RETURN(promql::QueryResult result, query_.Run(context.storage, at));
  warnings_ = std::move(result.warnings);
  warnings_.insert(warnings_.end(), result.infos.begin(), result.infos.end());
  if (auto* vector = std::get_if<promql::Vector>(&result.value)) return std::move(*vector);
  if (const auto* scalar = std::get_if<promql::Scalar>(&result.value)) {
    return promql::Vector{{.labels = {}, .t = at, .v = scalar->v, .h = nullptr}};
  }
  return base::FailedPrecondition("rule result is not a vector or scalar");
}

base::Result<std::vector<RecordedSample>> RecordingRule::Evaluate(const EvaluationContext& context) {
  ASSIGN_OR_RETURN(promql::Vector vector, RunQuery(context));
  std::vector<RecordedSample> samples;
  samples.reserve(vector.size());
  model::LabelsBuilder labels;
  for (promql::VectorSample& sample : vector) {
    labels.Reset(sample.labels);
    labels.Set(model::kMetricName, spec_.record);
    for (const auto& [name, value] : spec_.labels) labels.Set(name, value);
    samples.push_back({labels.Build(), sample.v, std::move(sample.h)});
  }
  if (context.limit > 0 && static_cast<int64_t>(samples.size()) > context.limit) {
    return base::FailedPrecondition("exceeded limit of " + std::to_string(context.limit) + " with " +
                                    std::to_string(samples.size()) + " series");
  }
  return samples;
}

base::Result<std::unique_ptr<Rule>> MakeRule(const RuleSpec& spec, const promql::Engine& engine) {
  ASSIGN_OR_RETURN(promql::PreparedQuery query, engine.Prepare(*spec.expr));
  if (spec.is_alert()) return std::make_unique<AlertingRule>(spec, std::move(query));
  return std::make_unique<RecordingRule>(spec, std::move(query));
}

}  // namespace tocsin::ruler
