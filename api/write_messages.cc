#include "api/write_messages.h"

#include <vector>

namespace tocsin::api::wire {

model::Sample ReadSample(protozero::data_view message) {
  model::Sample sample;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Fixed(1): sample.v = reader.get_double(); break;
      case Varint(2): sample.t = reader.get_int64(); break;
      default: reader.skip();
    }
  }
  return sample;
}

namespace {

model::Span ReadSpan(protozero::data_view message) {
  model::Span span;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Varint(1): span.offset = reader.get_sint32(); break;
      case Varint(2): span.length = reader.get_uint32(); break;
      default: reader.skip();
    }
  }
  return span;
}

// Differences of integer buckets, as running sums.
void AddDeltas(protozero::pbf_reader* reader, int64_t* last, std::vector<double>* counts) {
  auto add = [&](int64_t delta) {
    // Wraps around as in Go; Validate() refuses what becomes negative.
    *last = static_cast<int64_t>(static_cast<uint64_t>(*last) + static_cast<uint64_t>(delta));
    counts->push_back(static_cast<double>(*last));
  };
  if (reader->wire_type() == protozero::pbf_wire_type::length_delimited) {
    for (int64_t delta : reader->get_packed_sint64()) add(delta);
  } else {
    add(reader->get_sint64());
  }
}

void AddDoubles(protozero::pbf_reader* reader, std::vector<double>* values) {
  if (reader->wire_type() == protozero::pbf_wire_type::length_delimited) {
    for (double v : reader->get_packed_double()) values->push_back(v);
  } else {
    values->push_back(reader->get_double());
  }
}

}  // namespace

// The message is the same in both protocols, but for its last field.
model::Histogram ReadHistogram(protozero::data_view message, model::Timestamp* t, model::Timestamp* start) {
  model::Histogram h;
  int64_t last_negative = 0;
  int64_t last_positive = 0;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Varint(1):
        h.count = static_cast<double>(reader.get_uint64());
        h.integer = true;
        break;
      case Fixed(2): h.count = reader.get_double(); break;
      case Fixed(3): h.sum = reader.get_double(); break;
      case Varint(4): h.schema = reader.get_sint32(); break;
      case Fixed(5): h.zero_threshold = reader.get_double(); break;
      case Varint(6): h.zero_count = static_cast<double>(reader.get_uint64()); break;
      case Fixed(7): h.zero_count = reader.get_double(); break;
      case Bytes(8): h.negative_spans.push_back(ReadSpan(reader.get_view())); break;
      case Bytes(9):
      case Varint(9): AddDeltas(&reader, &last_negative, &h.negative_buckets); break;
      case Bytes(10):
      case Fixed(10): AddDoubles(&reader, &h.negative_buckets); break;
      case Bytes(11): h.positive_spans.push_back(ReadSpan(reader.get_view())); break;
      case Bytes(12):
      case Varint(12): AddDeltas(&reader, &last_positive, &h.positive_buckets); break;
      case Bytes(13):
      case Fixed(13): AddDoubles(&reader, &h.positive_buckets); break;
      case Varint(14): {
        int32_t hint = reader.get_enum();
        if (hint >= 0 && hint <= 3) h.counter_reset = static_cast<model::CounterReset>(hint);
        break;
      }
      case Varint(15): *t = reader.get_int64(); break;
      case Bytes(16):
      case Fixed(16): AddDoubles(&reader, &h.custom_values); break;
      case Varint(17): *start = reader.get_int64(); break;
      default: reader.skip();
    }
  }
  return h;
}

}  // namespace tocsin::api::wire
