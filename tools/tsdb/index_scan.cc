// The index of a block, section by section.  When the table of contents or another section is damaged, the others
// are looked for where they must stand: symbols behind the header, series behind the symbols, and symbols once more
// in the postings table, which spells out every name and value.

#include <algorithm>

#include <fmt/format.h>

#include "absl/container/flat_hash_map.h"
#include "base/coding.h"
#include "base/digest.h"
#include "tools/tsdb/block_scan.h"

namespace tocsin::tools {
namespace {

constexpr uint32_t kIndexMagic = 0xBAAAD700;
constexpr size_t kHeaderBytes = 5;
constexpr size_t kTocBytes = 6 * 8 + 4;
constexpr size_t kSeriesAlign = 16;
// A series entry that is looked for behind a damaged one is not longer than this, and the search ends after reading
// so many bytes: chance finds nothing, and a hostile file no end.
constexpr size_t kMaxSearchedEntry = 1 << 20;
constexpr uint64_t kMaxSearchBytes = uint64_t{1} << 30;

struct Toc {
  uint64_t symbols = 0, series = 0, label_indices = 0, label_table = 0, postings = 0, postings_table = 0;
};

class IndexScan {
 public:
  IndexScan(const std::string& name, BlockScan* scan, Report* report)
      : path_(name + "/index"), data_(scan->index->data()), scan_(scan), report_(report) {}
  void Run();

 private:
  void Damage(std::optional<uint64_t> offset, std::string what, std::string cost) {
    scan_->damaged = true;
    report_->Damage(path_, offset, std::move(what), std::move(cost));
  }
  bool ReadToc();
  // A section that is `length(4) contents crc(4)`.  Reports what is wrong with it.
  std::optional<std::string_view> Section(uint64_t offset, std::string_view what, const std::string& cost);
  bool ReadSymbols();
  bool ReadSymbolsOfTable();
  void ReadAllSeries();
  // The entry at `offset` if its checksum is right.
  std::optional<std::string_view> EntryAt(uint64_t offset, uint64_t limit, std::string* wrong, uint64_t* next) const;
  std::string ReadEntry(std::string_view entry, uint64_t offset, ScannedSeries* series,
                        std::vector<std::pair<uint32_t, uint32_t>>* pairs) const;
  void ReadPostings();
  void CheckList(std::string_view name, std::string_view value, uint64_t offset);
  // The number of a symbol, by how series name it.
  std::optional<uint32_t> SymbolNumber(uint64_t named) const;
  std::optional<uint32_t> NumberOf(std::string_view text) const;

  const std::string path_;
  const std::string_view data_;
  BlockScan* const scan_;
  Report* const report_;
  int version_ = 2;
  size_t align_ = kSeriesAlign;  // of series; version 1 does not align them
  std::optional<Toc> toc_;
  std::vector<std::string_view> symbols_;    // sorted
  std::vector<uint32_t> symbol_offsets_;     // of version 1, by number
  uint64_t series_begin_ = 0, series_end_ = 0;
  bool series_whole_ = true;
  absl::flat_hash_map<uint64_t, std::vector<uint32_t>> expected_;  // by numbers of name and value: ids
  std::vector<uint32_t> all_;                                      // ids of all series
};

bool IndexScan::ReadToc() {
  const uint64_t at = data_.size() - kTocBytes;
  const std::string_view contents = data_.substr(at, kTocBytes - 4);
  base::Decoder in(data_.substr(at));
  Toc toc;
  for (uint64_t* section : {&toc.symbols, &toc.series, &toc.label_indices, &toc.label_table, &toc.postings, &toc.postings_table}) {
    *section = in.Be64();
  }
  const std::string cost = "the block is not opened; its series can be found without";
  const uint32_t stored = in.Be32(), computed = base::Crc32c(contents);
  if (stored != computed) {
    Damage(at, fmt::format("table of contents: CRC {:08x}, computed {:08x}", stored, computed), cost);
    return false;
  }
  for (const uint64_t section : {toc.symbols, toc.series, toc.label_indices, toc.label_table, toc.postings, toc.postings_table}) {
    if (section > at) {
      Damage(at, fmt::format("table of contents: a section at {}, the file has {} bytes", section, data_.size()), cost);
      return false;
    }
  }
  toc_ = toc;
  return true;
}

std::optional<std::string_view> IndexScan::Section(uint64_t offset, std::string_view what, const std::string& cost) {
  base::Decoder in(data_.substr(std::min<uint64_t>(offset, data_.size())));
  const uint32_t length = in.Be32();
  if (!in.ok() || in.left() < 4 || length > in.left() - 4) {
    Damage(offset, fmt::format("{}: {} bytes where {} are left", what, length, in.left()), cost);
    return std::nullopt;
  }
  const std::string_view contents = in.Bytes(length);
  const uint32_t stored = in.Be32(), computed = base::Crc32c(contents);
  if (stored != computed) {
    Damage(offset, fmt::format("{}: CRC {:08x}, computed {:08x}", what, stored, computed), cost);
    return std::nullopt;
  }
  return contents;
}

bool IndexScan::ReadSymbols() {
  const uint64_t at = toc_ && toc_->symbols != 0 ? toc_->symbols : kHeaderBytes;
  const auto contents = Section(at, "symbols", "the block is not opened; names and values stand in the postings table too");
  if (!contents) return false;
  base::Decoder in(*contents);
  const uint32_t count = in.Be32();
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    symbol_offsets_.push_back(static_cast<uint32_t>(at + 4 + in.offset()));
    symbols_.push_back(in.Text());
  }
  if (!in.ok() || in.more()) {
    Damage(at, fmt::format("symbols: {} in {} bytes", count, contents->size()), "all series of the block");
    return false;
  }
  for (size_t i = 1; i < symbols_.size(); ++i) {
    if (symbols_[i] > symbols_[i - 1]) continue;
    Damage(symbol_offsets_[i], fmt::format("symbols are not in order: \"{}\" behind \"{}\"", symbols_[i], symbols_[i - 1]),
           "selections by these values may miss series");
    break;
  }
  series_begin_ = at + 4 + contents->size() + 4;
  return true;
}

// Names and values as the postings table has them; theirs is the order of the symbols.
bool IndexScan::ReadSymbolsOfTable() {
  symbols_.clear();
  if (version_ == 1 || !toc_ || toc_->postings_table == 0) return false;
  const auto contents = Section(toc_->postings_table, "postings table", "names and values can be read nowhere");
  if (!contents) return false;
  base::Decoder in(*contents);
  for (uint32_t n = in.Be32(); n > 0 && in.ok(); --n) {
    in.Uvarint();
    const std::string_view name = in.Text(), value = in.Text();
    in.Uvarint();
    if (name.empty()) continue;
    symbols_.push_back(name);
    symbols_.push_back(value);
  }
  std::sort(symbols_.begin(), symbols_.end());
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end()), symbols_.end());
  // Symbols that no series has are numbered too: then these numbers would be others.
  const uint64_t at = toc_->symbols != 0 ? toc_->symbols : kHeaderBytes;
  base::Decoder head(data_.substr(at));
  head.Be32();
  if (!in.ok() || head.Be32() != symbols_.size()) {
    symbols_.clear();
    return false;
  }
  series_begin_ = toc_->series;
  return true;
}

std::optional<uint32_t> IndexScan::SymbolNumber(uint64_t named) const {
  if (version_ != 1) return named < symbols_.size() ? std::optional(static_cast<uint32_t>(named)) : std::nullopt;
  const auto it = std::lower_bound(symbol_offsets_.begin(), symbol_offsets_.end(), named);
  if (it == symbol_offsets_.end() || *it != named) return std::nullopt;
  return static_cast<uint32_t>(it - symbol_offsets_.begin());
}

std::optional<uint32_t> IndexScan::NumberOf(std::string_view text) const {
  const auto it = std::lower_bound(symbols_.begin(), symbols_.end(), text);
  if (it == symbols_.end() || *it != text) return std::nullopt;
  return static_cast<uint32_t>(it - symbols_.begin());
}

std::optional<std::string_view> IndexScan::EntryAt(uint64_t offset, uint64_t limit, std::string* wrong, uint64_t* next) const {
  base::Decoder in(data_.substr(offset, limit - offset));
  const uint64_t length = in.Uvarint();
  if (!in.ok() || in.left() < 4 || length > in.left() - 4) {
    *wrong = fmt::format("series of {} bytes where {} are left", length, in.left());
    return std::nullopt;
  }
  const std::string_view entry = in.Bytes(length);
  const uint32_t stored = in.Be32(), computed = base::Crc32c(entry);
  *next = offset + in.offset();
  if (stored != computed) {
    *wrong = fmt::format("series: CRC {:08x}, computed {:08x}", stored, computed);
    return std::nullopt;
  }
  return entry;
}

// What is wrong with the entry; empty: nothing.
std::string IndexScan::ReadEntry(std::string_view entry, uint64_t offset, ScannedSeries* series,
                                 std::vector<std::pair<uint32_t, uint32_t>>* pairs) const {
  series->offset = offset;
  series->id = version_ == 1 ? offset : offset / kSeriesAlign;
  base::Decoder in(entry);
  const size_t labels = in.Count(2);
  std::string_view last;
  for (size_t i = 0; i < labels; ++i) {
    const auto name = SymbolNumber(in.Uvarint()), value = SymbolNumber(in.Uvarint());
    if (!in.ok() || !name || !value) return "series names a symbol that there is not";
    if (symbols_[*name] <= last) return fmt::format("series: label \"{}\" behind \"{}\"", symbols_[*name], last);
    last = symbols_[*name];
    model::AppendEncodedLabel(last, symbols_[*value], &series->labels);
    pairs->emplace_back(*name, *value);
  }
  if (labels == 0) return "series without labels";
  const size_t chunks = in.Count(3);
  tsdb::index::ChunkMeta m;
  for (size_t i = 0; i < chunks && in.ok(); ++i) {
    m.mint = i == 0 ? in.Varint() : static_cast<int64_t>(static_cast<uint64_t>(m.maxt) + in.Uvarint());
    m.maxt = static_cast<int64_t>(static_cast<uint64_t>(m.mint) + in.Uvarint());
    m.ref = i == 0 ? in.Uvarint() : m.ref + static_cast<uint64_t>(in.Varint());
    series->chunks.push_back({.meta = m});
  }
  if (!in.ok() || in.more()) return "series entry and its chunks do not fit each other";
  if (chunks == 0) return "series without chunks";
  return {};
}

void IndexScan::ReadAllSeries() {
  const auto aligned = [this](uint64_t offset) { return (offset + align_ - 1) / align_ * align_; };
  uint64_t at = aligned(series_begin_);
  std::string last_labels;
  uint64_t searched = 0;
  bool searching = false;
  const uint64_t end = series_end_;
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  while (at < end && searched < kMaxSearchBytes) {
    std::string wrong;
    uint64_t next = at + align_;
    ScannedSeries series;
    pairs.clear();
    const uint64_t limit = searching ? std::min<uint64_t>(end, at + kMaxSearchedEntry) : end;
    const auto entry = EntryAt(at, limit, &wrong, &next);
    if (searching) searched += next - at;
    if (entry) wrong = entry->empty() ? "series of 0 bytes" : ReadEntry(*entry, at, &series, &pairs);
    // Without a table of contents the end is where no series follows.
    if (!wrong.empty() && !toc_ && !searching && !scan_->series.empty()) break;
    if (!wrong.empty()) {
      if (!searching) {
        series_whole_ = false;
        ++scan_->lost_series;
        Damage(at, wrong, series.labels.empty() ? "a series, whose labels cannot be read"
                                                : "the series " + model::LabelsView(series.labels).ToMetricString());
      }
      // An entry whose checksum is right has the length that it says.
      searching = !entry;
      at = entry ? aligned(next) : at + align_;
      continue;
    }
    searching = false;
    if (!last_labels.empty() && !(model::LabelsView(last_labels) < model::LabelsView(series.labels))) {
      Damage(at, "series are not in order: " + model::LabelsView(series.labels).ToMetricString() + " behind " +
                     model::LabelsView(last_labels).ToMetricString(), "queries may miss or repeat these series");
    }
    last_labels = series.labels;
    for (const auto& [name, value] : pairs) {
      expected_[static_cast<uint64_t>(name) << 32 | value].push_back(static_cast<uint32_t>(series.id));
    }
    all_.push_back(static_cast<uint32_t>(series.id));
    scan_->series.push_back(std::move(series));
    at = aligned(next);
  }
}

void IndexScan::CheckList(std::string_view name, std::string_view value, uint64_t offset) {
  std::vector<uint32_t> expected;
  if (name.empty()) {
    expected = all_;
  } else if (const auto n = NumberOf(name), v = NumberOf(value); n && v) {
    const auto it = expected_.find(static_cast<uint64_t>(*n) << 32 | *v);
    if (it != expected_.end()) {
      expected = std::move(it->second);
      expected_.erase(it);  // what remains has no list
    }
  }
  const std::string what = name.empty() ? "postings of all series" : fmt::format("postings of {}=\"{}\"", name, value);
  const auto contents = Section(offset, what, "selections by it fail; the series know their labels");
  if (!contents) return;
  base::Decoder in(*contents);
  const uint32_t count = in.Be32();
  if (!in.ok() || count != in.left() / 4 || in.left() % 4 != 0) {
    Damage(offset, fmt::format("{}: {} in {} bytes", what, count, contents->size()), "selections by it fail");
    return;
  }
  if (!series_whole_) return;  // what it should hold is not known
  bool same = count == expected.size();
  for (size_t i = 0; same && i < count; ++i) same = in.Be32() == expected[i];
  if (!same) {
    Damage(offset, fmt::format("{}: {} series, not the {} that have it", what, count, expected.size()),
           "selections by it miss series or find others");
  }
}

void IndexScan::ReadPostings() {
  if (!toc_ || toc_->postings_table == 0) return;
  const uint64_t at = toc_->postings_table;
  const auto contents = Section(at, "postings table", "the block is not opened; it can be made anew of the series");
  if (!contents) return;
  base::Decoder in(*contents);
  std::string_view last_name, last_value;
  bool first = true;
  for (uint32_t n = in.Be32(); n > 0 && in.ok(); --n) {
    const uint64_t keys = in.Uvarint();
    const std::string_view name = in.Text(), value = in.Text();
    const uint64_t offset = in.Uvarint();
    if (!in.ok() || keys != 2) break;
    if (!first && version_ != 1 && std::pair(name, value) <= std::pair(last_name, last_value)) {
      Damage(at, fmt::format("postings table is not in order: {}=\"{}\" behind {}=\"{}\"", name, value, last_name, last_value),
             "selections by it may miss series");
    }
    first = false;
    last_name = name;
    last_value = value;
    CheckList(name, value, offset);
  }
  if (!in.ok() || in.more()) {
    Damage(at, "postings table: its entries do not fit its length", "selections fail");
  } else if (series_whole_ && !expected_.empty()) {
    const uint64_t pair = expected_.begin()->first;
    Damage(at, fmt::format("postings table: {} label pairs are missing, {}=\"{}\" is one", expected_.size(),
                           symbols_[pair >> 32], symbols_[pair & UINT32_MAX]), "selections by them find nothing");
  }
}

void IndexScan::Run() {
  report_->Reading(path_);
  if (data_.size() < kHeaderBytes + kTocBytes) {
    Damage(0, fmt::format("{} bytes, at least {} needed", data_.size(), kHeaderBytes + kTocBytes),
           "all samples of the block: whose they are stood there");
    return;
  }
  base::Decoder in(data_);
  const uint32_t magic = in.Be32();
  version_ = in.Byte();
  if (magic != kIndexMagic || version_ < 1 || version_ > 3) {
    Damage(0, fmt::format("magic {:08x} version {}, {:08x} and 1, 2 or 3 expected", magic, version_, kIndexMagic),
           "the block is not opened; the rest may be whole");
    version_ = 2;
  }
  if (version_ == 1) align_ = 1;
  ReadToc();
  if (!ReadSymbols() && !ReadSymbolsOfTable()) {
    Damage(kHeaderBytes, "names and values cannot be read", "all samples of the block: whose they are is not known");
    return;
  }
  // The first section behind the series ends them.
  series_end_ = data_.size() - kTocBytes;
  if (toc_) {
    for (const uint64_t section : {toc_->label_indices, toc_->label_table, toc_->postings, toc_->postings_table}) {
      if (section > toc_->series) series_end_ = std::min(series_end_, section);
    }
    if (toc_->series != 0) series_begin_ = toc_->series;
  }
  ReadAllSeries();
  ReadPostings();
  if (toc_ && toc_->label_table != 0) Section(toc_->label_table, "label index table", "nothing: no reader uses it any more");
}

}  // namespace

void ScanIndex(const std::string& name, BlockScan* scan, Report* report) { IndexScan(name, scan, report).Run(); }

}  // namespace tocsin::tools
