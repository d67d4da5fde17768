#pragma once

// journal.db: events packed, one row a flush and journal.  For this folder only; durable lane.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "state/sqlite.h"
#include "state/transaction.h"

namespace tocsin::state {

class JournalFile {
 public:
  // Errors: as OpenSqliteStore, and kDataLoss for a damaged file.
  static base::Result<std::unique_ptr<JournalFile>> Open(const std::string& path);

  base::Status Commit(const Transaction::Rep& changes);
  base::Result<std::vector<Event>> Read(const EventQuery& query);

 private:
  explicit JournalFile(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  base::Status Write(const Transaction::Rep& changes);
  const std::unique_ptr<Database> db_;
};

// The packed form: zstd of, for each event, zigzag varint of the nanoseconds since the event before
// (the first: since the epoch), varint length, bytes.
std::string PackEvents(const std::vector<Event>& events);
// Errors: kDataLoss, kResourceExhausted beyond 256 MiB.
base::Status UnpackEvents(std::string_view packed, std::vector<Event>* out);

}  // namespace tocsin::state
