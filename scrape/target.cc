#include "scrape/target.h"

#include <algorithm>
#include <cstdio>
#include <unordered_map>

#include "base/digest.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::scrape {
namespace {

constexpr std::string_view kScheme = "__scheme__";
constexpr std::string_view kMetricsPath = "__metrics_path__";
constexpr std::string_view kInterval = "__scrape_interval__";
constexpr std::string_view kTimeout = "__scrape_timeout__";
constexpr std::string_view kParamPrefix = "__param_";
constexpr std::string_view kMetaPrefix = "__meta_";
constexpr std::string_view kUnixSocket = "__unix_socket__";
constexpr std::string_view kNative = "__scrape_native_histograms__";
constexpr std::string_view kClassic = "__always_scrape_classic_histograms__";
constexpr std::string_view kNhcb = "__convert_classic_histograms_to_nhcb__";

// Go's strconv.ParseBool.
std::optional<bool> ParseBool(std::string_view text) {
  for (const char* word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (const char* word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

base::Result<bool> ReadBool(std::string_view text, bool otherwise, std::string_view what) {
  if (text.empty()) return otherwise;
  if (const auto value = ParseBool(text)) return *value;
  return base::InvalidArgument("error parsing " + std::string(what) + ": strconv.ParseBool: parsing " +
                               base::Quote(text) + ": invalid syntax");
}

base::Result<base::Duration> ReadDuration(std::string_view text, std::string_view what) {
  const auto value = base::ParseDuration(text);
  if (!value) {
    return base::InvalidArgument("error parsing " + std::string(what) + ": " + value.error().message());
  }
  if (*value == base::Duration(0)) return base::InvalidArgument(std::string(what) + " cannot be 0");
  return *value;
}

// As Go's URL.EscapedPath: what may stand in a path stays.
std::string EscapePath(std::string_view path) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-_.~$&+,/:;=@!'()*").find(c) != std::string_view::npos;
    if (plain) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

std::string UrlOf(const ScrapeConfig& config, model::LabelsView labels) {
  std::vector<std::pair<std::string, std::vector<std::string>>> params = config.params;
  for (const auto [name, value] : labels) {
    if (!name.starts_with(kParamPrefix)) continue;
    const std::string_view key = name.substr(kParamPrefix.size());
    const auto found =
        std::find_if(params.begin(), params.end(), [&](const auto& p) { return p.first == key; });
    if (found == params.end()) {
      params.push_back({std::string(key), {std::string(value)}});
    } else if (found->second.empty()) {
      found->second.emplace_back(value);
    } else {
      found->second[0] = value;
    }
  }
  std::sort(params.begin(), params.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string query;
  for (const auto& [name, values] : params) {
    for (const std::string& value : values) {
      query += (query.empty() ? "?" : "&") + base::QueryEscape(name) + "=" + base::QueryEscape(value);
    }
  }
  const std::string path = EscapePath(labels.Get(kMetricsPath));
  std::string url(labels.Get(kScheme));
  url.append("://").append(labels.Get(model::kAddressLabel));
  if (!path.empty() && path[0] != '/') url += '/';
  url += path;
  return url + query;
}

}  // namespace

model::Labels DiscoveredLabels(const ScrapeConfig& config, model::LabelsView target,
                               model::LabelsView group) {
  model::LabelsBuilder labels(target);
  for (const auto [name, value] : group) {
    if (!target.Has(name)) labels.Set(name, value);
  }
  const auto set_default = [&labels](std::string_view name, std::string_view value) {
    if (labels.Get(name).empty()) labels.Set(name, value);
  };
  set_default(model::kJob, config.job_name);
  set_default(kInterval, base::FormatDuration(config.scrape_interval));
  set_default(kTimeout, base::FormatDuration(config.scrape_timeout));
  set_default(kMetricsPath, config.metrics_path);
  set_default(kScheme, config.scheme);
  // The defaults are left out here, and added for relabeling, so that lists of targets do not grow by
  // three labels each that say nothing.
  if (config.convert_classic_histograms_to_nhcb) set_default(kNhcb, "true");
  if (config.always_scrape_classic_histograms) set_default(kClassic, "true");
  if (config.scrape_native_histograms) set_default(kNative, "true");
  for (const auto& [name, values] : config.params) {
    if (!values.empty()) set_default(std::string(kParamPrefix) + name, values[0]);
  }
  return labels.Build();
}

base::Result<TargetPtr> BuildTarget(const ScrapeConfig& config, model::Labels discovered) {
  model::LabelsBuilder labels(discovered);
  for (const std::string_view name : {kNhcb, kClassic, kNative}) {
    if (labels.Get(name).empty()) labels.Set(name, "false");
  }
  if (!model::Relabel(config.relabel, &labels)) return nullptr;
  const std::string address(labels.Get(model::kAddressLabel));
  if (address.empty()) return base::InvalidArgument("no address");
  if (address.find('/') != std::string::npos) {
    return base::InvalidArgument(base::Quote(address) +
                                 " is not a valid hostname; give host:port, and the path as metrics_path");
  }
  auto target = std::make_shared<Target>();
  const std::string interval(labels.Get(kInterval));
  const std::string timeout(labels.Get(kTimeout));
  ASSIGN_OR_RETURN(target->interval, ReadDuration(interval, "scrape interval"));
  ASSIGN_OR_RETURN(target->timeout, ReadDuration(timeout, "scrape timeout"));
  if (target->timeout > target->interval) {
    return base::InvalidArgument("scrape timeout cannot be greater than scrape interval (" +
                                 base::Quote(timeout) + " > " + base::Quote(interval) + ")");
  }
  ASSIGN_OR_RETURN(target->convert_to_nhcb,
                   ReadBool(labels.Get(kNhcb), config.convert_classic_histograms_to_nhcb,
                            "convert classic histograms to nhcb"));
  ASSIGN_OR_RETURN(target->always_classic_histograms,
                   ReadBool(labels.Get(kClassic), config.always_scrape_classic_histograms,
                            "always scrape classic histograms"));
  ASSIGN_OR_RETURN(target->native_histograms,
                   ReadBool(labels.Get(kNative), config.scrape_native_histograms,
                            "scrape native histograms"));

  if (labels.Get(model::kInstance).empty()) labels.Set(model::kInstance, address);
  std::vector<model::Label> all;
  std::vector<model::Label> visible;
  for (const auto& [name, value] : labels.pairs()) {
    if (name.starts_with(kMetaPrefix)) continue;
    if (!base::IsValidUtf8(value)) {
      return base::InvalidArgument("invalid label value for " + base::Quote(name) + ": " +
                                   base::Quote(value));
    }
    all.push_back({name, value});
    if (!name.starts_with("__")) visible.push_back({name, value});
  }
  if (visible.empty()) return nullptr;
  target->all_labels = model::Labels::FromLabels(std::move(all));
  target->labels = model::Labels::FromLabels(std::move(visible));
  target->discovered = std::move(discovered);
  target->unix_socket = target->all_labels.Get(kUnixSocket);
  target->url = UrlOf(config, target->all_labels);
  char number[24];
  const int n = std::snprintf(number, sizeof(number), "%016llu",
                              static_cast<unsigned long long>(target->all_labels.Hash()));
  target->hash = base::Fnv1a64(base::Fnv1a64(std::string_view(number, static_cast<size_t>(n))), target->url);
  return target;
}

TargetSet BuildTargets(const ScrapeConfig& config, const std::vector<model::TargetGroup>& groups) {
  TargetSet set;
  std::unordered_map<uint64_t, size_t> seen;  // places in set.active
  for (const model::TargetGroup& group : groups) {
    for (size_t i = 0; i < group.targets.size(); ++i) {
      model::Labels discovered = DiscoveredLabels(config, group.targets[i], group.labels);
      auto target = BuildTarget(config, discovered);
      if (!target) {
        set.failures.push_back("instance " + std::to_string(i) + " in group " + group.source + ": " +
                               target.error().message());
      } else if (*target == nullptr) {
        ++set.dropped_count;
        if (config.keep_dropped_targets == 0 || set.dropped.size() < config.keep_dropped_targets) {
          set.dropped.push_back({std::move(discovered)});
        }
      } else if (const auto [at, added] = seen.try_emplace((*target)->hash, set.active.size()); added) {
        set.active.push_back(std::move(*target));
      } else {
        // The same target again: one is scraped, and shows what discovery said last, as in Prometheus.
        set.active[at->second] = std::move(*target);
      }
    }
  }
  return set;
}

base::Duration TimeToSlot(const Target& target, uint64_t seed, base::Time now) {
  const int64_t interval = target.interval.count();
  const int64_t base = interval - now.time_since_epoch().count() % interval;
  const auto offset = static_cast<int64_t>((target.hash ^ seed) % static_cast<uint64_t>(interval));
  int64_t next = base + offset;
  if (next > interval) next -= interval;
  return base::Duration(next);
}

uint64_t OffsetSeed(std::string_view host, model::LabelsView external_labels) {
  return base::Fnv1a64(base::Fnv1a64(host), external_labels.ToString());
}

}  // namespace tocsin::scrape
