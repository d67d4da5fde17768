#include "alertmanager/time_interval.h"

#include <absl/time/time.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/shared_kit_test.h"

namespace tocsin::alertmanager {
namespace {

base::Time Parse(const std::string& text) {
  absl::Time t;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%d %b %y %H:%M %z", text, &t, &error)) << text << ": " << error;
  return base::Time(base::Duration(absl::ToUnixNanos(t)));
}

std::vector<TimeInterval> ReadAll(const base::yaml::Node& root, base::yaml::Errors* errors) {
  std::vector<TimeInterval> out;
  if (root.IsMapping()) out.push_back(ReadTimeInterval(root, errors));
  for (const auto& item : root.items) out.push_back(ReadTimeInterval(item, errors));
  return out;
}

class TimeIntervalKit : public testing::Test {
 protected:
  void SetUp() override {
    file_ = LoadShared("conformance/config/alertmanager/timeinterval_cases.json");
    if (file_ == nullptr) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  }
  std::unique_ptr<JsonFile> file_;
};

TEST_F(TimeIntervalKit, IntervalsReadAndMatchAsByTheReference) {
  for (std::string_view table : {"yaml", "complete"}) {
    for (auto row : file_->root[table].get_array()) {
      const std::string text = TextOf(row["in"]);
      auto document = base::yaml::Parse(text, "t.yml");
      ASSERT_TRUE(document.has_value()) << text;
      base::yaml::Errors errors("t.yml");
      const auto intervals = ReadAll(document->root(), &errors);
      bool fails = false;
      if (row["fails"].error() == simdjson::SUCCESS) fails = row["fails"].get_bool().value();
      EXPECT_EQ(!errors.empty(), fails) << text;
      if (fails) {
        if (Has(row["error"])) {
          EXPECT_THAT(errors.ToStatus().error().message(), testing::HasSubstr(TextOf(row["error"]))) << text;
        }
        continue;
      }
      for (auto t : row["contains"].get_array()) EXPECT_TRUE(ContainsTime(intervals, Parse(TextOf(t)))) << text << TextOf(t);
      for (auto t : row["excludes"].get_array()) EXPECT_FALSE(ContainsTime(intervals, Parse(TextOf(t)))) << text << TextOf(t);
    }
  }
}

int64_t NumberOf(simdjson::dom::element e, const char* key) {
  int64_t n = 0;
  return e[key].get(n) == simdjson::SUCCESS ? n : 0;
}

std::vector<InclusiveRange> Ranges(simdjson::dom::element interval, const char* key) {
  std::vector<InclusiveRange> out;
  simdjson::dom::array list;
  if (interval[key].get(list) != simdjson::SUCCESS) return out;
  for (auto item : list) {
    auto r = item.at(0);
    out.push_back({.begin = static_cast<int>(NumberOf(r.value(), "Begin")), .end = static_cast<int>(NumberOf(r.value(), "End"))});
  }
  return out;
}

TEST_F(TimeIntervalKit, IntervalsContainTheTimesOfTheReference) {
  for (auto row : file_->root["contains"].get_array()) {
    auto spec = row["interval"].value();
    TimeInterval i;
    i.weekdays = Ranges(spec, "Weekdays");
    i.days_of_month = Ranges(spec, "DaysOfMonth");
    i.months = Ranges(spec, "Months");
    i.years = Ranges(spec, "Years");
    simdjson::dom::array times, location;
    if (spec["Times"].get(times) == simdjson::SUCCESS) {
      for (auto t : times) i.times.push_back({.begin = static_cast<int>(NumberOf(t, "StartMinute")), .end = static_cast<int>(NumberOf(t, "EndMinute"))});
    }
    if (spec["Location"].get(location) == simdjson::SUCCESS) i.location = TextOf(location.at(0)["name"]);
    for (auto t : row["valid"].get_array()) EXPECT_TRUE(i.Contains(Parse(TextOf(t)))) << simdjson::minify(row) << TextOf(t);
    for (auto t : row["invalid"].get_array()) EXPECT_FALSE(i.Contains(Parse(TextOf(t)))) << simdjson::minify(row) << TextOf(t);
  }
}

TEST_F(TimeIntervalKit, TimeRangesReadAsByTheReference) {
  for (auto row : file_->root["time_range"].get_array()) {
    const std::string text = "times: [" + TextOf(row["in"]) + "]";
    auto document = base::yaml::Parse(text, "t.yml");
    ASSERT_TRUE(document.has_value()) << text;
    base::yaml::Errors errors("t.yml");
    const TimeInterval i = ReadTimeInterval(document->root(), &errors);
    EXPECT_EQ(!errors.empty(), row["fails"].get_bool().value()) << text;
    if (!errors.empty()) continue;
    ASSERT_EQ(i.times.size(), 1U);
    EXPECT_EQ(i.times[0].begin, NumberOf(row["range"].value(), "StartMinute"));
    EXPECT_EQ(i.times[0].end, NumberOf(row["range"].value(), "EndMinute"));
  }
}

}  // namespace
}  // namespace tocsin::alertmanager
