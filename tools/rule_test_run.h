#pragma once

// Runs one test group of a unit test file.

#include <string>
#include <vector>

#include "ruler/rule_file.h"
#include "tools/check_rules.h"
#include "tools/unit_test_file.h"

namespace tocsin::tools {

struct RunOptions {
  LanguageFeatures features;
  bool fuzzy_compare = false;
  bool show_diff = false;
  base::Duration evaluation_interval = std::chrono::minutes(1);
  std::vector<std::string> group_eval_order;
  std::function<void(std::string_view)> debug;  // null: quiet
};

// What failed, each as promtool prints it (indented, several lines); empty: passed.
std::vector<std::string> RunTestGroup(const TestGroup& test, const std::vector<ruler::GroupSpec>& groups,
                                      const RunOptions& options);

}  // namespace tocsin::tools
