#pragma once

// Inhibition: an alert is not notified while another one, its source, fires.  For each rule the
// sources are kept by the values of the `equal` labels, all of them, so that one that resolves does
// not uncover what another still inhibits.  An alert that matches both sides of a rule is inhibited
// only by alerts that match the source side alone.
//
// Threads: loop only.
// Cost:    a decision is one look-up a rule; an update is one match a rule.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alertmanager/config.h"
#include "alertmanager/matchers.h"
#include "base/time.h"
#include "model/alert.h"

namespace tocsin::alertmanager {

class Inhibitor {
 public:
  explicit Inhibitor(std::span<const InhibitRuleConfig> rules);

  // An alert was stored or changed.
  void Update(const model::AlertPtr& alert);
  // An alert was forgotten.
  void Forget(const model::Alert& alert);

  // The fingerprint of a source that inhibits an alert with these labels, by the first rule that has
  // one; nullopt: not inhibited.
  std::optional<uint64_t> InhibitedBy(model::LabelsView labels, base::Time now) const;

  size_t rules() const { return rules_.size(); }

 private:
  struct Sources {
    std::map<uint64_t, model::AlertPtr> one_sided;  // match the source side only
    std::map<uint64_t, model::AlertPtr> two_sided;  // match the target side too
  };
  struct Rule {
    Matchers source;
    Matchers target;
    std::vector<std::string> equal;
    std::map<std::string, Sources, std::less<>> by_equal;
  };
  static std::string EqualKey(const Rule& rule, model::LabelsView labels);

  std::vector<Rule> rules_;
};

}  // namespace tocsin::alertmanager
