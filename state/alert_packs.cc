#include "state/alert_packs.h"

#include <functional>

#include "base/coding.h"
#include "base/compress.h"
#include "base/digest.h"

namespace tocsin::state {
namespace {

constexpr size_t kMaxRowBytes = 1 << 30;
// Rows with less outdated than this are left alone.
constexpr size_t kSlack = 4096;

void AppendAlert(const AlertRecord& record, std::string* out) {
  out->push_back(1);
  base::PutLe64(out, record.fingerprint);
  base::PutLe64(out, 0);
  base::PutLe32(out, static_cast<uint32_t>(record.bytes.size()));
  out->append(record.bytes);
}

struct Entry {
  uint64_t fingerprint = 0;
  bool forgotten = false;
  std::string_view bytes{};
};

base::Status EachEntry(std::string_view packed, const std::function<void(const Entry&)>& visit) {
  ASSIGN_OR_RETURN(const std::string plain, base::ZstdDecode(packed, kMaxRowBytes));
  base::Decoder in(plain);
  const std::string_view hash = in.Bytes(sizeof(uint64_t));
  std::string expected;
  base::PutLe64(&expected, base::Xxh64({in.position(), in.left()}));
  if (hash != expected) return base::DataLoss("a row of alerts does not match its hash");
  while (in.more()) {
    const uint8_t kind = in.Byte();
    Entry entry{.fingerprint = in.Le64(), .forgotten = kind == 0};
    if (kind == 1) {
      in.Le64();
      entry.bytes = in.Bytes(in.Le32());
    }
    if (!in.ok() || kind > 1) return base::DataLoss("a row of alerts is cut short");
    visit(entry);
  }
  return {};
}

}  // namespace

base::Status AlertPacks::Read(std::vector<AlertRecord>* alerts, size_t* losses) {
  std::unordered_map<uint64_t, AlertRecord> current;
  ASSIGN_OR_RETURN(const std::unique_ptr<Statement> rows, db_->Prepare("SELECT id, bytes FROM alert_packs ORDER BY id"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) break;
    const int64_t id = rows->Number(0);
    Row& row = rows_[id];
    const base::Status read = EachEntry(rows->Bytes(1), [&](const Entry& entry) {
      ++row.entries;
      if (entry.forgotten) {
        current.erase(entry.fingerprint);
        places_.erase(entry.fingerprint);
        return;
      }
      current[entry.fingerprint] = {.fingerprint = entry.fingerprint, .bytes = std::string(entry.bytes)};
      places_[entry.fingerprint] = id;
    });
    if (!read && losses == nullptr) return read;
    if (!read) ++*losses;
    entries_ += row.entries;
    next_row_ = id + 1;
  }
  for (auto& [fingerprint, record] : current) alerts->push_back(std::move(record));
  return {};
}

base::Status AlertPacks::Insert(int64_t row, const std::string& entries) {
  if (insert_ == nullptr) {
    ASSIGN_OR_RETURN(insert_, db_->Prepare("INSERT INTO alert_packs VALUES (?, ?)"));
  }
  std::string plain;
  plain.reserve(entries.size() + sizeof(uint64_t));
  base::PutLe64(&plain, base::Xxh64(entries));
  plain += entries;
  const std::string packed = base::ZstdEncode(plain);
  return insert_->Bind(1, row).Bind(2, packed).Run();
}

base::Status AlertPacks::MoveOldest(std::string* entries, size_t* count) {
  if (select_ == nullptr) {
    ASSIGN_OR_RETURN(select_, db_->Prepare("SELECT bytes FROM alert_packs WHERE id = ?"));
    ASSIGN_OR_RETURN(delete_, db_->Prepare("DELETE FROM alert_packs WHERE id = ?"));
  }
  const auto oldest = rows_.upper_bound(dropped_rows_.empty() ? 0 : dropped_rows_.back());
  const int64_t id = oldest->first;
  select_->Bind(1, id);
  ASSIGN_OR_RETURN(const bool found, select_->Step());
  const std::string packed = found ? select_->Bytes(0) : std::string();
  RETURN_IF_ERROR(select_->Run());  // to its end
  if (found) {
    RETURN_IF_ERROR(EachEntry(packed, [&](const Entry& entry) {
      const auto place = places_.find(entry.fingerprint);
      if (entry.forgotten || place == places_.end() || place->second != id || waiting_.contains(entry.fingerprint)) return;
      AppendAlert({.fingerprint = entry.fingerprint, .bytes = std::string(entry.bytes)}, entries);
      ++*count;
      new_places_.emplace_back(entry.fingerprint, next_row_);
    }));
  }
  dropped_rows_.push_back(id);
  return delete_->Bind(1, id).Run();
}

base::Status AlertPacks::Write() {
  if (waiting_.empty()) return {};
  std::string entries;
  size_t count = 0;
  for (const auto& [fingerprint, record] : waiting_) {
    if (record) {
      AppendAlert(*record, &entries);
      new_places_.emplace_back(fingerprint, next_row_);
    } else {
      entries.push_back(0);
      base::PutLe64(&entries, fingerprint);
      new_places_.emplace_back(fingerprint, std::nullopt);
    }
    ++count;
  }
  // Each flush moves about as much as it adds, so that none of them is long.
  const size_t budget = 2 * count;
  size_t looked_at = 0;
  while (entries_ - looked_at > 2 * places_.size() + kSlack && looked_at < budget && dropped_rows_.size() < rows_.size()) {
    RETURN_IF_ERROR(MoveOldest(&entries, &count));
    looked_at += rows_.at(dropped_rows_.back()).entries;
  }
  new_row_ = Row{.entries = count};
  return Insert(next_row_, entries);
}

void AlertPacks::Committed() {
  waiting_.clear();
  if (!new_row_) return;
  for (const auto& [fingerprint, place] : new_places_) {
    if (place) {
      places_[fingerprint] = *place;
    } else {
      places_.erase(fingerprint);
    }
  }
  for (const int64_t id : dropped_rows_) {
    entries_ -= rows_.at(id).entries;
    rows_.erase(id);
  }
  entries_ += new_row_->entries;
  rows_[next_row_++] = *new_row_;
  RolledBack();
}

void AlertPacks::RolledBack() {
  waiting_.clear();
  new_places_.clear();
  dropped_rows_.clear();
  new_row_.reset();
}

}  // namespace tocsin::state
