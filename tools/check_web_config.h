#pragma once

// promtool's `check web-config`.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int CheckWebConfig(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
