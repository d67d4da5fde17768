#include "tools/tsdb/data_folder.h"

#include <algorithm>

#include "base/duration.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::tools {
namespace {

// A server may remove a file between our listing and our opening it: then everything is looked at anew.
constexpr int kAttempts = 3;

}  // namespace

base::Result<std::unique_ptr<DataFolder>> DataFolder::Open(const ToolIo& io, const std::string& path) {
  const auto info = io.fs->Stat(path);
  if (!info) return std::unexpected(info.error().Within("opening the db dir"));
  if (!info->is_folder) return base::InvalidArgument("opening the db dir: " + path + ": not a folder");
  // The database's own account of its start would drown what was asked for.
  base::ConfigureLog({.level = base::LogLevel::kWarn});
  return std::unique_ptr<DataFolder>(new DataFolder(io, path));
}

base::Result<std::vector<std::string>> DataFolder::BlockNames() {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, overlay_.List(path_));
  std::vector<std::string> names;
  for (const base::FileInfo& f : files) {
    if (f.is_folder && tsdb::IsUlid(f.name)) names.push_back(f.name);
  }
  return names;
}

base::Result<std::vector<std::shared_ptr<tsdb::Block>>> DataFolder::Blocks() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, BlockNames());
  std::vector<std::shared_ptr<tsdb::Block>> blocks;
  std::vector<std::pair<std::string, base::Error>> bad;
  for (const std::string& name : names) {
    const std::string folder = base::JoinPath(path_, name);
    base::Ignore(tsdb::RepairIndexVersion(&overlay_, folder));  // in memory; opening says what else is wrong
    auto block = tsdb::Block::Open(&overlay_, folder);
    if (block) {
      blocks.push_back(std::move(*block));
    } else if (io_.fs->Stat(folder)) {  // else: a server has just removed it
      bad.emplace_back(name, block.error());
    }
  }
  // A damaged block whose samples are in a block made of it costs nothing.
  for (const auto& [name, error] : bad) {
    const bool replaced = std::any_of(blocks.begin(), blocks.end(), [&name = name](const auto& b) {
      const auto& parents = b->meta().parents;
      return std::any_of(parents.begin(), parents.end(), [&](const auto& p) { return p.ulid == name; });
    });
    if (replaced) continue;
    ++damaged_;
    io_.err("corrupted block " + name + ": " + error.message() + "\n");
  }
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const auto& a, const auto& b) { return a->meta().min_time < b->meta().min_time; });
  return blocks;
}

base::Result<std::shared_ptr<tsdb::Block>> DataFolder::OneBlock(const std::string& id) {
  std::string wanted = id;
  if (id.empty()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, BlockNames());
    const auto time = [](std::string_view ulid) { return ulid.substr(0, 10); };  // its digits ascend as letters do
    for (const std::string& name : names) {
      if (wanted.empty() || time(name) > time(wanted)) wanted = name;
    }
    if (wanted.empty()) return base::NotFound(path_ + ": no blocks found");
  } else if (!tsdb::IsUlid(id) || !io_.fs->Stat(base::JoinPath(path_, id))) {
    return base::NotFound("block " + id + " not found");
  }
  return tsdb::Block::Open(&overlay_, base::JoinPath(path_, wanted));
}

base::Result<tsdb::Db*> DataFolder::OpenDb() {
  for (int attempt = 1;; ++attempt) {
    auto db = tsdb::Db::Open({.path = path_, .fs = &overlay_, .retention_time = base::Duration(0), .lock_file = false});
    if (db) {
      db_ = std::move(*db);
      CountDamage();
      return db_.get();
    }
    if (db.error().code() != base::Code::kNotFound || attempt == kAttempts) return std::unexpected(db.error());
  }
}

// What was set aside above is damaged below.
void DataFolder::CountDamage() {
  for (const std::string& change : overlay_.Changes()) {
    if (change.find("/damaged/") != std::string::npos) ++damaged_;
  }
}

int DataFolder::ExitStatus() const {
  if (damaged_ == 0) return 0;
  io_.err("error: " + path_ + " has damaged parts; what they cost: tocsin tsdb verify " + path_ + "\n");
  return 1;
}

namespace {

std::string FormatTime(model::Timestamp t, BlockTable form) {
  if (form == BlockTable::kPlain) return std::to_string(t);
  std::string text = base::FormatRfc3339(base::Time(std::chrono::seconds(t / 1000)));
  text[text.find('T')] = ' ';
  text.pop_back();
  return text + " +0000 UTC";
}

// 12KiB1015B: every unit that is not zero.
std::string FormatSize(uint64_t bytes, BlockTable form) {
  if (form == BlockTable::kPlain) return std::to_string(bytes);
  if (bytes == 0) return "0B";
  static constexpr const char* kUnits[] = {"EiB", "PiB", "TiB", "GiB", "MiB", "KiB", "B"};
  std::string text;
  for (int i = 0; i < 7; ++i) {
    const uint64_t part = bytes >> (60 - 10 * i) & 1023;
    if (part != 0) text += std::to_string(part) + kUnits[i];
  }
  return text;
}

}  // namespace

std::string FormatBlockTable(const std::vector<BlockRow>& rows, BlockTable form, bool header) {
  std::vector<std::vector<std::string>> cells;
  if (header) {
    cells.push_back({"BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"});
  }
  for (const BlockRow& row : rows) {
    const tsdb::BlockMeta& m = *row.meta;
    cells.push_back({m.ulid, FormatTime(m.min_time, form), FormatTime(m.max_time, form),
                     base::FormatGoDuration(std::chrono::milliseconds(m.max_time - m.min_time)),
                     std::to_string(m.samples), std::to_string(m.chunks), std::to_string(m.series),
                     FormatSize(row.bytes, form)});
  }
  constexpr size_t kMinWidth = 13, kGap = 2;
  std::string text;
  for (const auto& line : cells) {
    for (size_t i = 0; i < line.size(); ++i) {
      text += line[i];
      if (i + 1 == line.size()) break;
      size_t width = kMinWidth;
      for (const auto& other : cells) width = std::max(width, other[i].size() + kGap);
      text.append(width - line[i].size(), ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace tocsin::tools
