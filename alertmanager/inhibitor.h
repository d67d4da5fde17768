#pragma once

// Inhibition: an alert is not notified while another one, its source, fires.  For each rule the
// sources are kept by the values of the `equal` labels, all of them, so that one that resolves does
// not uncover what another still inhibits.  An alert that matches both sides of a rule is inhibited
// only by alerts that match the source side alone.
//
// Threads: loop only.
// Cost:    a decision is one look-up for each distinct `equal` list, then a match for each rule that has
//          sources with the same values; an update meets only the rules that its labels may match.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "alertmanager/config.h"
#include "alertmanager/matcher_index.h"
#include "alertmanager/matchers.h"
#include "base/time.h"
#include "model/alert.h"

namespace tocsin::alertmanager {

class Inhibitor {
 public:
  explicit Inhibitor(std::span<const InhibitRuleConfig> rules);

  // An alert was stored or changed.
  void Update(const model::AlertPtr& alert, base::Time now);
  // An alert was forgotten.
  void Forget(const model::Alert& alert);

  // The fingerprint of a source that inhibits an alert with these labels, by the first rule that has
  // one; nullopt: not inhibited.
  std::optional<uint64_t> InhibitedBy(model::LabelsView labels, base::Time now) const;

  size_t rules() const { return rules_.size(); }

 private:
  struct Rule {
    Matchers source;
    Matchers target;
    size_t equal;  // in equals_
  };
  // The alerts that are sources of one rule for one combination of values.
  struct Sources {
    uint32_t rule;
    std::map<uint64_t, model::AlertPtr> one_sided;  // match the source side only
    std::map<uint64_t, model::AlertPtr> two_sided;  // match the target side too
  };
  // Rules whose `equal` lists are the same share the look-up.
  struct Equal {
    std::vector<std::string> names;  // sorted
    std::unordered_map<std::string, std::vector<Sources>> by_values;  // the sources by rule
  };
  static std::string KeyOf(const Equal& equal, model::LabelsView labels);
  void Remove(const Rule& rule, uint32_t index, const model::Alert& alert);

  std::vector<Rule> rules_;
  std::vector<Equal> equals_;
  MatcherIndex sources_;  // of rules
};

}  // namespace tocsin::alertmanager
