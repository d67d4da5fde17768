#pragma once

// tocsin's own part of the Alertmanager's API, beside v2:
//
//   GET  /api/v2/journal            what happened: filter=, kind=, group=, receiver=, fingerprint=,
//                                   from=, to=, limit=
//   GET  /api/v2/explain            why a notification was or was not sent: filter=, at=
//   POST /api/v2/preview            routes and rendered messages; nothing is sent.  Body: alerts as POST
//                                   /api/v2/alerts takes them, or none and filter=, at=; receiver=
//   POST /api/v2/receivers/:name/test   sends a test, once; body as above, or none for a made-up alert
//
// Answers: JSON; errors are a bare JSON string with 400, 404 or 500, as v2's.  A POST says that it is
//          application/json, also without a body: what any page may send makes nobody's phone ring.
// Threads: loop only.  Reading, rendering and writing are done on workers.

#include <functional>
#include <memory>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "alertmanager/explain.h"
#include "api/alertmanager/replies.h"
#include "api/http/router.h"
#include "base/executor.h"

namespace tocsin::api {

class InsightApi {
 public:
  // The pointers outlive the object; `replies` are those of the AlertmanagerApi; `rules` may be null.
  InsightApi(base::Executor* executor, alertmanager::Alertmanager* alertmanager, std::shared_ptr<Replies> replies,
             std::function<std::vector<alertmanager::RuleFact>()> rules = nullptr);
  ~InsightApi();
  // Before AlertmanagerApi's, which takes the rest of /api/v2/.
  void Register(Router* router);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tocsin::api
