#pragma once

// Relabeling: one engine for targets, scraped series, alerts and remote write.
// Source: Prometheus 3.14, model/relabel.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/regex.h"
#include "base/result.h"
#include "base/yaml.h"
#include "model/labels.h"

namespace tocsin::model {

enum class RelabelAction {
  kReplace, kKeep, kDrop, kKeepEqual, kDropEqual, kHashMod, kLabelMap, kLabelDrop, kLabelKeep,
  kLowercase, kUppercase,
};

struct RelabelRule {
  RelabelAction action = RelabelAction::kReplace;
  std::vector<std::string> source_labels;
  std::string separator = ";";
  base::Regex regex;           // (.*)
  bool default_regex = true;
  uint64_t modulus = 0;
  std::string target_label;
  std::string replacement = "$1";
  bool legacy_names = false;   // a target name made by the rule must be a legacy one
  RelabelRule();
};

using RelabelRules = std::vector<RelabelRule>;

std::string_view RelabelActionName(RelabelAction action);  // as in the configuration: keepequal

// Applies the rules in order.  False: the set is dropped.
bool Relabel(std::span<const RelabelRule> rules, LabelsBuilder* labels);

enum class NameScheme { kUtf8, kLegacy };

// Reads one relabel_config block; errors go to `errors` with their positions.
void ReadRelabelRule(const base::yaml::Node& node, base::yaml::Errors* errors, RelabelRule* rule,
                     NameScheme scheme = NameScheme::kUtf8);
RelabelRules ReadRelabelRules(const base::yaml::Node& list, base::yaml::Errors* errors,
                              NameScheme scheme = NameScheme::kUtf8);

}  // namespace tocsin::model
