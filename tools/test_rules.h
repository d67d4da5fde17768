#pragma once

// promtool's `test rules`: unit tests of rules, run by the same ruler, engine and database as the
// service, on simulated time.  Format: Prometheus's documentation, "Unit testing for rules".

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int TestRules(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
