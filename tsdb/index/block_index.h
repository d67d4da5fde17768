#pragma once

// The index file of a block.  Big-endian; u: varint, v: zigzag varint, s: u length and bytes; crc: CRC32C
// of what stands between the length and it.
//
//   index    = magic(4) version(1) symbols series* label_indices postings* label_table postings_table toc
//   symbols  = length(4) count(4) s* crc(4)                   sorted
//   series   = aligned to 16: u length { u labels { u name, u value }* u chunks
//              { v mint, u maxt-mint, u ref } { u mint-maxt', u maxt-mint, v ref-ref' }* } crc(4)
//   postings = aligned to 4: length(4) count(4) id(4)* crc(4)  id is the series' offset / 16
//   table    = length(4) count(4) { u 2, s name, s value, u offset }* crc(4)   sorted; first "" "": all series
//   toc      = symbols(8) series(8) label_indices(8) label_table(8) postings(8) postings_table(8) crc(4)
//
// Written: version 2, without label indices (their table is empty; no reader uses them).
// Read:    versions 1 (symbols named by file offset, ids are offsets), 2 and 3 (as 2).
//
// Threads: a reader is immutable; a writer belongs to one thread.
// Errors:  kDataLoss with the place; a reader never trusts a length or an offset.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/labels.h"
#include "model/matcher.h"
#include "model/sample.h"
#include "tsdb/index/remembered.h"

namespace tocsin::tsdb::index {

struct ChunkMeta {
  model::Timestamp mint = 0;  // both inclusive
  model::Timestamp maxt = 0;
  uint64_t ref = 0;           // segment << 32 | offset
};

class IndexWriter {
 public:
  // `symbols`: every label name and value that will be added, sorted, each once.
  static base::Result<std::unique_ptr<IndexWriter>> Create(base::FileSystem* fs, const std::string& path,
                                                           std::span<const std::string_view> symbols);
  ~IndexWriter();

  // REQUIRES: series in ascending order of labels; chunks in order of time.
  base::Status AddSeries(model::LabelsView labels, std::span<const ChunkMeta> chunks);
  // Writes postings and tables, syncs and closes.
  base::Status Finish();
  uint64_t series() const;

 private:
  struct Rep;
  explicit IndexWriter(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

using SeriesId = uint32_t;

class IndexReader {
 public:
  // Checks header, contents and the checksums of the tables.  `name` begins the messages.
  static base::Result<std::unique_ptr<IndexReader>> Open(std::string name, std::unique_ptr<base::MappedFile> file);

  // Ids of the series that match all, ascending: in order of labels.
  base::Result<std::vector<SeriesId>> Select(std::span<const model::Matcher> matchers) const;

  // Appends the labels' encoding and the chunks; either may be null.
  base::Status ReadSeries(SeriesId id, std::string* labels, std::vector<ChunkMeta>* chunks) const;

  // The names that series have, and their values of one: sorted, each once.
  base::Result<std::vector<std::string_view>> NamesOf(std::span<const SeriesId> ids) const;
  base::Result<std::vector<std::string_view>> ValuesOf(std::string_view name, std::span<const SeriesId> ids) const;

  std::vector<std::string_view> Names() const;                        // sorted
  std::vector<std::string_view> ValuesOf(std::string_view name) const;  // sorted
  std::vector<std::string_view> Symbols() const;

  int version() const { return version_; }
  uint64_t size_bytes() const { return data_.size(); }

 private:
  struct Entry {
    std::string_view value;
    uint64_t offset;
  };
  // A list of postings in the file.
  struct List {
    const char* ids;  // 32 bit, big-endian, ascending
    uint32_t count;
    SeriesId operator[](uint32_t i) const;
  };
  using Offsets = std::vector<uint64_t>;  // of postings, ascending
  struct Term;
  IndexReader() = default;
  base::Status Parse();
  std::unexpected<base::Error> Corrupt(uint64_t offset, std::string_view what) const;
  base::Result<std::string_view> Section(uint64_t offset, std::string_view what) const;
  base::Result<std::string_view> SymbolAt(uint64_t number) const;
  // The bytes of a series' entry, checked.
  base::Result<std::string_view> SeriesAt(SeriesId id) const;
  std::optional<Entry> EntryAt(uint32_t table_offset) const;
  std::optional<uint64_t> SymbolNumber(std::string_view text) const;

  // index_select.cc
  base::Result<List> PostingsAt(uint64_t offset) const;
  uint64_t CountAt(uint64_t offset) const;
  bool NamesItsValues(const model::Matcher& m, bool positive) const;
  std::shared_ptr<const Offsets> Find(const Term& term) const;
  base::Status Evaluate(Term* term) const;
  base::Result<std::vector<SeriesId>> Union(const Offsets& offsets) const;
  base::Status Filter(const Term& term, std::vector<SeriesId>* ids) const;
  base::Status FilterByLabel(const model::Matcher& m, std::vector<SeriesId>* ids) const;
  template <class Fn>
  base::Status EachLabel(SeriesId id, Fn fn) const;
  // Sorted.
  base::Result<std::vector<std::string_view>> SymbolTexts(const absl::flat_hash_set<uint64_t>& numbers) const;

  std::string name_;
  std::unique_ptr<base::MappedFile> file_;
  std::string_view data_;
  int version_ = 0;
  uint64_t symbols_at_ = 0, series_at_ = 0, postings_table_at_ = 0;
  std::vector<uint32_t> symbol_offsets_;  // in data_, for versions 2 and 3
  std::string_view table_;                // entries of the postings table
  absl::flat_hash_map<std::string_view, std::vector<uint32_t>> names_;  // offsets of the entries in table_, by value
  uint64_t all_postings_ = 0;  // 0: the table has no entry for all series

  mutable Remembered<Offsets> remembered_{64, 1 << 18};  // at most 2 MiB a block
  // Long lists whose checksum was found right: a block does not change.
  mutable base::Mutex checked_mu_;
  mutable absl::flat_hash_set<uint64_t> checked_ TOCSIN_GUARDED_BY(checked_mu_);
};

}  // namespace tocsin::tsdb::index
