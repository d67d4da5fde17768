#pragma once

// What a request needs of its HttpConfig's files, read afresh for each request, so that a rotated
// secret or certificate counts at once.
// Threads: Read() blocks on files: run it on a worker unless NeedsFiles() says no.

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_config.h"

namespace tocsin::net {

struct RequestSecrets {
  std::string authorization;  // header value; empty: none
  std::vector<std::pair<std::string, std::string>> headers;         // any host may see them
  std::vector<std::pair<std::string, std::string>> secret_headers;  // only the host that was asked
  std::string ca, cert, key;                                        // PEM
  std::string oauth_secret;
};

bool NeedsFiles(const HttpConfig& config);
// Errors: kInvalidArgument, naming the file.
base::Result<RequestSecrets> ReadSecrets(const HttpConfig& config);

std::string BasicAuthorization(std::string_view user, std::string_view password);

}  // namespace tocsin::net
