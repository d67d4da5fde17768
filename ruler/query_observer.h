#pragma once

// Who counts and logs the queries of the API is told of those of rules too.
//
// Threads: on the worker that evaluates; several at once.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "model/sample.h"

namespace tocsin::ruler {

// A rule's query that has run.  Views: for the call.
struct RuleQuery {
  std::string_view file;
  std::string_view group;
  std::string_view text;
  model::Timestamp at = 0;
  base::Duration took{0};  // the rule's evaluation
  int64_t samples_read = 0;
  int64_t peak_samples = 0;
  std::string error;  // empty: none
};

class QueryObserver {
 public:
  virtual ~QueryObserver() = default;
  // Asked once an evaluation of a group: whether it wants to see each query.
  virtual bool WantsQueries() const = 0;
  virtual void OnQuery(const RuleQuery& query) = 0;
  // What the queries of one evaluation of a group read.
  virtual void OnSamplesRead(int64_t samples) = 0;
};

}  // namespace tocsin::ruler
