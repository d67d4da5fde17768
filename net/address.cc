#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>

namespace tocsin::net {
namespace {

auto AddressError(std::string_view text, std::string_view what) {
  return base::InvalidArgument("address " + std::string(text) + ": " + std::string(what));
}

}  // namespace

base::Result<HostPort> SplitHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return AddressError(text, "missing port in address");
  HostPort out;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return AddressError(text, "missing ']' in address");
    if (end + 1 == text.size()) return AddressError(text, "missing port in address");
    if (end + 1 != colon) {
      return AddressError(text, text[end + 1] == ':' ? "too many colons in address"
                                                     : "missing port in address");
    }
    out.host = text.substr(1, end - 1);
  } else {
    out.host = text.substr(0, colon);
    if (out.host.find(':') != std::string::npos) {
      return AddressError(text, "too many colons in address; write IPv6 addresses as [::1]:80");
    }
  }
  if (out.host.find_first_of("[]") != std::string::npos) {
    return AddressError(text, "unexpected '[' or ']' in address");
  }
  out.port = text.substr(colon + 1);
  return out;
}

std::string JoinHostPort(std::string_view host, std::string_view port) {
  std::string out;
  const bool v6 = host.find(':') != std::string_view::npos;
  if (v6) out += '[';
  out += host;
  if (v6) out += ']';
  out += ':';
  out += port;
  return out;
}

bool IsIpAddress(std::string_view host) {
  const std::string text(host);
  in6_addr buffer;
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

std::string FormatAddress(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return JoinHostPort(text, std::to_string(ntohs(v4->sin_port)));
  }
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    // A v4 client of a dual socket reads as what it is.
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
    return JoinHostPort(text, std::to_string(ntohs(v6->sin6_port)));
  }
  return {};
}

uint16_t ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? port : 0;
}

}  // namespace tocsin::net
