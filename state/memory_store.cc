#include <algorithm>
#include <map>

#include "state/transaction.h"

namespace tocsin::state {
namespace {

// Only journals are ever read back, so only they are kept.
class MemoryStore : public Store {
 public:
  explicit MemoryStore(base::Executor* executor) : executor_(executor) {}

  void Commit(Transaction transaction, Done done) override {
    Transaction::Rep* rep = transaction.rep();
    for (auto& [journal, events] : rep->events) {
      for (Event& event : events) journals_[journal].push_back(std::move(event));
    }
    for (const auto& [journal, before] : rep->forget_events_before) {
      std::erase_if(journals_[journal], [limit = before](const Event& e) { return e.at < limit; });
    }
    executor_->Post(gate_.Wrap([done = std::move(done)]() mutable { done({}); }));
  }

  void ReadEvents(EventQuery query, EventsDone done) override {
    std::vector<Event> found;
    for (const Event& event : journals_[query.journal]) {
      if (event.at < query.from || event.at >= query.to) continue;
      if (query.wanted && !query.wanted(event)) continue;
      found.push_back(event);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Event& a, const Event& b) { return a.at < b.at; });
    if (found.size() > query.limit) {
      found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(query.limit));
    }
    executor_->Post(gate_.Wrap([found = std::move(found), done = std::move(done)]() mutable {
      done(std::move(found));
    }));
  }

  void Stop(base::Task done) override { executor_->Post(gate_.Wrap(std::move(done))); }

 private:
  base::Executor* const executor_;
  std::map<Journal, std::vector<Event>> journals_;
  base::Gate gate_;
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore(base::Executor* executor) {
  return std::make_unique<MemoryStore>(executor);
}

}  // namespace tocsin::state
