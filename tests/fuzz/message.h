#pragma once

// Protobuf messages that seeds are made of.

#include <protozero/pbf_writer.hpp>
#include <string>

namespace tocsin::fuzz {

// What `write` puts into a writer.
inline std::string Message(const auto& write) {
  std::string out;
  protozero::pbf_writer w(out);
  write(w);
  return out;
}

}  // namespace tocsin::fuzz
