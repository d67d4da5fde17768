#include "ruler/written_series.h"

#include <string>
#include <string_view>

namespace tocsin::ruler {
namespace {

// Series that ended are remembered until they are this many, and more than there are active ones.
constexpr size_t kKeptAtLeast = 64;

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

base::Status Refused(const model::Labels& labels, storage::AppendOutcome outcome) {
  return base::FailedPrecondition(labels.ToMetricString() + ": " + std::string(OutcomeText(outcome)));
}

}  // namespace

void WrittenSeries::Begin() {
  ++evaluation_;
  points_.clear();
  continued_ = 0;
  if (series_.size() > kKeptAtLeast + 2 * active_) Compact();
}

uint32_t WrittenSeries::Find(const model::Labels& labels) {
  const auto [it, fresh] = by_labels_.try_emplace(labels, static_cast<uint32_t>(series_.size()));
  if (fresh) series_.push_back({.labels = labels});
  return it->second;
}

bool WrittenSeries::Put(uint32_t number, double v, model::HistogramPtr h) {
  Series& series = series_[number];
  if (series.put_in == evaluation_) return false;
  series.put_in = evaluation_;
  continued_ += series.active ? 1 : 0;
  points_.push_back({number, v, std::move(h)});
  return true;
}

base::Status WrittenSeries::AppendTo(storage::Appender* appender, model::Timestamp t) {
  base::Status problem;
  batch_.clear();
  batch_series_.clear();
  for (const Point& point : points_) {
    Series& series = series_[point.series];
    if (series.ref == 0) {
      ASSIGN_OR_RETURN(series.ref, appender->Resolve(series.labels));
    }
    if (point.h == nullptr) {
      batch_.push_back({series.ref, t, point.v});
      batch_series_.push_back(point.series);
      continue;
    }
    storage::AppendOutcome outcome = appender->AppendHistogram(series.ref, t, point.h);
    if (outcome == storage::AppendOutcome::kUnknownSeries) {  // dropped from the head since
      ASSIGN_OR_RETURN(series.ref, appender->Resolve(series.labels));
      outcome = appender->AppendHistogram(series.ref, t, point.h);
    }
    if (outcome != storage::AppendOutcome::kOk) problem = Refused(series.labels, outcome);
  }
  if (continued_ < active_) {
    // Some that the evaluation before had are not there any more: they end here.
    for (uint32_t i = 0; i < series_.size(); ++i) {
      if (!series_[i].active || series_[i].put_in == evaluation_) continue;
      series_[i].active = false;
      if (series_[i].ref == 0) continue;
      batch_.push_back({series_[i].ref, t, model::StaleMarker()});
      batch_series_.push_back(kNone);
    }
  }
  for (const Point& point : points_) series_[point.series].active = true;
  active_ = points_.size();
  base::Status floats = AppendFloats(appender);
  return floats ? problem : floats;
}

base::Status WrittenSeries::AppendFloats(storage::Appender* appender) {
  base::Status problem;
  outcomes_.assign(batch_.size(), storage::AppendOutcome::kOk);
  appender->Append(batch_, outcomes_);
  for (size_t i = 0; i < batch_.size(); ++i) {
    if (outcomes_[i] == storage::AppendOutcome::kOk || batch_series_[i] == kNone) continue;
    Series& series = series_[batch_series_[i]];
    if (outcomes_[i] == storage::AppendOutcome::kUnknownSeries) {
      // Dropped from the head since: found again, and appended by itself.
      ASSIGN_OR_RETURN(series.ref, appender->Resolve(series.labels));
      batch_[i].ref = series.ref;
      appender->Append(std::span(batch_).subspan(i, 1), std::span(outcomes_).subspan(i, 1));
    }
    if (outcomes_[i] != storage::AppendOutcome::kOk) problem = Refused(series.labels, outcomes_[i]);
  }
  return problem;
}

void WrittenSeries::EndAll(model::Timestamp t, std::vector<storage::FloatSample>* batch) {
  for (const Series& series : series_) {
    if (series.active && series.ref != 0) batch->push_back({series.ref, t, model::StaleMarker()});
  }
  const uint64_t next = epoch_ + 1;
  *this = WrittenSeries();
  epoch_ = next;
}

void WrittenSeries::Compact() {
  std::erase_if(series_, [](const Series& series) { return !series.active; });
  by_labels_.clear();
  for (uint32_t i = 0; i < series_.size(); ++i) by_labels_.emplace(series_[i].labels, i);
  ++epoch_;
}

}  // namespace tocsin::ruler
