#pragma once

// The door to SQLite: a connection and a statement that return Status.  For this folder only.
//
// Threads: one at a time.
// Errors:  kDataLoss (damaged file), kFailedPrecondition (locked by another process),
// kResourceExhausted (disk full, memory), kPermissionDenied, kUnavailable (other I/O), kInternal.
// Messages begin with the path.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tocsin::state {

class Statement;

class Database {
 public:
  enum class Mode { kCreate, kReadOnly };
  static base::Result<std::unique_ptr<Database>> Open(const std::string& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  base::Status Run(const char* sql);  // one or more statements without results
  base::Result<std::unique_ptr<Statement>> Prepare(std::string_view sql);
  base::Result<int64_t> ReadNumber(std::string_view sql);
  base::Result<std::string> ReadText(std::string_view sql);  // first column of the first row

  const std::string& path() const { return path_; }
  base::Error ErrorOf(int code) const;

 private:
  Database(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}
  const std::string path_;
  sqlite3* const db_;
};

// Parameters are numbered from 1, columns from 0.
class Statement {
 public:
  Statement(Database* db, sqlite3_stmt* stmt) : db_(db), stmt_(stmt) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Bound text and bytes must live until the next Step() or Run().
  Statement& Bind(int parameter, int64_t value);
  Statement& Bind(int parameter, std::string_view bytes);

  // Whether there is a row.
  base::Result<bool> Step();
  // Steps to the end and resets, keeping nothing bound.
  base::Status Run();
  // Back to before the first row; what is bound stays until it is bound anew.
  void Reset();

  int64_t Number(int column) const;
  std::string Bytes(int column) const;

 private:
  Database* const db_;
  sqlite3_stmt* const stmt_;
};

}  // namespace tocsin::state
