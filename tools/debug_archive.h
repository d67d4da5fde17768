#pragma once

// promtool's `debug pprof|metrics|all SERVER`: what a server says of itself, as debug.tar.gz.
//
// A server written in Go has profiles at /debug/pprof; tocsin has none, since there is no Go runtime to take them of.
// Its status pages are collected in their place.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "tools/tool.h"

namespace tocsin::tools {

// A tar archive (POSIX ustar) of files, names and contents.  REQUIRES: names of at most 100 bytes.
std::string TarOf(const std::vector<std::pair<std::string, std::string>>& files, base::Time modified);

int DebugVerb(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
