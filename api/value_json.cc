#include "api/value_json.h"

#include <algorithm>

namespace tocsin::api {
namespace {

// Usual sizes, so that a large body is not copied while it grows.
constexpr size_t kBytesOfAPoint = 36;
constexpr size_t kBytesOfLabels = 200;

void WritePoint(model::Timestamp t, const model::Histogram& h, JsonWriter* json) {
  json->BeginArray();
  json->SampleTime(t);
  WriteHistogram(h, json);
  json->EndArray();
}

void WriteSample(const promql::VectorSample& s, JsonWriter* json) {
  json->BeginObject();
  json->Member("metric", s.labels.view());
  if (s.h != nullptr) {
    json->Key("histogram");
    WritePoint(s.t, *s.h, json);
  } else {
    json->Key("value");
    json->Sample(s.t, s.v);
  }
  json->EndObject();
}

void WriteSeries(const promql::MatrixSeries& s, JsonWriter* json) {
  json->BeginObject();
  json->Member("metric", s.labels.view());
  if (!s.floats.empty()) {
    json->Key("values");
    json->BeginArray();
    for (const promql::FloatPoint& p : s.floats) json->Sample(p.t, p.v);
    json->EndArray();
  }
  if (!s.histograms.empty()) {
    json->Key("histograms");
    json->BeginArray();
    for (const promql::HistogramPoint& p : s.histograms) WritePoint(p.t, *p.h, json);
    json->EndArray();
  }
  json->EndObject();
}

// How the bounds belong to a bucket: open left, open right, open, closed.
int BoundaryRule(const model::Bucket& b) {
  if (b.lower_inclusive) return b.upper_inclusive ? 3 : 1;
  return b.upper_inclusive ? 0 : 2;
}

// How many of a list are written.
template <class List>
size_t Shown(const List& list, size_t limit) {
  return limit == 0 ? list.size() : std::min(limit, list.size());
}

template <class List, class Write>
bool WriteList(const List& list, size_t limit, const std::atomic<bool>* cancelled, JsonWriter* json,
               Write write) {
  const size_t count = Shown(list, limit);
  json->BeginArray();
  for (size_t i = 0; i < count; ++i) {
    if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) break;
    write(list[i], json);
  }
  json->EndArray();
  return count < list.size();
}

}  // namespace

void WriteHistogram(const model::Histogram& h, JsonWriter* json) {
  json->BeginObject();
  json->Key("count");
  json->SampleValue(h.count);
  json->Key("sum");
  json->SampleValue(h.sum);
  bool open = false;
  for (const model::Bucket& b : model::AllBuckets(h)) {
    if (b.count == 0) continue;
    if (!open) {
      json->Key("buckets");
      json->BeginArray();
      open = true;
    }
    json->BeginArray();
    json->Int(BoundaryRule(b));
    json->SampleValue(b.lower);
    json->SampleValue(b.upper);
    json->SampleValue(b.count);
    json->EndArray();
  }
  if (open) json->EndArray();
  json->EndObject();
}

bool WriteValue(const promql::Value& value, size_t limit, JsonWriter* json,
                const std::atomic<bool>* cancelled) {
  if (const auto* scalar = std::get_if<promql::Scalar>(&value)) {
    json->Sample(scalar->t, scalar->v);
    return false;
  }
  if (const auto* text = std::get_if<promql::String>(&value)) {
    json->BeginArray();
    json->SampleTime(text->t);
    json->String(text->text);
    json->EndArray();
    return false;
  }
  if (const auto* vector = std::get_if<promql::Vector>(&value)) {
    return WriteList(*vector, limit, cancelled, json, WriteSample);
  }
  const auto& matrix = std::get<promql::Matrix>(value);
  const size_t shown = Shown(matrix, limit);
  size_t points = 0;
  for (size_t i = 0; i < shown; ++i) points += matrix[i].floats.size();
  json->out()->reserve(json->out()->size() + points * kBytesOfAPoint + shown * kBytesOfLabels);
  return WriteList(matrix, limit, cancelled, json, WriteSeries);
}

void WriteExemplar(const model::Exemplar& e, JsonWriter* json) {
  json->BeginObject();
  json->Member("labels", e.labels.view());
  json->Key("value");
  json->SampleValue(e.value);
  json->Key("timestamp");
  json->SampleTime(e.t);
  json->EndObject();
}

}  // namespace tocsin::api
