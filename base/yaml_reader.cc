#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/yaml.h"

namespace tocsin::base::yaml {
namespace {

bool Before(Position a, Position b) {
  return std::pair(a.line, a.column) < std::pair(b.line, b.column);
}

std::string Located(const std::string& file, Position at, const std::string& message) {
  if (at.line == 0) return file.empty() ? message : file + ": " + message;
  return file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + message;
}

// A plain number, as Go's decoder takes it; false: not a number.
bool ReadNumber(const Node& node, double* out) {
  if (!node.IsScalar() || node.style != Node::Style::kPlain) return false;
  std::string_view text = node.text;
  switch (ResolvePlain(text)) {
    case ScalarType::kInt: {
      auto v = ParsePromNumber(text);
      if (!v) return false;
      *out = *v;
      return true;
    }
    case ScalarType::kFloat: {
      if (text.ends_with("nan") || text.ends_with("NaN") || text.ends_with("NAN")) {
        *out = std::nan("");
        return true;
      }
      if (text.find("inf") != text.npos || text.find("Inf") != text.npos || text.find("INF") != text.npos) {
        *out = text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
      }
      auto v = ParseFloat(ReplaceAll(text, "_", ""));
      if (!v) return false;
      *out = *v;
      return true;
    }
    default: return false;
  }
}

// Decimal integers keep all of their 64 bits; other forms go through a double, as fractions are cut.
bool ReadWhole(const Node& node, bool* negative, uint64_t* out) {
  double v = 0;
  if (!ReadNumber(node, &v) || std::isnan(v)) return false;
  *negative = v < 0;
  std::string_view digits = node.text;
  if (digits[0] == '+' || digits[0] == '-') digits.remove_prefix(1);
  if (digits[0] != '0' && digits.find_first_not_of("0123456789") == digits.npos) {
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out);
    return error == std::errc();
  }
  double size = std::trunc(std::fabs(v));
  if (size >= 0x1p64) return false;
  *out = static_cast<uint64_t>(size);
  return true;
}

}  // namespace

void Errors::Add(Position position, std::string message) {
  std::string text = Located(file_, position, message);
  errors_.push_back({position, std::move(message), std::move(text)});
}

void Errors::Warn(Position position, std::string message) {
  std::string text = Located(file_, position, message);
  warnings_.push_back({position, std::move(message), std::move(text)});
}

std::vector<Errors::Item> Errors::Sorted() const {
  std::vector<Item> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Item& a, const Item& b) { return Before(a.position, b.position); });
  return sorted;
}

Status Errors::ToStatus() const {
  if (errors_.empty()) return {};
  std::string all;
  for (const Item& item : Sorted()) {
    if (!all.empty()) all += '\n';
    all += item.text;
  }
  return InvalidArgument(std::move(all));
}

Reader::Reader(const Node& node, Errors* errors, std::string what)
    : node_(node), errors_(errors), what_(std::move(what)) {
  if (!node.IsMapping() && !node.IsNull()) {
    errors_->Add(node.position, "cannot unmarshal " + Describe(node) + " into " +
                                    (what_.empty() ? "a mapping" : what_) + "; write `key: value` lines");
  }
}

const Node* Reader::Take(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
  return node_.IsMapping() ? node_.Find(key) : nullptr;
}

bool Reader::Has(std::string_view key) const { return node_.IsMapping() && node_.Find(key) != nullptr; }

Position Reader::At(std::string_view key) const {
  const Node* value = node_.IsMapping() ? node_.Find(key) : nullptr;
  return value != nullptr ? value->position : node_.position;
}

void Reader::Error(std::string_view key, std::string message) {
  errors_->Add(At(key), (key.empty() ? std::string() : std::string(key) + ": ") + std::move(message));
}

void Reader::Wrong(std::string_view key, const Node& value, std::string_view type, std::string_view hint) {
  std::string message = std::string(key) + ": cannot unmarshal " + Describe(value) + " into " + std::string(type);
  if (!hint.empty()) message += "; " + std::string(hint);
  errors_->Add(value.position, std::move(message));
}

bool Reader::String(std::string_view key, std::string* out) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  if (ScalarText(*value, out)) return true;
  Wrong(key, *value, "string", "write one text");
  return false;
}

bool Reader::Bool(std::string_view key, bool* out) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  if (!value->IsScalar() || value->style != Node::Style::kPlain || ResolvePlain(value->text) != ScalarType::kBool) {
    Wrong(key, *value, "bool", "write true or false");
    return false;
  }
  char c = value->text[0];
  *out = c == 't' || c == 'T' || c == 'y' || c == 'Y' || value->text == "on" || value->text == "On" ||
         value->text == "ON";
  return true;
}

bool Reader::Int(std::string_view key, int64_t* out) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  bool negative = false;
  uint64_t size = 0;
  if (!ReadWhole(*value, &negative, &size) || size > (uint64_t{1} << 63) - (negative ? 0 : 1)) {
    Wrong(key, *value, "int", "write a whole number");
    return false;
  }
  *out = static_cast<int64_t>(negative ? -size : size);
  return true;
}

bool Reader::Uint(std::string_view key, uint64_t* out) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  bool negative = false;
  uint64_t size = 0;
  if (!ReadWhole(*value, &negative, &size) || (negative && size > 0)) {
    Wrong(key, *value, "uint", "write a whole number that is not negative");
    return false;
  }
  *out = size;
  return true;
}

bool Reader::Double(std::string_view key, double* out) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  if (ReadNumber(*value, out)) return true;
  Wrong(key, *value, "float64", "write a number");
  return false;
}

template <class T>
bool Reader::Parsed(std::string_view key, T* out, Result<T> (*parse)(std::string_view)) {
  std::string text;
  if (!String(key, &text)) return false;
  auto parsed = parse(text);
  if (parsed) {
    *out = *parsed;
    return true;
  }
  Error(key, parsed.error().message());
  return false;
}

bool Reader::Duration(std::string_view key, base::Duration* out) { return Parsed(key, out, &ParseDuration); }
bool Reader::GoDuration(std::string_view key, base::Duration* out) { return Parsed(key, out, &ParseGoDuration); }
bool Reader::Bytes(std::string_view key, uint64_t* out) { return Parsed(key, out, &ParseBytes); }

bool Reader::Strings(std::string_view key, std::vector<std::string>* out) {
  std::vector<std::string> read;
  bool sound = true;
  bool there = Each(key, [&](const Node& item) {
    std::string text;
    if (!item.IsNull() && !ScalarText(item, &text)) {
      Wrong(key, item, "string", "write a list of texts");
      sound = false;
    }
    read.push_back(std::move(text));
  });
  if (!there || !sound) return false;
  *out = std::move(read);
  return true;
}

bool Reader::StringMap(std::string_view key, std::vector<std::pair<std::string, std::string>>* out) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  if (!value->IsMapping()) {
    Wrong(key, *value, "map[string]string", "write `name: value` lines");
    return false;
  }
  std::vector<std::pair<std::string, std::string>> read;
  bool sound = true;
  for (const Node::Entry& entry : value->entries) {
    std::string text;
    if (!entry.value.IsNull() && !ScalarText(entry.value, &text)) {
      Wrong(std::string(key) + "." + entry.key.text, entry.value, "string", "write one text");
      sound = false;
    }
    read.emplace_back(entry.key.text, std::move(text));
  }
  if (sound) *out = std::move(read);
  return sound;
}

bool Reader::Choice(std::string_view key, std::span<const std::string_view> choices, std::string* out) {
  std::string text;
  if (!String(key, &text)) return false;
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) {
    *out = std::move(text);
    return true;
  }
  std::string message = "unknown value " + Quote(text) + "; use one of ";
  for (size_t i = 0; i < choices.size(); ++i) message += (i > 0 ? ", " : "") + std::string(choices[i]);
  Error(key, std::move(message));
  return false;
}

bool Reader::With(std::string_view key, const std::function<void(const Node&)>& read) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  read(*value);
  return true;
}

bool Reader::Each(std::string_view key, const std::function<void(const Node&)>& read) {
  const Node* value = Take(key);
  if (value == nullptr || value->IsNull()) return false;
  if (!value->IsSequence()) {
    Wrong(key, *value, "a list", "write `- item` lines");
    return false;
  }
  for (const Node& item : value->items) read(item);
  return true;
}

void Reader::Finish() {
  if (!node_.IsMapping()) return;
  for (const Node::Entry& entry : node_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key.text) != known_.end()) continue;
    std::vector<std::string> keys = known_;
    std::sort(keys.begin(), keys.end());
    std::string message = "field " + entry.key.text + " not found in type " +
                          (what_.empty() ? std::string("mapping") : what_) + "; known keys: " + Join(keys, ", ");
    errors_->Add(entry.key.position, std::move(message));
  }
}

}  // namespace tocsin::base::yaml
