#pragma once

// Large tables are computed in pieces: some rows at a time, over all steps of a span.
//
// 1. An operator whose rows are computed apart has RowPieces.  Its reader takes the pieces in the order of rows,
//    on the run's own thread: what is made of them does not depend on who computed them, nor when.
// 2. An aggregation adds each piece to its groups and forgets it, so that the whole table is never made and each
//    series is decoded once.  Other readers have the rows copied into one table.
// 3. Idle workers are invited to compute pieces beside the run's thread, which works too and waits for nobody who
//    has not begun.  They go when others want them.
//
// How rows are cut depends on the table's size alone, not on the number of threads.
//
// Threads: as each method says.
// Memory:  one piece; with helpers as many as are ahead of the reader, 32 at most.
// Errors:  of the first piece in the order of rows that has one.

#include <functional>
#include <memory>

#include "promql/exec/block.h"
#include "promql/exec/run.h"

namespace tocsin::promql::exec {

// Rows [first, first + count) of a table.
struct RowRange {
  size_t first = 0;
  size_t count = 0;
};

class RowPieces {
 public:
  // What one thread keeps from piece to piece.
  class Scratch {
   public:
    virtual ~Scratch() = default;
  };

  virtual ~RowPieces() = default;
  // Prepares what the pieces of a span share.  The run's thread.
  virtual base::Status BeginPieces(Run& run, StepSpan span) = 0;
  // After BeginPieces(), any thread.
  virtual std::unique_ptr<Scratch> NewScratch() const = 0;
  // Fills `out`, a table of rows.count rows, and changes nothing but its arguments.  Any thread.
  virtual base::Status EvalRows(Run& piece, Scratch& scratch, StepSpan span, RowRange rows, Block* out) const = 0;
  // Sees each piece before its reader does, in order.  The run's thread.
  virtual void SeePiece(Run&, const Block&) {}
};

// Whether all scalars among a node's inputs are numbers: then its pieces are all of it that may be large.
bool HasPlainParameters(const plan::Node& node);

// Whether a table of so many rows and steps is large, and whether it is cut then.
bool IsLarge(const Run& run, size_t rows, size_t steps);
bool IsWorthCutting(const Run& run, size_t rows, size_t steps);
// Whether there are helpers for it.
bool IsWorthSharing(const Run& run, size_t rows, size_t steps);

// Calls take(rows, block) for all rows of the table, in order, on the calling thread; the block is the reader's
// during the call.
using TakePiece = std::function<base::Status(RowRange rows, Block& block)>;
base::Status ForEachPiece(Run& run, RowPieces& source, size_t rows, StepSpan span, const TakePiece& take);

// Fills a whole table from pieces.
base::Status EvalInPieces(Run& run, RowPieces& source, size_t rows, StepSpan span, Block* out);

}  // namespace tocsin::promql::exec
