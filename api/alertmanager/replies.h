#pragma once

// What the two halves of /api/v2/ (v2.h, insight.h) answer with: how many GETs are served at once, how
// long an answer may take, its headers, and the bodies of refusals.
//
// Threads: loop only, but for the functions that make a body.

#include <memory>
#include <string_view>

#include "api/http/router.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "net/http_message.h"

namespace tocsin::api {

struct AlertmanagerApiOptions {
  int get_concurrency = 8;
  base::Duration timeout{};  // of an answer, then it is 503; 0: none
};

net::HttpResponse JsonText(int status, std::string_view text);
net::HttpResponse CodeAndMessage(int status, int code, std::string_view message);

class Replies : public std::enable_shared_from_this<Replies> {
 public:
  Replies(base::Executor* executor, base::Registry* registry, AlertmanagerApiOptions options);

  // Counts a GET until AnswerGet().  False: too many are running, and it has been answered.
  bool Enter(const ExchangePtr& x);
  // Answers 503 when nothing else has answered in time.  The work goes on, and its answer is dropped.
  void BoundTime(const ExchangePtr& x);
  void Answer(const ExchangePtr& x, net::HttpResponse response);
  void AnswerGet(const ExchangePtr& x, net::HttpResponse response);
  // Whether the body may be read; false: answered.  A page of another origin cannot send this type
  // without being asked first.
  bool IsJson(const ExchangePtr& x);

  // Writes on a worker and answers on the loop.
  template <class Value, class Write>
  void AnswerGetWith(const ExchangePtr& x, std::shared_ptr<Value> value, Write write) {
    Written(std::move(value), std::move(write),
            [self = shared_from_this(), x](net::HttpResponse r) { self->AnswerGet(x, std::move(r)); });
  }
  template <class Value, class Write>
  void AnswerWith(const ExchangePtr& x, std::shared_ptr<Value> value, Write write) {
    Written(std::move(value), std::move(write),
            [self = shared_from_this(), x](net::HttpResponse r) { self->Answer(x, std::move(r)); });
  }

 private:
  template <class Value, class Write, class Then>
  void Written(std::shared_ptr<Value> value, Write write, Then then) {
    auto body = std::make_shared<std::string>();
    executor_->Offload(
        base::Lane::kQueries,
        [body, value = std::move(value), write = std::move(write)] {
          write(*value, body.get());
          *body += '\n';
        },
        [body, then = std::move(then)] { then(net::HttpResponse::Json(200, std::move(*body))); });
  }

  base::Executor* const executor_;
  const AlertmanagerApiOptions options_;
  base::Counter* over_limit_;
  base::Gauge* in_flight_;
  int running_ = 0;
  base::Gate gate_;
};

}  // namespace tocsin::api
