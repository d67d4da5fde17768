#pragma once

// The data directories of the conformance kit, which lies beside the project or where TOCSIN_SHARED says.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/file_system.h"

namespace tocsin::tsdb {

inline std::string KitFolder(const std::string& name) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  return std::string(shared != nullptr ? shared : "../shared") + "/conformance/tsdb/" + name;
}

// Copies a real folder into `to`.
inline void CopyFolder(const std::string& from, base::FileSystem* to, const std::string& target) {
  ASSERT_TRUE(to->CreateFolders(target));
  const auto files = base::RealFileSystem()->List(from);
  ASSERT_TRUE(files) << files.error().message();
  for (const base::FileInfo& f : *files) {
    const std::string source = base::JoinPath(from, f.name), copy = base::JoinPath(target, f.name);
    if (f.is_folder) {
      CopyFolder(source, to, copy);
    } else {
      ASSERT_TRUE(to->WriteFileAtomically(copy, *base::RealFileSystem()->ReadFile(source)));
    }
  }
}

}  // namespace tocsin::tsdb
