// info(): adds to series the labels of the info metrics that describe the same instance and job.
// Source: Prometheus 3.14, promql/info.go.

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/regex.h"
#include "promql/exec/late_rows.h"
#include "promql/exec/sample_counts.h"
#include "promql/exec/range_row.h"
#include "promql/exec/time_map.h"

namespace tocsin::promql::exec {
namespace {

constexpr std::string_view kTargetInfo = "target_info";
constexpr std::string_view kIdentifying[] = {model::kInstance, model::kJob};
constexpr uint32_t kNone = UINT32_MAX;

// When the first selector of an expression is looked at: @ and the offsets around it.
struct SelectorTime {
  const TimeShift* at = nullptr;  // the innermost shift with @
  int64_t offset_ms = 0;
};

bool FindSelectorTime(const Run& run, const Expr& e, std::vector<const TimeShift*>* around,
                      SelectorTime* out) {
  const auto offset = [&](const TimeShift& shift) -> int64_t {
    return ResolveOffset(run, shift).value_or(0);  // the selector's own operator reports the error
  };
  if (e.kind == ExprKind::kVectorSelector) {
    around->push_back(&As<VectorSelector>(e).shift);
    for (size_t i = around->size(); i-- > 0 && out->at == nullptr;) {
      out->offset_ms += offset(*(*around)[i]);
      if ((*around)[i]->at != AtKind::kNone) out->at = (*around)[i];
    }
    return true;
  }
  const bool subquery = e.kind == ExprKind::kSubquery;
  if (subquery) around->push_back(&As<Subquery>(e).shift);
  for (const Expr* child : Children(e)) {
    if (FindSelectorTime(run, *child, around, out)) return true;
  }
  if (subquery) around->pop_back();
  return false;
}

class InfoOperator : public LateRowsOperator {
 public:
  InfoOperator(Run& run, const plan::Node& node, const Grid* grid, OperatorPtr input)
      : LateRowsOperator(run, node, grid), input_(std::move(input)) {}

  base::Status Init(Run& run) {
    if (node_.inputs.size() > 1) {
      for (const model::Matcher& m : As<VectorSelector>(*node_.inputs[1]->expr).matchers) {
        (m.name() == model::kMetricName ? names_ : data_).push_back(m);
      }
    }
    RETURN_IF_ERROR(CompleteNames());
    SelectorTime time;
    std::vector<const TimeShift*> around;
    FindSelectorTime(run, *node_.inputs[0]->expr, &around, &time);
    map_ = {grid_.start - time.offset_ms, grid_.step_ms};
    if (time.at != nullptr) {
      TimeShift shift;
      shift.at = time.at->at;
      shift.at_ms = time.at->at_ms;
      ASSIGN_OR_RETURN(map_, MakeTimeMap(run, shift, grid_));
      map_.start -= time.offset_ms;
    }
    run.AnnounceWindow(WindowOf(map_, grid_, run.options().lookback_ms, 0));
    return {};
  }

  base::Status Open(Run& run) override {
    RETURN_IF_ERROR(input_->Open(run));
    FindIgnored();
    RETURN_IF_ERROR(SelectInfo(run));
    MatchSignatures();
    return ForSpans(run, input_->series().size() + info_labels_.size(),
                    [&](StepSpan span) -> base::Status {
                      RETURN_IF_ERROR(in_.Eval(run, *input_, span));
                      RETURN_IF_ERROR(ReadInfo(run, span));
                      for (size_t s = 0; s < span.count; ++s) {
                        RETURN_IF_ERROR(Combine(run, span, s));
                      }
                      in_.Drop(run);
                      return {};
                    });
  }

 private:
  // Which metrics are info metrics: target_info, unless the selector names others.
  base::Status CompleteNames() {
    if (names_.empty()) {
      names_.push_back(model::Matcher::Equal(model::kMetricName, kTargetInfo));
      return {};
    }
    if (std::ranges::any_of(names_, [](const model::Matcher& m) { return !m.negative(); })) {
      return {};
    }
    ASSIGN_OR_RETURN(model::Matcher any, model::Matcher::Make(model::MatchOp::kRegex,
                                                              model::kMetricName, ".+_info"));
    names_.insert(names_.begin(), std::move(any));
    return {};
  }

  // Info series themselves are passed on as they are.
  void FindIgnored() {
    for (const Series& s : input_->series()) {
      const std::string_view name = s.labels.MetricName();
      ignored_.push_back(std::ranges::all_of(
          names_, [&](const model::Matcher& m) { return m.Matches(name); }));
    }
  }

  base::Status SelectInfo(Run& run) {
    model::Matchers matchers;
    for (std::string_view label : kIdentifying) {
      std::set<std::string_view> values;
      for (size_t row = 0; row < ignored_.size(); ++row) {
        const std::string_view value = input_->series()[row].labels.Get(label);
        if (!ignored_[row] && !value.empty()) values.insert(value);
      }
      if (values.empty()) continue;
      std::string pattern;
      for (std::string_view value : values) {
        if (!pattern.empty()) pattern += '|';
        pattern += base::QuoteMeta(value);
      }
      ASSIGN_OR_RETURN(model::Matcher m,
                       model::Matcher::Make(model::MatchOp::kRegex, label, pattern));
      matchers.push_back(std::move(m));
    }
    if (matchers.empty()) return {};
    matchers.insert(matchers.end(), data_.begin(), data_.end());
    matchers.insert(matchers.end(), names_.begin(), names_.end());
    const storage::Window window = WindowOf(map_, grid_, run.options().lookback_ms, 0);
    ASSIGN_OR_RETURN(set_, run.SelectNow(matchers, window));
    for (size_t i = 0; i < set_->size(); ++i) info_labels_.push_back(set_->labels(i));
    return {};
  }

  static std::string Signature(std::string_view name, model::LabelsView labels) {
    std::string key(name);
    for (std::string_view label : kIdentifying) {
      key += '\xff';
      key += labels.Get(label);
    }
    return key;
  }

  void MatchSignatures() {
    std::map<std::string, uint32_t> ids;
    std::set<std::string_view> names;
    for (model::LabelsView labels : info_labels_) {
      names.insert(labels.MetricName());
      auto [it, fresh] =
          ids.try_emplace(Signature(labels.MetricName(), labels), static_cast<uint32_t>(ids.size()));
      info_signature_.push_back(it->second);
    }
    newest_.resize(ids.size());
    for (const Series& s : input_->series()) {
      std::vector<uint32_t> matched;
      for (std::string_view name : names) {
        auto it = ids.find(Signature(name, s.labels));
        if (it != ids.end()) matched.push_back(it->second);
      }
      base_signatures_.push_back(std::move(matched));
    }
  }

  // The times of the newest info samples at each step.
  base::Status ReadInfo(Run& run, StepSpan span) {
    const int64_t lookback = run.options().lookback_ms;
    info_times_.assign(info_labels_.size() * span.count, model::kMinTimestamp);
    if (info_labels_.empty()) return {};
    RETURN_IF_ERROR(
        set_->Read(0, info_labels_.size(), WindowOf(map_, span, lookback, 0), &columns_));
    run.CountRead(static_cast<int64_t>(columns_.times.size()));
    for (size_t i = 0; i < info_labels_.size(); ++i) {
      const auto t = columns_.times_of(i);
      const auto v = columns_.values_of(i);
      for (size_t s = 0; s < span.count; ++s) {
        const model::Timestamp at = map_.time(span.first + s);
        auto next = std::ranges::upper_bound(t, at);
        if (next == t.begin()) continue;
        const auto last = static_cast<size_t>(next - t.begin()) - 1;
        if (t[last] <= at - lookback || model::IsStale(v[last])) continue;
        if (FindHistogram(columns_, columns_.offsets[i] + last) != nullptr) {
          return base::FailedPrecondition(
              "this should be an info metric, with float samples: " + info_labels_[i].ToString());
        }
        info_times_[i * span.count + s] = t[last];
      }
    }
    if (run.counts() != nullptr) {
      run.counts()->CountSteps(node_, grid_, span, [&](size_t s) {
        int64_t found = 0;
        for (size_t i = 0; i < info_labels_.size(); ++i) {
          found += info_times_[i * span.count + s] != model::kMinTimestamp;
        }
        return found;
      });
    }
    return {};
  }

  base::Status Combine(Run& run, StepSpan span, size_t s) {
    if (!AnyBase(s)) return {};
    RETURN_IF_ERROR(FindNewest(span, s));
    for (uint32_t row = 0; row < in_->rows(); ++row) {
      const uint8_t cell = in_->cells(row)[s];
      if (cell == kAbsent) continue;
      const Series& base_series = input_->series()[row];
      std::string encoded(base_series.labels.encoded());
      if (!ignored_[row]) {
        bool keep = true;
        RETURN_IF_ERROR(Enrich(row, &encoded, &keep));
        if (!keep) continue;
      }
      const uint32_t to = Row(run, encoded, base_series.drop_name);
      RETURN_IF_ERROR(Add(run, to, span.first + s, in_->values(row)[s],
                          cell == kHistogram ? in_->histogram(row, s) : nullptr));
    }
    return {};
  }

  bool AnyBase(size_t s) {
    for (size_t row = 0; row < in_->rows(); ++row) {
      if (in_->cells(row)[s] != kAbsent) return true;
    }
    return false;
  }

  // Of each signature, the info series with the newest sample.
  base::Status FindNewest(StepSpan span, size_t s) {
    std::ranges::fill(newest_, kNone);
    const auto time = [&](uint32_t i) { return info_times_[i * span.count + s]; };
    for (uint32_t i = 0; i < info_labels_.size(); ++i) {
      if (time(i) == model::kMinTimestamp) continue;
      uint32_t& newest = newest_[info_signature_[i]];
      if (newest == kNone || time(newest) < time(i)) {
        newest = i;
      } else if (time(newest) == time(i)) {
        return base::FailedPrecondition(fmt::format(
            "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
            info_labels_[newest].ToString(), time(newest), info_labels_[i].ToString(), time(i)));
      }
    }
    return {};
  }

  bool Wanted(std::string_view label) const {
    return data_.empty() || std::ranges::any_of(data_, [&](const model::Matcher& m) {
             return m.name() == label;
           });
  }

  base::Status Enrich(uint32_t row, std::string* encoded, bool* keep) {
    const model::LabelsView base_labels = input_->series()[row].labels;
    model::LabelsBuilder added;
    bool matched = false;
    for (uint32_t signature : base_signatures_[row]) {
      const uint32_t info = newest_[signature];
      if (info == kNone) continue;
      matched = true;
      for (const model::Label& l : info_labels_[info]) {
        if (l.name == model::kMetricName || !Wanted(l.name)) continue;
        const std::string_view before = added.Get(l.name);
        if (!before.empty() && before != l.value) {
          return base::FailedPrecondition("conflicting label: " + std::string(l.name));
        }
        if (!base_labels.Has(l.name)) added.Set(l.name, l.value);
      }
    }
    if (!matched) {
      // Without an info series only those remain that need no label of it.
      *keep = std::ranges::all_of(data_,
                                  [](const model::Matcher& m) { return m.matches_empty(); });
      return {};
    }
    model::LabelsBuilder all(base_labels);
    for (const auto& [name, value] : added.pairs()) all.Set(name, value);
    *encoded = all.Build().view().encoded();
    return {};
  }

  OperatorPtr input_;
  model::Matchers names_;
  model::Matchers data_;
  TimeMap map_;
  std::vector<bool> ignored_;
  std::unique_ptr<storage::SeriesSet> set_;
  std::vector<model::LabelsView> info_labels_;
  std::vector<uint32_t> info_signature_;
  std::vector<std::vector<uint32_t>> base_signatures_;
  HeldBlock in_;
  storage::SampleColumns columns_;
  std::vector<model::Timestamp> info_times_;  // info series x steps of the span
  std::vector<uint32_t> newest_;              // by signature
};

}  // namespace

base::Result<OperatorPtr> MakeInfo(Run& run, const plan::Node& node, const Grid* grid) {
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  auto op = std::make_unique<InfoOperator>(run, node, grid, std::move(input));
  RETURN_IF_ERROR(op->Init(run));
  return op;
}

}  // namespace tocsin::promql::exec
