// How a configuration prints: as Go's encoder would, in the tables' order, secrets masked.

#include <fmt/format.h>

#include "alertmanager/config.h"
#include "alertmanager/config_block.h"
#include "base/duration.h"
#include "base/url.h"

namespace tocsin::alertmanager {

void PrintKey(int indent, std::string_view key, std::string* out) {
  out->append(static_cast<size_t>(indent), ' ');
  *out += base::yaml::QuoteScalar(key);
  *out += ':';
}

namespace {

void PrintRaw(int indent, std::string_view key, std::string_view value, std::string* out) {
  PrintKey(indent, key, out);
  *out += ' ';
  *out += value;
  *out += '\n';
}

// A text as YAML, block style when it has line feeds.
void PrintScalar(int indent, std::string_view value, std::string* out) {
  const bool block = value.find('\n') != std::string_view::npos && value.find_first_of("\r\t") == std::string_view::npos &&
                     value.front() != ' ' && value.front() != '\n';
  if (!block) {
    *out += base::yaml::QuoteScalar(value);
    *out += '\n';
    return;
  }
  *out += value.ends_with("\n\n") ? "|+" : value.ends_with('\n') ? "|" : "|-";
  *out += '\n';
  if (value.ends_with('\n')) value.remove_suffix(1);
  for (;;) {
    const size_t end = value.find('\n');
    const std::string_view line = value.substr(0, end);
    if (!line.empty()) {
      out->append(static_cast<size_t>(indent) + 2, ' ');
      *out += line;
    }
    *out += '\n';
    if (end == std::string_view::npos) return;
    value.remove_prefix(end + 1);
  }
}

void PrintTexts(int indent, std::string_view key, const std::vector<std::string>& list, std::string* out) {
  if (list.empty()) {
    PrintRaw(indent, key, "[]", out);
    return;
  }
  PrintKey(indent, key, out);
  *out += '\n';
  for (const std::string& item : list) {
    out->append(static_cast<size_t>(indent), ' ');
    *out += "- ";
    PrintScalar(indent, item, out);
  }
}

void PrintMap(int indent, std::string_view key, const Pairs& map, std::string* out) {
  if (map.empty()) {
    PrintRaw(indent, key, "{}", out);
    return;
  }
  PrintKey(indent, key, out);
  *out += '\n';
  for (const auto& [name, value] : map) PrintText(indent + 2, name, value, out);
}

void PrintNode(int indent, const base::yaml::Node& node, std::string* out) {
  if (node.IsScalar()) {
    *out += ' ';
    if (node.style == base::yaml::Node::Style::kPlain) {
      *out += node.text + "\n";
    } else {
      PrintScalar(indent, node.text, out);
    }
  } else if (node.IsMapping() && !node.entries.empty()) {
    *out += '\n';
    for (const auto& entry : node.entries) {
      PrintKey(indent + 2, entry.key.text, out);
      PrintNode(indent + 2, entry.value, out);
    }
  } else if (node.IsSequence() && !node.items.empty()) {
    *out += '\n';
    for (const auto& item : node.items) {
      out->append(static_cast<size_t>(indent) + 2, ' ');
      *out += '-';
      PrintNode(indent + 2, item, out);
    }
  } else {
    *out += node.IsMapping() ? " {}\n" : node.IsSequence() ? " []\n" : " null\n";
  }
}

// Prints what `print` writes at `indent` + 2 as a list item: its first line behind a dash.
template <class Print>
void PrintItem(int indent, Print print, std::string* out) {
  std::string body;
  print(indent + 2, &body);
  if (body.empty()) body = std::string(static_cast<size_t>(indent) + 2, ' ') + "{}\n";
  body[static_cast<size_t>(indent)] = '-';
  *out += body;
}

}  // namespace

void PrintText(int indent, std::string_view key, std::string_view value, std::string* out) {
  PrintKey(indent, key, out);
  *out += ' ';
  PrintScalar(indent, value, out);
}

void PrintTlsConfig(int indent, const net::TlsConfig& c, std::string* out) {
  auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) PrintText(indent, key, value, out);
  };
  text("ca", c.ca);
  text("cert", c.cert);
  text("key", c.key.empty() ? std::string_view() : kMaskedSecret);
  text("ca_file", c.ca_file);
  text("cert_file", c.cert_file);
  text("key_file", c.key_file);
  text("server_name", c.server_name);
  PrintRaw(indent, "insecure_skip_verify", c.insecure_skip_verify ? "true" : "false", out);
  text("min_version", net::TlsVersionName(c.min_version));
  text("max_version", net::TlsVersionName(c.max_version));
}

namespace {

void PrintProxy(int indent, const net::ProxyConfig& c, std::string* out) {
  if (!c.proxy_url.empty()) PrintText(indent, "proxy_url", base::RedactUrl(c.proxy_url), out);
  if (!c.no_proxy.empty()) PrintText(indent, "no_proxy", c.no_proxy, out);
  if (c.from_environment) PrintRaw(indent, "proxy_from_environment", "true", out);
  if (!c.connect_headers.empty()) {
    PrintKey(indent, "proxy_connect_header", out);
    *out += '\n';
    for (const auto& [name, values] : c.connect_headers) {
      PrintTexts(indent + 2, name, std::vector<std::string>(values.size(), std::string(kMaskedSecret)), out);
    }
  }
}

void PrintOAuth2(int indent, const net::OAuth2& c, std::string* out) {
  auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) PrintText(indent, key, value, out);
  };
  PrintText(indent, "client_id", c.client_id, out);
  if (!c.client_secret.empty()) PrintText(indent, "client_secret", kMaskedSecret, out);
  text("client_secret_file", c.client_secret_file);
  if (!c.client_certificate_key.empty()) PrintText(indent, "client_certificate_key", kMaskedSecret, out);
  text("client_certificate_key_file", c.client_certificate_key_file);
  text("client_certificate_key_id", c.client_certificate_key_id);
  text("grant_type", c.grant_type);
  text("signature_algorithm", c.signature_algorithm);
  text("iss", c.issuer);
  text("audience", c.audience);
  if (!c.scopes.empty()) PrintTexts(indent, "scopes", c.scopes, out);
  PrintText(indent, "token_url", c.token_url, out);
  if (!c.endpoint_params.empty()) PrintMap(indent, "endpoint_params", c.endpoint_params, out);
  if (!(c.tls == net::TlsConfig())) {
    PrintKey(indent, "tls_config", out);
    *out += '\n';
    PrintTlsConfig(indent + 2, c.tls, out);
  }
  PrintProxy(indent, c.proxy, out);
}

}  // namespace

void PrintHttpConfig(int indent, const net::HttpConfig& c, std::string* out) {
  auto open = [&](std::string_view key) {
    PrintKey(indent, key, out);
    *out += '\n';
  };
  auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) PrintText(indent + 2, key, value, out);
  };
  if (c.basic_auth) {
    open("basic_auth");
    text("username", c.basic_auth->username);
    text("username_file", c.basic_auth->username_file);
    text("password", c.basic_auth->password.empty() ? std::string_view() : kMaskedSecret);
    text("password_file", c.basic_auth->password_file);
  }
  if (c.authorization) {
    open("authorization");
    text("type", c.authorization->type);
    text("credentials", c.authorization->credentials.empty() ? std::string_view() : kMaskedSecret);
    text("credentials_file", c.authorization->credentials_file);
  }
  if (c.oauth2) {
    open("oauth2");
    PrintOAuth2(indent + 2, *c.oauth2, out);
  }
  if (!(c.tls == net::TlsConfig())) {
    open("tls_config");
    PrintTlsConfig(indent + 2, c.tls, out);
  }
  PrintRaw(indent, "follow_redirects", c.follow_redirects ? "true" : "false", out);
  PrintRaw(indent, "enable_http2", c.enable_http2 ? "true" : "false", out);
  PrintProxy(indent, c.proxy, out);
  if (c.headers.empty()) return;
  open("http_headers");
  for (const net::HttpHeaderValues& h : c.headers) {
    PrintKey(indent + 2, h.name, out);
    *out += '\n';
    if (!h.values.empty()) PrintTexts(indent + 4, "values", h.values, out);
    if (!h.secrets.empty()) {
      PrintTexts(indent + 4, "secrets", std::vector<std::string>(h.secrets.size(), std::string(kMaskedSecret)), out);
    }
    if (!h.files.empty()) PrintTexts(indent + 4, "files", h.files, out);
  }
}

void Block::Print(int indent, std::string* out) const {
  for (size_t i = 0; i < values_.size(); ++i) PrintField(i, indent, out);
}

void Block::PrintField(size_t i, int indent, std::string* out) const {
  const Field& f = table_->fields[i];
  const Value& v = values_[i];
  if (f.show == Show::kNotEmpty && IsEmpty(i)) return;
  if (f.show == Show::kIfSet && !v.set && IsEmpty(i)) return;
  if (f.show == Show::kIfWritten && v.at.line == 0) return;
  switch (f.kind) {
    case Kind::kSecret:
    case Kind::kSecretUrl:
      PrintRaw(indent, f.key, kMaskedSecret, out);
      break;
    case Kind::kText:
    case Kind::kPath:
    case Kind::kUrl:
    case Kind::kTemplateUrl:
    case Kind::kHostPort:
      PrintText(indent, f.key, Text(f.key), out);
      break;
    case Kind::kBool:
      PrintRaw(indent, f.key, Flag(f.key) ? "true" : "false", out);
      break;
    case Kind::kInt:
      PrintRaw(indent, f.key, std::to_string(Number(f.key)), out);
      break;
    case Kind::kDuration:
      PrintRaw(indent, f.key, base::FormatDuration(Span(f.key)), out);
      break;
    case Kind::kGoDuration:
      PrintRaw(indent, f.key, base::FormatGoDuration(Span(f.key)), out);
      break;
    case Kind::kTexts:
      PrintTexts(indent, f.key, Texts(f.key), out);
      break;
    case Kind::kTextMap:
      PrintMap(indent, f.key, Map(f.key), out);
      break;
    case Kind::kBlock: {
      if (Blocks(f.key).empty()) break;
      std::string body;
      Blocks(f.key).front().Print(indent + 2, &body);
      PrintKey(indent, f.key, out);
      *out += body.empty() ? " {}\n" : "\n" + body;
      break;
    }
    case Kind::kBlocks:
      PrintKey(indent, f.key, out);
      *out += Blocks(f.key).empty() ? " []\n" : "\n";
      for (const Block& b : Blocks(f.key)) {
        PrintItem(indent, [&](int at, std::string* o) { b.Print(at, o); }, out);
      }
      break;
    case Kind::kHttp:
      PrintKey(indent, f.key, out);
      *out += '\n';
      PrintHttpConfig(indent + 2, *Http(f.key), out);
      break;
    case Kind::kTls:
      PrintKey(indent, f.key, out);
      *out += '\n';
      PrintTlsConfig(indent + 2, *Tls(f.key), out);
      break;
    case Kind::kTree:
      PrintKey(indent, f.key, out);
      PrintNode(indent, *Tree(f.key), out);
      break;
  }
}

namespace {

std::vector<std::string> MatcherTexts(const Matchers& matchers) {
  std::vector<std::string> out;
  for (const Matcher& m : matchers) out.push_back(m.ToString());
  return out;
}

void PrintRoute(int indent, const RouteConfig& r, std::string* out) {
  if (!r.receiver.empty()) PrintText(indent, "receiver", r.receiver, out);
  if (r.group_by && !r.group_by->empty()) PrintTexts(indent, "group_by", *r.group_by, out);
  if (!r.match.empty()) PrintMap(indent, "match", r.match, out);
  if (!r.match_re.empty()) PrintMap(indent, "match_re", r.match_re, out);
  if (!r.matchers.empty()) PrintTexts(indent, "matchers", MatcherTexts(r.matchers), out);
  if (!r.mute_time_intervals.empty()) PrintTexts(indent, "mute_time_intervals", r.mute_time_intervals, out);
  if (!r.active_time_intervals.empty()) PrintTexts(indent, "active_time_intervals", r.active_time_intervals, out);
  PrintRaw(indent, "continue", r.continue_matching ? "true" : "false", out);
  if (!r.routes.empty()) {
    PrintKey(indent, "routes", out);
    *out += '\n';
    for (const RouteConfig& child : r.routes) {
      PrintItem(indent, [&](int at, std::string* o) { PrintRoute(at, child, o); }, out);
    }
  }
  if (r.group_wait) PrintRaw(indent, "group_wait", base::FormatDuration(*r.group_wait), out);
  if (r.group_interval) PrintRaw(indent, "group_interval", base::FormatDuration(*r.group_interval), out);
  if (r.repeat_interval) PrintRaw(indent, "repeat_interval", base::FormatDuration(*r.repeat_interval), out);
  if (!r.labels.empty()) PrintMap(indent, "labels", r.labels, out);
}

void PrintInhibitRule(int indent, const InhibitRuleConfig& r, std::string* out) {
  if (!r.name.empty()) PrintText(indent, "name", r.name, out);
  if (!r.source_match.empty()) PrintMap(indent, "source_match", r.source_match, out);
  if (!r.source_match_re.empty()) PrintMap(indent, "source_match_re", r.source_match_re, out);
  if (!r.source_matchers.empty()) PrintTexts(indent, "source_matchers", MatcherTexts(r.source_matchers), out);
  if (!r.target_match.empty()) PrintMap(indent, "target_match", r.target_match, out);
  if (!r.target_match_re.empty()) PrintMap(indent, "target_match_re", r.target_match_re, out);
  if (!r.target_matchers.empty()) PrintTexts(indent, "target_matchers", MatcherTexts(r.target_matchers), out);
  if (!r.equal.empty()) PrintTexts(indent, "equal", r.equal, out);
}

void PrintReceiver(int indent, const ReceiverConfig& r, std::string* out) {
  PrintText(indent, "name", r.name, out);
  Pairs labels = r.labels;
  std::erase_if(labels, [](const auto& l) { return l.first == "name"; });
  if (!labels.empty()) PrintMap(indent, "labels", labels, out);
  const ReceiverKind* current = nullptr;
  for (const IntegrationConfig& i : r.integrations) {
    if (i.kind != current) {
      PrintKey(indent, i.kind->key, out);
      *out += '\n';
      current = i.kind;
    }
    PrintItem(indent, [&](int at, std::string* o) { i.block.Print(at, o); }, out);
  }
}

void PrintIntervals(std::string_view key, const std::vector<NamedTimeInterval>& list, std::string* out) {
  if (list.empty()) return;
  PrintKey(0, key, out);
  *out += '\n';
  for (const NamedTimeInterval& named : list) {
    PrintItem(0, [&](int at, std::string* o) {
      PrintText(at, "name", named.name, o);
      PrintKey(at, "time_intervals", o);
      *o += named.intervals.empty() ? " []\n" : "\n";
      for (const TimeInterval& i : named.intervals) i.Print(at, o);
    }, out);
  }
}

}  // namespace

std::string Config::ToYaml() const {
  std::string out = "global:\n";
  global.Print(2, &out);
  out += "route:\n";
  PrintRoute(2, route, &out);
  if (!inhibit_rules.empty()) out += "inhibit_rules:\n";
  for (const InhibitRuleConfig& r : inhibit_rules) {
    PrintItem(0, [&](int at, std::string* o) { PrintInhibitRule(at, r, o); }, &out);
  }
  if (!receivers.empty()) out += "receivers:\n";
  for (const ReceiverConfig& r : receivers) {
    PrintItem(0, [&](int at, std::string* o) { PrintReceiver(at, r, o); }, &out);
  }
  PrintTexts(0, "templates", templates, &out);
  PrintIntervals("mute_time_intervals", mute_time_intervals, &out);
  PrintIntervals("time_intervals", time_intervals, &out);
  if (event_recorder) {
    out += "event_recorder:\n";
    event_recorder->Print(2, &out);
  }
  return out;
}

}  // namespace tocsin::alertmanager
