#pragma once

#include <cstdint>

namespace tocsin::base {

// A number nobody can guess, from the system's generator: the seed of everything else.  Where results
// must repeat, a seed is passed in instead.
uint64_t SystemSeed();

}  // namespace tocsin::base
