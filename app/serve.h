#pragma once

// `tocsin serve`: scraping, storage, queries, rules, the Alertmanager and the pages on one port.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::app {

// Runs until SIGTERM or SIGINT.  Exit status: 0 after an orderly end, 1 when it could not start, 2 for
// wrong flags.
int Serve(const std::vector<std::string>& args, const tools::ToolIo& io);

}  // namespace tocsin::app
