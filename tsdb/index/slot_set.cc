#include "tsdb/index/slot_set.h"

#include <algorithm>
#include <bit>

namespace tocsin::tsdb::index {
namespace {

constexpr size_t kArrayMax = 4096;      // beyond it a bitmap is smaller
constexpr size_t kArrayAgain = 3584;    // below it an array, with room between the two
constexpr size_t kBitmapWords = 1024;

}  // namespace

SlotSet::~SlotSet() {
  if (size_ == kBig) delete big_;
}

bool SlotSet::Container::Has(uint16_t low) const {
  if (bits) return bits[low / 64] >> (low % 64) & 1;
  return std::binary_search(values.begin(), values.end(), low);
}

SlotSet::Container* SlotSet::FindContainer(uint32_t key) const {
  auto& all = big_->containers;
  if (!all.empty() && all.back().key <= key) return all.back().key == key ? &all.back() : nullptr;
  const auto it = std::lower_bound(all.begin(), all.end(), key, [](const Container& c, uint32_t k) { return c.key < k; });
  return it != all.end() && it->key == key ? &*it : nullptr;
}

// From inline to containers.
void SlotSet::Grow() {
  uint32_t slots[kInline];
  std::copy(small_, small_ + kInline, slots);
  const uint32_t n = size_;
  big_ = new Big;
  size_ = kBig;
  for (uint32_t i = 0; i < n; ++i) Add(slots[i]);
}

void SlotSet::Add(uint32_t slot) {
  if (size_ != kBig) {
    uint32_t* end = small_ + size_;
    uint32_t* at = std::lower_bound(small_, end, slot);
    if (at != end && *at == slot) return;
    if (size_ < kInline) {
      std::copy_backward(at, end, end + 1);
      *at = slot;
      ++size_;
      return;
    }
    Grow();
  }
  const uint32_t key = slot >> 16;
  const auto low = static_cast<uint16_t>(slot);
  Container* c = FindContainer(key);
  if (c == nullptr) {
    auto& all = big_->containers;
    const auto it = std::lower_bound(all.begin(), all.end(), key, [](const Container& x, uint32_t k) { return x.key < k; });
    c = &*all.insert(it, Container{key, 0, {}, nullptr});
  }
  if (c->bits) {
    uint64_t& word = c->bits[low / 64];
    if (word >> (low % 64) & 1) return;
    word |= uint64_t{1} << (low % 64);
  } else {
    // Nearly always behind the others: new series get higher slots.
    const bool last = c->values.empty() || c->values.back() < low;
    const auto at = last ? c->values.end() : std::lower_bound(c->values.begin(), c->values.end(), low);
    if (!last && *at == low) return;
    if (c->values.size() < kArrayMax && last) {
      c->values.push_back(low);
    } else if (c->values.size() < kArrayMax) {
      c->values.insert(at, low);
    } else {
      c->bits = std::make_unique<uint64_t[]>(kBitmapWords);
      for (const uint16_t v : c->values) c->bits[v / 64] |= uint64_t{1} << (v % 64);
      c->bits[low / 64] |= uint64_t{1} << (low % 64);
      std::vector<uint16_t>().swap(c->values);
    }
  }
  ++c->count;
  ++big_->size;
}

void SlotSet::Remove(uint32_t slot) {
  if (size_ != kBig) {
    uint32_t* end = small_ + size_;
    uint32_t* at = std::lower_bound(small_, end, slot);
    if (at == end || *at != slot) return;
    std::copy(at + 1, end, at);
    --size_;
    return;
  }
  Container* c = FindContainer(slot >> 16);
  const auto low = static_cast<uint16_t>(slot);
  if (c == nullptr || !c->Has(low)) return;
  if (c->bits) {
    c->bits[low / 64] &= ~(uint64_t{1} << (low % 64));
  } else {
    c->values.erase(std::lower_bound(c->values.begin(), c->values.end(), low));
    if (c->values.capacity() > 16 && c->values.size() < c->values.capacity() / 4) c->values.shrink_to_fit();
  }
  --c->count;
  --big_->size;
  if (c->bits && c->count < kArrayAgain) {
    std::vector<uint16_t> values;
    values.reserve(c->count);
    for (size_t w = 0; w < kBitmapWords; ++w) {
      for (uint64_t word = c->bits[w]; word != 0; word &= word - 1) {
        values.push_back(static_cast<uint16_t>(w * 64 + static_cast<size_t>(std::countr_zero(word))));
      }
    }
    c->values = std::move(values);
    c->bits.reset();
  }
  if (c->count == 0) big_->containers.erase(big_->containers.begin() + (c - big_->containers.data()));
  if (big_->size <= kInline) {
    std::vector<uint32_t> rest;
    AppendTo(&rest);
    delete big_;
    size_ = static_cast<uint32_t>(rest.size());
    std::copy(rest.begin(), rest.end(), small_);
  }
}

bool SlotSet::Contains(uint32_t slot) const {
  if (size_ != kBig) return std::find(small_, small_ + size_, slot) != small_ + size_;
  const Container* c = FindContainer(slot >> 16);
  return c != nullptr && c->Has(static_cast<uint16_t>(slot));
}

size_t SlotSet::MemoryBytes() const {
  size_t bytes = sizeof(SlotSet);
  if (size_ != kBig) return bytes;
  bytes += sizeof(Big) + big_->containers.capacity() * sizeof(Container);
  for (const Container& c : big_->containers) bytes += c.bits ? kBitmapWords * 8 : c.values.capacity() * 2;
  return bytes;
}

void SlotSet::AppendTo(std::vector<uint32_t>* out) const {
  if (size_ != kBig) {
    out->insert(out->end(), small_, small_ + size_);
    return;
  }
  out->reserve(out->size() + big_->size);
  for (const Container& c : big_->containers) {
    const uint32_t high = c.key << 16;
    if (!c.bits) {
      for (const uint16_t v : c.values) out->push_back(high | v);
      continue;
    }
    for (uint32_t w = 0; w < kBitmapWords; ++w) {
      for (uint64_t word = c.bits[w]; word != 0; word &= word - 1) {
        out->push_back(high | (w * 64 + static_cast<uint32_t>(std::countr_zero(word))));
      }
    }
  }
}

void SlotSet::MarkIn(std::span<uint64_t> bits) const {
  if (size_ != kBig) {
    for (uint32_t i = 0; i < size_; ++i) bits[small_[i] / 64] |= uint64_t{1} << (small_[i] % 64);
    return;
  }
  for (const Container& c : big_->containers) {
    const size_t base = static_cast<size_t>(c.key) * kBitmapWords;
    if (c.bits) {
      for (size_t w = 0; w < kBitmapWords && base + w < bits.size(); ++w) bits[base + w] |= c.bits[w];
    } else {
      for (const uint16_t v : c.values) bits[base + v / 64] |= uint64_t{1} << (v % 64);
    }
  }
}

void SlotSet::Filter(Keep keep, std::vector<uint32_t>* slots) const {
  const bool in = keep == Keep::kIn;
  size_t kept = 0;
  if (size_ != kBig) {
    for (const uint32_t s : *slots) {
      if (Contains(s) == in) (*slots)[kept++] = s;
    }
    slots->resize(kept);
    return;
  }
  // Both ascend: walk the containers along, and in an array the values too.
  auto c = big_->containers.begin();
  const auto end = big_->containers.end();
  size_t at = 0;
  for (const uint32_t s : *slots) {
    const uint32_t key = s >> 16;
    const auto low = static_cast<uint16_t>(s);
    while (c != end && c->key < key) ++c, at = 0;
    bool has = false;
    if (c != end && c->key == key) {
      if (c->bits) {
        has = c->bits[low / 64] >> (low % 64) & 1;
      } else {
        // Gallop: the next wanted value may be far.
        const auto& v = c->values;
        size_t step = 1;
        while (at + step < v.size() && v[at + step] < low) step *= 2;
        const auto from = v.begin() + static_cast<ptrdiff_t>(at);
        const auto to = v.begin() + static_cast<ptrdiff_t>(std::min(v.size(), at + step + 1));
        const auto it = std::lower_bound(from, to, low);
        at = static_cast<size_t>(it - v.begin());
        has = it != v.end() && *it == low;
      }
    }
    if (has == in) (*slots)[kept++] = s;
  }
  slots->resize(kept);
}

}  // namespace tocsin::tsdb::index
