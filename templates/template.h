#pragma once

// Go's text/template and html/template languages: a set of named templates that call each other.
//
//   TemplateSet set(functions);
//   RETURN_IF_ERROR(set.Parse("my.tmpl", text));           // also adds each {{ define }}
//   set.Execute("slack.default.title", data);              // plain text
//   set.Execute("email.default.html", data, {.mode = Mode::kHtml});
//   set.ExecuteText("{{ .Status | toUpper }}", data);      // a text in a copy of the set
//
// Threads: Parse() by one thread; a set that is no longer changed may be executed from any number.
// Errors:  kInvalidArgument with Go's wording: `template: NAME:LINE: ...` when parsing,
//          `template: NAME:LINE:COLUMN: executing "NAME" at <.Foo>: ...` when executing (columns are
//          zero-based bytes, as Go's); kResourceExhausted when a limit is reached.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "templates/value.h"

namespace tocsin::templates {

// Functions by name.  Copies share until one of them is added to.
class FunctionMap {
 public:
  // Later additions win.
  void Add(Function function);
  void Add(std::string name, std::vector<const Type*> params, Function::Body body);
  void AddVariadic(std::string name, std::vector<const Type*> params, Function::Body body);
  void AddAll(const FunctionMap& other);
  const Function* Find(std::string_view name) const;
  std::vector<std::string> Names() const;  // sorted

 private:
  using Entries = std::map<std::string, std::shared_ptr<const Function>, std::less<>>;
  Entries* Own();
  std::shared_ptr<Entries> functions_;  // null: none
};

enum class Mode {
  kText,
  kHtml,  // what actions print is escaped for where it stands in the page
};

// What a map lookup by field name gives when the key is missing.
enum class MissingKey {
  kInvalid,  // Go's default: <no value>
  kZero,     // the zero value of the map's elements: "" for strings
  kError,
};

// Bounds on hostile templates; far above what real ones need.
struct Limits {
  size_t max_steps = 2'000'000;          // nodes executed
  size_t max_output = 16 << 20;          // bytes printed
  size_t max_allocated = 64 << 20;       // bytes made by functions
  int max_depth = 500;                   // nested templates, blocks and pipelines together; a level
                                         // takes some KiB of a thread's stack
};

struct ExecuteOptions {
  Mode mode = Mode::kText;
  MissingKey missing_key = MissingKey::kZero;
  // Functions that replace those of the set in this execution, or null.
  const FunctionMap* functions = nullptr;
  Limits limits = {};
};

class TemplateSet {
 public:
  explicit TemplateSet(FunctionMap functions = {});
  ~TemplateSet();
  TemplateSet(const TemplateSet& other);  // shares the parsed templates
  TemplateSet(TemplateSet&&) noexcept;
  TemplateSet& operator=(TemplateSet other) noexcept;
  TemplateSet Clone() const { return *this; }

  // Parses `text` as the template `name` and adds it and what it defines; of equal names the last
  // non-empty one counts.  After an error the set is unchanged.
  base::Status Parse(std::string_view name, std::string_view text);
  // Whether there is a template of this name.
  bool Lookup(std::string_view name) const;
  std::vector<std::string> Names() const;  // sorted

  base::Result<std::string> Execute(std::string_view name, const Value& data,
                                    const ExecuteOptions& options = {}) const;
  // `text` in a copy of the set, under `name`.
  base::Result<std::string> ExecuteText(std::string_view text, const Value& data,
                                        const ExecuteOptions& options = {},
                                        std::string_view name = {}) const;

  struct Rep;

 private:
  std::unique_ptr<Rep> rep_;
};

// Texts without "{{" need no execution.
inline bool HasActions(std::string_view text) { return text.find("{{") != std::string_view::npos; }

}  // namespace tocsin::templates
