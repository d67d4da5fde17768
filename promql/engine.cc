#include "promql/engine.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/executor.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"
#include "promql/exec/profile.h"
#include "promql/exec/result.h"
#include "promql/exec/sample_counts.h"
#include "promql/parse/printer.h"
#include "promql/plan/explain.h"
#include "promql/plan/plan.h"
#include "promql/standing/shared_parts.h"
#include "promql/standing/standing_query.h"

namespace tocsin::promql {

namespace {

constexpr int64_t kDefaultSubqueryStepMs = 60'000;

int64_t Ms(base::Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

// From now on; without a clock there is none.
base::Duration DeadlineOf(const EngineOptions& engine, const QueryOptions& query) {
  if (engine.clock == nullptr) return base::Duration(0);
  base::Duration timeout = engine.timeout;
  if (query.timeout.count() > 0) timeout = std::min(timeout, query.timeout);
  return engine.clock->Monotonic() + timeout;
}

exec::RunOptions MakeRunOptions(const EngineOptions& engine, const QueryOptions& query) {
  exec::RunOptions o;
  o.max_samples = engine.max_samples;
  o.lookback_ms = Ms(query.lookback.count() > 0 ? query.lookback : engine.lookback);
  o.delayed_name_removal = engine.delayed_name_removal;
  o.type_and_unit_labels = engine.type_and_unit_labels;
  o.use_start_timestamps = engine.use_start_timestamps;
  o.cancelled = query.cancelled;
  o.pieces = engine.pieces;
  o.helpers = engine.helpers;
  if (engine.default_subquery_step) {
    o.default_subquery_step_ms = [step = engine.default_subquery_step](int64_t range_ms) {
      return Ms(step(std::chrono::milliseconds(range_ms)));
    };
  } else {
    o.default_subquery_step_ms = [](int64_t) { return kDefaultSubqueryStepMs; };
  }
  if (engine.clock != nullptr) o.monotonic = [clock = engine.clock] { return clock->Monotonic(); };
  o.deadline = DeadlineOf(engine, query);
  return o;
}

}  // namespace

ValueType QueryResult::type() const {
  switch (value.index()) {
    case 0: return ValueType::kScalar;
    case 1: return ValueType::kString;
    case 2: return ValueType::kVector;
    default: return ValueType::kMatrix;
  }
}

void LimitAnnotations(size_t limit, QueryResult* result) {
  const auto cut = [limit](std::vector<std::string>* lines, std::string_view kind) {
    if (limit == 0 || lines->size() <= limit) return;
    const size_t more = lines->size() - limit;
    lines->resize(limit);
    lines->push_back(std::to_string(more) + " more " + std::string(kind) +
                     " annotations omitted");
  };
  cut(&result->warnings, "warning");
  cut(&result->infos, "info");
}

struct PreparedQuery::Rep {
  std::shared_ptr<const EngineOptions> options;
  std::string text;
  std::shared_ptr<const plan::Plan> plan;

  base::Result<QueryResult> Run(storage::Queryable* storage, const plan::QueryTimes& times,
                                const QueryOptions& query) const;
};

base::Result<QueryResult> PreparedQuery::Rep::Run(storage::Queryable* storage,
                                                  const plan::QueryTimes& times,
                                                  const QueryOptions& query) const {
  const base::Duration begin = options->clock ? options->clock->Monotonic() : base::Duration{0};
  exec::Run run(storage, MakeRunOptions(*options, query), times);
  exec::Profile profile;
  if (query.explain) run.MeasureInto(&profile);
  const exec::Grid grid = exec::GridOf(times);
  std::optional<exec::SampleCounts> counts;
  if (query.count_samples || query.per_step_stats) run.CountInto(&counts.emplace(grid));
  QueryResult result;
  ASSIGN_OR_RETURN(result.value, exec::RunPlan(run, *plan, grid));
  result.warnings = run.annotations().Warnings(text);
  result.infos = run.annotations().Infos(text);
  result.stats.samples_looked_at = result.stats.samples_read = run.samples_read();
  if (counts) {
    const auto sum = [](const std::vector<int64_t>& of_steps) {
      return std::accumulate(of_steps.begin(), of_steps.end(), int64_t{0});
    };
    result.stats.samples_looked_at = sum(counts->looked_at());
    result.stats.samples_read = sum(counts->read());
    if (query.per_step_stats && options->per_step_stats) {
      result.stats.steps = {.start = grid.start,
                            .step_ms = grid.step_ms,
                            .looked_at = counts->looked_at(),
                            .read = counts->read()};
    }
  }
  result.stats.peak_samples = run.peak_samples();
  result.stats.series_selected = run.series_selected();
  if (query.explain) {
    result.explained = std::make_shared<const plan::Explained>(
        plan::Explain(*plan, [&](const plan::Node& node) { return profile.Find(node); }));
  }
  if (options->clock) result.stats.eval_time = options->clock->Monotonic() - begin;
  return result;
}

PreparedQuery::PreparedQuery(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
PreparedQuery::PreparedQuery(PreparedQuery&&) noexcept = default;
PreparedQuery& PreparedQuery::operator=(PreparedQuery&&) noexcept = default;
PreparedQuery::~PreparedQuery() = default;

const std::string& PreparedQuery::text() const { return rep_->text; }
const Expr& PreparedQuery::expr() const { return *rep_->plan->expr; }
ValueType PreparedQuery::type() const { return rep_->plan->type; }
plan::Explained PreparedQuery::Explain() const { return plan::Explain(*rep_->plan); }

base::Result<QueryResult> PreparedQuery::Run(storage::Queryable* storage, model::Timestamp at,
                                             const QueryOptions& options) const {
  return rep_->Run(storage, {.start = at, .end = at, .step_ms = 0}, options);
}

base::Result<QueryResult> PreparedQuery::RunRange(storage::Queryable* storage,
                                                  const RangeParams& range,
                                                  const QueryOptions& options) const {
  if (type() != ValueType::kVector && type() != ValueType::kScalar) {
    return base::InvalidArgument("invalid expression type \"" +
                                 std::string(ValueTypeName(type())) +
                                 "\" for range query, must be Scalar or instant Vector");
  }
  const int64_t step = Ms(range.step);
  if (step <= 0) return base::InvalidArgument("the step of a range query must be at least 1ms");
  return rep_->Run(storage, {.start = range.start, .end = range.end, .step_ms = step}, options);
}

struct KeptQuery::Rep {
  Rep(const PreparedQuery::Rep& query, const QueryOptions& query_options);
  std::shared_ptr<const EngineOptions> engine;
  QueryOptions query;
  standing::StandingQuery standing;
};

KeptQuery PreparedQuery::Keep(const QueryOptions& options) const {
  return KeptQuery(std::make_unique<KeptQuery::Rep>(*rep_, options));
}

KeptQuery::Rep::Rep(const PreparedQuery::Rep& prepared, const QueryOptions& query_options)
    : engine(prepared.options),
      query(query_options),
      standing(prepared.plan, prepared.text, MakeRunOptions(*engine, query)) {}
KeptQuery::KeptQuery(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
KeptQuery::KeptQuery(KeptQuery&&) noexcept = default;
KeptQuery& KeptQuery::operator=(KeptQuery&&) noexcept = default;
KeptQuery::~KeptQuery() = default;
const standing::StandingQuery& KeptQuery::result() const { return rep_->standing; }

base::Status KeptQuery::Run(storage::Queryable* storage, model::Timestamp at) {
  return rep_->standing.Run(storage, DeadlineOf(*rep_->engine, rep_->query), at);
}

KeptGroup::KeptGroup() = default;
KeptGroup::KeptGroup(KeptGroup&&) noexcept = default;
KeptGroup& KeptGroup::operator=(KeptGroup&&) noexcept = default;
KeptGroup::~KeptGroup() = default;

KeptGroup::KeptGroup(const std::vector<KeptQuery*>& queries, const ChangedBy& changed_by) {
  std::vector<std::shared_ptr<const plan::Plan>> plans;
  const exec::RunOptions* options = nullptr;
  for (const KeptQuery* query : queries) {
    const bool shares = query != nullptr && query->rep_->engine->share_equal_subtrees;
    plans.push_back(shares ? query->result().plan() : nullptr);
    if (shares) options = &query->result().options();
  }
  if (options == nullptr) return;
  auto parts = std::make_unique<standing::SharedParts>(plans, *options, changed_by);
  if (parts->size() == 0) return;
  parts_ = std::move(parts);
  for (KeptQuery* query : queries) {
    if (query != nullptr) query->rep_->standing.ReadFrom(parts_.get());
  }
}

void KeptGroup::Begin() {
  if (parts_ != nullptr) parts_->Begin();
}
void KeptGroup::End() {
  if (parts_ != nullptr) parts_->End();
}
size_t KeptGroup::parts() const { return parts_ == nullptr ? 0 : parts_->size(); }

Engine::Engine(EngineOptions options)
    : options_(std::make_shared<const EngineOptions>(std::move(options))) {}

base::Result<PreparedQuery> Engine::Prepare(std::string_view text) const {
  ASSIGN_OR_RETURN(ExprPtr expr, Parse(text, options_->parse));
  auto rep = std::make_unique<PreparedQuery::Rep>();
  rep->options = options_;
  rep->text = text;
  ASSIGN_OR_RETURN(rep->plan, plan::MakePlan(std::move(expr), options_->share_equal_subtrees));
  return PreparedQuery(std::move(rep));
}

base::Result<PreparedQuery> Engine::Prepare(const Expr& expr) const {
  return Prepare(Print(expr));
}

base::Result<QueryResult> Engine::Instant(storage::Queryable* storage, std::string_view text,
                                          model::Timestamp at, const QueryOptions& options) const {
  ASSIGN_OR_RETURN(PreparedQuery query, Prepare(text));
  return query.Run(storage, at, options);
}

base::Result<QueryResult> Engine::Range(storage::Queryable* storage, std::string_view text,
                                        const RangeParams& range,
                                        const QueryOptions& options) const {
  ASSIGN_OR_RETURN(PreparedQuery query, Prepare(text));
  return query.RunRange(storage, range, options);
}

}  // namespace tocsin::promql
