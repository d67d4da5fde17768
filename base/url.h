#pragma once

// URLs, read and checked as Go's net/url does.
//
//   ASSIGN_OR_RETURN(base::Url url, base::ParseUrl("https://user:pw@host:443/a%20b?x=1#top"));

#include <string>
#include <string_view>

#include "base/result.h"

namespace tocsin::base {

struct Url {
  std::string scheme;    // lower case; empty for a relative reference
  std::string opaque;    // what follows scheme: when it does not begin with /
  bool has_user = false;
  std::string user;      // decoded
  bool has_password = false;
  std::string password;  // decoded
  std::string host;      // with the port: "host:80", "[::1]:80"
  std::string path;      // as written, not decoded
  bool has_query = false;
  std::string query;     // as written, without ?
  std::string fragment;  // as written, without #

  std::string hostname() const;  // without port and brackets
  std::string port() const;      // empty if there is none
  bool IsHttp() const { return scheme == "http" || scheme == "https"; }
  std::string ToString() const;
  // With a password as "xxxxx": for logs and pages.
  std::string Redacted() const;
};

// Errors: kInvalidArgument with Go's wording: parse "://x": missing protocol scheme.
Result<Url> ParseUrl(std::string_view text);

// Redacted(); "<secret>" for what is no URL.
std::string RedactUrl(std::string_view text);

}  // namespace tocsin::base
