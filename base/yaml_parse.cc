// Text to tree.
// 1. The text is checked: size, UTF-8, control characters.
// 2. yaml-cpp's events build the tree; what they do not tell (the style of a scalar, where a block
//    scalar's text begins) is read from the text at their marks.
// 3. An alias is replaced by a copy of what its anchor named, merge keys by the entries they add.

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/digest.h"
#include "base/number.h"
#include "base/text.h"
#include "base/yaml.h"

namespace tocsin::base::yaml {
namespace {

constexpr size_t kMaxBytes = 10 << 20;
constexpr size_t kMaxDepth = 100;
constexpr size_t kMaxNodes = 1000000;  // with the copies that aliases make

struct Refusal {
  Position position;
  std::string message;
};

std::string Located(std::string_view file, Position at, std::string_view message) {
  std::string out(file);
  if (at.line > 0) out += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  return out + ": yaml: " + std::string(message);
}

Position PositionOf(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

size_t CountNodes(const Node& node) {
  size_t n = 1;
  for (const Node& item : node.items) n += CountNodes(item);
  for (const Node::Entry& entry : node.entries) n += 1 + CountNodes(entry.value);
  return n;
}

size_t DepthOf(const Node& node) {
  size_t deepest = 0;
  for (const Node& item : node.items) deepest = std::max(deepest, DepthOf(item));
  for (const Node::Entry& entry : node.entries) deepest = std::max(deepest, DepthOf(entry.value));
  return deepest + 1;
}

class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view text) : text_(text) {}

  Node Take() { return std::move(root_); }
  const std::vector<Refusal>& refusals() const { return refusals_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.position = PositionOf(mark);
    Finished(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto at = anchors_.find(anchor);
    if (at == anchors_.end()) throw Refusal{PositionOf(mark), "an alias within what it stands for"};
    Count(CountNodes(at->second), PositionOf(mark));
    if (open_.size() + DepthOf(at->second) > kMaxDepth) TooDeep(PositionOf(mark));
    Add(at->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.kind = Node::Kind::kScalar;
    node.text = value;
    size_t at = Start(mark, &node);
    ReadStyle(at, tag == "?", &node);
    if (tag.size() > 1) {
      node.tag = tag;
      // A type that is told is not guessed from the text.
      if (tag == "tag:yaml.org,2002:str") node.style = Node::Style::kQuoted;
      if (tag == "tag:yaml.org,2002:binary") {
        node.style = Node::Style::kQuoted;
        node.content = {};
        if (!Base64Decode(value, &node.text)) {
          throw Refusal{node.position, "!!binary value contains invalid base64 data"};
        }
      }
    }
    Finished(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Node::Kind::kSequence, mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Node::Kind::kMapping, mark, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    Node key;
    bool has_key = false;
  };

  [[noreturn]] static void TooDeep(Position at) {
    throw Refusal{at, "more than " + std::to_string(kMaxDepth) + " levels of nesting"};
  }

  void Count(size_t nodes, Position at) {
    count_ += nodes;
    if (count_ > kMaxNodes) {
      throw Refusal{at, "document contains excessive aliasing: more than " + std::to_string(kMaxNodes) +
                            " values"};
    }
  }

  // A mark stands before anchor and tag; the node's place is behind them.
  size_t Start(const YAML::Mark& mark, Node* node) {
    node->position = PositionOf(mark);
    auto at = static_cast<size_t>(mark.pos < 0 ? 0 : mark.pos);
    while (at < text_.size() && (text_[at] == '&' || text_[at] == '!')) {
      size_t end = text_.find_first_of(" \t\r\n", at);
      size_t next = end == std::string_view::npos ? end : text_.find_first_not_of(" \t\r\n", end);
      if (next == std::string_view::npos) break;
      for (size_t i = at; i < next; ++i) {
        if (text_[i] == '\n') {
          ++node->position.line;
          node->position.column = 1;
        } else {
          ++node->position.column;
        }
      }
      at = next;
    }
    return at;
  }

  // Whether the quoted scalar at `at` has an end; yaml-cpp lets the end of the text do.
  bool Closed(size_t at) const {
    char quote = text_[at];
    for (size_t i = at + 1; i < text_.size(); ++i) {
      if (quote == '"' && text_[i] == '\\') {
        ++i;
      } else if (text_[i] == quote) {
        if (quote == '"' || i + 1 >= text_.size() || text_[i + 1] != quote) return true;
        ++i;
      }
    }
    return false;
  }

  void ReadStyle(size_t at, bool plain, Node* node) {
    char first = at < text_.size() ? text_[at] : '\0';
    if (plain || (first != '"' && first != '\'' && first != '|' && first != '>')) {
      node->style = Node::Style::kPlain;
      if (text_.substr(at, node->text.size()) == node->text) node->content = node->position;
      return;
    }
    if (first == '"' || first == '\'') {
      if (!Closed(at)) throw Refusal{node->position, "found unexpected end of stream in a quoted scalar"};
      node->style = Node::Style::kQuoted;
      if (text_.substr(at + 1, node->text.size()) == node->text) {
        node->content = {node->position.line, node->position.column + 1};
      }
      return;
    }
    node->style = first == '|' ? Node::Style::kLiteral : Node::Style::kFolded;
    size_t line = text_.find('\n', at);
    if (line == std::string_view::npos) return;
    node->content = {node->position.line + 1, 1};
    // The indentation is that of the first line that is not blank.
    while (line != std::string_view::npos) {
      size_t begin = line + 1;
      size_t text = text_.find_first_not_of(" ", begin);
      if (text == std::string_view::npos) return;
      if (text_[text] != '\n' && text_[text] != '\r') {
        // Spaces that belong to the text stand in it.
        size_t own = 0;
        size_t blank = node->text.find_first_not_of('\n');
        while (blank != std::string::npos && blank + own < node->text.size() && node->text[blank + own] == ' ') {
          ++own;
        }
        node->content.column = static_cast<int>(text - begin - std::min(own, text - begin)) + 1;
        return;
      }
      line = text_.find('\n', text);
    }
  }

  void Open(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    Frame frame;
    frame.node.kind = kind;
    Start(mark, &frame.node);
    frame.anchor = anchor;
    if (open_.size() >= kMaxDepth) TooDeep(frame.node.position);
    open_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    if (frame.node.IsMapping()) Merge(&frame.node);
    Finished(std::move(frame.node), frame.anchor);
  }

  void Finished(Node node, YAML::anchor_t anchor) {
    Count(1, node.position);
    if (anchor != 0) {
      Count(CountNodes(node), node.position);
      anchors_[anchor] = node;
    }
    Add(std::move(node));
  }

  void Add(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = open_.back();
    if (frame.node.IsSequence()) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      if (node.IsMapping() || node.IsSequence()) throw Refusal{node.position, "invalid map key: it is not a scalar"};
      if (node.IsNull()) node.text = "null";
      frame.key = std::move(node);
      frame.has_key = true;
    } else {
      frame.node.entries.push_back({std::move(frame.key), std::move(node)});
      frame.has_key = false;
    }
  }

  static bool IsMergeKey(const Node& key) {
    return key.text == "<<" && key.style == Node::Style::kPlain && key.tag.empty();
  }

  // Takes repeated keys out (and notes them), then adds what << names, own entries first.
  void Merge(Node* mapping) {
    std::map<std::string_view, Position> seen;
    std::vector<Node> merged;
    std::vector<Node::Entry> own;
    own.reserve(mapping->entries.size());
    for (Node::Entry& entry : mapping->entries) {
      if (IsMergeKey(entry.key)) {
        merged.push_back(std::move(entry.value));
        continue;
      }
      own.push_back(std::move(entry));
    }
    mapping->entries = std::move(own);
    for (const Node::Entry& entry : mapping->entries) {
      auto [at, added] = seen.emplace(entry.key.text, entry.key.position);
      if (!added) {
        refusals_.push_back({entry.key.position, "mapping key " + Quote(entry.key.text) +
                                                     " already defined at line " +
                                                     std::to_string(at->second.line)});
      }
    }
    for (Node& from : merged) AddMerged(from, mapping);
  }

  void AddMerged(const Node& from, Node* mapping) {
    if (from.IsSequence()) {
      for (const Node& item : from.items) {
        if (!item.IsMapping()) throw Refusal{item.position, "map merge requires map or sequence of maps as the value"};
        AddMerged(item, mapping);
      }
      return;
    }
    if (!from.IsMapping()) throw Refusal{from.position, "map merge requires map or sequence of maps as the value"};
    for (const Node::Entry& entry : from.entries) {
      if (mapping->Find(entry.key.text) == nullptr) mapping->entries.push_back(entry);
    }
  }

  std::string_view text_;
  Node root_;
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::vector<Refusal> refusals_;
  size_t count_ = 0;
};

// Where the first byte is that YAML does not allow, if any.
const char* FindBadByte(std::string_view text) {
  for (const char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f) return &c;
  }
  return nullptr;
}

Position PositionInText(std::string_view text, size_t offset) {
  Position at{1, 1};
  for (char c : text.substr(0, offset)) {
    at = c == '\n' ? Position{at.line + 1, 1} : Position{at.line, at.column + 1};
  }
  return at;
}

}  // namespace

Result<Document> Parse(std::string_view text, std::string_view file) {
  if (text.size() > kMaxBytes) {
    return InvalidArgument(Located(file, {}, "the text has " + std::to_string(text.size()) +
                                                 " bytes, at most " + std::to_string(kMaxBytes) + " are read"));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (!IsValidUtf8(text)) {
    size_t at = 0;
    while (at < text.size()) {
      int size = 1;
      if (DecodeRune(text.substr(at), &size) == 0xfffd && size == 1) break;
      at += static_cast<size_t>(size);
    }
    return InvalidArgument(Located(file, PositionInText(text, at), "invalid UTF-8"));
  }
  if (const char* bad = FindBadByte(text)) {
    return InvalidArgument(Located(file, PositionInText(text, static_cast<size_t>(bad - text.data())),
                                   "control characters are not allowed"));
  }
  Builder builder(text);
  bool more = false;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    // Any further document is only noticed, not read.
    if (parser.HandleNextDocument(builder)) more = static_cast<bool>(parser);
  } catch (const YAML::Exception& e) {
    return InvalidArgument(Located(file, PositionOf(e.mark), e.msg));
  } catch (const Refusal& refusal) {
    return InvalidArgument(Located(file, refusal.position, refusal.message));
  }
  if (!builder.refusals().empty()) {
    Errors errors{std::string(file)};
    for (const Refusal& refusal : builder.refusals()) errors.Add(refusal.position, "yaml: " + refusal.message);
    return std::unexpected(errors.ToStatus().error());
  }
  return Document(std::make_shared<const Node>(builder.Take()), more);
}

const Node* Node::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key.text == key) return &entry.value;
  }
  return nullptr;
}

Position Node::PositionOfByte(size_t offset) const {
  if (content.line == 0 || style == Style::kFolded) return position;
  Position at = content;
  if (style != Style::kLiteral) {
    at.column += static_cast<int>(offset);
    return at;
  }
  for (char c : std::string_view(text).substr(0, offset)) {
    at = c == '\n' ? Position{at.line + 1, content.column} : Position{at.line, at.column + 1};
  }
  return at;
}

}  // namespace tocsin::base::yaml
