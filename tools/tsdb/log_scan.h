#pragma once

// The files of a database's head: wal/ with its checkpoint, wbl/, chunks_head/.
//
//   chunks_head file = magic 0130bc91 version 1 0 0 0
//                      { series(8) mint(8) maxt(8) encoding(1) u length, data, crc32c(4) of all before it }* zero*
//   encoding: its highest bit says that the chunk is of late samples.
//
// Threads: one.
// Memory:  the references of all series of the log.
// Errors:  none: what is wrong stands in the report.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "tools/tsdb/report.h"

namespace tocsin::tools {

struct LogScan {
  std::vector<std::string> damaged_segments;        // within the folder, "wal/00000003"
  // Where records begin whose checksum is right and whose contents are not, by segment.
  std::map<std::string, std::vector<uint64_t>> bad_records;
  std::vector<std::string> missing_segments;        // between others
  std::vector<std::string> damaged_head_chunks;     // "chunks_head/000003"
  std::vector<std::string> missing_head_chunks;     // between others
  // The first file behind a gap of so many that they are not named one by one, and the name it should have.
  std::vector<std::pair<std::string, std::string>> misnumbered;
  std::vector<std::string> leftovers;               // what nothing reads, within the folder
};

enum class Live { kNo, kYes };  // whether a server has the folder open: then the newest files may end within a write

LogScan ScanLog(base::FileSystem* fs, const std::string& folder, Live live, Report* report);

}  // namespace tocsin::tools
