#include "tsdb/label_order.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace tocsin::tsdb {
namespace {

TEST(LabelOrderTest, FollowsSeriesThatComeGoAndTakeEachOthersSlots) {
  std::mt19937 random(6);
  std::map<uint32_t, std::string> series;  // slot to labels
  LabelOrder order;
  EXPECT_TRUE(order.stale());
  order.Begin();
  order.Install({});
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 20; ++i) {
      const uint32_t slot = random() % 200;
      if (random() % 3 == 0) {
        series.erase(slot);
      } else {
        series[slot] = std::to_string(random()) + "/" + std::to_string(slot);
      }
      order.Note(slot);
    }
    const auto ranks = order.Update(200, [&](uint32_t s) { return series.contains(s); },
                                    [&](uint32_t a, uint32_t b) { return series[a] < series[b]; });
    ASSERT_TRUE(order.current());
    ASSERT_EQ(ranks->count, series.size());
    std::map<std::string, uint32_t> by_labels;
    for (const auto& [slot, labels] : series) by_labels[labels] = slot;
    uint32_t rank = 0;
    for (const auto& [labels, slot] : by_labels) ASSERT_EQ(ranks->of_slot[slot], rank++);
    for (uint32_t slot = 0; slot < 200; ++slot) {
      if (!series.contains(slot)) {
        ASSERT_EQ(ranks->of_slot[slot], LabelOrder::kNoRank);
      }
    }
  }
}

TEST(LabelOrderTest, RanksFromBeforeManyChangesAreNotCurrent) {
  LabelOrder order;
  order.Begin();
  order.Install({0, 1});
  const auto live = [](uint32_t) { return true; };
  const auto less = [](uint32_t a, uint32_t b) { return a > b; };
  ASSERT_NE(order.Update(2, live, less), nullptr);
  ASSERT_TRUE(order.current());
  for (int i = 0; !order.stale(); ++i) order.Note(static_cast<uint32_t>(i) % 2);
  order.Begin();
  EXPECT_FALSE(order.current()) << "slots may have other series by now";
  order.Install({1, 0});
  EXPECT_EQ(order.Update(2, live, less)->of_slot[1], 0u);
}

}  // namespace
}  // namespace tocsin::tsdb
