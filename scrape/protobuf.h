#pragma once

// The protobuf format: length-delimited io.prometheus.client.MetricFamily messages.
//
// Errors: kInvalidArgument for bytes that do not decode, names or texts that are not UTF-8, native
// histograms whose spans and buckets disagree.

#include <memory>
#include <string_view>

#include "scrape/exposition.h"
#include "scrape/sources.h"

namespace tocsin::scrape {

// `body` must outlive the source.
std::unique_ptr<EntrySource> MakeProtobufSource(std::string_view body, const SourceOptions& options);

}  // namespace tocsin::scrape
