#pragma once

// Symbols: label names and values as numbers, each text kept once and counted.
//
// Threads: Intern, Find and Release are serialised by the caller (the head's index lock; Find may run
//          beside other Finds).  Text() takes no lock: it may be called for any symbol that the caller
//          knows to be referenced.
// Memory:  16 bytes and the text for each symbol, 9 to 18 bytes in the table of texts.  Numbers are given lowest first,
//          and a page of entries without any in use is given back.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "tsdb/index/free_numbers.h"
#include "tsdb/index/lazy_array.h"

namespace tocsin::tsdb::index {

using Symbol = uint32_t;

struct SymbolPair {
  Symbol name;
  Symbol value;
};

class Symbols {
 public:
  Symbols();
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  // The symbol of a text, made if there is none, with one more reference.
  Symbol Intern(std::string_view text);
  // Those of the label at this place of a series.  Series that come together have most labels in common: a label is
  // compared with the one at the same place of the series before, and only looked up when it is another.
  SymbolPair InternLabel(size_t place, std::string_view name, std::string_view value);
  std::optional<Symbol> Find(std::string_view text) const;
  void AddReference(Symbol symbol) { ++EntryOf(symbol)->references; }
  // Drops a reference; the last one frees the text and lets the number be used again.
  void Release(Symbol symbol);

  std::string_view Text(Symbol symbol) const {
    const Entry* e = EntryOf(symbol);
    return {e->text, e->length};
  }

  size_t size() const { return table_.size(); }
  size_t text_bytes() const { return text_bytes_; }

 private:
  struct Entry {
    char* text;
    uint32_t length;
    uint32_t references;
  };
  static constexpr size_t kPageEntries = 4096;
  static constexpr size_t kMaxPages = 1 << 18;  // 2^30 symbols

  struct Hash {
    using is_transparent = void;
    const Symbols* symbols;
    size_t operator()(std::string_view s) const { return absl::Hash<std::string_view>()(s); }
    size_t operator()(Symbol s) const { return (*this)(symbols->Text(s)); }
  };
  struct Equal {
    using is_transparent = void;
    const Symbols* symbols;
    bool operator()(Symbol a, Symbol b) const { return a == b; }
    bool operator()(std::string_view a, Symbol b) const { return a == symbols->Text(b); }
    bool operator()(Symbol a, std::string_view b) const { return symbols->Text(a) == b; }
  };

  Entry* EntryOf(Symbol s) const {
    return pages_[s / kPageEntries].load(std::memory_order_acquire) + s % kPageEntries;
  }

  // Pages never move while an entry of theirs is in use, so that Text() needs no lock.
  LazyArray<Entry> pages_{kMaxPages};
  std::vector<uint32_t> in_use_;  // of each page
  FreeNumbers numbers_;
  std::vector<SymbolPair> recent_;  // by place, of the last series; none when a symbol has gone since
  size_t text_bytes_ = 0;
  absl::flat_hash_set<Symbol, Hash, Equal> table_;
};

}  // namespace tocsin::tsdb::index
