#pragma once

// Which exposition format to ask for, and which one an answer is in.
// Source: Prometheus 3.14, scrape.acceptHeader and textparse.extractMediaType.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scrape/config.h"

namespace tocsin::scrape {

// The Accept header, best protocol first:
// application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,...,*/*;q=0.2
std::string AcceptHeader(std::span<const Protocol> protocols, Escaping escaping);

// What is asked for when the configuration names nothing.
std::vector<Protocol> DefaultProtocols(bool native_histograms);

enum class BodyFormat { kText, kOpenMetrics, kProtobuf };

struct MediaType {
  std::optional<BodyFormat> format;  // nullopt: the scrape must fail with `problem`
  std::string problem;               // also set where the fallback was taken
};

// The format that a Content-Type (empty: there was none) and the fallback choose.
MediaType ReadMediaType(std::string_view content_type, std::optional<Protocol> fallback);

// Go's mime.ParseMediaType, without the parameters' values: the lower-case type.
// Errors: kInvalidArgument in Go's words, such as "expected token after slash".
base::Result<std::string> ParseMediaType(std::string_view header);

}  // namespace tocsin::scrape
