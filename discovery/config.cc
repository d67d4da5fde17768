#include "discovery/config.h"

#include <algorithm>
#include <set>

#include "base/file_system.h"
#include "base/number.h"
#include "base/url.h"
#include "discovery/mechanisms.h"

namespace tocsin::discovery {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;

// Wildcards may stand in the last element only, and the name must tell the format.
bool IsFileSdName(std::string_view path) {
  size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string_view extension = path.substr(dot + 1);
  constexpr std::string_view kExtensions[] = {"json", "yml", "yaml", "JSON", "YML", "YAML"};
  if (std::find(std::begin(kExtensions), std::end(kExtensions), extension) == std::end(kExtensions)) return false;
  size_t star = path.find('*');
  return star == std::string_view::npos || path.find('/', star) == std::string_view::npos;
}

void ReadFileSd(const Node& node, Errors* errors, FileSdConfig* config) {
  Reader r(node, errors, "file.plain");
  r.Strings("files", &config->files);
  r.Duration("refresh_interval", &config->refresh_interval);
  r.Finish();
  if (config->files.empty()) {
    r.Error("", "file service discovery config must contain at least one path name");
  }
  for (const std::string& name : config->files) {
    if (!IsFileSdName(name)) {
      r.Error("files", "path name " + base::Quote(name) +
                           " is not valid for file discovery; end it with .json, .yml or .yaml, with * at most in the "
                           "file's name");
    }
  }
}

void ReadHttpSd(const Node& node, Errors* errors, HttpSdConfig* config) {
  Reader r(node, errors, "http.plain");
  r.String("url", &config->url);
  r.Duration("refresh_interval", &config->refresh_interval);
  net::ReadHttpConfigKeys(&r, errors, &config->http);
  r.Finish();
  if (config->url.empty()) {
    r.Error("url", "URL is missing");
    return;
  }
  auto url = base::ParseUrl(config->url);
  if (!url) {
    r.Error("url", url.error().message());
  } else if (!url->IsHttp()) {
    r.Error("url", "URL scheme must be 'http' or 'https'");
  } else if (url->host.empty()) {
    r.Error("url", "host is missing in URL");
  }
}

void MaskSecrets(Node* node, bool all) {
  if (node->IsScalar() && all) node->text = "<secret>";
  for (Node& item : node->items) MaskSecrets(&item, all);
  for (Node::Entry& entry : node->entries) {
    MaskSecrets(&entry.value, all || IsSecretKey(entry.key.text) || entry.key.text == "proxy_connect_header");
  }
}

}  // namespace

std::map<std::string, bool> Providers() {
  constexpr std::string_view kEnd = "_sd_configs";
  std::map<std::string, bool> out;
  for (const Mechanism& mechanism : Mechanisms()) out.emplace(mechanism.key.substr(0, mechanism.key.size() - kEnd.size()), false);
  for (const char* name : {"static", "file", "http"}) out[name] = true;
  return out;
}

bool SameGroups(const std::vector<TargetGroupPtr>& a, const std::vector<TargetGroupPtr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const TargetGroupPtr& x, const TargetGroupPtr& y) {
    return x->labels == y->labels && x->targets == y->targets;
  });
}

TargetGroupPtr ReadTargetGroup(const Node& node, std::string source, Errors* errors) {
  if (node.IsNull()) {
    errors->Add(node.position, "nil target group item found; write targets: [...]");
    return nullptr;
  }
  size_t before = errors->count();
  auto group = std::make_shared<TargetGroup>();
  group->source = std::move(source);
  std::vector<std::string> addresses;
  std::vector<std::pair<std::string, std::string>> labels;
  Reader r(node, errors, "targetgroup.Group");
  r.Strings("targets", &addresses);
  r.StringMap("labels", &labels);
  r.Finish();
  for (const auto& [name, value] : labels) {
    if (!model::IsValidLabelName(name)) r.Error("labels", base::Quote(name) + " is not a valid label name");
  }
  if (errors->count() != before) return nullptr;
  group->labels = model::Labels::FromPairs(labels);
  for (const std::string& address : addresses) {
    group->targets.push_back(model::Labels::FromPairs({{"__address__", address}}));
  }
  return group;
}

base::Result<std::vector<TargetGroupPtr>> ReadTargetGroups(const base::yaml::Document& doc, const std::string& source,
                                                           std::string_view meta_label,
                                                           std::string_view meta_value) {
  Errors errors(source);
  std::vector<TargetGroupPtr> groups;
  const Node& list = doc.root();
  if (!list.IsSequence() && !list.IsNull()) {
    errors.Add(list.position, "cannot unmarshal " + base::yaml::Describe(list) +
                                  " into a list of target groups; write [{targets: [...], labels: {...}}]");
  }
  for (const Node& item : list.items) {
    TargetGroupPtr group = ReadTargetGroup(item, source + ":" + std::to_string(groups.size()), &errors);
    if (group == nullptr) continue;
    auto labelled = std::make_shared<TargetGroup>(*group);
    labelled->labels = model::LabelsBuilder(group->labels).Set(meta_label, meta_value).Build();
    groups.push_back(std::move(labelled));
  }
  RETURN_IF_ERROR(errors.ToStatus());
  return groups;
}

void ReadDiscoveryKeys(Reader* reader, Errors* errors, DiscoveryConfig* config) {
  auto sound = [errors](const Node& item, std::string_view key) {
    if (item.IsNull()) errors->Add(item.position, "empty or null section in " + std::string(key));
    return !item.IsNull();
  };
  reader->Each("static_configs", [&](const Node& item) {
    if (!sound(item, "static_configs")) return;
    auto group = ReadTargetGroup(item, std::to_string(config->static_groups.size()), errors);
    if (group != nullptr) config->static_groups.push_back(std::move(group));
  });
  reader->Each("file_sd_configs", [&](const Node& item) {
    if (!sound(item, "file_sd_configs")) return;
    ReadFileSd(item, errors, &config->files.emplace_back());
  });
  reader->Each("http_sd_configs", [&](const Node& item) {
    if (!sound(item, "http_sd_configs")) return;
    ReadHttpSd(item, errors, &config->http.emplace_back());
  });
  for (const Mechanism& mechanism : Mechanisms()) {
    reader->Each(mechanism.key, [&](const Node& item) {
      if (!sound(item, mechanism.key)) return;
      Reader r(item, errors, std::string(mechanism.type));
      Block block(&r, errors);
      ReadBlock(mechanism, &block);
      Node masked = item;
      MaskSecrets(&masked, false);
      config->unsupported.push_back(
          {.key = std::string(mechanism.key), .position = item.position, .block = std::move(masked)});
    });
  }
}

void DiscoveryConfig::SetDirectory(std::string_view folder) {
  for (FileSdConfig& sd : files) {
    for (std::string& file : sd.files) file = base::JoinPath(folder, file);
  }
  for (HttpSdConfig& sd : http) sd.http.SetDirectory(folder);
}

bool DiscoveryConfig::SameAs(const DiscoveryConfig& other) const {
  // Blocks that cannot be run find nothing, whatever they say.
  return SameGroups(static_groups, other.static_groups) && files == other.files && http == other.http;
}

}  // namespace tocsin::discovery
