#pragma once

// JSON written straight into a string, commas by itself.
//
//   std::string out;
//   JsonWriter json(&out);
//   json.BeginObject();
//   json.Member("status", "success");
//   json.Key("data");
//   json.BeginArray(); ... json.EndArray();
//   json.EndObject();
//
// Threads: none shared.  Strings with invalid UTF-8 get U+FFFD for the bytes that are wrong.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "model/labels.h"

namespace tocsin::api {

class JsonWriter {
 public:
  // Appends to `out`, which outlives the writer.
  explicit JsonWriter(std::string* out) : out_(out) {}

  void BeginObject() { Open('{'); }
  void EndObject() { Close('}'); }
  void BeginArray() { Open('['); }
  void EndArray() { Close(']'); }
  void Key(std::string_view key);

  void String(std::string_view text);
  void Bool(bool b) { Raw(b ? "true" : "false"); }
  void Null() { Raw("null"); }
  void Int(int64_t i);
  void Uint(uint64_t u);
  void Double(double v);  // as Go's encoding/json; infinities and NaN, which JSON lacks, as null
  void Raw(std::string_view json) {
    Comma();
    out_->append(json);
  }

  // RFC 3339 with nanoseconds in UTC, kZeroTime as 0001-01-01T00:00:00Z.
  void Time(base::Time t);
  // A sample's time: seconds with up to three decimals, 1435781451.781.
  void SampleTime(int64_t ms);
  // A sample's value: a string, "1.5", "+Inf", "NaN".
  void SampleValue(double v);
  // Both: [1435781451.781,"1.5"].
  void Sample(int64_t ms, double v);
  // {"__name__":"up","job":"a"}
  void Labels(model::LabelsView labels);

  void Member(std::string_view key, std::string_view text) {
    Key(key);
    String(text);
  }
  void Member(std::string_view key, const char* text) { Member(key, std::string_view(text)); }
  void Member(std::string_view key, bool b) {
    Key(key);
    Bool(b);
  }
  void Member(std::string_view key, double v) {
    Key(key);
    Double(v);
  }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  void Member(std::string_view key, T i) {
    Key(key);
    if constexpr (std::signed_integral<T>) {
      Int(i);
    } else {
      Uint(i);
    }
  }
  void Member(std::string_view key, model::LabelsView labels) {
    Key(key);
    Labels(labels);
  }
  template <class Strings>
  void MemberList(std::string_view key, const Strings& strings) {
    Key(key);
    BeginArray();
    for (const auto& s : strings) String(s);
    EndArray();
  }

  std::string* out() { return out_; }

 private:
  void Comma() {
    if (comma_) out_->push_back(',');
    comma_ = true;
  }
  void Open(char c) {
    Comma();
    out_->push_back(c);
    comma_ = false;
  }
  void Close(char c) {
    out_->push_back(c);
    comma_ = true;
  }

  std::string* out_;
  bool comma_ = false;  // before the next value
};

}  // namespace tocsin::api
