#pragma once

// Postings of the head: for each label name and value the series that have it, and the planning of
// matchers over them: equality first, the shortest list before the longer; expressions as sets of
// values, prefixes or automata, matched once per value and remembered; negations last.
//
// Threads: Add and Remove exclusively, the rest beside each other (the head's index lock).
// Cost:    Select is bound by its shortest list, not by the number of series, unless every matcher
//          also matches the empty value.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "model/matcher.h"
#include "tsdb/index/remembered.h"
#include "tsdb/index/slot_set.h"
#include "tsdb/index/symbols.h"

namespace tocsin::tsdb::index {

class Postings {
 public:
  explicit Postings(const Symbols* symbols) : symbols_(symbols) {}
  ~Postings();

  void Add(uint32_t slot, std::span<const SymbolPair> labels);
  void Remove(uint32_t slot, std::span<const SymbolPair> labels);

  // The slots whose labels match all, ascending.
  std::vector<uint32_t> Select(std::span<const model::Matcher> matchers) const;

  // All names; the values of a name.  Unsorted.
  std::vector<std::string_view> Names() const;
  std::vector<std::string_view> ValuesOf(std::string_view name) const;
  // Calls for each value of a name with the number of its series.
  void ForEachValue(std::string_view name, const std::function<void(std::string_view, uint32_t)>& fn) const;
  // Whether some of the sorted `slots` has the value.
  bool Intersects(std::string_view name, std::string_view value, std::span<const uint32_t> slots) const;

  uint32_t size() const { return all_.size(); }
  size_t pairs() const { return pairs_; }
  size_t MemoryBytes() const;

 private:
  struct Name {
    absl::flat_hash_map<Symbol, SlotSet> values;
    uint32_t series = 0;     // that have the name
    uint64_t version = 0;    // raised when a value comes or goes
    // The value that a series was added to last, and its set in `values`; null when values moved or went since.
    Symbol recent = 0;
    SlotSet* recent_set = nullptr;
  };
  // Which values of a name an expression matches.
  using Values = std::shared_ptr<const std::vector<Symbol>>;

  const Name* Find(std::string_view name) const;
  // The set of a value, for adding to it.
  SlotSet* SetOf(Name* name, Symbol value);
  // The name of the label at this place of a series, made if there is none.
  Name* NameOf(size_t place, Symbol name);
  // The values that `m` matches if `positive`, else those that it does not.
  Values MatchingValues(const model::Matcher& m, const Name& name, bool positive) const;
  std::vector<uint32_t> Union(const Name& name, const std::vector<Symbol>& values) const;
  uint64_t Weight(const Name& name, const std::vector<Symbol>& values) const;

  const Symbols* const symbols_;
  absl::flat_hash_map<Symbol, std::unique_ptr<Name>> names_;
  // The names that the last series was added to, by place: the next one has nearly always the same.
  std::vector<std::pair<Symbol, Name*>> recent_;
  SlotSet all_;
  uint32_t slots_end_ = 0;  // one past the largest slot ever added
  size_t pairs_ = 0;
  uint64_t versions_ = 0;

  mutable Remembered<std::vector<Symbol>> remembered_{256, 4 << 20};  // at most 16 MiB
};

}  // namespace tocsin::tsdb::index
