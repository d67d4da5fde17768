#pragma once

// So that a hash map of texts is asked by string_view without making a std::string:
//
//   absl::flat_hash_map<std::string, int, base::TextHash, std::equal_to<>> map;

#include <cstddef>
#include <functional>
#include <string_view>

namespace tocsin::base {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

}  // namespace tocsin::base
