#pragma once

// promtool's `query analyze`: how many buckets of each histogram hold observations, over time.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int QueryAnalyze(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
