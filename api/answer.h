#pragma once

// What a handler of /api/v1 gives back: data, nothing, or an error; and its form on the wire.
// Threads: plain values; made on workers, sent on the loop.

#include <string>
#include <string_view>
#include <vector>

#include "api/http/json.h"
#include "base/result.h"
#include "net/http_message.h"

namespace tocsin::api {

enum class ErrorType {
  kBadData, kExecution, kCanceled, kTimeout, kInternal, kNotFound, kNotAcceptable, kUnavailable,
};
std::string_view ErrorTypeName(ErrorType t);  // bad_data, execution, ...
int StatusOf(ErrorType t);                    // 400, 422, ...

class Answer {
 public:
  // {"status":"success","data":...}: the caller writes exactly one value with json().
  static Answer Data() {
    Answer a;
    a.body_ = "{\"status\":\"success\",\"data\":";
    return a;
  }
  static Answer Nothing() { return Answer(); }  // 204
  static Answer Error(ErrorType type, std::string_view message);
  // bad_data: invalid parameter "step": ...
  static Answer BadParam(std::string_view name, std::string_view message);
  // Of the engine or the storage, with the type that fits.
  static Answer Error(const base::Error& error);

  JsonWriter json() { return JsonWriter(&body_); }
  void AddWarning(std::string text) { warnings_.push_back(std::move(text)); }
  void SetAnnotations(std::vector<std::string> warnings, std::vector<std::string> infos) {
    warnings_ = std::move(warnings);
    infos_ = std::move(infos);
  }

  net::HttpResponse ToResponse() &&;

 private:
  int status_ = 204;
  std::string body_;
  std::vector<std::string> warnings_;
  std::vector<std::string> infos_;
};

}  // namespace tocsin::api
