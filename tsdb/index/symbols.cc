#include "tsdb/index/symbols.h"

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "tsdb/index/shrink.h"

namespace tocsin::tsdb::index {
namespace {

constexpr size_t kMaxRecent = 64;

}  // namespace

Symbols::Symbols() : table_(0, Hash{this}, Equal{this}) {}

Symbols::~Symbols() {
  for (const Symbol s : table_) std::free(EntryOf(s)->text);
  for (size_t i = 0; i < in_use_.size(); ++i) delete[] pages_[i].load(std::memory_order_relaxed);
}

Symbol Symbols::Intern(std::string_view text) {
  if (const auto it = table_.find(text); it != table_.end()) {
    ++EntryOf(*it)->references;
    return *it;
  }
  const Symbol s = numbers_.Take();
  const size_t page = s / kPageEntries;
  TOCSIN_CHECK(page < kMaxPages) << "symbol table full";
  if (page == in_use_.size()) in_use_.push_back(0);
  if (in_use_[page]++ == 0) pages_[page].store(new Entry[kPageEntries](), std::memory_order_release);
  Entry* e = EntryOf(s);
  e->text = static_cast<char*>(std::malloc(text.size() + (text.empty() ? 1 : 0)));
  TOCSIN_CHECK(e->text != nullptr) << text.size();
  std::memcpy(e->text, text.data(), text.size());
  e->length = static_cast<uint32_t>(text.size());
  e->references = 1;
  text_bytes_ += text.size();
  table_.insert(s);
  return s;
}

SymbolPair Symbols::InternLabel(size_t place, std::string_view name, std::string_view value) {
  if (place >= recent_.size()) {
    const SymbolPair pair{Intern(name), Intern(value)};
    if (place == recent_.size() && place < kMaxRecent) recent_.push_back(pair);
    return pair;
  }
  SymbolPair& pair = recent_[place];
  if (Text(pair.name) == name) {
    AddReference(pair.name);
  } else {
    pair.name = Intern(name);
  }
  if (Text(pair.value) == value) {
    AddReference(pair.value);
  } else {
    pair.value = Intern(value);
  }
  return pair;
}

std::optional<Symbol> Symbols::Find(std::string_view text) const {
  const auto it = table_.find(text);
  if (it == table_.end()) return std::nullopt;
  return *it;
}

void Symbols::Release(Symbol symbol) {
  Entry* e = EntryOf(symbol);
  TOCSIN_DCHECK(e->references > 0) << symbol;
  if (--e->references > 0) return;
  recent_.clear();
  table_.erase(symbol);
  text_bytes_ -= e->length;
  std::free(e->text);
  e->text = nullptr;
  e->length = 0;
  numbers_.Put(symbol);
  ShrinkIfSparse(&table_);
  // Nobody may look at an entry without a reference, so nobody looks at the page.
  const size_t page = symbol / kPageEntries;
  if (--in_use_[page] == 0) delete[] pages_[page].exchange(nullptr, std::memory_order_relaxed);
}

}  // namespace tocsin::tsdb::index
