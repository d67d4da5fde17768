#include "scrape/negotiate.h"

#include <algorithm>

#include "base/number.h"
#include "base/text.h"

namespace tocsin::scrape {
namespace {

std::string_view HeaderOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kPrometheusProto:
      return "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    case Protocol::kPrometheusText0_0_4: return "text/plain;version=0.0.4";
    case Protocol::kPrometheusText1_0_0: return "text/plain;version=1.0.0";
    case Protocol::kOpenMetricsText0_0_1: return "application/openmetrics-text;version=0.0.1";
    case Protocol::kOpenMetricsText1_0_0: return "application/openmetrics-text;version=1.0.0";
  }
  return "";
}

std::string_view EscapingName(Escaping escaping) {
  for (const auto& [value, name] : kEscapingNames) {
    if (value == escaping) return name;
  }
  return "";
}

std::optional<BodyFormat> FormatOf(std::string_view media_type) {
  if (media_type == "application/openmetrics-text") return BodyFormat::kOpenMetrics;
  if (media_type == "application/vnd.google.protobuf") return BodyFormat::kProtobuf;
  if (media_type == "text/plain") return BodyFormat::kText;
  return std::nullopt;
}

bool IsTokenByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > ' ' && byte < 0x7f && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos;
}

std::string_view TakeToken(std::string_view* text) {
  size_t n = 0;
  while (n < text->size() && IsTokenByte((*text)[n])) ++n;
  const std::string_view token = text->substr(0, n);
  text->remove_prefix(n);
  return token;
}

void SkipSpace(std::string_view* text) {
  while (!text->empty() && (text->front() == ' ' || (text->front() >= '\t' && text->front() <= '\r'))) {
    text->remove_prefix(1);
  }
}

// Reads a token or a quoted string; false if there is neither.
bool TakeValue(std::string_view* text, std::string* value) {
  value->clear();
  if (!text->starts_with('"')) {
    *value = TakeToken(text);
    return !value->empty();
  }
  for (size_t i = 1; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '"') {
      text->remove_prefix(i + 1);
      return true;
    }
    if (c == '\\' && i + 1 < text->size()) {
      value->push_back((*text)[++i]);
    } else if (c == '\r' || c == '\n') {
      return false;
    } else {
      value->push_back(c);
    }
  }
  return false;
}

// Go's checkMediaTypeDisposition.
base::Status CheckType(std::string_view text) {
  if (TakeToken(&text).empty()) return base::InvalidArgument("mime: no media type");
  if (text.empty()) return {};
  if (text.front() != '/') return base::InvalidArgument("mime: expected slash after first token");
  text.remove_prefix(1);
  if (TakeToken(&text).empty()) return base::InvalidArgument("mime: expected token after slash");
  if (!text.empty()) return base::InvalidArgument("mime: unexpected content after media subtype");
  return {};
}

}  // namespace

std::string AcceptHeader(std::span<const Protocol> protocols, Escaping escaping) {
  std::string header;
  size_t weight = kProtocolNames.size() + 1;
  for (const Protocol protocol : protocols) {
    header += HeaderOf(protocol);
    // Only the newer text formats know names that need escaping.
    if (protocol == Protocol::kPrometheusText1_0_0 || protocol == Protocol::kOpenMetricsText1_0_0) {
      header.append(";escaping=").append(EscapingName(escaping));
    }
    header += ";q=0." + std::to_string(weight--) + ",";
  }
  return header + "*/*;q=0." + std::to_string(weight);
}

std::vector<Protocol> DefaultProtocols(bool native_histograms) {
  std::vector<Protocol> protocols;
  if (native_histograms) protocols.push_back(Protocol::kPrometheusProto);
  protocols.insert(protocols.end(), {Protocol::kOpenMetricsText1_0_0, Protocol::kOpenMetricsText0_0_1,
                                     Protocol::kPrometheusText1_0_0, Protocol::kPrometheusText0_0_4});
  return protocols;
}

base::Result<std::string> ParseMediaType(std::string_view header) {
  const size_t semicolon = header.find(';');
  const std::string type = base::ToLower(base::Trim(header.substr(0, semicolon)));
  RETURN_IF_ERROR(CheckType(type));
  std::string_view rest = semicolon == std::string_view::npos ? "" : header.substr(semicolon);
  std::vector<std::string> names;
  while (true) {
    SkipSpace(&rest);
    if (rest.empty()) return type;
    std::string_view parameter = rest;
    std::string name;
    std::string value;
    bool ok = parameter.starts_with(';');
    if (ok) {
      parameter.remove_prefix(1);
      SkipSpace(&parameter);
      name = base::ToLower(TakeToken(&parameter));
      SkipSpace(&parameter);
      ok = !name.empty() && parameter.starts_with('=');
    }
    if (ok) {
      parameter.remove_prefix(1);
      SkipSpace(&parameter);
      ok = TakeValue(&parameter, &value);
    }
    if (!ok) {
      // A semicolon at the end is what many servers send.
      if (base::Trim(rest) == ";") return type;
      return base::InvalidArgument("mime: invalid media parameter");
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return base::InvalidArgument("mime: duplicate parameter name");
    }
    names.push_back(std::move(name));
    rest = parameter;
  }
}

MediaType ReadMediaType(std::string_view content_type, std::optional<Protocol> fallback) {
  MediaType result;
  std::string fallback_type;
  if (fallback) {
    fallback_type = HeaderOf(*fallback);
    fallback_type.resize(fallback_type.find(';'));
    result.format = FormatOf(fallback_type);
  }
  const std::string what_now =
      fallback ? ", using fallback_scrape_protocol " + base::Quote(fallback_type)
               : std::string(" and no fallback_scrape_protocol specified for target");
  if (content_type.empty()) {
    result.problem = "non-compliant scrape target sending blank Content-Type" + what_now;
    return result;
  }
  const auto type = ParseMediaType(content_type);
  if (!type) {
    result.problem = "received unparsable Content-Type " + base::Quote(content_type) + what_now + ": " +
                     type.error().message();
    return result;
  }
  if (const auto format = FormatOf(*type)) return {.format = format, .problem = ""};
  result.problem = "received unsupported Content-Type " + base::Quote(content_type) + what_now;
  return result;
}

}  // namespace tocsin::scrape
