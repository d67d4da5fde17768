#pragma once

// Rule files: YAML with groups of recording and alerting rules, checked whole.  Source: Prometheus 3.14,
// model/rulefmt.
//
//   ASSIGN_OR_RETURN(ruler::RuleFile file, ruler::ParseRuleFile(text, "rules/api.yml", {}));
//
// Threads: any.
// Errors:  kInvalidArgument with every error of the file in file order, a line each:
//          "rules/api.yml:12:10: group "api", rule 3, "HighErrors": ...".  An error inside an
//          expression stands where it is in the YAML.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/time.h"
#include "base/yaml.h"
#include "model/labels.h"
#include "model/relabel.h"
#include "promql/parse/parser.h"

namespace tocsin::ruler {

using LabelList = std::vector<std::pair<std::string, std::string>>;  // sorted by name

struct RuleSpec {
  base::yaml::Position position;
  std::string record;  // of the two exactly one is set
  std::string alert;
  std::string text;    // the expression as written
  std::shared_ptr<const promql::Expr> expr;
  std::string query;   // the expression as Prometheus prints it
  base::Duration hold{0};         // `for`
  base::Duration keep_firing{0};  // `keep_firing_for`
  LabelList labels;               // the group's labels with the rule's over them; alerts': templates
  LabelList annotations;          // templates

  bool is_alert() const { return !alert.empty(); }
  const std::string& name() const { return is_alert() ? alert : record; }
  // Whether both say the same, wherever they stand.
  bool SameAs(const RuleSpec& other) const;
};

struct GroupSpec {
  base::yaml::Position position;
  std::string file;
  std::string name;
  base::Duration interval{0};                  // 0: the global evaluation_interval
  std::optional<base::Duration> query_offset;  // unset: the global rule_query_offset
  int64_t limit = 0;                           // of series or alerts of a rule; 0: none
  std::vector<RuleSpec> rules;

  bool SameAs(const GroupSpec& other) const;
  std::string Key() const { return file + ";" + name; }
};

struct RuleFile {
  std::vector<GroupSpec> groups;
  std::vector<std::string> warnings;  // "file:line:column: ..."
};

struct RuleFileOptions {
  promql::ParseOptions parse;
  model::NameScheme names = model::NameScheme::kUtf8;
  bool ignore_unknown_fields = false;
};

base::Result<RuleFile> ParseRuleFile(std::string_view text, const std::string& file,
                                     const RuleFileOptions& options = {});

// Reads and parses the files of all globs, each once, in order.  Errors of all files together.
base::Result<std::vector<GroupSpec>> LoadRuleFiles(base::FileSystem* fs,
                                                   const std::vector<std::string>& globs,
                                                   const RuleFileOptions& options = {});

// Rules that record or alert the same name with the same labels, which the duplicate-rules lint names.
struct DuplicateRule {
  std::string name;
  LabelList labels;
};
std::vector<DuplicateRule> FindDuplicates(const std::vector<GroupSpec>& groups);

}  // namespace tocsin::ruler
