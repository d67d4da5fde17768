#pragma once

// A request that never saw a socket, and the answer it got: for tests of handlers.
//
//   auto x = std::make_shared<api::FakeExchange>("GET", "/api/v1/query?query=up");
//   router.Serve(x);
//   executor.RunPosted();
//   EXPECT_EQ(x->response().status, 200);

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "net/http_server.h"

namespace tocsin::api {

class FakeExchange : public net::HttpExchange {
 public:
  FakeExchange(std::string_view method, std::string_view target, std::string_view body = {},
               net::Headers headers = {})
      : request_(std::make_shared<net::HttpRequest>()) {
    request_->method = method;
    request_->target = target;
    std::string_view path = target.substr(0, target.find('?'));
    request_->raw_path = path;
    base::PathUnescape(path, &request_->path);
    if (path.size() < target.size()) request_->raw_query = target.substr(path.size() + 1);
    request_->query = net::Params::Parse(request_->raw_query);
    request_->headers = std::move(headers);
    request_->body = body;
  }

  const net::HttpRequest& request() const override { return *request_; }
  std::shared_ptr<const net::HttpRequest> request_ptr() const override { return request_; }
  void Respond(net::HttpResponse response) override {
    if (!response_ && !gone_) response_ = std::move(response);
  }
  bool responded() const override { return response_.has_value(); }
  void SetRoute(std::string_view name) override { route_ = name; }
  void OnClientGone(base::Task fn) override { on_gone_ = std::move(fn); }
  bool client_gone() const override { return gone_; }

  // The client closes its connection.
  void Leave() {
    gone_ = true;
    if (on_gone_) std::exchange(on_gone_, nullptr)();
  }
  // REQUIRES: responded().
  const net::HttpResponse& response() const { return *response_; }
  std::string body() const {
    if (!response_) return "no answer";
    return response_->shared_body != nullptr ? *response_->shared_body : response_->body;
  }
  int status() const { return response_ ? response_->status : 0; }
  const std::string& route() const { return route_; }

 private:
  std::shared_ptr<net::HttpRequest> request_;
  std::optional<net::HttpResponse> response_;
  std::string route_;
  base::Task on_gone_;
  bool gone_ = false;
};

}  // namespace tocsin::api
