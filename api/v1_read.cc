// /api/v1/read: remote read, answered with samples (prometheus.ReadResponse in a snappy block).
// Streamed chunks are not offered; every client takes samples too.

#include <fmt/core.h>

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "api/prometheus_impl.h"
#include "base/compress.h"

namespace tocsin::api {
namespace {

constexpr size_t kMaxRequestBytes = 32 << 20;
// Prometheus's --storage.remote.read-sample-limit.
constexpr size_t kMaxSamples = 50'000'000;
constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;
constexpr auto kVarint = protozero::pbf_wire_type::varint;

constexpr uint32_t Field(uint32_t number, protozero::pbf_wire_type type) {
  return protozero::tag_and_type(number, type);
}

struct ReadQuery {
  model::Timestamp start = 0;
  model::Timestamp end = 0;
  model::Matchers matchers;
};

struct ReadRequest {
  std::vector<ReadQuery> queries;
  bool samples_accepted = true;
};

base::Result<model::Matcher> ReadMatcher(protozero::data_view message) {
  int32_t type = 0;
  std::string name;
  std::string value;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Field(1, kVarint): type = reader.get_enum(); break;
      case Field(2, kBytes): name = reader.get_string(); break;
      case Field(3, kBytes): value = reader.get_string(); break;
      default: reader.skip();
    }
  }
  if (type < 0 || type > 3) {
    return base::InvalidArgument(fmt::format("invalid matcher type {}: 0 is =, 1 !=, 2 =~, 3 !~", type));
  }
  return model::Matcher::Make(static_cast<model::MatchOp>(type), name, value);
}

base::Result<ReadQuery> ReadOneQuery(protozero::data_view message) {
  ReadQuery query;
  protozero::pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Field(1, kVarint): query.start = reader.get_int64(); break;
      case Field(2, kVarint): query.end = reader.get_int64(); break;
      case Field(3, kBytes): {
        ASSIGN_OR_RETURN(model::Matcher matcher, ReadMatcher(reader.get_view()));
        query.matchers.push_back(std::move(matcher));
        break;
      }
      default: reader.skip();
    }
  }
  return query;
}

base::Result<ReadRequest> Decode(std::string_view body) {
  ReadRequest request;
  bool named = false;
  auto accept = [&](int32_t type) {
    if (!named) request.samples_accepted = false;
    named = true;
    if (type == 0) request.samples_accepted = true;
  };
  try {
    protozero::pbf_reader reader(body.data(), body.size());
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case Field(1, kBytes): {
          ASSIGN_OR_RETURN(ReadQuery query, ReadOneQuery(reader.get_view()));
          request.queries.push_back(std::move(query));
          break;
        }
        case Field(2, kVarint): accept(reader.get_enum()); break;
        case Field(2, kBytes):
          for (int32_t type : reader.get_packed_enum()) accept(type);
          break;
        default: reader.skip();
      }
    }
  } catch (const protozero::exception& e) {
    return base::InvalidArgument(std::string("proto: ") + e.what());
  }
  return request;
}

void WriteSpans(uint32_t field, const std::vector<model::Span>& spans,
                protozero::pbf_writer* histogram) {
  for (const model::Span& s : spans) {
    protozero::pbf_writer span(*histogram, field);
    span.add_sint32(1, s.offset);
    span.add_uint32(2, s.length);
  }
}

// As a float histogram, which says the same of an integer one.
void WriteHistogram(const model::Histogram& h, model::Timestamp t, protozero::pbf_writer* series) {
  protozero::pbf_writer out(*series, 4);
  out.add_double(2, h.count);
  out.add_double(3, h.sum);
  out.add_sint32(4, h.schema);
  out.add_double(5, h.zero_threshold);
  out.add_double(7, h.zero_count);
  WriteSpans(8, h.negative_spans, &out);
  out.add_packed_double(10, h.negative_buckets.begin(), h.negative_buckets.end());
  WriteSpans(11, h.positive_spans, &out);
  out.add_packed_double(13, h.positive_buckets.begin(), h.positive_buckets.end());
  out.add_enum(14, static_cast<int32_t>(h.counter_reset));
  out.add_int64(15, t);
  out.add_packed_double(16, h.custom_values.begin(), h.custom_values.end());
}

void WriteSeries(model::LabelsView labels, const model::Labels& external,
                 const storage::SampleColumns& columns, size_t i, protozero::pbf_writer* result) {
  protozero::pbf_writer series(*result, 1);
  model::LabelsBuilder all(labels);
  for (const model::Label& l : external) {
    if (!labels.Has(l.name)) all.Set(l.name, l.value);
  }
  for (const auto& [name, value] : all.pairs()) {
    protozero::pbf_writer label(series, 1);
    label.add_string(1, name);
    label.add_string(2, value);
  }
  auto histogram = std::ranges::lower_bound(columns.histogram_at, columns.offsets[i]);
  for (uint32_t at = columns.offsets[i]; at < columns.offsets[i + 1]; ++at) {
    if (histogram != columns.histogram_at.end() && *histogram == at) {
      size_t index = static_cast<size_t>(histogram - columns.histogram_at.begin());
      WriteHistogram(*columns.histograms[index], columns.times[at], &series);
      ++histogram;
      continue;
    }
    protozero::pbf_writer sample(series, 2);
    sample.add_double(1, columns.values[at]);
    sample.add_int64(2, columns.times[at]);
  }
}

// Matchers on the external labels are answered here: the series do not have them.
model::Matchers WithoutExternal(const model::Matchers& matchers, const model::Labels& external) {
  model::Matchers kept;
  for (const model::Matcher& m : matchers) {
    std::string_view value = external.Get(m.name());
    bool external_one = m.op() == model::MatchOp::kEqual && !value.empty() && value == m.value();
    if (!external_one) kept.push_back(m);
  }
  return kept;
}

base::Status AnswerQuery(const ReadQuery& query, storage::Queryable* storage,
                    const model::Labels& external, size_t* samples, protozero::pbf_writer* response) {
  // Also a query without series has its result.
  protozero::pbf_writer result(*response, 1);
  storage::Window window{.after = query.start == model::kMinTimestamp ? query.start : query.start - 1,
                         .upto = query.end};
  auto querier = storage->NewQuerier(window);
  ASSIGN_OR_RETURN(auto set,
                   querier->Select({.window = window}, WithoutExternal(query.matchers, external)));
  storage::SampleColumns columns;
  // So many series at a time keep the columns small.
  constexpr size_t kBatch = 256;
  for (size_t first = 0; first < set->size(); first += kBatch) {
    size_t count = std::min(kBatch, set->size() - first);
    RETURN_IF_ERROR(set->Read(first, count, window, &columns));
    *samples += columns.times.size();
    if (*samples > kMaxSamples) {
      return base::InvalidArgument(fmt::format(
          "exceeded sample limit ({}); ask for fewer series or a shorter time", kMaxSamples));
    }
    for (size_t i = 0; i < count; ++i) {
      if (columns.offsets[i] == columns.offsets[i + 1]) continue;
      WriteSeries(set->labels(first + i), external, columns, i, &result);
    }
  }
  return {};
}

net::HttpResponse Refuse(const base::Error& error) {
  int status = error.code() == base::Code::kInvalidArgument ? 400 : 500;
  return net::HttpResponse::Text(status, error.message() + "\n");
}

}  // namespace

net::HttpResponse RemoteRead(const Call& call, const model::Labels& external_labels) {
  auto body = base::SnappyDecode(call.request->body, kMaxRequestBytes);
  if (!body) return net::HttpResponse::Text(400, "snappy: " + body.error().message() + "\n");
  auto request = Decode(*body);
  if (!request) return Refuse(request.error());
  if (!request->samples_accepted) {
    return net::HttpResponse::Text(
        400, "server does not support any of the requested response types; it has SAMPLES\n");
  }
  std::string out;
  size_t samples = 0;
  protozero::pbf_writer response(out);
  for (const ReadQuery& query : request->queries) {
    if (auto s = AnswerQuery(query, call.queryable, external_labels, &samples, &response); !s) {
      return Refuse(s.error());
    }
  }
  net::HttpResponse answer;
  answer.headers.Set("Content-Type", "application/x-protobuf");
  answer.headers.Set("Content-Encoding", "snappy");
  answer.body = base::SnappyEncode(out);
  answer.compress = false;
  return answer;
}

}  // namespace tocsin::api
