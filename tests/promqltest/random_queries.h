#pragma once

// Random PromQL over the series of standing_test.cc: selectors with every kind of matcher and modifier,
// range functions, subqueries, aggregations, binary operators with matching, and functions; some parts are written more than once.
//
//   RandomQueries queries(seed);
//   std::string text = queries.Vector(3);
//
// Threads: one.  The same seed gives the same texts.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace tocsin::promqltest {

class RandomQueries {
 public:
  explicit RandomQueries(uint64_t seed) : random_(seed) {}

  // An instant vector (or, now and then, a scalar) with at most `depth` levels of operators.
  std::string Vector(int depth);

 private:
  size_t Below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool Often(int percent) { return Below(100) < static_cast<size_t>(percent); }
  const char* Any(const std::vector<const char*>& of) { return of[Below(of.size())]; }

  std::string Fresh(int depth);
  std::string Selector(bool counters = false);
  std::string Matchers();
  std::string Shift();
  std::string RangeCall(int depth);
  std::string Aggregation(int depth);
  std::string Binary(int depth);
  std::string Call(int depth);
  std::string Scalar(int depth);
  std::string Labels();

  std::mt19937_64 random_;
  std::vector<std::string> written_;  // lately, to be written again: equal subtrees
};

}  // namespace tocsin::promqltest
