#pragma once

// HTTP for command-line verbs: one request, waited for on an event loop of its own.
// Threads: the caller's.  Errors: net::HttpClient's, with the URL before them.

#include "base/result.h"
#include "net/http_client.h"

namespace tocsin::tools {

base::Result<net::FetchResponse> FetchNow(net::FetchRequest request);

}  // namespace tocsin::tools
