#include "api/query_logs.h"

#include <algorithm>

#include "api/http/json.h"
#include "base/log.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

// {"query":"up","timestamp_sec":1582208820}, in `most` bytes.
std::string EntryText(std::string_view query, base::Time now, size_t most) {
  // An escaped byte may take six; the rest of the entry takes less than 60.
  for (size_t keep = std::min(query.size(), most);; keep = keep * 3 / 4) {
    std::string text;
    JsonWriter json(&text);
    json.BeginObject();
    json.Member("query", base::TruncateRunes(query.substr(0, keep), keep));
    json.Member("timestamp_sec", base::ToUnixMillis(now) / 1000);
    json.EndObject();
    if (text.size() <= most || keep == 0) return text;
  }
}

// What an ended process left: '[', then entries of fixed size, each followed by a comma, zeros between.
std::string ListIn(std::string text) {
  std::erase(text, '\0');
  while (!text.empty() && (text.back() == ',' || text.back() == ']')) text.pop_back();
  if (!text.starts_with('[') || text.size() < 3) return "";
  return text + "]";
}

}  // namespace

ActiveQueries::ActiveQueries(base::FileSystem* fs, std::string path, int slots)
    : path_(std::move(path)) {
  if (auto text = fs->ReadFile(path_)) unfinished_ = ListIn(*std::move(text));
  if (!unfinished_.empty()) {
    base::LogWarn("These queries didn't finish in the last run:", {{"queries", unfinished_}});
  }
  const base::MutexLock lock(&mu_);
  for (size_t slot = static_cast<size_t>(std::max(slots, 0)); slot > 0; --slot) {
    free_.push_back(slot - 1);
  }
  auto file = fs->Open(path_, base::FileSystem::Mode::kTruncate);
  base::Status made = file ? (*file)->Append("[" + std::string(free_.size() * kEntryBytes, '\0'))
                           : base::Status(std::unexpected(file.error()));
  if (!made) {
    base::LogError("Active queries are not recorded",
                   {{"path", path_}, {"error", made.error().message()}});
    return;
  }
  file_ = *std::move(file);
}

ActiveQueries::Entry ActiveQueries::Enter(std::string_view query, base::Time now) {
  const base::MutexLock lock(&mu_);
  if (!file_ || free_.empty()) return {};
  const size_t slot = free_.back();
  free_.pop_back();
  Write(slot, EntryText(query, now, kEntryBytes - 1) + ",");
  return {this, slot};
}

void ActiveQueries::Leave(size_t slot) {
  const base::MutexLock lock(&mu_);
  Write(slot, "");
  free_.push_back(slot);
}

void ActiveQueries::Write(size_t slot, std::string entry) {
  entry.resize(kEntryBytes, '\0');
  const base::Status written = file_->WriteAt(1 + slot * kEntryBytes, entry);
  if (!written && !failed_) {
    base::LogError("Active queries are not recorded",
                   {{"path", path_}, {"error", written.error().message()}});
  }
  failed_ = !written;
}

QueryLog::QueryLog(base::FileSystem* fs, base::Registry* registry)
    : fs_(fs),
      enabled_metric_(registry->AddGauge("prometheus_engine_query_log_enabled",
                                         "State of the query log.")),
      failures_(registry->AddCounter("prometheus_engine_query_log_failures_total",
                                     "The number of query log failures.")) {}

void QueryLog::SetPath(std::string path) {
  enabled_metric_->Set(path.empty() ? 0 : 1);
  auto target = path.empty() ? nullptr : std::make_shared<Target>(std::move(path));
  const base::MutexLock lock(&mu_);
  target_.swap(target);
}

std::shared_ptr<QueryLog::Target> QueryLog::target() const {
  const base::MutexLock lock(&mu_);
  return target_;
}

bool QueryLog::enabled() const { return target() != nullptr; }

void QueryLog::Append(std::string line) {
  const std::shared_ptr<Target> to = target();
  if (to == nullptr) return;
  line += '\n';
  const base::MutexLock lock(&to->mu);
  base::Status written;
  if (!to->file) {
    auto file = fs_->Open(to->path, base::FileSystem::Mode::kAppend);
    if (file) {
      to->file = *std::move(file);
    } else {
      written = std::unexpected(file.error());
    }
  }
  if (to->file) written = to->file->Append(line);
  if (written) {
    to->failed = false;
    return;
  }
  failures_->Add();
  if (!to->failed) {
    base::LogError("Queries are not logged", {{"path", to->path}, {"error", written.error().message()}});
  }
  to->failed = true;
}

}  // namespace tocsin::api
