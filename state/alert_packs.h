#pragma once

// The alerts of state.db, many to a row.  A flush appends one row with all the alerts that it changes;
// a later row counts more than an earlier one.  As rows fill with what is outdated, the oldest one's
// few current alerts move to the row being written and the old row goes, so that the table stays at
// about twice what is current.
//
//   row     = zstd of xxhash64:8 entry*           (the hash is of the entries)
//   entry   = kind:1 fingerprint:8 [unused:8 length:4 bytes]    little-endian; kind 0: forgotten, 1: alert
//
// Threads: durable lane; for this folder only.
// Errors:  kDataLoss for a row that does not decode.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "state/sqlite.h"
#include "state/transaction.h"

namespace tocsin::state {

class AlertPacks {
 public:
  explicit AlertPacks(Database* db) : db_(db) {}

  // Reads everything.  With `losses` unreadable rows are counted there and passed over.
  base::Status Read(std::vector<AlertRecord>* alerts, size_t* losses = nullptr);

  // Changes wait until Write(), the last one of an alert counts.
  void Put(const AlertRecord& record) { waiting_[record.fingerprint] = record; }
  void Forget(uint64_t fingerprint) { waiting_[fingerprint] = std::nullopt; }

  // Writes what waits, inside the transaction that is open.  Committed() or RolledBack() follows.
  base::Status Write();
  void Committed();
  void RolledBack();

 private:
  struct Row {
    size_t entries = 0;
  };
  base::Status Insert(int64_t row, const std::string& entries);
  // Appends the current alerts of the oldest row to `entries` and deletes the row.
  base::Status MoveOldest(std::string* entries, size_t* count);

  Database* const db_;
  std::unordered_map<uint64_t, int64_t> places_;  // the rows of current alerts
  std::map<int64_t, Row> rows_;
  size_t entries_ = 0;  // of all rows
  int64_t next_row_ = 1;
  std::map<uint64_t, std::optional<AlertRecord>> waiting_;  // nullopt: forget
  // What the open transaction does to the members above.
  std::vector<std::pair<uint64_t, std::optional<int64_t>>> new_places_;
  std::vector<int64_t> dropped_rows_;
  std::optional<Row> new_row_;
  std::unique_ptr<Statement> insert_, select_, delete_;
};

}  // namespace tocsin::state
