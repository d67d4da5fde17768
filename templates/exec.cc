// Execution of a tree.  Names, order of evaluation and messages follow Go's text/template/exec.go:
//   at_ is the node last begun, which messages name;
//   a Slot is an argument or result: nothing (no final argument) or a value, nil included.

#include "templates/exec.h"

#include <optional>

#include "base/number.h"
#include "templates/html_plan.h"

namespace tocsin::templates {

namespace {

using base::Result;
using base::Status;

// How a statement ended.
enum class Flow { kNext, kBreak, kContinue };

// What all templates of one execution share.
struct Budget {
  const Limits& limits;
  size_t steps = 0;
  size_t allocated = 0;
  int depth = 0;
  std::vector<std::string> texts;  // that RunText() is in the midst of
};

struct Variable {
  std::string_view name;
  Value value;
};

class Run : public CallContext {
 public:
  Run(const Program& program, const ExecuteOptions& options, const Value& root, Budget* budget, std::string* out)
      : program_(program), options_(options), root_(root), budget_(budget), out_(out) {}

  // Runs one tree with `data` as dot and $.
  Status RunTree(const Tree& tree, const HtmlTemplate* html, const Value& data);

  // CallContext.
  Result<std::string> RunTemplate(std::string_view name, const Value& data) override;
  Result<std::string> RunText(std::string_view text, const Value& data) override;
  const Value& root() const override { return root_; }
  Status Charge(size_t bytes) override;

 private:
  using Final = std::optional<Value>;  // the value of the pipeline's command before; none for the first

  std::unexpected<base::Error> Fail(const std::string& message, base::Code code = base::Code::kInvalidArgument);
  Status Enter(const Node& node);
  void At(const Node& node) { at_ = &node; }

  Result<Flow> WalkList(const Value& dot, const NodeList& list);
  Result<Flow> Walk(const Value& dot, const Node& node);
  Result<Flow> WalkIfOrWith(const Value& dot, const BranchNode& node);
  Result<Flow> WalkRange(const Value& dot, const BranchNode& node);
  Result<Flow> WalkTemplate(const Value& dot, const TemplateNode& node);
  Status Write(std::string_view text);
  Status PrintAction(const ActionNode& node, const Value& value);

  Result<Value> EvalPipeline(const Value& dot, const PipeNode* pipe);
  Result<Value> EvalCommand(const Value& dot, const CommandNode& command, const Final& final);
  Status NotAFunction(const NodeList* args, const Final& final);
  Result<Value> EvalFieldChain(const Value& dot, Value receiver, const Node& node, const std::vector<std::string>& names,
                               size_t first, const NodeList* args, const Final& final);
  Result<Value> EvalField(const Value& dot, const std::string& name, const Node& node, const NodeList* args,
                          const Final& final, const Value& receiver);
  Result<Value> EvalVariableNode(const Value& dot, const FieldNode& node, const NodeList* args, const Final& final);
  Result<Value> EvalChain(const Value& dot, const ChainNode& node, const NodeList* args, const Final& final);
  Result<Value> EvalFunction(const Value& dot, const WordNode& node, const Node& command, const NodeList* args,
                             const Final& final);
  Result<Value> EvalCall(const Value& dot, const Function& function, const Value* receiver, bool builtin,
                         const Node& node, const NodeList* args, const Final& final);
  Result<Value> EvalArg(const Value& dot, const Type* type, const Node& node);
  Result<Value> EvalAny(const Value& dot, const Node& node);
  Result<Value> Convert(Value value, const Type* type);
  Result<Value> Constant(const NumberNode& node);

  const Function* FindFunction(std::string_view name, bool* builtin) const;
  Value* FindVariable(std::string_view name);

  const Program& program_;
  const ExecuteOptions& options_;
  const Value& root_;
  Budget* const budget_;
  std::string* const out_;
  const Tree* tree_ = nullptr;
  const HtmlTemplate* html_ = nullptr;
  const Node* at_ = nullptr;
  std::vector<Variable> vars_;
};

// Leaves what Enter() entered.
struct Leave {
  Budget* budget;
  ~Leave() { --budget->depth; }
};

std::unexpected<base::Error> Run::Fail(const std::string& message, base::Code code) {
  if (at_ == nullptr) return base::MakeError(code, "template: " + tree_->name + ": " + message);
  return base::MakeError(code, "template: " + tree_->Location(*at_) + ": executing " + base::Quote(tree_->name) +
                                   " at <" + at_->ToString() + ">: " + message);
}

// One level deeper, to be left by a Leave; after an error the level is as before.
Status Run::Enter(const Node& node) {
  At(node);
  if (budget_->depth >= budget_->limits.max_depth) {
    return Fail("exceeded maximum template depth (" + std::to_string(budget_->limits.max_depth) + ")",
                base::Code::kResourceExhausted);
  }
  if (++budget_->steps > budget_->limits.max_steps) {
    return Fail("the template takes more than " + std::to_string(budget_->limits.max_steps) + " steps",
                base::Code::kResourceExhausted);
  }
  ++budget_->depth;
  return {};
}

Status Run::Charge(size_t bytes) {
  budget_->allocated += bytes;
  if (budget_->allocated <= budget_->limits.max_allocated) return {};
  return base::ResourceExhausted("the template makes more than " + std::to_string(budget_->limits.max_allocated) +
                                 " bytes of values");
}

Status Run::RunTree(const Tree& tree, const HtmlTemplate* html, const Value& data) {
  tree_ = &tree;
  html_ = html;
  vars_ = {{"$", data}};
  Result<Flow> flow = WalkList(data, tree.root);
  if (!flow) return std::unexpected(std::move(flow).error());
  return {};
}

Result<std::string> Run::RunTemplate(std::string_view name, const Value& data) {
  const auto it = program_.trees->find(name);
  if (it == program_.trees->end()) {
    return base::InvalidArgument("template " + base::Quote(name) + " not defined");
  }
  std::string out;
  std::shared_ptr<const HtmlPlan> plan;
  if (options_.mode == Mode::kHtml) {
    ASSIGN_OR_RETURN(plan, PlanHtml(*program_.trees, name));
  }
  Run run(program_, options_, root_, budget_, &out);
  RETURN_IF_ERROR(run.RunTree(*it->second, plan == nullptr ? nullptr : plan->main, data));
  return out;
}

Result<std::string> Run::RunText(std::string_view text, const Value& data) {
  // The same text within itself would never end, since it sees the same data.
  for (const std::string& running : budget_->texts) {
    if (running == text) return base::InvalidArgument("the text " + base::Quote(text) + " uses itself");
  }
  ASSIGN_OR_RETURN(TreeMap parsed, ParseTemplate("", text, [this](std::string_view name) {
                     bool builtin = false;
                     return FindFunction(name, &builtin) != nullptr;
                   }));
  TreeMap trees = *program_.trees;
  for (auto& [name, tree] : parsed) trees[name] = tree;
  const Program program{&trees, program_.functions};
  std::shared_ptr<const HtmlPlan> plan;
  if (options_.mode == Mode::kHtml) {
    ASSIGN_OR_RETURN(plan, PlanHtml(trees, ""));
  }
  std::string out;
  ++budget_->depth;
  const Leave leave{budget_};
  if (budget_->depth > budget_->limits.max_depth) {
    return base::ResourceExhausted("exceeded maximum template depth (" + std::to_string(budget_->limits.max_depth) + ")");
  }
  budget_->texts.emplace_back(text);
  Run run(program, options_, root_, budget_, &out);
  const Status done = run.RunTree(*trees.find("")->second, plan == nullptr ? nullptr : plan->main, data);
  budget_->texts.pop_back();
  RETURN_IF_ERROR(done);
  return out;
}

const Function* Run::FindFunction(std::string_view name, bool* builtin) const {
  *builtin = false;
  if (options_.functions != nullptr) {
    if (const Function* f = options_.functions->Find(name); f != nullptr) return f;
  }
  if (program_.functions != nullptr) {
    if (const Function* f = program_.functions->Find(name); f != nullptr) return f;
  }
  *builtin = true;
  return Builtins().Find(name);
}

Value* Run::FindVariable(std::string_view name) {
  for (size_t i = vars_.size(); i-- > 0;) {
    if (vars_[i].name == name) return &vars_[i].value;
  }
  return nullptr;
}

Status Run::Write(std::string_view text) {
  if (out_->size() + text.size() > budget_->limits.max_output) {
    return Fail("the output is longer than " + std::to_string(budget_->limits.max_output) + " bytes",
                base::Code::kResourceExhausted);
  }
  *out_ += text;
  return {};
}

Status Run::PrintAction(const ActionNode& node, const Value& value) {
  At(node);
  if (html_ == nullptr) {
    const std::string text = Printed(value);
    if (value.kind() != Kind::kString && text.size() > kMaxFormatted) {
      return Fail("the value prints as more than " + std::to_string(kMaxFormatted) + " bytes",
                  base::Code::kResourceExhausted);
    }
    return Write(text);
  }
  Result<std::string> escaped = EscapeForHtml(*html_, node, value);
  if (!escaped) return Fail(escaped.error().message());
  return Write(*escaped);
}

Result<Flow> Run::WalkList(const Value& dot, const NodeList& list) {
  for (const NodePtr& node : list) {
    ASSIGN_OR_RETURN(const Flow flow, Walk(dot, *node));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Flow> Run::Walk(const Value& dot, const Node& node) {
  RETURN_IF_ERROR(Enter(node));
  const Leave leave{budget_};
  switch (node.kind) {
    case NodeKind::kText: {
      const std::string* text = html_ == nullptr ? nullptr : html_->TextOf(node);
      RETURN_IF_ERROR(Write(text != nullptr ? *text : As<TextNode>(node).text));
      return Flow::kNext;
    }
    case NodeKind::kAction: {
      // Variables declared here live until the end of the block around.
      const auto& action = As<ActionNode>(node);
      ASSIGN_OR_RETURN(const Value value, EvalPipeline(dot, action.pipe.get()));
      if (action.pipe->declared.empty()) RETURN_IF_ERROR(PrintAction(action, value));
      return Flow::kNext;
    }
    case NodeKind::kIf:
    case NodeKind::kWith: return WalkIfOrWith(dot, As<BranchNode>(node));
    case NodeKind::kRange: return WalkRange(dot, As<BranchNode>(node));
    case NodeKind::kTemplate: return WalkTemplate(dot, As<TemplateNode>(node));
    case NodeKind::kBreak: return Flow::kBreak;
    case NodeKind::kContinue: return Flow::kContinue;
    default: return Fail("unknown node: " + node.ToString(), base::Code::kInternal);
  }
}

Result<Flow> Run::WalkIfOrWith(const Value& dot, const BranchNode& node) {
  const size_t mark = vars_.size();
  ASSIGN_OR_RETURN(const Value value, EvalPipeline(dot, node.pipe.get()));
  Result<Flow> flow = Flow::kNext;
  if (value.IsTrue()) {
    flow = WalkList(node.kind == NodeKind::kWith ? value : dot, node.body);
  } else {
    flow = WalkList(dot, node.otherwise);
  }
  vars_.resize(mark);
  return flow;
}

Result<Flow> Run::WalkRange(const Value& dot, const BranchNode& node) {
  const size_t outer_mark = vars_.size();
  ASSIGN_OR_RETURN(const Value over, EvalPipeline(dot, node.pipe.get()));
  const size_t mark = vars_.size();
  const auto& declared = node.pipe->declared;
  bool ran = false;
  // One turn; false when the loop ends, by break or by an error.
  Status failure;
  auto turn = [&](const Value& index, const Value& element) -> bool {
    ran = true;
    if (++budget_->steps > budget_->limits.max_steps) {
      failure = Fail("the template takes more than " + std::to_string(budget_->limits.max_steps) + " steps",
                     base::Code::kResourceExhausted);
      return false;
    }
    if (declared.size() == 1 && node.pipe->is_assign) {
      if (Value* v = FindVariable(declared[0]); v != nullptr) *v = element;
    } else if (declared.size() == 1) {
      vars_[mark - 1].value = element;
    } else if (declared.size() == 2 && node.pipe->is_assign) {
      if (Value* v = FindVariable(declared[0]); v != nullptr) *v = index;
      if (Value* v = FindVariable(declared[1]); v != nullptr) *v = element;
    } else if (declared.size() == 2) {
      vars_[mark - 2].value = index;
      vars_[mark - 1].value = element;
    }
    Result<Flow> flow = WalkList(element, node.body);
    vars_.resize(mark);
    if (!flow) {
      failure = std::unexpected(std::move(flow).error());
      return false;
    }
    return *flow != Flow::kBreak;
  };

  switch (over.kind()) {
    case Kind::kList:
      for (size_t i = 0; i < over.as_list().size(); ++i) {
        if (!turn(Value::Int(static_cast<int64_t>(i)), over.as_list()[i])) break;
      }
      break;
    case Kind::kMap:
      for (const auto& [key, element] : over.as_map()) {
        if (!turn(Value::String(key), element)) break;
      }
      break;
    case Kind::kInt:
    case Kind::kUint: {
      if (declared.size() > 1) {
        return Fail("can't use " + Printed(over) + " to iterate over more than one variable");
      }
      const int64_t n = over.kind() == Kind::kInt ? over.as_int()
                                                  : static_cast<int64_t>(std::min<uint64_t>(over.as_uint(), INT64_MAX));
      for (int64_t i = 0; i < n; ++i) {
        if (!turn(Value::Int(i), Value::Int(i))) break;
      }
      break;
    }
    case Kind::kNil: break;
    default: return Fail("range can't iterate over " + Printed(over));
  }
  RETURN_IF_ERROR(failure);
  Result<Flow> flow = Flow::kNext;
  if (!ran) flow = WalkList(dot, node.otherwise);
  vars_.resize(outer_mark);
  return flow;
}

Result<Flow> Run::WalkTemplate(const Value& dot, const TemplateNode& node) {
  At(node);
  const HtmlTemplate* html = html_ == nullptr ? nullptr : html_->CallOf(node);
  const Tree* tree = html == nullptr ? nullptr : html->tree;
  if (tree == nullptr) {
    const auto it = program_.trees->find(node.name);
    if (it == program_.trees->end()) return Fail("template " + base::Quote(node.name) + " not defined");
    tree = it->second.get();
  }
  Value data;
  if (node.pipe != nullptr) {
    ASSIGN_OR_RETURN(data, EvalPipeline(dot, node.pipe.get()));
  }
  Run run(program_, options_, root_, budget_, out_);
  RETURN_IF_ERROR(run.RunTree(*tree, html, data));
  return Flow::kNext;
}

Result<Value> Run::EvalPipeline(const Value& dot, const PipeNode* pipe) {
  RETURN_IF_ERROR(Enter(*pipe));
  const Leave leave{budget_};
  Final value;
  for (const auto& command : pipe->commands) {
    ASSIGN_OR_RETURN(Value next, EvalCommand(dot, *command, value));
    // What an interface holds is taken out; a nil interface becomes nothing.
    if (next.is_nil()) next = Value();
    value = std::move(next);
  }
  for (const std::string& name : pipe->declared) {
    if (!pipe->is_assign) {
      vars_.push_back({name, *value});
    } else if (Value* v = FindVariable(name); v != nullptr) {
      *v = *value;
    } else {
      return Fail("undefined variable: " + name);
    }
  }
  return std::move(*value);
}

Status Run::NotAFunction(const NodeList* args, const Final& final) {
  if (args != nullptr && (args->size() > 1 || final.has_value())) {
    return Fail("can't give argument to non-function " + (*args)[0]->ToString());
  }
  return {};
}

Result<Value> Run::EvalCommand(const Value& dot, const CommandNode& command, const Final& final) {
  const Node& first = *command.args[0];
  switch (first.kind) {
    case NodeKind::kField:
      At(first);
      return EvalFieldChain(dot, dot, first, As<FieldNode>(first).names, 0, &command.args, final);
    case NodeKind::kChain: return EvalChain(dot, As<ChainNode>(first), &command.args, final);
    case NodeKind::kIdentifier: return EvalFunction(dot, As<WordNode>(first), command, &command.args, final);
    case NodeKind::kPipe:
      RETURN_IF_ERROR(NotAFunction(&command.args, final));
      return EvalPipeline(dot, &As<PipeNode>(first));
    case NodeKind::kVariable: return EvalVariableNode(dot, As<FieldNode>(first), &command.args, final);
    default: break;
  }
  At(first);
  RETURN_IF_ERROR(NotAFunction(&command.args, final));
  switch (first.kind) {
    case NodeKind::kBool: return Value::Bool(As<WordNode>(first).word == "true");
    case NodeKind::kDot: return dot;
    case NodeKind::kNil: return Fail("nil is not a command");
    case NodeKind::kNumber: return Constant(As<NumberNode>(first));
    case NodeKind::kString: return Value::String(As<StringNode>(first).text);
    default: return Fail("can't evaluate command " + base::Quote(first.ToString()));
  }
}

// The type a constant has when nothing asks for another.
Result<Value> Run::Constant(const NumberNode& node) {
  At(node);
  if (node.is_complex) return Value::ComplexNumber(node.real, node.imaginary);
  const bool hex = node.text.size() > 2 && node.text[0] == '0' && (node.text[1] == 'x' || node.text[1] == 'X');
  const bool hex_int = hex && node.text.find_first_of("pP") == std::string::npos;
  if (node.is_float && !hex_int && !node.is_char && node.text.find_first_of(".eEpP") != std::string::npos) {
    return Value::Float(node.float_value);
  }
  if (node.is_int) return Value::Int(node.int_value);
  if (node.is_uint) return Fail(node.text + " overflows int");
  return Value::Float(node.float_value);
}

Result<Value> Run::EvalVariableNode(const Value& dot, const FieldNode& node, const NodeList* args, const Final& final) {
  At(node);
  const Value* v = FindVariable(node.names[0]);
  if (v == nullptr) return Fail("undefined variable: " + node.names[0]);
  if (node.names.size() == 1) {
    RETURN_IF_ERROR(NotAFunction(args, final));
    return *v;
  }
  return EvalFieldChain(dot, *v, node, node.names, 1, args, final);
}

Result<Value> Run::EvalChain(const Value& dot, const ChainNode& node, const NodeList* args, const Final& final) {
  At(node);
  if (node.node->kind == NodeKind::kNil) return Fail("indirection through explicit nil in " + node.ToString());
  ASSIGN_OR_RETURN(Value receiver, EvalAny(dot, *node.node));
  return EvalFieldChain(dot, std::move(receiver), node, node.names, 0, args, final);
}

Result<Value> Run::EvalFieldChain(const Value& dot, Value receiver, const Node& node,
                                  const std::vector<std::string>& names, size_t first, const NodeList* args,
                                  const Final& final) {
  for (size_t i = first; i + 1 < names.size(); ++i) {
    ASSIGN_OR_RETURN(receiver, EvalField(dot, names[i], node, nullptr, {}, receiver));
  }
  // Arguments are the last name's.
  return EvalField(dot, names.back(), node, args, final, receiver);
}

Result<Value> Run::EvalField(const Value& dot, const std::string& name, const Node& node, const NodeList* args,
                             const Final& final, const Value& receiver) {
  if (receiver.is_nil()) {
    if (receiver.type() != nullptr) {
      return Fail("nil pointer evaluating " + receiver.type()->name + "." + name);
    }
    if (options_.missing_key == MissingKey::kError) {
      return Fail("nil data; no entry for key " + base::Quote(name));
    }
    return Value();
  }
  if (const Function* method = receiver.type()->FindMethod(name); method != nullptr) {
    return EvalCall(dot, *method, &receiver, false, node, args, final);
  }
  const bool has_args = (args != nullptr && args->size() > 1) || final.has_value();
  if (receiver.kind() == Kind::kStruct) {
    if (const Value* field = receiver.FindField(name); field != nullptr) {
      if (has_args) return Fail(name + " has arguments but cannot be invoked as function");
      return *field;
    }
  } else if (receiver.kind() == Kind::kMap) {
    if (has_args) return Fail(name + " is not a method but has arguments");
    const Map& map = receiver.as_map();
    if (const auto it = map.find(name); it != map.end()) return it->second;
    switch (options_.missing_key) {
      case MissingKey::kInvalid: return Value();
      case MissingKey::kError: return Fail("map has no entry for key " + base::Quote(name));
      case MissingKey::kZero: break;
    }
    return ZeroOf(receiver.type()->element);
  }
  return Fail("can't evaluate field " + name + " in type " + std::string(receiver.type_name()));
}

Result<Value> Run::EvalFunction(const Value& dot, const WordNode& node, const Node& command, const NodeList* args,
                                const Final& final) {
  At(node);
  bool builtin = false;
  const Function* function = FindFunction(node.word, &builtin);
  if (function == nullptr) return Fail(base::Quote(node.word) + " is not a defined function");
  return EvalCall(dot, *function, nullptr, builtin, command, args, final);
}

Result<Value> Run::EvalCall(const Value& dot, const Function& function, const Value* receiver, bool builtin,
                            const Node& node, const NodeList* args, const Final& final) {
  // args[0] names the function.
  const size_t given = args == nullptr || args->empty() ? 0 : args->size() - 1;
  const size_t total = given + (final.has_value() ? 1 : 0);
  const size_t params = function.params.size();
  const size_t fixed = function.variadic ? params - 1 : params;
  if (function.variadic && total < fixed) {
    return Fail("wrong number of args for " + function.name + ": want at least " + std::to_string(fixed) + " got " +
                std::to_string(given));
  }
  if (!function.variadic && total != params) {
    return Fail("wrong number of args for " + function.name + ": want " + std::to_string(params) + " got " +
                std::to_string(total));
  }
  if (function.results != 1) {
    return Fail("can't call method/function " + base::Quote(function.name) + " with " +
                std::to_string(function.results) + " results");
  }
  if (builtin && (function.name == "and" || function.name == "or")) {
    // Arguments after the one that decides are not evaluated.
    Value v;
    for (size_t i = 0; i < given; ++i) {
      ASSIGN_OR_RETURN(v, EvalArg(dot, types::Any(), *(*args)[i + 1]));
      if (v.IsTrue() == (function.name == "or")) return v;
    }
    return final.has_value() ? *final : v;
  }
  auto type_of = [&](size_t i) { return function.params[std::min(i, params - 1)]; };
  std::vector<Value> values;
  values.reserve(total + 1);
  if (receiver != nullptr) values.push_back(*receiver);
  for (size_t i = 0; i < given; ++i) {
    ASSIGN_OR_RETURN(Value v, EvalArg(dot, type_of(i), *(*args)[i + 1]));
    values.push_back(std::move(v));
  }
  if (final.has_value()) {
    ASSIGN_OR_RETURN(Value v, Convert(*final, type_of(given)));
    values.push_back(std::move(v));
  }
  Result<Value> result = function.body(*this, values);
  if (!result) {
    At(node);
    return Fail("error calling " + function.name + ": " + result.error().message(), result.error().code());
  }
  size_t bytes = 16;
  if (result->kind() == Kind::kString) bytes += result->as_string().size();
  if (result->kind() == Kind::kList) bytes += result->as_list().size() * sizeof(Value);
  if (result->kind() == Kind::kMap) bytes += result->as_map().size() * (sizeof(Value) + 64);
  if (Status charged = Charge(bytes); !charged) return Fail(charged.error().message(), charged.error().code());
  return result;
}

// A value where a parameter of `type` is wanted.
Result<Value> Run::Convert(Value value, const Type* type) {
  if (type == types::Any()) return value;
  if (value.is_nil()) {
    if (value.type() != nullptr) {
      return Fail("wrong type for value; expected " + type->name + "; found " + value.type()->name);
    }
    if (type->kind == Kind::kList || type->kind == Kind::kMap) {
      return type->kind == Kind::kList ? Value::MakeList({}, type).AsNilContainer()
                                       : Value::MakeMap({}, type).AsNilContainer();
    }
    return Fail("invalid value; expected " + type->name);
  }
  if (value.type() == type) return value;
  // A named list or map goes where its plain form is wanted, and the reverse.
  const bool containers = type->kind == Kind::kList || type->kind == Kind::kMap;
  if (containers && value.kind() == type->kind && value.type()->element == type->element &&
      (type == types::Strings() || type == types::AnyList() || type == types::StringMap() ||
       type == types::AnyMap() || value.type() == types::Strings() || value.type() == types::StringMap())) {
    return value;
  }
  return Fail("wrong type for value; expected " + type->name + "; found " + std::string(value.type_name()));
}

Result<Value> Run::EvalArg(const Value& dot, const Type* type, const Node& node) {
  if (type == types::Any()) return EvalAny(dot, node);
  At(node);
  switch (node.kind) {
    case NodeKind::kNil:
      if (type->kind == Kind::kList || type->kind == Kind::kMap) return Convert(Value(), type);
      return Fail("cannot assign nil to " + type->name);
    case NodeKind::kDot:
    case NodeKind::kField:
    case NodeKind::kVariable:
    case NodeKind::kPipe:
    case NodeKind::kIdentifier:
    case NodeKind::kChain: {
      ASSIGN_OR_RETURN(Value v, EvalAny(dot, node));
      return Convert(std::move(v), type);
    }
    default: break;
  }
  switch (type->kind) {
    case Kind::kBool:
      if (node.kind == NodeKind::kBool) return Value::Bool(As<WordNode>(node).word == "true");
      return Fail("expected bool; found " + node.ToString());
    case Kind::kString:
      if (node.kind == NodeKind::kString) return Value::String(As<StringNode>(node).text, type);
      return Fail("expected string; found " + node.ToString());
    case Kind::kInt:
      if (node.kind == NodeKind::kNumber && As<NumberNode>(node).is_int) {
        return Value::Int(As<NumberNode>(node).int_value, type);
      }
      return Fail("expected integer; found " + node.ToString());
    case Kind::kUint:
      if (node.kind == NodeKind::kNumber && As<NumberNode>(node).is_uint) {
        return Value::Uint(As<NumberNode>(node).uint_value);
      }
      return Fail("expected unsigned integer; found " + node.ToString());
    case Kind::kFloat:
      if (node.kind == NodeKind::kNumber && As<NumberNode>(node).is_float) {
        return Value::Float(As<NumberNode>(node).float_value);
      }
      return Fail("expected float; found " + node.ToString());
    default: return Fail("can't handle " + node.ToString() + " for arg of type " + type->name);
  }
}

Result<Value> Run::EvalAny(const Value& dot, const Node& node) {
  At(node);
  switch (node.kind) {
    case NodeKind::kBool: return Value::Bool(As<WordNode>(node).word == "true");
    case NodeKind::kDot: return dot;
    case NodeKind::kNil: return Value();
    case NodeKind::kField: return EvalFieldChain(dot, dot, node, As<FieldNode>(node).names, 0, nullptr, {});
    case NodeKind::kIdentifier: return EvalFunction(dot, As<WordNode>(node), node, nullptr, {});
    case NodeKind::kNumber: return Constant(As<NumberNode>(node));
    case NodeKind::kString: return Value::String(As<StringNode>(node).text);
    case NodeKind::kVariable: return EvalVariableNode(dot, As<FieldNode>(node), nullptr, {});
    case NodeKind::kPipe: return EvalPipeline(dot, &As<PipeNode>(node));
    case NodeKind::kChain: return EvalChain(dot, As<ChainNode>(node), nullptr, {});
    default: return Fail("can't handle assignment of " + node.ToString() + " to empty interface argument");
  }
}

}  // namespace

base::Result<std::string> ExecuteTemplate(const Program& program, std::string_view name, const Value& data,
                                          const ExecuteOptions& options) {
  const auto it = program.trees->find(name);
  if (it == program.trees->end()) {
    const std::string quoted = base::Quote(name);
    if (options.mode == Mode::kHtml) return base::InvalidArgument("html/template: " + quoted + " is undefined");
    return base::InvalidArgument("template: no template " + quoted + " associated with this set");
  }
  std::shared_ptr<const HtmlPlan> plan;
  if (options.mode == Mode::kHtml) {
    ASSIGN_OR_RETURN(plan, PlanHtml(*program.trees, name));
  }
  Budget budget{options.limits};
  std::string out;
  Run run(program, options, data, &budget, &out);
  RETURN_IF_ERROR(run.RunTree(*it->second, plan == nullptr ? nullptr : plan->main, data));
  return out;
}

}  // namespace tocsin::templates
