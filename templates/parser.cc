#include "templates/parser.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "base/number.h"
#include "base/text.h"
#include "templates/lexer.h"

namespace tocsin::templates {

namespace {

// More is not written by people and would cost stack.
constexpr int kMaxNesting = 200;

using base::Result;
using base::Status;

// How a list of statements ended.
enum class ListEnd { kEof, kEnd, kElse };

class Parser {
 public:
  Parser(std::string_view name, std::shared_ptr<const std::string> text,
         const std::function<bool(std::string_view)>& has_function)
      : name_(name), text_(std::move(text)), lexer_(*text_), has_function_(has_function) {}

  Result<TreeMap> Run();

 private:
  // Tokens, with up to three put back.
  const Token& Next();
  const Token& Peek();
  const Token& NextNonSpace();
  const Token& PeekNonSpace();
  void Backup() { ++back_; }

  std::unexpected<base::Error> Fail(const std::string& message);
  std::unexpected<base::Error> Unexpected(const Token& token, std::string_view context);

  Status ParseList(NodeList* list, ListEnd* end);
  Status ParseStatement(NodeList* list, ListEnd* end);
  Status ParseDefinition();
  Status ParseControl(NodeKind kind, NodeList* list);
  Status ParseElse(BranchNode* branch, TokenKind again);
  Status ParseTemplateCall(NodeList* list);
  Status ParseBlock(NodeList* list);
  Status ParseJump(NodeKind kind, size_t pos, NodeList* list);
  Result<std::string> ParseName(const Token& token, std::string_view context);
  Result<std::unique_ptr<PipeNode>> ParsePipeline(std::string_view context, TokenKind end);
  Status ParseDeclarations(PipeNode* pipe, std::string_view context);
  Result<std::unique_ptr<CommandNode>> ParseCommand();
  Result<NodePtr> ParseOperand();
  Result<NodePtr> ParseTerm();
  Result<NodePtr> ParseNumber(const Token& token);
  Status Add(std::string name, NodeList root);

  const std::string name_;
  const std::shared_ptr<const std::string> text_;
  Lexer lexer_;
  const std::function<bool(std::string_view)>& has_function_;

  Token tokens_[4];  // the last ones, newest first
  int back_ = 0;     // how many of them are to be given again
  std::vector<std::string> vars_ = {"$"};
  int range_depth_ = 0;
  int nesting_ = 0;
  size_t action_line_ = 0;
  TreeMap trees_;
};

const Token& Parser::Next() {
  if (back_ > 0) return tokens_[--back_];
  for (int i = 3; i > 0; --i) tokens_[i] = std::move(tokens_[i - 1]);
  tokens_[0] = lexer_.Next();
  return tokens_[0];
}

const Token& Parser::Peek() {
  const Token& t = Next();
  Backup();
  return t;
}

const Token& Parser::NextNonSpace() {
  for (;;) {
    const Token& t = Next();
    if (t.kind != TokenKind::kSpace) return t;
  }
}

const Token& Parser::PeekNonSpace() {
  const Token& t = NextNonSpace();
  Backup();
  return t;
}

std::unexpected<base::Error> Parser::Fail(const std::string& message) {
  return base::InvalidArgument("template: " + name_ + ":" + std::to_string(tokens_[0].line) + ": " + message);
}

std::unexpected<base::Error> Parser::Unexpected(const Token& token, std::string_view context) {
  if (token.kind != TokenKind::kError) return Fail("unexpected " + token.ToString() + " in " + std::string(context));
  std::string extra;
  if (action_line_ != 0 && action_line_ != static_cast<size_t>(token.line)) {
    extra = " in action started at " + name_ + ":" + std::to_string(action_line_);
    if (token.text.ends_with(" action")) extra = extra.substr(std::string_view(" in action").size());
  }
  return Fail(token.text + extra);
}

Status Parser::Add(std::string name, NodeList root) {
  auto tree = std::make_shared<Tree>();
  tree->name = name;
  tree->parse_name = name_;
  tree->text = text_;
  tree->root = std::move(root);
  std::shared_ptr<const Tree>& held = trees_[name];
  if (held == nullptr || held->IsEmpty()) {
    held = std::move(tree);
  } else if (!tree->IsEmpty()) {
    return Fail("template: multiple definition of template " + base::Quote(name));
  }
  return {};
}

Result<TreeMap> Parser::Run() {
  NodeList root;
  for (;;) {
    const TokenKind kind = Peek().kind;
    if (kind == TokenKind::kEof) break;
    if (kind == TokenKind::kLeftDelim) {
      const Token delimiter = Next();
      if (NextNonSpace().kind == TokenKind::kDefine) {
        RETURN_IF_ERROR(ParseDefinition());
        continue;
      }
      // Spaces between {{ and the first word do not matter, so only the word is given again.
      Backup();
      action_line_ = static_cast<size_t>(delimiter.line);
      ListEnd end = ListEnd::kEof;
      RETURN_IF_ERROR(ParseStatement(&root, &end));
      if (end != ListEnd::kEof) return Fail(end == ListEnd::kEnd ? "unexpected {{end}}" : "unexpected {{else}}");
      action_line_ = 0;
      continue;
    }
    const Token t = Next();
    if (t.kind != TokenKind::kText) return Unexpected(t, "input");
    root.push_back(std::make_unique<TextNode>(t.pos, t.text));
  }
  RETURN_IF_ERROR(Add(name_, std::move(root)));
  return std::move(trees_);
}

Status Parser::ParseList(NodeList* list, ListEnd* end) {
  *end = ListEnd::kEof;
  for (;;) {
    const Token t = NextNonSpace();
    if (t.kind == TokenKind::kEof) return Fail("unexpected EOF");
    if (t.kind == TokenKind::kText) {
      list->push_back(std::make_unique<TextNode>(t.pos, t.text));
      continue;
    }
    if (t.kind != TokenKind::kLeftDelim) return Unexpected(t, "input");
    action_line_ = static_cast<size_t>(t.line);
    RETURN_IF_ERROR(ParseStatement(list, end));
    action_line_ = 0;
    if (*end != ListEnd::kEof) return {};
  }
}

// What stands after {{.
Status Parser::ParseStatement(NodeList* list, ListEnd* end) {
  if (nesting_ >= kMaxNesting) return Fail("blocks are nested more than 200 levels deep");
  ++nesting_;
  struct Leave {
    int* n;
    ~Leave() { --*n; }
  } leave{&nesting_};
  const Token t = NextNonSpace();
  switch (t.kind) {
    case TokenKind::kBlock: return ParseBlock(list);
    case TokenKind::kBreak: return ParseJump(NodeKind::kBreak, t.pos, list);
    case TokenKind::kContinue: return ParseJump(NodeKind::kContinue, t.pos, list);
    case TokenKind::kElse: {
      const TokenKind next = PeekNonSpace().kind;
      // {{ else if }}: the if is taken up by whoever reads this list.
      if (next != TokenKind::kIf && next != TokenKind::kWith) {
        const Token close = NextNonSpace();
        if (close.kind != TokenKind::kRightDelim) return Unexpected(close, "else");
      }
      *end = ListEnd::kElse;
      return {};
    }
    case TokenKind::kEnd: {
      const Token close = NextNonSpace();
      if (close.kind != TokenKind::kRightDelim) return Unexpected(close, "end");
      *end = ListEnd::kEnd;
      return {};
    }
    case TokenKind::kIf: return ParseControl(NodeKind::kIf, list);
    case TokenKind::kRange: return ParseControl(NodeKind::kRange, list);
    case TokenKind::kWith: return ParseControl(NodeKind::kWith, list);
    case TokenKind::kTemplate: return ParseTemplateCall(list);
    default: break;
  }
  Backup();
  const size_t pos = Peek().pos;
  ASSIGN_OR_RETURN(std::unique_ptr<PipeNode> pipe, ParsePipeline("command", TokenKind::kRightDelim));
  list->push_back(std::make_unique<ActionNode>(pos, std::move(pipe)));
  return {};
}

Status Parser::ParseJump(NodeKind kind, size_t pos, NodeList* list) {
  const std::string word = kind == NodeKind::kBreak ? "{{break}}" : "{{continue}}";
  const Token close = NextNonSpace();
  if (close.kind != TokenKind::kRightDelim) return Unexpected(close, word);
  if (range_depth_ == 0) return Fail(word + " outside {{range}}");
  list->push_back(std::make_unique<JumpNode>(kind, pos));
  return {};
}

Status Parser::ParseControl(NodeKind kind, NodeList* list) {
  const size_t vars = vars_.size();
  auto branch = std::make_unique<BranchNode>(kind, PeekNonSpace().pos);
  const std::string context(branch->Keyword());
  ASSIGN_OR_RETURN(branch->pipe, ParsePipeline(context, TokenKind::kRightDelim));
  if (kind == NodeKind::kRange) ++range_depth_;
  ListEnd end = ListEnd::kEof;
  RETURN_IF_ERROR(ParseList(&branch->body, &end));
  if (kind == NodeKind::kRange) --range_depth_;
  if (end == ListEnd::kElse) {
    branch->has_otherwise = true;
    const TokenKind again = kind == NodeKind::kIf     ? TokenKind::kIf
                            : kind == NodeKind::kWith ? TokenKind::kWith
                                                      : TokenKind::kError;
    RETURN_IF_ERROR(ParseElse(branch.get(), again));
  }
  vars_.resize(vars);
  list->push_back(std::move(branch));
  return {};
}

// After {{ else: either " if ..." (one {{ end }} closes both) or a list of its own.
Status Parser::ParseElse(BranchNode* branch, TokenKind again) {
  const TokenKind next = PeekNonSpace().kind;
  if (next == again && again != TokenKind::kError) {
    if (nesting_ >= kMaxNesting) return Fail("blocks are nested more than 200 levels deep");
    ++nesting_;
    NextNonSpace();
    const Status inner = ParseControl(branch->kind, &branch->otherwise);
    --nesting_;
    return inner;
  }
  ListEnd end = ListEnd::kEof;
  RETURN_IF_ERROR(ParseList(&branch->otherwise, &end));
  if (end != ListEnd::kEnd) return Fail("expected end; found {{else}}");
  return {};
}

Result<std::string> Parser::ParseName(const Token& token, std::string_view context) {
  if (token.kind != TokenKind::kString && token.kind != TokenKind::kRawString) return Unexpected(token, context);
  base::Result<std::string> name = base::Unquote(token.text);
  if (!name) return Fail("invalid syntax");
  return std::move(*name);
}

Status Parser::ParseDefinition() {
  const Token token = NextNonSpace();
  ASSIGN_OR_RETURN(const std::string name, ParseName(token, "define clause"));
  const Token close = NextNonSpace();
  if (close.kind != TokenKind::kRightDelim) return Unexpected(close, "define clause");
  // A definition has variables of its own; those around it are there again after it.
  std::vector<std::string> outer = std::exchange(vars_, {"$"});
  NodeList root;
  ListEnd end = ListEnd::kEof;
  RETURN_IF_ERROR(ParseList(&root, &end));
  if (end != ListEnd::kEnd) return Fail("unexpected {{else}} in define clause");
  vars_ = std::move(outer);
  return Add(name, std::move(root));
}

Status Parser::ParseBlock(NodeList* list) {
  const Token token = NextNonSpace();
  auto call = std::make_unique<TemplateNode>(token.pos);
  ASSIGN_OR_RETURN(call->name, ParseName(token, "block clause"));
  ASSIGN_OR_RETURN(call->pipe, ParsePipeline("block clause", TokenKind::kRightDelim));
  std::vector<std::string> vars = std::exchange(vars_, {"$"});
  const int ranges = std::exchange(range_depth_, 0);
  NodeList root;
  ListEnd end = ListEnd::kEof;
  RETURN_IF_ERROR(ParseList(&root, &end));
  if (end != ListEnd::kEnd) return Fail("unexpected {{else}} in block clause");
  vars_ = std::move(vars);
  range_depth_ = ranges;
  RETURN_IF_ERROR(Add(call->name, std::move(root)));
  list->push_back(std::move(call));
  return {};
}

Status Parser::ParseTemplateCall(NodeList* list) {
  const Token token = NextNonSpace();
  auto call = std::make_unique<TemplateNode>(token.pos);
  ASSIGN_OR_RETURN(call->name, ParseName(token, "template clause"));
  if (NextNonSpace().kind != TokenKind::kRightDelim) {
    Backup();
    ASSIGN_OR_RETURN(call->pipe, ParsePipeline("template clause", TokenKind::kRightDelim));
  }
  list->push_back(std::move(call));
  return {};
}

// $x :=, $i, $v :=, $x =
Status Parser::ParseDeclarations(PipeNode* pipe, std::string_view context) {
  for (;;) {
    if (PeekNonSpace().kind != TokenKind::kVariable) return {};
    const Token variable = NextNonSpace();
    const bool space_after = Peek().kind == TokenKind::kSpace;
    const Token next = PeekNonSpace();
    if (next.kind == TokenKind::kAssign || next.kind == TokenKind::kDeclare) {
      pipe->is_assign = next.kind == TokenKind::kAssign;
      NextNonSpace();
      pipe->declared.push_back(variable.text);
      vars_.push_back(variable.text);
      return {};
    }
    if (next.kind != TokenKind::kChar || next.text != ",") {
      // A variable used as a value: it, the space after it and what follows are given again.
      back_ += space_after ? 2 : 1;
      return {};
    }
    NextNonSpace();
    pipe->declared.push_back(variable.text);
    vars_.push_back(variable.text);
    if (context != "range" || pipe->declared.size() >= 2) {
      return Fail("too many declarations in " + std::string(context));
    }
    const TokenKind after = PeekNonSpace().kind;
    if (after != TokenKind::kVariable && after != TokenKind::kRightDelim && after != TokenKind::kRightParen) {
      return Fail("range can only initialize variables");
    }
  }
}

Result<std::unique_ptr<PipeNode>> Parser::ParsePipeline(std::string_view context, TokenKind end) {
  if (nesting_ >= kMaxNesting) return Fail("max expression depth exceeded");
  ++nesting_;
  struct Leave {
    int* n;
    ~Leave() { --*n; }
  } leave{&nesting_};
  auto pipe = std::make_unique<PipeNode>(PeekNonSpace().pos);
  RETURN_IF_ERROR(ParseDeclarations(pipe.get(), context));
  for (;;) {
    const Token t = NextNonSpace();
    if (t.kind == end) break;
    switch (t.kind) {
      case TokenKind::kBool:
      case TokenKind::kCharConstant:
      case TokenKind::kComplex:
      case TokenKind::kDot:
      case TokenKind::kField:
      case TokenKind::kIdentifier:
      case TokenKind::kNumber:
      case TokenKind::kNil:
      case TokenKind::kRawString:
      case TokenKind::kString:
      case TokenKind::kVariable:
      case TokenKind::kLeftParen: break;
      default: return Unexpected(t, context);
    }
    Backup();
    ASSIGN_OR_RETURN(std::unique_ptr<CommandNode> command, ParseCommand());
    pipe->commands.push_back(std::move(command));
  }
  if (pipe->commands.empty()) return Fail("missing value for " + std::string(context));
  for (size_t i = 1; i < pipe->commands.size(); ++i) {
    switch (pipe->commands[i]->args[0]->kind) {
      case NodeKind::kBool:
      case NodeKind::kDot:
      case NodeKind::kNil:
      case NodeKind::kNumber:
      case NodeKind::kString:
        return Fail("non executable command in pipeline stage " + std::to_string(i + 1));
      default: break;
    }
  }
  return pipe;
}

Result<std::unique_ptr<CommandNode>> Parser::ParseCommand() {
  auto command = std::make_unique<CommandNode>(PeekNonSpace().pos);
  for (;;) {
    PeekNonSpace();
    ASSIGN_OR_RETURN(NodePtr operand, ParseOperand());
    if (operand != nullptr) command->args.push_back(std::move(operand));
    const Token t = Next();
    if (t.kind == TokenKind::kSpace) continue;
    if (t.kind == TokenKind::kPipe) break;
    if (t.kind != TokenKind::kRightDelim && t.kind != TokenKind::kRightParen) return Unexpected(t, "operand");
    Backup();
    break;
  }
  if (command->args.empty()) return Fail("empty command");
  return command;
}

Result<NodePtr> Parser::ParseOperand() {
  ASSIGN_OR_RETURN(NodePtr node, ParseTerm());
  if (node == nullptr || Peek().kind != TokenKind::kField) return node;
  const size_t pos = Peek().pos;
  std::vector<std::string> names;
  while (Peek().kind == TokenKind::kField) names.push_back(Next().text.substr(1));
  switch (node->kind) {
    case NodeKind::kField:
    case NodeKind::kVariable: {
      std::vector<std::string> all = As<FieldNode>(*node).names;
      all.insert(all.end(), names.begin(), names.end());
      return std::make_unique<FieldNode>(node->kind, pos, std::move(all));
    }
    case NodeKind::kBool:
    case NodeKind::kString:
    case NodeKind::kNumber:
    case NodeKind::kNil:
    case NodeKind::kDot: return Fail("unexpected . after term " + base::Quote(node->ToString()));
    default: break;
  }
  auto chain = std::make_unique<ChainNode>(pos, std::move(node));
  chain->names = std::move(names);
  return chain;
}

Result<NodePtr> Parser::ParseTerm() {
  const Token t = NextNonSpace();
  switch (t.kind) {
    case TokenKind::kIdentifier:
      if (!has_function_(t.text)) return Fail("function " + base::Quote(t.text) + " not defined");
      return std::make_unique<WordNode>(NodeKind::kIdentifier, t.pos, t.text);
    case TokenKind::kDot: return std::make_unique<WordNode>(NodeKind::kDot, t.pos, ".");
    case TokenKind::kNil: return std::make_unique<WordNode>(NodeKind::kNil, t.pos, "nil");
    case TokenKind::kBool: return std::make_unique<WordNode>(NodeKind::kBool, t.pos, t.text);
    case TokenKind::kVariable: {
      bool known = false;
      for (const std::string& v : vars_) known = known || v == t.text;
      if (!known) return Fail("undefined variable " + base::Quote(t.text));
      return std::make_unique<FieldNode>(NodeKind::kVariable, t.pos, std::vector{t.text});
    }
    case TokenKind::kField:
      return std::make_unique<FieldNode>(NodeKind::kField, t.pos, std::vector{t.text.substr(1)});
    case TokenKind::kCharConstant:
    case TokenKind::kComplex:
    case TokenKind::kNumber: return ParseNumber(t);
    case TokenKind::kLeftParen: {
      ASSIGN_OR_RETURN(std::unique_ptr<PipeNode> pipe, ParsePipeline("parenthesized pipeline", TokenKind::kRightParen));
      return pipe;
    }
    case TokenKind::kString:
    case TokenKind::kRawString: {
      base::Result<std::string> text = base::Unquote(t.text);
      if (!text) return Fail("invalid syntax");
      return std::make_unique<StringNode>(t.pos, t.text, std::move(*text));
    }
    default: break;
  }
  Backup();
  return NodePtr();
}

// Go's ParseUint with base 0: 0x, 0o, 0b, a leading 0 for octal, _ between digits.
bool ParseInteger(std::string_view text, bool* negative, uint64_t* out) {
  *negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    *negative = text[0] == '-';
    text.remove_prefix(1);
  }
  unsigned number_base = 10;
  bool prefix = false;
  if (text.size() > 1 && text[0] == '0') {
    const char c = text[1];
    const bool hex = c == 'x' || c == 'X';
    const bool octal = c == 'o' || c == 'O';
    const bool binary = c == 'b' || c == 'B';
    number_base = hex ? 16 : binary ? 2 : 8;
    text.remove_prefix(hex || octal || binary ? 2 : 1);
    prefix = true;
  }
  if (text.empty()) return false;
  uint64_t v = 0;
  bool digit_before = prefix;  // whether an underscore may stand here
  for (const char c : text) {
    if (c == '_') {
      if (!digit_before) return false;
      digit_before = false;
      continue;
    }
    digit_before = true;
    const unsigned d = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                       : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10
                       : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10
                                              : 99;
    if (d >= number_base || __builtin_mul_overflow(v, number_base, &v) || __builtin_add_overflow(v, d, &v)) {
      return false;
    }
  }
  *out = v;
  return digit_before;
}

// A float as Go reads it; underscores only where its integers may have them.
bool ParseDouble(std::string text, double* out) {
  if (text.find('_') != std::string::npos) text = base::ReplaceAll(text, "_", "");
  base::Result<double> v = base::ParseFloat(text);
  if (!v) return false;
  *out = *v;
  return true;
}

Result<NodePtr> Parser::ParseNumber(const Token& t) {
  auto n = std::make_unique<NumberNode>(t.pos, t.text);
  if (t.kind == TokenKind::kCharConstant) {
    base::Result<std::string> text = base::Unquote(t.text);
    int size = 0;
    if (!text || text->empty() || (base::DecodeRune(*text, &size), static_cast<size_t>(size) != text->size())) {
      return Fail("malformed character constant: " + t.text);
    }
    const char32_t rune = base::DecodeRune(*text, &size);
    n->is_char = n->is_int = n->is_uint = n->is_float = true;
    n->int_value = rune;
    n->uint_value = rune;
    n->float_value = rune;
    return n;
  }
  if (t.text.ends_with('i')) {
    std::string body = t.text.substr(0, t.text.size() - 1);
    // 1+2i: the second sign, not that of an exponent.
    size_t split = body.find_last_of("+-");
    while (split != std::string::npos && split > 0 && (body[split - 1] == 'e' || body[split - 1] == 'E')) {
      split = body.find_last_of("+-", split - 1);
    }
    const bool two = t.kind == TokenKind::kComplex && split != std::string::npos && split > 0;
    if ((two && !ParseDouble(body.substr(0, split), &n->real)) ||
        !ParseDouble(two ? body.substr(split) : body, &n->imaginary)) {
      return Fail("illegal number syntax: " + base::Quote(t.text));
    }
    n->is_complex = true;
    if (n->imaginary == 0) {
      n->is_float = true;
      n->float_value = n->real;
    }
    return n;
  }
  bool negative = false;
  uint64_t magnitude = 0;
  if (ParseInteger(t.text, &negative, &magnitude)) {
    const uint64_t most = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    n->is_int = magnitude <= most;
    n->int_value = static_cast<int64_t>(negative ? -magnitude : magnitude);
    n->is_uint = magnitude == 0 || (!negative && t.text[0] != '+');
    n->uint_value = magnitude;
    n->is_float = n->is_int || n->is_uint;
    n->float_value = n->is_int ? static_cast<double>(n->int_value) : static_cast<double>(magnitude);
    if (n->is_float) return n;
  }
  double v = 0;
  if (!ParseDouble(t.text, &v)) return Fail("illegal number syntax: " + base::Quote(t.text));
  if (t.text.find_first_of(".eEpP") == std::string::npos) return Fail("integer overflow: " + base::Quote(t.text));
  n->is_float = true;
  n->float_value = v;
  if (v == std::trunc(v) && v >= -0x1p63 && v < 0x1p63) {
    n->is_int = true;
    n->int_value = static_cast<int64_t>(v);
  }
  if (v == std::trunc(v) && v >= 0 && v < 0x1p64) {
    n->is_uint = true;
    n->uint_value = static_cast<uint64_t>(v);
  }
  return n;
}

}  // namespace

Result<TreeMap> ParseTemplate(std::string_view name, std::string_view text,
                              const std::function<bool(std::string_view)>& has_function) {
  return Parser(name, std::make_shared<const std::string>(text), has_function).Run();
}

}  // namespace tocsin::templates
