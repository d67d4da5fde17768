#include "api/answer.h"

#include <fmt/core.h>

#include "base/number.h"

namespace tocsin::api {

std::string_view ErrorTypeName(ErrorType t) {
  switch (t) {
    case ErrorType::kBadData: return "bad_data";
    case ErrorType::kExecution: return "execution";
    case ErrorType::kCanceled: return "canceled";
    case ErrorType::kTimeout: return "timeout";
    case ErrorType::kInternal: return "internal";
    case ErrorType::kNotFound: return "not_found";
    case ErrorType::kNotAcceptable: return "not_acceptable";
    case ErrorType::kUnavailable: return "unavailable";
  }
  return "internal";
}

int StatusOf(ErrorType t) {
  switch (t) {
    case ErrorType::kBadData: return 400;
    case ErrorType::kExecution: return 422;
    case ErrorType::kCanceled: return 499;
    case ErrorType::kTimeout: return 503;
    case ErrorType::kNotFound: return 404;
    case ErrorType::kNotAcceptable: return 406;
    case ErrorType::kInternal:
    case ErrorType::kUnavailable: return 500;
  }
  return 500;
}

Answer Answer::Error(ErrorType type, std::string_view message) {
  Answer a;
  a.status_ = StatusOf(type);
  JsonWriter json(&a.body_);
  json.BeginObject();
  json.Member("status", "error");
  json.Member("errorType", ErrorTypeName(type));
  json.Member("error", message);
  json.EndObject();
  return a;
}

Answer Answer::BadParam(std::string_view name, std::string_view message) {
  return Error(ErrorType::kBadData,
               fmt::format("invalid parameter {}: {}", base::Quote(name), message));
}

Answer Answer::Error(const base::Error& error) {
  ErrorType type = ErrorType::kInternal;
  switch (error.code()) {
    case base::Code::kInvalidArgument: type = ErrorType::kBadData; break;
    case base::Code::kCancelled: type = ErrorType::kCanceled; break;
    case base::Code::kDeadlineExceeded: type = ErrorType::kTimeout; break;
    case base::Code::kNotFound: type = ErrorType::kNotFound; break;
    // A failed evaluation, or one that would have taken more samples than it may.
    case base::Code::kFailedPrecondition:
    case base::Code::kResourceExhausted: type = ErrorType::kExecution; break;
    default: break;
  }
  return Error(type, error.message());
}

net::HttpResponse Answer::ToResponse() && {
  if (body_.empty()) {
    net::HttpResponse response;
    response.status = status_;
    return response;
  }
  if (status_ != 204) return net::HttpResponse::Json(status_, std::move(body_));
  auto list = [this](std::string_view name, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    body_ += fmt::format(",\"{}\":", name);
    JsonWriter json(&body_);
    json.BeginArray();
    for (const std::string& text : texts) json.String(text);
    json.EndArray();
  };
  list("warnings", warnings_);
  list("infos", infos_);
  body_ += '}';
  return net::HttpResponse::Json(200, std::move(body_));
}

}  // namespace tocsin::api
