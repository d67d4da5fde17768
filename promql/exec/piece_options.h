#pragma once

// How the tables of a query are cut into pieces of rows (promql/exec/pieces.h).  Values do not depend on it.
//
// Threads: plain values.

#include <cstddef>

namespace tocsin::promql::exec {

// A row counts some cells beside those of its steps, for its look-up.
struct PieceOptions {
  size_t worthwhile = 1 << 16;  // cells of a table that is cut
  size_t shared = 1 << 17;      // cells of a table for which helpers are invited; waking one may take milliseconds
  size_t cells = 1 << 14;       // of a piece
  size_t fewest_rows = 16;      // of a piece, however many steps there are
};

}  // namespace tocsin::promql::exec
