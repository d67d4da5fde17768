#include "state/sqlite.h"

#include <sqlite3.h>

namespace tocsin::state {
namespace {

base::Code CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG: return base::Code::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return base::Code::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return base::Code::kFailedPrecondition;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN: return base::Code::kPermissionDenied;
    case SQLITE_IOERR: return base::Code::kUnavailable;
    default: return base::Code::kInternal;
  }
}

base::Error MakeSqliteError(const std::string& path, int code, const char* message) {
  std::string text = path + ": " + message;
  if ((code & 0xff) == SQLITE_BUSY) text += "; another process has it open, stop that process first";
  return base::Error(CodeOf(code), std::move(text));
}

}  // namespace

base::Result<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode) {
  sqlite3* db = nullptr;
  const int flags = (mode == Mode::kCreate ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                           : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  if (code != SQLITE_OK) {
    base::Error error =
        MakeSqliteError(path, code, db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    sqlite3_close(db);
    return std::unexpected(std::move(error));
  }
  sqlite3_extended_result_codes(db, 1);
  return std::unique_ptr<Database>(new Database(path, db));
}

Database::~Database() { sqlite3_close(db_); }

base::Error Database::ErrorOf(int code) const { return MakeSqliteError(path_, code, sqlite3_errmsg(db_)); }

base::Status Database::Run(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(ErrorOf(code));
  return {};
}

base::Result<std::unique_ptr<Statement>> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* stmt = nullptr;
  const int code =
      sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &stmt, nullptr);
  if (code != SQLITE_OK) return std::unexpected(ErrorOf(code));
  return std::make_unique<Statement>(this, stmt);
}

base::Result<int64_t> Database::ReadNumber(std::string_view sql) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement->Step());
  return row ? statement->Number(0) : 0;
}

base::Result<std::string> Database::ReadText(std::string_view sql) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement->Step());
  return row ? statement->Bytes(0) : std::string();
}

Statement::~Statement() { sqlite3_finalize(stmt_); }

Statement& Statement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(stmt_, parameter, value);
  return *this;
}

Statement& Statement::Bind(int parameter, std::string_view bytes) {
  // A null pointer would bind NULL.
  sqlite3_bind_blob64(stmt_, parameter, bytes.data() != nullptr ? bytes.data() : "", bytes.size(),
                      SQLITE_STATIC);
  return *this;
}

base::Result<bool> Statement::Step() {
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(db_->ErrorOf(code));
}

base::Status Statement::Run() {
  int code = SQLITE_ROW;
  while (code == SQLITE_ROW) code = sqlite3_step(stmt_);
  base::Status status;
  if (code != SQLITE_DONE) status = std::unexpected(db_->ErrorOf(code));
  sqlite3_reset(stmt_);
  sqlite3_clear_bindings(stmt_);
  return status;
}

void Statement::Reset() { sqlite3_reset(stmt_); }

int64_t Statement::Number(int column) const { return sqlite3_column_int64(stmt_, column); }

std::string Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(stmt_, column);
  const int size = sqlite3_column_bytes(stmt_, column);
  return data == nullptr ? std::string()
                         : std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

}  // namespace tocsin::state
