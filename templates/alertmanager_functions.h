#pragma once

// The functions of notification templates (Alertmanager's DefaultFuncs): toUpper, join, match,
// safeHtml, date, toJson, ...  `now` and `since` ask `clock`, which outlives the map; it may be
// called from any thread.

#include <functional>

#include "base/time.h"
#include "templates/template.h"

namespace tocsin::templates {

FunctionMap AlertmanagerFunctions(std::function<base::Time()> clock);

}  // namespace tocsin::templates
