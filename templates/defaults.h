#pragma once

// The notification templates that are there without any file, under Alertmanager's public names, so
// that users' own templates may call or replace them.  The texts are ours; what they print is
// upstream's, but for email.default.html, which is our own page with the same information.

#include <string_view>

#include "base/result.h"
#include "templates/template.h"

namespace tocsin::templates {

// Names and texts of the two built-in files.
std::string_view DefaultTemplates();
std::string_view DefaultEmailTemplate();

// Parses both into `set`; to be called before users' files, which then win.
base::Status AddDefaultTemplates(TemplateSet* set);

}  // namespace tocsin::templates
