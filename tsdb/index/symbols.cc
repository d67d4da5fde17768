#include "tsdb/index/symbols.h"

#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace tocsin::tsdb::index {

Symbols::Symbols() : table_(0, Hash{this}, Equal{this}) {}

Symbols::~Symbols() {
  for (const Symbol s : table_) std::free(EntryOf(s)->text);
  for (size_t i = 0; i < kMaxPages; ++i) {
    Entry* page = pages_[i].load(std::memory_order_relaxed);
    if (page == nullptr) break;
    delete[] page;
  }
}

Symbol Symbols::Intern(std::string_view text) {
  if (const auto it = table_.find(text); it != table_.end()) {
    ++EntryOf(*it)->references;
    return *it;
  }
  Symbol s;
  if (!free_.empty()) {
    s = free_.back();
    free_.pop_back();
  } else {
    s = next_++;
    TOCSIN_CHECK(s / kPageEntries < kMaxPages) << "symbol table full";
    if (s % kPageEntries == 0) {
      pages_[s / kPageEntries].store(new Entry[kPageEntries](), std::memory_order_release);
    }
  }
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

std::optional<Symbol> Symbols::Find(std::string_view text) const {
  const auto it = table_.find(text);
  if (it == table_.end()) return std::nullopt;
  return *it;
}

void Symbols::Release(Symbol symbol) {
  Entry* e = EntryOf(symbol);
  TOCSIN_DCHECK(e->references > 0) << symbol;
  if (--e->references > 0) return;
  table_.erase(symbol);
  text_bytes_ -= e->length;
  std::free(e->text);
  e->text = nullptr;
  e->length = 0;
  free_.push_back(symbol);
  // Many gone at once leave the table's memory behind; give it back when it is mostly empty.
  if (table_.capacity() > 4096 && table_.size() < table_.capacity() / 8) table_.rehash(0);
}

}  // namespace tocsin::tsdb::index
