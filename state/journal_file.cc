#include "state/journal_file.h"

#include "base/compress.h"

namespace tocsin::state {
namespace {

constexpr int64_t kVersion = 2;
constexpr size_t kMaxUnpackedBytes = 256 << 20;

// Version 1 held another encoding of events, which nothing reads any more.
constexpr const char* kForgetVersion1 = "DROP TABLE IF EXISTS events;";

constexpr const char* kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS packs (
    number INTEGER PRIMARY KEY, journal INTEGER NOT NULL, chapter INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, events INTEGER NOT NULL, packed BLOB NOT NULL
  );
  CREATE INDEX IF NOT EXISTS packs_chapter ON packs (journal, chapter, first, last);
  PRAGMA user_version = 2;
)sql";

int64_t Nanos(base::Time t) { return t.time_since_epoch().count(); }
base::Time TimeOf(int64_t nanos) { return base::Time(base::Duration(nanos)); }

}  // namespace

base::Result<std::unique_ptr<JournalFile>> JournalFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path, Database::Mode::kCreate));
  // auto_vacuum: what is forgotten gives its pages back without rewriting the file.  Not locked, for
  // readers have connections of their own; state.db beside it is.
  RETURN_IF_ERROR(db->Run("PRAGMA synchronous = FULL; PRAGMA auto_vacuum = INCREMENTAL;"));
  RETURN_IF_ERROR(db->Run("PRAGMA journal_mode = WAL;"));
  ASSIGN_OR_RETURN(const int64_t version, db->ReadNumber("PRAGMA user_version"));
  if (version > kVersion) {
    return base::FailedPrecondition(path + ": written by a newer version (format " +
                                    std::to_string(version) + ", this one knows up to " +
                                    std::to_string(kVersion) + "); start that version");
  }
  if (version == 1) RETURN_IF_ERROR(db->Run(kForgetVersion1));
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
  for (const auto& [journal, bound] : changes.bounds) RETURN_IF_ERROR(Bound(journal, bound));
  return {};
}

base::Status JournalFile::Write(const Transaction::Rep& changes) {
  if (insert_ == nullptr) {
    ASSIGN_OR_RETURN(insert_, db_->Prepare("INSERT INTO packs (journal, chapter, first, last, events, packed) "
                                           "VALUES (?, ?, ?, ?, ?, ?)"));
  }
  for (const auto& [journal, packs] : changes.packs) {
    for (const EventPack& pack : packs) {
      const std::string packed = base::ZstdEncode(pack.bytes);
      insert_->Bind(1, static_cast<int64_t>(journal)).Bind(2, pack.chapter).Bind(3, Nanos(pack.first));
      insert_->Bind(4, Nanos(pack.last)).Bind(5, static_cast<int64_t>(pack.events));
      RETURN_IF_ERROR(insert_->Bind(6, packed).Run());
    }
  }
  return {};
}

base::Result<uint64_t> JournalFile::BytesInUse() {
  ASSIGN_OR_RETURN(const int64_t pages, db_->ReadNumber("PRAGMA page_count"));
  ASSIGN_OR_RETURN(const int64_t free, db_->ReadNumber("PRAGMA freelist_count"));
  ASSIGN_OR_RETURN(const int64_t size, db_->ReadNumber("PRAGMA page_size"));
  return static_cast<uint64_t>((pages - free) * size);
}

base::Status JournalFile::Bound(Journal journal, const JournalBound& bound) {
  // One chapter at a time, so that no single transaction becomes large.
  while (true) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Statement> oldest,
                     db_->Prepare("SELECT chapter, MAX(last) FROM packs WHERE journal = ?1 AND chapter = "
                                  "(SELECT MIN(chapter) FROM packs WHERE journal = ?1) GROUP BY chapter"));
    oldest->Bind(1, static_cast<int64_t>(journal));
    ASSIGN_OR_RETURN(const bool any, oldest->Step());
    if (!any) break;
    const int64_t chapter = oldest->Number(0);
    if (TimeOf(oldest->Number(1)) >= bound.before) {
      ASSIGN_OR_RETURN(const uint64_t bytes, BytesInUse());
      if (bytes <= bound.max_bytes) break;
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<Statement> forget,
                     db_->Prepare("DELETE FROM packs WHERE journal = ? AND chapter = ?"));
    RETURN_IF_ERROR(forget->Bind(1, static_cast<int64_t>(journal)).Bind(2, chapter).Run());
  }
  return db_->Run("PRAGMA incremental_vacuum");
}

base::Status ReadJournal(const std::string& path, const PackQuery& query) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::Open(path, Database::Mode::kReadOnly));
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> chapters,
                   db->Prepare("SELECT DISTINCT chapter FROM packs WHERE journal = ? AND last >= ? AND "
                               "first < ? ORDER BY chapter DESC"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> rows,
                   db->Prepare("SELECT first, last, events, packed FROM packs WHERE journal = ? AND "
                               "chapter = ? AND first < ? ORDER BY number"));
  const auto journal = static_cast<int64_t>(query.journal);
  chapters->Bind(1, journal).Bind(2, Nanos(query.from)).Bind(3, Nanos(query.to));
  bool wanted = true;
  while (wanted) {
    ASSIGN_OR_RETURN(const bool more_chapters, chapters->Step());
    if (!more_chapters) break;
    const int64_t chapter = chapters->Number(0);
    rows->Bind(1, journal).Bind(2, chapter).Bind(3, Nanos(query.to));
    while (true) {
      ASSIGN_OR_RETURN(const bool more, rows->Step());
      if (!more) break;
      EventPack pack{.chapter = chapter,
                     .first = TimeOf(rows->Number(0)),
                     .last = TimeOf(rows->Number(1)),
                     .events = static_cast<uint32_t>(rows->Number(2)),
                     .bytes = {}};
      ASSIGN_OR_RETURN(pack.bytes, base::ZstdDecode(rows->Bytes(3), kMaxUnpackedBytes));
      wanted = query.visit(pack) && wanted;
    }
    rows->Reset();
  }
  return {};
}

}  // namespace tocsin::state
