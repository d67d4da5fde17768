#include "templates/ast.h"

#include <algorithm>

#include "base/number.h"

namespace tocsin::templates {

namespace {
std::string Render(const NodeList& list) {
  std::string out;
  for (const NodePtr& n : list) out += n->ToString();
  return out;
}
}  // namespace

std::string CommandNode::ToString() const {
  std::string out;
  for (const NodePtr& arg : args) {
    if (!out.empty()) out += ' ';
    out += arg->kind == NodeKind::kPipe ? "(" + arg->ToString() + ")" : arg->ToString();
  }
  return out;
}

std::string PipeNode::ToString() const {
  std::string out;
  for (size_t i = 0; i < declared.size(); ++i) out += (i > 0 ? ", " : "") + declared[i];
  if (!declared.empty()) out += is_assign ? " = " : " := ";
  for (size_t i = 0; i < commands.size(); ++i) out += (i > 0 ? " | " : "") + commands[i]->ToString();
  return out;
}

std::string_view BranchNode::Keyword() const {
  return kind == NodeKind::kIf ? "if" : kind == NodeKind::kRange ? "range" : "with";
}

std::string BranchNode::ToString() const {
  std::string out = "{{" + std::string(Keyword()) + " " + pipe->ToString() + "}}" + Render(body);
  if (has_otherwise) out += "{{else}}" + Render(otherwise);
  return out + "{{end}}";
}

std::string TemplateNode::ToString() const {
  return "{{template " + base::Quote(name) + (pipe == nullptr ? "" : " " + pipe->ToString()) + "}}";
}

std::string FieldNode::ToString() const {
  std::string out;
  for (const std::string& n : names) {
    if (!out.empty() || kind == NodeKind::kField) out += '.';
    out += n;
  }
  return out;
}

std::string ChainNode::ToString() const {
  std::string out = node->kind == NodeKind::kPipe ? "(" + node->ToString() + ")" : node->ToString();
  for (const std::string& n : names) out += "." + n;
  return out;
}

bool Tree::IsEmpty() const {
  return std::ranges::all_of(root, [](const NodePtr& n) {
    return n->kind == NodeKind::kText &&
           As<TextNode>(*n).text.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
  });
}

std::string Tree::Location(const Node& node) const {
  const std::string_view before = std::string_view(*text).substr(0, node.pos);
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  const auto line = 1 + std::ranges::count(before, '\n');
  return parse_name + ":" + std::to_string(line) + ":" + std::to_string(column);
}

}  // namespace tocsin::templates
