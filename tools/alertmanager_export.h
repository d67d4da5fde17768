#pragma once

// tocsin alertmanager export: silences and notification log as the files that Alertmanager reads.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int AlertmanagerExport(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
