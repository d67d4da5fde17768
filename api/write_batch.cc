#include "api/write_batch.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace tocsin::api {
namespace {

// Problems that are told one by one; the others are counted.
constexpr size_t kShownProblems = 10;

// Prometheus's words.
std::string_view OutcomeText(storage::AppendOutcome outcome) {
  switch (outcome) {
    case storage::AppendOutcome::kOutOfOrder: return "out of order sample";
    case storage::AppendOutcome::kDuplicateTimestamp: return "duplicate sample for timestamp";
    case storage::AppendOutcome::kOutOfBounds: return "out of bounds";
    case storage::AppendOutcome::kTooOld: return "too old sample";
    case storage::AppendOutcome::kTooFarInFuture:
      return "out of bounds: timestamp is too far in the future";
    case storage::AppendOutcome::kInvalidHistogram: return "invalid histogram";
    case storage::AppendOutcome::kUnknownSeries: return "unknown series";
    case storage::AppendOutcome::kOk: break;
  }
  return "";
}

bool ValidLabels(std::vector<model::Label>* labels) {
  std::ranges::sort(*labels, {}, &model::Label::name);
  bool named = false;
  for (size_t i = 0; i < labels->size(); ++i) {
    const model::Label& l = (*labels)[i];
    if (i > 0 && l.name == (*labels)[i - 1].name) return false;
    if (!model::IsValidLabelName(l.name) || !base::IsValidUtf8(l.value)) return false;
    if (l.name == model::kMetricName) named = !l.value.empty();
  }
  return named;
}

}  // namespace

void WriteBatch::AddProblem(std::string_view text) {
  if (++problem_count_ > kShownProblems) return;
  if (problem_count_ == kShownProblems) {
    problems_ += "and more\n";
    return;
  }
  problems_ += text;
  problems_ += '\n';
}

base::Result<storage::SeriesRef> WriteBatch::Resolve(std::string_view message, const SeriesKey& key) {
  labels_.clear();
  RETURN_IF_ERROR(messages_->ReadLabels(message, &labels_));
  if (!ValidLabels(&labels_)) {
    return base::InvalidArgument("invalid metric name or labels, got " +
                                 model::Labels::FromLabels(labels_).ToString());
  }
  ASSIGN_OR_RETURN(storage::SeriesRef ref,
                   appender_->Resolve(model::Labels::FromLabels(labels_)));
  cursor_.Put(key.hash, key.label_bytes, ref);
  return ref;
}

void WriteBatch::Reserve(size_t series) {
  begun_.reserve(series);
  floats_.reserve(series);
}

base::Result<bool> WriteBatch::BeginSeries(std::string_view message, const SeriesKey& key) {
  ref_ = cursor_.Find(key.hash);
  if (ref_ == 0) {
    auto ref = Resolve(message, key);
    if (!ref && ref.error().code() == base::Code::kInvalidArgument) {
      ++invalid_series_;
      AddProblem(ref.error().message());
      return false;
    }
    if (!ref) return std::unexpected(ref.error());
    ref_ = *ref;
  }
  begun_.push_back({.message = message, .first_sample = floats_.size()});
  return true;
}

void WriteBatch::BeginExpected(std::string_view message) {
  ref_ = cursor_.TakeExpected();
  begun_.push_back({.message = message, .first_sample = floats_.size()});
}

void WriteBatch::Add(model::Timestamp t, double v, model::Timestamp start) {
  if (t > latest_) return Judge(storage::AppendOutcome::kTooFarInFuture, t);
  floats_.push_back({.ref = ref_, .t = t, .v = v});
  if (start == 0) return;
  starts_.resize(floats_.size());
  starts_.back() = start;
}

void WriteBatch::Add(model::Timestamp t, model::Histogram h, model::Timestamp start) {
  if (t > latest_) return Judge(storage::AppendOutcome::kTooFarInFuture, t);
  if (auto valid = h.Validate(); !valid) return AddProblem(valid.error().message());
  auto shared = std::make_shared<const model::Histogram>(std::move(h));
  auto outcome = appender_->AppendStartedHistogram(ref_, t, start, shared);
  if (outcome == storage::AppendOutcome::kUnknownSeries) {
    const std::string_view message = begun_.back().message;
    auto ref = Resolve(message, messages_->KeyOf(message));
    if (!ref) {
      failed_ = std::unexpected(ref.error());
      return;
    }
    ref_ = *ref;
    outcome = appender_->AppendStartedHistogram(ref_, t, start, shared);
  }
  if (outcome == storage::AppendOutcome::kOk) {
    ++histograms_;
  } else {
    Judge(outcome, t);
  }
}

void WriteBatch::Add(const model::Exemplar& exemplar) {
  // One that is out of order is no reason to refuse a request.
  if (appender_->AppendExemplar(ref_, exemplar) == storage::AppendOutcome::kOk) ++exemplars_;
}

void WriteBatch::SetMetadata(const model::Metadata& metadata) {
  appender_->UpdateMetadata(ref_, metadata);
}

void WriteBatch::Judge(storage::AppendOutcome outcome, model::Timestamp t) {
  AddProblem(fmt::format("{} (timestamp {})", OutcomeText(outcome), t));
}

// Series that were deleted since they were remembered are made again.
base::Status WriteBatch::RetryUnknown() {
  std::vector<storage::FloatSample> again;
  std::vector<model::Timestamp> starts;
  std::vector<size_t> places;
  const Begun* resolved = nullptr;
  storage::SeriesRef ref = 0;
  for (size_t i = 0; i < floats_.size(); ++i) {
    if (outcomes_[i] != storage::AppendOutcome::kUnknownSeries) continue;
    const Begun* begun = &*(std::ranges::upper_bound(begun_, i, {}, &Begun::first_sample) - 1);
    if (begun != resolved) {
      ASSIGN_OR_RETURN(ref, Resolve(begun->message, messages_->KeyOf(begun->message)));
      resolved = begun;
    }
    floats_[i].ref = ref;
    again.push_back(floats_[i]);
    if (!starts_.empty()) starts.push_back(starts_[i]);
    places.push_back(i);
  }
  std::vector<storage::AppendOutcome> outcomes(again.size());
  Append(again, starts, outcomes);
  for (size_t i = 0; i < again.size(); ++i) outcomes_[places[i]] = outcomes[i];
  return {};
}

void WriteBatch::Append(std::span<const storage::FloatSample> samples, std::span<const model::Timestamp> starts,
                        std::span<storage::AppendOutcome> outcomes) {
  if (starts.empty()) {
    appender_->Append(samples, outcomes);
  } else {
    appender_->AppendStarted(samples, starts, outcomes);
  }
}

base::Status WriteBatch::AppendFloats() {
  outcomes_.resize(floats_.size());
  if (!starts_.empty()) starts_.resize(floats_.size());
  Append(floats_, starts_, outcomes_);
  if (std::ranges::find(outcomes_, storage::AppendOutcome::kUnknownSeries) != outcomes_.end()) {
    RETURN_IF_ERROR(RetryUnknown());
  }
  for (size_t i = 0; i < floats_.size(); ++i) {
    if (outcomes_[i] == storage::AppendOutcome::kOk) {
      ++samples_;
    } else {
      Judge(outcomes_[i], floats_[i].t);
    }
  }
  return {};
}

base::Result<storage::SyncTicket> WriteBatch::Commit() {
  RETURN_IF_ERROR(AppendFloats());
  RETURN_IF_ERROR(failed_);
  RETURN_IF_ERROR(appender_->Commit(storage::Durability::kWritten));
  return appender_->ticket();
}

}  // namespace tocsin::api
