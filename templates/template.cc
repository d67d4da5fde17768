#include "templates/template.h"

#include "templates/exec.h"

namespace tocsin::templates {

FunctionMap::Entries* FunctionMap::Own() {
  if (functions_ == nullptr) {
    functions_ = std::make_shared<Entries>();
  } else if (functions_.use_count() > 1) {
    functions_ = std::make_shared<Entries>(*functions_);
  }
  return functions_.get();
}

void FunctionMap::Add(Function function) {
  std::string name = function.name;
  (*Own())[std::move(name)] = std::make_shared<const Function>(std::move(function));
}

void FunctionMap::Add(std::string name, std::vector<const Type*> params, Function::Body body) {
  Add(Function{.name = std::move(name), .params = std::move(params), .body = std::move(body)});
}

void FunctionMap::AddVariadic(std::string name, std::vector<const Type*> params, Function::Body body) {
  Add(Function{.name = std::move(name), .params = std::move(params), .variadic = true, .body = std::move(body)});
}

void FunctionMap::AddAll(const FunctionMap& other) {
  if (other.functions_ == nullptr) return;
  Entries* own = Own();
  for (const auto& [name, function] : *other.functions_) (*own)[name] = function;
}

const Function* FunctionMap::Find(std::string_view name) const {
  if (functions_ == nullptr) return nullptr;
  const auto it = functions_->find(name);
  return it == functions_->end() ? nullptr : it->second.get();
}

std::vector<std::string> FunctionMap::Names() const {
  std::vector<std::string> names;
  if (functions_ == nullptr) return names;
  for (const auto& [name, function] : *functions_) names.push_back(name);
  return names;
}

struct TemplateSet::Rep {
  FunctionMap functions;
  TreeMap trees;
};

TemplateSet::TemplateSet(FunctionMap functions) : rep_(std::make_unique<Rep>()) {
  rep_->functions = std::move(functions);
}
TemplateSet::~TemplateSet() = default;
TemplateSet::TemplateSet(const TemplateSet& other) : rep_(std::make_unique<Rep>(*other.rep_)) {}
TemplateSet::TemplateSet(TemplateSet&&) noexcept = default;
TemplateSet& TemplateSet::operator=(TemplateSet other) noexcept {
  rep_ = std::move(other.rep_);
  return *this;
}

namespace {

base::Result<TreeMap> ParseInto(TreeMap trees, const FunctionMap& functions, const FunctionMap* more,
                                std::string_view name, std::string_view text) {
  auto has_function = [&](std::string_view f) {
    return functions.Find(f) != nullptr || (more != nullptr && more->Find(f) != nullptr) || Builtins().Find(f) != nullptr;
  };
  ASSIGN_OR_RETURN(TreeMap parsed, ParseTemplate(name, text, has_function));
  for (auto& [key, tree] : parsed) {
    std::shared_ptr<const Tree>& held = trees[key];
    // An empty template does not replace one that is there.
    if (held == nullptr || !tree->IsEmpty()) held = std::move(tree);
  }
  return trees;
}

}  // namespace

base::Status TemplateSet::Parse(std::string_view name, std::string_view text) {
  ASSIGN_OR_RETURN(TreeMap trees, ParseInto(rep_->trees, rep_->functions, nullptr, name, text));
  rep_->trees = std::move(trees);
  return {};
}

bool TemplateSet::Lookup(std::string_view name) const { return rep_->trees.contains(name); }

std::vector<std::string> TemplateSet::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, tree] : rep_->trees) names.push_back(name);
  return names;
}

base::Result<std::string> TemplateSet::Execute(std::string_view name, const Value& data,
                                               const ExecuteOptions& options) const {
  return ExecuteTemplate({&rep_->trees, &rep_->functions}, name, data, options);
}

base::Result<std::string> TemplateSet::ExecuteText(std::string_view text, const Value& data,
                                                   const ExecuteOptions& options, std::string_view name) const {
  ASSIGN_OR_RETURN(const TreeMap trees, ParseInto(rep_->trees, rep_->functions, options.functions, name, text));
  return ExecuteTemplate({&trees, &rep_->functions}, name, data, options);
}

}  // namespace tocsin::templates
