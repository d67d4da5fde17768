// Remote write 1.0:
//
//   WriteRequest = { 1: TimeSeries }*
//   TimeSeries   = { 1: Label { 1: name, 2: value } }* { 2: Sample { 1: double, 2: ms } }*
//                  { 3: Exemplar { 1: Label*, 2: double, 3: ms } }* { 4: Histogram }*
//
// Source: prompb/types.proto and remote.proto of Prometheus.

#include <fmt/core.h>

#include <bit>
#include <cstring>
#include <optional>

#include "api/write_messages.h"
#include "api/write_protocols.h"

namespace tocsin::api {
namespace {

using wire::Bytes;
using wire::Fixed;
using wire::Varint;
using wire::View;

constexpr uint32_t kTimeseries = 1;
constexpr uint32_t kLabels = 1, kSamples = 2, kExemplars = 3, kHistograms = 4;

model::Label ReadLabel(protozero::data_view message) {
  model::Label label;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(1): label.name = View(reader.get_view()); break;
      case Bytes(2): label.value = View(reader.get_view()); break;
      default: reader.skip();
    }
  }
  return label;
}

model::Exemplar ReadExemplar(protozero::data_view message) {
  model::Exemplar exemplar{.has_timestamp = true};
  std::vector<model::Label> labels;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(1): labels.push_back(ReadLabel(reader.get_view())); break;
      case Fixed(2): exemplar.value = reader.get_double(); break;
      case Varint(3): exemplar.t = reader.get_int64(); break;
      default: reader.skip();
    }
  }
  exemplar.labels = model::Labels::FromLabels(std::move(labels));
  return exemplar;
}

// The sample, when `fields` are one of less than 128 bytes in the order of its fields and nothing else: what
// nearly every series has behind its labels.
std::optional<model::Sample> OnlySample(std::string_view fields) {
  constexpr size_t kHead = 2;   // tag and length
  constexpr size_t kValue = 9;  // tag and double
  if (fields.size() < kHead || fields[0] != static_cast<char>(Bytes(kSamples)) ||
      static_cast<uint8_t>(fields[1]) != fields.size() - kHead || fields.size() - kHead >= 0x80) {
    return std::nullopt;
  }
  fields.remove_prefix(kHead);
  model::Sample sample;
  if (fields.size() >= kValue && fields[0] == static_cast<char>(Fixed(1))) {
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(&sample.v, fields.data() + 1, sizeof sample.v);
    fields.remove_prefix(kValue);
  }
  if (fields.empty()) return sample;
  if (fields[0] != static_cast<char>(Varint(2))) return std::nullopt;
  uint64_t t = 0;
  for (size_t i = 1, shift = 0; i < fields.size() && shift < 64; ++i, shift += 7) {
    const auto byte = static_cast<uint8_t>(fields[i]);
    t |= uint64_t{byte & 0x7fu} << shift;
    if (byte >= 0x80) continue;
    if (i + 1 != fields.size()) break;
    sample.t = static_cast<model::Timestamp>(t);
    return sample;
  }
  return std::nullopt;
}

// The bytes of the labels, when they stand together at the start.
std::optional<std::string_view> LabelBytes(std::string_view message) {
  const char* end = message.data();
  bool behind = false;
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next()) {
    if (reader.tag_and_type() == Bytes(kLabels)) {
      if (behind) return std::nullopt;
      const protozero::data_view label = reader.get_view();
      end = label.data() + label.size();
    } else {
      behind = true;
      reader.skip();
    }
  }
  return message.substr(0, static_cast<size_t>(end - message.data()));
}

void TakeFields(std::string_view fields, WriteBatch* batch) {
  protozero::pbf_reader reader(fields.data(), fields.size());
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(kSamples): {
        const model::Sample s = wire::ReadSample(reader.get_view());
        batch->Add(s.t, s.v);
        break;
      }
      case Bytes(kExemplars): batch->Add(ReadExemplar(reader.get_view())); break;
      case Bytes(kHistograms): {
        model::Timestamp t = 0;
        model::Timestamp start = 0;  // no field of 1.0
        model::Histogram h = wire::ReadHistogram(reader.get_view(), &t, &start);
        batch->Add(t, std::move(h));
        break;
      }
      default: reader.skip();
    }
  }
}

}  // namespace

base::Status WriteV1::ReadLabels(std::string_view message, std::vector<model::Label>* labels) const {
  try {
    protozero::pbf_reader reader(message.data(), message.size());
    while (reader.next(kLabels, wire::kLengthDelimited)) labels->push_back(ReadLabel(reader.get_view()));
  } catch (const protozero::exception& e) {
    return base::DataLoss(e.what());
  }
  return {};
}

SeriesKey WriteV1::KeyOf(std::string_view message) const {
  if (const auto labels = LabelBytes(message)) return {base::Xxh128(*labels, seed_), labels->size()};
  std::string all;
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next(kLabels, wire::kLengthDelimited)) {
    const std::string_view label = View(reader.get_view());
    all += fmt::format("{}:{}", label.size(), label);
  }
  return {base::Xxh128(all, seed_ ^ 1), 0};
}

base::Status WriteV1::TakeSeries(std::string_view message, WriteBatch* batch) const {
  if (const size_t bytes = batch->expected_bytes(); bytes > 0 && bytes <= message.size()) {
    // Equal bytes are equal fields, so a field ends where the labels did; what follows must not be a label.
    const std::string_view fields = message.substr(bytes);
    if (const auto sample = OnlySample(fields);
        sample && base::Xxh128(message.substr(0, bytes), seed_) == batch->expected_key()) {
      batch->BeginExpected(message);
      batch->Add(sample->t, sample->v);
      return {};
    }
  }
  const SeriesKey key = KeyOf(message);
  ASSIGN_OR_RETURN(const bool valid, batch->BeginSeries(message, key));
  if (valid) TakeFields(message.substr(key.label_bytes), batch);
  return {};
}

base::Status WriteV1::Take(std::string_view body, WriteBatch* batch) {
  protozero::pbf_reader request(body.data(), body.size());
  while (request.next(kTimeseries, wire::kLengthDelimited)) {
    RETURN_IF_ERROR(TakeSeries(View(request.get_view()), batch));
  }
  return {};
}

}  // namespace tocsin::api
