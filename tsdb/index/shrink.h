#pragma once

// Hash tables do not give memory back when entries go.

#include <cstddef>

namespace tocsin::tsdb::index {

// After an entry went: gives the table the size that it needs when it is mostly empty.  Costs a constant for each entry
// that went, in the mean.
template <class Table>
void ShrinkIfSparse(Table* table) {
  constexpr size_t kSmall = 1024;
  if (table->capacity() > kSmall && table->size() < table->capacity() / 4) table->rehash(0);
}

}  // namespace tocsin::tsdb::index
