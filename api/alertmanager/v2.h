#pragma once

// Alertmanager's HTTP API v2 under /api/v2/: status, receivers, alerts, alerts/groups, silences.
// Source: Alertmanager 0.34, api/v2/openapi.yaml.
//
//   auto replies = std::make_shared<api::Replies>(executor, &registry, api::AlertmanagerApiOptions{});
//   api::AlertmanagerApi api(executor, &alertmanager, replies);
//   api.Register(&router);
//
// Answers: JSON.  What a handler refuses is a bare JSON string; what does not fit the schema is
//          {"code": ..., "message": ...} with 400, 415 or 422.
// Threads: loop only.  Lists are gathered on the loop and written on lane kQueries.
// Bounds:  those of Replies.

#include <functional>
#include <memory>

#include "alertmanager/alertmanager.h"
#include "api/alertmanager/replies.h"
#include "api/http/router.h"
#include "base/executor.h"
#include "base/metrics.h"

namespace tocsin::api {

class AlertmanagerApi {
 public:
  // The pointers outlive the object; it outlives the router's requests.
  AlertmanagerApi(base::Executor* executor, alertmanager::Alertmanager* alertmanager, std::shared_ptr<Replies> replies);
  ~AlertmanagerApi();

  void Register(Router* router);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

// For HttpServerOptions::on_request of `tocsin alertmanager`:
// alertmanager_http_request_duration_seconds and alertmanager_http_response_size_bytes.
std::function<void(const net::HttpRequestStats&)> AlertmanagerHttpMetrics(base::Registry* registry);

}  // namespace tocsin::api
