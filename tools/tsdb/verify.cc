#include "tools/tsdb/verify.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "tools/tsdb/data_folder.h"
#include "tools/tsdb/verbs.h"

namespace tocsin::tools {
namespace {

constexpr int kUsage = 2;
// Readings of a log that a server changes meanwhile; it cuts its log every two hours.
constexpr int kLogAttempts = 3;

// Blocks that share time, and blocks that others were made of.
void NoteOverlaps(std::vector<tsdb::BlockMeta> metas, Report* report) {
  std::sort(metas.begin(), metas.end(), [](const auto& a, const auto& b) { return a.min_time < b.min_time; });
  for (size_t i = 1; i < metas.size(); ++i) {
    if (metas[i].min_time < metas[i - 1].max_time) {
      report->Note(metas[i].ulid, "shares time with block " + metas[i - 1].ulid + "; the next compaction merges them");
    }
  }
  for (const tsdb::BlockMeta& m : metas) {
    for (const tsdb::BlockMeta::Parent& p : m.parents) {
      const bool there = std::any_of(metas.begin(), metas.end(), [&](const auto& other) { return other.ulid == p.ulid; });
      if (there && p.ulid != m.ulid) report->Note(p.ulid, "block " + m.ulid + " was made of it; the next start removes it");
    }
  }
}

// The names of the head's files.
std::vector<std::string> LogFiles(base::FileSystem* fs, const std::string& folder) {
  std::vector<std::string> names;
  for (const char* part : {"wal", "wbl", "chunks_head"}) {
    const auto files = fs->List(base::JoinPath(folder, part));
    if (!files) continue;
    for (const base::FileInfo& f : *files) names.push_back(base::JoinPath(part, f.name));
  }
  return names;
}

}  // namespace

bool IsUnfinished(std::string_view name) {
  return name.ends_with(".tmp-for-creation") || name.ends_with(".tmp-for-deletion") || name.ends_with(".tmp");
}

bool IsOpenElsewhere(base::FileSystem* fs, const std::string& folder) {
  const std::string path = base::JoinPath(folder, "lock");
  if (!fs->Stat(path)) return false;  // taking the lock would make the file
  const auto lock = fs->Lock(path);
  return !lock && lock.error().code() == base::Code::kUnavailable;
}

base::Result<FolderScan> ScanFolder(base::FileSystem* fs, const std::string& folder, Live live, Report* report) {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs->List(folder));
  FolderScan out;
  std::vector<tsdb::BlockMeta> metas;
  for (const base::FileInfo& f : files) {
    if (IsUnfinished(f.name)) {
      report->Note(f.name, live == Live::kYes ? "unfinished: the server may be at it" : "left by a process that was stopped");
      out.leftovers.push_back(f.name);
      continue;
    }
    if (!f.is_folder || !tsdb::IsUlid(f.name)) continue;
    Report part = report->Part();
    const BlockScan scan = ScanBlock(fs, base::JoinPath(folder, f.name), f.name, &part);
    if (live == Live::kYes && part.damages() > 0 && !fs->Stat(base::JoinPath(folder, f.name + "/meta.json"))) {
      report->Note(f.name, "the server removed the block while it was read");
      continue;
    }
    if (scan.meta) metas.push_back(*scan.meta);
    if (scan.damaged) {
      out.damaged_blocks.push_back(f.name);
    } else if (part.damages_of(f.name + "/tombstones") > 0) {
      out.damaged_tombstones.push_back(f.name);
    }
    report->Add(std::move(part));
  }
  NoteOverlaps(std::move(metas), report);
  // A server cuts its log behind our back: what is missing then was not needed any more.
  for (int attempt = 1;; ++attempt) {
    const std::vector<std::string> before = LogFiles(fs, folder);
    Report part = report->Part();
    out.log = ScanLog(fs, folder, live, &part);
    const bool again = live == Live::kYes && part.damages() > 0 && attempt < kLogAttempts && LogFiles(fs, folder) != before;
    if (again) continue;
    report->Add(std::move(part));
    return out;
  }
}

namespace {

std::string ReportJson(const std::string& folder, const Report& report) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const Finding& f : report.findings()) {
    nlohmann::ordered_json row = {{"severity", f.severity == Finding::Severity::kDamage ? "damage" : "note"}, {"path", f.path}};
    if (f.offset) row["offset"] = *f.offset;
    row["what"] = f.what;
    if (!f.cost.empty()) row["cost"] = f.cost;
    findings.push_back(std::move(row));
  }
  const nlohmann::ordered_json all = {{"folder", folder},
                                      {"healthy", report.damages() == 0},
                                      {"damages", report.damages()},
                                      {"findingsLeftOut", report.left_out()},
                                      {"read", {{"blocks", report.blocks}, {"series", report.series},
                                                {"chunks", report.chunks}, {"samples", report.samples},
                                                {"segments", report.segments}, {"records", report.records}}},
                                      {"findings", std::move(findings)}};
  return all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string ReportText(const Report& report, bool color) {
  std::string text;
  for (const Finding& f : report.findings()) {
    const bool damage = f.severity == Finding::Severity::kDamage;
    text += damage ? (color ? "\033[31mdamage\033[0m  " : "damage  ") : "note    ";
    text += f.path;
    if (f.offset) text += fmt::format(", byte {}", *f.offset);
    text += ": " + f.what + "\n";
    if (!f.cost.empty()) text += "        costs: " + f.cost + "\n";
  }
  if (report.left_out() > 0) text += fmt::format("        and {} more in the same files\n", report.left_out());
  text += fmt::format("read: {} blocks with {} series; {} chunks, {} samples; {} segments of the log with {} records\n",
                      report.blocks, report.series, report.chunks, report.samples, report.segments, report.records);
  return text;
}

}  // namespace

std::expected<std::string, int> FolderArgument(const std::vector<std::string>& words, const ToolIo& io) {
  if (words.size() > 1) {
    io.err("error: unexpected " + words[1] + "; try --help\n");
    return std::unexpected(kUsage);
  }
  const std::string folder = words.empty() ? kDefaultDbPath : words[0];
  const auto info = io.fs->Stat(folder);
  if (!info || !info->is_folder) {
    io.err("error: " + (info ? folder + ": not a folder" : info.error().message()) + "\n");
    return std::unexpected(kUsage);
  }
  return folder;
}

int TsdbVerify(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin tsdb verify [FLAGS] [DIR]",
                "Checks every checksum, order and reference of a database's folder (default data/) and says what is wrong,\n"
                "where, and what it costs.  Nothing changes; a running server's folder may be checked.\n"
                "Exit status: 0 healthy, 1 damage, 2 used wrongly.");
  bool json = false;
  flags.Bool("json", &json, "Print the findings as JSON.");
  flags.Examples("  tocsin tsdb verify /var/lib/tocsin\n"
                 "  tocsin tsdb verify --json /var/lib/tocsin | jq '.findings[] | select(.severity == \"damage\")'\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit == 0 ? 0 : kUsage;
  const auto folder_word = FolderArgument(words, io);
  if (!folder_word) return folder_word.error();
  const std::string& folder = *folder_word;
  const bool progress = io.color && !json;
  Report report([&](const std::string& path) {
    if (progress) io.err("\r\033[Kreading " + path);
  });
  const Live live = IsOpenElsewhere(io.fs, folder) ? Live::kYes : Live::kNo;
  const auto scan = ScanFolder(io.fs, folder, live, &report);
  if (progress) io.err("\r\033[K");
  if (!scan) return Fail(io, "error: " + scan.error().message());
  if (json) {
    io.out(ReportJson(folder, report));
    return report.damages() == 0 ? 0 : 1;
  }
  if (live == Live::kYes) io.out("note    a server has the folder open\n");
  io.out(ReportText(report, io.color));
  if (report.damages() == 0) {
    io.out(folder + " is healthy\n");
    return 0;
  }
  io.out(fmt::format("{} has {} damaged places; to mend what can be: tocsin tsdb repair --dry-run {}\n", folder,
                     report.damages(), folder));
  return 1;
}

}  // namespace tocsin::tools
