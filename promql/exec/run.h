#pragma once

// A Run is one evaluation of a plan: its storage view, options, label memory, limits and annotations.
// Operators get it at each call.
//
// Threads: one.
// Errors:  kCancelled, kDeadlineExceeded and kFailedPrecondition as promql/engine.h says.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/helpers.h"
#include "base/result.h"
#include "base/time.h"
#include "promql/exec/annotations.h"
#include "promql/exec/block.h"
#include "promql/exec/piece_options.h"
#include "promql/plan/plan.h"
#include "storage/queryable.h"

namespace tocsin::promql::exec {

// Memory for label sets made in a run.  Views live as long as the arena.
class LabelArena {
 public:
  model::LabelsView Store(std::string_view encoded);

 private:
  std::vector<std::unique_ptr<char[]>> pages_;
  size_t used_ = 0;
  size_t size_ = 0;
};

struct RunOptions {
  int64_t max_samples = 50'000'000;
  int64_t lookback_ms = 300'000;
  bool delayed_name_removal = false;
  bool type_and_unit_labels = false;
  bool use_start_timestamps = false;
  std::function<int64_t(int64_t range_ms)> default_subquery_step_ms;
  const std::atomic<bool>* cancelled = nullptr;
  std::function<base::Duration()> monotonic;  // null: no timeout
  base::Duration deadline{0};                 // by `monotonic`
  PieceOptions pieces;
  base::Helpers* helpers = nullptr;           // who may compute pieces; null: the run's own thread only
};

class Run;
class Operator;
class Profile;
class SampleCounts;
class SharedOperator;

// Has subtrees that are computed outside of a run (promql/standing).
class Elsewhere {
 public:
  virtual ~Elsewhere() = default;
  // An operator that reads what is computed there; null: the node is to be computed in the run.
  virtual std::unique_ptr<Operator> NewReader(const plan::Node& node, const Grid* grid) = 0;
};

// What an operator remembers of times and values beyond an evaluation.  A kept tree is told when its run
// goes on to another time; label sets and everything made from them stay.
class Movable {
 public:
  virtual ~Movable() = default;
  virtual base::Status Move(Run& run) = 0;
};

class Run {
 public:
  Run(storage::Queryable* storage, RunOptions options, plan::QueryTimes times)
      : options_(std::move(options)), times_(times), storage_(storage) {}

  // A part of a run that may be on another thread: it checks, charges and notes for itself, and has no storage.
  struct Piece {
    const RunOptions& options;
    plan::QueryTimes times;
  };
  explicit Run(const Piece& of) : options_(of.options), times_(of.times), storage_(nullptr) {
    options_.helpers = nullptr;
  }
  // Another piece begins, beside so many samples that the run holds.
  void BeginPiece(int64_t held) {
    current_samples_ = peak_samples_ = held;
    samples_read_ = 0;
    if (!annotations_.empty()) annotations_ = Annotations();
  }
  // What a piece read and held.  Its annotations stay there.
  void Count(const Run& piece) {
    samples_read_ += piece.samples_read_;
    peak_samples_ = std::max(peak_samples_, piece.peak_samples_);
  }
  // Whether rows may be computed in pieces: what is measured or counted by node is computed whole, and a kept
  // run is small.
  bool MayCut() const { return profile_ == nullptr && counts_ == nullptr && kept_sets_.empty(); }

  const RunOptions& options() const { return options_; }
  const plan::QueryTimes& times() const { return times_; }
  LabelArena& arena() { return arena_; }
  Annotations& annotations() { return annotations_; }

  // Whether the caller still waits.  Called once a block or chunk of series.
  base::Status Check(std::string_view where = "expression evaluation");
  // The same, now and then, for loops over the cells of a block, which may be many: `cells` were worked on.
  base::Status Spend(size_t cells) {
    unchecked_ += cells;
    if (unchecked_ < kCellsACheck) return {};
    unchecked_ = 0;
    return Check();
  }
  // Why a check failed, for loops that only ended early.
  base::Status Stopped() { return stopped_ ? Check() : base::Status(); }
  static constexpr size_t kCellsAHistogram = 32;  // that one costs about as much as
  static constexpr size_t kCellsALabelSet = 64;   // and one that is made

  // Samples held now; negative gives back.  Fails beyond the limit.
  base::Status Charge(int64_t samples);
  void Release(int64_t samples) { current_samples_ -= samples; }
  int64_t current_samples() const { return current_samples_; }
  int64_t peak_samples() const { return peak_samples_; }
  // Of a part of the run; what Begin returned is for End, which returns how many more the part held.
  int64_t BeginPeak() { return std::exchange(peak_samples_, current_samples_); }
  int64_t EndPeak(int64_t before, int64_t held_before) {
    const int64_t more = peak_samples_ - held_before;
    peak_samples_ = std::max(peak_samples_, before);
    return more;
  }

  void CountRead(int64_t samples) { samples_read_ += samples; }
  int64_t samples_read() const { return samples_read_; }

  // Selections are announced while operators are made, and resolved once all are known, so that equal
  // selectors share one and storage is asked for the union of their windows.
  size_t AddSelection(const model::Matchers& matchers, storage::Window window);
  base::Result<const storage::SeriesSet*> Selection(size_t handle);
  // A selection that becomes known while running (info()); its window was announced before.
  void AnnounceWindow(storage::Window window);
  base::Result<std::unique_ptr<storage::SeriesSet>> SelectNow(const model::Matchers& matchers,
                                                              storage::Window window);
  // Of all selections; a kept run counts when it is opened, not at each evaluation.
  int64_t series_selected() const { return series_selected_; }

  // Where each node's cost goes; null: nowhere.  Before operators are made.
  void MeasureInto(Profile* profile) { profile_ = profile; }
  Profile* profile() const { return profile_; }
  // Where samples are counted as Prometheus's statistics do; null: nowhere.  Before operators are made.
  void CountInto(SampleCounts* counts) { counts_ = counts; }
  SampleCounts* counts() const { return counts_; }

  // Before operators are made; null: nowhere.  It outlives the run.
  void ComputeElsewhere(Elsewhere* elsewhere) { elsewhere_ = elsewhere; }
  Elsewhere* elsewhere() const { return elsewhere_; }
  // Operators of equal subtrees, by the first of these.
  std::shared_ptr<SharedOperator>& Shared(const plan::Node* first) { return shared_[first]; }

  // ---- Kept runs (promql/standing): one tree, opened once, evaluated at many times. ----

  // Selections are these, by handle, and not from a querier of the run's own.  Before Open(); they
  // outlive the run.
  void KeepSelections(std::vector<const storage::SeriesSet*> sets) { kept_sets_ = std::move(sets); }
  size_t selections() const { return selections_.size(); }
  const model::Matchers& selection_matchers(size_t handle) const {
    return selections_[handle].matchers;
  }
  // Operators announce themselves while they are made, those of an outer grid before those of the inner.
  void OnMove(Movable* movable) { movables_.push_back(movable); }
  // Of an operator whose label sets depend on values: its tree is of one evaluation.
  void MarkUnkeepable() { keepable_ = false; }
  bool keepable() const { return keepable_; }
  // The next evaluation begins: counts and annotations are those of a new run.  The caller has moved
  // the grid.  Errors: those of making the operators.
  base::Status MoveTo(plan::QueryTimes times, base::Duration deadline);
  // The window of a selection after a move; where several share one, the union.
  void MoveSelection(size_t handle, storage::Window window);
  // What all selections look at.
  storage::Window selection_window() const { return querier_window_; }
  // Which evaluation this is: what was charged in an earlier one is not given back.
  uint64_t evaluation() const { return evaluation_; }

  // The widest table and the longest window, to choose how many steps make a block.
  void NoteRows(size_t rows) { widest_ = std::max(widest_, rows); }
  void NoteWindow(int64_t ms) { longest_window_ = std::max(longest_window_, ms); }
  size_t widest() const { return widest_; }
  // The tables noted since it was `widest` are only made in pieces.
  void ForgetRows(size_t widest) { widest_ = widest; }
  int64_t longest_window() const { return longest_window_; }

 private:
  struct Selected {
    model::Matchers matchers;
    storage::Window window;
    std::unique_ptr<storage::SeriesSet> set;
    uint64_t evaluation = 0;  // that `window` is of
  };
  base::Status OpenQuerier();

  static constexpr size_t kCellsACheck = 1 << 18;  // a few milliseconds

  RunOptions options_;
  plan::QueryTimes times_;
  storage::Queryable* storage_;
  std::unique_ptr<storage::Querier> querier_;
  storage::Window querier_window_{model::kMaxTimestamp, model::kMinTimestamp};
  LabelArena arena_;
  Annotations annotations_;
  std::vector<Selected> selections_;
  std::map<std::string, std::vector<size_t>> selections_by_matchers_;
  size_t unchecked_ = 0;
  bool stopped_ = false;
  int64_t current_samples_ = 0;
  int64_t peak_samples_ = 0;
  int64_t samples_read_ = 0;
  int64_t series_selected_ = 0;
  Profile* profile_ = nullptr;
  SampleCounts* counts_ = nullptr;
  size_t widest_ = 1;
  int64_t longest_window_ = 0;
  std::vector<const storage::SeriesSet*> kept_sets_;  // empty: the run is not kept
  std::vector<Movable*> movables_;
  std::map<const plan::Node*, std::shared_ptr<SharedOperator>> shared_;
  Elsewhere* elsewhere_ = nullptr;
  bool keepable_ = true;
  uint64_t evaluation_ = 0;
};

}  // namespace tocsin::promql::exec
