#pragma once

// A database in memory, and targets whose metrics come and go in it, for tests that compare ways of evaluating.
//
// Threads: one.  The same seed gives the same samples.

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/simulated_file_system.h"
#include "model/histogram.h"
#include "model/labels.h"
#include "tsdb/db.h"

namespace tocsin::promqltest {

// Of the environment, for seeds and rounds.
uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise);

struct Sample {
  model::Timestamp t = 0;
  model::Labels labels;
  double v = 0;
  model::HistogramPtr h;
};

// A database that is written to in batches.
class World {
 public:
  World(base::Duration block, base::Duration late);
  tsdb::Db* db() { return db_.get(); }

  // What is refused is missing for all.
  void Append(std::span<const Sample> samples);

 private:
  base::SimulatedFileSystem fs_;
  std::unique_ptr<tsdb::Db> db_;
};

// Targets that come and go, each with the same metrics.
class Targets {
 public:
  explicit Targets(uint64_t seed);

  // The samples of one scrape of all targets.
  std::vector<Sample> Scrape(model::Timestamp t);
  // Samples of before, of series that go on.
  std::vector<Sample> Late(model::Timestamp now);
  size_t Below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

 private:
  struct Target {
    std::string instance;
    bool up = true;
    size_t version = 0;
    double requests = 0;
    std::vector<Sample> written;  // the last of each series
  };

  void Write(model::Timestamp t, Target* target, std::vector<Sample>* out);
  void End(model::Timestamp t, Target* target, std::vector<Sample>* out);

  std::mt19937_64 random_;
  std::vector<Target> targets_;
  std::vector<Sample> last_;
};

}  // namespace tocsin::promqltest
