#include "alertmanager/matcher_index.h"

#include <algorithm>

namespace tocsin::alertmanager {

namespace {
// A regular expression with more alternatives than this is not worth a place for each.
constexpr size_t kMaxValues = 64;
}  // namespace

std::vector<std::string> MatcherIndex::ValuesOf(const Matcher& matcher) {
  if (matcher.op() == MatchOp::kEqual && !matcher.value().empty()) return {matcher.value()};
  if (matcher.op() != MatchOp::kRegex) return {};
  std::vector<std::string> values = matcher.set_matches();
  const bool usable = values.size() <= kMaxValues && std::ranges::none_of(values, &std::string::empty);
  return usable ? values : std::vector<std::string>{};
}

size_t MatcherIndex::Crowd(const std::string& name, const std::vector<std::string>& values) const {
  const auto by_value = std::ranges::find(by_name_, name, &ByValue::name);
  if (by_value == by_name_.end()) return 0;
  size_t crowd = 0;
  for (const std::string& value : values) {
    const auto it = by_value->values.find(value);
    if (it != by_value->values.end()) crowd = std::max(crowd, it->second.size());
  }
  return crowd;
}

size_t MatcherIndex::NameIndex(const std::string& name) {
  auto it = std::ranges::find(by_name_, name, &ByValue::name);
  if (it == by_name_.end()) it = std::ranges::find_if(by_name_, [](const ByValue& b) { return b.values.empty(); });
  if (it == by_name_.end()) it = by_name_.emplace(by_name_.end());
  it->name = name;
  return static_cast<size_t>(it - by_name_.begin());
}

void MatcherIndex::Add(uint32_t id, std::span<const Matcher> matchers) {
  // The matcher whose values fewest others hang under: most silences of a team share one job, few
  // share an instance.
  const Matcher* best = nullptr;
  std::vector<std::string> best_values;
  size_t best_crowd = 0;
  for (const Matcher& m : matchers) {
    std::vector<std::string> values = ValuesOf(m);
    if (values.empty()) continue;
    const size_t crowd = Crowd(m.name(), values);
    if (best != nullptr && crowd >= best_crowd) continue;
    best = &m;
    best_values = std::move(values);
    best_crowd = crowd;
  }
  std::vector<Place>& places = places_[id];
  if (best == nullptr) {
    anywhere_.push_back(id);
    places.push_back({.name = kAnywhere, .value = {}});
    return;
  }
  const size_t name = NameIndex(best->name());
  for (std::string& value : best_values) {
    by_name_[name].values[value].push_back(id);
    places.push_back({.name = name, .value = std::move(value)});
  }
}

void MatcherIndex::Remove(uint32_t id) {
  const auto places = places_.find(id);
  if (places == places_.end()) return;
  for (const Place& place : places->second) {
    if (place.name == kAnywhere) {
      std::erase(anywhere_, id);
      continue;
    }
    auto& values = by_name_[place.name].values;
    const auto it = values.find(place.value);
    if (it == values.end()) continue;  // two sets of one id shared the value
    std::erase(it->second, id);
    if (it->second.empty()) values.erase(it);
  }
  places_.erase(places);
}

}  // namespace tocsin::alertmanager
