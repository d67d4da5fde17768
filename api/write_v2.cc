// Remote write 2.0:
//
//   Request    = { 4: text }* { 5: TimeSeries }*
//   TimeSeries = 1: references into the texts, name and value in turn
//                { 2: Sample { 1: double, 2: ms, 3: ms (start) } }* { 3: Histogram { as in 1.0, 17: ms (start) } }*
//                { 4: Exemplar { 1: references, 2: double, 3: ms } }* 5: Metadata { 1: type, 3: help, 4: unit }
//
// Source: prompb/io/prometheus/write/v2/types.proto of Prometheus.

#include <fmt/core.h>

#include "api/write_messages.h"
#include "api/write_protocols.h"

namespace tocsin::api {
namespace {

using wire::Bytes;
using wire::Fixed;
using wire::Varint;
using wire::View;

constexpr uint32_t kSymbols = 4, kTimeseries = 5;
// More than any sender has; what a small body could make of memory is bounded by them.
constexpr size_t kMostSymbols = 1 << 20;
constexpr size_t kMostRefs = 1 << 16;  // of a series: names and values
constexpr uint32_t kLabelRefs = 1, kSamples = 2, kHistograms = 3, kExemplars = 4, kMetadata = 5;

protozero::pbf_reader Read(std::string_view message) { return {message.data(), message.size()}; }

struct StartedSample {
  model::Timestamp t = 0;
  double v = 0;
  model::Timestamp start = 0;  // 0: not told
};

StartedSample ReadSample(protozero::data_view message) {
  StartedSample sample;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Fixed(1): sample.v = reader.get_double(); break;
      case Varint(2): sample.t = reader.get_int64(); break;
      case Varint(3): sample.start = reader.get_int64(); break;
      default: reader.skip();
    }
  }
  return sample;
}

}  // namespace

base::Status WriteV2::ReadRefs(std::string_view message, std::vector<uint32_t>* refs) const {
  refs->clear();
  bool too_many = false;
  const auto put = [&](uint32_t ref) {
    if (refs->size() < kMostRefs) refs->push_back(ref);
    else too_many = true;
  };
  protozero::pbf_reader reader = Read(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(kLabelRefs):
        for (uint32_t ref : reader.get_packed_uint32()) put(ref);
        break;
      case Varint(kLabelRefs): put(reader.get_uint32()); break;
      default: reader.skip();
    }
  }
  if (too_many) {
    return base::InvalidArgument(fmt::format("more than {} labelRefs; a series has at most {} labels", kMostRefs, kMostRefs / 2));
  }
  if (refs->size() % 2 != 0) {
    return base::InvalidArgument(
        fmt::format("invalid labelRefs length {}: names and values come in pairs", refs->size()));
  }
  for (uint32_t ref : *refs) {
    if (ref >= texts_.size()) {
      return base::InvalidArgument(
          fmt::format("labelRef {} is beyond the symbol table of size {}", ref, texts_.size()));
    }
  }
  return {};
}

base::Status WriteV2::ReadLabels(std::string_view message, std::vector<model::Label>* labels) const {
  try {
    std::vector<uint32_t> refs;
    RETURN_IF_ERROR(ReadRefs(message, &refs));
    for (size_t i = 0; i < refs.size(); i += 2) {
      labels->push_back({texts_[refs[i]], texts_[refs[i + 1]]});
    }
  } catch (const protozero::exception& e) {
    return base::DataLoss(e.what());
  }
  return {};
}

// A hash over the hashes of the labels' strings.
SeriesKey WriteV2::KeyOf(std::span<const uint32_t> refs, std::vector<base::Hash128>* hashes) const {
  hashes->clear();
  for (uint32_t ref : refs) hashes->push_back(hashes_[ref]);
  const std::string_view bytes(reinterpret_cast<const char*>(hashes->data()),
                               hashes->size() * sizeof(base::Hash128));
  return {base::Xxh128(bytes, seed_ ^ 2), 0};
}

SeriesKey WriteV2::KeyOf(std::string_view message) const {
  std::vector<uint32_t> refs;
  // Looked at by Take() before.
  if (!ReadRefs(message, &refs)) refs.clear();
  std::vector<base::Hash128> hashes;
  return KeyOf(refs, &hashes);
}

std::string WriteV2::Text(uint32_t ref) const {
  return ref < texts_.size() ? std::string(texts_[ref]) : std::string();
}

model::Exemplar WriteV2::ReadExemplar(std::string_view message) const {
  model::Exemplar exemplar{.has_timestamp = true};
  std::vector<model::Label> labels;
  if (ReadLabels(message, &labels)) exemplar.labels = model::Labels::FromLabels(std::move(labels));
  protozero::pbf_reader reader = Read(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Fixed(2): exemplar.value = reader.get_double(); break;
      case Varint(3): exemplar.t = reader.get_int64(); break;
      default: reader.skip();
    }
  }
  return exemplar;
}

model::Metadata WriteV2::ReadMetadata(std::string_view message) const {
  model::Metadata metadata;
  protozero::pbf_reader reader = Read(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Varint(1): {
        int32_t type = reader.get_enum();
        if (type >= 0 && type <= static_cast<int32_t>(model::MetricType::kStateset)) {
          metadata.type = static_cast<model::MetricType>(type);
        }
        break;
      }
      case Varint(3): metadata.help = Text(reader.get_uint32()); break;
      case Varint(4): metadata.unit = Text(reader.get_uint32()); break;
      default: reader.skip();
    }
  }
  return metadata;
}

base::Status WriteV2::TakeSeries(std::string_view message, const SeriesKey& key, WriteBatch* batch) const {
  ASSIGN_OR_RETURN(const bool valid, batch->BeginSeries(message, key));
  if (!valid) return {};
  protozero::pbf_reader reader = Read(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(kSamples): {
        const StartedSample s = ReadSample(reader.get_view());
        batch->Add(s.t, s.v, s.start);
        break;
      }
      case Bytes(kHistograms): {
        model::Timestamp t = 0, start = 0;
        model::Histogram h = wire::ReadHistogram(reader.get_view(), &t, &start);
        batch->Add(t, std::move(h), start);
        break;
      }
      case Bytes(kExemplars): batch->Add(ReadExemplar(View(reader.get_view()))); break;
      case Bytes(kMetadata): batch->SetMetadata(ReadMetadata(View(reader.get_view()))); break;
      default: reader.skip();
    }
  }
  return {};
}

// Series whose references are wrong are told and left out.
base::Status WriteV2::Take(std::string_view body, WriteBatch* batch) {
  protozero::pbf_reader table = Read(body);
  while (table.next(kSymbols, wire::kLengthDelimited)) {
    if (texts_.size() == kMostSymbols) {
      return base::InvalidArgument(fmt::format("more than {} symbols in a request; send smaller ones", kMostSymbols));
    }
    texts_.push_back(View(table.get_view()));
    hashes_.push_back(base::Xxh128(texts_.back(), seed_));
  }
  std::vector<uint32_t> refs;  // both kept from series to series
  std::vector<base::Hash128> hashes;
  protozero::pbf_reader request = Read(body);
  while (request.next(kTimeseries, wire::kLengthDelimited)) {
    const std::string_view message = View(request.get_view());
    if (auto ok = ReadRefs(message, &refs); !ok) {
      batch->AddProblem("parsing labels: " + ok.error().message());
      continue;
    }
    RETURN_IF_ERROR(TakeSeries(message, KeyOf(refs, &hashes), batch));
  }
  return {};
}

}  // namespace tocsin::api
