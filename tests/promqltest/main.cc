// promqltest [--no-delayed-name-removal] [--once] PATH...: runs scripts (*.test) and folders of them.
// Prints each failing case; ends with "N passed, N failed" and status 1 when something failed.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "runner.h"

namespace {

std::vector<std::string> FindScripts(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && entry.path().extension() == ".test") {
      found.push_back(entry.path().string());
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  using tocsin::base::RealFileSystem;
  tocsin::promqltest::RunnerOptions options = tocsin::promqltest::ConformanceOptions();
  std::vector<std::string> scripts;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--no-delayed-name-removal") {
      options.engine.delayed_name_removal = false;
    } else if (arg == "--once") {
      options.repeat = false;
    } else {
      const auto found = FindScripts(std::string(arg));
      scripts.insert(scripts.end(), found.begin(), found.end());
    }
  }
  if (scripts.empty()) {
    fmt::print(stderr,
               "usage: promqltest [--no-delayed-name-removal] [--once] PATH...\n"
               "PATH is a promqltest script or a folder of *.test files\n");
    return 2;
  }
  int passed = 0;
  int failed = 0;
  for (const std::string& script : scripts) {
    auto text = RealFileSystem()->ReadFile(script);
    if (!text) {
      fmt::print("{}: {}\n", script, text.error().message());
      ++failed;
      continue;
    }
    const auto result = tocsin::promqltest::RunScript(*text, options);
    passed += result.passed;
    failed += static_cast<int>(result.failures.size());
    for (const auto& failure : result.failures) {
      fmt::print("{}:{}: {}\n", script, failure.line, failure.message);
    }
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
