#pragma once

// The table of verbs: one row a verb.

#include <span>
#include <string>
#include <string_view>

#include "tools/tool.h"

namespace tocsin::app {

struct VerbRow {
  std::string_view name;   // "check rules"
  std::string_view group;  // "tocsin", "promtool", "amtool": under which name it also answers
  tools::Verb verb;
  std::string_view help;   // one line
};

std::span<const VerbRow> Verbs();
std::string HelpText(std::string_view group, bool color);
std::string VersionText(std::string_view program);

}  // namespace tocsin::app
