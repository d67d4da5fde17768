#pragma once

// `tocsin alertmanager`: the Alertmanager alone, under Alertmanager's flags.  Signals: HUP reloads,
// TERM and INT end it with its state saved.

#include <span>
#include <string>
#include <vector>

#include "app/flags.h"
#include "tools/tool.h"

namespace tocsin::app {

std::span<const FlagRow> AlertmanagerFlagTable();

// Exit status: 0 after an orderly end, 1 when it cannot start, 2 for wrong flags.
int AlertmanagerVerb(const std::vector<std::string>& args, const tools::ToolIo& io);

}  // namespace tocsin::app
