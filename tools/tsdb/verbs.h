#pragma once

// The verbs of `tsdb`: promtool's, and our own verify and repair.
// Exit status: 0 fine, 1 failed or damage found, 2 (verify and repair) used wrongly.

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int TsdbList(const std::vector<std::string>& args, const ToolIo& io);
int TsdbDump(const std::vector<std::string>& args, const ToolIo& io);
int TsdbDumpOpenMetrics(const std::vector<std::string>& args, const ToolIo& io);
int TsdbCreateBlocksFromOpenMetrics(const std::vector<std::string>& args, const ToolIo& io);
int TsdbCreateBlocksFromRules(const std::vector<std::string>& args, const ToolIo& io);
int TsdbAnalyze(const std::vector<std::string>& args, const ToolIo& io);
int TsdbBenchWrite(const std::vector<std::string>& args, const ToolIo& io);
int TsdbVerify(const std::vector<std::string>& args, const ToolIo& io);
int TsdbRepair(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
