// 1. Commits and reads wait in one queue, in the order of the calls.
// 2. When the disk is free, all commits at the head of the queue are merged into one transaction
//    and written on the durable lane.  A read at the head leaves for a connection of its own.
// 3. Records first, then journals: a record without its event is better than the reverse.

#include <deque>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/file_system.h"
#include "base/log.h"
#include "state/journal_file.h"
#include "state/record_file.h"

namespace tocsin::state {
namespace {

// Calls that may wait for the disk.  Beyond this the disk is stuck and commits fail at once.
constexpr size_t kMaxWaiting = 100'000;

struct Metrics {
  explicit Metrics(base::Registry* r)
      : commits(r->AddCounter("tocsin_state_commits_total", "Transactions written to the state store.")),
        failures(r->AddCounter("tocsin_state_commit_failures_total",
                               "Transactions that the state store could not write.")),
        journal_failures(r->AddCounter("tocsin_state_journal_failures_total",
                                       "Flushes whose events could not be written to the journal.")),
        duration(r->AddHistogram("tocsin_state_commit_duration_seconds",
                                 "Duration of a flush of the state store, with its sync.",
                                 base::DefaultBuckets())) {}
  base::Counter* commits;
  base::Counter* failures;
  base::Counter* journal_failures;
  base::Histogram* duration;
};

// Used on the durable lane only, once the store is open.
struct Files {
  std::unique_ptr<RecordFile> records;
  std::unique_ptr<JournalFile> journals;
};

struct WriteResult {
  base::Status status;
  bool journal_failed = false;
};

WriteResult Write(Files* files, const Transaction::Rep& changes) {
  WriteResult result;
  if (!changes.changes.empty()) result.status = files->records->Commit(changes.changes);
  if (!result.status) return result;
  if (changes.packs.empty() && changes.bounds.empty()) return result;
  base::Status journal = files->journals->Commit(changes);
  if (journal) return result;
  result.journal_failed = true;
  base::LogError("events could not be written to the journal", {{"error", journal.error()}});
  if (changes.journals_only()) result.status = std::move(journal);
  return result;
}

class SqliteStore : public Store {
 public:
  SqliteStore(const SqliteOptions& options, std::shared_ptr<Files> files)
      : executor_(options.executor), files_(std::move(files)) {
    if (options.registry != nullptr) metrics_.emplace(options.registry);
  }

  void Commit(Transaction transaction, Done done) override {
    TOCSIN_DCHECK(executor_->OnThread());
    if (waiting_.size() >= kMaxWaiting) {
      executor_->Post(gate_.Wrap([done = std::move(done)]() mutable { done(Stuck()); }));
      return;
    }
    waiting_.push_back({.transaction = std::move(transaction), .done = std::move(done)});
    Wake();
  }

  void ReadPacks(PackQuery query, Done done) override {
    TOCSIN_DCHECK(executor_->OnThread());
    if (waiting_.size() >= kMaxWaiting) {
      executor_->Post(gate_.Wrap([done = std::move(done)]() mutable { done(Stuck()); }));
      return;
    }
    waiting_.push_back({.query = std::move(query), .done = std::move(done)});
    Wake();
  }

  void Stop(base::Task done) override {
    TOCSIN_DCHECK(executor_->OnThread());
    stopped_ = std::move(done);
    Wake();
  }

 private:
  // A commit, or a read when the query has a visitor.
  struct Call {
    Transaction transaction;
    PackQuery query;
    Done done;
    bool is_read() const { return query.visit != nullptr; }
  };

  static base::Status Stuck() {
    return base::ResourceExhausted(std::to_string(kMaxWaiting) +
                                   " calls wait for the disk of the state store; it is stuck");
  }

  // Starts on a later turn of the loop, so that commits of one turn are written together.
  void Wake() {
    if (std::exchange(busy_, true)) return;
    executor_->Post(gate_.Wrap([this] { Next(); }));
  }

  void Next() {
    busy_ = false;
    while (!waiting_.empty() && waiting_.front().is_read()) Read();
    if (waiting_.empty()) {
      if (stopped_ && reads_ == 0) Close();
      return;
    }
    busy_ = true;
    Flush();
  }

  void Flush() {
    auto merged = std::make_shared<Transaction>();
    std::vector<Done> dones;
    while (!waiting_.empty() && !waiting_.front().is_read()) {
      merged->rep()->Take(waiting_.front().transaction.rep());
      dones.push_back(std::move(waiting_.front().done));
      waiting_.pop_front();
    }
    auto result = std::make_shared<WriteResult>();
    const base::Duration begin = executor_->Monotonic();
    executor_->Offload(
        base::Lane::kDurable,
        [files = files_, merged, result] { *result = Write(files.get(), *merged->rep()); },
        gate_.Wrap([this, result, begin, dones = std::move(dones)]() mutable {
          if (metrics_) {
            metrics_->duration->Observe(base::ToSeconds(executor_->Monotonic() - begin));
            (result->status ? metrics_->commits : metrics_->failures)->Add(static_cast<double>(dones.size()));
            if (result->journal_failed) metrics_->journal_failures->Add();
          }
          RunThenNext([&] {
            for (Done& done : dones) {
              if (done) done(result->status);
            }
          });
        }));
  }

  void Read() {
    auto call = std::make_shared<Call>(std::move(waiting_.front()));
    waiting_.pop_front();
    ++reads_;
    auto status = std::make_shared<base::Status>();
    executor_->Offload(
        base::Lane::kQueries,
        [path = files_->journals->path(), call, status] { *status = ReadJournal(path, call->query); },
        gate_.Wrap([this, call, status] {
          --reads_;
          auto wake = gate_.Wrap([this] { Wake(); });
          call->done(std::move(*status));
          wake();
        }));
  }

  // A callback may destroy the store; then nothing of it is touched.
  template <class Callbacks>
  void RunThenNext(Callbacks callbacks) {
    auto next = gate_.Wrap([this] { Next(); });
    callbacks();
    next();
  }

  void Close() {
    busy_ = true;
    executor_->Offload(
        base::Lane::kDurable, [files = std::exchange(files_, nullptr)]() mutable {
          files->records.reset();
          files->journals.reset();
        },
        std::exchange(stopped_, nullptr));
  }

  base::Executor* const executor_;
  std::shared_ptr<Files> files_;
  std::optional<Metrics> metrics_;
  std::deque<Call> waiting_;
  bool busy_ = false;  // a flush is under way, or a look at the queue posted
  int reads_ = 0;      // under way
  base::Task stopped_;
  base::Gate gate_;
};

std::string StampOf(base::Time now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return std::to_string(seconds.time_since_epoch().count());
}

// Moves a damaged file and what belongs to it out of the way.
base::Result<std::string> SetAside(const std::string& path, base::Time now) {
  base::FileSystem* fs = base::RealFileSystem();
  const std::string stamped = path + ".damaged-" + StampOf(now);
  std::string aside = stamped;  // an earlier one of the same second stays
  for (int n = 1; fs->Stat(aside); ++n) aside = stamped + "." + std::to_string(n);
  RETURN_IF_ERROR(fs->Rename(path, aside));
  for (const char* suffix : {"-wal", "-shm"}) {
    if (fs->Stat(path + suffix)) RETURN_IF_ERROR(fs->Rename(path + suffix, aside + suffix));
  }
  RETURN_IF_ERROR(fs->SyncFolder(base::FolderOf(path)));
  return aside;
}

void TellLoss(const base::Error& error, const std::string& aside, std::string saved, Contents* contents) {
  contents->losses.push_back(error.message() + "; set aside as " + aside + "; " + saved);
  base::LogError("state file is damaged; it was set aside and a new one begun",
                 {{"error", error}, {"set_aside_as", aside}, {"saved", saved}});
}

base::Status OpenRecords(const std::string& path, base::Time now, Files* files, Contents* contents) {
  const auto open = [&]() -> base::Status {
    ASSIGN_OR_RETURN(files->records, RecordFile::Open(path));
    return files->records->ReadAll(contents);
  };
  const base::Status status = open();
  if (status || status.error().code() != base::Code::kDataLoss) return status;

  files->records.reset();
  *contents = {};
  ASSIGN_OR_RETURN(const std::string aside, SetAside(path, now));
  RecordFile::Salvage(aside, contents);
  ASSIGN_OR_RETURN(files->records, RecordFile::Open(path));
  std::vector<Change> changes;
  changes.insert(changes.end(), contents->silences.begin(), contents->silences.end());
  changes.insert(changes.end(), contents->notifications.begin(), contents->notifications.end());
  changes.insert(changes.end(), contents->intents.begin(), contents->intents.end());
  changes.insert(changes.end(), contents->alerts.begin(), contents->alerts.end());
  RETURN_IF_ERROR(files->records->Commit(changes));
  TellLoss(status.error(), aside,
           std::to_string(contents->silences.size()) + " silences, " +
               std::to_string(contents->notifications.size()) + " notification log entries and " +
               std::to_string(contents->alerts.size()) + " alerts could be read and were kept",
           contents);
  return {};
}

base::Status OpenJournals(const std::string& path, base::Time now, Files* files, Contents* contents) {
  const auto open = [&]() -> base::Status {
    ASSIGN_OR_RETURN(files->journals, JournalFile::Open(path));
    ASSIGN_OR_RETURN(contents->last_alert_chapter, files->journals->LastChapter(Journal::kAlerts));
    return {};
  };
  base::Status status = open();
  if (status || status.error().code() != base::Code::kDataLoss) return status;
  files->journals.reset();
  ASSIGN_OR_RETURN(const std::string aside, SetAside(path, now));
  TellLoss(status.error(), aside, "its events are not shown any more", contents);
  return open();
}

}  // namespace

base::Result<std::unique_ptr<Store>> OpenSqliteStore(const SqliteOptions& options, Contents* contents) {
  TOCSIN_CHECK(options.executor != nullptr) << "a store needs an executor";
  RETURN_IF_ERROR(base::RealFileSystem()->CreateFolders(options.folder));
  auto files = std::make_shared<Files>();
  const base::Time now = options.executor->Now();
  RETURN_IF_ERROR(OpenRecords(base::JoinPath(options.folder, "state.db"), now, files.get(), contents));
  RETURN_IF_ERROR(OpenJournals(base::JoinPath(options.folder, "journal.db"), now, files.get(), contents));
  return std::make_unique<SqliteStore>(options, std::move(files));
}

}  // namespace tocsin::state
