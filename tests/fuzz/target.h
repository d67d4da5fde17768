#pragma once

// What is fuzzed: every decoder of bytes that other programs, disks or crashes wrote, and the readers of people's texts.
//
// A target dies (TOCSIN_CHECK, a sanitizer) on an input that makes its decoder crash, read beyond its bytes, or hand
// out what contradicts itself.  Two programs run them: fuzz_test with mutations of its own, in every build, and fuzz
// with clang's libFuzzer (-DTOCSIN_LIBFUZZER=ON).
//
// Threads: one target at a time.

#include <functional>
#include <string>
#include <vector>

namespace tocsin::fuzz {

struct Target {
  std::string name;
  int rounds = 4000;  // inputs of an ordinary test run
  std::function<std::vector<std::string>()> seeds;
  std::function<void(const std::string&)> run;
};

std::vector<Target> ChunkTargets();   // chunk_targets.cc: chunks, chunks_head/
std::vector<Target> BlockTargets();   // block_targets.cc: index, tombstones, meta.json
std::vector<Target> LogTargets();     // log_targets.cc: records, segments, compression
std::vector<Target> ReplayTargets();  // replay_targets.cc: a start of the database on a log, a snapshot
std::vector<Target> ScrapeTargets();  // scrape_targets.cc: text, OpenMetrics, protobuf
std::vector<Target> WriteTargets();   // write_targets.cc: remote write 1.0 and 2.0

std::vector<Target> TextTargets();    // text_targets.cc: expressions, series, matchers, templates, YAML

std::vector<Target> AllTargets();

// Files of tests/fuzz/corpus/<target>/: inputs that once broke it, and others worth keeping.
std::vector<std::string> KeptInputs(const std::string& target);

}  // namespace tocsin::fuzz
