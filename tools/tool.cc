#include "tools/tool.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

namespace tocsin::tools {
namespace {

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;  // the reader has gone: nothing left to tell it
    text.remove_prefix(static_cast<size_t>(n));
  }
}

std::string ReadAllInput() {
  std::string all;
  char buffer[65536];
  for (ssize_t n; (n = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0;) {
    all.append(buffer, static_cast<size_t>(n));
  }
  return all;
}

}  // namespace

ToolIo ProcessIo() {
  return {.out = [](std::string_view text) { WriteAll(STDOUT_FILENO, text); },
          .err = [](std::string_view text) { WriteAll(STDERR_FILENO, text); },
          .read_input = ReadAllInput,
          .fs = base::RealFileSystem(),
          .color = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr};
}

int Fail(const ToolIo& io, std::string_view what) {
  io.err(std::string(what) + "\n");
  return 1;
}

int RunVerb(Verb verb, const std::vector<std::string>& args, const ToolIo& io) {
  try {
    return verb(args, io);
  } catch (const nlohmann::json::exception& e) {
    return Fail(io, std::string("error: JSON that was read is not of the shape it should have; is this the right server? ") + e.what());
  }
}

FlagSet::FlagSet(std::string usage, std::string description)
    : usage_(std::move(usage)), description_(std::move(description)) {}

void FlagSet::Add(std::string_view name, char short_name, std::string_view help,
                  std::string shown_default, bool is_switch,
                  std::function<bool(const std::string&)> set) {
  flags_.push_back({.name = std::string(name),
                    .short_name = short_name,
                    .help = std::string(help),
                    .shown_default = std::move(shown_default),
                    .is_switch = is_switch,
                    .set = std::move(set)});
}

void FlagSet::String(std::string_view name, std::string* value, std::string_view help,
                     char short_name) {
  Add(name, short_name, help, *value, false, [value](const std::string& text) {
    *value = text;
    return true;
  });
}

void FlagSet::Bool(std::string_view name, bool* value, std::string_view help, char short_name) {
  Add(name, short_name, help, *value ? "true" : "", true, [value](const std::string& text) {
    if (text != "true" && text != "false") return false;
    *value = text == "true";
    return true;
  });
}

void FlagSet::Int(std::string_view name, int64_t* value, std::string_view help, char short_name) {
  Add(name, short_name, help, std::to_string(*value), false, [value](const std::string& text) {
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, *value);
    return error == std::errc() && at == end;
  });
}

void FlagSet::Strings(std::string_view name, std::vector<std::string>* values,
                      std::string_view help, char short_name) {
  std::string shown;
  for (const std::string& value : *values) shown += (shown.empty() ? "" : ", ") + value;
  // Values given replace the default, and add to each other.
  Add(name, short_name, help, shown, false,
      [values, first = true](const std::string& text) mutable {
        if (std::exchange(first, false)) values->clear();
        values->push_back(text);
        return true;
      });
}

std::optional<int> FlagSet::Parse(const std::vector<std::string>& args, const ToolIo& io,
                                  std::vector<std::string>* positional) {
  auto wrong = [&](const std::string& what) {
    io.err("error: " + what + "\nusage: " + usage_ + "\nTry --help.\n");
    return 1;
  };
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word == "--") {
      positional->insert(positional->end(), args.begin() + static_cast<long>(i) + 1, args.end());
      break;
    }
    if (word == "--help" || word == "-h") {
      io.out(Help());
      return 0;
    }
    if (word.size() < 2 || word[0] != '-') {
      positional->push_back(word);
      continue;
    }
    std::string name = word;
    std::optional<std::string> value;
    Flag* flag = nullptr;
    bool negated = false;
    if (word.starts_with("--")) {
      if (const size_t equals = word.find('='); equals != std::string::npos) {
        value = word.substr(equals + 1);
        name = word.substr(0, equals);
      }
      const std::string bare = name.substr(2);
      for (Flag& f : flags_) {
        if (f.name == bare) flag = &f;
        if (f.is_switch && "no-" + f.name == bare) flag = &f, negated = true;
      }
    } else {
      name = word.substr(0, 2);
      for (Flag& f : flags_) {
        if (f.short_name == word[1]) flag = &f;
      }
      if (word.size() > 2) value = word.substr(word[2] == '=' ? 3 : 2);
    }
    if (flag == nullptr) return wrong("unknown flag " + name);
    if (flag->is_switch) {
      if (!value) value = negated ? "false" : "true";
    } else if (!value) {
      if (++i == args.size()) return wrong(name + " needs a value");
      value = args[i];
    }
    if (!flag->set(*value)) return wrong(name + ": bad value \"" + *value + "\"");
    flag->given = true;
  }
  return std::nullopt;
}

bool FlagSet::Given(std::string_view name) const {
  return std::ranges::any_of(flags_, [&](const Flag& f) { return f.name == name && f.given; });
}

std::string FlagSet::Help() const {
  std::string text = "usage: " + usage_ + "\n\n" + description_ + "\n\nFlags:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  size_t width = 0;
  for (const Flag& f : flags_) {
    std::string left = f.short_name != 0 ? std::string("  -") + f.short_name + ", --" : "      --";
    left += f.name;
    if (!f.is_switch) left += "=" + (f.shown_default.empty() ? std::string("...") : f.shown_default);
    width = std::max(width, std::min<size_t>(left.size(), 46));
    rows.emplace_back(std::move(left), f.help);
  }
  rows.emplace_back("  -h, --help", "Show this help.");
  for (const auto& [left, help] : rows) {
    text += left;
    text += left.size() > width ? "\n" + std::string(width + 2, ' ')
                                : std::string(width + 2 - left.size(), ' ');
    text += help + "\n";
  }
  if (!examples_.empty()) text += "\nExamples:\n" + examples_;
  return text;
}

}  // namespace tocsin::tools
