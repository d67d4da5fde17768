#include "alertmanager/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/file_system.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

using base::Quote;
using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Position;
using base::yaml::Reader;
using enum Kind;

constexpr Field kGlobalFields[] = {
    {"resolve_timeout", kDuration, "5m", Show::kAlways},
    {"http_config", kHttp},
    {"smtp_from"},
    {"smtp_hello", kText, "localhost"},
    {"smtp_smarthost", kHostPort},
    {"smtp_auth_username"},
    {"smtp_auth_password", kSecret},
    {"smtp_auth_password_file", kPath},
    {"smtp_auth_secret", kSecret},
    {"smtp_auth_secret_file", kPath},
    {"smtp_auth_identity"},
    {"smtp_require_tls", kBool, "true", Show::kAlways},
    {"smtp_tls_config", kTls},
    {"smtp_force_implicit_tls", kBool, "", Show::kIfSet},
    {"slack_api_url", kSecretUrl},
    {"slack_api_url_file", kPath},
    {"slack_app_token", kSecret},
    {"slack_app_token_file", kPath},
    {"slack_app_url", kUrl, "https://slack.com/api/chat.postMessage", Show::kIfWritten},
    {"pagerduty_url", kUrl, "https://events.pagerduty.com/v2/enqueue"},
    {"opsgenie_api_url", kUrl, "https://api.opsgenie.com/"},
    {"opsgenie_api_key", kSecret},
    {"opsgenie_api_key_file", kPath},
    {"wechat_api_url", kUrl, "https://qyapi.weixin.qq.com/cgi-bin/"},
    {"wechat_api_secret", kSecret},
    {"wechat_api_secret_file", kPath},
    {"wechat_api_corp_id"},
    {"victorops_api_url", kUrl, "https://alert.victorops.com/integrations/generic/20131114/alert/"},
    {"victorops_api_key", kSecret},
    {"victorops_api_key_file", kPath},
    {"telegram_api_url", kUrl, "https://api.telegram.org"},
    {"telegram_bot_token", kSecret},
    {"telegram_bot_token_file", kPath},
    {"webex_api_url", kUrl, "https://webexapis.com/v1/messages"},
    {"rocketchat_api_url", kUrl, "https://open.rocket.chat/", Show::kIfWritten},
    {"rocketchat_token", kSecret},
    {"rocketchat_token_file", kPath},
    {"rocketchat_token_id", kSecret},
    {"rocketchat_token_id_file", kPath},
    {"mattermost_webhook_url", kSecretUrl},
    {"mattermost_webhook_url_file", kPath},
    {"jira_api_url", kUrl},
};
constexpr Exclusive kGlobalExclusive[] = {
    {"slack_api_url", "slack_api_url_file"},
    {"slack_app_token", "slack_app_token_file"},
    {"opsgenie_api_key", "opsgenie_api_key_file"},
    {"victorops_api_key", "victorops_api_key_file"},
    {"smtp_auth_password", "smtp_auth_password_file"},
    {"smtp_auth_secret", "smtp_auth_secret_file"},
    {"wechat_api_secret", "wechat_api_secret_file"},
    {"telegram_bot_token", "telegram_bot_token_file"},
    {"rocketchat_token", "rocketchat_token_file"},
    {"rocketchat_token_id", "rocketchat_token_id_file"},
    {"mattermost_webhook_url", "mattermost_webhook_url_file"},
};
void CheckGlobal(const Block& b, const ReadContext& c) {
  const bool token = b.Has("slack_app_token") || b.Has("slack_app_token_file");
  const bool api = b.Has("slack_api_url") || b.Has("slack_api_url_file");
  if (token && api && b.Text("slack_api_url") != b.Text("slack_app_url")) {
    c.errors->Add(b.position(),
                  "at most one of slack_app_token/slack_app_token_file & "
                  "slack_api_url/slack_api_url_file must be configured");
  }
}
constexpr Table kGlobal = {.name = "global", .fields = kGlobalFields,
                           .exclusive = kGlobalExclusive, .check = CheckGlobal};

// ---- what receivers take from global -----------------------------------------------------------

// A receiver that sets none of `keys` takes them from global (under `global_keys`, in the same
// order); if global has none of them either, that is the error `missing`.
struct Inheritance {
  std::string_view integration;
  std::vector<std::string_view> keys;
  std::vector<std::string_view> global_keys;
  std::string_view missing = {};
};

const std::vector<Inheritance>& Inheritances() {
  static const auto* rows = new std::vector<Inheritance>{
      {"email", {"smarthost"}, {"smtp_smarthost"}, "no global SMTP smarthost set"},
      {"email", {"from"}, {"smtp_from"}, "no global SMTP from set"},
      {"email", {"hello"}, {"smtp_hello"}},
      {"email", {"auth_username"}, {"smtp_auth_username"}},
      {"email", {"auth_password", "auth_password_file"}, {"smtp_auth_password", "smtp_auth_password_file"}},
      {"email", {"auth_secret", "auth_secret_file"}, {"smtp_auth_secret", "smtp_auth_secret_file"}},
      {"email", {"auth_identity"}, {"smtp_auth_identity"}},
      {"email", {"tls_config"}, {"smtp_tls_config"}},
      {"slack", {"app_url"}, {"slack_app_url"}},
      {"slack", {"api_url", "api_url_file", "app_token", "app_token_file"},
       {"slack_api_url", "slack_api_url_file", "slack_app_token", "slack_app_token_file"},
       "no Slack API URL nor App token set either inline or in a file"},
      {"pagerduty", {"url"}, {"pagerduty_url"}, "no global PagerDuty URL set"},
      {"opsgenie", {"api_url"}, {"opsgenie_api_url"}, "no global OpsGenie URL set"},
      {"opsgenie", {"api_key", "api_key_file"}, {"opsgenie_api_key", "opsgenie_api_key_file"},
       "no global OpsGenie API Key set either inline or in a file"},
      {"wechat", {"api_url"}, {"wechat_api_url"}, "no global Wechat URL set"},
      {"wechat", {"api_secret", "api_secret_file"}, {"wechat_api_secret", "wechat_api_secret_file"},
       "no global Wechat Api Secret set either inline or in a file"},
      {"wechat", {"corp_id"}, {"wechat_api_corp_id"}, "no global Wechat CorpID set"},
      {"victorops", {"api_url"}, {"victorops_api_url"}, "no global VictorOps URL set"},
      {"victorops", {"api_key", "api_key_file"}, {"victorops_api_key", "victorops_api_key_file"},
       "no global VictorOps API Key set"},
      {"telegram", {"api_url"}, {"telegram_api_url"}, "no global Telegram API URL set"},
      {"telegram", {"bot_token", "bot_token_file"}, {"telegram_bot_token", "telegram_bot_token_file"},
       "missing bot_token or bot_token_file on telegram_config"},
      {"webex", {"api_url"}, {"webex_api_url"}, "no global Webex URL set"},
      {"jira", {"api_url"}, {"jira_api_url"}, "no global Jira Cloud URL set"},
      {"rocketchat", {"api_url"}, {"rocketchat_api_url"}, "no global Rocketchat API URL set"},
      {"rocketchat", {"token_id", "token_id_file"}, {"rocketchat_token_id", "rocketchat_token_id_file"},
       "no global Rocketchat TokenID set either inline or in a file"},
      {"rocketchat", {"token", "token_file"}, {"rocketchat_token", "rocketchat_token_file"},
       "no global Rocketchat Token set either inline or in a file"},
      {"mattermost", {"webhook_url", "webhook_url_file"}, {"mattermost_webhook_url", "mattermost_webhook_url_file"},
       "missing webhook_url or webhook_url_file on mattermost_config"},
  };
  return *rows;
}

bool HasKey(const Table& table, std::string_view key) {
  return std::ranges::any_of(table.fields, [&](const Field& f) { return f.key == key; });
}

// The headers a mail has in any case, under their usual capitals.
void CompleteEmail(const Block& global, Block* b) {
  for (auto [own, from] : {std::pair{"require_tls", "smtp_require_tls"},
                           std::pair{"force_implicit_tls", "smtp_force_implicit_tls"}}) {
    if (!b->IsSet(own)) b->Inherit(own, global, from);
  }
  Pairs headers;
  for (const auto& [name, value] : b->Map("headers")) {
    std::string canonical;  // as Go's textproto: X-Mixed-Case
    bool start = true;
    for (char c : name) {
      const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
      canonical += start && lower ? static_cast<char>(c - 32) : !start && upper ? static_cast<char>(c + 32) : c;
      start = c == '-';
    }
    headers.emplace_back(canonical, value);
  }
  auto add = [&](std::string_view name, std::string value) {
    if (std::ranges::none_of(headers, [&](const auto& h) { return h.first == name; })) {
      headers.emplace_back(name, std::move(value));
    }
  };
  add("Subject", "{{ template \"email.default.subject\" . }}");
  add("To", b->Text("to"));
  add("From", b->Text("from"));
  std::ranges::sort(headers);
  b->SetMap("headers", std::move(headers));
}

void InheritGlobal(const Block& global, IntegrationConfig* integration, Errors* errors) {
  Block* b = &integration->block;
  for (const Inheritance& row : Inheritances()) {
    if (row.integration != integration->kind->integration) continue;
    if (std::ranges::any_of(row.keys, [&](auto key) { return b->Has(key); })) continue;
    for (size_t i = 0; i < row.keys.size(); ++i) {
      if (global.Has(row.global_keys[i])) b->Inherit(row.keys[i], global, row.global_keys[i]);
    }
    if (!row.missing.empty() && std::ranges::none_of(row.keys, [&](auto key) { return b->Has(key); })) {
      errors->Add(b->position(), std::string(row.missing));
    }
  }
  if (HasKey(b->table(), "http_config")) {
    if (!b->Http()) {
      b->SetHttp(global.Http());
    } else if (integration->kind->integration == "msteamsv2" && b->Http()->proxy == net::ProxyConfig()) {
      auto merged = std::make_shared<net::HttpConfig>(*b->Http());
      merged->proxy = global.Http()->proxy;
      b->SetHttp(std::move(merged));
    }
  }
  if (integration->kind->integration == "email") CompleteEmail(global, b);
  for (std::string_view key : {"api_url"}) {
    constexpr std::string_view kSlashed[] = {"opsgenie", "wechat", "victorops"};
    if (std::ranges::find(kSlashed, integration->kind->integration) != std::end(kSlashed) &&
        b->Has(key) && !b->Text(key).ends_with('/')) {
      b->SetText(key, b->Text(key) + "/");
    }
  }
}

// ---- the parts of the file ---------------------------------------------------------------------

class Loader {
 public:
  Loader(Config* config, const LoadOptions& options, Errors* errors)
      : config_(config), options_(options), errors_(errors), context_{.folder = options.folder, .errors = errors} {}

  void Load(const Node& root);

 private:
  void ReadGlobal(const Node& node);
  RouteConfig ReadRoute(const Node& node, int depth);
  void ReadInhibitRule(const Node& node);
  void ReadReceiver(const Node& node);
  void ReadIntervals(const Node& node, std::string_view what, std::vector<NamedTimeInterval>* out);
  void ReadMatchers(Reader& r, std::string_view key, Matchers* out);
  void ReadMatchMap(Reader& r, std::string_view key, bool regex, Pairs* out);
  void ReadLabelNames(Reader& r, std::string_view key, std::vector<std::string>* out);
  void CheckGroupBy(Reader& r, RouteConfig* route);
  void CheckRoot();
  void CheckRouteReferences(const RouteConfig& route);
  void Warn(Position at, std::string message) {
    config_->warnings.push_back(fmt::format("{}:{}:{}: {}", config_->file, at.line, at.column, message));
  }

  Config* const config_;
  const LoadOptions& options_;
  Errors* const errors_;
  const ReadContext context_;
  bool has_route_ = false;
};

void Loader::ReadMatchers(Reader& r, std::string_view key, Matchers* out) {
  r.Each(key, [&](const Node& item) {
    std::string text;
    if (!base::yaml::ScalarText(item, &text)) {
      errors_->Add(item.position, fmt::format("{}: a matcher is a text such as severity=\"page\"", key));
      return;
    }
    std::vector<MatcherWarning> warnings;
    auto matchers = ParseMatchers(text, options_.matcher_mode, &warnings);
    if (!matchers) {
      errors_->Add(item.position, fmt::format("{}: {}", key, matchers.error().message()));
      return;
    }
    for (const MatcherWarning& w : warnings) {
      Warn(item.position, fmt::format("{}: {}: {}; write {}", key, text, w.message, w.suggestion));
    }
    out->insert(out->end(), matchers->begin(), matchers->end());
  });
  std::sort(out->begin(), out->end());
}

void Loader::ReadMatchMap(Reader& r, std::string_view key, bool regex, Pairs* out) {
  r.With(key, [&](const Node& node) {
    if (!node.IsMapping()) {
      errors_->Add(node.position, fmt::format("{}: expected a mapping of label names to values", key));
      return;
    }
    for (const auto& entry : node.entries) {
      std::string value;
      if (!alertmanager::IsValidLabelName(entry.key.text, options_.matcher_mode)) {
        errors_->Add(entry.key.position, fmt::format("invalid label name {}", Quote(entry.key.text)));
      } else if (regex && entry.value.IsNull()) {
        errors_->Add(entry.value.position,
                     fmt::format("invalid regexp value for {}: nil; write a regular expression", entry.key.text));
      } else if (!entry.value.IsNull() && !base::yaml::ScalarText(entry.value, &value)) {
        errors_->Add(entry.value.position, fmt::format("{}: {}: expected a text", key, entry.key.text));
      } else if (regex) {
        if (auto m = Matcher::Make(MatchOp::kRegex, entry.key.text, value); !m) {
          errors_->Add(entry.value.position, m.error().message());
        }
      }
      out->emplace_back(entry.key.text, value);
    }
    std::sort(out->begin(), out->end());
  });
}

void Loader::CheckGroupBy(Reader& r, RouteConfig* route) {
  if (!route->group_by) return;
  std::set<std::string> seen;
  for (const std::string& name : *route->group_by) {
    if (name == "...") {
      route->group_by_all = true;
    } else if (!alertmanager::IsValidLabelName(name, options_.matcher_mode) ||
               (options_.matcher_mode == MatcherMode::kFallback && name.find_first_of("-") == 0)) {
      r.Error("group_by", fmt::format("invalid label name {} in group_by list", Quote(name)));
    }
    if (!seen.insert(name).second) {
      r.Error("group_by", fmt::format("duplicated label {} in group_by", Quote(name)));
    }
  }
  if (route->group_by_all && seen.size() > 1) {
    r.Error("group_by", "cannot have wildcard group_by (`...`) and other labels at the same time");
  }
}

// Deeper trees are refused: they come from a mistake, and each level costs stack.
constexpr int kMaxRouteDepth = 50;

RouteConfig Loader::ReadRoute(const Node& node, int depth) {
  RouteConfig out;
  out.position = node.position;
  Reader r(node, errors_, "route");
  r.String("receiver", &out.receiver);
  std::vector<std::string> group_by;
  if (r.Strings("group_by", &group_by)) out.group_by = std::move(group_by);
  CheckGroupBy(r, &out);
  ReadMatchMap(r, "match", false, &out.match);
  ReadMatchMap(r, "match_re", true, &out.match_re);
  ReadMatchers(r, "matchers", &out.matchers);
  r.Strings("mute_time_intervals", &out.mute_time_intervals);
  r.Strings("active_time_intervals", &out.active_time_intervals);
  r.Bool("continue", &out.continue_matching);
  auto duration = [&](std::string_view key, bool zero_allowed, std::optional<base::Duration>* value) {
    base::Duration d{};
    if (!r.Duration(key, &d)) return;
    if (d == base::Duration{} && !zero_allowed) {
      r.Error(key, fmt::format("{} cannot be zero", key));
      return;
    }
    *value = d;
  };
  duration("group_wait", true, &out.group_wait);
  duration("group_interval", false, &out.group_interval);
  duration("repeat_interval", false, &out.repeat_interval);
  if (r.StringMap("labels", &out.labels)) {
    std::ranges::sort(out.labels);
    for (const auto& [name, value] : out.labels) {
      if (!model::IsLegacyLabelName(name)) {
        r.Error("labels", fmt::format("invalid label name {} in route labels", Quote(name)));
      }
    }
  }
  r.Each("routes", [&](const Node& child) {
    if (depth >= kMaxRouteDepth) {
      errors_->Add(child.position, fmt::format("routes are nested more than {} deep", kMaxRouteDepth));
      return;
    }
    out.routes.push_back(ReadRoute(child, depth + 1));
  });
  r.Finish();
  return out;
}

void Loader::ReadInhibitRule(const Node& node) {
  InhibitRuleConfig out;
  Reader r(node, errors_, "inhibit_rule");
  r.String("name", &out.name);
  ReadMatchMap(r, "source_match", false, &out.source_match);
  ReadMatchMap(r, "source_match_re", true, &out.source_match_re);
  ReadMatchers(r, "source_matchers", &out.source_matchers);
  ReadMatchMap(r, "target_match", false, &out.target_match);
  ReadMatchMap(r, "target_match_re", true, &out.target_match_re);
  ReadMatchers(r, "target_matchers", &out.target_matchers);
  r.Strings("equal", &out.equal);
  for (const std::string& name : out.equal) {
    if (!alertmanager::IsValidLabelName(name, options_.matcher_mode)) {
      r.Error("equal", fmt::format("invalid label name {} in equal list", Quote(name)));
    }
  }
  r.Finish();
  config_->inhibit_rules.push_back(std::move(out));
}

void Loader::ReadReceiver(const Node& node) {
  ReceiverConfig out;
  out.position = node.position;
  Reader r(node, errors_, "receiver");
  if (!r.String("name", &out.name) || out.name.empty()) {
    errors_->Add(node.position, "missing name in receiver");
  }
  r.StringMap("labels", &out.labels);
  const auto name = std::ranges::find(out.labels, "name", &std::pair<std::string, std::string>::first);
  if (name == out.labels.end()) {
    out.labels.emplace_back("name", out.name);
  } else if (name->second != out.name) {
    r.Error("labels", fmt::format("receiver label \"name\" must match receiver name {}, got {}",
                                  Quote(out.name), Quote(name->second)));
  }
  std::ranges::sort(out.labels);
  for (const ReceiverKind& kind : ReceiverKinds()) {
    int index = 0;
    r.Each(kind.key, [&](const Node& item) {
      IntegrationConfig integration{.kind = &kind, .index = index++, .block = Block(kind.table)};
      const size_t before = errors_->count();
      integration.block.Read(item, context_);
      if (errors_->count() == before) InheritGlobal(config_->global, &integration, errors_);
      out.integrations.push_back(std::move(integration));
    });
  }
  r.Finish();
  config_->receivers.push_back(std::move(out));
}

void Loader::ReadIntervals(const Node& node, std::string_view what, std::vector<NamedTimeInterval>* out) {
  NamedTimeInterval named;
  Reader r(node, errors_, "time_interval");
  if (!r.String("name", &named.name) || named.name.empty()) {
    errors_->Add(node.position, "missing name in time interval");
  }
  r.Each("time_intervals", [&](const Node& item) { named.intervals.push_back(ReadTimeInterval(item, errors_)); });
  r.Finish();
  if (config_->FindTimeInterval(named.name) != nullptr && !named.name.empty()) {
    errors_->Add(node.position, fmt::format("{} {} is not unique", what, Quote(named.name)));
  }
  out->push_back(std::move(named));
}

void Loader::CheckRouteReferences(const RouteConfig& route) {
  if (!route.receiver.empty() && config_->FindReceiver(route.receiver) == nullptr) {
    errors_->Add(route.position, fmt::format("undefined receiver {} used in route", Quote(route.receiver)));
  }
  for (const auto* names : {&route.mute_time_intervals, &route.active_time_intervals}) {
    for (const std::string& name : *names) {
      if (config_->FindTimeInterval(name) == nullptr) {
        errors_->Add(route.position, fmt::format("undefined time interval {} used in route", Quote(name)));
      }
    }
  }
  for (const RouteConfig& child : route.routes) CheckRouteReferences(child);
}

void Loader::CheckRoot() {
  const RouteConfig& root = config_->route;
  auto fail = [&](const char* message) { errors_->Add(root.position, message); };
  if (root.receiver.empty()) fail("root route must specify a default receiver");
  if (!root.match.empty() || !root.match_re.empty() || !root.matchers.empty()) {
    fail("root route must not have any matchers");
  }
  if (!root.mute_time_intervals.empty()) fail("root route must not have any mute time intervals");
  if (!root.active_time_intervals.empty()) fail("root route must not have any active time intervals");
  if (root.continue_matching) fail("cannot have continue in root route");
}

void Loader::Load(const Node& root) {
  Reader r(root, errors_, "alertmanager configuration");
  if (const Node* node = r.Take("global"); node != nullptr && !node->IsNull()) {
    config_->global.Read(*node, context_);
  }
  if (!config_->global.Http()) config_->global.SetHttp(std::make_shared<net::HttpConfig>());
  if (const Node* node = r.Take("route"); node != nullptr && !node->IsNull()) {
    config_->route = ReadRoute(*node, 0);
    has_route_ = true;
  }
  r.Each("inhibit_rules", [&](const Node& node) { ReadInhibitRule(node); });
  r.Each("receivers", [&](const Node& node) { ReadReceiver(node); });
  r.Strings("templates", &config_->templates);
  for (std::string& glob : config_->templates) glob = base::JoinPath(options_.folder, glob);
  r.Each("mute_time_intervals", [&](const Node& node) {
    ReadIntervals(node, "mute time interval", &config_->mute_time_intervals);
  });
  r.Each("time_intervals", [&](const Node& node) {
    ReadIntervals(node, "time interval", &config_->time_intervals);
  });
  // It does not change who is notified, so it does not keep the service from starting.
  if (const Node* block = r.Take("tracing"); block != nullptr && !block->IsNull()) {
    Warn(block->position, "tracing is not built in this version: no traces are sent");
  }
  if (const Node* block = r.Take("event_recorder"); block != nullptr && !block->IsNull()) {
    config_->event_recorder.emplace(EventRecorderTable()).Read(*block, context_);
  }
  r.Finish();

  std::set<std::string> names;
  for (const ReceiverConfig& receiver : config_->receivers) {
    if (!names.insert(receiver.name).second) {
      errors_->Add(receiver.position, fmt::format("notification config name {} is not unique", Quote(receiver.name)));
    }
  }
  if (!has_route_) {
    errors_->Add(root.position, root.IsNull() || config_->receivers.empty()
                                    ? "no route provided in config"
                                    : "no routes provided: no route provided in config; add a `route` with a `receiver`");
    return;
  }
  CheckRoot();
  CheckRouteReferences(config_->route);
  if (!config_->mute_time_intervals.empty()) {
    config_->warnings.push_back(config_->file + ": mute_time_intervals at the top level is deprecated; use time_intervals");
  }
}

void AddMatchers(const Pairs& match, const Pairs& match_re, const Matchers& matchers, Matchers* out) {
  for (const auto& [name, value] : match) out->push_back(Matcher::Equal(name, value));
  for (const auto& [name, value] : match_re) {
    // The anchors are part of the text, and so of group keys, as in Alertmanager.
    if (auto m = Matcher::Make(MatchOp::kRegex, name, "^(?:" + value + ")$")) out->push_back(std::move(*m));
  }
  out->insert(out->end(), matchers.begin(), matchers.end());
  std::sort(out->begin(), out->end());
}

}  // namespace

Matchers RouteConfig::AllMatchers() const {
  Matchers out;
  AddMatchers(match, match_re, matchers, &out);
  return out;
}
Matchers InhibitRuleConfig::AllSource() const {
  Matchers out;
  AddMatchers(source_match, source_match_re, source_matchers, &out);
  return out;
}
Matchers InhibitRuleConfig::AllTarget() const {
  Matchers out;
  AddMatchers(target_match, target_match_re, target_matchers, &out);
  return out;
}

Config::Config() : global(&kGlobal) {}

const ReceiverConfig* Config::FindReceiver(std::string_view name) const {
  for (const ReceiverConfig& r : receivers) {
    if (r.name == name) return &r;
  }
  return nullptr;
}

const NamedTimeInterval* Config::FindTimeInterval(std::string_view name) const {
  for (const auto* list : {&time_intervals, &mute_time_intervals}) {
    for (const NamedTimeInterval& i : *list) {
      if (i.name == name) return &i;
    }
  }
  return nullptr;
}

std::vector<std::string> Config::UnsupportedBlocks() const {
  std::vector<std::string> out;
  auto add = [&](Position at, const std::string& what) {
    out.push_back(fmt::format("{}:{}:{}: {} is not built in this version of tocsin", file, at.line, at.column, what));
  };
  if (event_recorder) {
    if (const Node* kafka = event_recorder->Tree("kafka_outputs"); kafka != nullptr && !kafka->IsNull()) {
      add(event_recorder->At("kafka_outputs"), "event_recorder: kafka_outputs");
    }
    for (const Block& webhook : event_recorder->Blocks("webhook_outputs")) {
      if (webhook.Http() == nullptr) continue;
      for (const std::string& key : webhook.Http()->UnsupportedKeys()) add(webhook.position(), "event_recorder: webhook_outputs: http_config." + key);
    }
  }
  std::set<std::string_view> used;
  auto walk = [&](const RouteConfig& node, auto&& self) -> void {
    used.insert(node.receiver);
    for (const RouteConfig& child : node.routes) self(child, self);
  };
  walk(route, walk);
  for (const ReceiverConfig& r : receivers) {
    if (!used.contains(r.name)) continue;
    for (const IntegrationConfig& i : r.integrations) {
      if (!HasKey(i.block.table(), "http_config")) continue;
      for (const std::string& key : i.block.Http()->UnsupportedKeys()) {
        add(i.block.position(), fmt::format("receiver {}: {}: http_config.{}", Quote(r.name), i.kind->key, key));
      }
    }
  }
  return out;
}

base::Result<ConfigPtr> LoadConfig(std::string_view text, const std::string& file,
                                   const LoadOptions& given) {
  LoadOptions options = given;
  if (options.folder.empty()) options.folder = base::FolderOf(file);
  ASSIGN_OR_RETURN(base::yaml::Document document, base::yaml::Parse(text, file));
  auto config = std::make_shared<Config>();
  config->file = file;
  config->text = text;
  Errors errors(file);
  Loader(config.get(), options, &errors).Load(document.root());
  RETURN_IF_ERROR(errors.ToStatus());
  return ConfigPtr(std::move(config));
}

}  // namespace tocsin::alertmanager
