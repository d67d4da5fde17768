// A broken release swapped two version numbers: "version": 2 in meta.json, and an index of format 2 that says
// it is of format 1, so that its series are looked for in the wrong places.

#include "tsdb/block.h"

namespace tocsin::tsdb {
namespace {

constexpr size_t kVersionByte = 4;  // behind the magic number

}  // namespace

base::Result<bool> RepairIndexVersion(base::FileSystem* fs, const std::string& folder) {
  const std::string meta_path = base::JoinPath(folder, "meta.json");
  ASSIGN_OR_RETURN(std::string meta, fs->ReadFile(meta_path));
  constexpr std::string_view kWrong = "\"version\": 2";
  const size_t at = meta.find(kWrong);
  if (at == std::string::npos) return false;
  meta.replace(at, kWrong.size(), "\"version\": 1");
  if (!ParseBlockMeta(meta)) return false;  // more is wrong with it

  const std::string index_path = base::JoinPath(folder, "index");
  ASSIGN_OR_RETURN(std::string index, fs->ReadFile(index_path));
  if (index.size() <= kVersionByte || index[kVersionByte] > 2) return false;
  index[kVersionByte] = 2;
  // The index first: a crash in between leaves "version": 2, and the repair goes on from there.
  RETURN_IF_ERROR(fs->WriteFileAtomically(index_path, index));
  RETURN_IF_ERROR(fs->WriteFileAtomically(meta_path, meta));
  return true;
}

}  // namespace tocsin::tsdb
