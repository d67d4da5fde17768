// A test steps through time: at each step the input samples up to it are stored, every rule group is
// evaluated, and the alert tests of that step look at the alerts that fire.  Expressions are asked
// afterwards, each at its own time.

#include "tools/rule_test_run.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/duration.h"
#include "base/number.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"
#include "base/text.h"
#include "promql/engine.h"
#include "promql/parse/series_notation.h"
#include "ruler/group.h"
#include "tsdb/db.h"

namespace tocsin::tools {
namespace {

struct LoadedSeries {
  promql::SeriesDescription description;
  size_t next = 0;  // the first value not yet stored
  storage::SeriesRef ref = 0;
};

struct Sample {
  model::Labels labels;
  double value = 0;
  model::HistogramPtr histogram;
};

std::string SampleText(const Sample& s) {
  return s.labels.ToString() + " " +
         (s.histogram != nullptr ? s.histogram->ToString() : base::FormatPrecision(s.value, 'E', -1));
}

template <class T>
std::string SamplesText(const std::vector<T>& samples) {
  if (samples.empty()) return "nil";
  std::vector<std::string> parts;
  for (const T& s : samples) parts.push_back(SampleText({s.labels, s.value, s.histogram}));
  return base::Join(parts, ", ");
}

bool SameValue(double a, double b, bool fuzzy) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  // As promtool's fuzzy_compare: the next float on either side passes too.
  return fuzzy && (std::nextafter(a, -INFINITY) == b || std::nextafter(a, INFINITY) == b);
}

class Run {
 public:
  Run(const TestGroup& test, const RunOptions& options)
      : test_(test),
        options_(options),
        clock_(test.start),
        engine_({.default_subquery_step = [step = options.evaluation_interval](base::Duration) { return step; },
                 .parse = {.experimental_functions = options.features.experimental_functions,
                           .extended_range_selectors = options.features.extended_range_selectors,
                           .binop_fill_modifiers = options.features.binop_fill_modifiers},
                 .delayed_name_removal = options.features.delayed_name_removal,
                 .type_and_unit_labels = options.features.type_and_unit_labels,
                 .use_start_timestamps = options.features.use_start_timestamps}) {}

  std::vector<std::string> Do(const std::vector<ruler::GroupSpec>& specs) {
    base::Duration last{0};
    for (const AlertTestCase& c : test_.alert_tests) last = std::max(last, c.eval_time);
    for (const ExprTestCase& c : test_.expr_tests) last = std::max(last, c.eval_time);
    if (auto ready = Prepare(specs, last); !ready) {
      failures_.push_back("    " + ready.error().message());
      return std::move(failures_);
    }
    for (base::Duration at{0};; at += options_.evaluation_interval) {
      if (!Step(at)) return std::move(failures_);
      // Compared so that times near the end of what a duration holds do not overflow.
      if (last - at < options_.evaluation_interval) break;
    }
    for (const ExprTestCase& c : test_.expr_tests) CheckExpression(c);
    return std::move(failures_);
  }

 private:
  // `last` is the latest time that is looked at.
  base::Status Prepare(const std::vector<ruler::GroupSpec>& specs, base::Duration last) {
    ASSIGN_OR_RETURN(db_, tsdb::Db::Open({.path = "test", .fs = &files_, .wal = false, .lock_file = false}));
    const size_t wanted = static_cast<size_t>(last / test_.interval) + 1;
    for (const InputSeries& input : test_.input) {
      ASSIGN_OR_RETURN(promql::SeriesDescription parsed,
                       promql::ParseSeriesDescription(input.series + " " + input.values, wanted));
      // A series that is given twice is replaced.
      std::erase_if(series_, [&](const LoadedSeries& s) { return s.description.labels == parsed.labels; });
      series_.push_back({std::move(parsed), 0, 0});
    }
    const ruler::GroupEnvironment environment{
        .clock = &clock_, .engine = &engine_, .storage = db_.get(), .recorded = db_.get(), .restore = {}};
    const ruler::GroupSettings settings{.default_interval = test_.interval,
                                        .external_url = test_.external_url,
                                        .external_labels = test_.external_labels};
    for (const ruler::GroupSpec& spec : specs) {
      ASSIGN_OR_RETURN(std::unique_ptr<ruler::Group> group, ruler::Group::Make(spec, settings, environment));
      group->SkipRestore();
      groups_.push_back(std::move(group));
    }
    // Those named in group_eval_order come first, in its order.
    auto rank = [&](const std::unique_ptr<ruler::Group>& group) {
      const auto& order = options_.group_eval_order;
      return std::ranges::find(order, group->spec().name) - order.begin();
    };
    std::ranges::stable_sort(groups_, {}, rank);
    return {};
  }

  base::Time TimeOf(base::Duration at) const { return test_.start + at; }

  // Stores what the input has up to `at`.
  base::Status LoadUpTo(base::Duration at) {
    const std::unique_ptr<storage::Appender> appender = db_->NewAppender();
    for (LoadedSeries& series : series_) {
      const auto& values = series.description.values;
      for (; series.next < values.size(); ++series.next) {
        const base::Duration offset = test_.interval * static_cast<int64_t>(series.next);
        if (offset > at) break;
        const promql::SequenceValue& value = values[series.next];
        if (value.omitted) continue;
        if (series.ref == 0) {
          ASSIGN_OR_RETURN(series.ref, appender->Resolve(series.description.labels));
        }
        const model::Timestamp t = base::ToUnixMillis(TimeOf(offset));
        storage::AppendOutcome outcome;
        if (value.histogram != nullptr) {
          outcome = appender->AppendHistogram(series.ref, t, value.histogram);
        } else {
          const storage::FloatSample sample{series.ref, t, value.value};
          appender->Append(std::span(&sample, 1), std::span(&outcome, 1));
        }
        if (outcome != storage::AppendOutcome::kOk) {
          return base::FailedPrecondition("input series " + series.description.labels.ToMetricString() +
                                          ": a rule wrote a later sample of the same series");
        }
      }
    }
    return appender->Commit();
  }

  bool Step(base::Duration at) {
    if (auto loaded = LoadUpTo(at); !loaded) {
      failures_.push_back("    " + loaded.error().message());
      return false;
    }
    clock_.RunUntil(TimeOf(at));
    bool fine = true;
    for (const auto& group : groups_) {
      const ruler::GroupResult result = group->Evaluate(TimeOf(at));
      for (const ruler::RuleStatus& rule : result.status->rules) {
        if (rule.last_error.empty()) continue;
        failures_.push_back("    rule: " + rule.spec->name() + ", time: " + base::FormatGoDuration(at) +
                            ", err: " + rule.last_error);
        fine = false;
      }
    }
    if (!fine) return false;
    for (const AlertTestCase& c : test_.alert_tests) {
      if (at <= c.eval_time && c.eval_time - at < options_.evaluation_interval) CheckAlerts(c);
    }
    return true;
  }

  std::string Prefix() const { return test_.name.empty() ? "" : "    name: " + test_.name + ",\n"; }

  static std::string AlertsText(std::vector<ExpectedAlert> alerts) {
    std::ranges::sort(alerts, [](const ExpectedAlert& a, const ExpectedAlert& b) { return a.labels < b.labels; });
    if (alerts.empty()) return "[]";
    std::string text = "[";
    for (size_t i = 0; i < alerts.size(); ++i) {
      text += "\n            " + std::to_string(i) + ":\n              Labels:" + alerts[i].labels.ToString() +
              "\n              Annotations:" + alerts[i].annotations.ToString();
    }
    return text + "\n            ]";
  }

  void CheckAlerts(const AlertTestCase& c) {
    std::vector<ExpectedAlert> got;
    for (const auto& group : groups_) {
      const auto status = group->MakeStatus();
      for (const ruler::RuleStatus& rule : status->rules) {
        if (!rule.spec->is_alert() || rule.spec->name() != c.alertname) continue;
        for (const ruler::ActiveAlert& alert : rule.alerts) {
          if (alert.state == ruler::AlertState::kFiring) got.push_back({alert.labels, alert.annotations});
        }
      }
    }
    auto less = [](const ExpectedAlert& a, const ExpectedAlert& b) {
      return std::tie(a.labels, a.annotations) < std::tie(b.labels, b.annotations);
    };
    std::vector<ExpectedAlert> expected = c.expected;
    std::ranges::sort(expected, less);
    std::ranges::sort(got, less);
    const bool same = std::ranges::equal(got, expected, [](const ExpectedAlert& a, const ExpectedAlert& b) {
      return a.labels == b.labels && a.annotations == b.annotations;
    });
    if (same) return;
    const std::string head = Prefix() + "    alertname: " + c.alertname +
                             ", time: " + base::FormatDuration(c.eval_time) + ", \n";
    const std::string expected_text = AlertsText(std::move(expected));
    const std::string got_text = AlertsText(std::move(got));
    failures_.push_back(head + (options_.show_diff
                                    ? "        diff:\n" + LineDiff(expected_text, got_text)
                                    : "        exp:" + expected_text + ", \n        got:" + got_text));
  }

  // Lines of the first that the second lacks with -, and the reverse with +.
  static std::string LineDiff(std::string_view expected, std::string_view got) {
    const std::vector<std::string_view> a = base::Split(expected, '\n');
    const std::vector<std::string_view> b = base::Split(got, '\n');
    std::string text;
    for (const std::string_view line : a) {
      const bool common = std::ranges::find(b, line) != b.end();
      text += std::string(common ? "          " : "        - ") + std::string(line) + "\n";
    }
    for (const std::string_view line : b) {
      if (std::ranges::find(a, line) == a.end()) text += "        + " + std::string(line) + "\n";
    }
    if (!text.empty()) text.pop_back();
    return text;
  }

  void CheckExpression(const ExprTestCase& c) {
    const std::string head = Prefix() + "    expr: " + base::Quote(c.expr) +
                             ", time: " + base::FormatDuration(c.eval_time) + ",";
    if (auto loaded = LoadUpTo(c.eval_time); !loaded) {
      failures_.push_back(head + " err: " + loaded.error().message());
      return;
    }
    const auto result = engine_.Instant(db_.get(), c.expr, base::ToUnixMillis(TimeOf(c.eval_time)));
    if (!result) {
      failures_.push_back(head + " err: " + result.error().message());
      return;
    }
    std::vector<Sample> got;
    if (const auto* vector = std::get_if<promql::Vector>(&result->value)) {
      for (const promql::VectorSample& s : *vector) got.push_back({s.labels, s.v, s.h});
    } else if (const auto* scalar = std::get_if<promql::Scalar>(&result->value)) {
      got.push_back({model::Labels(), scalar->v, nullptr});
    } else {
      failures_.push_back(head + " err: query result is not a vector or scalar");
      return;
    }
    if (!c.bad_labels.empty()) {
      failures_.push_back(head + " err: " + c.bad_labels);
      return;
    }
    std::vector<ExpectedSample> expected = c.expected;
    auto by_labels = [](const auto& a, const auto& b) { return a.labels < b.labels; };
    std::ranges::sort(expected, by_labels);
    std::ranges::sort(got, by_labels);
    const bool same = std::ranges::equal(got, expected, [&](const Sample& a, const ExpectedSample& b) {
      if (a.labels != b.labels || (a.histogram == nullptr) != (b.histogram == nullptr)) return false;
      if (a.histogram == nullptr) return SameValue(a.value, b.value, options_.fuzzy_compare);
      return a.histogram->ToString() == b.histogram->ToString();
    });
    if (same) return;
    const std::string expected_text = SamplesText(expected);
    const std::string got_text = SamplesText(got);
    failures_.push_back(head + "\n" + (options_.show_diff
                                           ? "        diff:\n" + LineDiff(expected_text, got_text)
                                           : "        exp: " + expected_text + "\n        got: " + got_text));
  }

  const TestGroup& test_;
  const RunOptions& options_;
  base::SimulatedExecutor clock_;
  base::SimulatedFileSystem files_;
  promql::Engine engine_;
  std::unique_ptr<tsdb::Db> db_;
  std::vector<LoadedSeries> series_;
  std::vector<std::unique_ptr<ruler::Group>> groups_;
  std::vector<std::string> failures_;
};

}  // namespace

std::vector<std::string> RunTestGroup(const TestGroup& test, const std::vector<ruler::GroupSpec>& groups,
                                      const RunOptions& options) {
  return Run(test, options).Do(groups);
}

}  // namespace tocsin::tools
