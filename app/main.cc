// The one binary: services and command-line verbs, by the first word or by the name it is called under.

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "app/verbs.h"
#include "base/version.h"
#include "tools/tool.h"

namespace {

using tocsin::tools::ToolIo;
using Args = std::vector<std::string>;

// An arena for each core, of which any thread takes what another one freed.  glibc makes eight for each core, and what
// lies free between what stays is in all of them.
void LimitArenas() {
  if (std::getenv("MALLOC_ARENA_MAX") != nullptr) return;
  ::mallopt(M_ARENA_MAX, std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, 8));
}

// promtool and amtool take flags before the verb too: --enable-feature=X check rules FILE, --experimental promql format.
Args LeadingFlagsLast(Args words) {
  size_t n = 0;
  const auto is_flag = [](const std::string& w) {
    return w == "--experimental" || (w.starts_with("--") && w.find('=') != std::string::npos);
  };
  while (n < words.size() && is_flag(words[n])) ++n;
  std::rotate(words.begin(), words.begin() + static_cast<long>(n), words.end());
  return words;
}

// "check rules" before "check": the longest name that the words begin with counts.
int RunVerb(const Args& words, const ToolIo& io, std::string_view group) {
  const tocsin::app::VerbRow* best = nullptr;
  size_t best_words = 0;
  for (const tocsin::app::VerbRow& row : tocsin::app::Verbs()) {
    if (!group.empty() && row.group != group) continue;
    Args name;
    for (std::string_view rest = row.name; !rest.empty();) {
      const size_t blank = rest.find(' ');
      name.emplace_back(rest.substr(0, blank));
      rest = blank == std::string_view::npos ? "" : rest.substr(blank + 1);
    }
    if (words.size() < name.size() || name.size() <= best_words) continue;
    if (!std::equal(name.begin(), name.end(), words.begin())) continue;
    best = &row;
    best_words = name.size();
  }
  if (best != nullptr) {
    return tocsin::tools::RunVerb(best->verb, {words.begin() + static_cast<long>(best_words), words.end()}, io);
  }
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    io.out(tocsin::app::HelpText(group, io.color));
    return words.empty() ? 1 : 0;
  }
  if (words[0] == "--version" || words[0] == "version") {
    io.out(tocsin::app::VersionText("tocsin"));
    return 0;
  }
  io.err("error: unknown command \"" + words[0] + "\"\n" + tocsin::app::HelpText(group, false));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  LimitArenas();
  const ToolIo io = tocsin::tools::ProcessIo();
  Args words = LeadingFlagsLast(Args(argv + 1, argv + argc));
  std::string_view name = argv[0];
  name = name.substr(name.rfind('/') + 1);

  // Under the names of the programs it stands in for it behaves as they do.
  if (name == "promtool" || name == "amtool") return RunVerb(words, io, name);
  if (name == "prometheus") words.insert(words.begin(), "serve");
  if (name == "alertmanager") words.insert(words.begin(), "alertmanager");
  return RunVerb(words, io, "");
}
