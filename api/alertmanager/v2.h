#pragma once

// Alertmanager's HTTP API v2 under /api/v2/: status, receivers, alerts, alerts/groups, silences.
// Source: Alertmanager 0.34, api/v2/openapi.yaml.
//
//   api::AlertmanagerApi api(executor, &alertmanager, &registry, {});
//   api.Register(&router);
//
// Answers: JSON.  What a handler refuses is a bare JSON string; what does not fit the schema is
//          {"code": ..., "message": ...} with 400, 415 or 422.
// Threads: loop only.  Lists are gathered on the loop and written on lane kQueries.
// Bounds:  at most `get_concurrency` GETs at once, beyond it 503.

#include <functional>
#include <memory>
#include <string>

#include "alertmanager/alertmanager.h"
#include "api/http/router.h"
#include "base/executor.h"
#include "base/metrics.h"

namespace tocsin::api {

struct AlertmanagerApiOptions {
  int get_concurrency = 8;
  base::Duration timeout{};  // of an answer, then it is 503; 0: none
  std::string version;  // shown as versionInfo.version
};

class AlertmanagerApi {
 public:
  // The pointers outlive the object; it outlives the router's requests.
  AlertmanagerApi(base::Executor* executor, alertmanager::Alertmanager* alertmanager,
                  base::Registry* registry, AlertmanagerApiOptions options);
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
