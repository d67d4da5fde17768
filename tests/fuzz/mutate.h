#pragma once

// Inputs made from others: bits flipped, bytes set, stretches cut, repeated, swapped with those of another seed,
// numbers at the edges of their ranges.  The same seed gives the same inputs.

#include <cstdint>
#include <random>
#include <span>
#include <string>

namespace tocsin::fuzz {

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  // One of the seeds, changed in one to eight places.
  std::string Next(std::span<const std::string> seeds) {
    std::string s = seeds[Below(seeds.size())];
    for (size_t n = 1 + Below(8); n > 0; --n) Change(seeds, &s);
    return s;
  }

 private:
  size_t Below(size_t n) { return n == 0 ? 0 : random_() % n; }
  void Change(std::span<const std::string> seeds, std::string* s) {
    if (s->empty()) {
      s->push_back(static_cast<char>(random_()));
      return;
    }
    const size_t at = Below(s->size());
    switch (Below(8)) {
      case 0: (*s)[at] = static_cast<char>((*s)[at] ^ (1 << Below(8))); break;
      case 1: (*s)[at] = static_cast<char>(random_()); break;
      case 2: (*s)[at] = "\x00\xff\x7f\x80\x01\x0a"[Below(6)]; break;
      case 3: s->resize(at); break;
      case 4: s->erase(at, 1 + Below(16)); break;
      case 5: s->insert(at, s->substr(Below(s->size()), Below(32))); break;
      case 6: {  // a large number
        for (size_t i = at; i < s->size() && i < at + 1 + Below(9); ++i) (*s)[i] = '\xff';
        break;
      }
      default: {
        const std::string& other = seeds[Below(seeds.size())];
        const size_t from = Below(other.size());
        s->replace(at, Below(24), other.substr(from, Below(24)));
      }
    }
  }

  std::mt19937_64 random_;
};

}  // namespace tocsin::fuzz
