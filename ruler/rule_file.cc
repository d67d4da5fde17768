#include "ruler/rule_file.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "promql/parse/printer.h"
#include "templates/rule_functions.h"

namespace tocsin::ruler {
namespace {

using base::Quote;
using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Position;
using base::yaml::Reader;

// Reads one file; every problem goes to the errors and the rest is read on.
class FileReader {
 public:
  FileReader(const std::string& file, const RuleFileOptions& options, Errors* errors)
      : file_(file), options_(options), errors_(errors) {}

  void ReadFile(const Node& root, RuleFile* out) {
    Reader reader(root, errors_, "rulefmt.RuleGroups");
    reader.Each("groups", [&](const Node& node) {
      GroupSpec group;
      ReadGroup(node, &group);
      if (!group.name.empty() && !names_.insert(group.name).second) {
        errors_->Add(node.position, "groupname: " + Quote(group.name) + " is repeated in the same file");
      }
      out->groups.push_back(std::move(group));
    });
    Finish(&reader);
  }

 private:
  void Finish(Reader* reader) {
    if (!options_.ignore_unknown_fields) reader->Finish();
  }

  void ReadGroup(const Node& node, GroupSpec* group) {
    group->file = file_;
    group->position = node.position;
    Reader reader(node, errors_, "rulefmt.RuleGroup");
    reader.String("name", &group->name);
    reader.Duration("interval", &group->interval);
    base::Duration offset{0};
    if (reader.Duration("query_offset", &offset)) group->query_offset = offset;
    reader.Int("limit", &group->limit);
    LabelList labels;
    reader.StringMap("labels", &labels);
    if (node.IsMapping() && group->name.empty()) {
      errors_->Add(node.position, "Groupname must not be empty");
    }
    CheckLabels(labels, reader.At("labels"), "group " + Quote(group->name));
    reader.Each("rules", [&](const Node& rule_node) {
      group_ = group->name;
      ++rule_number_;
      RuleSpec rule;
      ReadRule(rule_node, labels, &rule);
      group->rules.push_back(std::move(rule));
    });
    rule_number_ = 0;
    Finish(&reader);
  }

  // group "api", rule 3, "HighErrors": message
  void RuleError(Position at, const RuleSpec& rule, const std::string& message) {
    errors_->Add(at, "group " + Quote(group_) + ", rule " + std::to_string(rule_number_) + ", " +
                         Quote(rule.name()) + ": " + message);
  }

  void CheckLabels(const LabelList& labels, Position at, const std::string& where) {
    for (const auto& [name, value] : labels) {
      if (!IsLabelName(name) || name == model::kMetricName) {
        errors_->Add(at, where + ": invalid label name: " + name);
      }
      if (!base::IsValidUtf8(value)) errors_->Add(at, where + ": invalid label value: " + Quote(value));
    }
  }

  bool IsLabelName(std::string_view name) const {
    return options_.names == model::NameScheme::kLegacy ? model::IsLegacyLabelName(name)
                                                        : model::IsValidLabelName(name);
  }
  bool IsMetricName(std::string_view name) const {
    return options_.names == model::NameScheme::kLegacy ? model::IsLegacyMetricName(name)
                                                        : model::IsValidMetricName(name);
  }

  void ReadRule(const Node& node, const LabelList& group_labels, RuleSpec* rule) {
    rule->position = node.position;
    Reader reader(node, errors_, "rulefmt.Rule");
    reader.String("record", &rule->record);
    reader.String("alert", &rule->alert);
    const bool has_for = reader.Duration("for", &rule->hold);
    const bool has_keep = reader.Duration("keep_firing_for", &rule->keep_firing);
    LabelList labels;
    reader.StringMap("labels", &labels);
    reader.StringMap("annotations", &rule->annotations);
    const Node* expr = reader.Take("expr");
    Finish(&reader);
    if (!node.IsMapping()) return;  // said already

    if (!rule->record.empty() && !rule->alert.empty()) {
      RuleError(reader.At("record"), *rule, "only one of 'record' and 'alert' must be set");
    }
    if (rule->record.empty() && rule->alert.empty()) {
      RuleError(node.position, *rule, "one of 'record' or 'alert' must be set");
    }
    if (expr != nullptr) base::yaml::ScalarText(*expr, &rule->text);
    if (rule->text.empty()) {
      RuleError(expr != nullptr ? expr->position : node.position, *rule, "field 'expr' must be set in rule");
    } else {
      ParseExpression(*expr, rule);
    }
    if (!rule->record.empty()) CheckRecording(reader, *rule, has_for && rule->hold.count() != 0, has_keep && rule->keep_firing.count() != 0);
    for (const auto& [name, value] : labels) {
      if (!IsLabelName(name) || name == model::kMetricName) {
        RuleError(reader.At("labels"), *rule, "invalid label name: " + name);
      }
      if (!base::IsValidUtf8(value)) {
        RuleError(reader.At("labels"), *rule, "invalid label value: " + Quote(value));
      }
    }
    for (const auto& [name, value] : rule->annotations) {
      if (!IsLabelName(name)) RuleError(reader.At("annotations"), *rule, "invalid annotation name: " + name);
    }
    rule->labels = labels;
    if (!rule->alert.empty()) CheckTemplates(reader, *rule);

    // The group's labels stand under the rule's.
    std::map<std::string, std::string> merged(group_labels.begin(), group_labels.end());
    for (const auto& [name, value] : labels) merged[name] = value;
    rule->labels.assign(merged.begin(), merged.end());
    std::ranges::sort(rule->annotations);
  }

  void ParseExpression(const Node& node, RuleSpec* rule) {
    auto parsed = promql::ParseAll(rule->text, options_.parse);
    if (parsed) {
      rule->expr = std::move(*parsed);
      rule->query = promql::Print(*rule->expr);
      return;
    }
    const promql::ParseErrors& errors = parsed.error();
    const int32_t at = errors.errors.empty() ? 0 : errors.errors[0].pos.start;
    RuleError(node.PositionOfByte(static_cast<size_t>(std::max(at, 0))), *rule,
              "could not parse expression: " + errors.First(rule->text));
  }

  void CheckRecording(const Reader& reader, const RuleSpec& rule, bool has_for, bool has_keep) {
    if (!rule.annotations.empty()) {
      RuleError(reader.At("annotations"), rule, "invalid field 'annotations' in recording rule");
    }
    if (has_for) RuleError(reader.At("for"), rule, "invalid field 'for' in recording rule");
    if (has_keep) {
      RuleError(reader.At("keep_firing_for"), rule, "invalid field 'keep_firing_for' in recording rule");
    }
    if (!IsMetricName(rule.record)) {
      RuleError(reader.At("record"), rule, "invalid recording rule name: " + rule.record);
    } else if (rule.record.find_first_of("{}") != std::string::npos) {
      RuleError(reader.At("record"), rule,
                "braces present in the recording rule name; should it be in expr?: " + rule.record);
    }
  }

  // Labels and annotations of alerts must parse, and run with the zero values of their data.
  void CheckTemplates(const Reader& reader, const RuleSpec& rule) {
    const templates::Value data =
        templates::AlertTemplateData(model::LabelsView(), model::LabelsView(), "", 0, nullptr);
    for (const auto& [key, list] : {std::pair("labels", &rule.labels), std::pair("annotations", &rule.annotations)}) {
      for (const auto& [name, text] : *list) {
        if (!templates::HasActions(text)) continue;
        if (auto fine = templates::CheckRuleTemplate("__alert_" + rule.alert, text); !fine) {
          const char* kind = std::string_view(key) == "labels" ? "label " : "annotation ";
          RuleError(reader.At(key), rule, kind + Quote(name) + ": " + fine.error().message());
        }
      }
    }
  }

  const std::string& file_;
  const RuleFileOptions& options_;
  Errors* const errors_;
  std::set<std::string> names_;
  std::string group_;
  int rule_number_ = 0;
};

}  // namespace

bool RuleSpec::SameAs(const RuleSpec& o) const {
  return record == o.record && alert == o.alert && query == o.query && hold == o.hold &&
         keep_firing == o.keep_firing && labels == o.labels && annotations == o.annotations;
}

bool GroupSpec::SameAs(const GroupSpec& o) const {
  return file == o.file && name == o.name && interval == o.interval && query_offset == o.query_offset &&
         limit == o.limit &&
         std::ranges::equal(rules, o.rules, [](const RuleSpec& a, const RuleSpec& b) { return a.SameAs(b); });
}

base::Result<RuleFile> ParseRuleFile(std::string_view text, const std::string& file,
                                     const RuleFileOptions& options) {
  ASSIGN_OR_RETURN(const base::yaml::Document document, base::yaml::Parse(text, file));
  Errors errors(file);
  RuleFile out;
  if (!document.root().IsNull()) FileReader(file, options, &errors).ReadFile(document.root(), &out);
  RETURN_IF_ERROR(errors.ToStatus());
  if (document.has_more_documents()) {
    out.warnings.push_back(file + ": only the first YAML document is read, the others are ignored");
  }
  return out;
}

base::Result<std::vector<GroupSpec>> LoadRuleFiles(base::FileSystem* fs,
                                                   const std::vector<std::string>& globs,
                                                   const RuleFileOptions& options) {
  std::vector<GroupSpec> groups;
  std::set<std::string> seen;
  std::string problems;
  for (const std::string& glob : globs) {
    ASSIGN_OR_RETURN(const std::vector<std::string> files, base::Glob(fs, glob));
    for (const std::string& file : files) {
      if (!seen.insert(file).second) continue;
      const auto text = fs->ReadFile(file);
      if (!text) {
        problems += (problems.empty() ? "" : "\n") + text.error().message();
        continue;
      }
      auto parsed = ParseRuleFile(*text, file, options);
      if (!parsed) {
        problems += (problems.empty() ? "" : "\n") + parsed.error().message();
        continue;
      }
      std::ranges::move(parsed->groups, std::back_inserter(groups));
    }
  }
  if (!problems.empty()) return base::InvalidArgument(std::move(problems));
  return groups;
}

std::vector<DuplicateRule> FindDuplicates(const std::vector<GroupSpec>& groups) {
  std::map<std::pair<std::string, LabelList>, int> count;
  for (const GroupSpec& group : groups) {
    for (const RuleSpec& rule : group.rules) ++count[{rule.name(), rule.labels}];
  }
  std::vector<DuplicateRule> found;
  for (const auto& [key, n] : count) {
    if (n > 1) found.push_back({key.first, key.second});
  }
  return found;
}

}  // namespace tocsin::ruler
