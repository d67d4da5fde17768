#pragma once

// promtool's `check metrics`: reads an exposition from standard input, says what is wrong with the
// names (the rules of Prometheus's promlint), and with --extended which metrics have the most series.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int CheckMetrics(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
