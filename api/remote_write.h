#pragma once

// Receives remote write: protocol 1.0 (prometheus.WriteRequest) and 2.0 (io.prometheus.write.v2),
// protobuf in snappy blocks.
//
// What is good of a request is stored and the answer says what was not: 204 all of it; 400 some
// samples are out of order, too old or malformed (the sender must not repeat them); 415 another
// format; 5xx nothing is stored, repeat it.  The answer comes when the samples are on stable storage.
//
// Threads: any worker, several at once.
// Cost:    in the steady state a series' label bytes are hashed where they are; nothing is decoded,
//          compared or allocated for them.
// Bounds:  32 MB decompressed, as in Prometheus.

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/series_cache.h"
#include "base/metrics.h"
#include "model/sample.h"
#include "net/http_message.h"
#include "storage/appender.h"

namespace tocsin::api {

class RemoteWriteReceiver {
 public:
  RemoteWriteReceiver(base::Registry* registry, uint64_t seed);

  net::HttpResponse Write(const net::HttpRequest& request, storage::Appendable* storage,
                          model::Timestamp now);

 private:
  const uint64_t seed_;
  SeriesCache cache_;
  base::Counter* invalid_labels_;
};

}  // namespace tocsin::api
