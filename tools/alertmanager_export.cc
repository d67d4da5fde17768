#include "tools/alertmanager_export.h"

#include <fmt/format.h>

#include "alertmanager/upstream_snapshot.h"
#include "base/simulated_executor.h"
#include "state/store.h"
#include "tools/server.h"

namespace tocsin::tools {
namespace {

// What a stopped server has left in `folder`.
base::Result<state::Contents> ReadState(const std::string& folder, base::FileSystem* fs) {
  if (!fs->Stat(base::JoinPath(folder, "state.db"))) {
    return base::NotFound(fmt::format("{} has no state.db: name the --storage.path of tocsin alertmanager; that of tocsin serve is the "
                                      "folder alertmanager below its --storage.tsdb.path", folder));
  }
  // Nothing is committed, so no clock ever turns; a damaged file is set aside under the time of now.
  base::SimulatedExecutor executor(ProcessNow());
  state::Contents contents;
  ASSIGN_OR_RETURN(const std::unique_ptr<state::Store> store, state::OpenSqliteStore({.folder = folder, .executor = &executor}, &contents));
  store->Stop([] {});
  executor.RunPosted();
  return contents;
}

// What was lost of a damaged state, for people; empty: nothing.
base::Result<std::vector<std::string>> Export(const std::string& folder, const std::string& out, const ToolIo& io) {
  for (const char* name : {"silences", "nflog"}) {
    if (const std::string path = base::JoinPath(out, name); io.fs->Stat(path)) {
      return base::FailedPrecondition(path + " is there already and is not written over; name another folder");
    }
  }
  ASSIGN_OR_RETURN(state::Contents contents, ReadState(folder, io.fs));
  std::vector<std::string> left_out;
  const std::string silences = alertmanager::WriteUpstreamSilences(contents.silences, &left_out);
  const size_t silences_left_out = left_out.size();
  const std::string nflog = alertmanager::WriteUpstreamNotifications(contents.notifications, &left_out);
  RETURN_IF_ERROR(io.fs->CreateFolders(out));
  RETURN_IF_ERROR(io.fs->WriteFileAtomically(base::JoinPath(out, "silences"), silences));
  RETURN_IF_ERROR(io.fs->WriteFileAtomically(base::JoinPath(out, "nflog"), nflog));
  for (const std::string& what : left_out) io.err("left out: " + what + "\n");
  io.out(fmt::format("{} silences and {} notification log entries written to {}; start Alertmanager with --storage.path={}\n",
                     contents.silences.size() - silences_left_out,
                     contents.notifications.size() - (left_out.size() - silences_left_out), out, out));
  return std::move(contents.losses);
}

}  // namespace

int AlertmanagerExport(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("tocsin alertmanager export [FLAGS] FOLDER",
                "Writes silences and the notification log as the files `silences` and `nflog` that Alertmanager reads from its "
                "--storage.path, so that it can take over without notifying anybody twice.  The server must be stopped.  The other way "
                "needs no command: a server that finds these files in its folder imports them at its first start.");
  std::string folder = "data/";
  flags.String("storage.path", &folder, "The folder of state.db.");
  flags.Examples("  tocsin alertmanager export --storage.path=/var/lib/tocsin/alertmanager /var/lib/prometheus/alertmanager\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.size() != 1) return Fail(io, "error: name the folder to write to");
  const auto losses = Export(folder, words.front(), io);
  if (!losses) return Fail(io, "error: " + losses.error().message());
  for (const std::string& loss : *losses) io.err("error: " + loss + "; what could be read of it was exported\n");
  return losses->empty() ? 0 : 1;
}

}  // namespace tocsin::tools
