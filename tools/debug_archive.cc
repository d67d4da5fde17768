#include "tools/debug_archive.h"

#include <span>

#include <fmt/format.h>

#include "base/check.h"
#include "base/compress.h"
#include "base/number.h"
#include "tools/server.h"

namespace tocsin::tools {
namespace {

constexpr const char* kArchive = "debug.tar.gz";
constexpr size_t kTarBlock = 512;
// Profiles and traces take 30 s to make.
constexpr base::Duration kTimeout = std::chrono::minutes(2);
constexpr size_t kMaxFileBytes = 256 << 20;

struct Page {
  std::string_view path;
  std::string_view file;
};

constexpr Page kProfiles[] = {
    {"/debug/pprof/profile?seconds=30", "cpu.pb"}, {"/debug/pprof/block", "block.pb"},
    {"/debug/pprof/goroutine", "goroutine.pb"},    {"/debug/pprof/heap", "heap.pb"},
    {"/debug/pprof/mutex", "mutex.pb"},            {"/debug/pprof/threadcreate", "threadcreate.pb"},
    {"/debug/pprof/trace?seconds=30", "trace.pb"},
};
constexpr Page kMetrics[] = {{"/metrics", "metrics.txt"}};
constexpr Page kStatus[] = {
    {"/api/v1/status/buildinfo", "status/buildinfo.json"}, {"/api/v1/status/runtimeinfo", "status/runtimeinfo.json"},
    {"/api/v1/status/flags", "status/flags.json"},         {"/api/v1/status/tsdb", "status/tsdb.json"},
    {"/api/v1/status/walreplay", "status/walreplay.json"}, {"/api/v1/targets?state=active", "status/targets.json"},
    {"/api/v1/rules", "status/rules.json"},
};

constexpr const char* kNoProfiles =
    "the server has no /debug/pprof: it is not written in Go, and there is no runtime to take profiles of.\n"
    "A profile of the process: perf record -g -p PID; its metrics and status: debug metrics, debug all\n";

using Files = std::vector<std::pair<std::string, std::string>>;

base::Result<net::FetchResponse> Fetch(const ToolIo& io, const Server& server, std::string_view path) {
  const std::string url = server.UrlOf(path);
  io.out("collecting: " + url + "\n");
  net::FetchRequest request{.url = url};
  request.timeout = kTimeout;
  request.max_response_bytes = kMaxFileBytes;
  auto response = server.Send(std::move(request));
  if (!response) return std::unexpected(response.error().Within("error executing HTTP request"));
  return response;
}

base::Status Collect(const ToolIo& io, const Server& server, std::span<const Page> pages, Files* files) {
  for (const Page& p : pages) {
    ASSIGN_OR_RETURN(net::FetchResponse response, Fetch(io, server, p.path));
    if (response.status != 200) return base::FailedPrecondition(fmt::format("{}: answered {}", p.path, response.status));
    files->emplace_back(p.file, std::move(response.body));
  }
  return {};
}

base::Result<bool> HasProfiles(const ToolIo& io, const Server& server) {
  ASSIGN_OR_RETURN(const net::FetchResponse response, Fetch(io, server, "/debug/pprof/goroutine"));
  return response.status == 200;
}

base::Status Write(const ToolIo& io, const Files& files) {
  RETURN_IF_ERROR(io.fs->WriteFileAtomically(kArchive, base::Gzip(TarOf(files, ProcessNow()))));
  io.out("Compiling debug information complete, all files written in " + base::Quote(kArchive) + ".\n");
  return {};
}

base::Status Debug(const ToolIo& io, const Server& server, const std::string& what) {
  Files files;
  if (what != "metrics") {
    ASSIGN_OR_RETURN(const bool go, HasProfiles(io, server));
    if (go) {
      RETURN_IF_ERROR(Collect(io, server, kProfiles, &files));
    } else if (what == "pprof") {
      return base::FailedPrecondition(kNoProfiles);
    } else {
      io.err(kNoProfiles);
    }
  }
  if (what != "pprof") RETURN_IF_ERROR(Collect(io, server, kMetrics, &files));
  if (what == "all") RETURN_IF_ERROR(Collect(io, server, kStatus, &files));
  return Write(io, files);
}

}  // namespace

// A header of 512 bytes for each file, its contents filled up to a multiple of that; two blocks of zeros at the end.
//   name 100, mode 8, uid 8, gid 8, size 12, mtime 12, checksum 8, type 1, link 100, "ustar" 00, owner 32, group 32, ...
// Numbers are octal text.
std::string TarOf(const Files& files, base::Time modified) {
  std::string out;
  for (const auto& [name, contents] : files) {
    TOCSIN_CHECK(name.size() <= 100) << name;
    std::string header(kTarBlock, '\0');
    const auto put = [&](size_t at, std::string_view text) { header.replace(at, text.size(), text); };
    put(0, name);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, fmt::format("{:011o}", contents.size()));
    put(136, fmt::format("{:011o}", base::ToUnixMillis(modified) / 1000));
    put(148, "        ");
    put(156, "0");
    put(257, std::string_view("ustar\0" "00", 8));
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, fmt::format("{:06o}", sum));
    header[154] = '\0';
    out += header + contents;
    out.append((kTarBlock - contents.size() % kTarBlock) % kTarBlock, '\0');
  }
  return out.append(2 * kTarBlock, '\0');
}

int DebugVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool debug pprof|metrics|all SERVER",
                "Writes what a server says of itself to debug.tar.gz: its metrics, with `all` its status pages too.  Profiles are had\n"
                "of servers written in Go only, which tocsin is not.");
  Server server(io);
  server.AddFlags(&flags);
  flags.Examples("  promtool debug all http://127.0.0.1:9090\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 2 || (words[0] != "pprof" && words[0] != "metrics" && words[0] != "all")) {
    return Fail(io, "usage: tocsin debug pprof|metrics|all SERVER");
  }
  server.set_url(words[1]);
  const base::Status status = Debug(io, server, words[0]);
  return status ? 0 : Fail(io, "error completing debug command: " + status.error().message());
}

}  // namespace tocsin::tools
