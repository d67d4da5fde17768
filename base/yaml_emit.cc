#include <utility>

#include "base/duration.h"
#include "base/number.h"
#include "base/yaml.h"

namespace tocsin::base::yaml {
namespace {

std::string ScalarOut(const Node& node) {
  if (node.IsNull()) return "null";
  // An empty text, which a tag made of nothing, would be null.
  return node.style == Node::Style::kPlain && !node.text.empty() ? node.text : QuoteScalar(node.text);
}

bool IsEmptyCollection(const Node& node) { return node.items.empty() && node.entries.empty(); }

void EmitBlock(const Node& node, size_t indent, bool first_inline, std::string* out);

// The value after "key:" or "-".
void EmitValue(const Node& value, size_t indent, std::string* out) {
  if (value.IsScalar() || value.IsNull()) {
    *out += " " + ScalarOut(value) + "\n";
  } else if (IsEmptyCollection(value)) {
    *out += value.IsMapping() ? " {}\n" : " []\n";
  } else {
    *out += "\n";
    // Go's encoder does not indent a list below its key.
    EmitBlock(value, value.IsMapping() ? indent + 2 : indent, false, out);
  }
}

// `first_inline`: the first line stands behind a "- " that is already there.
void EmitBlock(const Node& node, size_t indent, bool first_inline, std::string* out) {
  bool first = first_inline;
  for (const Node::Entry& entry : node.entries) {
    if (!std::exchange(first, false)) out->append(indent, ' ');
    *out += QuoteScalar(entry.key.text) + ":";
    EmitValue(entry.value, indent, out);
  }
  for (const Node& item : node.items) {
    if (!std::exchange(first, false)) out->append(indent, ' ');
    *out += "-";
    if (item.IsScalar() || item.IsNull() || IsEmptyCollection(item)) {
      EmitValue(item, indent, out);
    } else {
      *out += " ";
      EmitBlock(item, indent + 2, true, out);
    }
  }
}

Node PlainScalar(std::string text) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = std::move(text);
  return node;
}

}  // namespace

std::string Emit(const Node& node) {
  if (node.IsScalar() || node.IsNull()) return ScalarOut(node) + "\n";
  if (IsEmptyCollection(node)) return node.IsMapping() ? "{}\n" : "[]\n";
  std::string out;
  EmitBlock(node, 0, false, &out);
  return out;
}

Node MakeString(std::string_view text) {
  Node node = PlainScalar(std::string(text));
  node.style = Node::Style::kQuoted;
  return node;
}

Node MakeList(std::vector<Node> items) {
  Node node;
  node.kind = Node::Kind::kSequence;
  node.items = std::move(items);
  return node;
}

MapBuilder::MapBuilder() { node_.kind = Node::Kind::kMapping; }

MapBuilder& MapBuilder::Put(std::string_view key, Node value) {
  node_.entries.push_back({PlainScalar(std::string(key)), std::move(value)});
  return *this;
}

MapBuilder& MapBuilder::Add(std::string_view key, Node value) {
  return IsEmptyCollection(value) ? *this : Put(key, std::move(value));
}

MapBuilder& MapBuilder::PutString(std::string_view key, std::string_view value) { return Put(key, MakeString(value)); }

MapBuilder& MapBuilder::AddString(std::string_view key, std::string_view value) {
  return value.empty() ? *this : PutString(key, value);
}

MapBuilder& MapBuilder::AddSecret(std::string_view key, std::string_view value) {
  return value.empty() ? *this : PutString(key, "<secret>");
}

MapBuilder& MapBuilder::PutBool(std::string_view key, bool value) {
  return Put(key, PlainScalar(value ? "true" : "false"));
}

MapBuilder& MapBuilder::AddTrue(std::string_view key, bool value) { return value ? PutBool(key, true) : *this; }

MapBuilder& MapBuilder::AddNumber(std::string_view key, double value) {
  return value == 0 ? *this : Put(key, PlainScalar(FormatG(value)));
}

MapBuilder& MapBuilder::AddCount(std::string_view key, uint64_t value) {
  return value == 0 ? *this : Put(key, PlainScalar(std::to_string(value)));
}

MapBuilder& MapBuilder::PutDuration(std::string_view key, base::Duration value) {
  return PutString(key, FormatDuration(value));
}

MapBuilder& MapBuilder::AddDuration(std::string_view key, base::Duration value) {
  return value.count() == 0 ? *this : PutDuration(key, value);
}

MapBuilder& MapBuilder::AddBytes(std::string_view key, uint64_t value) {
  return value == 0 ? *this : PutString(key, FormatBytes(value));
}

MapBuilder& MapBuilder::AddStrings(std::string_view key, const std::vector<std::string>& values) {
  std::vector<Node> items;
  for (const std::string& value : values) items.push_back(MakeString(value));
  return Add(key, MakeList(std::move(items)));
}

MapBuilder& MapBuilder::AddPairs(std::string_view key,
                                 const std::vector<std::pair<std::string, std::string>>& pairs) {
  MapBuilder map;
  for (const auto& [name, value] : pairs) map.PutString(name, value);
  return Add(key, map.Take());
}

}  // namespace tocsin::base::yaml
