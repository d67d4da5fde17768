#pragma once

// Seeded chance: back-off, ids, boundaries.  The same seed gives the same sequence.
// Threads: one owner.

#include <cstdint>
#include <random>
#include <string>

namespace tocsin::alertmanager {

class Random {
 public:
  explicit Random(uint64_t seed);  // 0 takes the seed from the system
  uint64_t Next() { return engine_(); }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(engine_); }  // [0, 1)
  std::string Uuid();  // version 4

 private:
  std::mt19937_64 engine_;
};

}  // namespace tocsin::alertmanager
