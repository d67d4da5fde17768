#pragma once

// promtool's `push metrics URL [FILE...]`: expositions sent by remote write, each file in one request.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/exemplar.h"
#include "scrape/exposition.h"
#include "tools/tool.h"

namespace tocsin::tools {

// What a text exposition says, made ready to be sent.
struct PushedMetrics {
  struct Series {
    scrape::LabelPairs labels;  // sorted
    double value = 0;
    model::Timestamp t = 0;
    size_t family = SIZE_MAX;   // in `families`; SIZE_MAX: none
  };
  struct Family {
    std::string name;
    model::Metadata metadata;
  };
  std::vector<Series> series;
  std::vector<Family> families;
};

// `labels` are added to every series that does not have them; samples without a time get `now`.
// Errors: kInvalidArgument, with the line.
base::Result<PushedMetrics> ReadPushedMetrics(std::string_view text, const scrape::LabelPairs& labels, model::Timestamp now);

// prometheus.WriteRequest, and io.prometheus.write.v2.Request.
std::string WriteRequestV1(const PushedMetrics& metrics);
std::string WriteRequestV2(const PushedMetrics& metrics);

int PushMetrics(const std::vector<std::string>& args, const ToolIo& io);

}  // namespace tocsin::tools
