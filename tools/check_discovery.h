#pragma once

// promtool's `check service-discovery CONFIG JOB`: what a job's discovery finds now, before and after relabeling.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int CheckServiceDiscovery(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
