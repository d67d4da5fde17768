#pragma once

// The browser pages: the files of web/pages/, made into one source file by CMake at build time.
// Threads: constant data.

#include <span>
#include <string_view>

namespace tocsin::web {

struct File {
  std::string_view path;          // "index.html"
  std::string_view content_type;
  std::string_view content;
};

std::span<const File> Files();
const File* FindFile(std::string_view path);  // null if there is none

}  // namespace tocsin::web
