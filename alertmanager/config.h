#pragma once

// alertmanager.yml: decoded, checked and completed with defaults and what receivers inherit from
// `global`.  Every key of Alertmanager 0.34 is known; UnsupportedBlocks() names what this version
// reads but cannot do.
//
//   ASSIGN_OR_RETURN(auto config, LoadConfig(text, "alertmanager.yml"));
//   for (const std::string& line : config->UnsupportedBlocks()) ...
//
// Threads: immutable after LoadConfig(), share by ConfigPtr.
// Errors:  kInvalidArgument with every error of the file, a line each: "file:line:column: message",
//          the messages in Alertmanager's words.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/config_block.h"
#include "alertmanager/matchers.h"
#include "alertmanager/time_interval.h"
#include "base/result.h"
#include "base/time.h"
#include "base/yaml.h"
#include "model/labels.h"

namespace tocsin::alertmanager {

struct RouteConfig {
  base::yaml::Position position;
  std::string receiver;
  std::optional<std::vector<std::string>> group_by;  // unset: inherited; may be [...]
  bool group_by_all = false;
  Pairs match;      // deprecated
  Pairs match_re;   // deprecated
  Matchers matchers;
  std::vector<std::string> mute_time_intervals;
  std::vector<std::string> active_time_intervals;
  bool continue_matching = false;
  std::optional<base::Duration> group_wait;
  std::optional<base::Duration> group_interval;
  std::optional<base::Duration> repeat_interval;
  Pairs labels;  // values are templates
  std::vector<RouteConfig> routes;

  // match, match_re and matchers together, sorted.
  Matchers AllMatchers() const;
};

struct InhibitRuleConfig {
  std::string name;
  Pairs source_match, source_match_re;  // deprecated
  Pairs target_match, target_match_re;  // deprecated
  Matchers source_matchers, target_matchers;
  std::vector<std::string> equal;

  Matchers AllSource() const;  // sorted
  Matchers AllTarget() const;
};

// What a key such as slack_configs stands for.
struct ReceiverKind {
  std::string_view key;          // "slack_configs"
  std::string_view integration;  // "slack", in metrics and the notification log
  const Table* table;
};
// In the order in which Alertmanager notifies.
std::span<const ReceiverKind> ReceiverKinds();
const Table* EventRecorderTable();

struct IntegrationConfig {
  const ReceiverKind* kind;
  int index;  // among those of its kind in the receiver
  Block block;

  bool send_resolved() const { return block.Flag("send_resolved"); }
};

struct ReceiverConfig {
  base::yaml::Position position;
  std::string name;
  Pairs labels;  // with `name`
  std::vector<IntegrationConfig> integrations;  // in the order of ReceiverKinds()
};

struct NamedTimeInterval {
  std::string name;
  std::vector<TimeInterval> intervals;
};

struct Config {
  std::string file;
  Block global;
  RouteConfig route;
  std::vector<InhibitRuleConfig> inhibit_rules;
  std::vector<ReceiverConfig> receivers;
  std::vector<std::string> templates;  // globs, absolute
  std::vector<NamedTimeInterval> time_intervals;
  std::vector<NamedTimeInterval> mute_time_intervals;  // deprecated; the same names
  std::optional<Block> event_recorder;
  std::vector<std::string> warnings;  // deprecated keys, matchers in the classic grammar
  std::string text;                   // the file's

  Config();
  base::Duration resolve_timeout() const { return global.Span("resolve_timeout"); }
  const ReceiverConfig* FindReceiver(std::string_view name) const;
  const NamedTimeInterval* FindTimeInterval(std::string_view name) const;

  // The whole as YAML with defaults filled in and secrets masked, as /api/v2/status shows it.
  std::string ToYaml() const;
  // One line for each block in use that this version cannot do, naming it; empty: all is built.
  std::vector<std::string> UnsupportedBlocks() const;
};

using ConfigPtr = std::shared_ptr<const Config>;

struct LoadOptions {
  MatcherMode matcher_mode = MatcherMode::kFallback;
  std::string folder;  // for relative paths; default: that of `file`
};

base::Result<ConfigPtr> LoadConfig(std::string_view text, const std::string& file,
                                   const LoadOptions& options = {});

}  // namespace tocsin::alertmanager
