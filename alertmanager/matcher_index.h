#pragma once

// Finds which of many sets of matchers may match a label set, without trying all of them.  Each set
// hangs under the values that one of its matchers can match: an equality, or a regular expression
// that stands for a few texts (a|b|c).  Sets that have no such matcher are always candidates.
//
//   MatcherIndex index;
//   index.Add(7, silence.matchers);
//   index.Visit(alert.labels, [&](uint32_t id) { ...; return true; });  // false: stop
//
// Threads: as a standard container.
// Cost:    a visit looks up one value for each label name that some set hangs under.

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/matchers.h"
#include "base/text_hash.h"
#include "model/labels.h"

namespace tocsin::alertmanager {

class MatcherIndex {
 public:
  // An id may be added for several sets; it is then visited once for each that may match.
  void Add(uint32_t id, std::span<const Matcher> matchers);
  // Takes an id out of wherever it hangs.
  void Remove(uint32_t id);

  // Calls visit(id) for every candidate until it returns false.
  template <class Fn>
  void Visit(model::LabelsView labels, Fn visit) const {
    for (const uint32_t id : anywhere_) {
      if (!visit(id)) return;
    }
    for (const ByValue& by_value : by_name_) {
      if (by_value.values.empty()) continue;
      const auto it = by_value.values.find(labels.Get(by_value.name));
      if (it == by_value.values.end()) continue;
      for (const uint32_t id : it->second) {
        if (!visit(id)) return;
      }
    }
  }

 private:
  struct ByValue {
    std::string name;
    // Empty: the place is free.
    absl::flat_hash_map<std::string, std::vector<uint32_t>, base::TextHash, std::equal_to<>> values;
  };
  struct Place {
    size_t name;        // in by_name_; kAnywhere
    std::string value;
  };
  static constexpr size_t kAnywhere = static_cast<size_t>(-1);

  // The texts that a matcher can match, if they are few and none is empty; else empty.
  static std::vector<std::string> ValuesOf(const Matcher& matcher);
  // How many sets hang under the fullest of these values now.
  size_t Crowd(const std::string& name, const std::vector<std::string>& values) const;
  size_t NameIndex(const std::string& name);

  std::vector<ByValue> by_name_;
  std::vector<uint32_t> anywhere_;
  absl::flat_hash_map<uint32_t, std::vector<Place>> places_;
};

}  // namespace tocsin::alertmanager
