#pragma once

// The tree of a parsed template.  Source of its shape: Go's text/template/parse.
// Threads: immutable once parsed, shared by shared_ptr.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tocsin::templates {

enum class NodeKind : uint8_t {
  kText, kAction, kIf, kRange, kWith, kTemplate, kBreak, kContinue,  // statements
  kPipe, kCommand,
  kIdentifier, kVariable, kDot, kNil, kField, kChain, kBool, kNumber, kString,  // operands
};

struct Node {
  Node(NodeKind k, size_t p) : kind(k), pos(p) {}
  virtual ~Node() = default;
  // As Go prints it, for messages.
  virtual std::string ToString() const = 0;
  const NodeKind kind;
  const size_t pos;  // byte of the template's text
};
using NodePtr = std::unique_ptr<Node>;
using NodeList = std::vector<NodePtr>;

struct TextNode : Node {
  TextNode(size_t p, std::string t) : Node(NodeKind::kText, p), text(std::move(t)) {}
  std::string ToString() const override { return text; }
  std::string text;
};

struct CommandNode : Node {
  explicit CommandNode(size_t p) : Node(NodeKind::kCommand, p) {}
  std::string ToString() const override;
  NodeList args;  // the first is what is called, if anything is
};

struct PipeNode : Node {
  explicit PipeNode(size_t p) : Node(NodeKind::kPipe, p) {}
  std::string ToString() const override;
  std::vector<std::string> declared;  // $x of {{ $x := ... }}
  bool is_assign = false;
  std::vector<std::unique_ptr<CommandNode>> commands;
};

struct ActionNode : Node {
  ActionNode(size_t p, std::unique_ptr<PipeNode> pipeline)
      : Node(NodeKind::kAction, p), pipe(std::move(pipeline)) {}
  std::string ToString() const override { return "{{" + pipe->ToString() + "}}"; }
  std::unique_ptr<PipeNode> pipe;
};

// if, range and with.
struct BranchNode : Node {
  using Node::Node;
  std::string ToString() const override;
  std::string_view Keyword() const;
  std::unique_ptr<PipeNode> pipe;
  NodeList body;
  NodeList otherwise;
  bool has_otherwise = false;
};

struct TemplateNode : Node {
  explicit TemplateNode(size_t p) : Node(NodeKind::kTemplate, p) {}
  std::string ToString() const override;
  std::string name;
  std::unique_ptr<PipeNode> pipe;  // may be null
};

struct JumpNode : Node {
  using Node::Node;
  std::string ToString() const override {
    return kind == NodeKind::kBreak ? "{{break}}" : "{{continue}}";
  }
};

// true, nil, ., and names of functions.
struct WordNode : Node {
  WordNode(NodeKind k, size_t p, std::string w) : Node(k, p), word(std::move(w)) {}
  std::string ToString() const override { return word; }
  std::string word;
};

// .a.b and $x.a.b (the first of whose names is $x).
struct FieldNode : Node {
  FieldNode(NodeKind k, size_t p, std::vector<std::string> n) : Node(k, p), names(std::move(n)) {}
  std::string ToString() const override;
  std::vector<std::string> names;
};

// (pipeline).a.b
struct ChainNode : Node {
  ChainNode(size_t p, NodePtr n) : Node(NodeKind::kChain, p), node(std::move(n)) {}
  std::string ToString() const override;
  NodePtr node;
  std::vector<std::string> names;
};

struct NumberNode : Node {
  NumberNode(size_t p, std::string t) : Node(NodeKind::kNumber, p), text(std::move(t)) {}
  std::string ToString() const override { return text; }
  std::string text;
  bool is_int = false, is_uint = false, is_float = false, is_complex = false;
  bool is_char = false;
  int64_t int_value = 0;
  uint64_t uint_value = 0;
  double float_value = 0;
  double real = 0, imaginary = 0;
};

struct StringNode : Node {
  StringNode(size_t p, std::string q, std::string t)
      : Node(NodeKind::kString, p), quoted(std::move(q)), text(std::move(t)) {}
  std::string ToString() const override { return quoted; }
  std::string quoted;  // as written
  std::string text;
};

// One named template.
struct Tree {
  std::string name;
  std::string parse_name;  // of the file it stands in
  std::shared_ptr<const std::string> text;
  NodeList root;

  // Nothing but white space and comments.
  bool IsEmpty() const;
  // "file:line:column" of a node: line from 1, column the bytes before it, as Go counts.
  std::string Location(const Node& node) const;
};

template <class T>
const T& As(const Node& n) {
  return static_cast<const T&>(n);
}

}  // namespace tocsin::templates
