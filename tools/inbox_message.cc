#include "tools/inbox_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "base/text.h"
#include "tools/mail_text.h"

namespace tocsin::tools {
namespace {

using Json = nlohmann::json;

// Longer messages end with a note of how much was left out; the page has all of it.
constexpr size_t kMaxLines = 40;
constexpr size_t kMaxTitle = 1000;

std::string Text(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string Dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Slack's links <address|text> as "text (address)".
std::string PlainSlack(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('<');
    const size_t close = open == std::string_view::npos ? open : text.find('>', open);
    if (close == std::string_view::npos) break;
    out += text.substr(0, open);
    const std::string_view inside = text.substr(open + 1, close - open - 1);
    const size_t bar = inside.find('|');
    if (!inside.starts_with("http") && !inside.starts_with("mailto:")) {
      out += text.substr(open, close - open + 1);
    } else if (bar == std::string_view::npos) {
      out += inside;
    } else {
      out += std::string(inside.substr(bar + 1)) + " (" + std::string(inside.substr(0, bar)) + ")";
    }
    text.remove_prefix(close + 1);
  }
  out += text;
  for (const auto& [from, to] : {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}}) {
    out = base::ReplaceAll(out, from, to);
  }
  return out;
}

std::string StatusOf(std::string_view title) {
  const std::string upper = base::ToUpper(title);
  if (upper.find("[RESOLVED") != std::string::npos) return "resolved";
  if (upper.find("[FIRING") != std::string::npos) return "firing";
  return {};
}

void AddLine(std::string line, std::string* out) {
  if (line.empty()) return;
  *out += line;
  if (!out->ends_with('\n')) *out += '\n';
}

bool IsSlack(std::string_view path, const Json& json) {
  if (json.contains("attachments") && json["attachments"].is_array()) return true;
  const bool to_slack = path.starts_with("/services/") || path.find("slack") != std::string_view::npos ||
                        path.ends_with("chat.postMessage") || path.ends_with("chat.update");
  return json.contains("text") && (to_slack || json.contains("channel"));
}

void ReadSlack(const Json& json, InboxMessage* m) {
  m->kind = "slack";
  m->to = Text(json, "channel");
  AddLine(PlainSlack(Text(json, "text")), &m->text);
  if (!json.contains("attachments")) {
    m->title = m->text.substr(0, m->text.find('\n'));
    return;
  }
  for (const Json& a : json["attachments"]) {
    if (!a.is_object()) continue;
    if (m->title.empty()) m->title = Text(a, "title").empty() ? Text(a, "fallback") : Text(a, "title");
    const std::string color = Text(a, "color");
    if (m->status.empty()) m->status = color == "good" ? "resolved" : color == "danger" ? "firing" : "";
    AddLine(PlainSlack(Text(a, "pretext")), &m->text);
    if (json["attachments"].size() > 1) AddLine(Text(a, "title"), &m->text);
    AddLine(PlainSlack(Text(a, "text")), &m->text);
    if (a.contains("fields") && a["fields"].is_array()) {
      for (const Json& f : a["fields"]) {
        if (f.is_object()) AddLine(Text(f, "title") + ": " + PlainSlack(Text(f, "value")), &m->text);
      }
    }
    if (a.contains("actions") && a["actions"].is_array()) {
      for (const Json& action : a["actions"]) {
        if (action.is_object()) AddLine("[" + Text(action, "text") + "] " + Text(action, "url"), &m->text);
      }
    }
    if (const std::string link = Text(a, "title_link"); !link.empty()) AddLine(link, &m->text);
    AddLine(Text(a, "footer"), &m->text);
  }
}

std::string LabelText(const Json& labels) {
  std::string out;
  if (!labels.is_object()) return out;
  for (const auto& [name, value] : labels.items()) {
    if (name == "alertname" || !value.is_string()) continue;
    out += (out.empty() ? "" : ", ") + name + "=" + value.get<std::string>();
  }
  return out;
}

// The body that Alertmanagers send, or else the JSON itself, laid out.
void ReadWebhook(const Json& json, InboxMessage* m) {
  if (!json.is_object() || !json.contains("alerts") || !json["alerts"].is_array()) {
    m->text = Dump(json, 2);
    m->title = json.is_object() ? Text(json, "title") : "";
    if (m->title.empty()) m->title = "JSON";
    return;
  }
  m->status = Text(json, "status");
  const Json group = json.value("groupLabels", Json::object());
  std::string name = group.is_object() ? Text(group, "alertname") : "";
  if (name.empty()) name = LabelText(group);
  m->title = fmt::format("[{}:{}] {}", base::ToUpper(m->status), json["alerts"].size(), name);
  AddLine("receiver " + Text(json, "receiver"), &m->text);
  for (const Json& a : json["alerts"]) {
    if (!a.is_object()) continue;
    const Json labels = a.value("labels", Json::object());
    const Json annotations = a.value("annotations", Json::object());
    AddLine(fmt::format("{} {} ({})", Text(a, "status"), labels.is_object() ? Text(labels, "alertname") : "",
                        LabelText(labels)),
            &m->text);
    if (!annotations.is_object()) continue;
    for (const auto& [key, value] : annotations.items()) {
      if (value.is_string()) AddLine("  " + key + ": " + value.get<std::string>(), &m->text);
    }
  }
}

// What a terminal would obey is shown as a dot; a tab is a blank.
std::string Printable(std::string_view text) {
  std::string out;
  for (const std::string valid = base::ReplaceInvalidUtf8(text); char c : valid) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t') {
      out += "    ";
    } else if (byte < 0x20 || byte == 0x7f) {
      if (c != '\r') out += '.';
    } else {
      out += c;
    }
  }
  // C1 controls, in UTF-8 C2 80 to C2 9F, steer some terminals too.
  for (size_t at = out.find('\xc2'); at != std::string::npos && at + 1 < out.size(); at = out.find('\xc2', at + 1)) {
    if (static_cast<unsigned char>(out[at + 1]) < 0xa0) out.replace(at, 2, ".");
  }
  return out;
}

std::string ClockOf(base::Time t) {
  const std::time_t seconds = base::ToUnixMillis(t) / 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

std::string OneLine(std::string_view text) {
  text = text.substr(0, kMaxTitle);
  return base::ReplaceAll(base::ReplaceAll(std::string(base::Trim(text)), "\r", ""), "\n", " ");
}

}  // namespace

InboxMessage FromMail(const MailEnvelope& envelope, std::string_view data) {
  InboxMessage m;
  m.kind = "email";
  m.raw = data;
  const Mail mail = ReadMail(data);
  m.to = base::Join(envelope.to, ", ");
  m.title = OneLine(mail.Header("Subject"));
  m.status = StatusOf(m.title);
  AddLine("From: " + std::string(mail.Header("From").empty() ? std::string_view(envelope.from) : mail.Header("From")),
          &m.text);
  if (!envelope.user.empty()) AddLine("logged in as " + envelope.user + (envelope.tls ? " over TLS" : ""), &m.text);
  m.text += "\n" + mail.text;
  m.html = mail.html;
  return m;
}

InboxMessage FromHttp(std::string_view path, std::string_view body) {
  InboxMessage m;
  m.kind = "webhook";
  m.raw = body;
  m.to = path;
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) {
    m.text = body;
    m.title = OneLine(body.substr(0, body.find('\n')));
  } else if (json.is_object() && IsSlack(path, json)) {
    ReadSlack(json, &m);
    if (m.to.empty()) m.to = path;
  } else {
    ReadWebhook(json, &m);
  }
  m.title = OneLine(m.title);
  if (m.status.empty()) m.status = StatusOf(m.title);
  return m;
}

std::string RenderMessage(const InboxMessage& m, bool color) {
  auto paint = [color](std::string_view code, std::string text) {
    return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  };
  const std::string_view tone = m.status == "firing" ? "31" : m.status == "resolved" ? "32" : "36";
  const std::string bar = paint(tone, "|") + " ";
  std::string out = fmt::format("{}  {}  {}\n", paint("2", ClockOf(m.received)), paint("1", fmt::format("{:<7}", m.kind)),
                                Printable(OneLine(m.to)));
  out += bar + paint(fmt::format("1;{}", tone), Printable(m.title)) + "\n";
  const std::string text(base::Trim(m.text));
  size_t shown = 0, all = 0;
  for (std::string_view line : base::Split(text, '\n')) {
    if (++all > kMaxLines) continue;
    ++shown;
    const std::string clean = Printable(line);
    out += clean.empty() ? std::string(base::Trim(bar)) + "\n" : bar + clean + "\n";
  }
  if (all > shown) out += bar + paint("2", fmt::format("... {} more lines", all - shown)) + "\n";
  return out + "\n";
}

std::string MessageJson(const InboxMessage& m) {
  Json json = {{"id", m.id},       {"kind", m.kind},   {"receivedAt", base::FormatRfc3339Millis(m.received)},
               {"to", m.to},       {"title", m.title}, {"text", m.text},
               {"status", m.status}, {"raw", m.raw}};
  if (!m.html.empty()) json["html"] = m.html;
  return Dump(json);
}

}  // namespace tocsin::tools
