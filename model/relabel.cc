#include "model/relabel.h"

#include <algorithm>

#include "base/check.h"
#include "base/digest.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::model {
namespace {

constexpr std::string_view kDefaultRegex = "(.*)";
constexpr std::string_view kDefaultReplacement = "$1";
constexpr std::string_view kDefaultSeparator = ";";

struct ActionName {
  std::string_view name;
  RelabelAction action;
};

constexpr ActionName kActions[] = {
    {"replace", RelabelAction::kReplace},     {"keep", RelabelAction::kKeep},
    {"drop", RelabelAction::kDrop},           {"keepequal", RelabelAction::kKeepEqual},
    {"dropequal", RelabelAction::kDropEqual}, {"hashmod", RelabelAction::kHashMod},
    {"labelmap", RelabelAction::kLabelMap},   {"labeldrop", RelabelAction::kLabelDrop},
    {"labelkeep", RelabelAction::kLabelKeep}, {"lowercase", RelabelAction::kLowercase},
    {"uppercase", RelabelAction::kUppercase},
};

using Groups = std::vector<std::optional<std::string_view>>;

bool HasVariable(std::string_view text) { return text.find('$') != std::string_view::npos; }

void Replace(const RelabelRule& rule, std::string_view value, LabelsBuilder* labels) {
  Groups groups;
  if (rule.default_regex) {
    groups = {value, value};
  } else if (!rule.regex.Find(value, &groups)) {
    return;
  }
  std::string target = rule.target_label;
  if (HasVariable(target)) {
    target.clear();
    rule.regex.Expand(rule.target_label, groups, &target);
    if (!(rule.legacy_names ? IsLegacyLabelName(target) : IsValidLabelName(target))) return;
  }
  std::string replacement;
  rule.regex.Expand(rule.replacement, groups, &replacement);
  labels->Set(target, replacement);
}

void HashMod(const RelabelRule& rule, std::string_view value, LabelsBuilder* labels) {
  // The last eight bytes of the MD5 sum, big-endian.
  auto digest = base::Md5(value);
  uint64_t hash = 0;
  for (size_t i = 8; i < digest.size(); ++i) hash = hash << 8 | digest[i];
  labels->Set(rule.target_label, std::to_string(hash % rule.modulus));
}

void LabelMap(const RelabelRule& rule, LabelsBuilder* labels) {
  std::vector<std::pair<std::string, std::string>> mapped;
  for (const auto& [name, value] : labels->pairs()) {
    if (rule.regex.Matches(name)) {
      mapped.emplace_back(rule.regex.ReplaceAll(name, rule.replacement), value);
    }
  }
  for (const auto& [name, value] : mapped) labels->Set(name, value);
}

void DropLabels(const RelabelRule& rule, bool matching, LabelsBuilder* labels) {
  std::vector<std::string> dropped;
  for (const auto& [name, value] : labels->pairs()) {
    if (rule.regex.Matches(name) == matching) dropped.push_back(name);
  }
  for (const std::string& name : dropped) labels->Del(name);
}

std::string SourceValue(const RelabelRule& rule, const LabelsBuilder& labels) {
  std::string value;
  for (size_t i = 0; i < rule.source_labels.size(); ++i) {
    if (i > 0) value += rule.separator;
    value += labels.Get(rule.source_labels[i]);
  }
  return value;
}

// False: the set is dropped.
bool Apply(const RelabelRule& rule, LabelsBuilder* labels) {
  switch (rule.action) {
    case RelabelAction::kLabelMap: LabelMap(rule, labels); return true;
    case RelabelAction::kLabelDrop: DropLabels(rule, true, labels); return true;
    case RelabelAction::kLabelKeep: DropLabels(rule, false, labels); return true;
    default: break;
  }
  std::string value = SourceValue(rule, *labels);
  switch (rule.action) {
    case RelabelAction::kReplace: Replace(rule, value, labels); break;
    case RelabelAction::kKeep: return rule.regex.Matches(value);
    case RelabelAction::kDrop: return !rule.regex.Matches(value);
    case RelabelAction::kKeepEqual: return labels->Get(rule.target_label) == value;
    case RelabelAction::kDropEqual: return labels->Get(rule.target_label) != value;
    case RelabelAction::kHashMod: HashMod(rule, value, labels); break;
    case RelabelAction::kLowercase: labels->Set(rule.target_label, base::ToLower(value)); break;
    case RelabelAction::kUppercase: labels->Set(rule.target_label, base::ToUpper(value)); break;
    default: break;
  }
  return true;
}

// A legacy name in which $1, ${1} or ${name} may stand for a part.
bool IsLegacyNameWithVariables(std::string_view text) {
  bool first = true;
  auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '$') {
      size_t begin = i + 1;
      bool brace = begin < text.size() && text[begin] == '{';
      if (brace) ++begin;
      size_t end = begin;
      while (end < text.size() && word(text[end])) ++end;
      if (end == begin || (brace && (end >= text.size() || text[end] != '}'))) return false;
      i = brace ? end + 1 : end;
    } else {
      if (!word(text[i]) || (first && text[i] >= '0' && text[i] <= '9')) return false;
      ++i;
    }
    first = false;
  }
  return !text.empty();
}

// What is checked when all keys of a rule are known.
class RuleCheck {
 public:
  RuleCheck(const RelabelRule& rule, NameScheme scheme, base::yaml::Reader* reader, std::string_view action)
      : rule_(rule), scheme_(scheme), reader_(reader), action_(action) {}

  void Run() {
    using enum RelabelAction;
    RelabelAction a = rule_.action;
    if (a == kHashMod && rule_.modulus == 0) {
      Fail("modulus", "relabel configuration for hashmod requires non-zero modulus");
    }
    bool equal = a == kKeepEqual || a == kDropEqual;
    bool case_change = a == kLowercase || a == kUppercase;
    bool needs_target = a == kReplace || a == kHashMod || case_change || equal;
    if (needs_target && rule_.target_label.empty()) {
      Fail("target_label", "relabel configuration for " + action_ + " action requires 'target_label' value");
      return;
    }
    bool template_target = a == kReplace && HasVariable(rule_.target_label);
    if (needs_target && !(template_target ? TemplateValid(rule_.target_label) : NameValid(rule_.target_label))) {
      Fail("target_label", base::Quote(rule_.target_label) + " is invalid 'target_label' for " + action_ + " action");
    }
    bool own_replacement = rule_.replacement != kDefaultReplacement;
    if ((case_change || equal) && own_replacement) {
      Fail("replacement", "'replacement' can not be set for " + action_ + " action");
    }
    if (a == kLabelMap && !TemplateValid(rule_.replacement)) {
      Fail("replacement", base::Quote(rule_.replacement) + " is invalid 'replacement' for " + action_ + " action");
    }
    bool others = rule_.modulus != 0 || rule_.separator != kDefaultSeparator || own_replacement;
    if (equal && (!rule_.default_regex || others)) {
      Fail("", action_ + " action requires only 'source_labels' and `target_label`, and no other fields");
    }
    if ((a == kLabelDrop || a == kLabelKeep) &&
        (!rule_.source_labels.empty() || !rule_.target_label.empty() || others)) {
      Fail("", action_ + " action requires only 'regex', and no other fields");
    }
  }

 private:
  bool NameValid(std::string_view name) const {
    return scheme_ == NameScheme::kLegacy ? IsLegacyLabelName(name) : IsValidLabelName(name);
  }
  bool TemplateValid(std::string_view text) const {
    return scheme_ == NameScheme::kLegacy ? IsLegacyNameWithVariables(text) : IsValidLabelName(text);
  }
  void Fail(std::string_view key, std::string message) { reader_->Error(key, std::move(message)); }

  const RelabelRule& rule_;
  const NameScheme scheme_;
  base::yaml::Reader* const reader_;
  const std::string action_;
};

const base::Regex& DefaultRegex() {
  static const base::Regex* const kRegex = [] {
    auto regex = base::Regex::Anchored(kDefaultRegex);
    TOCSIN_CHECK(regex.has_value());
    return new base::Regex(*regex);
  }();
  return *kRegex;
}

}  // namespace

RelabelRule::RelabelRule() : regex(DefaultRegex()) {}

std::string_view RelabelActionName(RelabelAction action) {
  for (const ActionName& row : kActions) {
    if (row.action == action) return row.name;
  }
  return {};
}

bool Relabel(std::span<const RelabelRule> rules, LabelsBuilder* labels) {
  return std::all_of(rules.begin(), rules.end(),
                     [labels](const RelabelRule& rule) { return Apply(rule, labels); });
}

void ReadRelabelRule(const base::yaml::Node& node, base::yaml::Errors* errors, RelabelRule* rule,
                     NameScheme scheme) {
  *rule = RelabelRule();
  if (node.IsNull()) {
    errors->Add(node.position, "empty or null relabeling rule; write its keys or take the line out");
    return;
  }
  size_t before = errors->count();
  base::yaml::Reader r(node, errors, "relabel_config");
  rule->legacy_names = scheme == NameScheme::kLegacy;
  r.Strings("source_labels", &rule->source_labels);
  for (const std::string& name : rule->source_labels) {
    if (!IsValidLabelName(name)) r.Error("source_labels", base::Quote(name) + " is not a valid label name");
  }
  r.String("separator", &rule->separator);
  r.Uint("modulus", &rule->modulus);
  r.String("target_label", &rule->target_label);
  r.String("replacement", &rule->replacement);
  std::string text;
  if (r.String("regex", &text)) {
    auto regex = base::Regex::Anchored(text);
    if (regex) {
      rule->regex = std::move(*regex);
      rule->default_regex = false;
    } else {
      r.Error("regex", regex.error().message());
    }
  }
  if (const base::yaml::Node* action = r.Take("action"); action != nullptr && action->IsNull()) {
    r.Error("action", "relabel action cannot be empty");
  }
  if (r.String("action", &text)) {
    std::string lower = base::ToLower(text);
    const auto* row = std::find_if(std::begin(kActions), std::end(kActions),
                                   [&](const ActionName& a) { return a.name == lower; });
    if (row == std::end(kActions)) {
      std::string message = "unknown relabel action " + base::Quote(text) + "; use one of ";
      for (const ActionName& a : kActions) message += (&a == kActions ? "" : ", ") + std::string(a.name);
      r.Error("action", std::move(message));
    } else {
      rule->action = row->action;
    }
  }
  r.Finish();
  if (errors->count() == before) RuleCheck(*rule, scheme, &r, RelabelActionName(rule->action)).Run();
}

RelabelRules ReadRelabelRules(const base::yaml::Node& list, base::yaml::Errors* errors, NameScheme scheme) {
  RelabelRules rules;
  if (list.IsNull()) return rules;
  if (!list.IsSequence()) {
    errors->Add(list.position, "cannot unmarshal " + base::yaml::Describe(list) +
                                   " into a list of relabeling rules; write `- action: ...` items");
    return rules;
  }
  for (const base::yaml::Node& item : list.items) {
    rules.emplace_back();
    ReadRelabelRule(item, errors, &rules.back(), scheme);
  }
  return rules;
}

}  // namespace tocsin::model
