#include "scrape/series_labels.h"

#include <algorithm>

#include "base/number.h"
#include "base/text.h"

namespace tocsin::scrape {
namespace {

using Pair = LabelPairs::value_type;

// How much of a name or value a message shows, as Prometheus does.
constexpr size_t kShownRunes = 50;

const Pair* FindPair(const LabelPairs& pairs, std::string_view name) {
  for (const Pair& pair : pairs) {
    if (pair.first == name) return &pair;
  }
  return nullptr;
}

// The target's labels win; what they displace is kept as exported_<name>, the shortest names first.
void Displace(const LabelPairs& scraped, model::LabelsView target, model::LabelsBuilder* labels) {
  std::vector<const Pair*> displaced;
  for (const auto [name, value] : target) {
    const Pair* was = FindPair(scraped, name);
    if (was != nullptr && !was->second.empty()) displaced.push_back(was);
    labels->Set(name, value);
  }
  std::stable_sort(displaced.begin(), displaced.end(),
                   [](const Pair* a, const Pair* b) { return a->first.size() < b->first.size(); });
  for (const Pair* pair : displaced) {
    std::string name = pair->first;
    do {
      name = "exported_" + name;
    } while (!labels->Get(name).empty());
    labels->Set(name, pair->second);
  }
}

base::Status CheckNames(model::LabelsView labels, model::NameScheme scheme) {
  const bool legacy = scheme == model::NameScheme::kLegacy;
  for (const auto [name, value] : labels) {
    bool ok = base::IsValidUtf8(value);
    if (name == model::kMetricName) {
      ok = ok && (legacy ? model::IsLegacyMetricName(value) : model::IsValidMetricName(value));
    } else {
      ok = ok && (legacy ? model::IsLegacyLabelName(name) : model::IsValidLabelName(name));
    }
    if (!ok) return base::InvalidArgument("invalid metric name or label names: " + labels.ToString());
  }
  return {};
}

base::Status CheckLimits(model::LabelsView labels, const ScrapeConfig& config) {
  if (config.label_limit == 0 && config.label_name_length_limit == 0 &&
      config.label_value_length_limit == 0) {
    return {};
  }
  const std::string metric = base::TruncateRunes(labels.MetricName(), kShownRunes);
  const auto exceeded = [&](std::string_view limit, const std::string& what, uint64_t is, uint64_t max) {
    return base::ResourceExhausted(std::string(limit) + " exceeded (metric: " + metric + ", " + what + ": " +
                                   std::to_string(is) + ", limit: " + std::to_string(max) + ")");
  };
  if (config.label_limit > 0 && labels.size() > config.label_limit) {
    return exceeded("label_limit", "number of labels", labels.size(), config.label_limit);
  }
  for (const auto [name, value] : labels) {
    const std::string label = "label name: " + base::TruncateRunes(name, kShownRunes);
    if (config.label_name_length_limit > 0 && name.size() > config.label_name_length_limit) {
      return exceeded("label_name_length_limit", label + ", length", name.size(),
                      config.label_name_length_limit);
    }
    if (config.label_value_length_limit > 0 && value.size() > config.label_value_length_limit) {
      return exceeded("label_value_length_limit",
                      label + ", value: " + base::Quote(base::TruncateRunes(value, kShownRunes)) + ", length",
                      value.size(), config.label_value_length_limit);
    }
  }
  return {};
}

}  // namespace

base::Result<model::Labels> SeriesLabels(LabelPairs* scraped, model::LabelsView target,
                                         const ScrapeConfig& config) {
  std::stable_sort(scraped->begin(), scraped->end(),
                   [](const Pair& a, const Pair& b) { return a.first < b.first; });
  const auto twice = std::adjacent_find(scraped->begin(), scraped->end(),
                                        [](const Pair& a, const Pair& b) { return a.first == b.first; });
  model::LabelsBuilder labels;
  for (const auto& [name, value] : *scraped) {
    if (!value.empty()) labels.Set(name, value);
  }
  if (config.honor_labels) {
    for (const auto [name, value] : target) {
      // A label written with an empty value takes the target's away.
      if (FindPair(*scraped, name) == nullptr) labels.Set(name, value);
    }
  } else {
    Displace(*scraped, target, &labels);
  }
  if (!model::Relabel(config.metric_relabel, &labels)) return model::Labels();
  if (labels.empty()) return model::Labels();
  if (labels.Get(model::kMetricName).empty()) {
    return base::InvalidArgument("missing metric name (__name__ label)");
  }
  if (twice != scraped->end()) {
    return base::InvalidArgument("label name " + base::Quote(twice->first) + " is not unique: invalid sample");
  }
  model::Labels result = labels.Build();
  RETURN_IF_ERROR(CheckNames(result, config.name_validation));
  RETURN_IF_ERROR(CheckLimits(result, config));
  return result;
}

}  // namespace tocsin::scrape
