#include "net/password.h"

#include <crypt.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace tocsin::net {

bool IsBcryptHash(std::string_view hash) {
  if (hash.size() != 60 || !(hash.starts_with("$2a$") || hash.starts_with("$2b$") || hash.starts_with("$2y$"))) return false;
  const auto digit = [&](size_t i) { return hash[i] >= '0' && hash[i] <= '9' ? hash[i] - '0' : 100; };
  const int cost = digit(4) * 10 + digit(5);
  return cost >= 4 && cost <= 31 && hash[6] == '$' && std::ranges::all_of(hash.substr(7), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/';
         });
}

bool MatchesBcrypt(const std::string& password, const std::string& hash) {
  if (password.size() > 72 || password.find('\0') != std::string::npos) return false;
  auto data = std::make_unique<crypt_data>();  // 32 KiB
  const char* computed = crypt_r(password.c_str(), hash.c_str(), data.get());
  if (computed == nullptr || std::strlen(computed) != hash.size()) return false;
  unsigned char differs = 0;  // in the same time wherever they differ
  for (size_t i = 0; i < hash.size(); ++i) differs |= static_cast<unsigned char>(computed[i] ^ hash[i]);
  return differs == 0;
}

}  // namespace tocsin::net
