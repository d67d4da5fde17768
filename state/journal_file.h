#pragma once

// journal.db: packs of events, one row a pack, each with a checksum.  For this folder only.
//
// Threads: a JournalFile belongs to the durable lane; ReadJournal() opens a connection of its own and
//          may run anywhere meanwhile.

#include <memory>
#include <string>

#include "state/sqlite.h"
#include "state/transaction.h"

namespace tocsin::state {

class JournalFile {
 public:
  // Errors: as OpenSqliteStore, and kDataLoss for a damaged file.
  static base::Result<std::unique_ptr<JournalFile>> Open(const std::string& path);

  base::Status Commit(const Transaction::Rep& changes);
  // The highest number; 0: there is none.
  base::Result<int64_t> LastChapter(Journal journal);
  const std::string& path() const { return db_->path(); }

 private:
  explicit JournalFile(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  base::Status Write(const Transaction::Rep& changes);
  base::Status Bound(Journal journal, const JournalBound& bound);
  base::Result<uint64_t> BytesInUse();
  const std::unique_ptr<Database> db_;
  std::unique_ptr<Statement> insert_;  // dies before db_
};

base::Status ReadJournal(const std::string& path, const PackQuery& query);

}  // namespace tocsin::state
