// `tsdb repair`: mends what `tsdb verify` finds.
//
//   blocks       what can be read becomes a new block; the damaged one moves to damaged/
//   tombstones   a damaged file moves to damaged/; what was deleted shows again
//   wal, wbl     a torn end is cut; of a segment that is damaged elsewhere the whole records are kept; the original
//                goes to damaged/ or wal/damaged/; a missing segment becomes an empty one; those behind a gap of thousands
//                take the numbers that follow
//   chunks_head  damaged chunks become nobody's, as at every start; the original is copied to damaged/
//   leftovers    what was never finished is removed; parts of the log that a checkpoint stands for go to damaged/
// Nothing that holds samples is deleted.  A dry run does all of it on a file system that stays in memory.

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/overlay_file_system.h"
#include "base/text.h"
#include "tools/server.h"
#include "tools/tsdb/data_folder.h"
#include "tools/tsdb/salvage.h"
#include "tools/tsdb/verbs.h"
#include "tools/tsdb/verify.h"
#include "tsdb/block.h"
#include "tsdb/head_chunks.h"
#include "tsdb/wal/checkpoint.h"
#include "tsdb/wal/record.h"

namespace tocsin::tools {
namespace {

constexpr int kUsage = 2;

class Repairer {
 public:
  Repairer(const ToolIo& io, base::FileSystem* fs, std::string folder)
      : io_(io), fs_(fs), folder_(std::move(folder)) {}
  base::Status Run();

 private:
  void Say(const std::string& line) { io_.out(line + "\n"); }
  std::string Path(std::string_view within) const { return base::JoinPath(folder_, within); }
  // A name in damaged/ that nothing has.
  base::Result<std::string> AsideFor(const std::string& name);
  base::Status Block(const std::string& name);
  base::Status Tombstones(const std::string& name);
  base::Status Segment(const std::string& path);
  // Writes a segment anew without the records that begin at `bad`.
  base::Status DropRecords(const std::string& path, const std::vector<uint64_t>& bad);
  base::Status HeadChunks(const LogScan& log);
  // The file `path` and those behind it get numbers from that of `should_be` on.
  base::Status Renumber(const std::string& path, const std::string& should_be);
  base::Status Leftover(const std::string& name);

  const ToolIo& io_;
  base::FileSystem* const fs_;
  const std::string folder_;
};

base::Result<std::string> Repairer::AsideFor(const std::string& name) {
  const std::string aside = Path("damaged");
  RETURN_IF_ERROR(fs_->CreateFolders(aside));
  std::string path = base::JoinPath(aside, name);
  for (int n = 1; fs_->Stat(path); ++n) path = base::JoinPath(aside, fmt::format("{}.{}", name, n));
  return path;
}

base::Status Repairer::Block(const std::string& name) {
  const std::string path = Path(name);
  if (const auto swapped = tsdb::RepairIndexVersion(fs_, path); swapped && *swapped) {
    Say(name + ": the versions of meta.json and index were swapped by a broken release; put right");
  }
  Report report;
  const BlockScan scan = ScanBlock(fs_, path, name, &report);
  if (!scan.damaged) return {};
  ASSIGN_OR_RETURN(const std::optional<Salvaged> made, SalvageBlock(fs_, folder_, ProcessNow(), scan));
  ASSIGN_OR_RETURN(const std::string aside, AsideFor(name));
  RETURN_IF_ERROR(fs_->Rename(path, aside));
  RETURN_IF_ERROR(fs_->SyncFolder(folder_));
  std::string lost = fmt::format("lost: {} chunks, {} series entries", scan.lost_chunks, scan.lost_series);
  if (scan.meta && made && scan.meta->samples > made->samples) {
    lost += fmt::format("; {} of {} samples", scan.meta->samples - made->samples, scan.meta->samples);
  }
  if (made) {
    Say(fmt::format("{}: {} samples of {} series written to the new block {}; {}; the damaged block is in {}", name,
                    made->samples, made->series, made->ulid, lost, aside));
  } else {
    Say(fmt::format("{}: nothing can be read; the block is in {}", name, aside));
  }
  return {};
}

base::Status Repairer::Tombstones(const std::string& name) {
  const std::string path = Path(name + "/tombstones");
  ASSIGN_OR_RETURN(const std::string aside, AsideFor(name + ".tombstones"));
  RETURN_IF_ERROR(fs_->Rename(path, aside));
  RETURN_IF_ERROR(fs_->WriteFileAtomically(path, tsdb::FormatTombstones({})));
  ASSIGN_OR_RETURN(const std::string text, fs_->ReadFile(Path(name + "/meta.json")));
  ASSIGN_OR_RETURN(tsdb::BlockMeta meta, tsdb::ParseBlockMeta(text));
  meta.tombstones = 0;
  RETURN_IF_ERROR(fs_->WriteFileAtomically(Path(name + "/meta.json"), tsdb::FormatBlockMeta(meta)));
  Say(name + ": tombstones set aside in " + aside + "; what was deleted from the block shows again: delete it again");
  return {};
}

base::Status Repairer::Segment(const std::string& path) {
  const std::string segment = Path(path), damaged = base::JoinPath(base::FolderOf(segment), "damaged");
  // A checkpoint is a folder that stands for segments: what is set aside must not look like part of it.
  const std::string aside = path.starts_with("wal/checkpoint.") ? Path("wal/damaged") : damaged;
  ASSIGN_OR_RETURN(const std::vector<int> all, tsdb::wal::ListSegments(fs_, base::FolderOf(segment)));
  const bool last = !all.empty() && tsdb::wal::SegmentPath(base::FolderOf(segment), all.back()) == segment &&
                    aside == damaged;
  // What is cut from the end is not always only a write that was cut short.
  ASSIGN_OR_RETURN(const std::string original, fs_->ReadFile(segment));
  ASSIGN_OR_RETURN(const tsdb::wal::Repair repair, tsdb::wal::RepairSegment(fs_, segment, aside, last));
  for (const tsdb::wal::Damage& d : repair.damage) {
    if (repair.kept_in.empty()) {
      ASSIGN_OR_RETURN(const std::string copy, AsideFor(base::ReplaceAll(path, "/", "-")));
      RETURN_IF_ERROR(fs_->WriteFileAtomically(copy, original));
      Say(fmt::format("{}: the torn end behind byte {} is cut off; the original is in {}", path, d.offset, copy));
    } else {
      Say(fmt::format("{}: what stood from byte {} to {} is lost; the original is in {}", path, d.offset, d.resumed_at,
                      repair.kept_in));
    }
  }
  return {};
}

base::Status Repairer::DropRecords(const std::string& path, const std::vector<uint64_t>& bad) {
  ASSIGN_OR_RETURN(const std::string aside, AsideFor(base::ReplaceAll(path, "/", "-")));
  ASSIGN_OR_RETURN(std::unique_ptr<base::MappedFile> file, fs_->Map(Path(path)));
  RETURN_IF_ERROR(fs_->WriteFileAtomically(aside, file->data()));
  std::string good;
  uint64_t offset = 0;
  tsdb::wal::SegmentReader reader(file->data());
  for (std::string_view record; reader.Next(&record);) {
    if (std::find(bad.begin(), bad.end(), reader.record_offset()) != bad.end()) continue;
    tsdb::wal::Frame(tsdb::wal::Pack(std::string(record), tsdb::wal::Compression::kSnappy), &offset, &good);
  }
  file.reset();
  RETURN_IF_ERROR(fs_->WriteFileAtomically(Path(path), good));
  Say(fmt::format("{}: {} records that make no sense are left out; the original is in {}", path, bad.size(), aside));
  return {};
}

base::Status Repairer::HeadChunks(const LogScan& log) {
  for (const std::string& path : log.missing_head_chunks) {
    // A chunk of nobody says that something stood here: the log is then read from its beginning.
    std::string file("\x01\x30\xbc\x91\x01\0\0\0", 8);
    std::string chunk(25, '\0');
    chunk.back() = static_cast<char>(tsdb::chunk::Encoding::kXor);
    base::PutText(&chunk, std::string_view("\0\0", 2));
    base::PutBe32(&chunk, base::Crc32c(chunk));
    RETURN_IF_ERROR(fs_->WriteFileAtomically(Path(path), file + chunk));
    Say(path + ": missing; an empty one stands in its place");
  }
  for (const std::string& path : log.damaged_head_chunks) {
    ASSIGN_OR_RETURN(const std::string aside, AsideFor(base::ReplaceAll(path, "/", "-")));
    ASSIGN_OR_RETURN(const std::unique_ptr<base::MappedFile> file, fs_->Map(Path(path)));
    RETURN_IF_ERROR(fs_->WriteFileAtomically(aside, file->data()));
    Say(path + ": damaged chunks are left out; the original is in " + aside + "; what the log still has of them comes back");
  }
  // Mends as every start does.
  tsdb::HeadChunks::Loaded loaded;
  RETURN_IF_ERROR(tsdb::HeadChunks::Open({.fs = fs_, .folder = Path("chunks_head")}, model::kMinTimestamp, &loaded));
  return {};
}

base::Status Repairer::Renumber(const std::string& path, const std::string& should_be) {
  const std::string folder = base::FolderOf(path);
  const uint32_t first = *FileNumber(base::NameOf(path)), moved = first - *FileNumber(base::NameOf(should_be));
  const int digits = folder == "chunks_head" ? 6 : 8;
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs_->List(Path(folder)));
  std::vector<uint32_t> numbers;
  for (const base::FileInfo& f : files) {
    const auto number = FileNumber(f.name);
    if (!f.is_folder && number && *number >= first && f.name == fmt::format("{:0{}}", *number, digits)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  for (const uint32_t number : numbers) {
    const std::string from = fmt::format("{}/{:0{}}", folder, number, digits), to = fmt::format("{}/{:0{}}", folder, number - moved, digits);
    RETURN_IF_ERROR(fs_->Rename(Path(from), Path(to)));
    Say(from + ": its number was far behind those before it; it is " + to + " now");
  }
  return fs_->SyncFolder(Path(folder));
}

base::Status Repairer::Leftover(const std::string& name) {
  if (IsUnfinished(name)) {
    RETURN_IF_ERROR(fs_->RemoveAll(Path(name)));
    Say(name + ": removed: it was never finished");
    return {};
  }
  // A segment that a checkpoint stands for may hold the only copy of samples, when the checkpoint or chunks_head/ is
  // damaged.
  ASSIGN_OR_RETURN(const std::string aside, AsideFor(base::ReplaceAll(name, "/", "-")));
  RETURN_IF_ERROR(fs_->Rename(Path(name), aside));
  RETURN_IF_ERROR(fs_->SyncFolder(base::FolderOf(Path(name))));
  Say(name + ": nothing reads it; it is in " + aside);
  return {};
}

base::Status Repairer::Run() {
  Report report;
  ASSIGN_OR_RETURN(FolderScan scan, ScanFolder(fs_, folder_, Live::kNo, &report));
  if (const auto& far = scan.log.misnumbered; !far.empty()) {
    // From the end, so that the names of those before stay what the scan found.
    for (auto it = far.rbegin(); it != far.rend(); ++it) RETURN_IF_ERROR(Renumber(it->first, it->second));
    ASSIGN_OR_RETURN(scan, ScanFolder(fs_, folder_, Live::kNo, &report));
  }
  for (const std::string& name : scan.damaged_blocks) RETURN_IF_ERROR(Block(name));
  for (const std::string& name : scan.damaged_tombstones) RETURN_IF_ERROR(Tombstones(name));
  for (const auto& [path, offsets] : scan.log.bad_records) RETURN_IF_ERROR(DropRecords(path, offsets));
  for (const std::string& path : scan.log.damaged_segments) RETURN_IF_ERROR(Segment(path));
  for (const std::string& path : scan.log.missing_segments) {
    RETURN_IF_ERROR(fs_->WriteFileAtomically(Path(path), ""));
    Say(path + ": missing; an empty one stands in its place, so that those behind it are read");
  }
  if (!scan.log.damaged_head_chunks.empty() || !scan.log.missing_head_chunks.empty()) RETURN_IF_ERROR(HeadChunks(scan.log));
  for (const auto* list : {&scan.leftovers, &scan.log.leftovers}) {
    for (const std::string& name : *list) RETURN_IF_ERROR(Leftover(name));
  }
  return fs_->SyncFolder(folder_);
}

base::Result<int> Repair(const ToolIo& io, const std::string& folder, bool dry_run) {
  base::OverlayFileSystem overlay(io.fs);
  base::FileSystem* const fs = dry_run ? &overlay : io.fs;
  std::unique_ptr<base::File> lock;
  if (!dry_run) {
    auto held = fs->Lock(base::JoinPath(folder, "lock"));
    if (!held) return std::unexpected(held.error().Within("a server has the folder open; stop it first"));
    lock = std::move(*held);
  }
  base::ConfigureLog({.level = base::LogLevel::kWarn});
  RETURN_IF_ERROR(Repairer(io, fs, folder).Run());
  Report after;
  RETURN_IF_ERROR(ScanFolder(fs, folder, Live::kNo, &after));
  if (after.damages() > 0) {
    for (const Finding& f : after.findings()) {
      if (f.severity == Finding::Severity::kDamage) io.err("still damaged: " + f.path + ": " + f.what + "\n");
    }
    return 1;
  }
  io.out(folder + (dry_run ? " would be healthy; nothing was changed\n" : " is healthy\n"));
  return 0;
}

}  // namespace

int TsdbRepair(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin tsdb repair [FLAGS] [DIR]",
                "Mends a database's folder (default data/) that no server has open: what can be read of damaged blocks\n"
                "becomes new ones, torn ends of the log are cut, unfinished files removed.  Damaged files and those that nothing\n"
                "reads are kept in damaged/ and wal/damaged/.  Prints what was lost.  Exit status: 0 healthy now, 1 not, 2 used wrongly.");
  bool dry_run = false;
  flags.Bool("dry-run", &dry_run, "Only say what would be done.");
  flags.Examples("  tocsin tsdb repair --dry-run /var/lib/tocsin\n  tocsin tsdb repair /var/lib/tocsin\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit == 0 ? 0 : kUsage;
  const auto folder_word = FolderArgument(words, io);
  if (!folder_word) return folder_word.error();
  const std::string& folder = *folder_word;
  const auto status = Repair(io, folder, dry_run);
  return status ? *status : Fail(io, "error: " + status.error().message());
}

}  // namespace tocsin::tools
