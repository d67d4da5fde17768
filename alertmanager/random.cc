#include "alertmanager/random.h"

#include "base/digest.h"
#include "base/random.h"

namespace tocsin::alertmanager {

Random::Random(uint64_t seed) : engine_(seed != 0 ? seed : base::SystemSeed()) {}

std::string Random::Uuid() {
  uint64_t words[2] = {Next(), Next()};
  auto* bytes = reinterpret_cast<uint8_t*>(words);
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3F) | 0x80);
  const std::string hex = base::Hex(bytes, 16);
  std::string uuid;
  for (size_t i = 0; i < hex.size(); ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) uuid += '-';
    uuid += hex[i];
  }
  return uuid;
}

}  // namespace tocsin::alertmanager
