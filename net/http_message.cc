#include "net/http_message.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/digest.h"
#include "base/text.h"

namespace tocsin::net {
namespace {

bool IsTokenChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsUnsafe(char c) { return c == '\r' || c == '\n' || c == '\0'; }

std::string SafeValue(std::string_view value) {
  std::string out(value);
  std::ranges::replace_if(out, IsUnsafe, ' ');
  return std::string(base::Trim(out));
}

struct StatusName {
  int status;
  std::string_view text;
};
constexpr StatusName kStatusNames[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Requested Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Entity"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

HttpResponse WithType(int status, std::string body, std::string_view type) {
  HttpResponse out;
  out.status = status;
  out.headers.Set("Content-Type", type);
  out.body = std::move(body);
  return out;
}

}  // namespace

bool IsHeaderName(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, IsTokenChar);
}

bool IsHeaderValue(std::string_view value) { return std::ranges::none_of(value, IsUnsafe); }

Headers::Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  for (const auto& [name, value] : fields) Add(name, value);
}

void Headers::Add(std::string_view name, std::string_view value) {
  if (!IsHeaderName(name)) return;
  fields_.emplace_back(name, SafeValue(value));
}

void Headers::Set(std::string_view name, std::string_view value) {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (!base::EqualsIgnoreCase(fields_[i].first, name)) continue;
    // The first keeps its place; later ones of that name go.
    fields_[i].second = SafeValue(value);
    fields_.erase(std::remove_if(fields_.begin() + static_cast<ptrdiff_t>(i) + 1, fields_.end(),
                                 [&](const Field& f) {
                                   return base::EqualsIgnoreCase(f.first, name);
                                 }),
                  fields_.end());
    return;
  }
  Add(name, value);
}

void Headers::SetDefault(std::string_view name, std::string_view value) {
  if (!Has(name)) Add(name, value);
}

void Headers::Remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& f) { return base::EqualsIgnoreCase(f.first, name); });
}

bool Headers::Has(std::string_view name) const {
  return std::ranges::any_of(
      fields_, [&](const Field& f) { return base::EqualsIgnoreCase(f.first, name); });
}

std::string_view Headers::Get(std::string_view name) const {
  for (const Field& f : fields_) {
    if (base::EqualsIgnoreCase(f.first, name)) return f.second;
  }
  return {};
}

std::vector<std::string_view> Headers::All(std::string_view name) const {
  std::vector<std::string_view> out;
  for (const Field& f : fields_) {
    if (base::EqualsIgnoreCase(f.first, name)) out.push_back(f.second);
  }
  return out;
}

bool Headers::HasToken(std::string_view name, std::string_view token) const {
  for (std::string_view value : All(name)) {
    for (std::string_view part : base::Split(value, ',')) {
      if (base::EqualsIgnoreCase(base::Trim(part), token)) return true;
    }
  }
  return false;
}

Params Params::Parse(std::string_view text, base::Status* error) {
  Params out;
  auto complain = [&](std::string message) {
    if (error != nullptr && error->has_value()) *error = base::InvalidArgument(std::move(message));
  };
  // The part of an escape that Go quotes: up to three bytes from the bad percent sign.
  auto bad_escape = [](std::string_view s) {
    for (size_t i = 0; i < s.size(); ++i) {
      if (s[i] != '%') continue;
      auto hex = [&](size_t at) { return at < s.size() && isxdigit(static_cast<unsigned char>(s[at])); };
      if (!hex(i + 1) || !hex(i + 2)) return std::string(s.substr(i, 3));
      i += 2;
    }
    return std::string(s);
  };
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.find(';') != std::string_view::npos) {
      complain("invalid semicolon separator in query");
      continue;
    }
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const std::string_view raw_name = pair.substr(0, equals);
    const std::string_view raw_value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    std::string name, value;
    if (!base::QueryUnescape(raw_name, &name)) {
      complain("invalid URL escape \"" + bad_escape(raw_name) + "\"");
    } else if (!base::QueryUnescape(raw_value, &value)) {
      complain("invalid URL escape \"" + bad_escape(raw_value) + "\"");
    } else {
      out.pairs_.emplace_back(std::move(name), std::move(value));
    }
  }
  return out;
}

namespace {

// NAME of `value; NAME=text; other="text"`; empty if there is none.
std::string_view HeaderParameter(std::string_view header, std::string_view name) {
  for (const std::string_view part : base::Split(header, ';')) {
    const std::string_view trimmed = base::Trim(part);
    const size_t equals = trimmed.find('=');
    if (equals == trimmed.npos || !base::EqualsIgnoreCase(trimmed.substr(0, equals), name)) continue;
    std::string_view text = trimmed.substr(equals + 1);
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    return text;
  }
  return {};
}

}  // namespace

base::Result<Params> Params::ParseMultipart(std::string_view body, std::string_view boundary) {
  if (boundary.empty()) return base::InvalidArgument("no multipart boundary param in Content-Type");
  Params out;
  const std::string first = "--" + std::string(boundary), delimiter = "\r\n" + first;
  size_t at = body.starts_with(first) ? first.size() : body.find(delimiter);
  if (at == body.npos) return base::InvalidArgument("multipart: the body has no part");
  if (!body.starts_with(first)) at += delimiter.size();
  while (!body.substr(at).starts_with("--")) {
    const size_t text = body.find("\r\n\r\n", at);
    const size_t end = text == body.npos ? text : body.find(delimiter, text + 2);
    if (end == body.npos) return base::InvalidArgument("multipart: a part has no end");
    for (const std::string_view line : base::Split(body.substr(at, text - at), '\n')) {
      const size_t colon = line.find(':');
      if (colon == line.npos || !base::EqualsIgnoreCase(line.substr(0, colon), "Content-Disposition")) continue;
      const std::string_view disposition = base::Trim(line.substr(colon + 1));
      const std::string_view name = HeaderParameter(disposition, "name");
      if (name.empty() || !HeaderParameter(disposition, "filename").empty()) continue;
      out.Add(name, end < text + 4 ? std::string_view() : body.substr(text + 4, end - text - 4));
    }
    at = end + delimiter.size();
  }
  return out;
}

std::string_view Params::Get(std::string_view name) const {
  for (const auto& [key, value] : pairs_) {
    if (key == name) return value;
  }
  return {};
}

bool Params::Has(std::string_view name) const {
  return std::ranges::any_of(pairs_, [&](const auto& p) { return p.first == name; });
}

std::vector<std::string> Params::All(std::string_view name) const {
  std::vector<std::string> out;
  for (const auto& [key, value] : pairs_) {
    if (key == name) out.push_back(value);
  }
  return out;
}

void Params::Add(std::string_view name, std::string_view value) { pairs_.emplace_back(name, value); }

void Params::Append(const Params& other) {
  pairs_.insert(pairs_.end(), other.pairs_.begin(), other.pairs_.end());
}

std::string Params::Encode() const {
  auto sorted = pairs_;
  std::ranges::stable_sort(sorted, {}, &std::pair<std::string, std::string>::first);
  std::string out;
  for (const auto& [name, value] : sorted) {
    if (!out.empty()) out += '&';
    out += base::QueryEscape(name) + "=" + base::QueryEscape(value);
  }
  return out;
}

base::Result<Params> HttpRequest::Form() const {
  Params form;
  base::Status error;
  if (method == "POST" || method == "PUT" || method == "PATCH") {
    const std::string_view written = headers.Get("Content-Type");
    const std::string_view type = base::Trim(written.substr(0, written.find(';')));
    if (base::EqualsIgnoreCase(type, "application/x-www-form-urlencoded")) {
      form = Params::Parse(body, &error);
    } else if (base::EqualsIgnoreCase(type, "multipart/form-data")) {
      ASSIGN_OR_RETURN(form, Params::ParseMultipart(body, HeaderParameter(written, "boundary")));
    }
  }
  form.Append(Params::Parse(raw_query, &error));
  RETURN_IF_ERROR(std::move(error));
  return form;
}

bool HttpRequest::BasicAuth(std::string* user, std::string* password) const {
  std::string_view value = headers.Get("Authorization");
  if (value.size() < 6 || !base::EqualsIgnoreCase(value.substr(0, 6), "basic ")) return false;
  std::string decoded;
  if (!base::Base64Decode(value.substr(6), &decoded)) return false;
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos) return false;
  *user = decoded.substr(0, colon);
  *password = decoded.substr(colon + 1);
  return true;
}

HttpResponse HttpResponse::Text(int status, std::string body) {
  return WithType(status, std::move(body), "text/plain; charset=utf-8");
}
HttpResponse HttpResponse::Json(int status, std::string body) {
  return WithType(status, std::move(body), "application/json");
}
HttpResponse HttpResponse::Html(int status, std::string body) {
  return WithType(status, std::move(body), "text/html; charset=utf-8");
}
HttpResponse HttpResponse::Redirect(int status, std::string_view location) {
  HttpResponse out;
  out.status = status;
  out.headers.Set("Location", location);
  return out;
}

std::string_view StatusText(int status) {
  for (const StatusName& name : kStatusNames) {
    if (name.status == status) return name.text;
  }
  return {};
}

std::string FormatHttpDate(base::Time t) {
  using namespace std::chrono;
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = floor<days>(t);
  const year_month_day date(day);
  const hh_mm_ss time(floor<seconds>(t - day));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[weekday(day).c_encoding()],
                     unsigned(date.day()), kMonths[unsigned(date.month()) - 1], int(date.year()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace tocsin::net
