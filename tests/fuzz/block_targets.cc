// A block's files but for its chunks.

#include <algorithm>

#include "base/check.h"
#include "base/coding.h"
#include "base/digest.h"
#include "base/simulated_file_system.h"
#include "target.h"
#include "tsdb/block_meta.h"
#include "tsdb/index/block_index.h"

namespace tocsin::fuzz {
namespace {

namespace index = tsdb::index;

// An index and the stretches of it that are under a checksum, so that damage gets past them.
struct SealedIndex {
  std::string bytes;
  struct Stretch {
    size_t begin, length;
  };
  std::vector<Stretch> stretches;  // the checksum behind each
};

SealedIndex MakeIndex() {
  base::SimulatedFileSystem fs;
  std::vector<std::string> texts = {"", "__name__", "instance", "job", "up"};
  for (int i = 0; i < 9; ++i) texts.push_back("host-" + std::to_string(i));
  std::sort(texts.begin(), texts.end());
  const std::vector<std::string_view> symbols(texts.begin(), texts.end());
  auto writer = *index::IndexWriter::Create(&fs, "index", symbols);
  for (int i = 0; i < 9; ++i) {
    const auto labels = model::Labels::FromPairs({{"__name__", "up"}, {"instance", "host-" + std::to_string(i)}, {"job", "up"}});
    const index::ChunkMeta chunks[] = {{100, 200, 8}, {300, 400, 90}};
    TOCSIN_CHECK(writer->AddSeries(labels.view(), chunks).has_value());
  }
  TOCSIN_CHECK(writer->Finish().has_value());
  SealedIndex out{*fs.ReadFile("index"), {}};
  const std::string& b = out.bytes;
  const auto sealed = [&b](size_t begin, size_t length) {
    return base::Decoder(std::string_view(b).substr(begin + length)).Be32() == base::Crc32c(std::string_view(b).substr(begin, length));
  };
  // Whatever stretch is followed by its checksum.
  for (size_t at = 5; at + 8 < b.size(); ++at) {
    const uint32_t length = base::Decoder(std::string_view(b).substr(at)).Be32();
    if (length > 0 && length <= b.size() - at - 8 && sealed(at + 4, length)) out.stretches.push_back({at + 4, length});
    const auto small = static_cast<unsigned char>(b[at]);
    if (small > 4 && small < 0x80 && at + 5 + small <= b.size() && sealed(at + 1, small)) out.stretches.push_back({at + 1, small});
  }
  out.stretches.push_back({b.size() - 52, 48});
  TOCSIN_CHECK(out.stretches.size() > 20);
  return out;
}

const SealedIndex& Sealed() {
  static const SealedIndex sealed = MakeIndex();
  return sealed;
}

void RunIndex(std::string input) {
  if (input.size() == Sealed().bytes.size()) {
    for (const auto& [begin, length] : Sealed().stretches) {
      std::string crc;
      base::PutBe32(&crc, base::Crc32c(std::string_view(input).substr(begin, length)));
      input.replace(begin + length, 4, crc);
    }
  }
  base::SimulatedFileSystem fs;
  TOCSIN_CHECK(fs.WriteFileAtomically("index", input).has_value());
  const auto reader = index::IndexReader::Open("index", *fs.Map("index"));
  if (!reader) return;
  const index::IndexReader& r = **reader;
  std::vector<std::vector<model::Matcher>> queries(1);
  queries.push_back({model::Matcher::Equal("job", "up"), *model::Matcher::Make(model::MatchOp::kRegex, "instance", "host-[2-5]")});
  queries.push_back({*model::Matcher::Make(model::MatchOp::kNotRegex, "instance", "host-[2-5]")});
  for (const auto& q : queries) {
    const auto ids = r.Select(q);
    if (!ids) continue;
    TOCSIN_CHECK(std::is_sorted(ids->begin(), ids->end()));
    std::string labels;
    std::vector<index::ChunkMeta> chunks;
    for (const index::SeriesId id : *ids) base::Ignore(r.ReadSeries(id, &labels, &chunks));  // an error is an answer
    base::Ignore(r.ValuesOf("instance", *ids));
    base::Ignore(r.NamesOf(*ids));
  }
  r.Symbols();
  r.Names();
  r.ValuesOf("instance");
}

void RunTombstones(std::string input) {
  base::Ignore(tsdb::ParseTombstones(input));
  if (input.size() < 9) return;
  std::string crc;
  base::PutBe32(&crc, base::Crc32c(std::string_view(input).substr(5, input.size() - 9)));
  const auto stones = tsdb::ParseTombstones(input.replace(input.size() - 4, 4, crc));
  if (!stones) return;
  const auto again = tsdb::ParseTombstones(tsdb::FormatTombstones(*stones));
  TOCSIN_CHECK(again.has_value() && *again == *stones) << "written and read they are others";
}

std::vector<std::string> Metas() {
  tsdb::BlockMeta meta;
  meta.ulid = "01BZJ9WJQPWHGNC2W4J9TA62KC";
  meta.max_time = 100;
  meta.sources = {meta.ulid};
  meta.parents = {{meta.ulid, 0, 50}};
  meta.hints = {"from-out-of-order"};
  return {tsdb::FormatBlockMeta(meta)};
}

void RunMeta(const std::string& input) {
  const auto meta = tsdb::ParseBlockMeta(input);
  if (!meta) return;
  const std::string text = tsdb::FormatBlockMeta(*meta);
  const auto again = tsdb::ParseBlockMeta(text);
  TOCSIN_CHECK(again.has_value() && tsdb::FormatBlockMeta(*again) == text) << text;
}

}  // namespace

std::vector<Target> BlockTargets() {
  return {{.name = "index", .seeds = [] { return std::vector{Sealed().bytes}; }, .run = RunIndex},
          {.name = "tombstones",
           .seeds = [] { return std::vector{tsdb::FormatTombstones({{1, {{5, 10}, {20, 30}}}, {90000, {{-7, 7}}}})}; },
           .run = RunTombstones},
          {.name = "meta", .seeds = Metas, .run = RunMeta}};
}

}  // namespace tocsin::fuzz
