#pragma once

// amtool's `template render`: a text rendered with the default templates, those of --template.glob and
// the notification data of --template.data (JSON, else a small sample).

#include <string>
#include <vector>

#include "tools/tool.h"

namespace tocsin::tools {

int TemplateRender(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
