#include "alertmanager/inhibitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/random.h"
#include "alertmanager/shared_kit_test.h"

namespace tocsin::alertmanager {
namespace {

using namespace std::chrono_literals;

const base::Time kNow = base::FromUnixMillis(1'700'000'000'000);

Pairs MapOf(JsonResult e) {
  Pairs out;
  simdjson::dom::object object;
  if (e.get(object) != simdjson::SUCCESS) return out;
  for (auto [name, value] : object) {
    if (name != "_type") out.emplace_back(std::string(name), TextOf(value));
  }
  return out;
}

base::Time TimeOf(std::string_view text) {  // now-60s
  return kNow + std::chrono::seconds(std::stoll(std::string(text.substr(3, text.size() - 4))));
}

model::AlertPtr AlertOf(simdjson::dom::element e) {
  model::Alert a;
  a.labels = model::Labels::FromPairs(MapOf(e["Labels"]));
  a.starts_at = TimeOf(TextOf(e["StartsAt"]));
  a.ends_at = TimeOf(TextOf(e["EndsAt"]));
  return std::make_shared<const model::Alert>(a);
}

Matchers MatchersOf(JsonResult e) {
  Matchers out;
  simdjson::dom::array list;
  if (e.get(list) != simdjson::SUCCESS) return out;
  for (auto m : list) {
    const std::string op = TextOf(m["Type"]);
    out.push_back(*Matcher::Make(op == "=" ? MatchOp::kEqual : op == "!=" ? MatchOp::kNotEqual : op == "=~" ? MatchOp::kRegex : MatchOp::kNotRegex,
                                 TextOf(m["Name"]), TextOf(m["Value"])));
  }
  return out;
}

InhibitRuleConfig RuleOf(simdjson::dom::element e) {
  InhibitRuleConfig r;
  r.source_match = MapOf(e["SourceMatch"]);
  r.target_match = MapOf(e["TargetMatch"]);
  r.source_matchers = MatchersOf(e["SourceMatchers"]);
  r.target_matchers = MatchersOf(e["TargetMatchers"]);
  simdjson::dom::array equal;
  if (e["Equal"].get(equal) == simdjson::SUCCESS) {
    for (auto name : equal) r.equal.push_back(TextOf(name));
  }
  return r;
}

TEST(InhibitorKit, RulesMuteWhatTheReferenceMutes) {
  auto file = LoadShared("conformance/config/alertmanager/inhibit_cases.json");
  if (file == nullptr) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  for (std::string_view table : {"rule_matches", "rule_matchers"}) {
    auto setup = file->root[table]["setup"];
    const std::vector<InhibitRuleConfig> rules = {RuleOf(setup["rule1"].value()), RuleOf(setup["rule2"].value())};
    Inhibitor inhibitor(rules);
    for (const char* name : {"sourceAlert1", "sourceAlert2"}) inhibitor.Update(AlertOf(setup[name]["Alert"].value()), kNow);
    for (auto row : file->root[table]["cases"].get_array()) {
      const auto labels = model::Labels::FromPairs(MapOf(row["target"]));
      EXPECT_EQ(inhibitor.InhibitedBy(labels, kNow).has_value(), row["expected"].get_bool().value()) << table << " " << simdjson::minify(row);
    }
  }
}

model::AlertPtr Alert(std::initializer_list<std::pair<std::string_view, std::string_view>> labels, base::Time ends = kNow + 1h) {
  model::Alert a;
  a.labels = model::Labels::FromPairs(labels);
  a.starts_at = kNow - 1min;
  a.ends_at = ends;
  return std::make_shared<const model::Alert>(a);
}

InhibitRuleConfig SourceTarget(std::vector<std::string> equal) {
  InhibitRuleConfig r;
  r.source_match = {{"s", "1"}};
  r.target_match = {{"t", "1"}};
  r.equal = std::move(equal);
  return r;
}

TEST(InhibitorTest, OfTwoSourcesEitherMayResolveAndTheTargetStaysInhibited) {
  for (const char* resolved : {"a", "b"}) {
    const std::vector<InhibitRuleConfig> rules = {SourceTarget({"e"})};
    Inhibitor inhibitor(rules);
    inhibitor.Update(Alert({{"s", "1"}, {"e", "x"}, {"n", "a"}}), kNow);
    inhibitor.Update(Alert({{"s", "1"}, {"e", "x"}, {"n", "b"}}), kNow);
    auto gone = Alert({{"s", "1"}, {"e", "x"}, {"n", resolved}}, kNow - 1s);
    inhibitor.Update(gone, kNow);
    const auto target = model::Labels::FromPairs({{"t", "1"}, {"e", "x"}});
    EXPECT_TRUE(inhibitor.InhibitedBy(target, kNow)) << resolved;
    inhibitor.Forget(*gone);
    EXPECT_TRUE(inhibitor.InhibitedBy(target, kNow)) << resolved;
  }
}

// The index against the definition: any unresolved alert that matches the source side, agrees in the
// equal labels, and does not match both sides together with the target.
TEST(InhibitorTest, AgreesWithTheDefinitionOnRandomAlerts) {
  Random random(42);
  for (int round = 0; round < 200; ++round) {
    const std::vector<InhibitRuleConfig> rules = {SourceTarget({"e", "f"})};
    Inhibitor inhibitor(rules);
    std::map<uint64_t, model::AlertPtr> all;
    for (int i = 0; i < 30; ++i) {
      auto bit = [&] { return random.Next() % 2 == 0 ? "1" : ""; };
      auto alert = Alert({{"s", bit()}, {"t", bit()}, {"e", bit()}, {"f", bit()}, {"n", bit()}},
                         random.Next() % 2 == 0 ? kNow + 1h : kNow - 1s);
      inhibitor.Update(alert, kNow);
      all[alert->fingerprint()] = alert;
      if (random.Next() % 4 == 0) {
        inhibitor.Forget(*all.begin()->second);
        all.erase(all.begin());
      }
      for (const auto& [fingerprint, target] : all) {
        bool expected = false;
        for (const auto& [other, source] : all) {
          const bool target_side = target->labels.Get("t") == "1", both = target_side && target->labels.Get("s") == "1";
          expected = expected || (target_side && source->labels.Get("s") == "1" && !source->ResolvedAt(kNow) &&
                                  source->labels.Get("e") == target->labels.Get("e") && source->labels.Get("f") == target->labels.Get("f") &&
                                  !(both && source->labels.Get("t") == "1"));
        }
        ASSERT_EQ(inhibitor.InhibitedBy(target->labels, kNow).has_value(), expected) << target->labels.ToString();
      }
    }
  }
}

}  // namespace
}  // namespace tocsin::alertmanager
