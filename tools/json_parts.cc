#include "tools/json_parts.h"

#include <nlohmann/json.hpp>

namespace tocsin::tools {

using Json = nlohmann::ordered_json;

const Json& Part(const Json& object, const char* name) {
  static const Json kNone;
  const auto found = object.find(name);
  return found != object.end() ? *found : kNone;
}

std::string Text(const Json& value) { return value.is_string() ? value.get<std::string>() : ""; }

std::string Field(const Json& object, const char* name) { return Text(Part(object, name)); }

bool Flag(const Json& object, const char* name, bool otherwise) {
  const Json& value = Part(object, name);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

}  // namespace tocsin::tools
