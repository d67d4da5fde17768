#include "tsdb/index/postings.h"

#include <algorithm>
#include <bit>

#include "tsdb/index/shrink.h"

namespace tocsin::tsdb::index {
namespace {

// Up to so many candidates, each is looked for in the lists rather than the lists joined.
constexpr size_t kFewCandidates = 32;

}  // namespace

Postings::~Postings() = default;

Postings::Name* Postings::NameOf(size_t place, Symbol symbol) {
  if (place < recent_.size() && recent_[place].first == symbol) return recent_[place].second;
  auto& name = names_[symbol];
  if (name == nullptr) name = std::make_unique<Name>();
  if (place >= recent_.size()) recent_.resize(place + 1);
  recent_[place] = {symbol, name.get()};
  return name.get();
}

SlotSet* Postings::SetOf(Name* name, Symbol value) {
  if (name->recent_set != nullptr && name->recent == value) return name->recent_set;
  name->recent = value;
  name->recent_set = &name->values[value];
  return name->recent_set;
}

void Postings::Add(uint32_t slot, std::span<const SymbolPair> labels) {
  for (size_t place = 0; place < labels.size(); ++place) {
    Name* name = NameOf(place, labels[place].name);
    SlotSet* set = SetOf(name, labels[place].value);
    if (set->empty()) {
      name->version = ++versions_;
      ++pairs_;
    }
    set->Add(slot);
    ++name->series;
  }
  all_.Add(slot);
  slots_end_ = std::max(slots_end_, slot + 1);
}

void Postings::Remove(uint32_t slot, std::span<const SymbolPair> labels) {
  for (const SymbolPair& p : labels) {
    const auto name = names_.find(p.name);
    if (name == names_.end()) continue;
    const auto value = name->second->values.find(p.value);
    if (value == name->second->values.end()) continue;
    value->second.Remove(slot);
    --name->second->series;
    if (!value->second.empty()) continue;
    auto& values = name->second->values;
    values.erase(value);
    name->second->recent_set = nullptr;
    name->second->version = ++versions_;
    --pairs_;
    if (values.empty()) {
      names_.erase(name);
      recent_.clear();
      ShrinkIfSparse(&names_);
    } else {
      ShrinkIfSparse(&values);
    }
  }
  all_.Remove(slot);
}

const Postings::Name* Postings::Find(std::string_view name) const {
  const std::optional<Symbol> symbol = symbols_->Find(name);
  if (!symbol) return nullptr;
  const auto it = names_.find(*symbol);
  return it == names_.end() ? nullptr : it->second.get();
}

Postings::Values Postings::MatchingValues(const model::Matcher& m, const Name& name, bool positive) const {
  // What the text itself says needs no walk over the values.
  const bool plain = m.op() == model::MatchOp::kEqual || m.op() == model::MatchOp::kNotEqual;
  const std::vector<std::string>* set = m.regex() != nullptr ? &m.regex()->set_matches() : nullptr;
  if (m.negative() != positive && (plain || (set != nullptr && !set->empty()))) {
    auto values = std::make_shared<std::vector<Symbol>>();
    const auto add = [&](std::string_view text) {
      const std::optional<Symbol> s = symbols_->Find(text);
      if (s && name.values.contains(*s)) values->push_back(*s);
    };
    if (plain) {
      add(m.value());
    } else {
      for (const std::string& text : *set) add(text);
      std::sort(values->begin(), values->end());
      values->erase(std::unique(values->begin(), values->end()), values->end());
    }
    return values;
  }

  std::string key;
  if (!plain) {
    key = KeyOf(m, positive);
    if (Values known = remembered_.Find(key, name.version)) return known;
  }
  auto values = std::make_shared<std::vector<Symbol>>();
  for (const auto& [symbol, slots] : name.values) {
    if (m.Matches(symbols_->Text(symbol)) == positive) values->push_back(symbol);
  }
  if (!plain) remembered_.Put(std::move(key), name.version, values);
  return values;
}

uint64_t Postings::Weight(const Name& name, const std::vector<Symbol>& values) const {
  uint64_t n = 0;
  for (const Symbol v : values) n += name.values.find(v)->second.size();
  return n;
}

std::vector<uint32_t> Postings::Union(const Name& name, const std::vector<Symbol>& values) const {
  std::vector<uint32_t> out;
  if (values.size() == 1) {
    name.values.find(values[0])->second.AppendTo(&out);
    return out;
  }
  // A series has one value of a name: the lists do not overlap.
  const uint64_t total = Weight(name, values);
  if (total < slots_end_ / 64) {
    for (const Symbol v : values) name.values.find(v)->second.AppendTo(&out);
    std::sort(out.begin(), out.end());
    return out;
  }
  // By bitmap: linear in slots / 64 rather than sorting.
  std::vector<uint64_t> bits((slots_end_ + 63) / 64);
  for (const Symbol v : values) name.values.find(v)->second.MarkIn(bits);
  out.reserve(total);
  for (size_t w = 0; w < bits.size(); ++w) {
    for (uint64_t word = bits[w]; word != 0; word &= word - 1) {
      out.push_back(static_cast<uint32_t>(w * 64 + static_cast<size_t>(std::countr_zero(word))));
    }
  }
  return out;
}

std::vector<uint32_t> Postings::Select(std::span<const model::Matcher> matchers) const {
  struct Step {
    const model::Matcher* matcher;
    const Name* name;
    Values values;
    uint64_t weight = 0;
  };
  std::vector<Step> adding, removing;
  for (const model::Matcher& m : matchers) {
    const Name* name = Find(m.name());
    const bool empty = m.matches_empty();
    if (name == nullptr) {
      if (!empty) return {};  // no series has the label, and having none does not match
      continue;
    }
    Step step{&m, name, MatchingValues(m, *name, !empty), 0};
    if (empty) {
      if (!step.values->empty()) removing.push_back(std::move(step));
    } else {
      if (step.values->empty()) return {};
      // All values of a label that all series have: nothing to do.
      if (step.values->size() == name->values.size() && name->series == all_.size()) continue;
      step.weight = Weight(*name, *step.values);
      adding.push_back(std::move(step));
    }
  }
  std::sort(adding.begin(), adding.end(), [](const Step& a, const Step& b) { return a.weight < b.weight; });
  std::vector<uint32_t> slots;
  if (adding.empty()) {
    all_.AppendTo(&slots);
  } else {
    slots = Union(*adding[0].name, *adding[0].values);
  }
  const auto filter = [&](const Step& step, SlotSet::Keep keep) {
    if (step.values->size() == 1) {
      step.name->values.find((*step.values)[0])->second.Filter(keep, &slots);
      return;
    }
    if (slots.size() <= kFewCandidates) {
      const bool in = keep == SlotSet::Keep::kIn;
      std::erase_if(slots, [&](uint32_t slot) {
        const bool has = std::any_of(step.values->begin(), step.values->end(), [&](Symbol v) {
          return step.name->values.find(v)->second.Contains(slot);
        });
        return has != in;
      });
      return;
    }
    std::vector<uint64_t> bits((slots_end_ + 63) / 64);
    for (const Symbol v : *step.values) step.name->values.find(v)->second.MarkIn(bits);
    const uint64_t want = keep == SlotSet::Keep::kIn ? 1 : 0;
    std::erase_if(slots, [&](uint32_t s) { return (bits[s / 64] >> (s % 64) & 1) != want; });
  };
  for (size_t i = 1; i < adding.size() && !slots.empty(); ++i) filter(adding[i], SlotSet::Keep::kIn);
  for (const Step& step : removing) {
    if (slots.empty()) break;
    filter(step, SlotSet::Keep::kOut);
  }
  return slots;
}

std::vector<std::string_view> Postings::Names() const {
  std::vector<std::string_view> out;
  for (const auto& [symbol, name] : names_) out.push_back(symbols_->Text(symbol));
  return out;
}

std::vector<std::string_view> Postings::ValuesOf(std::string_view name) const {
  std::vector<std::string_view> out;
  if (const Name* n = Find(name)) {
    out.reserve(n->values.size());
    for (const auto& [symbol, slots] : n->values) out.push_back(symbols_->Text(symbol));
  }
  return out;
}

void Postings::ForEachValue(std::string_view name,
                            const std::function<void(std::string_view, uint32_t)>& fn) const {
  if (const Name* n = Find(name)) {
    for (const auto& [symbol, slots] : n->values) fn(symbols_->Text(symbol), slots.size());
  }
}

bool Postings::Intersects(std::string_view name, std::string_view value, std::span<const uint32_t> slots) const {
  const Name* n = Find(name);
  const std::optional<Symbol> v = symbols_->Find(value);
  if (n == nullptr || !v) return false;
  const auto it = n->values.find(*v);
  if (it == n->values.end()) return false;
  if (it->second.size() < slots.size() / 8) {
    std::vector<uint32_t> own;
    it->second.AppendTo(&own);
    return std::any_of(own.begin(), own.end(),
                       [&](uint32_t s) { return std::binary_search(slots.begin(), slots.end(), s); });
  }
  return std::any_of(slots.begin(), slots.end(), [&](uint32_t s) { return it->second.Contains(s); });
}

size_t Postings::MemoryBytes() const {
  size_t bytes = all_.MemoryBytes() + names_.capacity() * 17;
  for (const auto& [symbol, name] : names_) {
    bytes += sizeof(Name) + name->values.capacity() * (sizeof(std::pair<Symbol, SlotSet>) + 1);
    for (const auto& [value, slots] : name->values) bytes += slots.MemoryBytes() - sizeof(SlotSet);
  }
  return bytes;
}

}  // namespace tocsin::tsdb::index
