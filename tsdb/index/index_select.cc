// Selecting series of a block:
//   1. each matcher becomes a term: the lists of postings of the values that it takes (or takes away);
//      what the matcher's own text names is looked up, other expressions are matched against every value
//      once and remembered;
//   2. the term with the fewest series comes first, the others filter it, those that take away last;
//   3. an expression that is not remembered, over more values than there are candidates left, is
//      matched against the candidates' labels instead.

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/digest.h"
#include "tsdb/index/block_index.h"
#include "tsdb/index/coding.h"

namespace tocsin::tsdb::index {
namespace {

// Longer lists are checked against their checksum once.
constexpr uint32_t kCheckOnceCount = 1024;
// One list or set of candidates this many times longer than the other is searched, not walked.
constexpr size_t kSearchFactor = 16;
// Candidates for each value of a label from which on its lists are worth reading.
constexpr size_t kCandidatesPerValue = 4;

}  // namespace

struct IndexReader::Term {
  const model::Matcher* matcher;
  const std::vector<uint32_t>* entries;  // the label's values
  bool removing;                         // the lists hold the series that do not match
  std::shared_ptr<const Offsets> offsets;  // null: not known yet
  uint64_t series = 0;
};

SeriesId IndexReader::List::operator[](uint32_t i) const {
  uint32_t id;
  std::memcpy(&id, ids + 4 * static_cast<size_t>(i), 4);
  return __builtin_bswap32(id);
}

base::Result<IndexReader::List> IndexReader::PostingsAt(uint64_t offset) const {
  const uint64_t count = CountAt(offset);
  if (count > kCheckOnceCount) {
    base::MutexLock lock(&checked_mu_);
    if (checked_.contains(offset)) return List{data_.data() + offset + 8, static_cast<uint32_t>(count)};
  }
  ASSIGN_OR_RETURN(const std::string_view contents, Section(offset, "postings"));
  Decoder in(contents);
  const uint32_t n = in.Be32();
  if (!in.ok() || n != in.left() / 4) return Corrupt(offset, fmt::format("{} postings in {} bytes", n, contents.size()));
  const List list{in.position(), n};
  for (uint32_t i = 1; i < n; ++i) {
    if (list[i - 1] >= list[i]) return Corrupt(offset, fmt::format("posting {} of {} is not larger than the one before", i, n));
  }
  if (count > kCheckOnceCount) {
    base::MutexLock lock(&checked_mu_);
    checked_.insert(offset);
  }
  return list;
}

// How many postings there are, without reading them; 0 when that does not decode.
uint64_t IndexReader::CountAt(uint64_t offset) const {
  if (offset > data_.size() || data_.size() - offset < 8) return 0;
  Decoder in(data_.substr(offset, 8));
  const uint32_t length = in.Be32(), n = in.Be32();
  return length / 4 == n + uint64_t{1} && data_.size() - offset - 8 >= uint64_t{4} * n ? n : 0;
}

// Whether the values are told by the matcher's text, so that none need be tried.
bool IndexReader::NamesItsValues(const model::Matcher& m, bool positive) const {
  if (m.negative() == positive) return false;
  const bool plain = m.op() == model::MatchOp::kEqual || m.op() == model::MatchOp::kNotEqual;
  return plain || !m.regex()->set_matches().empty();
}

std::shared_ptr<const IndexReader::Offsets> IndexReader::Find(const Term& term) const {
  const model::Matcher& m = *term.matcher;
  const bool positive = !term.removing;
  const std::vector<uint32_t>& entries = *term.entries;
  auto offsets = std::make_shared<Offsets>();
  const auto at_or_after = [&](std::string_view value) {
    return std::lower_bound(entries.begin(), entries.end(), value,
                            [this](uint32_t at, std::string_view v) { return EntryAt(at)->value < v; });
  };
  if (NamesItsValues(m, positive)) {
    const auto find = [&](std::string_view value) {
      const auto it = at_or_after(value);
      if (it == entries.end()) return;
      if (const Entry e = *EntryAt(*it); e.value == value) offsets->push_back(e.offset);
    };
    if (m.regex() == nullptr) {
      find(m.value());
    } else {
      for (const std::string& value : m.regex()->set_matches()) find(value);
    }
  } else {
    const std::string_view prefix = m.regex() != nullptr && m.negative() != positive ? std::string_view(m.regex()->prefix()) : "";
    for (auto it = prefix.empty() ? entries.begin() : at_or_after(prefix); it != entries.end(); ++it) {
      const Entry e = *EntryAt(*it);
      if (!e.value.starts_with(prefix)) break;
      if (m.Matches(e.value) == positive) offsets->push_back(e.offset);
    }
  }
  std::sort(offsets->begin(), offsets->end());
  offsets->erase(std::unique(offsets->begin(), offsets->end()), offsets->end());
  return offsets;
}

// Finds the term's lists.
base::Status IndexReader::Evaluate(Term* term) const {
  const bool remember = term->matcher->regex() != nullptr && !NamesItsValues(*term->matcher, !term->removing);
  std::string key;
  if (remember && term->offsets == nullptr) {
    key = KeyOf(*term->matcher, !term->removing);
    term->offsets = remembered_.Find(key, 0);
  }
  if (term->offsets == nullptr) {
    term->offsets = Find(*term);
    if (remember) remembered_.Put(std::move(key), 0, term->offsets);
  }
  term->series = 0;
  for (const uint64_t at : *term->offsets) term->series += CountAt(at);
  return {};
}

base::Result<std::vector<SeriesId>> IndexReader::Union(const Offsets& offsets) const {
  std::vector<SeriesId> ids;
  for (const uint64_t at : offsets) {
    ASSIGN_OR_RETURN(const List list, PostingsAt(at));
    const size_t begin = ids.size();
    ids.resize(begin + list.count);
    for (uint32_t i = 0; i < list.count; ++i) ids[begin + i] = list[i];
  }
  if (offsets.size() > 1) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }
  return ids;
}

// Calls `labels(name, value)` with the numbers of the symbols of each label of a series.
template <class Fn>
base::Status IndexReader::EachLabel(SeriesId id, Fn labels) const {
  ASSIGN_OR_RETURN(const std::string_view entry, SeriesAt(id));
  Decoder in(entry);
  for (size_t n = in.Count(2); n > 0; --n) {
    const uint64_t name = in.Uvarint();
    labels(name, in.Uvarint());
  }
  if (!in.ok()) return Corrupt(static_cast<uint64_t>(entry.data() - data_.data()), "series ends within its labels");
  return {};
}

base::Status IndexReader::FilterByLabel(const model::Matcher& m, std::vector<SeriesId>* ids) const {
  const std::optional<uint64_t> wanted = SymbolNumber(m.name());
  size_t kept = 0;
  for (const SeriesId id : *ids) {
    std::optional<uint64_t> value;
    RETURN_IF_ERROR(EachLabel(id, [&](uint64_t name, uint64_t v) {
      if (name == wanted) value = v;
    }));
    std::string_view text;
    if (value) {
      ASSIGN_OR_RETURN(text, SymbolAt(*value));
    }
    if (m.Matches(text)) (*ids)[kept++] = id;
  }
  ids->resize(kept);
  return {};
}

base::Status IndexReader::Filter(const Term& term, std::vector<SeriesId>* ids) const {
  if (term.offsets->empty()) {
    if (!term.removing) ids->clear();
    return {};
  }
  if (term.offsets->size() > ids->size() * kCandidatesPerValue) return FilterByLabel(*term.matcher, ids);
  std::vector<bool> found(ids->size());
  for (const uint64_t at : *term.offsets) {
    ASSIGN_OR_RETURN(const List list, PostingsAt(at));
    if (list.count > ids->size() * kSearchFactor) {
      uint32_t low = 0;
      for (size_t k = 0; k < ids->size() && low < list.count; ++k) {
        uint32_t high = list.count;
        while (low < high) {
          const uint32_t middle = low + (high - low) / 2;
          (list[middle] < (*ids)[k] ? low = middle + 1 : high = middle);
        }
        if (low < list.count && list[low] == (*ids)[k]) found[k] = true;
      }
    } else if (ids->size() > list.count * kSearchFactor) {
      auto it = ids->begin();
      for (uint32_t i = 0; i < list.count && it != ids->end(); ++i) {
        it = std::lower_bound(it, ids->end(), list[i]);
        if (it != ids->end() && *it == list[i]) found[static_cast<size_t>(it - ids->begin())] = true;
      }
    } else {
      uint32_t i = 0;
      for (size_t k = 0; k < ids->size() && i < list.count; ++k) {
        while (i < list.count && list[i] < (*ids)[k]) ++i;
        if (i < list.count && list[i] == (*ids)[k]) found[k] = true;
      }
    }
  }
  size_t kept = 0;
  for (size_t k = 0; k < ids->size(); ++k) {
    if (found[k] != term.removing) (*ids)[kept++] = (*ids)[k];
  }
  ids->resize(kept);
  return {};
}

base::Result<std::vector<SeriesId>> IndexReader::Select(std::span<const model::Matcher> matchers) const {
  std::vector<Term> terms, later;  // `later`: not evaluated, since they may never need to be
  for (const model::Matcher& m : matchers) {
    const auto it = names_.find(m.name());
    if (it == names_.end()) {
      if (m.matches_empty()) continue;
      return std::vector<SeriesId>();
    }
    Term term{&m, &it->second, m.matches_empty(), nullptr};
    const bool known = NamesItsValues(m, !term.removing) ||
                       (term.offsets = remembered_.Find(KeyOf(m, !term.removing), 0)) != nullptr;
    (known ? terms : later).push_back(std::move(term));
  }
  const auto adds = [](const Term& t) { return !t.removing; };
  if (std::none_of(terms.begin(), terms.end(), adds)) {
    // Nothing to begin with but expressions.
    for (Term& t : later) {
      if (!t.removing) terms.push_back(std::move(t));
    }
    std::erase_if(later, [](const Term& t) { return !t.removing; });
  }
  const uint64_t all = all_postings_ == 0 ? UINT64_MAX : CountAt(all_postings_);
  for (Term& t : terms) RETURN_IF_ERROR(Evaluate(&t));
  // A term that takes every series does nothing.
  std::erase_if(terms, [all](const Term& t) { return !t.removing && t.offsets->size() == t.entries->size() && t.series == all; });
  std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) {
    return a.removing != b.removing ? b.removing : a.series < b.series;
  });

  std::vector<SeriesId> ids;
  size_t next = 0;
  if (!terms.empty() && !terms[0].removing) {
    ASSIGN_OR_RETURN(ids, Union(*terms[next++].offsets));
  } else if (all_postings_ != 0) {
    ASSIGN_OR_RETURN(ids, Union({all_postings_}));
  }
  for (; next < terms.size() && !ids.empty(); ++next) RETURN_IF_ERROR(Filter(terms[next], &ids));
  for (Term& t : later) {
    if (ids.empty()) break;
    if (t.entries->size() > ids.size() * kCandidatesPerValue) {
      RETURN_IF_ERROR(FilterByLabel(*t.matcher, &ids));
    } else {
      RETURN_IF_ERROR(Evaluate(&t));
      RETURN_IF_ERROR(Filter(t, &ids));
    }
  }
  return ids;
}

base::Result<std::vector<std::string_view>> IndexReader::SymbolTexts(const absl::flat_hash_set<uint64_t>& numbers) const {
  std::vector<std::string_view> out;
  for (const uint64_t number : numbers) {
    ASSIGN_OR_RETURN(const std::string_view text, SymbolAt(number));
    out.push_back(text);
  }
  std::sort(out.begin(), out.end());
  return out;
}

base::Result<std::vector<std::string_view>> IndexReader::NamesOf(std::span<const SeriesId> ids) const {
  if (ids.empty()) return std::vector<std::string_view>();  // 0 is also the count of a list that does not decode
  if (all_postings_ != 0 && ids.size() == CountAt(all_postings_)) return Names();
  absl::flat_hash_set<uint64_t> numbers;
  for (const SeriesId id : ids) {
    RETURN_IF_ERROR(EachLabel(id, [&](uint64_t name, uint64_t) { numbers.insert(name); }));
  }
  return SymbolTexts(numbers);
}

base::Result<std::vector<std::string_view>> IndexReader::ValuesOf(std::string_view name,
                                                                  std::span<const SeriesId> ids) const {
  if (ids.empty()) return std::vector<std::string_view>();
  if (all_postings_ != 0 && ids.size() == CountAt(all_postings_)) return ValuesOf(name);
  const std::optional<uint64_t> wanted = SymbolNumber(name);
  absl::flat_hash_set<uint64_t> numbers;
  uint64_t last = UINT64_MAX;  // neighbours often have the same value
  for (const SeriesId id : ids) {
    RETURN_IF_ERROR(EachLabel(id, [&](uint64_t n, uint64_t value) {
      if (n == wanted && value != last) numbers.insert(last = value);
    }));
  }
  return SymbolTexts(numbers);
}

}  // namespace tocsin::tsdb::index
