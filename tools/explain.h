#pragma once

// tocsin's own verbs that ask a running Alertmanager: explain, journal, preview, receiver test.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int ExplainVerb(const std::vector<std::string>& args, const ToolIo& io);
int JournalVerb(const std::vector<std::string>& args, const ToolIo& io);
int PreviewVerb(const std::vector<std::string>& args, const ToolIo& io);
int ReceiverTestVerb(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
