#include "base/random.h"

#include <openssl/rand.h>

#include "base/check.h"

namespace tocsin::base {

uint64_t SystemSeed() {
  uint64_t seed = 0;
  TOCSIN_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed) == 1);
  return seed;
}

}  // namespace tocsin::base
