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

Rule::Rule(RuleSpec spec, const promql::PreparedQuery& query)
    : shared_spec_(std::make_shared<const RuleSpec>(std::move(spec))), spec_(*shared_spec_) {
  const promql::ValueType type = query.type();
  if (type == promql::ValueType::kVector || type == promql::ValueType::kScalar) query_ = query.Keep();
}

void Rule::FillStatus(RuleStatus* status) const {
  status->spec = shared_spec_;
  status->health = status_.health;
  status->last_error = status_.error;
  status->warnings = warnings_;
  status->last_evaluation = status_.at;
  status->evaluation_time = status_.took;
  status->samples = status_.samples;
}

base::Result<const promql::standing::StandingQuery*> Rule::RunQuery(const EvaluationContext& context) {
  if (!query_) return base::FailedPrecondition("rule result is not a vector or scalar");
  RETURN_IF_ERROR(query_->Run(context.storage, context.query_time()));
  const promql::standing::StandingQuery& result = query_->result();
  warnings_ = result.warnings();
  warnings_.insert(warnings_.end(), result.infos().begin(), result.infos().end());
  return &result;
}

model::Labels RecordingRule::RecordedLabels(model::LabelsView labels) {
  builder_.Reset(labels);
  builder_.Set(model::kMetricName, spec_.record);
  for (const auto& [name, value] : spec_.labels) builder_.Set(name, value);
  return builder_.Build();
}

base::Status RecordingRule::Evaluate(const EvaluationContext& context, WrittenSeries* out) {
  ASSIGN_OR_RETURN(const promql::standing::StandingQuery* result, RunQuery(context));
  const size_t count = result->samples().size();
  if (context.limit > 0 && static_cast<int64_t>(count) > context.limit) {
    return base::FailedPrecondition("exceeded limit of " + std::to_string(context.limit) + " with " +
                                    std::to_string(count) + " series");
  }
  if (result->version() != version_ || out->epoch() != epoch_) {
    version_ = result->version();
    epoch_ = out->epoch();
    targets_.assign(result->rows().size(), WrittenSeries::kNone);
  }
  for (const promql::standing::StandingSample& sample : result->samples()) {
    uint32_t& to = targets_[sample.row];
    if (to == WrittenSeries::kNone) to = out->Find(RecordedLabels(result->rows()[sample.row]));
    if (!out->Put(to, sample.v, sample.h)) {
      return base::FailedPrecondition("vector contains metrics with the same labelset after applying rule labels");
    }
  }
  return {};
}

base::Result<std::unique_ptr<Rule>> MakeRule(const RuleSpec& spec, const promql::Engine& engine) {
  ASSIGN_OR_RETURN(promql::PreparedQuery query, engine.Prepare(*spec.expr));
  if (spec.is_alert()) return std::make_unique<AlertingRule>(spec, query);
  return std::make_unique<RecordingRule>(spec, query);
}

}  // namespace tocsin::ruler
