// What may stand in each receiver block: one row a key, in the order in which it prints.  A new
// receiver is a table here, a row in kKinds, and its own file that builds the request.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "alertmanager/config.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

using enum Kind;

constexpr Field kSendTrue = {"send_resolved", kBool, "true", Show::kAlways};
constexpr Field kSendFalse = {"send_resolved", kBool, "false", Show::kAlways};
constexpr Field kHttpConfig = {"http_config", kHttp};

template <size_t N>
bool HasItem(const std::string_view (&items)[N], std::string_view item) {
  return std::ranges::find(items, item) != std::end(items);
}

void Fail(const ReadContext& c, base::yaml::Position at, std::string message) {
  c.errors->Add(at, std::move(message));
}

// ---- email -------------------------------------------------------------------------------------

constexpr Field kThreadingFields[] = {
    {"enabled", kBool, "false", Show::kAlways},
    {"thread_by_date", kText, "daily"},
};
void CheckThreading(const Block& b, const ReadContext& c) {
  const std::string& by = b.Text("thread_by_date");
  if (b.Flag("enabled") && by != "daily" && by != "none") {
    Fail(c, b.At("thread_by_date"), fmt::format("invalid thread_by_date {}: must be daily or none", base::Quote(by)));
  }
}
constexpr Table kThreading = {.name = "threading", .fields = kThreadingFields, .check = CheckThreading};

constexpr Field kEmailFields[] = {
    kSendFalse,
    {"to"},
    {"from"},
    {"hello"},
    {"smarthost", kHostPort},
    {"auth_username"},
    {"auth_password", kSecret},
    {"auth_password_file", kPath},
    {"auth_secret", kSecret},
    {"auth_secret_file", kPath},
    {"auth_identity"},
    {"headers", kTextMap},
    {"html", kText, "{{ template \"email.default.html\" . }}"},
    {"text"},
    {"require_tls", kBool, "", Show::kIfSet},
    {"force_implicit_tls", kBool, "", Show::kIfSet},
    {"tls_config", kTls},
    {"threading", kBlock, "", Show::kNotEmpty, &kThreading},
};
constexpr Exclusive kEmailExclusive[] = {{"auth_password", "auth_password_file"},
                                         {"auth_secret", "auth_secret_file"}};
void CheckEmail(const Block& b, const ReadContext& c) {
  if (!b.Has("to")) Fail(c, b.position(), "missing to address in email config");
  std::set<std::string> names;
  for (const auto& [name, value] : b.Map("headers")) {
    const std::string lower = base::ToLower(name);
    if (!names.insert(lower).second) {
      Fail(c, b.At("headers"), fmt::format("duplicate header {} in email config", base::Quote(name)));
    }
  }
  if (!b.Blocks("threading").empty() && b.Blocks("threading").front().Flag("enabled") &&
      (names.contains("references") || names.contains("in-reply-to"))) {
    Fail(c, b.At("threading"),
         "conflicting configuration: threading.enabled conflicts with custom References or In-Reply-To headers");
  }
}
constexpr Table kEmail = {.name = "email_config", .fields = kEmailFields,
                          .exclusive = kEmailExclusive, .check = CheckEmail};

// ---- webhook -----------------------------------------------------------------------------------

constexpr Field kWebhookFields[] = {
    kSendTrue,
    kHttpConfig,
    {"url", kTemplateUrl},
    {"url_file", kPath},
    {"max_alerts", kInt, "0", Show::kAlways},
    {"timeout", kGoDuration, "0s"},
    {"payload", kTree},
};
constexpr Exclusive kUrlExclusive[] = {{"url", "url_file"}};
void CheckUrlOrFile(const Block& b, const ReadContext& c) {
  if (!b.Has("url") && !b.Has("url_file")) {
    Fail(c, b.position(), "one of url or url_file must be configured");
  }
}
void CheckWebhook(const Block& b, const ReadContext& c) {
  CheckUrlOrFile(b, c);
  if (b.Number("max_alerts") < 0) Fail(c, b.At("max_alerts"), "max_alerts must not be negative");
}
constexpr Table kWebhook = {.name = "webhook_config", .fields = kWebhookFields,
                            .exclusive = kUrlExclusive, .check = CheckWebhook};

// ---- slack -------------------------------------------------------------------------------------

constexpr Field kConfirmFields[] = {{"text"}, {"title"}, {"ok_text"}, {"dismiss_text"}};
constexpr std::string_view kText1[] = {"text"};
constexpr Table kConfirm = {.name = "slack confirm", .fields = kConfirmFields, .required = kText1,
                            .required_message = "missing {} in Slack confirmation configuration"};
constexpr Field kActionFields[] = {
    {"type"}, {"text"}, {"url"}, {"style"}, {"name"}, {"value"}, {"confirm", kBlock, "", Show::kNotEmpty, &kConfirm},
};
constexpr std::string_view kTypeText[] = {"type", "text"};
void CheckAction(const Block& b, const ReadContext& c) {
  if (!b.Has("url") && !b.Has("name")) Fail(c, b.position(), "missing name or url in Slack action configuration");
}
constexpr Table kAction = {.name = "slack action", .fields = kActionFields, .required = kTypeText,
                           .required_message = "missing {} in Slack action configuration",
                           .check = CheckAction};
constexpr Field kFieldFields[] = {{"title"}, {"value"}, {"short", kBool, "", Show::kIfSet}};
constexpr std::string_view kTitleValue[] = {"title", "value"};
constexpr Table kSlackField = {.name = "slack field", .fields = kFieldFields, .required = kTitleValue,
                               .required_message = "missing {} in Slack field configuration"};

constexpr Field kSlackFields[] = {
    kSendFalse,
    kHttpConfig,
    {"api_url", kSecretUrl},
    {"api_url_file", kPath},
    {"app_token", kSecret},
    {"app_token_file", kPath},
    {"app_url", kUrl, "", Show::kIfWritten},
    {"channel"},
    {"username", kText, "{{ template \"slack.default.username\" . }}"},
    {"color", kText, "{{ template \"slack.default.color\" . }}"},
    {"title", kText, "{{ template \"slack.default.title\" . }}"},
    {"title_link", kText, "{{ template \"slack.default.titlelink\" . }}"},
    {"pretext", kText, "{{ template \"slack.default.pretext\" . }}"},
    {"text", kText, "{{ template \"slack.default.text\" . }}"},
    {"message_text"},
    {"fields", kBlocks, "", Show::kNotEmpty, &kSlackField},
    {"short_fields", kBool, "false", Show::kAlways},
    {"footer", kText, "{{ template \"slack.default.footer\" . }}"},
    {"fallback", kText, "{{ template \"slack.default.fallback\" . }}"},
    {"callback_id", kText, "{{ template \"slack.default.callbackid\" . }}"},
    {"icon_emoji", kText, "{{ template \"slack.default.iconemoji\" . }}"},
    {"icon_url", kText, "{{ template \"slack.default.iconurl\" . }}"},
    {"image_url"},
    {"thumb_url"},
    {"link_names", kBool, "false", Show::kAlways},
    {"mrkdwn_in", kTexts},
    {"actions", kBlocks, "", Show::kNotEmpty, &kAction},
    {"timeout", kGoDuration, "0s"},
    {"update_message", kBool, "false"},
    {"post_updates_to_thread", kBool, "false"},
    {"blocks", kTree},
};
constexpr Exclusive kSlackExclusive[] = {{"api_url", "api_url_file"}, {"app_token", "app_token_file"}};
void CheckSlack(const Block& b, const ReadContext& c) {
  const bool token = b.Has("app_token") || b.Has("app_token_file");
  const bool api = b.Has("api_url") || b.Has("api_url_file");
  if (token && api && (!b.Has("api_url") || b.Text("api_url") != b.Text("app_url"))) {
    Fail(c, b.position(),
         "at most one of app_token/app_token_file & api_url/api_url_file must be configured");
  }
  constexpr std::string_view kPost = "https://slack.com/api/chat.postMessage";
  for (const std::string_view key : {"update_message", "post_updates_to_thread"}) {
    if (b.Flag(key) && b.Has("api_url") && b.Text("api_url") != kPost && !token) {
      Fail(c, b.At("api_url"), fmt::format("{} can only be used with bot tokens. api_url must be set to {}", key, kPost));
    }
  }
  if (const base::yaml::Node* blocks = b.Tree("blocks"); blocks != nullptr && !blocks->IsNull() && !blocks->IsSequence()) {
    Fail(c, b.At("blocks"), "blocks must be a list of Slack's layout blocks in slack_config");
  }
}
constexpr Table kSlack = {.name = "slack_config", .fields = kSlackFields,
                          .exclusive = kSlackExclusive, .check = CheckSlack};

// ---- pagerduty ---------------------------------------------------------------------------------

constexpr Field kPdImageFields[] = {{"src"}, {"alt"}, {"href"}};
constexpr Table kPdImage = {.name = "pagerduty image", .fields = kPdImageFields};
constexpr Field kPdLinkFields[] = {{"href"}, {"text"}};
constexpr Table kPdLink = {.name = "pagerduty link", .fields = kPdLinkFields};
constexpr Field kPagerDutyFields[] = {
    kSendTrue,
    kHttpConfig,
    {"service_key", kSecret},
    {"service_key_file", kPath},
    {"routing_key", kSecret},
    {"routing_key_file", kPath},
    {"url", kUrl},
    {"client", kText, "{{ template \"pagerduty.default.client\" . }}"},
    {"client_url", kText, "{{ template \"pagerduty.default.clientURL\" . }}"},
    {"description", kText, "{{ template \"pagerduty.default.description\" .}}"},
    {"details", kTree},
    {"images", kBlocks, "", Show::kNotEmpty, &kPdImage},
    {"links", kBlocks, "", Show::kNotEmpty, &kPdLink},
    {"source"},
    {"severity"},
    {"class"},
    {"component"},
    {"group"},
    {"timeout", kGoDuration, "0s"},
};
constexpr Exclusive kPdExclusive[] = {{"routing_key", "routing_key_file"}, {"service_key", "service_key_file"}};
void CheckPagerDuty(const Block& b, const ReadContext& c) {
  if (!b.Has("routing_key") && !b.Has("routing_key_file") && !b.Has("service_key") && !b.Has("service_key_file")) {
    Fail(c, b.position(), "missing service or routing key in PagerDuty config");
  }
}
constexpr Table kPagerDuty = {.name = "pagerduty_config", .fields = kPagerDutyFields,
                              .exclusive = kPdExclusive, .check = CheckPagerDuty};

// ---- opsgenie ----------------------------------------------------------------------------------

constexpr Field kResponderFields[] = {{"id"}, {"name"}, {"username"}, {"type"}};
void CheckResponder(const Block& b, const ReadContext& c) {
  if (!b.Has("id") && !b.Has("name") && !b.Has("username")) {
    Fail(c, b.position(),
         fmt::format("opsGenieConfig responder {{{}   {}}} has to have at least one of id, username or name specified",
                     b.Text("id"), b.Text("type")));
  }
  const std::string& type = b.Text("type");
  constexpr std::string_view kTypes[] = {"team", "teams", "user", "escalation", "schedule"};
  if (type.find("{{") == std::string::npos && !HasItem(kTypes, base::ToLower(type))) {
    Fail(c, b.At("type"), fmt::format("opsGenieConfig responder type {} is not one of team, teams, user, escalation, schedule", base::Quote(type)));
  }
}
constexpr Table kResponder = {.name = "opsgenie responder", .fields = kResponderFields, .check = CheckResponder};
constexpr Field kOpsGenieFields[] = {
    kSendTrue,
    kHttpConfig,
    {"api_key", kSecret},
    {"api_key_file", kPath},
    {"api_url", kUrl},
    {"message", kText, "{{ template \"opsgenie.default.message\" . }}"},
    {"description", kText, "{{ template \"opsgenie.default.description\" . }}"},
    {"source", kText, "{{ template \"opsgenie.default.source\" . }}"},
    {"details", kTextMap},
    {"entity"},
    {"responders", kBlocks, "", Show::kNotEmpty, &kResponder},
    {"actions"},
    {"tags"},
    {"note"},
    {"priority"},
    {"update_alerts", kBool, "false"},
};
constexpr Exclusive kApiKeyExclusive[] = {{"api_key", "api_key_file"}};
constexpr Table kOpsGenie = {.name = "opsgenie_config", .fields = kOpsGenieFields, .exclusive = kApiKeyExclusive};

// ---- victorops, pushover, sns, telegram --------------------------------------------------------

constexpr Field kVictorOpsFields[] = {
    kSendTrue,
    kHttpConfig,
    {"api_key", kSecret},
    {"api_key_file", kPath},
    {"api_url", kUrl},
    {"routing_key"},
    {"message_type", kText, "CRITICAL"},
    {"state_message", kText, "{{ template \"victorops.default.state_message\" . }}"},
    {"entity_display_name", kText, "{{ template \"victorops.default.entity_display_name\" . }}"},
    {"monitoring_tool", kText, "{{ template \"victorops.default.monitoring_tool\" . }}"},
    {"custom_fields", kTextMap},
};
void CheckVictorOps(const Block& b, const ReadContext& c) {
  if (!b.Has("routing_key")) Fail(c, b.position(), "missing Routing key in VictorOps config");
  constexpr std::string_view kReserved[] = {"routing_key", "message_type", "state_message", "entity_display_name",
                                            "monitoring_tool", "entity_id", "entity_state"};
  for (const auto& [name, value] : b.Map("custom_fields")) {
    if (HasItem(kReserved, name)) {
      Fail(c, b.At("custom_fields"),
           fmt::format("victorOps config contains custom field {} which cannot be used as it conflicts with the fixed/static fields", name));
    }
  }
}
constexpr Table kVictorOps = {.name = "victorops_config", .fields = kVictorOpsFields,
                              .exclusive = kApiKeyExclusive, .check = CheckVictorOps};

constexpr Field kPushoverFields[] = {
    kSendTrue,
    kHttpConfig,
    {"user_key", kSecret},
    {"user_key_file", kPath},
    {"token", kSecret},
    {"token_file", kPath},
    {"title", kText, "{{ template \"pushover.default.title\" . }}"},
    {"message", kText, "{{ template \"pushover.default.message\" . }}"},
    {"url", kText, "{{ template \"pushover.default.url\" . }}"},
    {"url_title"},
    {"device"},
    {"sound"},
    {"priority", kText, "{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}"},
    {"retry", kGoDuration, "1m"},
    {"expire", kGoDuration, "1h"},
    {"ttl", kGoDuration, "0s"},
    {"html", kBool, "false", Show::kAlways},
    {"monospace", kBool, "false"},
};
constexpr Exclusive kPushoverExclusive[] = {{"user_key", "user_key_file"}, {"token", "token_file"}, {"monospace", "html"}};
void CheckPushover(const Block& b, const ReadContext& c) {
  if (!b.Has("user_key") && !b.Has("user_key_file")) Fail(c, b.position(), "one of user_key or user_key_file must be configured");
  if (!b.Has("token") && !b.Has("token_file")) Fail(c, b.position(), "one of token or token_file must be configured");
}
constexpr Table kPushover = {.name = "pushover_config", .fields = kPushoverFields,
                             .exclusive = kPushoverExclusive, .check = CheckPushover};

constexpr Field kSigV4Fields[] = {
    {"region"}, {"access_key"}, {"secret_key", kSecret}, {"profile"}, {"role_arn"}, {"external_id"}, {"use_fips_sts_endpoint", kBool},
};
void CheckSigV4(const Block& b, const ReadContext& c) {
  if (b.Has("access_key") != b.Has("secret_key")) {
    Fail(c, b.position(), "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config");
  }
  if (b.Has("external_id") && !b.Has("role_arn")) Fail(c, b.At("external_id"), "external_id can only be used with role_arn");
}
constexpr Table kSigV4 = {.name = "sigv4", .fields = kSigV4Fields, .check = CheckSigV4};
constexpr Field kSnsFields[] = {
    kSendTrue,
    kHttpConfig,
    {"api_url"},
    {"sigv4", kBlock, "", Show::kNotEmpty, &kSigV4},
    {"topic_arn"},
    {"phone_number"},
    {"target_arn"},
    {"subject", kText, "{{ template \"sns.default.subject\" . }}"},
    {"message", kText, "{{ template \"sns.default.message\" . }}"},
    {"attributes", kTextMap},
    {"use_aws_http_client", kBool},
};
void CheckSns(const Block& b, const ReadContext& c) {
  if (b.Has("topic_arn") + b.Has("target_arn") + b.Has("phone_number") != 1) {
    Fail(c, b.position(), "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config");
  }
}
constexpr Table kSns = {.name = "sns_config", .fields = kSnsFields, .check = CheckSns};

constexpr Field kTelegramFields[] = {
    kSendTrue,
    kHttpConfig,
    {"api_url", kUrl},
    {"bot_token", kSecret},
    {"bot_token_file", kPath},
    {"chat_id", kInt},
    {"chat_id_file", kPath},
    {"message_thread_id", kInt},
    {"message", kText, "{{ template \"telegram.default.message\" . }}"},
    {"disable_notifications", kBool},
    {"parse_mode", kText, "HTML"},
};
constexpr Exclusive kTelegramExclusive[] = {{"bot_token", "bot_token_file"}, {"chat_id", "chat_id_file"}};
void CheckTelegram(const Block& b, const ReadContext& c) {
  if (!b.Has("chat_id") && !b.Has("chat_id_file")) Fail(c, b.position(), "missing chat_id or chat_id_file on telegram_config");
  constexpr std::string_view kModes[] = {"", "Markdown", "MarkdownV2", "HTML"};
  if (!HasItem(kModes, b.Text("parse_mode"))) {
    Fail(c, b.At("parse_mode"), "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string");
  }
}
constexpr Table kTelegram = {.name = "telegram_config", .fields = kTelegramFields,
                             .exclusive = kTelegramExclusive, .check = CheckTelegram};

// ---- chat rooms --------------------------------------------------------------------------------

constexpr Exclusive kWebhookUrlExclusive[] = {{"webhook_url", "webhook_url_file"}};
void CheckWebhookUrl(const Block& b, const ReadContext& c) {
  if (!b.Has("webhook_url") && !b.Has("webhook_url_file")) {
    Fail(c, b.position(), "one of webhook_url or webhook_url_file must be configured");
  }
}
constexpr Field kDiscordFields[] = {
    kSendTrue,
    kHttpConfig,
    {"webhook_url", kSecretUrl},
    {"webhook_url_file", kPath},
    {"content"},
    {"title", kText, "{{ template \"discord.default.title\" . }}"},
    {"message", kText, "{{ template \"discord.default.message\" . }}"},
    {"username"},
    {"avatar_url"},
};
constexpr Table kDiscord = {.name = "discord_config", .fields = kDiscordFields,
                            .exclusive = kWebhookUrlExclusive, .check = CheckWebhookUrl};

constexpr Field kWebexFields[] = {
    kSendTrue, kHttpConfig, {"api_url", kUrl}, {"room_id"},
    {"message", kText, "{{ template \"webex.default.message\" . }}"},
};
constexpr std::string_view kRoomId[] = {"room_id"};
void CheckWebex(const Block& b, const ReadContext& c) {
  if (!b.Http() || !b.Http()->authorization) Fail(c, b.position(), "missing webex_configs.http_config.authorization");
}
constexpr Table kWebex = {.name = "webex_config", .fields = kWebexFields, .required = kRoomId,
                          .required_message = "missing {} on webex_config", .check = CheckWebex};

constexpr Field kTeamsFields[] = {
    kSendTrue,
    kHttpConfig,
    {"webhook_url", kSecretUrl},
    {"webhook_url_file", kPath},
    {"title", kText, "{{ template \"msteams.default.title\" . }}"},
    {"summary", kText, "{{ template \"msteams.default.summary\" . }}"},
    {"text", kText, "{{ template \"msteams.default.text\" . }}"},
};
constexpr Table kTeams = {.name = "msteams_config", .fields = kTeamsFields,
                          .exclusive = kWebhookUrlExclusive, .check = CheckWebhookUrl};
constexpr Field kTeamsV2Fields[] = {
    kSendTrue,
    kHttpConfig,
    {"webhook_url", kSecretUrl},
    {"webhook_url_file", kPath},
    {"title", kText, "{{ template \"msteamsv2.default.title\" . }}"},
    {"text", kText, "{{ template \"msteamsv2.default.text\" . }}"},
};
constexpr Table kTeamsV2 = {.name = "msteamsv2_config", .fields = kTeamsV2Fields,
                            .exclusive = kWebhookUrlExclusive, .check = CheckWebhookUrl};

constexpr Field kRocketFieldFields[] = {{"title"}, {"value"}, {"short", kBool, "", Show::kIfSet}};
constexpr Table kRocketField = {.name = "rocketchat field", .fields = kRocketFieldFields, .required = kTitleValue,
                                .required_message = "missing {} in Rocketchat field configuration"};
constexpr Field kRocketActionFields[] = {{"type"}, {"text"}, {"url"}, {"msg"}};
constexpr Table kRocketAction = {.name = "rocketchat action", .fields = kRocketActionFields};
constexpr Field kRocketChatFields[] = {
    kSendFalse,
    kHttpConfig,
    {"api_url", kUrl},
    {"token_id", kSecret},
    {"token_id_file", kPath},
    {"token", kSecret},
    {"token_file", kPath},
    {"channel"},
    {"color", kText, "{{ if eq .Status \"firing\" }}red{{ else }}green{{ end }}"},
    {"title", kText, "{{ template \"rocketchat.default.title\" . }}"},
    {"title_link", kText, "{{ template \"rocketchat.default.titlelink\" . }}"},
    {"text", kText, "{{ template \"rocketchat.default.text\" . }}"},
    {"fields", kBlocks, "", Show::kNotEmpty, &kRocketField},
    {"short_fields", kBool, "false", Show::kAlways},
    {"emoji", kText, "{{ template \"rocketchat.default.emoji\" . }}"},
    {"icon_url", kText, "{{ template \"rocketchat.default.iconurl\" . }}"},
    {"image_url"},
    {"thumb_url"},
    {"link_names", kBool, "false", Show::kAlways},
    {"actions", kBlocks, "", Show::kNotEmpty, &kRocketAction},
};
constexpr Exclusive kRocketExclusive[] = {{"token", "token_file"}, {"token_id", "token_id_file"}};
constexpr Table kRocketChat = {.name = "rocketchat_config", .fields = kRocketChatFields, .exclusive = kRocketExclusive};

constexpr Field kMmFieldFields[] = {{"title"}, {"value"}, {"short", kBool, "", Show::kIfSet}};
constexpr Table kMmField = {.name = "mattermost field", .fields = kMmFieldFields, .required = kTitleValue,
                            .required_message = "missing {} in Mattermost field configuration"};
constexpr Field kMmAttachmentFields[] = {
    {"fallback"}, {"color"}, {"pretext"}, {"text"}, {"author_name"}, {"author_link"}, {"author_icon"}, {"title"},
    {"title_link"}, {"fields", kBlocks, "", Show::kNotEmpty, &kMmField}, {"thumb_url"}, {"footer"},
    {"footer_icon"}, {"image_url"},
};
constexpr Table kMmAttachment = {.name = "mattermost attachment", .fields = kMmAttachmentFields};
constexpr Field kMmPropsFields[] = {{"card"}};
constexpr Table kMmProps = {.name = "mattermost props", .fields = kMmPropsFields};
constexpr Field kMmPriorityFields[] = {{"priority"}, {"requested_ack", kBool}, {"persistent_notifications", kBool}};
constexpr Table kMmPriority = {.name = "mattermost priority", .fields = kMmPriorityFields};
constexpr Field kMattermostFields[] = {
    kSendTrue,
    kHttpConfig,
    {"webhook_url", kSecretUrl},
    {"webhook_url_file", kPath},
    {"channel"},
    {"username", kText, "{{ template \"mattermost.default.username\" . }}"},
    {"text", kText, "{{ template \"mattermost.default.text\" . }}"},
    {"fallback", kText, "{{ template \"mattermost.default.fallback\" . }}"},
    {"color", kText, "{{ template \"mattermost.default.color\" . }}"},
    {"pretext"},
    {"author_name"},
    {"author_link"},
    {"author_icon"},
    {"title", kText, "{{ template \"mattermost.default.title\" . }}"},
    {"title_link", kText, "{{ template \"mattermost.default.titlelink\" . }}"},
    {"fields", kBlocks, "", Show::kNotEmpty, &kMmField},
    {"thumb_url"},
    {"footer"},
    {"footer_icon"},
    {"image_url"},
    {"icon_url"},
    {"icon_emoji"},
    {"attachments", kBlocks, "", Show::kNotEmpty, &kMmAttachment},
    {"type"},
    {"props", kBlock, "", Show::kNotEmpty, &kMmProps},
    {"priority", kBlock, "", Show::kNotEmpty, &kMmPriority},
};
constexpr Table kMattermost = {.name = "mattermost_config", .fields = kMattermostFields, .exclusive = kWebhookUrlExclusive};

constexpr Field kWeChatFields[] = {
    kSendFalse,
    kHttpConfig,
    {"api_secret", kSecret},
    {"api_secret_file", kPath},
    {"corp_id"},
    {"message", kText, "{{ template \"wechat.default.message\" . }}"},
    {"api_url", kUrl},
    {"to_user", kText, "{{ template \"wechat.default.to_user\" . }}"},
    {"to_party", kText, "{{ template \"wechat.default.to_party\" . }}"},
    {"to_tag", kText, "{{ template \"wechat.default.to_tag\" . }}"},
    {"agent_id", kText, "{{ template \"wechat.default.agent_id\" . }}"},
    {"message_type", kText, "text"},
};
constexpr Exclusive kApiSecretExclusive[] = {{"api_secret", "api_secret_file"}};
void CheckWeChat(const Block& b, const ReadContext& c) {
  const std::string& type = b.Text("message_type");
  if (!type.empty() && type != "text" && type != "markdown") {
    Fail(c, b.At("message_type"), fmt::format("weChat message type {} does not match valid options ^(text|markdown)$", base::Quote(type)));
  }
}
constexpr Table kWeChat = {.name = "wechat_config", .fields = kWeChatFields,
                           .exclusive = kApiSecretExclusive, .check = CheckWeChat};

// ---- tickets -----------------------------------------------------------------------------------

constexpr Field kJiraFields[] = {
    kSendTrue,
    kHttpConfig,
    {"api_url", kUrl},
    {"api_type", kText, "auto"},
    {"project"},
    {"summary", kTree},
    {"description", kTree},
    {"labels", kTexts},
    {"priority", kText, "{{ template \"jira.default.priority\" . }}"},
    {"issue_type"},
    {"reopen_transition"},
    {"resolve_transition"},
    {"wont_fix_resolution"},
    {"reopen_duration", kDuration},
    {"fields", kTree},
};
constexpr std::string_view kProjectType[] = {"project", "issue_type"};
void CheckJira(const Block& b, const ReadContext& c) {
  constexpr std::string_view kTypes[] = {"auto", "cloud", "datacenter"};
  if (!HasItem(kTypes, b.Text("api_type"))) {
    Fail(c, b.At("api_type"), "api_type must be one of auto, cloud, datacenter in jira_config");
  }
  for (const std::string_view key : {"summary", "description"}) {
    const base::yaml::Node* node = b.Tree(key);
    if (node == nullptr || node->IsScalar() || node->IsNull()) continue;
    if (!node->IsMapping()) Fail(c, b.At(key), fmt::format("{} must be a text or a mapping in jira_config", key));
    for (const auto& entry : node->entries) {
      if (entry.key.text == "template") continue;
      if (entry.key.text != "enable_update") {
        Fail(c, b.At(key), fmt::format("{} has the keys template and enable_update, not {}, in jira_config", key,
                                       base::Quote(entry.key.text)));
      } else if (entry.value.text != "true" && entry.value.text != "false") {
        Fail(c, b.At(key), fmt::format("enable_update of {} must be true or false in jira_config", key));
      }
    }
  }
  if (const base::yaml::Node* own = b.Tree("fields"); own != nullptr && !own->IsNull() && !own->IsMapping()) {
    Fail(c, b.At("fields"), "fields must be a mapping in jira_config");
  }
}
constexpr Table kJira = {.name = "jira_config", .fields = kJiraFields, .required = kProjectType,
                         .required_message = "missing {} in jira_config", .check = CheckJira};

constexpr Field kIncidentFields[] = {
    kSendTrue,
    kHttpConfig,
    {"url", kUrl},
    {"url_file", kPath},
    {"alert_source_token", kSecret},
    {"alert_source_token_file", kPath},
    {"max_alerts", kInt, "0", Show::kAlways},
    {"timeout", kGoDuration, "0s"},
};
constexpr Exclusive kIncidentExclusive[] = {{"url", "url_file"}, {"alert_source_token", "alert_source_token_file"}};
void CheckIncident(const Block& b, const ReadContext& c) {
  CheckUrlOrFile(b, c);
  if (!b.Has("alert_source_token") && !b.Has("alert_source_token_file") && !(b.Http() && b.Http()->authorization)) {
    Fail(c, b.position(),
         "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured");
  }
}
constexpr Table kIncident = {.name = "incidentio_config", .fields = kIncidentFields,
                             .exclusive = kIncidentExclusive, .check = CheckIncident};

constexpr ReceiverKind kKinds[] = {
    {"webhook_configs", "webhook", &kWebhook},
    {"email_configs", "email", &kEmail},
    {"pagerduty_configs", "pagerduty", &kPagerDuty},
    {"opsgenie_configs", "opsgenie", &kOpsGenie},
    {"wechat_configs", "wechat", &kWeChat},
    {"slack_configs", "slack", &kSlack},
    {"victorops_configs", "victorops", &kVictorOps},
    {"pushover_configs", "pushover", &kPushover},
    {"sns_configs", "sns", &kSns},
    {"telegram_configs", "telegram", &kTelegram},
    {"discord_configs", "discord", &kDiscord},
    {"webex_configs", "webex", &kWebex},
    {"msteams_configs", "msteams", &kTeams},
    {"msteamsv2_configs", "msteamsv2", &kTeamsV2},
    {"jira_configs", "jira", &kJira},
    {"rocketchat_configs", "rocketchat", &kRocketChat},
    {"mattermost_configs", "mattermost", &kMattermost},
    {"incidentio_configs", "incidentio", &kIncident},
};

}  // namespace

std::span<const ReceiverKind> ReceiverKinds() { return kKinds; }

}  // namespace tocsin::alertmanager
