#pragma once

// promtool's verbs that ask a server: query instant|range|series|labels, check healthy|ready.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int QueryVerb(const std::vector<std::string>& args, const ToolIo& io);
int CheckHealthy(const std::vector<std::string>& args, const ToolIo& io);
int CheckReady(const std::vector<std::string>& args, const ToolIo& io);

// up{job="x"}: a series of an answer as promtool prints it.  REQUIRES: the values are texts, else it throws Json::exception.
std::string MetricText(const nlohmann::ordered_json& metric);

}  // namespace tocsin::tools
