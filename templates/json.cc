// Go's encoding/json over Values.

#include <cmath>

#include "base/digest.h"
#include "base/number.h"
#include "base/text.h"
#include "templates/value.h"

namespace tocsin::templates {

namespace {

constexpr int kMaxDepth = 200;

base::Status Append(const Value& v, int depth, std::string* out) {
  if (depth > kMaxDepth) return base::ResourceExhausted("json: the value is nested more than 200 levels deep");
  if (v.type() != nullptr && v.type()->to_json) {
    *out += v.type()->to_json(v);
    return {};
  }
  switch (v.kind()) {
    case Kind::kNil: *out += "null"; return {};
    case Kind::kBool: *out += v.as_bool() ? "true" : "false"; return {};
    case Kind::kInt: *out += std::to_string(v.as_int()); return {};
    case Kind::kUint: *out += std::to_string(v.as_uint()); return {};
    case Kind::kFloat:
      if (!std::isfinite(v.as_float())) {
        return base::InvalidArgument("json: unsupported value: " + base::FormatG(v.as_float()));
      }
      base::AppendJson(v.as_float(), out);
      return {};
    case Kind::kString: base::AppendJsonString(v.as_string(), out, base::JsonEscape::kGo); return {};
    case Kind::kList: {
      if (v.is_nil_container()) {
        *out += "null";
        return {};
      }
      *out += '[';
      for (size_t i = 0; i < v.as_list().size(); ++i) {
        if (i > 0) *out += ',';
        RETURN_IF_ERROR(Append(v.as_list()[i], depth + 1, out));
      }
      *out += ']';
      return {};
    }
    case Kind::kMap: {
      if (v.is_nil_container()) {
        *out += "null";
        return {};
      }
      *out += '{';
      bool first = true;
      for (const auto& [key, item] : v.as_map()) {
        if (!first) *out += ',';
        first = false;
        base::AppendJsonString(key, out, base::JsonEscape::kGo);
        *out += ':';
        RETURN_IF_ERROR(Append(item, depth + 1, out));
      }
      *out += '}';
      return {};
    }
    case Kind::kStruct: {
      *out += '{';
      bool first = true;
      for (size_t i = 0; i < v.fields().size(); ++i) {
        const std::string& key = v.type()->fields[i].json;
        if (key.empty()) continue;
        if (!first) *out += ',';
        first = false;
        base::AppendJsonString(key, out, base::JsonEscape::kGo);
        *out += ':';
        RETURN_IF_ERROR(Append(v.fields()[i], depth + 1, out));
      }
      *out += '}';
      return {};
    }
    case Kind::kTime: *out += '"' + v.as_time().ToRfc3339Nano() + '"'; return {};
    case Kind::kComplex:
    case Kind::kFunction:
      return base::InvalidArgument("json: unsupported type: " + std::string(v.type_name()));
  }
  return {};
}

}  // namespace

base::Result<std::string> ToJson(const Value& v) {
  std::string out;
  RETURN_IF_ERROR(Append(v, 0, &out));
  return out;
}

}  // namespace tocsin::templates
