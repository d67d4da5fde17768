// An evaluation in four steps:
//   1  the query's samples become alerts: labels and annotations expanded, where that may give another text
//   2  new ones join the active ones, known ones get their value and annotations
//   3  each active alert advances: pending, firing, resolved, forgotten
//   4  ALERTS and ALERTS_FOR_STATE for those that are pending or firing

#include "ruler/alerting_rule.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "templates/rule_functions.h"

namespace tocsin::ruler {
namespace {

// A resolved alert is sent on for this long, so that Alertmanagers hear of it.
constexpr base::Duration kResolvedRetention = std::chrono::minutes(15);

model::Labels SeriesLabels(const model::Labels& alert, std::string_view metric, std::string_view name,
                           std::string_view state) {
  model::LabelsBuilder labels(alert);
  labels.Set(model::kMetricName, metric);
  labels.Set(model::kAlertName, name);
  if (!state.empty()) labels.Set("alertstate", state);
  return labels.Build();
}

// Stays at the end of the range instead of overflowing: configured durations may be centuries, and
// rules are tested in any year.  REQUIRES: `d` is not negative.
base::Time AddWithinRange(base::Time t, base::Duration d) {
  return t > base::Time::max() - d ? base::Time::max() : t + d;
}

}  // namespace

AlertingRule::AlertingRule(RuleSpec spec, const promql::PreparedQuery& query)
    : Rule(std::move(spec), query),
      labels_(ParseTexts(spec_.alert, spec_.labels)),
      annotations_(ParseTexts(spec_.alert, spec_.annotations)),
      fixed_texts_(AreFixed(labels_) && AreFixed(annotations_)) {}

// The functions query and now look at something else than the alert; what fails is reported each time.
bool AlertingRule::AreFixed(const std::vector<Text>& texts) {
  return std::ranges::all_of(texts, [](const Text& t) {
    return t.problem.empty() && (!t.parsed || (t.text.find("query") == std::string::npos &&
                                               t.text.find("now") == std::string::npos));
  });
}

std::vector<AlertingRule::Text> AlertingRule::ParseTexts(const std::string& alert, const LabelList& list) {
  std::vector<Text> texts;
  for (const auto& [name, text] : list) {
    Text& t = texts.emplace_back(Text{name, text, std::nullopt, ""});
    if (!templates::HasActions(text)) continue;
    auto parsed = templates::RuleTemplate::Parse("__alert_" + alert, text);
    if (parsed) {
      t.parsed = std::move(*parsed);
    } else {
      t.problem = parsed.error().message();
    }
  }
  return texts;
}

ActiveAlert AlertingRule::Expand(model::LabelsView sample_labels,
                                 const promql::standing::StandingSample& sample,
                                 const EvaluationContext& context) const {
  const templates::RuleTemplateContext templates_context{
      .query = [&context](const std::string& expr) -> base::Result<std::vector<templates::QuerySample>> {
        // Templates ask at the slot itself, without the group's query offset, as in Prometheus.
        ASSIGN_OR_RETURN(const promql::QueryResult result,
                         context.engine->Instant(context.storage, expr, base::ToUnixMillis(context.ts)));
        std::vector<templates::QuerySample> samples;
        if (const auto* vector = std::get_if<promql::Vector>(&result.value)) {
          for (const promql::VectorSample& s : *vector) samples.push_back({s.labels, s.v, s.h});
        } else if (const auto* scalar = std::get_if<promql::Scalar>(&result.value)) {
          samples.push_back({model::Labels(), scalar->v, nullptr});
        } else {
          return base::FailedPrecondition("query result is not a vector or scalar");
        }
        return samples;
      },
      .now_ms = base::ToUnixMillis(context.ts),
      .external_url = context.external_url};
  const templates::Value data = templates::AlertTemplateData(
      sample_labels, context.external_labels, context.external_url, sample.v, sample.h);
  auto expand = [&](const Text& text) {
    if (!text.parsed && text.problem.empty()) return text.text;
    std::string problem = text.problem;
    if (text.parsed) {
      auto result = text.parsed->Expand(data, templates_context);
      if (result) return std::move(*result);
      problem = result.error().message();
    }
    base::LogWarn("Expanding alert template failed", {{"alert", spec_.alert}, {"err", problem}});
    return "<error expanding template: " + problem + ">";
  };

  ActiveAlert alert;
  model::LabelsBuilder labels(sample_labels);
  labels.Del(model::kMetricName);
  for (const Text& text : labels_) labels.Set(text.name, expand(text));
  labels.Set(model::kAlertName, spec_.alert);
  alert.labels = labels.Build();
  // Annotations keep empty values, which label sets drop.
  std::string annotations;
  for (const Text& text : annotations_) model::AppendEncodedLabel(text.name, expand(text), &annotations);
  alert.annotations = model::Labels::FromEncoded(annotations);
  alert.value = sample.v;
  alert.histogram = sample.h;
  alert.active_at = context.ts;
  return alert;
}

bool AlertingRule::Advance(ActiveAlert* alert, bool present, base::Time ts) const {
  if (present) {
    alert->keep_firing_since = {};
    if (alert->state == AlertState::kPending && ts - alert->active_at >= spec_.hold) {
      alert->state = AlertState::kFiring;
      alert->fired_at = ts;
    } else if (alert->state == AlertState::kFiring && ts - alert->active_at < spec_.hold) {
      // A reload made `for` longer than the alert is old.
      alert->state = AlertState::kPending;
      alert->fired_at = {};
      alert->last_sent_at = base::kZeroTime;
    }
    return true;
  }
  if (alert->state == AlertState::kFiring && spec_.keep_firing.count() > 0) {
    if (alert->keep_firing_since == base::Time{}) alert->keep_firing_since = ts;
    if (ts - alert->keep_firing_since < spec_.keep_firing) return true;
  }
  if (alert->state == AlertState::kPending) return false;
  if (alert->state == AlertState::kInactive) return ts - alert->resolved_at <= kResolvedRetention;
  alert->state = AlertState::kInactive;
  alert->resolved_at = ts;
  return true;
}

base::Status AlertingRule::FindPresent(const promql::standing::StandingQuery& result,
                                       const EvaluationContext& context) {
  const auto repeated = [] {
    return base::FailedPrecondition("vector contains metrics with the same labelset after applying alert labels");
  };
  if (result.version() != version_) {
    version_ = result.version();
    rows_.assign(result.rows().size(), Row());
  }
  present_.clear();
  std::set<model::LabelsView> unknown;
  present_.reserve(result.samples().size());  // `unknown` has views into it
  for (const promql::standing::StandingSample& sample : result.samples()) {
    const Row& row = rows_[sample.row];
    Present present{.row = sample.row, .value = sample.v};
    if (fixed_texts_ && row.tracked != nullptr && row.erasures == erasures_ && sample.h == nullptr &&
        model::SameBits(row.value, sample.v) && row.tracked->row == sample.row &&
        row.tracked->version == version_ && row.tracked->alert.histogram == nullptr &&
        row.tracked->alert.state != AlertState::kInactive) {
      present.tracked = row.tracked;
    } else {
      present.fresh = Expand(result.rows()[sample.row], sample, context);
      const auto known = active_.find(present.fresh->labels);
      if (known != active_.end()) {
        present.tracked = &known->second;
      } else if (!unknown.insert(present.fresh->labels.view()).second) {
        return repeated();
      }
    }
    if (present.tracked != nullptr && std::exchange(present.tracked->seen_in, evaluation_) == evaluation_) {
      return repeated();
    }
    present_.push_back(std::move(present));
  }
  return {};
}

void AlertingRule::Join(Present present) {
  if (present.fresh) {
    if (present.tracked == nullptr) present.tracked = &active_[present.fresh->labels];
    Tracked& tracked = *present.tracked;
    if (tracked.seen_in != evaluation_ || tracked.alert.state == AlertState::kInactive) {
      tracked.alert = *std::move(present.fresh);
    } else {
      tracked.alert.value = present.fresh->value;
      tracked.alert.histogram = std::move(present.fresh->histogram);
      tracked.alert.annotations = std::move(present.fresh->annotations);
    }
    tracked.seen_in = evaluation_;
    tracked.version = version_;
    tracked.row = present.row;
  }
  rows_[present.row] = {present.tracked, erasures_, present.value};
}

base::Status AlertingRule::Evaluate(const EvaluationContext& context, WrittenSeries* out) {
  evaluated_ = true;
  ++evaluation_;
  ASSIGN_OR_RETURN(const promql::standing::StandingQuery* result, RunQuery(context));
  RETURN_IF_ERROR(FindPresent(*result, context));
  for (Present& present : present_) Join(std::move(present));

  int64_t active = 0;
  bool erased = false;
  for (auto it = active_.begin(); it != active_.end();) {
    if (!Advance(&it->second.alert, it->second.seen_in == evaluation_, context.ts)) {
      it = active_.erase(it);
      erased = true;
      continue;
    }
    if (it->second.alert.state != AlertState::kInactive) ++active;
    ++it;
  }
  if (context.limit > 0 && active > context.limit) {
    active_.clear();
    ++erasures_;
    return base::FailedPrecondition("exceeded limit of " + std::to_string(context.limit) + " with " +
                                    std::to_string(active) + " alerts");
  }
  erasures_ += erased ? 1 : 0;
  if (restored_) PutStates(out);
  return {};
}

void AlertingRule::PutStates(WrittenSeries* out) {
  for (auto& [labels, tracked] : active_) {
    const ActiveAlert& alert = tracked.alert;
    if (alert.state == AlertState::kInactive) continue;
    if (tracked.epoch != out->epoch()) {
      tracked.epoch = out->epoch();
      tracked.pending = tracked.firing = tracked.for_state = WrittenSeries::kNone;
    }
    uint32_t& state = alert.state == AlertState::kFiring ? tracked.firing : tracked.pending;
    if (state == WrittenSeries::kNone) {
      state = out->Find(SeriesLabels(labels, "ALERTS", spec_.alert, AlertStateName(alert.state)));
    }
    if (tracked.for_state == WrittenSeries::kNone) {
      tracked.for_state = out->Find(SeriesLabels(labels, "ALERTS_FOR_STATE", spec_.alert, ""));
    }
    const auto since = std::chrono::floor<std::chrono::seconds>(alert.active_at).time_since_epoch().count();
    // Alerts that differ in a label "alertstate" alone share these series: the first writes them.
    out->Put(state, 1, nullptr);
    out->Put(tracked.for_state, static_cast<double>(since), nullptr);
  }
}

std::vector<model::AlertPtr> AlertingRule::TakeAlertsToSend(const EvaluationContext& context,
                                                            base::Duration resend_delay,
                                                            base::Duration interval) {
  std::vector<model::AlertPtr> due;
  // Long enough to live through some failed evaluations or sends.
  const base::Duration lifetime = 4 * std::min(std::max(resend_delay, interval), base::Duration::max() / 4);
  for (auto& [labels, tracked] : active_) {
    ActiveAlert& alert = tracked.alert;
    if (alert.state == AlertState::kPending) continue;
    const bool resolved_since = alert.resolved_at > alert.last_sent_at;
    if (!resolved_since && AddWithinRange(alert.last_sent_at, resend_delay) >= context.ts) continue;
    alert.last_sent_at = context.ts;
    model::Alert out;
    out.labels = labels;
    out.annotations = alert.annotations;
    out.starts_at = alert.fired_at;
    out.ends_at = alert.resolved_at != base::Time{} ? alert.resolved_at
                                                    : AddWithinRange(context.ts, lifetime);
    out.generator_url = context.external_url + "/graph?g0.expr=" + base::QueryEscape(spec_.query) + "&g0.tab=1";
    due.push_back(std::make_shared<const model::Alert>(std::move(out)));
  }
  return due;
}

void AlertingRule::CopyStateFrom(const Rule& old) {
  Rule::CopyStateFrom(old);
  const auto& other = static_cast<const AlertingRule&>(old);
  active_ = other.active_;
  // Rows and written series are this rule's own.
  for (auto& [labels, tracked] : active_) tracked = Tracked{.alert = std::move(tracked.alert)};
  restored_ = other.restored_;
  evaluated_ = other.evaluated_;
}

void AlertingRule::FillStatus(RuleStatus* status) const {
  Rule::FillStatus(status);
  status->state = evaluated_ ? AlertState::kInactive : AlertState::kUnknown;
  for (const auto& [labels, tracked] : active_) {
    const ActiveAlert& alert = tracked.alert;
    status->state = std::max(status->state, alert.state);
    if (alert.state != AlertState::kInactive) status->alerts.push_back(alert);
  }
}

base::Status AlertingRule::Restore(base::Time ts, storage::Queryable* storage,
                                   const RestoreOptions& options) {
  if (spec_.hold < options.grace_period || active_.empty()) {
    restored_ = true;
    return {};
  }
  model::Matchers matchers = {model::Matcher::Equal(model::kMetricName, "ALERTS_FOR_STATE"),
                              model::Matcher::Equal(model::kAlertName, spec_.alert)};
  for (const auto& [name, value] : spec_.labels) {
    if (!templates::HasActions(value)) matchers.push_back(model::Matcher::Equal(name, value));
  }
  const storage::Window window{base::ToUnixMillis(ts - options.outage_tolerance), base::ToUnixMillis(ts)};
  const std::unique_ptr<storage::Querier> querier = storage->NewQuerier(window);
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::SeriesSet> set, querier->Select({.window = window}, matchers));
  storage::LastColumns last;
  RETURN_IF_ERROR(set->ReadLast(0, set->size(), window, &last));

  for (size_t i = 0; i < set->size(); ++i) {
    if (last.times[i] == model::kMinTimestamp || model::IsStale(last.values[i])) continue;
    model::LabelsBuilder labels(set->labels(i));
    labels.Del(model::kMetricName);
    const auto found = active_.find(labels.Build());
    if (found == active_.end()) continue;

    const base::Time down_at = base::FromUnixMillis(last.times[i]);
    const base::Time active_at = base::Time(std::chrono::seconds(static_cast<int64_t>(last.values[i])));
    const base::Duration remaining = spec_.hold - (down_at - active_at);
    if (remaining <= base::Duration(0)) {
      found->second.alert.active_at = active_at;  // fired before: fires at the next evaluation
    } else if (remaining < options.grace_period) {
      found->second.alert.active_at = ts + options.grace_period - spec_.hold;
    } else {
      found->second.alert.active_at = active_at + (ts - down_at);  // the time down does not count
    }
  }
  restored_ = true;
  return {};
}

}  // namespace tocsin::ruler
