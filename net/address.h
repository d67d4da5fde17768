#pragma once

// host:port text.
// Threads: pure functions.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

struct sockaddr;

namespace tocsin::net {

struct HostPort {
  std::string host;  // without the brackets of IPv6; may be empty
  std::string port;
};

// As Go's net.SplitHostPort: "h:25", "[::1]:25", ":25".
// Errors: kInvalidArgument in Go's words: address h: missing port in address.
base::Result<HostPort> SplitHostPort(std::string_view text);
std::string JoinHostPort(std::string_view host, std::string_view port);  // brackets for IPv6

bool IsIpAddress(std::string_view host);
std::string FormatAddress(const sockaddr* address);  // 127.0.0.1:80, [::1]:80; empty if neither

// 1 to 65535; 0 if it is not a port number.
uint16_t ParsePort(std::string_view text);

}  // namespace tocsin::net
