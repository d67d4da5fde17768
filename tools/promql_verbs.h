#pragma once

// promtool's `promql format EXPR` and `promql label-matchers set|delete`: expressions printed, and edited, as text.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int PromqlVerb(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
