#pragma once

// HTTP requests and responses as values, for the server and the client.
// Threads: plain values.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tocsin::net {

// Header fields in order; names compare without case.  What could break out of a field (CR, LF, NUL
// in a value) becomes a space and a name that is no HTTP token is dropped, so that text of users
// never injects a header.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

  void Add(std::string_view name, std::string_view value);
  void Set(std::string_view name, std::string_view value);  // replaces all of that name
  void SetDefault(std::string_view name, std::string_view value);  // unless it is there
  void Remove(std::string_view name);
  bool Has(std::string_view name) const;
  std::string_view Get(std::string_view name) const;  // the first, else empty
  std::vector<std::string_view> All(std::string_view name) const;
  // Whether a comma-separated header holds `token`, without case: Has("Connection", "close").
  bool HasToken(std::string_view name, std::string_view token) const;

  bool empty() const { return fields_.empty(); }
  size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

bool IsHeaderName(std::string_view name);    // an HTTP token
bool IsHeaderValue(std::string_view value);  // no CR, LF, NUL

// Decoded parameters of a query string or a form, in order; a name may repeat.
class Params {
 public:
  Params() = default;
  // As Go's url.ParseQuery: pairs that cannot be decoded are left out, and the first of them is told
  // in *error (kInvalidArgument, Go's words) when given.
  static Params Parse(std::string_view text, base::Status* error = nullptr);

  // The fields of a multipart/form-data body, without its files.  Errors: kInvalidArgument.
  static base::Result<Params> ParseMultipart(std::string_view body, std::string_view boundary);

  std::string_view Get(std::string_view name) const;  // the first, else empty
  bool Has(std::string_view name) const;
  std::vector<std::string> All(std::string_view name) const;
  void Add(std::string_view name, std::string_view value);
  void Append(const Params& other);
  std::string Encode() const;  // a=b&c=d, sorted by name as Go does

  bool empty() const { return pairs_.empty(); }
  auto begin() const { return pairs_.begin(); }
  auto end() const { return pairs_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct HttpRequest {
  std::string method;          // GET
  std::string target;          // as sent: /api/v1/query?query=up
  std::string path;            // decoded, without query: /api/v1/query
  std::string raw_path;        // not decoded
  std::string raw_query;       // query=up
  Params query;                // decoded
  Headers headers;
  std::string body;
  std::string remote_address;  // 127.0.0.1:51234, [::1]:51234
  bool tls = false;
  int version_major = 1;
  int version_minor = 1;
  base::Time received{};       // when the head was complete

  // The form's parameters (of an application/x-www-form-urlencoded or multipart/form-data body of POST, PUT or PATCH)
  // followed by the query's, as Go's Request.Form.
  // Errors: kInvalidArgument for what cannot be decoded.
  base::Result<Params> Form() const;
  // user and password of `Authorization: Basic`; false if absent or malformed.
  bool BasicAuth(std::string* user, std::string* password) const;
};

// Gives the next part of a streamed body: an empty string ends it, an error breaks the connection so
// that the client knows.  Called on the loop.
using BodyPart = std::move_only_function<void(base::Result<std::string>)>;
// Asked on the loop for the next part whenever the connection can take more; it calls the BodyPart
// once, on the loop, at once or later (say after work on a lane).
using BodySource = std::move_only_function<void(BodyPart next)>;

struct HttpResponse {
  int status = 200;
  Headers headers;  // Content-Length, Transfer-Encoding, Connection and Date are the server's
  std::string body;
  std::shared_ptr<const std::string> shared_body;  // instead of `body`, for what many requests get
  BodySource stream;                               // instead of both; sent in chunks
  bool compress = true;                            // false: already compressed, or must not be

  static HttpResponse Text(int status, std::string body);  // text/plain; charset=utf-8
  static HttpResponse Json(int status, std::string body);  // application/json
  static HttpResponse Html(int status, std::string body);
  static HttpResponse Redirect(int status, std::string_view location);
};

std::string_view StatusText(int status);  // "Not Found"; empty if unknown

// Time as HTTP writes it: Mon, 02 Jan 2006 15:04:05 GMT.
std::string FormatHttpDate(base::Time t);

}  // namespace tocsin::net
