#pragma once

// http and https URLs, taken apart.  Parsing is libcurl's, so that what is checked here is what
// libcurl connects to.
// Threads: plain values.

#include <string>
#include <string_view>

#include "base/result.h"

namespace tocsin::net {

struct Url {
  std::string scheme;    // http or https
  std::string user;      // decoded
  std::string password;  // decoded
  bool has_user = false;
  std::string host;      // without brackets
  std::string port;      // always there
  bool default_port = false;  // the port is the scheme's own
  std::string path_and_query;

  std::string Authority() const;  // host, with the port unless it is the scheme's own
  std::string Text() const;       // without user and fragment
  // Whether what is meant for this URL's server may be told to that of `other`: the same host and
  // port, or the same host's default https port after its http one.
  bool SameHost(const Url& other) const;
};

// Errors: kInvalidArgument.
base::Result<Url> ParseUrl(const std::string& text);
// `location` as a redirect of `from` gives it: absolute or relative.
base::Result<Url> ResolveUrl(const Url& from, const std::string& location);

}  // namespace tocsin::net
