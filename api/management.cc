// /-/healthy, /-/ready, /-/reload, /-/quit, /metrics, /version, /federate and remote write's door.

#include "api/prometheus_impl.h"

namespace tocsin::api {
namespace {

constexpr std::string_view kMetricsFormat = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

void PrometheusApi::Impl::RegisterManagement(Router* router) {
  auto self = shared_from_this();
  router->Add({"GET", "HEAD"}, "/-/healthy", [](ExchangePtr x, const auto&) {
    x->Respond(net::HttpResponse::Text(200, "Prometheus Server is Healthy.\n"));
  });
  router->Add({"GET", "HEAD"}, "/-/ready", [self](ExchangePtr x, const auto&) {
    if (self->RequireReady(x)) {
      x->Respond(net::HttpResponse::Text(200, "Prometheus Server is Ready.\n"));
    }
  });
  auto need_post = [](ExchangePtr x, const PathParams&) {
    x->Respond(net::HttpResponse::Text(405, "Only POST or PUT requests allowed"));
  };
  router->Add({"GET"}, "/-/reload", need_post);
  router->Add({"GET"}, "/-/quit", need_post);
  if (options_.enable_lifecycle) {
    router->Add({"POST", "PUT"}, "/-/reload",
                [self](ExchangePtr x, const auto&) { self->Reload(std::move(x)); });
    router->Add({"POST", "PUT"}, "/-/quit", [self](ExchangePtr x, const auto&) {
      x->Respond(net::HttpResponse::Text(200, "Requesting termination... Goodbye!"));
      if (self->backend_->quit) self->backend_->quit();
    });
  } else {
    auto forbidden = [](ExchangePtr x, const PathParams&) {
      x->Respond(net::HttpResponse::Text(403, "Lifecycle API is not enabled."));
    };
    router->Add({"POST", "PUT"}, "/-/reload", forbidden);
    router->Add({"POST", "PUT"}, "/-/quit", forbidden);
  }
  // On the loop: collectors look at what lives there.
  router->Add({"GET"}, "/metrics", [self](ExchangePtr x, const auto&) {
    net::HttpResponse response;
    response.headers.Set("Content-Type", kMetricsFormat);
    response.body = self->backend_->registry->Expose();
    x->Respond(std::move(response));
  });
  router->Add({"GET"}, "/version", [](ExchangePtr x, const auto&) {
    std::string body;
    JsonWriter json(&body);
    WriteBuildInfo(&json);
    x->Respond(net::HttpResponse::Json(200, std::move(body)));
  });
  router->Add({"GET"}, "/federate", [self](ExchangePtr x, const auto& path) {
    self->ServeRaw(std::move(x), path, &Federate);
  });
}

void PrometheusApi::Impl::ServeRaw(ExchangePtr x, const PathParams& path,
                                   net::HttpResponse (*work)(const Call&, const model::Labels&)) {
  if (!RequireReady(x)) return;
  auto response = std::make_shared<net::HttpResponse>();
  model::Labels external;
  if (backend_->external_labels) external = backend_->external_labels();
  Offload(
      base::Lane::kQueries,
      [response, external, work, call = MakeCall(x, path)] { *response = work(call, external); },
      [self = shared_from_this(), response, work, x] {
        if (work == &Federate && response->status >= 500) self->federation_errors_->Add(1);
        x->Respond(std::move(*response));
      });
}

void PrometheusApi::Impl::Reload(ExchangePtr x) {
  if (!backend_->reload) {
    return x->Respond(net::HttpResponse::Text(500, "failed to reload config: not possible here\n"));
  }
  backend_->reload([x](base::Status status) {
    if (status) {
      x->Respond(net::HttpResponse::Text(200, ""));
    } else {
      x->Respond(net::HttpResponse::Text(
          500, "failed to reload config: " + status.error().message() + "\n"));
    }
  });
}

void PrometheusApi::Impl::ServeWrite(ExchangePtr x) {
  if (!RequireReady(x)) return;
  if (!options_.remote_write_receiver) {
    return x->Respond(net::HttpResponse::Text(
        404, "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n"));
  }
  ++in_flight_;
  receiver_.Expect(x->request());
  // Handed on, never copied: whoever is told last may not be the one that ends this object, beside the loop.
  auto answer = [self = shared_from_this(), x](net::HttpResponse response) mutable {
    base::Executor* const loop = self->executor_;
    loop->Post([self = std::move(self), x = std::move(x), response = std::move(response)]() mutable {
      x->Respond(std::move(response));
      self->WorkEnded();
    });
  };
  executor_->Offload(
      base::Lane::kIntake,
      [this, answer = std::move(answer), request = x->request_ptr(), storage = backend_->appendable,
       now = base::ToUnixMillis(executor_->Now())]() mutable { receiver_.Write(*request, storage, now, std::move(answer)); },
      nullptr);
}

}  // namespace tocsin::api
