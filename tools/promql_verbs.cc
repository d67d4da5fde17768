#include "tools/promql_verbs.h"

#include <algorithm>
#include <functional>

#include "promql/parse/parser.h"
#include "promql/parse/printer.h"

namespace tocsin::tools {
namespace {

constexpr const char* kUsage =
    "usage: tocsin promql format EXPR\n"
    "       tocsin promql --experimental label-matchers set [--type=TYPE] EXPR NAME VALUE\n"
    "       tocsin promql --experimental label-matchers delete EXPR NAME";

void EachSelector(promql::Expr* e, const std::function<void(promql::VectorSelector*)>& fn) {
  if (e->kind == promql::ExprKind::kVectorSelector) fn(&promql::As<promql::VectorSelector>(*e));
  // Its parts may be changed as it may.
  for (const promql::Expr* child : promql::Children(*e)) EachSelector(const_cast<promql::Expr*>(child), fn);
}

base::Result<model::MatchOp> OpOf(const std::string& type) {
  for (const auto& [text, op] : {std::pair("=", model::MatchOp::kEqual), std::pair("!=", model::MatchOp::kNotEqual),
                                 std::pair("=~", model::MatchOp::kRegex), std::pair("!~", model::MatchOp::kNotRegex)}) {
    if (type == text) return op;
  }
  return base::InvalidArgument("--type=" + type + ": write =, !=, =~ or !~");
}

// What `label-matchers` does with the words behind it.
base::Status Edit(promql::Expr* e, const std::vector<std::string>& words, const std::string& type) {
  const std::string& name = words[3];
  if (words[1] == "delete") {
    EachSelector(e, [&](promql::VectorSelector* s) {
      std::erase_if(s->matchers, [&](const model::Matcher& m) { return m.name() == name; });
    });
    return {};
  }
  ASSIGN_OR_RETURN(const model::MatchOp op, OpOf(type));
  ASSIGN_OR_RETURN(const model::Matcher matcher, model::Matcher::Make(op, name, words[4]));
  EachSelector(e, [&](promql::VectorSelector* s) {
    bool found = false;
    for (model::Matcher& m : s->matchers) {
      if (m.name() != name) continue;
      m = matcher;
      found = true;
    }
    if (!found) s->matchers.push_back(matcher);
  });
  return {};
}

}  // namespace

int PromqlVerb(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool promql format EXPR | label-matchers set|delete ...",
                "format prints an expression over several lines where it is long.  label-matchers sets a matcher of every selector\n"
                "of an expression, or takes it away, and prints that; it needs --experimental, as in promtool.");
  bool experimental = false;
  std::string type = "=";
  flags.Bool("experimental", &experimental, "Allow experimental commands.");
  flags.String("type", &type, "Of the matcher that is set: =, !=, =~ or !~.", 't');
  flags.Examples("  promtool promql format 'sum by(job)(rate(http_requests_total{code=~\"5..\"}[5m]))'\n"
                 "  promtool promql --experimental label-matchers set --type='!=' 'rate(http_requests_total[5m])' env test\n"
                 "  promtool promql --experimental label-matchers delete 'up{env=\"test\"}' env\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  const bool format = words.size() == 2 && words[0] == "format";
  const bool edit = words.size() > 1 && words[0] == "label-matchers" &&
                    ((words[1] == "set" && words.size() == 5) || (words[1] == "delete" && words.size() == 4));
  if (!format && !edit) return Fail(io, kUsage);
  if (edit && !experimental) {
    return Fail(io, "This command is experimental and requires the --experimental flag to be set.");
  }
  const std::string& text = words[format ? 1 : 2];
  const auto expr = promql::ParseAll(text, {.experimental_functions = true,
                                            .extended_range_selectors = true,
                                            .binop_fill_modifiers = true});
  if (!expr) return Fail(io, expr.error().Explain(text));
  if (edit) {
    if (const base::Status status = Edit(expr->get(), words, type); !status) return Fail(io, "error: " + status.error().message());
  }
  io.out(promql::Prettify(**expr) + "\n");
  return 0;
}

}  // namespace tocsin::tools
