#pragma once

// The values of insight.h as JSON.  Threads: any.

#include <string>
#include <vector>

#include "alertmanager/explain.h"
#include "alertmanager/journal_search.h"
#include "alertmanager/preview.h"

namespace tocsin::api {

void WriteJournal(const alertmanager::JournalPage& page, std::string* out);
void WriteExplanation(const alertmanager::Explanation& explanation, std::string* out);
void WritePreview(const std::vector<alertmanager::RoutePreview>& routes, std::string* out);
void WriteReceiverTest(const std::string& receiver, const std::vector<alertmanager::IntegrationTest>& tests, std::string* out);

}  // namespace tocsin::api
