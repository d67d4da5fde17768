#pragma once

// promtool's verbs that ask a server: query instant|range|series|labels, check healthy|ready; and
// `promql format`.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int QueryVerb(const std::vector<std::string>& args, const ToolIo& io);
int CheckHealthy(const std::vector<std::string>& args, const ToolIo& io);
int CheckReady(const std::vector<std::string>& args, const ToolIo& io);
int PromqlVerb(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
