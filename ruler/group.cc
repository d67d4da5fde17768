#include "ruler/group.h"

#include <algorithm>

#include "base/log.h"

namespace tocsin::ruler {
namespace {

std::string_view OutcomeText(storage::AppendOutcome outcome) {
  using enum storage::AppendOutcome;
  switch (outcome) {
    case kOk: return "ok";
    case kUnknownSeries: return "unknown series";
    case kOutOfOrder: return "out of order sample";
    case kDuplicateTimestamp: return "duplicate sample for timestamp";
    case kOutOfBounds: return "out of bounds";
    case kTooOld: return "too old sample";
    case kTooFarInFuture: return "too far in the future";
    case kInvalidHistogram: return "invalid histogram";
  }
  return "refused";
}

}  // namespace

Group::Group(GroupSpec spec, const GroupSettings& settings, const GroupEnvironment& environment)
    : spec_(std::move(spec)),
      environment_(environment),
      settings_(settings),
      interval_(spec_.interval.count() > 0 ? spec_.interval : settings.default_interval),
      query_offset_(spec_.query_offset.value_or(settings.query_offset)) {}

base::Result<std::unique_ptr<Group>> Group::Make(GroupSpec spec, const GroupSettings& settings,
                                                 const GroupEnvironment& environment) {
  std::unique_ptr<Group> group(new Group(std::move(spec), settings, environment));
  for (const RuleSpec& rule : group->spec_.rules) {
    auto made = MakeRule(rule, *environment.engine);
    if (!made) {
      return std::unexpected(made.error().Within(group->spec_.file + ": group \"" + group->spec_.name +
                                                 "\", rule \"" + rule.name() + "\""));
    }
    group->slots_.push_back({std::move(*made), {}});
  }
  return group;
}

base::Time Group::SlotAt(base::Time now) const {
  const model::Labels key = model::Labels::FromPairs({{"name", spec_.name}, {"file", spec_.file}});
  const int64_t interval = interval_.count();
  const int64_t offset = static_cast<int64_t>(key.Hash() % static_cast<uint64_t>(interval));
  const int64_t shifted = now.time_since_epoch().count() - offset;
  int64_t remainder = shifted % interval;
  if (remainder < 0) remainder += interval;
  return base::Time(base::Duration(shifted - remainder + offset));
}

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
  ++evaluation_;
  for (Slot& s : slots_) EvaluateRule(&s, context, &result);
  last_slot_ = slot;
  last_took_ = environment_.clock->Monotonic() - begin;
  result.took = last_took_;
  result.status = MakeStatus();
  return result;
}

void Group::EvaluateRule(Slot* slot, const EvaluationContext& context, GroupResult* result) {
  const base::Duration begin = environment_.clock->Monotonic();
  Rule& rule = *slot->rule;
  Rule::LastRun& run = rule.last_run();
  run.at = context.ts;
  base::Status status;
  auto samples = rule.Evaluate(context);
  if (samples) {
    run.samples = samples->size();
    result->samples += samples->size();
    for (model::AlertPtr& alert : rule.TakeAlertsToSend(context, environment_.resend_delay, interval_)) {
      result->alerts.push_back(std::move(alert));
    }
    status = Write(slot, context, *samples);
  } else {
    run.samples = 0;
    status = std::unexpected(samples.error());
  }
  run.health = status ? RuleHealth::kOk : RuleHealth::kErr;
  run.error = status ? "" : status.error().message();
  run.took = environment_.clock->Monotonic() - begin;
  result->rules_took.push_back(run.took);
  if (!status) {
    ++result->failures;
    base::LogWarn("Evaluating rule failed", {{"file", spec_.file},
                                             {"group", spec_.name},
                                             {"name", rule.spec().name()},
                                             {"line", rule.spec().position.line},
                                             {"err", status.error()}});
  }
}

base::Status Group::Write(Slot* slot, const EvaluationContext& context,
                          const std::vector<RecordedSample>& samples) {
  const model::Timestamp t = context.query_time();
  // Equal label sets are found before anything is written: then the whole rule fails.
  std::vector<Written*> entries;
  entries.reserve(samples.size());
  for (const RecordedSample& sample : samples) {
    Written& written = slot->written[sample.labels];
    if (written.evaluation == evaluation_) {
      // What this evaluation touched goes back to being of the one before.
      for (auto& [labels, entry] : slot->written) {
        if (entry.evaluation == evaluation_) entry.evaluation = evaluation_ - 1;
      }
      return base::FailedPrecondition(
          "vector contains metrics with the same labelset after applying rule labels");
    }
    written.evaluation = evaluation_;
  }
  if (samples.empty() && slot->written.empty()) return {};

  const std::unique_ptr<storage::Appender> appender = environment_.recorded->NewAppender();
  batch_.clear();
  base::Status problem;
  auto note = [&](storage::AppendOutcome outcome, const model::Labels& labels) {
    if (outcome == storage::AppendOutcome::kOk) return;
    problem = base::FailedPrecondition(labels.ToMetricString() + ": " + std::string(OutcomeText(outcome)));
  };
  for (const RecordedSample& sample : samples) {
    Written& written = slot->written.find(sample.labels)->second;
    if (written.ref == 0) {
      ASSIGN_OR_RETURN(written.ref, appender->Resolve(sample.labels));
    }
    if (sample.histogram != nullptr) {
      note(appender->AppendHistogram(written.ref, t, sample.histogram), sample.labels);
    } else {
      batch_.push_back({written.ref, t, sample.value});
    }
  }
  // Series of the evaluation before that are not there any more end here.
  for (auto it = slot->written.begin(); it != slot->written.end();) {
    if (it->second.evaluation == evaluation_) {
      ++it;
      continue;
    }
    if (it->second.ref != 0) batch_.push_back({it->second.ref, t, model::StaleMarker()});
    slot->written.erase(it++);
  }
  outcomes_.assign(batch_.size(), storage::AppendOutcome::kOk);
  appender->Append(batch_, outcomes_);

  size_t i = 0;
  for (const RecordedSample& sample : samples) {
    if (sample.histogram != nullptr) continue;
    if (outcomes_[i] == storage::AppendOutcome::kUnknownSeries) {
      // Dropped from the head since: found again, and appended by itself.
      ASSIGN_OR_RETURN(batch_[i].ref, appender->Resolve(sample.labels));
      slot->written.find(sample.labels)->second.ref = batch_[i].ref;
      appender->Append(std::span(batch_).subspan(i, 1), std::span(outcomes_).subspan(i, 1));
    }
    note(outcomes_[i], sample.labels);
    ++i;
  }
  RETURN_IF_ERROR(appender->Commit());
  return problem;
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
      before.written.clear();
      before.rule.reset();
      break;
    }
  }
  evaluation_ = std::max(evaluation_, old->evaluation_);
  last_slot_ = old->last_slot_;
}

void Group::WriteStaleMarkers(base::Time ts) {
  batch_.clear();
  const model::Timestamp t = base::ToUnixMillis(ts - query_offset_);
  for (Slot& slot : slots_) {
    for (const auto& [labels, written] : slot.written) {
      if (written.ref != 0) batch_.push_back({written.ref, t, model::StaleMarker()});
    }
    slot.written.clear();
  }
  if (batch_.empty()) return;
  outcomes_.assign(batch_.size(), storage::AppendOutcome::kOk);
  const std::unique_ptr<storage::Appender> appender = environment_.recorded->NewAppender();
  appender->Append(batch_, outcomes_);
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
