#include "state/journal_file.h"

#include <algorithm>

#include "base/compress.h"

namespace tocsin::state {
namespace {

constexpr int64_t kVersion = 1;
constexpr size_t kMaxUnpackedBytes = 256 << 20;
// A row holds at most this many events, so that reading a few does not unpack a burst.
constexpr size_t kEventsPerRow = 4096;

constexpr const char* kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, journal INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, count INTEGER NOT NULL, packed BLOB NOT NULL
  );
  CREATE INDEX IF NOT EXISTS events_last ON events (journal, last);
  PRAGMA user_version = 1;
)sql";

int64_t Nanos(base::Time t) { return t.time_since_epoch().count(); }

void AppendVarint(uint64_t v, std::string* out) {
  for (; v >= 0x80; v >>= 7) out->push_back(static_cast<char>(v | 0x80));
  out->push_back(static_cast<char>(v));
}

bool TakeVarint(std::string_view* in, uint64_t* v) {
  *v = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    *v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

}  // namespace

std::string PackEvents(const std::vector<Event>& events) {
  std::string plain;
  uint64_t previous = 0;
  for (const Event& event : events) {
    const auto at = static_cast<uint64_t>(Nanos(event.at));
    const uint64_t delta = at - previous;
    AppendVarint((delta << 1) ^ (0 - (delta >> 63)), &plain);
    AppendVarint(event.bytes.size(), &plain);
    plain += event.bytes;
    previous = at;
  }
  return base::ZstdEncode(plain);
}

base::Status UnpackEvents(std::string_view packed, std::vector<Event>* out) {
  ASSIGN_OR_RETURN(const std::string plain, base::ZstdDecode(packed, kMaxUnpackedBytes));
  std::string_view in = plain;
  uint64_t at = 0;
  while (!in.empty()) {
    uint64_t delta = 0;
    uint64_t size = 0;
    if (!TakeVarint(&in, &delta) || !TakeVarint(&in, &size) || size > in.size()) {
      return base::DataLoss("events: cut at byte " + std::to_string(plain.size() - in.size()) + " of " +
                            std::to_string(plain.size()));
    }
    at += (delta >> 1) ^ (0 - (delta & 1));
    out->push_back({.at = base::Time(base::Duration(static_cast<int64_t>(at))),
                    .bytes = std::string(in.substr(0, size))});
    in.remove_prefix(size);
  }
  return {};
}

base::Result<std::unique_ptr<JournalFile>> JournalFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path, Database::Mode::kCreate));
  // auto_vacuum: what is forgotten gives its pages back without rewriting the file.
  RETURN_IF_ERROR(db->Run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; "
                          "PRAGMA auto_vacuum = INCREMENTAL;"));
  RETURN_IF_ERROR(db->Run("PRAGMA journal_mode = WAL;"));
  ASSIGN_OR_RETURN(const int64_t version, db->ReadNumber("PRAGMA user_version"));
  if (version > kVersion) {
    return base::FailedPrecondition(path + ": written by a newer version (format " +
                                    std::to_string(version) + ", this one knows up to " +
                                    std::to_string(kVersion) + "); start that version");
  }
  RETURN_IF_ERROR(db->Run(kSchema));
  return std::unique_ptr<JournalFile>(new JournalFile(std::move(db)));
}

base::Status JournalFile::Commit(const Transaction::Rep& changes) {
  RETURN_IF_ERROR(db_->Run("BEGIN IMMEDIATE"));
  base::Status status = Write(changes);
  if (status) status = db_->Run("COMMIT");
  if (!status) {
    base::Ignore(db_->Run("ROLLBACK"));  // the first error is the one to tell
    return status;
  }
  if (!changes.forget_events_before.empty()) return db_->Run("PRAGMA incremental_vacuum");
  return {};
}

base::Status JournalFile::Write(const Transaction::Rep& changes) {
  for (const auto& [journal, events] : changes.events) {
    for (size_t first = 0; first < events.size(); first += kEventsPerRow) {
      const size_t count = std::min(kEventsPerRow, events.size() - first);
      const std::vector<Event> part(events.begin() + static_cast<std::ptrdiff_t>(first),
                                    events.begin() + static_cast<std::ptrdiff_t>(first + count));
      const auto [oldest, newest] = std::minmax_element(
          part.begin(), part.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
      const std::string packed = PackEvents(part);
      ASSIGN_OR_RETURN(const std::unique_ptr<Statement> insert,
                       db_->Prepare("INSERT INTO events (journal, first, last, count, packed) "
                                    "VALUES (?, ?, ?, ?, ?)"));
      insert->Bind(1, static_cast<int64_t>(journal)).Bind(2, Nanos(oldest->at)).Bind(3, Nanos(newest->at));
      RETURN_IF_ERROR(insert->Bind(4, static_cast<int64_t>(count)).Bind(5, packed).Run());
    }
  }
  for (const auto& [journal, before] : changes.forget_events_before) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Statement> forget,
                     db_->Prepare("DELETE FROM events WHERE journal = ? AND last < ?"));
    RETURN_IF_ERROR(forget->Bind(1, static_cast<int64_t>(journal)).Bind(2, Nanos(before)).Run());
  }
  return {};
}

base::Result<std::vector<Event>> JournalFile::Read(const EventQuery& query) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> rows,
                   db_->Prepare("SELECT packed FROM events WHERE journal = ? AND last >= ? AND "
                                "first < ? ORDER BY number DESC"));
  rows->Bind(1, static_cast<int64_t>(query.journal)).Bind(2, Nanos(query.from)).Bind(3, Nanos(query.to));
  std::vector<Event> found;  // newest first
  std::vector<Event> row;
  while (found.size() < query.limit) {
    ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) break;
    row.clear();
    RETURN_IF_ERROR(UnpackEvents(rows->Bytes(0), &row));
    for (auto event = row.rbegin(); event != row.rend(); ++event) {
      if (event->at < query.from || event->at >= query.to) continue;
      if (query.wanted && !query.wanted(*event)) continue;
      if (found.size() == query.limit) break;
      found.push_back(std::move(*event));
    }
  }
  std::reverse(found.begin(), found.end());
  std::stable_sort(found.begin(), found.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
  return found;
}

}  // namespace tocsin::state
