// The targets (target.h) on inputs that this program makes of their seeds, in every build.
//
//   build/tests/fuzz_test                                         some thousand inputs for each
//   TOCSIN_FUZZ_SECONDS=600 build/tests/fuzz_test                 ten minutes for each
//   build/tests/fuzz_test --gtest_filter=*exposition_text         one of them
//
// An input that its target dies of is left in found-<target>; put it into tests/fuzz/corpus/<target>/.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/file_system.h"
#include "base/log.h"
#include "log_records.h"
#include "mutate.h"
#include "target.h"
#include "tsdb/wal/segment.h"

// Sanitizers end the process without a signal unless told otherwise.
extern "C" const char* __asan_default_options() { return "abort_on_error=1"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

namespace tocsin::fuzz {
namespace {

const std::string* running_input = nullptr;
std::string found_path;

// Best effort: the process is dying.
void KeepInput(int signal) {
  ::signal(signal, SIG_DFL);
  if (running_input != nullptr) {
    base::Ignore(base::RealFileSystem()->WriteFileAtomically(found_path, *running_input));  // nobody is left to be told
  }
  ::raise(signal);
}

class FuzzTest : public testing::TestWithParam<std::string> {};

TEST_P(FuzzTest, NoInputBreaksIt) {
  base::ConfigureLog({.level = base::LogLevel::kError});  // damage is what is looked for
  const std::vector<Target> targets = AllTargets();
  const Target& target = *std::find_if(targets.begin(), targets.end(), [](const Target& t) { return t.name == GetParam(); });
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) ::signal(signal, KeepInput);
  found_path = "found-" + target.name;
  const auto run = [&target](const std::string& input) {
    running_input = &input;
    target.run(input);
    running_input = nullptr;
  };
  std::vector<std::string> seeds = target.seeds();
  for (std::string& kept : KeptInputs(target.name)) seeds.push_back(std::move(kept));
  for (const std::string& s : seeds) run(s);
  const char* text = std::getenv("TOCSIN_FUZZ_SECONDS");
  const int seconds = text == nullptr ? 0 : std::atoi(text);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  Mutator mutator(static_cast<uint64_t>(seconds) * 7919 + 1);
  uint64_t runs = 0;
  while (runs < static_cast<uint64_t>(target.rounds) || std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 100; ++i, ++runs) run(mutator.Next(seeds));
  }
  RecordProperty("inputs", std::to_string(runs));
  if (seconds > 0) std::printf("%s: %llu inputs\n", target.name.c_str(), static_cast<unsigned long long>(runs));
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Target& t : AllTargets()) names.push_back(t.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, FuzzTest, testing::ValuesIn(Names()), [](const auto& target) { return target.param; });

namespace wal = tsdb::wal;

TEST(SegmentTest, ABitFlippedUnderAChecksumOfTheLogIsNoticed) {
  for (const wal::Compression c : {wal::Compression::kNone, wal::Compression::kSnappy, wal::Compression::kZstd}) {
    std::string segment;
    uint64_t offset = 0;
    std::vector<uint64_t> types;  // the byte that says how a fragment goes on and is packed: the format's checksum leaves it out
    std::vector<std::string> records = LogRecords();
    for (const std::string& r : records) {
      types.push_back(offset);
      wal::Frame(wal::Pack(r, c), &offset, &segment);
    }
    std::sort(records.begin(), records.end());
    for (size_t bit = 0; bit < segment.size() * 8; ++bit) {
      if (std::find(types.begin(), types.end(), bit / 8) != types.end()) continue;
      std::string damaged = segment;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      wal::SegmentReader reader(damaged);
      std::string_view record;
      size_t read = 0;
      while (reader.Next(&record)) {
        ++read;
        EXPECT_TRUE(std::binary_search(records.begin(), records.end(), record)) << "bit " << bit << ": a damaged record came out";
      }
      EXPECT_LT(read, records.size()) << "bit " << bit;
      EXPECT_FALSE(reader.damage().empty()) << "bit " << bit << ": lost without a word";
    }
  }
}

}  // namespace
}  // namespace tocsin::fuzz
