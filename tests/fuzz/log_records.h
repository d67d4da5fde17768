#pragma once

// A record of each type of the log, for seeds.

#include <string>
#include <vector>

namespace tocsin::fuzz {

std::vector<std::string> LogRecords();

}  // namespace tocsin::fuzz
