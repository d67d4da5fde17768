#pragma once

// state.db: one table a kind of record, the alerts packed (alert_packs.h).  For this folder only; durable lane.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "state/alert_packs.h"
#include "state/sqlite.h"
#include "state/transaction.h"

namespace tocsin::state {

class RecordFile {
 public:
  // Errors: as OpenSqliteStore, and kDataLoss for a damaged file.
  static base::Result<std::unique_ptr<RecordFile>> Open(const std::string& path);

  base::Status ReadAll(Contents* contents);
  // What can still be read of a damaged file; stops at the first error of each table.
  static void Salvage(const std::string& path, Contents* contents);

  base::Status Commit(const std::vector<Change>& changes);

 private:
  explicit RecordFile(std::unique_ptr<Database> db) : db_(std::move(db)), alerts_(db_.get()) {}
  base::Status CommitAll(const std::vector<Change>& changes);
  base::Status Apply(const Change& change);
  // A statement prepared once.  `sql` is a literal.
  base::Result<Statement*> Prepared(std::string_view sql);

  const std::unique_ptr<Database> db_;
  AlertPacks alerts_;
  std::map<std::string_view, std::unique_ptr<Statement>> statements_;  // dies before db_
};

}  // namespace tocsin::state
