#pragma once

// Test tables that lie outside the repository ($TOCSIN_SHARED, else ../shared).

#include <simdjson.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/file_system.h"

namespace tocsin::alertmanager {

inline std::string SharedPath(const std::string& path) {
  const char* root = std::getenv("TOCSIN_SHARED");
  return std::string(root != nullptr ? root : "../shared") + "/" + path;
}

// Keeps the text a parsed document points into.
struct JsonFile {
  simdjson::dom::parser parser;
  simdjson::padded_string text;
  simdjson::dom::element root;
};

inline std::unique_ptr<JsonFile> LoadShared(const std::string& path) {
  auto text = base::RealFileSystem()->ReadFile(SharedPath(path));
  if (!text) return nullptr;
  auto file = std::make_unique<JsonFile>();
  file->text = simdjson::padded_string(*text);
  if (file->parser.parse(file->text).get(file->root) != simdjson::SUCCESS) return nullptr;
  return file;
}

using JsonResult = simdjson::simdjson_result<simdjson::dom::element>;

inline std::string TextOf(simdjson::dom::element e) {
  std::string_view text;
  return e.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}
inline std::string TextOf(JsonResult e) {
  return e.error() == simdjson::SUCCESS ? TextOf(e.value_unsafe()) : std::string();
}
inline bool Has(JsonResult e) { return e.error() == simdjson::SUCCESS && !e.value_unsafe().is_null(); }

}  // namespace tocsin::alertmanager
