#include "promql/exec/pieces.h"

#include <algorithm>
#include <vector>

#include "base/mutex.h"

namespace tocsin::promql::exec {
namespace {

// Pieces ahead of the reader: so many that a helper which the system lets wait holds up nobody for some milliseconds.
constexpr size_t kMostPlaces = 32;
// What a series costs besides its steps, in cells: its look-up and samples.
constexpr size_t kCellsASeries = 16;

size_t RowsOfPiece(const Run& run, size_t steps) {
  const PieceOptions& options = run.options().pieces;
  return std::max(options.cells / (steps + kCellsASeries), options.fewest_rows);
}

size_t CellsOf(size_t rows, size_t steps) { return rows * (steps + kCellsASeries); }

// The pieces of one table.  Pieces are begun in order, each in the place that was given back last; it is given back
// when the reader has taken the piece.
class PieceWork {
 public:
  PieceWork(const Run& run, const RowPieces& source, size_t rows, StepSpan span, bool helped)
      : source_(source),
        span_(span),
        rows_(rows),
        rows_a_piece_(RowsOfPiece(run, span.count)),
        count_((rows + rows_a_piece_ - 1) / rows_a_piece_),
        held_(run.current_samples()),
        place_of_(std::min(helped ? kMostPlaces : 1, count_)) {
    const Run::Piece piece{run.options(), run.times()};
    for (size_t i = 0; i < place_of_.size(); ++i) free_.push_back(places_.emplace_back(std::make_unique<Place>(piece)).get());
  }
  PieceWork(const PieceWork&) = delete;
  PieceWork& operator=(const PieceWork&) = delete;

  size_t count() const { return count_; }
  RowRange RowsOf(size_t piece) const {
    const size_t first = piece * rows_a_piece_;
    return {first, std::min(rows_a_piece_, rows_ - first)};
  }

  struct Place {
    explicit Place(const Run::Piece& piece) : run(piece) {}
    Run run;
    Block block;
    base::Status status;
    size_t piece = 0;
    bool done = false;  // guarded by mu_
  };

  // Computes pieces, and waits, until `piece` is there.  The reader's thread.
  Place& Await(size_t piece, RowPieces::Scratch& scratch) TOCSIN_EXCLUDES(mu_) {
    mu_.Lock();
    while (piece >= next_ || !PlaceOf(piece)->done) {
      Place* const next = Begin();
      if (next == nullptr) {
        changed_.Wait(&mu_);
        continue;
      }
      mu_.Unlock();
      Compute(next, scratch);
      mu_.Lock();
      next->done = true;
    }
    Place* const place = PlaceOf(piece);
    mu_.Unlock();
    return *place;
  }
  // The piece's place is free.  The reader's thread.
  void Taken(size_t piece) TOCSIN_EXCLUDES(mu_) {
    {
      const base::MutexLock lock(&mu_);
      free_.push_back(PlaceOf(piece));
    }
    changed_.NotifyAll();
  }
  // Nobody begins another piece; when this returns nobody works on one.  The reader's thread.
  void Close() TOCSIN_EXCLUDES(mu_) {
    const base::MutexLock lock(&mu_);
    closed_ = true;
    changed_.NotifyAll();
    while (helping_ > 0) changed_.Wait(&mu_);
    places_.clear();
  }

  // Computes pieces until there are none, or others want the thread.  A helper's thread.
  void Help(const base::Helpers& helpers) TOCSIN_EXCLUDES(mu_) {
    mu_.Lock();
    --invited_;
    if (closed_) {
      mu_.Unlock();
      return;
    }
    ++helping_;
    mu_.Unlock();
    {
      const std::unique_ptr<RowPieces::Scratch> scratch = source_.NewScratch();
      bool more = true;
      while (more) {
        Place* const next = BeginOrWait();
        if (next == nullptr) break;
        Compute(next, *scratch);
        more = !helpers.Wanted();
        {
          const base::MutexLock lock(&mu_);
          next->done = true;
        }
        changed_.NotifyAll();
      }
    }
    {
      const base::MutexLock lock(&mu_);
      --helping_;
    }
    changed_.NotifyAll();
  }

  // Whether one more helper would have something to do; then it is counted as invited.
  bool MayInvite(size_t most) TOCSIN_EXCLUDES(mu_) {
    const base::MutexLock lock(&mu_);
    if (failed_ || invited_ + helping_ >= most || next_ + invited_ + helping_ + 1 >= count_) return false;
    ++invited_;
    return true;
  }
  void NotInvited() TOCSIN_EXCLUDES(mu_) {
    const base::MutexLock lock(&mu_);
    --invited_;
  }

 private:
  // REQUIRES: the piece was begun, and not taken.
  Place*& PlaceOf(size_t piece) TOCSIN_REQUIRES(mu_) { return place_of_[piece % place_of_.size()]; }
  // Where the next piece is to be computed; null: there is none, or no room for it.
  Place* Begin() TOCSIN_REQUIRES(mu_) {
    if (closed_ || failed_ || next_ >= count_ || free_.empty()) return nullptr;
    Place* const place = free_.back();
    free_.pop_back();
    place->piece = next_;
    place->done = false;
    PlaceOf(next_++) = place;
    return place;
  }
  Place* BeginOrWait() TOCSIN_EXCLUDES(mu_) {
    const base::MutexLock lock(&mu_);
    while (!closed_ && !failed_ && next_ < count_) {
      if (Place* const next = Begin(); next != nullptr) return next;
      changed_.Wait(&mu_);
    }
    return nullptr;
  }

  void Compute(Place* at, RowPieces::Scratch& scratch) TOCSIN_EXCLUDES(mu_) {
    Place& place = *at;
    const RowRange rows = RowsOf(place.piece);
    place.run.BeginPiece(held_);
    place.block.Reset(rows.count, span_.count);
    place.status = place.run.Check();
    if (place.status) place.status = source_.EvalRows(place.run, scratch, span_, rows, &place.block);
    if (place.status) return;
    const base::MutexLock lock(&mu_);
    failed_ = true;
  }

  const RowPieces& source_;
  const StepSpan span_;
  const size_t rows_;
  const size_t rows_a_piece_;
  const size_t count_;
  const int64_t held_;  // samples, by the run when the pieces began
  // A place belongs to whoever began its piece, then, when it is done, to the reader.
  std::vector<std::unique_ptr<Place>> places_;

  base::Mutex mu_;
  base::CondVar changed_;
  std::vector<Place*> free_ TOCSIN_GUARDED_BY(mu_);
  std::vector<Place*> place_of_ TOCSIN_GUARDED_BY(mu_);  // by piece, in a ring
  size_t next_ TOCSIN_GUARDED_BY(mu_) = 0;         // piece to begin
  size_t invited_ TOCSIN_GUARDED_BY(mu_) = 0;      // and not begun
  size_t helping_ TOCSIN_GUARDED_BY(mu_) = 0;
  bool failed_ TOCSIN_GUARDED_BY(mu_) = false;
  bool closed_ TOCSIN_GUARDED_BY(mu_) = false;
};

void Invite(base::Helpers* helpers, const std::shared_ptr<PieceWork>& work) {
  while (helpers != nullptr && work->MayInvite(helpers->most())) {
    if (helpers->Invite([helpers, work] { work->Help(*helpers); })) continue;
    work->NotInvited();
    return;
  }
}

}  // namespace

bool HasPlainParameters(const plan::Node& node) {
  return std::ranges::all_of(node.inputs, [](const auto& input) {
    return input->type != ValueType::kScalar || input->kind == plan::NodeKind::kNumber;
  });
}

bool IsLarge(const Run& run, size_t rows, size_t steps) {
  return CellsOf(rows, steps) >= run.options().pieces.worthwhile && rows > RowsOfPiece(run, steps);
}

bool IsWorthCutting(const Run& run, size_t rows, size_t steps) {
  return run.MayCut() && IsLarge(run, rows, steps);
}

bool IsWorthSharing(const Run& run, size_t rows, size_t steps) {
  return run.options().helpers != nullptr && CellsOf(rows, steps) >= run.options().pieces.shared && IsWorthCutting(run, rows, steps);
}

base::Status ForEachPiece(Run& run, RowPieces& source, size_t rows, StepSpan span, const TakePiece& take) {
  RETURN_IF_ERROR(source.BeginPieces(run, span));
  if (rows == 0) return {};
  base::Helpers* const helpers = IsWorthSharing(run, rows, span.count) ? run.options().helpers : nullptr;
  const auto work = std::make_shared<PieceWork>(run, source, rows, span, helpers != nullptr);
  // What the reader says of all pieces comes after what is said of them while they are computed, as if the table
  // had been made first.
  Annotations notes = std::move(run.annotations());
  run.annotations() = Annotations();
  base::Status status;
  {
    const std::unique_ptr<RowPieces::Scratch> scratch = source.NewScratch();
    for (size_t i = 0; i < work->count() && status; ++i) {
      Invite(helpers, work);
      PieceWork::Place& place = work->Await(i, *scratch);
      run.Count(place.run);
      if (!place.run.annotations().empty()) notes.AddAll(place.run.annotations(), 0);
      status = std::move(place.status);
      if (!status) break;
      source.SeePiece(run, place.block);
      status = take(work->RowsOf(i), place.block);
      work->Taken(i);
    }
    work->Close();
  }
  notes.AddAll(run.annotations(), 0);
  run.annotations() = std::move(notes);
  return status;
}

base::Status EvalInPieces(Run& run, RowPieces& source, size_t rows, StepSpan span, Block* out) {
  out->Reset(rows, span.count);
  return ForEachPiece(run, source, rows, span, [out](RowRange of, Block& block) -> base::Status {
    out->CopyRows(block, of.first);
    return {};
  });
}

}  // namespace tocsin::promql::exec
