#include "api/remote_write.h"

#include <fmt/core.h>

#include <chrono>
#include <protozero/pbf_reader.hpp>
#include <vector>

#include "api/write_batch.h"
#include "base/compress.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

constexpr size_t kMaxBytes = 32 << 20;
constexpr std::chrono::minutes kMaxAhead{10};

enum class Protocol { kV1, kV2 };

std::string_view View(protozero::data_view v) { return {v.data(), v.size()}; }

// A field with its type on the wire.  Fields of another type are skipped: reading them as what they
// are not is what protozero's assertions die of.
constexpr auto kLengthDelimited = protozero::pbf_wire_type::length_delimited;
constexpr uint32_t Bytes(uint32_t field) { return protozero::tag_and_type(field, kLengthDelimited); }
constexpr uint32_t Varint(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::varint);
}
constexpr uint32_t Fixed(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::fixed64);
}

// The numbers of the messages' fields.
namespace v1 {
constexpr uint32_t kTimeseries = 1;                                           // WriteRequest
constexpr uint32_t kLabels = 1, kSamples = 2, kExemplars = 3, kHistograms = 4;  // TimeSeries
constexpr uint32_t kName = 1, kValue = 2;                                     // Label
}  // namespace v1
namespace v2 {
constexpr uint32_t kSymbols = 4, kTimeseries = 5;  // Request
constexpr uint32_t kLabelRefs = 1, kSamples = 2, kHistograms = 3, kExemplars = 4, kMetadata = 5;
}  // namespace v2

model::Label ReadLabel(protozero::data_view message) {
  model::Label label;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(v1::kName): label.name = View(reader.get_view()); break;
      case Bytes(v1::kValue): label.value = View(reader.get_view()); break;
      default: reader.skip();
    }
  }
  return label;
}

struct Sample {
  model::Timestamp t = 0;
  double v = 0;
};

Sample ReadSample(protozero::data_view message) {
  Sample sample;
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

// The message is the same in both protocols.
model::Histogram ReadHistogram(protozero::data_view message, model::Timestamp* t) {
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
      default: reader.skip();
    }
  }
  return h;
}

base::Status ReadLabelsV1(std::string_view message, const void*, std::vector<model::Label>* labels) {
  try {
    protozero::pbf_reader reader(message.data(), message.size());
    while (reader.next(v1::kLabels, kLengthDelimited)) labels->push_back(ReadLabel(reader.get_view()));
  } catch (const protozero::exception& e) {
    return base::DataLoss(e.what());
  }
  return {};
}

model::Exemplar ReadExemplarV1(protozero::data_view message) {
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

// Hashes the bytes of the label fields, which stand together at the start of nearly every series.
WriteBatch::Incoming IncomingV1(protozero::data_view message, uint64_t seed) {
  const char* begin = message.data();
  const char* end = begin;
  bool gap = false;
  bool scattered = false;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    if (reader.tag_and_type() == Bytes(v1::kLabels)) {
      protozero::data_view label = reader.get_view();
      end = label.data() + label.size();
      scattered = scattered || gap;
    } else {
      gap = true;
      reader.skip();
    }
  }
  if (!scattered) {
    std::string_view labels(begin, static_cast<size_t>(end - begin));
    return {.message = View(message),
            .samples = View(message).substr(labels.size()),
            .key = base::Xxh128(labels, seed)};
  }
  std::string all;
  protozero::pbf_reader again(message);
  while (again.next(v1::kLabels, kLengthDelimited)) {
    std::string_view label = View(again.get_view());
    all += fmt::format("{}:{}", label.size(), label);
  }
  return {.message = View(message), .samples = View(message), .key = base::Xxh128(all, seed ^ 1)};
}

base::Status TakeSeriesV1(size_t i, std::string_view samples, WriteBatch* batch) {
  ASSIGN_OR_RETURN(bool valid, batch->BeginSeries(i));
  if (!valid) return {};
  protozero::pbf_reader reader(samples.data(), samples.size());
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(v1::kSamples): {
        Sample s = ReadSample(reader.get_view());
        batch->Add(s.t, s.v);
        break;
      }
      case Bytes(v1::kExemplars): batch->Add(ReadExemplarV1(reader.get_view())); break;
      case Bytes(v1::kHistograms): {
        model::Timestamp t = 0;
        model::Histogram h = ReadHistogram(reader.get_view(), &t);
        batch->Add(t, std::move(h));
        break;
      }
      default: reader.skip();
    }
  }
  return {};
}

base::Status TakeV1(std::string_view body, uint64_t seed, WriteBatch* batch) {
  std::vector<WriteBatch::Incoming> series;
  protozero::pbf_reader request(body.data(), body.size());
  while (request.next(v1::kTimeseries, kLengthDelimited)) {
    series.push_back(IncomingV1(request.get_view(), seed));
  }
  batch->Expect(series);
  for (size_t i = 0; i < series.size(); ++i) {
    RETURN_IF_ERROR(TakeSeriesV1(i, series[i].samples, batch));
  }
  return {};
}

// The strings of a 2.0 request, and their hashes, which stand for them in the keys of series.
struct Symbols {
  std::vector<std::string_view> texts;
  std::vector<base::Hash128> hashes;
};

// The references of a series' labels (name, value, name, value, ...).
base::Status ReadRefs(protozero::data_view message, const Symbols& symbols,
                      std::vector<uint32_t>* refs) {
  refs->clear();
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(v2::kLabelRefs):
        for (uint32_t ref : reader.get_packed_uint32()) refs->push_back(ref);
        break;
      case Varint(v2::kLabelRefs): refs->push_back(reader.get_uint32()); break;
      default: reader.skip();
    }
  }
  if (refs->size() % 2 != 0) {
    return base::InvalidArgument(
        fmt::format("invalid labelRefs length {}: names and values come in pairs", refs->size()));
  }
  for (uint32_t ref : *refs) {
    if (ref >= symbols.texts.size()) {
      return base::InvalidArgument(fmt::format("labelRef {} is beyond the symbol table of size {}",
                                               ref, symbols.texts.size()));
    }
  }
  return {};
}

base::Status ReadLabelsV2(std::string_view message, const void* context,
                          std::vector<model::Label>* labels) {
  const auto& symbols = *static_cast<const Symbols*>(context);
  try {
    std::vector<uint32_t> refs;
    RETURN_IF_ERROR(ReadRefs({message.data(), message.size()}, symbols, &refs));
    for (size_t i = 0; i < refs.size(); i += 2) {
      labels->push_back({symbols.texts[refs[i]], symbols.texts[refs[i + 1]]});
    }
  } catch (const protozero::exception& e) {
    return base::DataLoss(e.what());
  }
  return {};
}

model::Exemplar ReadExemplarV2(protozero::data_view message, const Symbols& symbols) {
  model::Exemplar exemplar{.has_timestamp = true};
  std::vector<model::Label> labels;
  if (base::Status s = ReadLabelsV2(View(message), &symbols, &labels); s) {
    exemplar.labels = model::Labels::FromLabels(std::move(labels));
  }
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Fixed(2): exemplar.value = reader.get_double(); break;
      case Varint(3): exemplar.t = reader.get_int64(); break;
      default: reader.skip();
    }
  }
  return exemplar;
}

void TakeMetadataV2(protozero::data_view message, const Symbols& symbols, WriteBatch* batch) {
  model::Metadata metadata;
  auto text = [&](uint32_t ref) {
    return ref < symbols.texts.size() ? std::string(symbols.texts[ref]) : std::string();
  };
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Varint(1): {
        int32_t type = reader.get_enum();
        if (type >= 0 && type <= static_cast<int32_t>(model::MetricType::kStateset)) {
          metadata.type = static_cast<model::MetricType>(type);
        }
        break;
      }
      case Varint(3): metadata.help = text(reader.get_uint32()); break;
      case Varint(4): metadata.unit = text(reader.get_uint32()); break;
      default: reader.skip();
    }
  }
  batch->SetMetadata(metadata);
}

base::Status TakeSeriesV2(size_t i, std::string_view message, const Symbols& symbols,
                          WriteBatch* batch) {
  ASSIGN_OR_RETURN(bool valid, batch->BeginSeries(i));
  if (!valid) return {};
  protozero::pbf_reader reader(message.data(), message.size());
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Bytes(v2::kSamples): {
        Sample s = ReadSample(reader.get_view());
        batch->Add(s.t, s.v);
        break;
      }
      case Bytes(v2::kHistograms): {
        model::Timestamp t = 0;
        model::Histogram h = ReadHistogram(reader.get_view(), &t);
        batch->Add(t, std::move(h));
        break;
      }
      case Bytes(v2::kExemplars): batch->Add(ReadExemplarV2(reader.get_view(), symbols)); break;
      case Bytes(v2::kMetadata): TakeMetadataV2(reader.get_view(), symbols, batch); break;
      default: reader.skip();
    }
  }
  return {};
}

// The key of a series: a hash over the hashes of its labels' strings.  Series whose references are
// wrong are told and left out.
base::Status TakeV2(std::string_view body, uint64_t seed, Symbols* symbols, WriteBatch* batch) {
  protozero::pbf_reader table(body.data(), body.size());
  while (table.next(v2::kSymbols, kLengthDelimited)) {
    symbols->texts.push_back(View(table.get_view()));
    symbols->hashes.push_back(base::Xxh128(symbols->texts.back(), seed));
  }
  std::vector<uint32_t> refs;
  std::vector<base::Hash128> hashes;
  std::vector<WriteBatch::Incoming> series;
  protozero::pbf_reader request(body.data(), body.size());
  while (request.next(v2::kTimeseries, kLengthDelimited)) {
    protozero::data_view message = request.get_view();
    if (auto ok = ReadRefs(message, *symbols, &refs); !ok) {
      batch->AddProblem("parsing labels: " + ok.error().message());
      continue;
    }
    hashes.clear();
    for (uint32_t ref : refs) hashes.push_back(symbols->hashes[ref]);
    std::string_view bytes(reinterpret_cast<const char*>(hashes.data()),
                           hashes.size() * sizeof(base::Hash128));
    series.push_back(
        {.message = View(message), .samples = View(message), .key = base::Xxh128(bytes, seed ^ 2)});
  }
  batch->Expect(series);
  for (size_t i = 0; i < series.size(); ++i) {
    RETURN_IF_ERROR(TakeSeriesV2(i, series[i].message, *symbols, batch));
  }
  return {};
}

// The protocol that the headers name.  Errors: what to answer with 415.
base::Result<Protocol> ProtocolOf(const net::HttpRequest& request) {
  std::string_view encoding = request.headers.Get("Content-Encoding");
  if (!encoding.empty() && encoding != "snappy") {
    return base::InvalidArgument(fmt::format(
        "{} encoding (compression) is not accepted by this server; only snappy is acceptable",
        encoding));
  }
  std::string_view type = request.headers.Get("Content-Type");
  std::vector<std::string_view> parts = base::Split(type, ';');
  std::string_view media = base::Trim(parts[0]);
  if (!media.empty() && !base::EqualsIgnoreCase(media, "application/x-protobuf")) {
    return base::InvalidArgument(fmt::format(
        "expected application/x-protobuf as the first (media) part, got {} content-type", type));
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string_view part = base::Trim(parts[i]);
    if (!part.starts_with("proto=")) continue;
    std::string_view proto = part.substr(6);
    if (proto == "prometheus.WriteRequest") return Protocol::kV1;
    if (proto == "io.prometheus.write.v2.Request") return Protocol::kV2;
    return base::InvalidArgument(
        fmt::format("{} protobuf message is not accepted by this server; only "
                    "prometheus.WriteRequest and io.prometheus.write.v2.Request are",
                    proto));
  }
  return Protocol::kV1;
}

net::HttpResponse Refuse(int status, std::string message) {
  if (!message.ends_with('\n')) message += '\n';
  return net::HttpResponse::Text(status, std::move(message));
}

int StatusOf(const base::Error& error) {
  switch (error.code()) {
    case base::Code::kDataLoss:  // the body is no protobuf
    case base::Code::kInvalidArgument: return 400;
    case base::Code::kUnavailable: return 503;
    default: return 500;
  }
}

void AddCounts(const WriteBatch& batch, net::HttpResponse* response) {
  auto set = [response](std::string_view what, size_t count) {
    response->headers.Set(fmt::format("X-Prometheus-Remote-Write-{}-Written", what),
                          std::to_string(count));
  };
  set("Samples", batch.samples());
  set("Histograms", batch.histograms());
  set("Exemplars", batch.exemplars());
}

}  // namespace

RemoteWriteReceiver::RemoteWriteReceiver(base::Registry* registry, uint64_t seed)
    : seed_(seed),
      invalid_labels_(registry->AddCounter(
          "prometheus_api_remote_write_invalid_labels_samples_total",
          "The total number of series of remote write requests which were rejected due to invalid "
          "labels.")) {}

net::HttpResponse RemoteWriteReceiver::Write(const net::HttpRequest& request,
                                             storage::Appendable* storage, model::Timestamp now) {
  auto protocol = ProtocolOf(request);
  if (!protocol) return Refuse(415, protocol.error().message());
  auto body = base::SnappyDecode(request.body, kMaxBytes);
  if (!body) {
    bool large = body.error().code() == base::Code::kResourceExhausted;
    return Refuse(large ? 413 : 400, "snappy: " + body.error().message());
  }
  Symbols symbols;
  WriteBatch batch(storage, &cache_, now + std::chrono::milliseconds(kMaxAhead).count(),
                   *protocol == Protocol::kV1 ? ReadLabelsV1 : ReadLabelsV2, &symbols);
  base::Status status;
  try {
    status = *protocol == Protocol::kV1 ? TakeV1(*body, seed_, &batch)
                                        : TakeV2(*body, seed_, &symbols, &batch);
  } catch (const protozero::exception& e) {
    // All or nothing: a body that ends in the middle says nothing about what it begins with.
    return Refuse(400, std::string("proto: ") + e.what());
  }
  if (status) status = batch.Commit();
  if (!status) return Refuse(StatusOf(status.error()), status.error().message());
  invalid_labels_->Add(static_cast<double>(batch.invalid_series()));
  // 1.0 leaves series with invalid labels out and says nothing.
  bool silent = *protocol == Protocol::kV1 && batch.only_invalid_labels();
  net::HttpResponse response;
  response.status = 204;
  if (!batch.problems().empty() && !silent) response = Refuse(400, batch.problems());
  if (*protocol == Protocol::kV2) AddCounts(batch, &response);
  return response;
}

}  // namespace tocsin::api
