#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/digest.h"
#include "tsdb/index/block_index.h"
#include "tsdb/index/coding.h"

namespace tocsin::tsdb::index {
namespace {

constexpr uint32_t kMagic = 0xBAAAD700;
constexpr size_t kFlushBytes = 1 << 20;

}  // namespace

struct IndexWriter::Rep {
  std::unique_ptr<base::File> file;
  std::string path;
  std::string buffer;
  uint64_t flushed = 0;

  absl::flat_hash_map<std::string_view, uint32_t> numbers;  // of symbols; text is the caller's, copied below
  std::string text;                                         // of the symbols
  std::string last_labels;
  uint64_t symbols_at = 0, series_at = 0;
  uint64_t count = 0;
  std::vector<uint32_t> all;
  // By name number and value number: both sorted, so that the tables come out sorted.
  absl::flat_hash_map<uint64_t, std::vector<uint32_t>> postings;
  std::string entry;

  uint64_t offset() const { return flushed + buffer.size(); }
  base::Status Flush() {
    RETURN_IF_ERROR(file->Append(buffer));
    flushed += buffer.size();
    buffer.clear();
    return {};
  }
  base::Status MayFlush() { return buffer.size() >= kFlushBytes ? Flush() : base::Status(); }
  void Align(size_t n) { buffer.append((n - offset() % n) % n, '\0'); }
  // Contents with their length before and checksum behind.
  void PutSection(std::string_view contents) {
    PutBe32(&buffer, static_cast<uint32_t>(contents.size()));
    buffer.append(contents);
    PutBe32(&buffer, base::Crc32c(contents));
  }
};

IndexWriter::IndexWriter(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
IndexWriter::~IndexWriter() = default;
uint64_t IndexWriter::series() const { return rep_->count; }

base::Result<std::unique_ptr<IndexWriter>> IndexWriter::Create(base::FileSystem* fs, const std::string& path,
                                                               std::span<const std::string_view> symbols) {
  auto rep = std::make_unique<Rep>();
  ASSIGN_OR_RETURN(rep->file, fs->Open(path, base::FileSystem::Mode::kTruncate));
  rep->path = path;
  PutBe32(&rep->buffer, kMagic);
  rep->buffer.push_back(2);
  rep->symbols_at = rep->offset();
  size_t bytes = 0;
  for (const std::string_view s : symbols) bytes += s.size();
  rep->text.reserve(bytes);
  rep->numbers.reserve(symbols.size());
  std::string contents;
  contents.reserve(bytes + symbols.size() * 2 + 4);
  PutBe32(&contents, static_cast<uint32_t>(symbols.size()));
  for (size_t i = 0; i < symbols.size(); ++i) {
    TOCSIN_DCHECK(i == 0 || symbols[i - 1] < symbols[i]) << symbols[i];
    PutText(&contents, symbols[i]);
    const size_t begin = rep->text.size();
    rep->text.append(symbols[i]);
    rep->numbers.emplace(std::string_view(rep->text).substr(begin), static_cast<uint32_t>(i));
  }
  if (contents.size() > UINT32_MAX) {
    return base::ResourceExhausted(fmt::format("{}: symbols of {} bytes, 4 GiB at most", path, contents.size()));
  }
  rep->PutSection(contents);
  RETURN_IF_ERROR(rep->Flush());
  rep->Align(16);
  rep->series_at = rep->offset();
  return std::unique_ptr<IndexWriter>(new IndexWriter(std::move(rep)));
}

base::Status IndexWriter::AddSeries(model::LabelsView labels, std::span<const ChunkMeta> chunks) {
  Rep& r = *rep_;
  TOCSIN_DCHECK(r.count == 0 || model::LabelsView(r.last_labels) < labels) << labels.ToString();
  r.last_labels = labels.encoded();
  r.Align(16);
  const uint64_t id = r.offset() / 16;
  if (id > UINT32_MAX) return base::ResourceExhausted(r.path + ": the index exceeds 64 GiB");
  r.entry.clear();
  PutUvarint(&r.entry, labels.size());
  for (const auto& [name, value] : labels) {
    const auto n = r.numbers.find(name), v = r.numbers.find(value);
    TOCSIN_CHECK(n != r.numbers.end() && v != r.numbers.end()) << "symbol missing for " << labels.ToString();
    PutUvarint(&r.entry, n->second);
    PutUvarint(&r.entry, v->second);
    r.postings[static_cast<uint64_t>(n->second) << 32 | v->second].push_back(static_cast<uint32_t>(id));
  }
  PutUvarint(&r.entry, chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    const ChunkMeta& c = chunks[i];
    TOCSIN_CHECK(c.mint <= c.maxt && (i == 0 || chunks[i - 1].maxt < c.mint)) << labels.ToString() << " chunk " << i;
    if (i == 0) {
      PutVarint(&r.entry, c.mint);
    } else {
      PutUvarint(&r.entry, static_cast<uint64_t>(c.mint - chunks[i - 1].maxt));
    }
    PutUvarint(&r.entry, static_cast<uint64_t>(c.maxt - c.mint));
    if (i == 0) {
      PutUvarint(&r.entry, c.ref);
    } else {
      PutVarint(&r.entry, static_cast<int64_t>(c.ref - chunks[i - 1].ref));
    }
  }
  PutUvarint(&r.buffer, r.entry.size());
  r.buffer.append(r.entry);
  PutBe32(&r.buffer, base::Crc32c(r.entry));
  r.all.push_back(static_cast<uint32_t>(id));
  ++r.count;
  return r.MayFlush();
}

base::Status IndexWriter::Finish() {
  Rep& r = *rep_;
  const uint64_t label_indices_at = r.offset();
  std::vector<std::string_view> texts(r.numbers.size());
  for (const auto& [text, number] : r.numbers) texts[number] = text;
  std::vector<uint64_t> keys;
  keys.reserve(r.postings.size());
  for (const auto& [key, ids] : r.postings) keys.push_back(key);
  std::sort(keys.begin(), keys.end());

  r.Align(4);
  const uint64_t postings_at = r.offset();
  std::string table, contents;
  PutBe32(&table, static_cast<uint32_t>(keys.size() + 1));
  const auto put = [&](std::string_view name, std::string_view value, const std::vector<uint32_t>& ids) {
    r.Align(4);
    PutUvarint(&table, 2);
    PutText(&table, name);
    PutText(&table, value);
    PutUvarint(&table, r.offset());
    contents.clear();
    PutBe32(&contents, static_cast<uint32_t>(ids.size()));
    for (const uint32_t id : ids) PutBe32(&contents, id);
    r.PutSection(contents);
    return r.MayFlush();
  };
  RETURN_IF_ERROR(put("", "", r.all));
  for (const uint64_t key : keys) {
    RETURN_IF_ERROR(put(texts[key >> 32], texts[key & UINT32_MAX], r.postings.find(key)->second));
  }
  const uint64_t label_table_at = r.offset();
  contents.clear();
  PutBe32(&contents, 0);
  r.PutSection(contents);
  const uint64_t postings_table_at = r.offset();
  if (table.size() > UINT32_MAX) return base::ResourceExhausted(r.path + ": the postings table exceeds 4 GiB");
  r.PutSection(table);

  contents.clear();
  for (const uint64_t at : {r.symbols_at, r.series_at, label_indices_at, label_table_at, postings_at, postings_table_at}) {
    PutBe64(&contents, at);
  }
  PutBe32(&contents, base::Crc32c(contents));
  r.buffer.append(contents);
  RETURN_IF_ERROR(r.Flush());
  RETURN_IF_ERROR(r.file->Sync());
  return r.file->Close();
}

}  // namespace tocsin::tsdb::index
