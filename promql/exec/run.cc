#include "promql/exec/run.h"

#include <algorithm>
#include <cstring>

namespace tocsin::promql::exec {
namespace {

constexpr size_t kArenaPage = 64 * 1024;

// Prometheus's words; tools look for them.
constexpr std::string_view kTooManySamples =
    "query processing would load too many samples into memory in query execution";

}  // namespace

model::LabelsView LabelArena::Store(std::string_view encoded) {
  if (encoded.empty()) return {};
  if (size_ - used_ < encoded.size()) {
    size_ = std::max(kArenaPage, encoded.size());
    pages_.push_back(std::make_unique_for_overwrite<char[]>(size_));
    used_ = 0;
  }
  char* at = pages_.back().get() + used_;
  std::memcpy(at, encoded.data(), encoded.size());
  used_ += encoded.size();
  return model::LabelsView(std::string_view(at, encoded.size()));
}

base::Status Run::Check(std::string_view where) {
  if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed)) {
    stopped_ = true;
    return base::Cancelled("query was canceled in " + std::string(where));
  }
  if (options_.monotonic && options_.monotonic() > options_.deadline) {
    stopped_ = true;
    return base::DeadlineExceeded("query timed out in " + std::string(where));
  }
  return {};
}

base::Status Run::Charge(int64_t samples) {
  current_samples_ += samples;
  peak_samples_ = std::max(peak_samples_, current_samples_);
  if (current_samples_ > options_.max_samples) {
    return base::FailedPrecondition(std::string(kTooManySamples));
  }
  return {};
}

void Run::AnnounceWindow(storage::Window window) {
  querier_window_.after = std::min(querier_window_.after, window.after);
  querier_window_.upto = std::max(querier_window_.upto, window.upto);
}

size_t Run::AddSelection(const model::Matchers& matchers, storage::Window window) {
  AnnounceWindow(window);
  std::string key;
  for (const model::Matcher& m : matchers) {
    key += m.ToString();
    key += '\0';
  }
  std::vector<size_t>& equal = selections_by_matchers_[key];
  for (size_t handle : equal) {
    storage::Window& have = selections_[handle].window;
    // A gap between two windows may be much longer than both (offset 1w): then they stay apart.
    if (window.after > have.upto || have.after > window.upto) continue;
    have.after = std::min(have.after, window.after);
    have.upto = std::max(have.upto, window.upto);
    return handle;
  }
  selections_.push_back({matchers, window, nullptr, evaluation_});
  equal.push_back(selections_.size() - 1);
  return selections_.size() - 1;
}

base::Status Run::MoveTo(plan::QueryTimes times, base::Duration deadline) {
  times_ = times;
  options_.deadline = deadline;
  stopped_ = false;
  ++evaluation_;
  if (!annotations_.empty()) annotations_ = Annotations();
  current_samples_ = 0;
  peak_samples_ = 0;
  samples_read_ = 0;
  querier_window_ = {model::kMaxTimestamp, model::kMinTimestamp};
  for (Movable* movable : movables_) RETURN_IF_ERROR(movable->Move(*this));
  return {};
}

void Run::MoveSelection(size_t handle, storage::Window window) {
  AnnounceWindow(window);
  Selected& s = selections_[handle];
  if (s.evaluation != evaluation_) {
    s.evaluation = evaluation_;
    s.window = window;
    return;
  }
  s.window.after = std::min(s.window.after, window.after);
  s.window.upto = std::max(s.window.upto, window.upto);
}

base::Status Run::OpenQuerier() {
  if (querier_) return {};
  querier_ = storage_->NewQuerier(querier_window_);
  if (!querier_) return base::Unavailable("promql: storage gave no querier");
  return {};
}

base::Result<const storage::SeriesSet*> Run::Selection(size_t handle) {
  Selected& s = selections_[handle];
  if (!kept_sets_.empty()) {
    series_selected_ += static_cast<int64_t>(kept_sets_[handle]->size());
    return kept_sets_[handle];
  }
  if (!s.set) {
    RETURN_IF_ERROR(OpenQuerier());
    RETURN_IF_ERROR(Check());
    auto set = querier_->Select({.window = s.window}, s.matchers);
    if (!set) return std::unexpected(set.error().Within("expanding series"));
    s.set = std::move(*set);
    series_selected_ += static_cast<int64_t>(s.set->size());
  }
  return s.set.get();
}

base::Result<std::unique_ptr<storage::SeriesSet>> Run::SelectNow(const model::Matchers& matchers,
                                                                 storage::Window window) {
  RETURN_IF_ERROR(OpenQuerier());
  RETURN_IF_ERROR(Check());
  ASSIGN_OR_RETURN(auto set, querier_->Select({.window = window}, matchers));
  series_selected_ += static_cast<int64_t>(set->size());
  return set;
}

}  // namespace tocsin::promql::exec
