#pragma once

// Receives remote write: protocol 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2),
// protobuf in snappy blocks.
//
// What is good of a request is stored and the answer says what was not: 204 all of it; 400 some
// samples are out of order, too old or malformed (the sender must not repeat them); 415 another
// format; 5xx nothing is stored, repeat it.  The answer comes when the samples are on stable storage.
//
// Requests that come at the same time wait for one sync (api/sync_group.h).
//
// Threads: any worker, several at once.
// Cost:    in the steady state a series' label bytes are hashed where they are; nothing is decoded,
//          compared or allocated for them.
// Bounds:  32 MB decompressed, as in Prometheus.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "api/series_cache.h"
#include "api/sync_group.h"
#include "base/metrics.h"
#include "model/sample.h"
#include "net/http_message.h"
#include "storage/appender.h"

namespace tocsin::api {

class RemoteWriteReceiver {
 public:
  RemoteWriteReceiver(base::Registry* registry, uint64_t seed);

  // Told on the loop when a request is handed to a worker, which then calls Write().
  void Expect(const net::HttpRequest& request);

  // `answer` is called by this call, or by one for another request when its samples are on stable
  // storage too.  REQUIRES: Expect() was called for the request.
  using Answer = std::move_only_function<void(net::HttpResponse)>;
  void Write(const net::HttpRequest& request, storage::Appendable* storage, model::Timestamp now,
             Answer answer);

 private:
  // `ticket`: what the answer has to wait for.
  net::HttpResponse Take(const net::HttpRequest& request, storage::Appendable* storage, model::Timestamp now,
                         storage::SyncTicket* ticket);

  const uint64_t seed_;
  SeriesCache cache_;
  SyncGroup group_;
  std::atomic<model::Timestamp> last_sweep_{0};
  std::atomic<uint64_t> gone_{0};  // series of the storage when the cache forgot such last
  base::Counter* invalid_labels_;
};

}  // namespace tocsin::api
