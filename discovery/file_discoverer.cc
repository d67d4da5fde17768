// Target groups from files.  The files are looked at every few seconds on the background lane; one
// that has changed is read again, one that cannot be read keeps the groups it gave before.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/number.h"
#include "discovery/discovery.h"

namespace tocsin::discovery {
namespace {

constexpr base::Duration kLookEvery = std::chrono::seconds(5);

struct FileState {
  base::Time modified{};
  uint64_t size = 0;
  TargetGroups groups;
};

// What the worker that looks at the files gets and gives back.
struct Scan {
  std::vector<std::string> patterns;
  bool read_all = false;  // also those whose time and size are the same
  std::map<std::string, FileState> files;
  bool changed = false;
  std::vector<std::pair<std::string, std::string>> failed;  // path, error
};

base::Result<TargetGroups> ParseGroups(std::string_view text, const std::string& path) {
  bool json = path.ends_with(".json") || path.ends_with(".JSON");
  // JSON is YAML, but for what is no document at all.
  if (json && text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return base::InvalidArgument(path + ": unexpected end of JSON input; write [] for no targets");
  }
  ASSIGN_OR_RETURN(base::yaml::Document doc, base::yaml::Parse(text, path));
  return ReadTargetGroups(doc, path, "__meta_filepath", path);
}

base::Status ReadOne(base::FileSystem* fs, const std::string& path, const base::FileInfo& info, FileState* state,
                     bool* changed) {
  // Taken before reading: a change during it is seen the next time.
  state->modified = info.modified;
  state->size = info.size;
  ASSIGN_OR_RETURN(std::string text, fs->ReadFile(path));
  ASSIGN_OR_RETURN(TargetGroups groups, ParseGroups(text, path));
  if (SameGroups(groups, state->groups)) return {};
  state->groups = std::move(groups);
  *changed = true;
  return {};
}

void RunScan(base::FileSystem* fs, Scan* scan) {
  std::set<std::string> present;
  for (const std::string& pattern : scan->patterns) {
    auto paths = base::Glob(fs, pattern);
    if (!paths) {
      scan->failed.emplace_back(pattern, paths.error().message());
      continue;
    }
    for (const std::string& path : *paths) {
      if (!present.insert(path).second) continue;
      auto info = fs->Stat(path);
      if (!info) {
        scan->failed.emplace_back(path, info.error().message());
        continue;
      }
      auto [at, added] = scan->files.try_emplace(path);
      FileState& state = at->second;
      if (!added && !scan->read_all && state.modified == info->modified && state.size == info->size) continue;
      auto status = ReadOne(fs, path, *info, &state, &scan->changed);
      if (!status) scan->failed.emplace_back(path, status.error().message());
    }
  }
  scan->changed |= std::erase_if(scan->files, [&](const auto& f) { return !present.contains(f.first); }) > 0;
}

class FileDiscoverer : public Discoverer {
 public:
  FileDiscoverer(const DiscoveryOptions& options, FileSdConfig config)
      : executor_(options.executor), fs_(options.fs), config_(std::move(config)), on_failure_(options.on_failure) {
    if (options.registry == nullptr) return;
    errors_ = options.registry->AddCounter("prometheus_sd_file_read_errors_total",
                                           "The number of File-SD read errors.");
    mtimes_ = options.registry->AddGaugeFamily("prometheus_sd_file_mtime_seconds",
                                               "Timestamp (mtime) of files read by FileSD. Timestamp is set at read "
                                               "time.",
                                               {"filename"});
  }

  ~FileDiscoverer() override { gate_.Close(); }

  void Start(std::function<void(TargetGroups)> update) override {
    update_ = std::move(update);
    Look();
  }

 private:
  void Look() {
    auto scan = std::make_shared<Scan>();
    scan->patterns = config_.files;
    scan->files = std::move(files_);
    base::Duration now = executor_->Monotonic();
    scan->read_all = first_ || now - read_all_at_ >= config_.refresh_interval;
    if (scan->read_all) read_all_at_ = now;
    executor_->Offload(base::Lane::kBackground, [fs = fs_, scan] { RunScan(fs, scan.get()); },
                       gate_.Wrap([this, scan] { Take(scan.get()); }));
  }

  void Take(Scan* scan) {
    files_ = std::move(scan->files);
    for (const auto& [path, error] : scan->failed) {
      if (on_failure_) {
        on_failure_(path, error);
      } else {
        base::LogError("target file not read, its last targets stay", {{"file", path}, {"error", error}});
      }
      if (errors_ != nullptr) errors_->Add(1);
    }
    if (mtimes_ != nullptr) {
      for (const auto& [path, state] : files_) {
        mtimes_->With({path})->Set(base::ToSeconds(state.modified.time_since_epoch()));
      }
    }
    bool tell = std::exchange(first_, false) || scan->changed;
    // The timer is set first: a listener may destroy this object.
    timer_ = executor_->After(std::min(kLookEvery, std::max(config_.refresh_interval, kLeastPause)), [this] { Look(); });
    if (!tell) return;
    TargetGroups all;
    for (const auto& [path, state] : files_) all.insert(all.end(), state.groups.begin(), state.groups.end());
    update_(std::move(all));
  }

  static constexpr base::Duration kLeastPause = std::chrono::milliseconds(100);

  base::Executor* const executor_;
  base::FileSystem* const fs_;
  const FileSdConfig config_;
  const std::function<void(const std::string&, const std::string&)> on_failure_;
  base::Counter* errors_ = nullptr;
  base::Family<base::Gauge>* mtimes_ = nullptr;
  std::function<void(TargetGroups)> update_;
  std::map<std::string, FileState> files_;  // empty while a scan has it
  bool first_ = true;
  base::Duration read_all_at_{0};
  base::Timer timer_;
  base::Gate gate_;
};

}  // namespace

std::unique_ptr<Discoverer> MakeFileDiscoverer(const DiscoveryOptions& options, const FileSdConfig& config) {
  return std::make_unique<FileDiscoverer>(options, config);
}

}  // namespace tocsin::discovery
