#include "model/relabel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tocsin::model {
namespace {

using ::testing::HasSubstr;

RelabelRules Read(std::string_view yaml, base::yaml::Errors* errors, NameScheme scheme = NameScheme::kUtf8) {
  auto doc = base::yaml::Parse(yaml, "f.yml");
  EXPECT_TRUE(doc) << yaml;
  return ReadRelabelRules(doc->root(), errors, scheme);
}

RelabelRules Sound(std::string_view yaml) {
  base::yaml::Errors errors("f.yml");
  RelabelRules rules = Read(yaml, &errors);
  EXPECT_TRUE(errors.empty()) << errors.ToStatus().error().message();
  return rules;
}

TEST(RelabelTest, EachActionDoesItsWork) {
  struct Row {
    const char* rules;
    const char* result;  // null: dropped
  };
  for (const Row& row : {
           Row{"[{target_label: c, replacement: x}]", "{a=\"foo\", b=\"Bar\", c=\"x\"}"},
           {"[{source_labels: [a, b], target_label: c}]", "{a=\"foo\", b=\"Bar\", c=\"foo;Bar\"}"},
           {"[{source_labels: [a], separator: '', regex: 'f(.*)', target_label: 'x_$1', replacement: '${1}!'}]",
            "{a=\"foo\", b=\"Bar\", x_oo=\"oo!\"}"},
           {"[{source_labels: [a], regex: nope, target_label: a}]", "{a=\"foo\", b=\"Bar\"}"},
           {"[{source_labels: [none], target_label: a}]", "{b=\"Bar\"}"},
           {"[{source_labels: [a], regex: '(b)?foo', target_label: '$1', replacement: x}]", "{a=\"foo\", b=\"Bar\"}"},
           {"[{action: keep, source_labels: [a], regex: fo+}]", "{a=\"foo\", b=\"Bar\"}"},
           {"[{action: KEEP, source_labels: [a], regex: f}]", nullptr},
           {"[{action: drop, source_labels: [a], regex: fo+}]", nullptr},
           {"[{action: drop, source_labels: [a], regex: f}]", "{a=\"foo\", b=\"Bar\"}"},
           {"[{action: keepequal, source_labels: [a], target_label: b}]", nullptr},
           {"[{action: dropequal, source_labels: [a], target_label: a}]", nullptr},
           {"[{action: lowercase, source_labels: [b], target_label: c}]", "{a=\"foo\", b=\"Bar\", c=\"bar\"}"},
           {"[{action: uppercase, source_labels: [b], target_label: c}]", "{a=\"foo\", b=\"Bar\", c=\"BAR\"}"},
           {"[{action: hashmod, source_labels: [a], target_label: h, modulus: 1000}]",
            "{a=\"foo\", b=\"Bar\", h=\"696\"}"},
           {"[{action: labelmap, regex: '([ab])', replacement: 'm_$1'}]",
            "{a=\"foo\", b=\"Bar\", m_a=\"foo\", m_b=\"Bar\"}"},
           {"[{action: labeldrop, regex: a}]", "{b=\"Bar\"}"},
           {"[{action: labelkeep, regex: a}]", "{a=\"foo\"}"},
       }) {
    LabelsBuilder labels(Labels::FromPairs({{"a", "foo"}, {"b", "Bar"}}));
    bool kept = Relabel(Sound(row.rules), &labels);
    EXPECT_EQ(kept, row.result != nullptr) << row.rules;
    if (kept && row.result != nullptr) {
      EXPECT_EQ(labels.Build().ToString(), row.result) << row.rules;
    }
  }
}

TEST(RelabelTest, ABadRuleSaysWhatIsWrong) {
  struct Row {
    const char *rules, *error;
    NameScheme scheme = NameScheme::kUtf8;
  };
  for (const Row& row : {
           Row{"[{action: nope}]", "f.yml:1:11: action: unknown relabel action \"nope\""},
           {"[{}]", "relabel configuration for replace action requires 'target_label' value"},
           {"[{action: hashmod, target_label: a}]", "hashmod requires non-zero modulus"},
           {"[{action: keep, regex: '['}]", "regex: error parsing regexp: missing closing ]: `[`"},
           {"[{action: lowercase, target_label: a, replacement: x}]", "'replacement' can not be set for lowercase"},
           {"[{action: keepequal, target_label: a, regex: x}]", "requires only 'source_labels' and `target_label`"},
           {"[{action: labeldrop, regex: x, source_labels: [a]}]", "requires only 'regex', and no other fields"},
           {"[{action: labelkeep, regex: x, separator: ','}]", "requires only 'regex', and no other fields"},
           {"[{source_labels: [''], target_label: a}]", "\"\" is not a valid label name"},
           {"[{target_label: a.b}]", "\"a.b\" is invalid 'target_label' for replace action", NameScheme::kLegacy},
           {"[{target_label: 'a-$1'}]", "is invalid 'target_label' for replace action", NameScheme::kLegacy},
           {"[{action: labelmap, replacement: 'a-$1'}]", "invalid 'replacement' for labelmap", NameScheme::kLegacy},
           {"[{action: labelmap, replacement: ''}]", "invalid 'replacement' for labelmap"},
           {"[~]", "empty or null relabeling rule"},
           {"[{colour: red, action: keep}]", "field colour not found in type relabel_config"},
           {"text", "into a list of relabeling rules"},
       }) {
    base::yaml::Errors errors("f.yml");
    Read(row.rules, &errors, row.scheme);
    ASSERT_FALSE(errors.empty()) << row.rules;
    EXPECT_THAT(errors.ToStatus().error().message(), HasSubstr(row.error));
  }
}

TEST(RelabelTest, TemplatesOfNamesMayBeLegacy) {
  for (const char* sound : {"[{target_label: '${1}'}]", "[{target_label: '$1_b'}]", "[{target_label: 'a${x}b$2'}]"}) {
    base::yaml::Errors errors("f.yml");
    Read(sound, &errors, NameScheme::kLegacy);
    EXPECT_TRUE(errors.empty()) << sound;
  }
}

TEST(RelabelTest, AgreesWithTheUpstreamCases) {
  const char* shared = std::getenv("TOCSIN_SHARED");
  std::ifstream file(std::string(shared != nullptr ? shared : "../shared") + "/conformance/config/relabel_cases.json");
  if (!file) GTEST_SKIP() << "the conformance kit is not here; set TOCSIN_SHARED";
  auto cases = nlohmann::json::parse(file);
  size_t index = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE("case " + std::to_string(index++));
    // JSON is YAML.
    RelabelRules rules = Sound(c["relabel_configs"].dump());
    LabelsBuilder labels;
    for (const auto& [name, value] : c["input"].items()) labels.Set(name, value.get<std::string>());
    bool kept = Relabel(rules, &labels);
    EXPECT_EQ(kept, !c["drop"].get<bool>());
    if (!kept || c["output"].is_null()) continue;
    LabelsBuilder expected;
    for (const auto& [name, value] : c["output"].items()) expected.Set(name, value.get<std::string>());
    EXPECT_EQ(labels.Build().ToString(), expected.Build().ToString());
  }
  EXPECT_GT(index, 10u);
}

}  // namespace
}  // namespace tocsin::model
