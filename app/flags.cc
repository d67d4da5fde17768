#include "app/flags.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"

namespace tocsin::app {

Flags::Flags(std::span<const FlagRow> table, std::string_view usage, std::string_view examples)
    : table_(table), usage_(usage), examples_(examples) {
  for (const FlagRow& row : table_) {
    values_[std::string(row.name)] = row.value;
    if (row.kind == FlagKind::kList && !row.value.empty()) {
      lists_[std::string(row.name)] = {std::string(row.value)};
    }
  }
}

const FlagRow* Flags::Find(std::string_view name) const {
  const auto row = std::ranges::find(table_, name, &FlagRow::name);
  return row == table_.end() ? nullptr : &*row;
}

std::string Flags::Check(const FlagRow& row, const std::string& value) const {
  if (!row.choices.empty()) {
    const auto split = base::Split(row.choices, '|');
    const std::vector<std::string> choices(split.begin(), split.end());
    if (std::ranges::find(choices, value) == choices.end()) return "write " + base::Join(choices, " or ");
  }
  switch (row.kind) {
    case FlagKind::kString:
    case FlagKind::kList:
      return "";
    case FlagKind::kBool:
      return value == "true" || value == "false" ? "" : "write true or false";
    case FlagKind::kInt: {
      int64_t n = 0;
      const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), n);
      return error == std::errc() && at == value.data() + value.size() ? "" : "write a whole number";
    }
    case FlagKind::kFloat:
      return base::ParseFloat(value) ? "" : "write a number";
    case FlagKind::kDuration: {
      const auto d = base::ParseDuration(value);
      return d ? "" : d.error().message();
    }
    case FlagKind::kUrl: {
      if (value.empty()) return "";
      const auto url = base::ParseUrl(value);
      return url ? "" : url.error().message();
    }
    case FlagKind::kBytes: {
      const auto bytes = base::ParseBytes(value);
      return bytes ? "" : bytes.error().message();
    }
  }
  return "";
}

std::optional<int> Flags::Parse(const std::vector<std::string>& args, const tools::ToolIo& io) {
  auto wrong = [&](const std::string& what) {
    io.err("error: " + what + "\nTry " + std::string(usage_.substr(0, usage_.find(" ["))) +
           " --help.\n");
    return 2;
  };
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word == "--help" || word == "-h") {
      io.out(Help());
      return 0;
    }
    if (!word.starts_with("--")) return wrong("unexpected argument \"" + word + "\"");
    const size_t equals = word.find('=');
    std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = word.substr(equals + 1);

    const FlagRow* row = Find(name);
    if (row == nullptr && name.starts_with("no-")) {
      row = Find(std::string_view(name).substr(3));
      if (row != nullptr && row->kind == FlagKind::kBool && !value) value = "false";
      else row = nullptr;
    }
    if (row == nullptr) return wrong("unknown flag --" + name);
    if (!value && row->kind == FlagKind::kBool) value = "true";
    if (!value) {
      if (++i == args.size()) return wrong("--" + name + " needs a value");
      value = args[i];
    }
    if (const std::string problem = Check(*row, *value); !problem.empty()) {
      return wrong("--" + std::string(row->name) + "=" + *value + ": " + problem);
    }
    const std::string key(row->name);
    if (row->kind == FlagKind::kList) {
      std::vector<std::string>& list = lists_[key];
      if (!Given(key)) list.clear();  // the default
      list.push_back(*value);
      values_[key] = base::Join(list, ",");
    } else {
      values_[key] = *value;
    }
    given_.push_back(key);
  }
  return std::nullopt;
}

const std::string& Flags::String(std::string_view name) const {
  const auto found = values_.find(name);
  TOCSIN_CHECK(found != values_.end()) << name;
  return found->second;
}

bool Flags::Bool(std::string_view name) const { return String(name) == "true"; }

int64_t Flags::Int(std::string_view name) const {
  const std::string& text = String(name);
  int64_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

double Flags::Float(std::string_view name) const {
  return base::ParseFloat(String(name)).value_or(0);
}

base::Duration Flags::Duration(std::string_view name) const {
  return base::ParseDuration(String(name)).value_or(base::Duration(0));
}

uint64_t Flags::Bytes(std::string_view name) const {
  return base::ParseBytes(String(name)).value_or(0);
}

std::vector<std::string> Flags::List(std::string_view name) const {
  const auto found = lists_.find(name);
  return found == lists_.end() ? std::vector<std::string>{} : found->second;
}

bool Flags::Given(std::string_view name) const { return std::ranges::find(given_, name) != given_.end(); }

std::vector<std::string> Flags::GivenWith(std::string_view prefix) const {
  std::vector<std::string> names;
  for (const std::string& name : given_) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

std::vector<std::string> Flags::GivenButIgnored() const {
  std::vector<std::string> names;
  for (const std::string& name : given_) {
    if (Find(name)->use == FlagUse::kIgnored && std::ranges::find(names, name) == names.end()) {
      names.push_back(name);
    }
  }
  return names;
}

std::string Flags::Help() const {
  std::string text = "usage: ";
  text += usage_;
  text += "\n\nFlags:\n";
  for (const FlagRow& row : table_) {
    std::string left = "  --" + std::string(row.name);
    if (row.kind != FlagKind::kBool) left += "=" + std::string(row.value);
    text += left;
    text += left.size() < 44 ? std::string(44 - left.size(), ' ') : "\n" + std::string(44, ' ');
    text += row.help;
    if (row.use == FlagUse::kIgnored) text += " Accepted; it has no meaning here.";
    text += "\n";
  }
  text += "\n";
  text += examples_;
  return text;
}

}  // namespace tocsin::app
