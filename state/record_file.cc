#include "state/record_file.h"

#include <bit>
#include <cstring>

namespace tocsin::state {
namespace {

constexpr int64_t kVersion = 3;  // 1 had a row for each alert, 2 no notifications.left_out

// Times are nanoseconds since the epoch; hashes are bytes, 8 each, little-endian.
constexpr const char* kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS silences (
    id BLOB PRIMARY KEY, bytes BLOB NOT NULL, updated INTEGER NOT NULL, expires INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS notifications (
    group_key BLOB NOT NULL, receiver_key BLOB NOT NULL, sent INTEGER NOT NULL,
    firing BLOB NOT NULL, resolved BLOB NOT NULL, receiver_data BLOB NOT NULL,
    expires INTEGER NOT NULL, left_out BLOB NOT NULL DEFAULT x'', PRIMARY KEY (group_key, receiver_key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS intents (
    group_key BLOB NOT NULL, receiver_key BLOB NOT NULL, sent INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (group_key, receiver_key)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS alert_packs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
  DROP TABLE IF EXISTS alerts;
  PRAGMA user_version = 3;
)sql";

int64_t Nanos(base::Time t) { return t.time_since_epoch().count(); }
base::Time TimeOf(int64_t nanos) { return base::Time(base::Duration(nanos)); }

std::string PackHashes(const std::vector<uint64_t>& hashes) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(hashes.size() * 8, '\0');
  if (!hashes.empty()) std::memcpy(bytes.data(), hashes.data(), bytes.size());
  return bytes;
}

std::vector<uint64_t> UnpackHashes(std::string_view bytes) {
  std::vector<uint64_t> hashes(bytes.size() / 8);
  if (!hashes.empty()) std::memcpy(hashes.data(), bytes.data(), hashes.size() * 8);
  return hashes;
}

template <class Read>
base::Status EachRow(Database* db, std::string_view sql, Read read) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> rows, db->Prepare(sql));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) return {};
    read(*rows);
  }
}

base::Status ReadSilences(Database* db, Contents* contents) {
  return EachRow(db, "SELECT id, bytes, updated, expires FROM silences", [&](const Statement& row) {
    contents->silences.push_back({.id = row.Bytes(0),
                                  .bytes = row.Bytes(1),
                                  .updated_at = TimeOf(row.Number(2)),
                                  .expires_at = TimeOf(row.Number(3))});
  });
}

base::Result<bool> HasLeftOut(Database* db) {
  ASSIGN_OR_RETURN(const int64_t columns,
                   db->ReadNumber("SELECT count(*) FROM pragma_table_info('notifications') WHERE name = 'left_out'"));
  return columns == 1;
}

base::Status ReadNotifications(Database* db, Contents* contents) {
  ASSIGN_OR_RETURN(const bool has_left_out, HasLeftOut(db));  // a file that is salvaged may be older
  return EachRow(db,
                 has_left_out ? "SELECT group_key, receiver_key, sent, firing, resolved, receiver_data, expires, "
                                "left_out FROM notifications"
                              : "SELECT group_key, receiver_key, sent, firing, resolved, receiver_data, expires, "
                                "x'' FROM notifications",
                 [&](const Statement& row) {
                   contents->notifications.push_back({.group_key = row.Bytes(0),
                                                      .receiver_key = row.Bytes(1),
                                                      .sent_at = TimeOf(row.Number(2)),
                                                      .firing = UnpackHashes(row.Bytes(3)),
                                                      .resolved = UnpackHashes(row.Bytes(4)),
                                                      .left_out = UnpackHashes(row.Bytes(7)),
                                                      .receiver_data = row.Bytes(5),
                                                      .expires_at = TimeOf(row.Number(6))});
                 });
}

base::Status ReadIntents(Database* db, Contents* contents) {
  return EachRow(db, "SELECT group_key, receiver_key, sent, bytes FROM intents",
                 [&](const Statement& row) {
                   contents->intents.push_back({.group_key = row.Bytes(0),
                                                .receiver_key = row.Bytes(1),
                                                .sent_at = TimeOf(row.Number(2)),
                                                .bytes = row.Bytes(3)});
                 });
}

}  // namespace

base::Result<std::unique_ptr<RecordFile>> RecordFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path, Database::Mode::kCreate));
  // Exclusive: a second process is refused at once, and no shared memory file is needed.
  RETURN_IF_ERROR(db->Run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;"));
  RETURN_IF_ERROR(db->Run("PRAGMA journal_mode = WAL;"));
  ASSIGN_OR_RETURN(const int64_t version, db->ReadNumber("PRAGMA user_version"));
  if (version > kVersion) {
    return base::FailedPrecondition(path + ": written by a newer version (format " +
                                    std::to_string(version) + ", this one knows up to " +
                                    std::to_string(kVersion) + "); start that version");
  }
  ASSIGN_OR_RETURN(const std::string check, db->ReadText("PRAGMA quick_check(1)"));
  if (check != "ok") return base::DataLoss(path + ": " + check);
  RETURN_IF_ERROR(db->Run(kSchema));
  // Whatever the version says: it is raised before the column is there.
  ASSIGN_OR_RETURN(const bool has_left_out, HasLeftOut(db.get()));
  if (!has_left_out) RETURN_IF_ERROR(db->Run("ALTER TABLE notifications ADD COLUMN left_out BLOB NOT NULL DEFAULT x''"));
  return std::unique_ptr<RecordFile>(new RecordFile(std::move(db)));
}

base::Status RecordFile::ReadAll(Contents* contents) {
  RETURN_IF_ERROR(ReadSilences(db_.get(), contents));
  RETURN_IF_ERROR(ReadNotifications(db_.get(), contents));
  RETURN_IF_ERROR(ReadIntents(db_.get(), contents));
  return alerts_.Read(&contents->alerts);
}

void RecordFile::Salvage(const std::string& path, Contents* contents) {
  auto db = Database::Open(path, Database::Mode::kReadOnly);
  if (!db) return;
  // Each error was to be expected of a damaged file; what was read before it counts.
  base::Ignore(ReadSilences(db->get(), contents));
  base::Ignore(ReadNotifications(db->get(), contents));
  base::Ignore(ReadIntents(db->get(), contents));
  size_t lost_rows = 0;
  base::Ignore(AlertPacks(db->get()).Read(&contents->alerts, &lost_rows));
}

base::Result<Statement*> RecordFile::Prepared(std::string_view sql) {
  std::unique_ptr<Statement>& statement = statements_[sql];
  if (!statement) {
    ASSIGN_OR_RETURN(statement, db_->Prepare(sql));
  }
  return statement.get();
}

base::Status RecordFile::Commit(const std::vector<Change>& changes) {
  base::Status status = CommitAll(changes);
  if (status) {
    alerts_.Committed();
  } else {
    alerts_.RolledBack();
    base::Ignore(db_->Run("ROLLBACK"));  // fails when SQLite has rolled back itself; the first error is told
  }
  return status;
}

base::Status RecordFile::CommitAll(const std::vector<Change>& changes) {
  RETURN_IF_ERROR(db_->Run("BEGIN IMMEDIATE"));
  for (const Change& change : changes) RETURN_IF_ERROR(Apply(change));
  RETURN_IF_ERROR(alerts_.Write());
  return db_->Run("COMMIT");
}

base::Status RecordFile::Apply(const Change& change) {
  Statement* s = nullptr;
  if (const auto* r = std::get_if<SilenceRecord>(&change)) {
    ASSIGN_OR_RETURN(s, Prepared("INSERT OR REPLACE INTO silences VALUES (?, ?, ?, ?)"));
    return s->Bind(1, r->id).Bind(2, r->bytes).Bind(3, Nanos(r->updated_at)).Bind(4, Nanos(r->expires_at)).Run();
  }
  if (const auto* r = std::get_if<ForgetSilenceChange>(&change)) {
    ASSIGN_OR_RETURN(s, Prepared("DELETE FROM silences WHERE id = ?"));
    return s->Bind(1, r->id).Run();
  }
  if (const auto* r = std::get_if<NotificationRecord>(&change)) {
    const std::string firing = PackHashes(r->firing);
    const std::string resolved = PackHashes(r->resolved);
    const std::string left_out = PackHashes(r->left_out);
    ASSIGN_OR_RETURN(s, Prepared("INSERT OR REPLACE INTO notifications VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    s->Bind(1, r->group_key).Bind(2, r->receiver_key).Bind(3, Nanos(r->sent_at)).Bind(4, firing);
    RETURN_IF_ERROR(
        s->Bind(5, resolved).Bind(6, r->receiver_data).Bind(7, Nanos(r->expires_at)).Bind(8, left_out).Run());
    return Apply(ForgetIntentChange{r->group_key, r->receiver_key});
  }
  if (const auto* r = std::get_if<ForgetNotificationChange>(&change)) {
    ASSIGN_OR_RETURN(s, Prepared("DELETE FROM notifications WHERE group_key = ? AND receiver_key = ?"));
    return s->Bind(1, r->group_key).Bind(2, r->receiver_key).Run();
  }
  if (const auto* r = std::get_if<IntentRecord>(&change)) {
    ASSIGN_OR_RETURN(s, Prepared("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?)"));
    return s->Bind(1, r->group_key).Bind(2, r->receiver_key).Bind(3, Nanos(r->sent_at)).Bind(4, r->bytes).Run();
  }
  if (const auto* r = std::get_if<ForgetIntentChange>(&change)) {
    ASSIGN_OR_RETURN(s, Prepared("DELETE FROM intents WHERE group_key = ? AND receiver_key = ?"));
    return s->Bind(1, r->group_key).Bind(2, r->receiver_key).Run();
  }
  if (const auto* r = std::get_if<AlertRecord>(&change)) {
    alerts_.Put(*r);
    return {};
  }
  if (const auto* r = std::get_if<ForgetAlertChange>(&change)) {
    alerts_.Forget(r->fingerprint);
    return {};
  }
  const auto& r = std::get<ForgetExpiredChange>(change);
  ASSIGN_OR_RETURN(s, Prepared("DELETE FROM silences WHERE expires <= ?"));
  RETURN_IF_ERROR(s->Bind(1, Nanos(r.now)).Run());
  ASSIGN_OR_RETURN(s, Prepared("DELETE FROM notifications WHERE expires <= ?"));
  return s->Bind(1, Nanos(r.now)).Run();
}

}  // namespace tocsin::state
