#pragma once

// promtool's `check config`.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

// Arguments, result lines and exit status as promtool's: 0 fine, 1 errors, 3 lint findings with
// --lint-fatal.
int CheckConfig(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
