#include "web/files.h"

namespace tocsin::web {

const File* FindFile(std::string_view path) {
  for (const File& file : Files()) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

}  // namespace tocsin::web
