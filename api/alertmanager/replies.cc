#include "api/alertmanager/replies.h"

#include <string>

#include "api/http/json.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::api {

net::HttpResponse JsonText(int status, std::string_view text) {
  std::string body;
  JsonWriter(&body).String(text);
  return net::HttpResponse::Json(status, body + "\n");
}

net::HttpResponse CodeAndMessage(int status, int code, std::string_view message) {
  std::string body;
  JsonWriter json(&body);
  json.BeginObject();
  json.Member("code", code);
  json.Member("message", message);
  json.EndObject();
  return net::HttpResponse::Json(status, std::move(body));
}

Replies::Replies(base::Executor* executor, base::Registry* registry, AlertmanagerApiOptions options)
    : executor_(executor), options_(options) {
  over_limit_ = registry
                    ->AddCounterFamily("alertmanager_http_concurrency_limit_exceeded_total",
                                       "Requests refused because too many were being answered.", {"method"})
                    ->With({"get"});
  in_flight_ = registry
                   ->AddGaugeFamily("alertmanager_http_requests_in_flight",
                                    "Requests being answered now.", {"method"})
                   ->With({"get"});
}

bool Replies::Enter(const ExchangePtr& x) {
  if (running_ < options_.get_concurrency) {
    ++running_;
    in_flight_->Set(running_);
    return true;
  }
  over_limit_->Add();
  Answer(x, net::HttpResponse::Text(503, "Limit of concurrent GET requests reached (" + std::to_string(options_.get_concurrency) +
                                             "), try again later.\n"));
  return false;
}

void Replies::BoundTime(const ExchangePtr& x) {
  if (options_.timeout <= base::Duration{}) return;
  auto timer = std::make_shared<base::Timer>();
  // Kept by its own task, until it fires.
  *timer = executor_->After(options_.timeout, gate_.Wrap([this, timer, weak = std::weak_ptr(x)] {
    const ExchangePtr late = weak.lock();
    if (late == nullptr || late->responded()) return;
    Answer(late, net::HttpResponse::Text(503, "Exceeded configured timeout of " + base::FormatGoDuration(options_.timeout) + ".\n"));
  }));
}

void Replies::Answer(const ExchangePtr& x, net::HttpResponse response) {
  if (x->responded()) return;  // too late
  response.headers.Set("Cache-Control", "no-store");
  response.headers.Add("Vary", "Origin");
  if (!x->request().headers.Get("Origin").empty()) response.headers.Set("Access-Control-Allow-Origin", "*");
  x->Respond(std::move(response));
}

void Replies::AnswerGet(const ExchangePtr& x, net::HttpResponse response) {
  --running_;
  in_flight_->Set(running_);
  Answer(x, std::move(response));
}

bool Replies::IsJson(const ExchangePtr& x) {
  const std::string_view header = x->request().headers.Get("Content-Type");
  const std::string_view type = base::Trim(header.substr(0, header.find(';')));
  if (base::EqualsIgnoreCase(type, "application/json")) return true;
  Answer(x, CodeAndMessage(415, 415, "unsupported media type " +
                                         base::Quote(type.empty() ? "application/octet-stream" : type) +
                                         ", only [application/json] are allowed"));
  return false;
}

}  // namespace tocsin::api
