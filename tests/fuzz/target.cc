#include "target.h"

#include <iterator>

#include "base/file_system.h"

namespace tocsin::fuzz {

std::vector<Target> AllTargets() {
  std::vector<Target> all;
  for (const auto part : {ChunkTargets, BlockTargets, LogTargets, ReplayTargets, ScrapeTargets, WriteTargets, TextTargets}) {
    std::vector<Target> targets = part();
    std::move(targets.begin(), targets.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<std::string> KeptInputs(const std::string& target) {
  std::vector<std::string> inputs;
  base::FileSystem* const fs = base::RealFileSystem();
  const std::string folder = TOCSIN_SOURCE_DIR "/tests/fuzz/corpus/" + target;
  const auto files = fs->List(folder);
  if (!files) return inputs;
  for (const base::FileInfo& f : *files) {
    if (auto bytes = fs->ReadFile(base::JoinPath(folder, f.name))) inputs.push_back(std::move(*bytes));
  }
  return inputs;
}

}  // namespace tocsin::fuzz
