#include <algorithm>

#include <fmt/format.h>

#include "base/digest.h"
#include "tsdb/index/block_index.h"
#include "tsdb/index/coding.h"

namespace tocsin::tsdb::index {
namespace {

constexpr uint32_t kMagic = 0xBAAAD700;
constexpr size_t kHeaderBytes = 5;
constexpr size_t kTocBytes = 6 * 8 + 4;

}  // namespace

std::unexpected<base::Error> IndexReader::Corrupt(uint64_t offset, std::string_view what) const {
  return base::DataLoss(fmt::format("{} offset {}: {}", name_, offset, what));
}

// The contents at `offset`: length, bytes, checksum.
base::Result<std::string_view> IndexReader::Section(uint64_t offset, std::string_view what) const {
  if (offset > data_.size() || data_.size() - offset < 8) return Corrupt(offset, fmt::format("{} lie beyond the file's {} bytes", what, data_.size()));
  Decoder in(data_.substr(offset));
  const uint32_t length = in.Be32();
  if (length > in.left() || in.left() - length < 4) {
    return Corrupt(offset, fmt::format("{} of {} bytes where {} are left", what, length, in.left()));
  }
  const std::string_view contents = data_.substr(offset + 4, length);
  const uint32_t stored = Decoder(data_.substr(offset + 4 + length)).Be32(), computed = base::Crc32c(contents);
  if (stored != computed) return Corrupt(offset, fmt::format("{}: CRC {:08x}, computed {:08x}", what, stored, computed));
  return contents;
}

base::Result<std::unique_ptr<IndexReader>> IndexReader::Open(std::string name, std::unique_ptr<base::MappedFile> file) {
  std::unique_ptr<IndexReader> reader(new IndexReader);
  reader->name_ = std::move(name);
  reader->data_ = file->data();
  reader->file_ = std::move(file);
  RETURN_IF_ERROR(reader->Parse());
  return reader;
}

base::Status IndexReader::Parse() {
  if (data_.size() < kHeaderBytes + kTocBytes) return Corrupt(0, fmt::format("an index of {} bytes", data_.size()));
  Decoder head(data_);
  if (const uint32_t magic = head.Be32(); magic != kMagic) return Corrupt(0, fmt::format("magic {:08x}, not an index", magic));
  version_ = head.Byte();
  if (version_ < 1 || version_ > 3) return Corrupt(4, fmt::format("index version {}; this program reads 1 to 3", version_));

  const uint64_t toc_at = data_.size() - kTocBytes;
  const std::string_view toc = data_.substr(toc_at);
  Decoder in(toc);
  symbols_at_ = in.Be64();
  series_at_ = in.Be64();
  in.Be64();  // label indices
  in.Be64();  // their table
  in.Be64();  // postings
  postings_table_at_ = in.Be64();
  const uint32_t stored = in.Be32(), computed = base::Crc32c(toc.substr(0, kTocBytes - 4));
  if (stored != computed) return Corrupt(toc_at, fmt::format("table of contents: CRC {:08x}, computed {:08x}", stored, computed));

  ASSIGN_OR_RETURN(const std::string_view symbols, Section(symbols_at_, "symbols"));
  Decoder sym(symbols);
  const uint32_t count = sym.Be32();
  if (count > symbols.size()) return Corrupt(symbols_at_, fmt::format("{} symbols in {} bytes", count, symbols.size()));
  if (data_.size() > UINT32_MAX && symbols_at_ + symbols.size() > UINT32_MAX) return Corrupt(symbols_at_, "symbols beyond 4 GiB");
  symbol_offsets_.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    symbol_offsets_.push_back(static_cast<uint32_t>(sym.position() - data_.data()));
    sym.Text();
  }
  if (!sym.ok()) return Corrupt(symbols_at_, "symbols end too early");

  ASSIGN_OR_RETURN(table_, Section(postings_table_at_, "postings table"));
  Decoder tab(table_);
  const uint32_t entries = tab.Be32();
  std::string_view last_name;
  std::vector<uint32_t>* list = nullptr;
  for (uint32_t i = 0; i < entries; ++i) {
    const auto at = static_cast<uint32_t>(tab.position() - table_.data());
    const uint64_t fields = tab.Uvarint();
    const std::string_view name = tab.Text();
    const std::string_view value = tab.Text();
    const uint64_t offset = tab.Uvarint();
    if (!tab.ok() || fields != 2) return Corrupt(postings_table_at_, fmt::format("postings table: entry {} of {} does not decode", i, entries));
    if (name.empty() && value.empty()) {
      all_postings_ = offset;
      continue;
    }
    if (list == nullptr || name != last_name) {
      list = &names_[name];
      last_name = name;
    }
    list->push_back(at);
  }
  return {};
}

base::Result<std::string_view> IndexReader::SymbolAt(uint64_t number) const {
  uint64_t offset = number;  // version 1 names symbols by their place in the file
  if (version_ > 1) {
    if (number >= symbol_offsets_.size()) return Corrupt(symbols_at_, fmt::format("symbol {} of {}", number, symbol_offsets_.size()));
    offset = symbol_offsets_[number];
  }
  if (offset >= data_.size()) return Corrupt(offset, "symbol beyond the end");
  Decoder in(data_.substr(offset));
  const std::string_view text = in.Text();
  if (!in.ok()) return Corrupt(offset, "symbol does not decode");
  return text;
}

base::Result<std::string_view> IndexReader::SeriesAt(SeriesId id) const {
  const uint64_t at = version_ == 1 ? id : static_cast<uint64_t>(id) * 16;
  if (at >= data_.size()) return Corrupt(at, "series beyond the end");
  Decoder head(data_.substr(at));
  const uint64_t length = head.Uvarint();
  if (!head.ok() || length > head.left() || head.left() - length < 4) {
    return Corrupt(at, fmt::format("series of {} bytes where {} are left", length, head.left()));
  }
  const std::string_view entry(head.position(), length);
  const uint32_t stored = Decoder({entry.data() + length, 4}).Be32(), computed = base::Crc32c(entry);
  if (stored != computed) return Corrupt(at, fmt::format("series: CRC {:08x}, computed {:08x}", stored, computed));
  return entry;
}

base::Status IndexReader::ReadSeries(SeriesId id, std::string* labels, std::vector<ChunkMeta>* chunks) const {
  ASSIGN_OR_RETURN(const std::string_view entry, SeriesAt(id));
  const auto at = static_cast<uint64_t>(entry.data() - data_.data());
  Decoder in(entry);
  const uint64_t n = in.Uvarint();
  if (n > entry.size()) return Corrupt(at, fmt::format("series with {} labels", n));
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t name = in.Uvarint(), value = in.Uvarint();
    if (labels == nullptr) continue;
    ASSIGN_OR_RETURN(const std::string_view name_text, SymbolAt(name));
    ASSIGN_OR_RETURN(const std::string_view value_text, SymbolAt(value));
    model::AppendEncodedLabel(name_text, value_text, labels);
  }
  if (chunks == nullptr) return {};
  const uint64_t count = in.Uvarint();
  if (count > entry.size()) return Corrupt(at, fmt::format("series with {} chunks", count));
  ChunkMeta last;
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    ChunkMeta c;
    c.mint = i == 0 ? in.Varint() : static_cast<int64_t>(static_cast<uint64_t>(last.maxt) + in.Uvarint());
    c.maxt = static_cast<int64_t>(static_cast<uint64_t>(c.mint) + in.Uvarint());
    c.ref = i == 0 ? in.Uvarint() : last.ref + static_cast<uint64_t>(in.Varint());
    chunks->push_back(c);
    last = c;
  }
  if (!in.ok()) return Corrupt(at, "series ends within its chunks");
  return {};
}

std::optional<IndexReader::Entry> IndexReader::EntryAt(uint32_t table_offset) const {
  Decoder in(table_.substr(table_offset));
  in.Uvarint();
  in.Text();
  Entry e{in.Text(), 0};
  e.offset = in.Uvarint();
  return e;
}

std::vector<std::string_view> IndexReader::Names() const {
  std::vector<std::string_view> out;
  for (const auto& [name, entries] : names_) out.push_back(name);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> IndexReader::ValuesOf(std::string_view name) const {
  std::vector<std::string_view> out;
  if (const auto it = names_.find(name); it != names_.end()) {
    for (const uint32_t at : it->second) out.push_back(EntryAt(at)->value);
  }
  return out;
}

// Symbols are sorted in versions 2 and 3.
std::optional<uint64_t> IndexReader::SymbolNumber(std::string_view text) const {
  const auto text_at = [this](uint32_t at) { return Decoder(data_.substr(at)).Text(); };
  const auto it = std::lower_bound(symbol_offsets_.begin(), symbol_offsets_.end(), text,
                                   [&](uint32_t at, std::string_view t) { return text_at(at) < t; });
  if (it == symbol_offsets_.end() || text_at(*it) != text) return std::nullopt;
  return version_ == 1 ? *it : static_cast<uint64_t>(it - symbol_offsets_.begin());
}

std::vector<std::string_view> IndexReader::Symbols() const {
  std::vector<std::string_view> out;
  for (const uint32_t at : symbol_offsets_) out.push_back(Decoder(data_.substr(at)).Text());
  return out;
}

}  // namespace tocsin::tsdb::index
