#pragma once

// promtool's `check rules`.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int CheckRules(const std::vector<std::string>& args, const ToolIo& io);

// Parse options of --enable-feature's comma-separated names; unknown names are left out.
struct LanguageFeatures {
  bool experimental_functions = false;
  bool extended_range_selectors = false;
  bool binop_fill_modifiers = false;
  bool delayed_name_removal = false;
  bool per_step_stats = false;
  bool type_and_unit_labels = false;
  bool use_start_timestamps = false;
};
LanguageFeatures FeaturesOf(const std::vector<std::string>& lists);

}  // namespace tocsin::tools
