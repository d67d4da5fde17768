#include "ruler/group.h"

#include "base/log.h"
#include "ruler/dependencies.h"

namespace tocsin::ruler {

Group::Group(GroupSpec spec, const GroupSettings& settings, const GroupEnvironment& environment)
    : spec_(std::move(spec)),
      environment_(environment),
      settings_(settings),
      interval_(spec_.interval.count() > 0 ? spec_.interval : settings.default_interval),
      query_offset_(spec_.query_offset.value_or(settings.query_offset)) {}

base::Result<std::unique_ptr<Group>> Group::Make(GroupSpec spec, const GroupSettings& settings,
                                                 const GroupEnvironment& environment) {
  std::unique_ptr<Group> group(new Group(std::move(spec), settings, environment));
  const std::vector<size_t> needed = RulesNeeded(group->spec_.rules);
  std::vector<promql::KeptQuery*> queries;
  for (const RuleSpec& rule : group->spec_.rules) {
    auto made = MakeRule(rule, *environment.engine);
    if (!made) {
      return std::unexpected(made.error().Within(group->spec_.file + ": group \"" + group->spec_.name +
                                                 "\", rule \"" + rule.name() + "\""));
    }
    queries.push_back((*made)->kept_query());
    group->slots_.push_back({.rule = std::move(*made), .needs = needed[group->slots_.size()]});
  }
  group->common_ = promql::KeptGroup(queries, [&rules = group->spec_.rules](size_t rule, const promql::Expr& part) {
    return LastWriterBefore(rules, rule, part);
  });
  return group;
}

base::Time SlotAt(const GroupSpec& spec, base::Duration interval, base::Time now) {
  const model::Labels key = model::Labels::FromPairs({{"name", spec.name}, {"file", spec.file}});
  const int64_t width = interval.count();
  const int64_t offset = static_cast<int64_t>(key.Hash() % static_cast<uint64_t>(width));
  const int64_t shifted = now.time_since_epoch().count() - offset;
  int64_t remainder = shifted % width;
  if (remainder < 0) remainder += width;
  return base::Time(base::Duration(shifted - remainder + offset));
}

base::Time Group::SlotAt(base::Time now) const { return ruler::SlotAt(spec_, interval_, now); }

EvaluationContext Group::ContextAt(base::Time slot) const {
  return {.ts = slot,
          .query_offset = query_offset_,
          .limit = spec_.limit,
          .engine = environment_.engine,
          .storage = environment_.storage,
          .external_url = settings_.external_url,
          .external_labels = settings_.external_labels};
}

GroupResult Group::Evaluate(base::Time slot) {
  const base::Duration begin = environment_.clock->Monotonic();
  const EvaluationContext context = ContextAt(slot);
  GroupResult result;
  result.rules_took.reserve(slots_.size());
  Batch batch;
  common_.Begin();
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].needs > batch.first) Flush(i, &batch);
    EvaluateRule(&slots_[i], context, &batch, &result);
  }
  common_.End();
  Flush(slots_.size(), &batch);
  if (environment_.queries != nullptr) Tell(context);
  for (Slot& s : slots_) Conclude(&s, &result);
  last_slot_ = slot;
  last_took_ = environment_.clock->Monotonic() - begin;
  result.took = last_took_;
  result.status = MakeStatus();
  return result;
}

void Group::EvaluateRule(Slot* slot, const EvaluationContext& context, Batch* batch, GroupResult* result) {
  const base::Duration begin = environment_.clock->Monotonic();
  Rule& rule = *slot->rule;
  Rule::LastRun& run = rule.last_run();
  run.at = context.ts;
  run.samples = 0;
  slot->written.Begin();
  slot->in_batch = false;
  slot->status = rule.Evaluate(context, &slot->written);
  if (slot->status) {
    run.samples = slot->written.put();
    result->samples += run.samples;
    for (model::AlertPtr& alert : rule.TakeAlertsToSend(context, environment_.resend_delay, interval_)) {
      result->alerts.push_back(std::move(alert));
    }
    if (slot->written.any_change()) {
      if (batch->appender == nullptr) batch->appender = environment_.recorded->NewAppender();
      slot->in_batch = true;
      slot->status = slot->written.AppendTo(batch->appender.get(), context.query_time());
    }
  }
  run.took = environment_.clock->Monotonic() - begin;
  result->rules_took.push_back(run.took);
}

void Group::Tell(const EvaluationContext& context) const {
  const bool each = environment_.queries->WantsQueries();
  int64_t samples = 0;
  for (const Slot& slot : slots_) {
    const promql::standing::StandingQuery* query = slot.rule->query();
    if (query == nullptr) continue;
    samples += query->samples_read();
    if (!each) continue;
    environment_.queries->OnQuery({.file = spec_.file,
                                   .group = spec_.name,
                                   .text = query->text(),
                                   .at = context.query_time(),
                                   .took = slot.rule->last_run().took,
                                   .samples_read = query->samples_read(),
                                   .peak_samples = query->peak_samples(),
                                   .error = slot.status ? "" : slot.status.error().message()});
  }
  environment_.queries->OnSamplesRead(samples);
}

void Group::Flush(size_t upto, Batch* batch) {
  if (batch->appender != nullptr) {
    if (const base::Status committed = batch->appender->Commit(); !committed) {
      for (size_t i = batch->first; i < upto; ++i) {
        if (slots_[i].status && slots_[i].in_batch) slots_[i].status = committed;
      }
    }
    batch->appender.reset();
  }
  batch->first = upto;
}

void Group::Conclude(Slot* slot, GroupResult* result) {
  Rule::LastRun& run = slot->rule->last_run();
  run.health = slot->status ? RuleHealth::kOk : RuleHealth::kErr;
  run.error = slot->status ? "" : slot->status.error().message();
  if (slot->status) return;
  ++result->failures;
  base::LogWarn("Evaluating rule failed", {{"file", spec_.file},
                                           {"group", spec_.name},
                                           {"name", slot->rule->spec().name()},
                                           {"line", slot->rule->spec().position.line},
                                           {"err", slot->status.error()}});
}

void Group::Restore(base::Time ts) {
  for (Slot& slot : slots_) {
    auto* alerting = dynamic_cast<AlertingRule*>(slot.rule.get());
    if (alerting == nullptr || alerting->restored()) continue;
    if (auto status = alerting->Restore(ts, environment_.storage, environment_.restore); !status) {
      base::LogError("Failed to restore 'for' state", {{"group", spec_.name},
                                                       {"alert", alerting->spec().alert},
                                                       {"err", status.error()}});
      alerting->SetRestored();
    }
  }
}

void Group::SkipRestore() {
  for (Slot& slot : slots_) {
    if (auto* alerting = dynamic_cast<AlertingRule*>(slot.rule.get())) alerting->SetRestored();
  }
}

void Group::TakeStateFrom(Group* old) {
  // Rules of equal name and labels are paired in file order, so that repeated ones keep theirs.
  for (Slot& slot : slots_) {
    for (Slot& before : old->slots_) {
      if (before.rule == nullptr) continue;
      const RuleSpec& a = slot.rule->spec();
      const RuleSpec& b = before.rule->spec();
      if (a.is_alert() != b.is_alert() || a.name() != b.name() || a.labels != b.labels) continue;
      slot.rule->CopyStateFrom(*before.rule);
      slot.written = std::move(before.written);
      before.written = WrittenSeries();
      before.rule.reset();
      break;
    }
  }
  last_slot_ = old->last_slot_;
}

void Group::WriteStaleMarkers(base::Time ts) {
  std::vector<storage::FloatSample> batch;
  for (Slot& slot : slots_) slot.written.EndAll(base::ToUnixMillis(ts - query_offset_), &batch);
  if (batch.empty()) return;
  std::vector<storage::AppendOutcome> outcomes(batch.size(), storage::AppendOutcome::kOk);
  const std::unique_ptr<storage::Appender> appender = environment_.recorded->NewAppender();
  appender->Append(batch, outcomes);
  if (auto status = appender->Commit(); !status) {
    base::LogWarn("Ending the series of a removed rule failed", {{"group", spec_.name}, {"err", status.error()}});
  }
}

std::shared_ptr<const GroupStatus> Group::MakeStatus() const {
  auto status = std::make_shared<GroupStatus>();
  status->file = spec_.file;
  status->name = spec_.name;
  status->interval = interval_;
  status->query_offset = query_offset_;
  status->limit = spec_.limit;
  status->last_evaluation = last_slot_;
  status->evaluation_time = last_took_;
  for (const Slot& slot : slots_) {
    if (slot.rule != nullptr) slot.rule->FillStatus(&status->rules.emplace_back());
  }
  return status;
}

}  // namespace tocsin::ruler
