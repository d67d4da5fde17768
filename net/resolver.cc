#include "net/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "net/address.h"

namespace tocsin::net {
namespace {

using Addresses = base::Result<std::vector<std::string>>;

// A silent name server holds a thread for its own timeout (5 s a try); eight keep others going.
constexpr int kMaxThreads = 8;
// Beyond this many waiting names a look-up fails at once instead of late.
constexpr size_t kMaxWaiting = 10000;
constexpr size_t kMaxCached = 10000;
constexpr base::Duration kKeepFound = std::chrono::seconds(5);
constexpr base::Duration kKeepFailed = std::chrono::seconds(1);

Addresses LookUp(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  int error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  // AI_ADDRCONFIG ignores the loopback; a machine with nothing else still has localhost.
  if (error != 0 && host == "localhost") {
    hints.ai_flags = 0;
    error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  }
  if (error == EAI_NONAME || error == EAI_NODATA) {
    return base::Unavailable("lookup " + host + ": no such host");
  }
  if (error != 0) {
    return base::Unavailable("lookup " + host + ": " +
                             (error == EAI_SYSTEM ? "system error" : gai_strerror(error)));
  }
  std::vector<std::string> out;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    const void* bytes = nullptr;
    if (a->ai_family == AF_INET) {
      bytes = &reinterpret_cast<const sockaddr_in*>(a->ai_addr)->sin_addr;
    } else if (a->ai_family == AF_INET6) {
      bytes = &reinterpret_cast<const sockaddr_in6*>(a->ai_addr)->sin6_addr;
    } else {
      continue;
    }
    inet_ntop(a->ai_family, bytes, text, sizeof text);
    if (std::ranges::find(out, text) == out.end()) out.emplace_back(text);
  }
  freeaddrinfo(list);
  if (out.empty()) return base::Unavailable("lookup " + host + ": no such host");
  return out;
}

}  // namespace

// What the threads see; it outlives the resolver as long as one of them is in getaddrinfo.
struct Resolver::Shared {
  base::Mutex mu;
  base::CondVar wake;
  std::deque<std::string> waiting TOCSIN_GUARDED_BY(mu);
  int threads TOCSIN_GUARDED_BY(mu) = 0;
  int idle TOCSIN_GUARDED_BY(mu) = 0;
  EventLoop* loop TOCSIN_GUARDED_BY(mu) = nullptr;  // null once the resolver has gone

  static void Work(std::shared_ptr<Shared> shared, std::weak_ptr<Rep> rep);
};

struct Resolver::Rep {
  struct Waiter {
    uint64_t id;
    Done done;
  };
  struct Cached {
    Addresses addresses;
    base::Duration until;
  };
  EventLoop* loop;
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  std::map<std::string, std::vector<Waiter>> in_flight;
  std::map<std::string, Cached> cache;
  std::map<uint64_t, Done> ready;  // answers known at once, called from the loop's next turn
  uint64_t next_id = 1;

  void Finish(const std::string& host, Addresses addresses);
};

void Resolver::Shared::Work(std::shared_ptr<Shared> shared, std::weak_ptr<Rep> rep) {
  while (true) {
    std::string host;
    {
      base::MutexLock lock(&shared->mu);
      ++shared->idle;
      while (shared->waiting.empty() && shared->loop != nullptr) shared->wake.Wait(&shared->mu);
      --shared->idle;
      if (shared->loop == nullptr) return;
      host = std::move(shared->waiting.front());
      shared->waiting.pop_front();
    }
    Addresses found = LookUp(host);
    base::MutexLock lock(&shared->mu);
    if (shared->loop == nullptr) return;
    shared->loop->Post([rep, host = std::move(host), found = std::move(found)]() mutable {
      if (auto alive = rep.lock()) alive->Finish(host, std::move(found));
    });
  }
}

void Resolver::Rep::Finish(const std::string& host, Addresses addresses) {
  if (cache.size() >= kMaxCached) cache.clear();
  cache.insert_or_assign(
      host, Cached{addresses, loop->Monotonic() + (addresses ? kKeepFound : kKeepFailed)});
  auto node = in_flight.extract(host);
  if (node.empty()) return;
  for (Waiter& waiter : node.mapped()) waiter.done(addresses);
}

Resolver::Resolver(EventLoop* loop) : rep_(std::make_shared<Rep>()) {
  rep_->loop = loop;
  base::MutexLock lock(&rep_->shared->mu);
  rep_->shared->loop = loop;
}

Resolver::~Resolver() {
  base::MutexLock lock(&rep_->shared->mu);
  rep_->shared->loop = nullptr;
  rep_->shared->wake.NotifyAll();
}

Call Resolver::Resolve(const std::string& host, Done done) {
  const uint64_t id = rep_->next_id++;
  auto cached = rep_->cache.find(host);
  if (cached != rep_->cache.end() && cached->second.until < rep_->loop->Monotonic()) {
    rep_->cache.erase(cached);
    cached = rep_->cache.end();
  }
  const bool address = IsIpAddress(host);
  bool full = false;
  if (!address && cached == rep_->cache.end()) {
    auto [flight, is_new] = rep_->in_flight.try_emplace(host);
    if (is_new) {
      base::MutexLock lock(&rep_->shared->mu);
      full = rep_->shared->waiting.size() >= kMaxWaiting;
      if (!full) {
        rep_->shared->waiting.push_back(host);
        if (rep_->shared->idle == 0 && rep_->shared->threads < kMaxThreads) {
          ++rep_->shared->threads;
          sigset_t all, before;
          sigfillset(&all);
          pthread_sigmask(SIG_SETMASK, &all, &before);
          std::thread(Shared::Work, rep_->shared, std::weak_ptr(rep_)).detach();
          pthread_sigmask(SIG_SETMASK, &before, nullptr);
        } else {
          rep_->shared->wake.NotifyOne();
        }
      }
    }
    if (!full) {
      flight->second.push_back({id, std::move(done)});
      return Call([rep = std::weak_ptr(rep_), host, id] {
        auto alive = rep.lock();
        if (!alive) return;
        auto found = alive->in_flight.find(host);
        if (found == alive->in_flight.end()) return;
        std::erase_if(found->second, [id](const Rep::Waiter& w) { return w.id == id; });
      });
    }
    rep_->in_flight.erase(flight);
  }

  Addresses answer = std::vector<std::string>{host};
  if (full) {
    answer = base::ResourceExhausted("lookup " + host + ": " + std::to_string(kMaxWaiting) +
                                     " names wait for the name servers already");
  } else if (!address) {
    answer = cached->second.addresses;
  }
  rep_->ready.emplace(id, std::move(done));
  rep_->loop->Post([rep = std::weak_ptr(rep_), id, answer = std::move(answer)]() mutable {
    auto alive = rep.lock();
    if (!alive) return;
    auto node = alive->ready.extract(id);
    if (!node.empty()) node.mapped()(std::move(answer));
  });
  return Call([rep = std::weak_ptr(rep_), id] {
    if (auto alive = rep.lock()) alive->ready.erase(id);
  });
}

}  // namespace tocsin::net
