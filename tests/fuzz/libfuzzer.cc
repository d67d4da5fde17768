// The targets (target.h) under clang's libFuzzer, which looks for inputs that reach new code.
//
//   ./dev fuzz segments 600
//   TOCSIN_FUZZ_TARGET=list build-fuzz/tests/fuzz                                 the targets' names
//   TOCSIN_FUZZ_TARGET=segments build-fuzz/tests/fuzz build-fuzz/found/segments-crash-...      one input again
//
// The first argument is the folder in which it keeps what it found worth keeping; seeds and kept inputs are put there.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/file_system.h"
#include "base/log.h"
#include "target.h"

namespace tocsin::fuzz {
namespace {

const Target* chosen = nullptr;

void Choose() {
  static const std::vector<Target> targets = AllTargets();
  const char* name = std::getenv("TOCSIN_FUZZ_TARGET");
  for (const Target& t : targets) {
    if (name != nullptr && t.name == name) chosen = &t;
  }
  if (chosen != nullptr) return;
  if (name != nullptr && std::string_view(name) == "list") {
    for (const Target& t : targets) std::printf("%s\n", t.name.c_str());
    std::exit(0);
  }
  std::fprintf(stderr, "TOCSIN_FUZZ_TARGET: name one of");
  for (const Target& t : targets) std::fprintf(stderr, " %s", t.name.c_str());
  std::fprintf(stderr, "\n");
  std::exit(1);
}

void WriteSeeds(const std::string& folder) {
  base::FileSystem* const fs = base::RealFileSystem();
  std::vector<std::string> seeds = chosen->seeds();
  for (std::string& kept : KeptInputs(chosen->name)) seeds.push_back(std::move(kept));
  if (!fs->CreateFolders(folder)) return;  // libFuzzer says what is wrong with it
  for (const std::string& s : seeds) {
    const std::string path = base::JoinPath(folder, "seed-" + std::to_string(base::Crc32c(s)));
    if (const auto written = fs->WriteFileAtomically(path, s); !written) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      std::exit(1);
    }
  }
}

}  // namespace
}  // namespace tocsin::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  tocsin::base::ConfigureLog({.level = tocsin::base::LogLevel::kError});  // damage is what is looked for
  tocsin::fuzz::Choose();
  for (int i = 1; i < *argc; ++i) {
    if ((*argv)[i][0] == '-') continue;
    tocsin::fuzz::WriteSeeds((*argv)[i]);
    break;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tocsin::fuzz::chosen->run(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
