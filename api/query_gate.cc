#include "api/query_gate.h"

#include <utility>

namespace tocsin::api {

uint64_t QueryGate::Enter(base::Duration timeout, base::Task run, base::Task timed_out) {
  if (running_ < limit_) {
    ++running_;
    run();
    return 0;
  }
  uint64_t ticket = ++last_ticket_;
  waiting_.push_back({ticket, std::move(run), std::move(timed_out), {}});
  waiting_.back().timer = executor_->After(timeout, [this, ticket] {
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (it->ticket != ticket) continue;
      base::Task tell = std::move(it->timed_out);
      waiting_.erase(it);
      tell();
      return;
    }
  });
  return ticket;
}

bool QueryGate::Forget(uint64_t ticket) {
  return 0 != std::erase_if(waiting_, [ticket](const Entry& e) { return e.ticket == ticket; });
}

void QueryGate::Leave() {
  --running_;
  if (waiting_.empty() || running_ >= limit_) return;
  Entry next = std::move(waiting_.front());
  waiting_.pop_front();
  next.timer.Cancel();
  ++running_;
  next.run();
}

}  // namespace tocsin::api
