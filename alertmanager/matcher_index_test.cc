#include "alertmanager/matcher_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "alertmanager/random.h"

namespace tocsin::alertmanager {
namespace {

std::vector<uint32_t> Candidates(const MatcherIndex& index, const model::Labels& labels) {
  std::vector<uint32_t> out;
  index.Visit(labels, [&](uint32_t id) {
    out.push_back(id);
    return true;
  });
  std::ranges::sort(out);
  return out;
}

TEST(MatcherIndexTest, AThousandSetsOfOneJobAreToldApartByTheAlternativesOfTheirOtherMatcher) {
  MatcherIndex index;
  for (uint32_t i = 0; i < 1000; ++i) {
    index.Add(i, *ParseMatchers("{job=\"node\",idx=~\"" + std::to_string(i) + "|none" + std::to_string(i) + "\"}"));
  }
  const auto labels = model::Labels::FromPairs({{"job", "node"}, {"idx", "17"}});
  EXPECT_LE(Candidates(index, labels).size(), 2u);  // the first one hangs under the job
}

// Every set that matches is among the candidates, whatever was added and removed before.
TEST(MatcherIndexTest, MissesNoSetThatMatches) {
  const char* kSets[] = {"{a=\"1\"}",          "{a=~\"1|2\"}", "{a!=\"1\",b=\"1\"}", "{a=~\"1.*\"}", "{b=\"\",a=\"2\"}",
                         "{c=~\"|1\"}",         "{a=~\"(1|2)\",b=~\"1|2\"}", "{b!~\"1\"}",   "{a=\"1\",b=\"1\",c=\"1\"}"};
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    MatcherIndex index;
    std::map<uint32_t, Matchers> sets;
    for (uint32_t i = 0; i < 20; ++i) {
      if (random.Next() % 4 == 0 && !sets.empty()) {
        index.Remove(sets.begin()->first);
        sets.erase(sets.begin());
      }
      sets[i] = *ParseMatchers(kSets[random.Next() % std::size(kSets)]);
      index.Add(i, sets[i]);
    }
    auto value = [&] { return std::to_string(random.Next() % 4); };
    const std::string a = value(), b = value(), c = value();
    const auto labels = model::Labels::FromPairs({{"a", a == "0" ? "" : a}, {"b", b == "0" ? "" : b}, {"c", c == "0" ? "" : c}});
    const auto candidates = Candidates(index, labels);
    for (const auto& [id, set] : sets) {
      if (MatchesAll(set, labels)) {
        EXPECT_TRUE(std::ranges::binary_search(candidates, id)) << labels.ToString() << " " << MatchersText(set);
      }
    }
  }
}

TEST(MatcherIndexTest, AnIdOfSeveralSetsIsGoneAfterOneRemoval) {
  MatcherIndex index;
  index.Add(1, *ParseMatchers("a=\"1\""));
  index.Add(1, *ParseMatchers("a=~\"1|2\""));
  index.Add(1, *ParseMatchers("b!=\"1\""));
  index.Remove(1);
  EXPECT_TRUE(Candidates(index, model::Labels::FromPairs({{"a", "1"}})).empty());
  // Its names' places are used again.
  index.Add(2, *ParseMatchers("c=\"1\""));
  index.Add(3, *ParseMatchers("a=\"1\""));
  EXPECT_THAT(Candidates(index, model::Labels::FromPairs({{"a", "1"}, {"c", "1"}})), testing::UnorderedElementsAre(2, 3));
}

}  // namespace
}  // namespace tocsin::alertmanager
