#include "app/features.h"

#include <gtest/gtest.h>

namespace tocsin::app {
namespace {

Flags Parse(const std::vector<std::string>& args) {
  Flags flags(ServeFlagTable(), "tocsin serve", "");
  tools::ToolIo io{.out = [](std::string_view) {}, .err = [](std::string_view text) { ADD_FAILURE() << text; }, .read_input = nullptr};
  EXPECT_FALSE(flags.Parse(args, io));
  return flags;
}

TEST(FeaturesTest, TheFlagMayComeOftenAndHoldMany) {
  const Flags flags = Parse({"--enable-feature=exemplar-storage,extra-scrape-metrics", "--enable-feature=st-storage"});
  for (const char* name : {"exemplar-storage", "extra-scrape-metrics", "st-storage"}) EXPECT_TRUE(HasFeature(flags, name)) << name;
  EXPECT_FALSE(HasFeature(flags, "exemplar"));
}

TEST(FeaturesTest, NamesThatChangeNothingAreTold) {
  std::vector<std::pair<std::string, std::string_view>> told;
  for (const FeatureNote& n : NotesOnFeatures(Parse({"--enable-feature=exemplar-storage,foo,native-histograms", "--enable-feature=search-api"}))) {
    told.emplace_back(n.feature, n.text);
  }
  EXPECT_EQ(told, (std::vector<std::pair<std::string, std::string_view>>{
                      {"foo", "Unknown option for --enable-feature"},
                      {"native-histograms", "This option for --enable-feature changes nothing"},
                      {"search-api", "This option for --enable-feature is not in this version"}}));
}

TEST(FeaturesTest, TheReportHasPrometheussAreasAndTellsWhatThereIs) {
  const api::Features off = FeatureReport(Parse({}));
  for (const char* area : {"otlp_receiver", "prometheus", "rules", "scrape", "service_discovery_providers",
                           "templating_functions", "tsdb", "ui"}) {
    EXPECT_TRUE(off.contains(area)) << area;
  }
  EXPECT_EQ(off.at("templating_functions").size(), 29u);
  EXPECT_TRUE(off.at("templating_functions").at("humanizeDuration"));
  const auto& providers = off.at("service_discovery_providers");
  for (const char* name : {"static", "file", "http"}) EXPECT_TRUE(providers.at(name)) << name;
  for (const char* name : {"kubernetes", "consul", "dns", "vultr", "oci"}) EXPECT_FALSE(providers.at(name)) << name;
  EXPECT_FALSE(off.at("tsdb").at("exemplar_storage"));
  EXPECT_FALSE(off.at("prometheus").at("auto_reload_config"));
  const api::Features started = FeatureReport(Parse({"--enable-feature=st-storage,histograms-st-encoding"}));
  EXPECT_TRUE(started.at("tsdb").at("st_storage"));
  EXPECT_TRUE(started.at("tsdb").at("histograms_st_encoding"));
  const api::Features on = FeatureReport(Parse({"--enable-feature=exemplar-storage", "--config.auto-reload"}));
  EXPECT_TRUE(on.at("tsdb").at("exemplar_storage"));
  EXPECT_TRUE(on.at("prometheus").at("auto_reload_config"));
}

}  // namespace
}  // namespace tocsin::app
