#pragma once

// The protobuf messages that both protocols of remote write have.  Internal to api/.
//
// Threads: pure functions.  Errors: protozero::exception for what is no protobuf.

#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <string_view>

#include "model/histogram.h"
#include "model/labels.h"
#include "model/sample.h"

namespace tocsin::api::wire {

inline std::string_view View(protozero::data_view v) { return {v.data(), v.size()}; }

// A field with its type on the wire.  Fields of another type are skipped: reading them as what they
// are not is what protozero's assertions die of.
inline constexpr auto kLengthDelimited = protozero::pbf_wire_type::length_delimited;
constexpr uint32_t Bytes(uint32_t field) { return protozero::tag_and_type(field, kLengthDelimited); }
constexpr uint32_t Varint(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::varint);
}
constexpr uint32_t Fixed(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::fixed64);
}

model::Sample ReadSample(protozero::data_view message);
// `start`: when what it counts began, where the message tells; 1.0 has no such field.
model::Histogram ReadHistogram(protozero::data_view message, model::Timestamp* t, model::Timestamp* start);

}  // namespace tocsin::api::wire
