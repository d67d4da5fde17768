#include "api/http/json.h"

#include <charconv>
#include <cmath>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

constexpr size_t kMaxSampleTime = 32;

// Returns the end.
char* WriteSampleTime(int64_t ms, char* p) {
  // The magnitude of the lowest number fits only without a sign.
  const uint64_t magnitude = ms < 0 ? 0 - static_cast<uint64_t>(ms) : static_cast<uint64_t>(ms);
  if (ms < 0) *p++ = '-';
  p = std::to_chars(p, p + kMaxSampleTime, magnitude / 1000).ptr;
  if (uint64_t fraction = magnitude % 1000; fraction != 0) {
    *p++ = '.';
    for (uint64_t unit = 100; fraction != 0; unit /= 10) {
      *p++ = static_cast<char>('0' + fraction / unit);
      fraction %= unit;
    }
  }
  return p;
}

}  // namespace

void JsonWriter::Key(std::string_view key) {
  Comma();
  base::AppendJsonString(key, out_);
  out_->push_back(':');
  comma_ = false;
}

void JsonWriter::String(std::string_view text) {
  Comma();
  base::AppendJsonString(text, out_);
}

void JsonWriter::Int(int64_t i) {
  char buffer[24];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, i);
  Raw({buffer, static_cast<size_t>(end - buffer)});
}

void JsonWriter::Uint(uint64_t u) {
  char buffer[24];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, u);
  Raw({buffer, static_cast<size_t>(end - buffer)});
}

void JsonWriter::Double(double v) {
  if (!std::isfinite(v)) return Null();
  Comma();
  base::AppendJson(v, out_);
}

void JsonWriter::Time(base::Time t) {
  if (t == base::kZeroTime) return String("0001-01-01T00:00:00Z");
  String(base::FormatRfc3339(t));
}

void JsonWriter::SampleTime(int64_t ms) {
  char buffer[kMaxSampleTime];
  Raw({buffer, static_cast<size_t>(WriteSampleTime(ms, buffer) - buffer)});
}

void JsonWriter::Sample(int64_t ms, double v) {
  char buffer[kMaxSampleTime + base::kMaxJsonNumber + 8];
  char* p = buffer;
  if (comma_) *p++ = ',';
  comma_ = true;
  *p++ = '[';
  p = WriteSampleTime(ms, p);
  *p++ = ',';
  *p++ = '"';
  p = base::WriteJson(v, p);
  *p++ = '"';
  *p++ = ']';
  out_->append(buffer, static_cast<size_t>(p - buffer));
}

void JsonWriter::SampleValue(double v) {
  Comma();
  out_->push_back('"');
  base::AppendJson(v, out_);
  out_->push_back('"');
}

void JsonWriter::Labels(model::LabelsView labels) {
  BeginObject();
  for (const model::Label& l : labels) Member(l.name, l.value);
  EndObject();
}

}  // namespace tocsin::api
