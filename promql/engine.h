#pragma once

// Runs PromQL: text -> tree (promql/parse) -> plan (promql/plan) -> operators (promql/exec) -> value.
//
//   promql::Engine engine({.clock = executor});
//   auto result = engine.Instant(db, "sum(rate(http_requests_total[5m]))", now_ms);
//   if (result) Show(std::get<promql::Vector>(result->value));
//
//   auto rule = engine.Prepare("up == 0");          // planned once ...
//   auto firing = rule->Run(db, slot_ms);           // ... run at many times
//
// Threads: an Engine and a PreparedQuery are immutable; run them from any number of threads.  A run is
//          synchronous on the calling worker.
// Time:    milliseconds since the Unix epoch; the clock is only for timeout and statistics.
// Errors:  kInvalidArgument    the text does not parse: "1:5: parse error: ..." (HTTP 400, bad_data)
//          kFailedPrecondition the evaluation failed: many-to-many matching... (HTTP 422, execution)
//          kDeadlineExceeded   the query timed out (HTTP 503, timeout)
//          kCancelled          the caller's token was set (HTTP 499 or 503, canceled)
//          others              as storage gave them (HTTP 500, internal)

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "promql/exec/piece_options.h"
#include "promql/exec/value.h"
#include "promql/parse/ast.h"
#include "promql/parse/parser.h"
#include "storage/queryable.h"

namespace tocsin::base {
class Executor;
class Helpers;
}

namespace tocsin::promql {

struct EngineOptions {
  int64_t max_samples = 50'000'000;       // in memory at once, of one query
  base::Duration timeout = std::chrono::minutes(2);
  base::Duration lookback = std::chrono::minutes(5);
  // The step of subqueries that name none, given their range; null: one minute.
  std::function<base::Duration(base::Duration range)> default_subquery_step;
  ParseOptions parse;                     // experimental functions and other flags
  bool delayed_name_removal = false;
  bool type_and_unit_labels = false;      // __type__ and __unit__ go where __name__ goes
  bool use_start_timestamps = false;      // rate() and its like see resets in them
  bool per_step_stats = false;            // queries may ask for samples by step
  bool share_equal_subtrees = true;       // compute them once; results are the same without
  const base::Executor* clock = nullptr;  // for the timeout; null: no timeout
  base::Helpers* helpers = nullptr;       // idle threads that large queries may use; null: each runs on its own
  exec::PieceOptions pieces;              // what large is
};

struct QueryOptions {
  base::Duration lookback{0};                     // 0: the engine's
  base::Duration timeout{0};                      // 0, or longer than the engine's: the engine's
  const std::atomic<bool>* cancelled = nullptr;   // checked once a block; outlives the run
  bool explain = false;                           // measure each node of the plan
  bool count_samples = false;                     // statistics as Prometheus's
  bool per_step_stats = false;                    // and by step, if the engine's options allow it
};

// start, start + step, ... up to end, inclusive.  REQUIRES: step > 0, start <= end.
struct RangeParams {
  model::Timestamp start = 0;
  model::Timestamp end = 0;
  base::Duration step{0};
};

namespace plan {
struct Plan;
}
namespace standing {
class SharedParts;
class StandingQuery;
}  // namespace standing

// A prepared query that is kept (promql/standing/standing_query.h has what its result is and costs).
//
//   promql::KeptQuery kept = rule.Keep();
//   RETURN_IF_ERROR(kept.Run(db, slot_ms));                     // at each slot
//   for (const auto& s : kept.result().samples()) ...
//
// Threads: one at a time.  REQUIRES: the query's type is an instant vector or a scalar.
class KeptQuery {
 public:
  KeptQuery(KeptQuery&&) noexcept;
  KeptQuery& operator=(KeptQuery&&) noexcept;
  ~KeptQuery();

  // `storage` outlives this and is the same at each call.  Errors: as of a PreparedQuery.
  base::Status Run(storage::Queryable* storage, model::Timestamp at);
  // Of the last Run(); after an error: empty.
  const standing::StandingQuery& result() const;

 private:
  friend class PreparedQuery;
  friend class KeptGroup;
  struct Rep;
  explicit KeptQuery(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// Kept queries that are run one after the other at one time, as the rules of a group are: their equal subtrees
// are computed once (promql/standing/shared_parts.h).
//
//   promql::KeptGroup group(queries, changed_by);      // before they first run
//   group.Begin();
//   for (KeptQuery* query : queries) ...               // run it, write what it gave
//   group.End();
//
// Threads: one at a time, as the queries.
class KeptGroup {
 public:
  // For a part of query `i`: 1 + the last query before it whose results the part may read; 0: none.
  using ChangedBy = std::function<size_t(size_t query, const Expr& part)>;

  KeptGroup();  // of none
  // In the order in which they are run; null where there is none.  They do not outlive this.
  KeptGroup(const std::vector<KeptQuery*>& queries, const ChangedBy& changed_by);
  KeptGroup(KeptGroup&&) noexcept;
  KeptGroup& operator=(KeptGroup&&) noexcept;
  ~KeptGroup();

  // Results are those of one moment between these two; outside nothing is computed for others.
  void Begin();
  void End();
  // Subtrees that are computed once.
  size_t parts() const;

 private:
  std::unique_ptr<standing::SharedParts> parts_;  // null: nothing in common
};

// An expression parsed, checked and planned once.  It keeps nothing of a run.
class PreparedQuery {
 public:
  PreparedQuery(PreparedQuery&&) noexcept;
  PreparedQuery& operator=(PreparedQuery&&) noexcept;
  ~PreparedQuery();

  const std::string& text() const;
  const Expr& expr() const;
  ValueType type() const;

  base::Result<QueryResult> Run(storage::Queryable* storage, model::Timestamp at,
                                const QueryOptions& options = {}) const;
  // Scalars and instant vectors only; kInvalidArgument otherwise.
  base::Result<QueryResult> RunRange(storage::Queryable* storage, const RangeParams& range,
                                     const QueryOptions& options = {}) const;

  // The plan, without costs.
  plan::Explained Explain() const;

  // The same plan, to be kept.  It may outlive this.
  KeptQuery Keep(const QueryOptions& options = {}) const;

 private:
  friend class Engine;
  friend class KeptQuery;
  struct Rep;
  explicit PreparedQuery(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

class Engine {
 public:
  explicit Engine(EngineOptions options);
  const EngineOptions& options() const { return *options_; }

  // Parses and plans.  The prepared query may outlive the engine.
  base::Result<PreparedQuery> Prepare(std::string_view text) const;
  base::Result<PreparedQuery> Prepare(const Expr& expr) const;  // positions: of its printed form

  base::Result<QueryResult> Instant(storage::Queryable* storage, std::string_view text,
                                    model::Timestamp at, const QueryOptions& options = {}) const;
  base::Result<QueryResult> Range(storage::Queryable* storage, std::string_view text,
                                  const RangeParams& range, const QueryOptions& options = {}) const;

 private:
  std::shared_ptr<const EngineOptions> options_;  // shared with prepared queries
};

}  // namespace tocsin::promql
