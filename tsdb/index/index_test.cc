#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "base/simulated_file_system.h"
#include "tsdb/index/block_index.h"
#include "tsdb/index/free_numbers.h"
#include "tsdb/index/postings.h"
#include "tsdb/index/slot_set.h"
#include "tsdb/index/symbols.h"

namespace tocsin::tsdb::index {
namespace {

using model::Labels;
using model::Matcher;
using model::MatchOp;

TEST(SlotSetTest, AgreesWithASetOfNumbers) {
  std::mt19937 random(3);
  for (const uint32_t range : {8u, 3000u, 20000u, 400000u}) {
    SlotSet set;
    std::set<uint32_t> plain;
    for (int step = 0; step < 30000; ++step) {
      const uint32_t slot = random() % range;
      // Mostly filling, then mostly emptying, so that every form is entered and left.
      const bool add = (random() % 10) < (step < 15000 ? 7u : 2u);
      add ? set.Add(slot) : set.Remove(slot);
      if (add) plain.insert(slot);
      else plain.erase(slot);
      if (step % 5000 != 0 && step != 29999) continue;
      std::vector<uint32_t> all;
      set.AppendTo(&all);
      ASSERT_EQ(all, std::vector<uint32_t>(plain.begin(), plain.end()));
      ASSERT_EQ(set.size(), plain.size());
      std::vector<uint32_t> probe;
      for (uint32_t i = 0; i < range; i += 1 + range / 500) probe.push_back(i);
      std::vector<uint32_t> in = probe, out = probe, want_in, want_out;
      set.Filter(SlotSet::Keep::kIn, &in);
      set.Filter(SlotSet::Keep::kOut, &out);
      for (const uint32_t p : probe) (plain.contains(p) ? want_in : want_out).push_back(p);
      ASSERT_EQ(in, want_in);
      ASSERT_EQ(out, want_out);
      std::vector<uint64_t> bits((range + 63) / 64);
      set.MarkIn(bits);
      for (const uint32_t p : probe) ASSERT_EQ(bits[p / 64] >> (p % 64) & 1, plain.contains(p));
    }
  }
}

TEST(FreeNumbersTest, TheLowestFreeNumberIsGivenFirst) {
  std::mt19937 random(5);
  FreeNumbers numbers;
  std::set<uint32_t> free, taken;
  for (int step = 0; step < 200000; ++step) {
    const bool take = taken.empty() || random() % 10 < (step / 20000 % 2 == 0 ? 8u : 2u);
    if (take) {
      const uint32_t want = free.empty() ? numbers.end() : *free.begin();
      ASSERT_EQ(numbers.Take(), want);
      free.erase(want);
      taken.insert(want);
    } else {
      const auto it = taken.lower_bound(random() % numbers.end());
      if (it == taken.end()) continue;
      numbers.Put(*it);
      free.insert(*it);
      taken.erase(it);
    }
  }
  EXPECT_GT(numbers.end(), 5000u);
}

TEST(SymbolsTest, NumbersAreUsedAgainFromTheLowestOnAfterAllWereGone) {
  Symbols symbols;
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < 20000; ++i) ASSERT_EQ(symbols.Intern(std::to_string(i)), i);
    for (uint32_t i = 0; i < 20000; i += 7) ASSERT_EQ(symbols.Text(i), std::to_string(i));
    // From the middle outwards, so that pages of entries end in any order.
    for (uint32_t i = 0; i < 20000; ++i) symbols.Release(i % 2 == 0 ? 10000 + i / 2 : 9999 - i / 2);
    EXPECT_EQ(symbols.size(), 0u);
    EXPECT_EQ(symbols.text_bytes(), 0u);
  }
}

TEST(SlotSetTest, ManyMovesKeepTheirContents) {
  SlotSet a;
  for (uint32_t i = 0; i < 100; ++i) a.Add(i * 70000);
  SlotSet b = std::move(a);
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(b.size(), 100u);
  a = std::move(b);
  EXPECT_TRUE(a.Contains(7 * 70000));
}

TEST(SymbolsTest, TextsAreKeptOnceAndNumbersUsedAgain) {
  Symbols symbols;
  const Symbol a = symbols.Intern("a"), empty = symbols.Intern("");
  EXPECT_EQ(symbols.Intern("a"), a);
  EXPECT_EQ(symbols.Text(a), "a");
  EXPECT_EQ(symbols.Text(empty), "");
  EXPECT_EQ(symbols.Find("b"), std::nullopt);
  symbols.Release(a);
  EXPECT_EQ(symbols.Find("a"), a);
  symbols.Release(a);
  EXPECT_EQ(symbols.Find("a"), std::nullopt);
  EXPECT_EQ(symbols.Intern("b"), a);
  for (int i = 0; i < 20000; ++i) symbols.Intern(std::to_string(i));
  EXPECT_EQ(symbols.Text(*symbols.Find("19999")), "19999");
}

std::vector<Matcher> RandomMatchers(std::mt19937* random) {
  const char* values[] = {"", "1", "2", "13", "x", "1|2", "1.*", ".*", ".+", "(1|3).?", "[12]", "nothing", "1|", "x?"};
  std::vector<Matcher> out;
  const size_t n = 1 + (*random)() % 3;
  for (size_t i = 0; i < n; ++i) {
    const std::string name = std::string(1, static_cast<char>('a' + (*random)() % 4));
    out.push_back(*Matcher::Make(static_cast<MatchOp>((*random)() % 4), name, values[(*random)() % std::size(values)]));
  }
  return out;
}

Labels RandomLabels(std::mt19937* random) {
  const char* values[] = {"", "1", "2", "3", "13", "x", "xx"};
  std::vector<std::pair<std::string, std::string>> pairs = {{"id", std::to_string((*random)())}};
  for (const char* name : {"a", "b", "c"}) pairs.emplace_back(name, values[(*random)() % std::size(values)]);
  return Labels::FromPairs(pairs);
}

TEST(PostingsTest, SelectionsAgreeWithMatchingEverySeries) {
  std::mt19937 random(9);
  Symbols symbols;
  Postings postings(&symbols);
  std::map<uint32_t, Labels> series;
  std::map<uint32_t, std::vector<SymbolPair>> pairs;
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 60; ++i) {
      const uint32_t slot = random() % 3000;
      if (const auto it = series.find(slot); it != series.end()) {
        postings.Remove(slot, pairs[slot]);
        series.erase(it);
        continue;
      }
      const Labels labels = RandomLabels(&random);
      std::vector<SymbolPair> p;
      for (const auto& [name, value] : labels) p.push_back({symbols.Intern(name), symbols.Intern(value)});
      postings.Add(slot, p);
      series[slot] = labels;
      pairs[slot] = p;
    }
    for (int q = 0; q < 100; ++q) {
      const std::vector<Matcher> matchers = RandomMatchers(&random);
      std::vector<uint32_t> expected;
      for (const auto& [slot, labels] : series) {
        if (model::MatchesAll(matchers, labels)) expected.push_back(slot);
      }
      std::string text;
      for (const Matcher& m : matchers) text += m.ToString() + " ";
      ASSERT_EQ(postings.Select(matchers), expected) << text;
    }
  }
}

// An index of random series, in a file.
struct Written {
  base::SimulatedFileSystem fs;
  std::vector<Labels> labels;
  std::vector<std::vector<ChunkMeta>> chunks;

  explicit Written(size_t n) {
    std::mt19937 random(4);
    std::set<std::string> symbols;
    for (size_t i = 0; i < n; ++i) labels.push_back(RandomLabels(&random));
    std::sort(labels.begin(), labels.end());
    for (const Labels& l : labels) {
      for (const auto& [name, value] : l) symbols.emplace(name), symbols.emplace(value);
      std::vector<ChunkMeta> metas;
      model::Timestamp t = static_cast<model::Timestamp>(random() % 1000) - 500;
      for (uint32_t c = random() % 5; c-- > 0;) {
        metas.push_back({t, t + 10, static_cast<uint64_t>(random())});
        t += 11 + static_cast<model::Timestamp>(random() % 100);
      }
      chunks.push_back(metas);
    }
    const std::vector<std::string_view> texts(symbols.begin(), symbols.end());
    auto writer = IndexWriter::Create(&fs, "index", texts);
    EXPECT_TRUE(writer);
    for (size_t i = 0; i < n; ++i) EXPECT_TRUE((*writer)->AddSeries(labels[i], chunks[i]));
    EXPECT_TRUE((*writer)->Finish());
  }
};

TEST(BlockIndexTest, RoundTripsAndSelects) {
  Written w(300);
  auto reader = IndexReader::Open("index", *w.fs.Map("index"));
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_THAT((*reader)->Names(), testing::ElementsAre("a", "b", "c", "id"));
  EXPECT_THAT((*reader)->ValuesOf("a"), testing::ElementsAre("1", "13", "2", "3", "x", "xx"));
  const auto all = *(*reader)->Select({});
  ASSERT_EQ(all.size(), 300u);
  std::map<SeriesId, Labels> by_id;
  for (size_t i = 0; i < all.size(); ++i) {
    std::string labels;
    std::vector<ChunkMeta> chunks;
    ASSERT_TRUE((*reader)->ReadSeries(all[i], &labels, &chunks));
    EXPECT_EQ(model::LabelsView(labels), w.labels[i].view()) << "in order of labels";
    ASSERT_EQ(chunks.size(), w.chunks[i].size());
    for (size_t c = 0; c < chunks.size(); ++c) {
      EXPECT_EQ(chunks[c].mint, w.chunks[i][c].mint);
      EXPECT_EQ(chunks[c].maxt, w.chunks[i][c].maxt);
      EXPECT_EQ(chunks[c].ref, w.chunks[i][c].ref);
    }
    by_id[all[i]] = w.labels[i];
  }
  std::mt19937 random(1);
  for (int q = 0; q < 500; ++q) {
    const std::vector<Matcher> matchers = RandomMatchers(&random);
    std::vector<SeriesId> expected;
    for (const auto& [id, labels] : by_id) {
      if (model::MatchesAll(matchers, labels)) expected.push_back(id);
    }
    ASSERT_EQ(*(*reader)->Select(matchers), expected) << matchers[0].ToString();
  }
}

TEST(BlockIndexTest, NothingSelectedHasNoNamesWhateverTheListOfAllSeriesSays) {
  Written w(20);
  std::string bytes = *w.fs.ReadFile("index");
  auto reader = IndexReader::Open("index", *w.fs.Map("index"));
  ASSERT_TRUE(reader);
  EXPECT_THAT(*(*reader)->NamesOf({}), testing::IsEmpty());
  // The list of all series says that it is longer than the file: its count reads as 0.
  const size_t ids = bytes.find(std::string("\0\0\0\x54\0\0\0\x14", 8));  // 84 bytes, 20 series
  ASSERT_NE(ids, std::string::npos);
  bytes[ids + 4] = '\x7f';
  ASSERT_TRUE(w.fs.WriteFileAtomically("bad", bytes));
  reader = IndexReader::Open("bad", *w.fs.Map("bad"));
  ASSERT_TRUE(reader);
  EXPECT_THAT(*(*reader)->NamesOf({}), testing::IsEmpty());
  EXPECT_THAT(*(*reader)->ValuesOf("id", {}), testing::IsEmpty());
}

TEST(RememberedTest, ResultsAreForgottenByNumberAndBySize) {
  Remembered<std::vector<int>> kept(3, 10);
  const auto of = [](size_t n) { return std::make_shared<const std::vector<int>>(n); };
  for (const char* key : {"a", "b", "c"}) kept.Put(key, 1, of(3));
  EXPECT_NE(kept.Find("a", 1), nullptr);
  EXPECT_EQ(kept.Find("a", 2), nullptr);
  kept.Put("d", 1, of(0));
  EXPECT_EQ(kept.Find("b", 1), nullptr) << "the one that was not used for longest";
  kept.Put("e", 1, of(9));
  EXPECT_EQ(kept.Find("a", 1), nullptr);
  EXPECT_EQ(kept.Find("c", 1), nullptr);
  EXPECT_NE(kept.Find("d", 1), nullptr);
  EXPECT_NE(kept.Find("e", 1), nullptr);
  kept.Put("e", 2, of(11));
  EXPECT_EQ(kept.Find("e", 2), nullptr) << "larger than all of them may be";
  EXPECT_EQ(kept.Find("e", 1), nullptr);
}

TEST(BlockIndexTest, CutOrFlippedItIsAnErrorAndNeverACrash) {
  Written w(20);
  const std::string good = *w.fs.ReadFile("index");
  const auto touch = [&](const std::string& bytes) {
    EXPECT_TRUE(w.fs.WriteFileAtomically("bad", bytes));
    auto reader = IndexReader::Open("bad", *w.fs.Map("bad"));
    if (!reader) {
      EXPECT_EQ(reader.error().code(), base::Code::kDataLoss);
      return;
    }
    for (const std::string_view name : (*reader)->Names()) (*reader)->ValuesOf(name);
    (*reader)->Symbols();
    auto ids = (*reader)->Select({});
    if (!ids) return;
    for (const SeriesId id : *ids) {
      std::string labels;
      std::vector<ChunkMeta> chunks;
      base::Ignore((*reader)->ReadSeries(id, &labels, &chunks));  // only memory errors would fail here
    }
  };
  for (size_t cut = 0; cut < good.size(); cut += 3) {
    touch(good.substr(0, cut));
    EXPECT_FALSE(IndexReader::Open("bad", *w.fs.Map("bad"))) << cut;
  }
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0xff);
    touch(bad);
  }
}

}  // namespace
}  // namespace tocsin::tsdb::index
