// The analysis of html/template (escape.go): each template is walked in the context it is called in;
//   texts move the context on, and are cleaned of comments;
//   actions get the escapers of theirs;
//   branches must end in one context, and so must a loop's body begin and end.
// A template called in another context than plain text gets a plan of its own, named NAME$CONTEXT.

#include "templates/html_plan.h"

#include <algorithm>
#include <set>

#include "base/number.h"
#include "base/text.h"
#include "templates/exec.h"
#include "templates/html_context.h"

namespace tocsin::templates {

namespace {

// Chains of calls through more templates than this are refused.
constexpr int kMaxCallDepth = 200;

class Planner {
 public:
  Planner(const TreeMap& trees, HtmlPlan* plan) : trees_(trees), plan_(plan) {}

  base::Status Run(std::string_view name) {
    HtmlContext end;
    plan_->main = Call(std::string(name), HtmlContext{}, nullptr, nullptr, &end);
    if (end.state == HtmlState::kError) return base::InvalidArgument(end.error);
    if (end.state != HtmlState::kText) {
      const std::string where = name.empty() ? "" : std::string(name) + ":";
      return base::InvalidArgument("html/template:" + where + " ends in a non-text context: " + end.ToString());
    }
    return {};
  }

 private:
  // The loop around, for break and continue.
  struct Loop {
    std::vector<HtmlContext> breaks;
    std::vector<HtmlContext> continues;
  };

  HtmlContext Fail(const Tree& tree, const Node& node, const std::string& message) {
    HtmlContext c;
    c.state = HtmlState::kError;
    c.error = "html/template:" + tree.Location(node) + ": " + message;
    return c;
  }

  const HtmlTemplate* Call(const std::string& name, const HtmlContext& c, const Tree* caller, const Node* node,
                           HtmlContext* end);
  HtmlContext Body(const HtmlContext& c, HtmlTemplate* out) { return List(c, out->tree->root, out, nullptr); }
  HtmlContext List(HtmlContext c, const NodeList& list, HtmlTemplate* out, Loop* loop);
  HtmlContext One(const HtmlContext& c, const Node& node, HtmlTemplate* out, Loop* loop);
  HtmlContext Action(HtmlContext c, const ActionNode& node, HtmlTemplate* out);
  HtmlContext Text(HtmlContext c, const TextNode& node, HtmlTemplate* out);
  HtmlContext Branch(const HtmlContext& c, const BranchNode& node, HtmlTemplate* out, Loop* loop);
  HtmlContext Join(const HtmlContext& a, const HtmlContext& b, const Tree& tree, const Node& node, std::string_view what);
  HtmlContext JoinLoop(HtmlContext c, const Loop& loop, const Tree& tree, const Node& node);

  const TreeMap& trees_;
  HtmlPlan* const plan_;
  std::map<std::string, HtmlContext> ends_;  // of plans made or, while they are made, assumed
  std::vector<std::string> order_;           // in which they were begun
  std::set<std::string> reentered_;          // called while being made
  int depth_ = 0;
};

const HtmlTemplate* Planner::Call(const std::string& name, const HtmlContext& c, const Tree* caller, const Node* node,
                                  HtmlContext* end) {
  auto fail = [&](const std::string& message) -> const HtmlTemplate* {
    if (node != nullptr) {
      *end = Fail(*caller, *node, message);
    } else {
      end->state = HtmlState::kError;
      end->error = "html/template:" + name + ": " + message;
    }
    return nullptr;
  };
  const std::string key = c == HtmlContext{} ? name : name + "$htmltemplate_" + c.ToString();
  if (const auto known = ends_.find(key); known != ends_.end()) {
    reentered_.insert(key);
    *end = known->second;
    return plan_->templates[key].get();
  }
  const auto tree = trees_.find(name);
  if (tree == trees_.end()) return fail("no such template " + base::Quote(name));
  if (depth_ >= kMaxCallDepth) return fail("templates call each other more than 200 levels deep");
  ++depth_;
  // A recursive template is first taken to end where it begins, then where the first attempt ended.
  HtmlContext assumed = c;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const size_t begun = order_.size();
    ends_[key] = assumed;
    order_.push_back(key);
    reentered_.erase(key);
    auto& held = plan_->templates[key];
    if (held == nullptr) held = std::make_unique<HtmlTemplate>();
    HtmlTemplate* out = held.get();
    *out = HtmlTemplate{};
    out->tree = tree->second.get();
    *end = Body(c, out);
    if (end->state == HtmlState::kError) break;
    if (*end == assumed || !reentered_.contains(key)) {
      ends_[key] = *end;
      break;
    }
    if (attempt == 1) {
      --depth_;
      return fail("cannot compute output context for template " + name);
    }
    assumed = *end;
    // What was found out under the wrong assumption is forgotten.
    for (size_t i = begun; i < order_.size(); ++i) ends_.erase(order_[i]);
    order_.resize(begun);
  }
  --depth_;
  return plan_->templates[key].get();
}

HtmlContext Planner::List(HtmlContext c, const NodeList& list, HtmlTemplate* out, Loop* loop) {
  for (const NodePtr& node : list) {
    c = One(c, *node, out, loop);
    if (c.state == HtmlState::kDead || c.state == HtmlState::kError) break;
  }
  return c;
}

HtmlContext Planner::One(const HtmlContext& c, const Node& node, HtmlTemplate* out, Loop* loop) {
  switch (node.kind) {
    case NodeKind::kText: return Text(c, As<TextNode>(node), out);
    case NodeKind::kAction: return Action(c, As<ActionNode>(node), out);
    case NodeKind::kIf:
    case NodeKind::kWith:
    case NodeKind::kRange: return Branch(c, As<BranchNode>(node), out, loop);
    case NodeKind::kTemplate: {
      HtmlContext end;
      const HtmlTemplate* called = Call(As<TemplateNode>(node).name, c, out->tree, &node, &end);
      out->calls[&node] = called;
      return end;
    }
    case NodeKind::kBreak:
    case NodeKind::kContinue:
      if (loop != nullptr) (node.kind == NodeKind::kBreak ? loop->breaks : loop->continues).push_back(c);
      return HtmlContext{.state = HtmlState::kDead};
    default: return c;
  }
}

// The function a pipeline ends with, if it is one of those that escape by themselves.
std::string_view PredefinedEscaper(const CommandNode& command) {
  if (command.args[0]->kind != NodeKind::kIdentifier) return {};
  const std::string& name = As<WordNode>(*command.args[0]).word;
  return name == "html" || name == "urlquery" ? std::string_view(name) : std::string_view();
}

HtmlContext Planner::Action(HtmlContext c, const ActionNode& node, HtmlTemplate* out) {
  if (!node.pipe->declared.empty()) return c;  // prints nothing
  c = Nudge(c);
  const auto& commands = node.pipe->commands;
  for (size_t i = 0; i < commands.size(); ++i) {
    const std::string_view name = PredefinedEscaper(*commands[i]);
    if (name.empty()) continue;
    if (i + 1 < commands.size() ||
        (c.state == HtmlState::kAttr && c.delim == HtmlDelim::kSpaceOrTagEnd && name == "html")) {
      return Fail(*out->tree, node, "predefined escaper " + base::Quote(name) + " disallowed in template");
    }
  }
  std::vector<Escaper> s;
  switch (c.state) {
    case HtmlState::kUrl:
    case HtmlState::kCssDqString:
    case HtmlState::kCssSqString:
    case HtmlState::kCssDqUrl:
    case HtmlState::kCssSqUrl:
    case HtmlState::kCssUrl: {
      const bool css_text = c.state == HtmlState::kCssDqString || c.state == HtmlState::kCssSqString;
      if (c.url_part == UrlPart::kUnknown) {
        return Fail(*out->tree, node, node.ToString() + " appears in an ambiguous context within a URL");
      }
      if (c.url_part == UrlPart::kNone) s.push_back(Escaper::kUrlFilter);
      if (c.url_part == UrlPart::kQueryOrFragment) {
        s.push_back(Escaper::kUrlEscape);
      } else {
        s.push_back(css_text ? Escaper::kCssString : Escaper::kUrlNormalize);
      }
      break;
    }
    case HtmlState::kJs:
      s.push_back(Escaper::kJsValue);
      c.js_next = JsNext::kDivision;
      break;
    case HtmlState::kJsDqString:
    case HtmlState::kJsSqString: s.push_back(Escaper::kJsString); break;
    case HtmlState::kJsTemplate: s.push_back(Escaper::kJsTemplate); break;
    case HtmlState::kJsRegexp: s.push_back(Escaper::kJsRegexp); break;
    case HtmlState::kCss: s.push_back(Escaper::kCssValue); break;
    case HtmlState::kText: s.push_back(Escaper::kHtml); break;
    case HtmlState::kRcdata: s.push_back(Escaper::kRcdata); break;
    case HtmlState::kAttr: break;
    case HtmlState::kAttrName:
    case HtmlState::kTag:
      c.state = HtmlState::kAttrName;
      s.push_back(Escaper::kHtmlName);
      break;
    case HtmlState::kSrcset: s.push_back(Escaper::kSrcset); break;
    default:
      if (IsComment(c.state)) s.push_back(Escaper::kComment);
  }
  if (c.delim != HtmlDelim::kNone) {
    s.push_back(c.delim == HtmlDelim::kSpaceOrTagEnd ? Escaper::kNoSpace : Escaper::kAttr);
  }
  // What the pipeline does itself is not done twice.
  const std::string_view own = PredefinedEscaper(*commands.back());
  for (Escaper& e : s) {
    const bool html = e == Escaper::kHtml || e == Escaper::kAttr || e == Escaper::kRcdata;
    const bool url = e == Escaper::kUrlEscape || e == Escaper::kUrlNormalize;
    if ((own == "html" && html) || (own == "urlquery" && url)) e = Escaper::kNothing;
  }
  out->actions[&node] = std::move(s);
  return c;
}

HtmlContext Planner::Text(HtmlContext c, const TextNode& node, HtmlTemplate* out) {
  const std::string_view s = node.text;
  std::string cleaned;
  size_t written = 0;  // of s, so far put into `cleaned`
  bool changed = false;
  size_t i = 0;
  int idle = 0;
  while (i != s.size()) {
    HtmlContext next = c;
    const size_t n = AdvanceHtml(s.substr(i), &next);
    if (next.state == HtmlState::kError) return Fail(*out->tree, node, next.error);
    const size_t end = i + n;
    if (c.state == HtmlState::kText || c.state == HtmlState::kRcdata) {
      // A < that begins no tag is text.
      size_t text_end = end;
      if (next.state != c.state && end > i) {
        const size_t open = s.rfind('<', end - 1);
        if (open != std::string_view::npos && open >= i) text_end = open;
      }
      for (size_t j = i; j < text_end; ++j) {
        if (s[j] != '<' || (s.size() - j >= 9 && base::EqualsIgnoreCase(s.substr(j, 9), "<!DOCTYPE"))) continue;
        cleaned += s.substr(written, j - written);
        cleaned += "&lt;";
        written = j + 1;
        changed = true;
      }
    } else if (IsComment(c.state) && c.delim == HtmlDelim::kNone) {
      if (c.state == HtmlState::kJsBlockComment) {
        cleaned += s.substr(i, n).find_first_of("\n\r") != std::string_view::npos ? '\n' : ' ';
      } else if (c.state == HtmlState::kCssBlockComment) {
        cleaned += ' ';
      }
      written = end;
      changed = true;
    }
    if (c.state != next.state && IsComment(next.state) && next.delim == HtmlDelim::kNone) {
      const size_t begin = end - (next.state == HtmlState::kHtmlComment ? 4 : 2);
      if (begin > written) cleaned += s.substr(written, begin - written);
      written = end;
      changed = true;
    }
    idle = n == 0 && next == c ? idle + 1 : 0;
    if (idle > 0) return Fail(*out->tree, node, "text cannot be understood: " + base::Quote(s.substr(i, 32)));
    c = next;
    i = end;
  }
  if (changed) {
    if (!IsComment(c.state) || c.delim != HtmlDelim::kNone) cleaned += s.substr(written);
    out->texts[&node] = std::move(cleaned);
  }
  return c;
}

HtmlContext Planner::Join(const HtmlContext& a, const HtmlContext& b, const Tree& tree, const Node& node,
                          std::string_view what) {
  if (a.state == HtmlState::kError) return a;
  if (b.state == HtmlState::kError) return b;
  if (a.state == HtmlState::kDead) return b;
  if (b.state == HtmlState::kDead || a == b) return a;
  HtmlContext c = a;
  c.url_part = b.url_part;
  if (c == b) {
    c.url_part = UrlPart::kUnknown;
    return c;
  }
  c = a;
  c.js_next = b.js_next;
  if (c == b) {
    c.js_next = JsNext::kUnknown;
    return c;
  }
  // <p title={{ if .C }}{{ . }}{{ end }}>: one end is inside the value, the other right before it.
  const HtmlContext na = Nudge(a);
  const HtmlContext nb = Nudge(b);
  if (!(na == a && nb == b)) {
    HtmlContext joined = Join(na, nb, tree, node, what);
    if (joined.state != HtmlState::kError) return joined;
  }
  return Fail(tree, node, "{{" + std::string(what) + "}} branches end in different contexts: " + a.ToString() + ", " +
                              b.ToString());
}

HtmlContext Planner::JoinLoop(HtmlContext c, const Loop& loop, const Tree& tree, const Node& node) {
  for (const auto& [contexts, what] : {std::pair(&loop.breaks, "range"), std::pair(&loop.continues, "range")}) {
    for (const HtmlContext& other : *contexts) c = Join(c, other, tree, node, what);
  }
  return c;
}

HtmlContext Planner::Branch(const HtmlContext& c, const BranchNode& node, HtmlTemplate* out, Loop* loop) {
  HtmlContext first;
  if (node.kind == NodeKind::kRange) {
    Loop own;
    first = JoinLoop(List(c, node.body, out, &own), own, *out->tree, node);
    if (first.state == HtmlState::kError) return first;
    // A second turn must leave the context where the first did; its plan is thrown away.
    HtmlTemplate scratch;
    scratch.tree = out->tree;
    Loop again;
    const HtmlContext second = JoinLoop(List(first, node.body, &scratch, &again), again, *out->tree, node);
    first = Join(first, second, *out->tree, node, "range");
    if (first.state == HtmlState::kError) return first;
  } else {
    first = List(c, node.body, out, loop);
  }
  return Join(first, List(c, node.otherwise, out, loop), *out->tree, node, node.Keyword());
}

}  // namespace

base::Result<std::shared_ptr<const HtmlPlan>> PlanHtml(const TreeMap& trees, std::string_view name) {
  auto plan = std::make_shared<HtmlPlan>();
  RETURN_IF_ERROR(Planner(trees, plan.get()).Run(name));
  return std::shared_ptr<const HtmlPlan>(std::move(plan));
}

base::Result<std::string> EscapeForHtml(const HtmlTemplate& html, const Node& action, const Value& value) {
  const auto it = html.actions.find(&action);
  if (it == html.actions.end()) return base::Internal("an action without a context: " + action.ToString());
  Value v = value;
  for (const Escaper escaper : it->second) v = ApplyEscaper(escaper, v);
  return v.is_nil() ? std::string() : Printed(v);
}

}  // namespace tocsin::templates
