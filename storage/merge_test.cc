#include "storage/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace tocsin::storage {
namespace {

using model::Labels;
using testing::ElementsAre;

// A store of fixed samples.
class Fixed : public Queryable, public Querier, public SeriesSet {
 public:
  using Data = std::map<Labels, std::vector<model::Sample>>;
  explicit Fixed(Data data) : data_(data.begin(), data.end()) {}

  std::unique_ptr<Querier> NewQuerier(Window) override { return std::make_unique<Fixed>(*this); }
  base::Result<std::unique_ptr<SeriesSet>> Select(const SelectHints&, std::span<const model::Matcher> m) override {
    Data matching;
    for (const auto& [l, s] : data_) {
      if (model::MatchesAll(m, l)) matching[l] = s;
    }
    return std::make_unique<Fixed>(matching);
  }
  base::Result<std::vector<std::string>> LabelNames(const LabelQuery&, std::span<const model::Matcher>) override {
    return std::vector<std::string>{"a", "b"};
  }
  base::Result<std::vector<std::string>> LabelValues(std::string_view, const LabelQuery&,
                                                     std::span<const model::Matcher>) override {
    std::vector<std::string> out;
    for (const auto& [l, s] : data_) out.emplace_back(l.Get("a"));
    return out;
  }
  size_t size() const override { return data_.size(); }
  model::LabelsView labels(size_t i) const override { return data_[i].first; }
  base::Status Read(size_t first, size_t count, Window w, SampleColumns* out) const override {
    out->Clear();
    out->offsets.push_back(0);
    for (size_t i = first; i < first + count; ++i) {
      for (const model::Sample& s : data_[i].second) {
        if (s.t > w.after && s.t <= w.upto) out->times.push_back(s.t), out->values.push_back(s.v);
      }
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    return {};
  }
  base::Status ReadLast(size_t first, size_t count, Window w, LastColumns* out) const override {
    SampleColumns c;
    RETURN_IF_ERROR(Read(first, count, w, &c));
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    for (size_t i = 0; i < count; ++i) {
      if (c.times_of(i).empty()) continue;
      out->times[i] = c.times_of(i).back();
      out->values[i] = c.values_of(i).back();
    }
    return {};
  }

 private:
  std::vector<std::pair<Labels, std::vector<model::Sample>>> data_;
};

Labels A(std::string_view v) { return Labels::FromPairs({{"a", v}}); }

std::unique_ptr<Querier> Merge(std::vector<Fixed::Data> parts) {
  std::vector<std::unique_ptr<Querier>> queriers;
  for (auto& p : parts) queriers.push_back(std::make_unique<Fixed>(p));
  return MakeMergeQuerier(std::move(queriers));
}

TEST(MergeTest, SeriesOfSeveralStoresHaveOneSampleForEachTime) {
  auto q = Merge({{{A("1"), {{10, 1}, {30, 1}}}, {A("2"), {{10, 1}}}}, {{A("1"), {{20, 2}, {30, 2}, {40, 2}}}, {A("3"), {{5, 2}}}}});
  auto set = *q->Select({}, {});
  ASSERT_EQ(set->size(), 3u);
  EXPECT_EQ(set->labels(0), A("1").view());
  EXPECT_EQ(set->labels(2), A("3").view());
  SampleColumns c;
  ASSERT_TRUE(set->Read(0, 3, {}, &c));
  EXPECT_THAT(c.times, ElementsAre(10, 20, 30, 40, 10, 5));
  EXPECT_THAT(c.values, ElementsAre(1, 2, 1, 2, 1, 2));
  EXPECT_THAT(c.offsets, ElementsAre(0, 4, 5, 6));
  LastColumns last;
  ASSERT_TRUE(set->ReadLast(0, 3, {0, 30}, &last));
  EXPECT_THAT(last.times, ElementsAre(30, 10, 5));
  EXPECT_THAT(last.values, ElementsAre(1, 1, 2));
}

// The samples of runs as columns; the value of a sample is its run's number.
std::vector<double> RunsTaken(const std::vector<std::vector<model::Timestamp>>& times) {
  std::vector<SampleColumns> columns(times.size());
  std::vector<SampleRun> runs;
  for (size_t i = 0; i < times.size(); ++i) {
    columns[i].times = times[i];
    columns[i].values.assign(times[i].size(), static_cast<double>(i));
    runs.push_back({&columns[i], 0, static_cast<uint32_t>(times[i].size())});
  }
  SampleColumns out;
  MergeSamples(runs, &out);
  EXPECT_TRUE(std::adjacent_find(out.times.begin(), out.times.end(), std::greater_equal<>()) == out.times.end());
  return out.values;
}

TEST(MergeTest, OfSamplesAtOneTimeItTakesTheOneThatPrometheusDoes) {
  struct Case {
    std::vector<std::vector<model::Timestamp>> runs;
    std::vector<double> taken;
  };
  const Case cases[] = {
      {{{1, 2}, {3, 4}}, {0, 0, 1, 1}},
      {{{3, 4}, {1, 2}}, {1, 1, 0, 0}},
      {{{1, 2, 3}, {1, 2, 3}}, {0, 0, 0}},
      {{{1, 3}, {2, 3}}, {0, 1, 0}},
      {{{1, 2, 3, 5}, {3, 4, 5}}, {0, 0, 1, 1, 0}},
      {{{}, {1, 2}, {}}, {1, 1}},
      {{{10, 20}, {20}, {15, 20}}, {0, 2, 0}},
      {{{}, {}}, {}},
  };
  for (const Case& c : cases) EXPECT_EQ(RunsTaken(c.runs), c.taken) << testing::PrintToString(c.runs);
}

TEST(MergeTest, HistogramsAndStartTimesStayWithTheirSamples) {
  const auto h = std::make_shared<const model::Histogram>();
  SampleColumns a, b;
  a.times = {1, 4, 6}, a.values = {1, 4, 6}, a.start_times = {0, 3, 5};
  b.times = {2, 3, 5}, b.values = {2, 3, 5}, b.histogram_at = {1, 2}, b.histograms = {h, h};
  const SampleRun runs[] = {{&a, 0, 3}, {&b, 0, 3}};
  SampleColumns out;
  MergeSamples(runs, &out);
  EXPECT_THAT(out.values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(out.histogram_at, ElementsAre(2, 4));
  EXPECT_EQ(out.histograms.size(), 2u);
  EXPECT_THAT(out.start_times, ElementsAre(0, 0, 0, 3, 0, 5));
}

TEST(MergeTest, NamesAndValuesAreUnited) {
  auto q = Merge({{{A("1"), {}}, {A("3"), {}}}, {{A("1"), {}}, {A("2"), {}}}});
  EXPECT_THAT(*q->LabelNames({}, {}), ElementsAre("a", "b"));
  EXPECT_THAT(*q->LabelValues("a", {}, {}), ElementsAre("1", "2", "3"));
  EXPECT_THAT(*q->LabelValues("a", {.limit = 2}, {}), ElementsAre("1", "2"));
}

TEST(MergeTest, ALimitCountsMergedSeries) {
  auto q = Merge({{{A("1"), {{1, 1}}}, {A("2"), {{1, 1}}}}, {{A("1"), {{2, 1}}}, {A("2"), {{2, 1}}}}});
  EXPECT_EQ((*q->Select({.limit = 1}, {}))->size(), 1u);
}

TEST(MergeTest, AgreesWithAPlainMergeOnRandomStores) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<Fixed::Data> parts(1 + random() % 4);
    std::map<Labels, std::map<model::Timestamp, std::vector<double>>> expected;  // by store
    for (size_t p = 0; p < parts.size(); ++p) {
      for (int s = 0; s < 5; ++s) {
        if (random() % 3 == 0) continue;
        auto& samples = parts[p][A(std::to_string(s))];
        for (int t = 0; t < 20; ++t) {
          if (random() % 2 == 0) samples.push_back({t, static_cast<double>(p)});
        }
        for (const auto& x : samples) expected[A(std::to_string(s))][x.t].push_back(x.v);
        expected[A(std::to_string(s))];
      }
    }
    auto q = Merge(parts);
    auto set = *q->Select({}, {});
    ASSERT_EQ(set->size(), expected.size());
    SampleColumns c;
    ASSERT_TRUE(set->Read(0, set->size(), {}, &c));
    size_t i = 0;
    for (const auto& [labels, samples] : expected) {
      EXPECT_EQ(set->labels(i), labels.view());
      ASSERT_EQ(c.times_of(i).size(), samples.size());
      for (size_t k = 0; k < samples.size(); ++k) {
        const auto& [t, values] = *std::next(samples.begin(), static_cast<std::ptrdiff_t>(k));
        EXPECT_EQ(c.times_of(i)[k], t);
        EXPECT_THAT(values, testing::Contains(c.values_of(i)[k]));
      }
      EXPECT_TRUE(std::is_sorted(c.times_of(i).begin(), c.times_of(i).end()));
      ++i;
    }
  }
}

}  // namespace
}  // namespace tocsin::storage
