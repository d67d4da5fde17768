#pragma once

// Results of queries as the API writes them.

#include <atomic>
#include <cstddef>

#include "api/http/json.h"
#include "model/exemplar.h"
#include "model/histogram.h"
#include "promql/exec/value.h"

namespace tocsin::api {

// {"count":"..","sum":"..","buckets":[[1,"0","1","3"],..]}
void WriteHistogram(const model::Histogram& h, JsonWriter* json);
// The "result" of a value; of vectors and matrices the first `limit` series (0: all).
// Returns whether some were left out.  Once `cancelled` is set the rest is, for nobody reads it.
bool WriteValue(const promql::Value& value, size_t limit, JsonWriter* json,
                const std::atomic<bool>* cancelled = nullptr);
void WriteExemplar(const model::Exemplar& e, JsonWriter* json);

}  // namespace tocsin::api
