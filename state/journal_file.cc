#include "state/journal_file.h"

#include "base/compress.h"
#include "base/digest.h"
#include "base/log.h"

namespace tocsin::state {
namespace {

constexpr int64_t kVersion = 3;
constexpr size_t kMaxUnpackedBytes = 256 << 20;

// Versions 1 and 2 held other encodings of events, which nothing reads any more.
constexpr const char* kForgetOlder = "DROP TABLE IF EXISTS events; DROP TABLE IF EXISTS packs;";

constexpr const char* kSchema = R"sql(
  CREATE TABLE IF NOT EXISTS packs (
    number INTEGER PRIMARY KEY, journal INTEGER NOT NULL, chapter INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, events INTEGER NOT NULL, sum INTEGER NOT NULL, packed BLOB NOT NULL
  );
  CREATE INDEX IF NOT EXISTS packs_chapter ON packs (journal, chapter, first, last);
  PRAGMA user_version = 3;
)sql";

int64_t Nanos(base::Time t) { return t.time_since_epoch().count(); }
base::Time TimeOf(int64_t nanos) { return base::Time(base::Duration(nanos)); }
int64_t SumOf(std::string_view packed) { return static_cast<int64_t>(base::Xxh64(packed)); }

// Nothing when the bytes are not those that were written.
std::string Unpacked(const std::string& packed, int64_t sum) {
  if (SumOf(packed) != sum) return {};
  return base::ZstdDecode(packed, kMaxUnpackedBytes).value_or(std::string());
}

// The rows of a chapter.  A damaged page ends them: where the next row begins is not known then.
base::Status ReadChapter(Statement* rows, int64_t chapter, const PackQuery& query, bool* wanted) {
  while (true) {
    const auto more = rows->Step();
    if (!more && more.error().code() != base::Code::kDataLoss) return std::unexpected(more.error());
    if (more && !*more) break;
    EventPack pack{.chapter = chapter, .bytes = {}};
    if (more) {
      pack = {.chapter = chapter,
              .first = TimeOf(rows->Number(0)),
              .last = TimeOf(rows->Number(1)),
              .events = static_cast<uint32_t>(rows->Number(2)),
              .bytes = Unpacked(rows->Bytes(4), rows->Number(3))};
    }
    *wanted = query.visit(pack) && *wanted;
    if (!more) break;
  }
  rows->Reset();
  return {};
}

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
  if (version != 0 && version < kVersion) RETURN_IF_ERROR(db->Run(kForgetOlder));
  RETURN_IF_ERROR(db->Run(kSchema));
  // The page that takes the next pack.  The whole file is not checked, which would take seconds: what else is
  // damaged is met by its readers, who go on without it.
  if (auto last = db->ReadNumber("SELECT max(number) FROM packs"); !last) return std::unexpected(last.error());
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
  // What was to be kept is kept; that something old is still there is no failure of this commit.
  for (const auto& [journal, bound] : changes.bounds) {
    if (auto bounded = Bound(journal, bound); !bounded) {
      base::LogWarn("the oldest events of a journal could not be forgotten", {{"file", path()}, {"error", bounded.error()}});
    }
  }
  return {};
}

base::Status JournalFile::Write(const Transaction::Rep& changes) {
  if (insert_ == nullptr) {
    ASSIGN_OR_RETURN(insert_, db_->Prepare("INSERT INTO packs (journal, chapter, first, last, events, sum, packed) "
                                           "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  }
  for (const auto& [journal, packs] : changes.packs) {
    for (const EventPack& pack : packs) {
      const std::string packed = base::ZstdEncode(pack.bytes);
      insert_->Bind(1, static_cast<int64_t>(journal)).Bind(2, pack.chapter).Bind(3, Nanos(pack.first));
      insert_->Bind(4, Nanos(pack.last)).Bind(5, static_cast<int64_t>(pack.events));
      RETURN_IF_ERROR(insert_->Bind(6, SumOf(packed)).Bind(7, packed).Run());
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

base::Result<int64_t> JournalFile::LastChapter(Journal journal) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> last, db_->Prepare("SELECT MAX(chapter) FROM packs WHERE journal = ?"));
  last->Bind(1, static_cast<int64_t>(journal));
  ASSIGN_OR_RETURN(const bool found, last->Step());
  return found ? last->Number(0) : 0;
}

base::Status JournalFile::Bound(Journal journal, const JournalBound& bound) {
  // One chapter at a time, so that no single transaction becomes large.
  while (true) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Statement> oldest,
                     db_->Prepare("SELECT chapter, MAX(last) FROM packs WHERE journal = ?1 AND chapter = "
                                  "(SELECT MIN(chapter) FROM packs WHERE journal = ?1) AND chapter <> "
                                  "(SELECT chapter FROM packs WHERE journal = ?1 ORDER BY number DESC LIMIT 1) "
                                  "GROUP BY chapter"));
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
                   db->Prepare("SELECT first, last, events, sum, packed FROM packs WHERE journal = ? AND "
                               "chapter = ? AND first < ? ORDER BY number"));
  const auto journal = static_cast<int64_t>(query.journal);
  chapters->Bind(1, journal).Bind(2, Nanos(query.from)).Bind(3, Nanos(query.to));
  bool wanted = true;
  while (wanted) {
    ASSIGN_OR_RETURN(const bool more_chapters, chapters->Step());
    if (!more_chapters) break;
    const int64_t chapter = chapters->Number(0);
    rows->Bind(1, journal).Bind(2, chapter).Bind(3, Nanos(query.to));
    RETURN_IF_ERROR(ReadChapter(rows.get(), chapter, query, &wanted));
  }
  return {};
}

}  // namespace tocsin::state
