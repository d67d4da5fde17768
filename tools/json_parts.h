#pragma once

// Parts of JSON that another program answered: what is missing in it, or of another type, is empty.
// Threads: any.

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tocsin::tools {

// A field of an object; null if there is none.
const nlohmann::ordered_json& Part(const nlohmann::ordered_json& object, const char* name);
// The text that a value is.
std::string Text(const nlohmann::ordered_json& value);
// The text that a field is.
std::string Field(const nlohmann::ordered_json& object, const char* name);
bool Flag(const nlohmann::ordered_json& object, const char* name, bool otherwise = false);

}  // namespace tocsin::tools
