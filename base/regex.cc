#include "base/regex.h"

#include <absl/container/flat_hash_set.h>
#include <re2/re2.h>

#include <algorithm>
#include <mutex>

#include "base/check.h"
#include "base/regex_shape.h"

namespace tocsin::base {
namespace {

constexpr int64_t kMaxMemory = int64_t{64} << 20;  // of one program with its automata

enum class Anchor { kNone, kBoth };

re2::StringPiece Piece(std::string_view text) { return re2::StringPiece(text.data(), text.size()); }

re2::RE2::Options Options(Anchor anchor) {
  re2::RE2::Options options;
  options.set_max_mem(kMaxMemory);
  options.set_log_errors(false);
  options.set_dot_nl(anchor == Anchor::kBoth);
  return options;
}

std::string_view GoWording(re2::RE2::ErrorCode code) {
  switch (code) {
    case re2::RE2::ErrorBadEscape: return "invalid escape sequence";
    case re2::RE2::ErrorBadCharClass: return "invalid character class";
    case re2::RE2::ErrorBadCharRange: return "invalid character class range";
    case re2::RE2::ErrorMissingBracket: return "missing closing ]";
    case re2::RE2::ErrorMissingParen: return "missing closing )";
    case re2::RE2::ErrorUnexpectedParen: return "unexpected )";
    case re2::RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case re2::RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
    case re2::RE2::ErrorRepeatSize: return "invalid repeat count";
    case re2::RE2::ErrorRepeatOp: return "invalid nested repetition operator";
    case re2::RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
    case re2::RE2::ErrorBadUTF8: return "invalid UTF-8";
    case re2::RE2::ErrorBadNamedCapture: return "invalid named capture";
    case re2::RE2::ErrorPatternTooLarge: return "expression too large";
    default: return "regexp/syntax: internal error";
  }
}

std::unexpected<Error> Refuse(std::string_view why, std::string_view what) {
  std::string message = "error parsing regexp: " + std::string(why);
  if (!what.empty()) message += ": `" + std::string(what) + "`";
  return InvalidArgument(std::move(message));
}

// Go names groups (?P<name>...) and (?<name>...); RE2 knows only the first.  \C, one byte, is
// RE2's alone.
Result<std::string> TranslateSyntax(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  bool in_quote = false;  // \Q...\E
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      char next = pattern[i + 1];
      if (in_quote) {
        if (next == 'E') in_quote = false;
      } else if (next == 'Q' && !in_class) {
        in_quote = true;
      } else if (next == 'C') {
        return Refuse("invalid escape sequence", "\\C");
      }
      if (in_quote && next != 'Q') {
        out.push_back(c);
        continue;
      }
      out.append(pattern.substr(i, 2));
      ++i;
      continue;
    }
    if (!in_quote) {
      if (in_class) {
        if (c == '[' && i + 1 < pattern.size() && pattern[i + 1] == ':') {
          size_t end = pattern.find(":]", i + 2);
          if (end != std::string_view::npos) {
            out.append(pattern.substr(i, end + 2 - i));
            i = end + 1;
            continue;
          }
        }
        if (c == ']') in_class = false;
      } else if (c == '[') {
        in_class = true;
        out.push_back(c);
        // A bracket right after the opening one stands for itself.
        if (i + 1 < pattern.size() && pattern[i + 1] == '^') out.push_back(pattern[++i]);
        if (i + 1 < pattern.size() && pattern[i + 1] == ']') out.push_back(pattern[++i]);
        continue;
      } else if (pattern.substr(i, 3) == "(?<") {
        out.append("(?P<");
        i += 2;
        continue;
      }
    }
    out.push_back(c);
  }
  return out;
}

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

// How values are matched without the automaton, where `shape` says that they can be.
struct Regex::Program {
  std::string pattern;
  std::string translated;
  Anchor anchor = Anchor::kNone;
  RegexShape shape;
  absl::flat_hash_set<std::string_view> set;  // of shape.set, when there are many
  bool matches_empty = false;

  // Compiled when first needed if the shape answers for it.
  const re2::RE2& Compiled() const {
    std::call_once(once, [this] {
      compiled = std::make_unique<re2::RE2>(Piece(translated), Options(anchor));
      TOCSIN_CHECK(compiled->ok()) << "a pattern of plain text does not compile: " << translated;
    });
    return *compiled;
  }
  void Adopt(std::unique_ptr<re2::RE2> re) const {
    std::call_once(once, [&] { compiled = std::move(re); });
  }

  mutable std::once_flag once;
  mutable std::unique_ptr<re2::RE2> compiled;

  static Result<std::shared_ptr<const Program>> Make(std::string_view pattern, Anchor anchor);
};

Result<std::shared_ptr<const Regex::Program>> Regex::Program::Make(std::string_view pattern,
                                                                   Anchor anchor) {
  constexpr size_t kHashFrom = 8;  // a set this large is looked up, a smaller one walked
  auto program = std::make_shared<Program>();
  program->pattern = pattern;
  program->anchor = anchor;
  ASSIGN_OR_RETURN(program->translated, TranslateSyntax(pattern));
  if (anchor == Anchor::kBoth) program->shape = AnalyzeShape(pattern);
  if (!program->shape.exact()) {
    auto re = std::make_unique<re2::RE2>(Piece(program->translated), Options(anchor));
    if (!re->ok()) {
      std::string what = re->error_arg();
      if (program->translated != program->pattern && what == program->translated) {
        what = program->pattern;
      } else if (program->translated != program->pattern && what.starts_with("(?P<")) {
        what.erase(2, 1);
      }
      return Refuse(GoWording(re->error_code()), what);
    }
    program->Adopt(std::move(re));
  }
  if (program->shape.set.size() >= kHashFrom) {
    program->set.insert(program->shape.set.begin(), program->shape.set.end());
  }
  program->matches_empty = Regex(program).Matches("");
  return program;
}

Result<Regex> Regex::Anchored(std::string_view pattern) {
  ASSIGN_OR_RETURN(auto program, Program::Make(pattern, Anchor::kBoth));
  return Regex(std::move(program));
}

Result<Regex> Regex::Unanchored(std::string_view pattern) {
  ASSIGN_OR_RETURN(auto program, Program::Make(pattern, Anchor::kNone));
  return Regex(std::move(program));
}

const std::string& Regex::pattern() const { return program_->pattern; }
const std::vector<std::string>& Regex::set_matches() const { return program_->shape.set; }
const std::string& Regex::prefix() const { return program_->shape.prefix; }
bool Regex::matches_empty() const { return program_->matches_empty; }

bool Regex::Matches(std::string_view text) const {
  const Program& p = *program_;
  switch (p.shape.kind) {
    case RegexShape::Kind::kSet:
      if (!p.set.empty()) return p.set.contains(text);
      return std::find(p.shape.set.begin(), p.shape.set.end(), text) != p.shape.set.end();
    case RegexShape::Kind::kPieces: return MatchesPieces(p.shape, text);
    case RegexShape::Kind::kOther: break;
  }
  if (!text.starts_with(p.shape.prefix)) return false;
  return p.Compiled().Match(Piece(text), 0, text.size(),
                            p.anchor == Anchor::kBoth ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED,
                            nullptr, 0);
}

namespace {

// The first match at or after `from`, with its groups.
bool FindFrom(const re2::RE2& re, Anchor anchor, std::string_view text, size_t from,
              std::vector<re2::StringPiece>* groups) {
  groups->assign(static_cast<size_t>(re.NumberOfCapturingGroups()) + 1, re2::StringPiece());
  return re.Match(Piece(text), from, text.size(),
                  anchor == Anchor::kBoth ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED,
                  groups->data(), static_cast<int>(groups->size()));
}

size_t WidthAt(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
  return end - at;
}

std::vector<std::optional<std::string_view>> AsViews(const std::vector<re2::StringPiece>& pieces) {
  std::vector<std::optional<std::string_view>> views;
  views.reserve(pieces.size());
  for (const auto& piece : pieces) {
    if (piece.data() == nullptr) {
      views.emplace_back();
    } else {
      views.emplace_back(std::string_view(piece.data(), piece.size()));
    }
  }
  return views;
}

}  // namespace

bool Regex::Find(std::string_view text,
                 std::vector<std::optional<std::string_view>>* groups) const {
  // RE2 tells a group that is not there from an empty one by the address, so there has to be one.
  if (text.data() == nullptr) text = std::string_view("", 0);
  if (program_->shape.exact() && !Matches(text)) return false;
  std::vector<re2::StringPiece> pieces;
  if (!FindFrom(program_->Compiled(), program_->anchor, text, 0, &pieces)) return false;
  *groups = AsViews(pieces);
  return true;
}

void Regex::Expand(std::string_view replacement,
                   const std::vector<std::optional<std::string_view>>& groups,
                   std::string* out) const {
  while (!replacement.empty()) {
    size_t dollar = replacement.find('$');
    out->append(replacement.substr(0, dollar));
    if (dollar == std::string_view::npos) return;
    replacement.remove_prefix(dollar + 1);
    if (replacement.starts_with('$')) {
      out->push_back('$');
      replacement.remove_prefix(1);
      continue;
    }
    bool brace = replacement.starts_with('{');
    size_t begin = brace ? 1 : 0;
    size_t end = begin;
    while (end < replacement.size() && IsNameByte(replacement[end])) ++end;
    if (end == begin || (brace && (end >= replacement.size() || replacement[end] != '}'))) {
      out->push_back('$');  // malformed: stands for itself, as in Go
      continue;
    }
    std::string_view name = replacement.substr(begin, end - begin);
    replacement.remove_prefix(end + (brace ? 1 : 0));
    size_t number = 0;
    bool numeric = name.size() == 1 || name[0] != '0';
    for (char c : name) {
      if (c < '0' || c > '9' || number >= 100000000) {
        numeric = false;
        break;
      }
      number = number * 10 + static_cast<size_t>(c - '0');
    }
    if (!numeric) {
      const auto& names = program_->Compiled().NamedCapturingGroups();
      auto at = names.find(std::string(name));
      if (at == names.end()) continue;
      number = static_cast<size_t>(at->second);
    }
    if (number < groups.size() && groups[number]) out->append(*groups[number]);
  }
}

std::string Regex::ReplaceAll(std::string_view text, std::string_view replacement) const {
  if (text.data() == nullptr) text = std::string_view("", 0);
  std::string out;
  std::vector<re2::StringPiece> groups;
  size_t last_end = 0;
  size_t from = 0;
  while (from <= text.size() && FindFrom(program_->Compiled(), program_->anchor, text, from, &groups)) {
    size_t begin = static_cast<size_t>(groups[0].data() - text.data());
    size_t end = begin + groups[0].size();
    out.append(text.substr(last_end, begin - last_end));
    // No second replacement for an empty match right after another match.
    if (end > last_end || begin == 0) Expand(replacement, AsViews(groups), &out);
    last_end = end;
    if (program_->anchor == Anchor::kBoth) break;
    size_t step = from < text.size() ? WidthAt(text, from) : 1;
    from = end > from + step - 1 ? end : from + step;
  }
  out.append(text.substr(std::min(last_end, text.size())));
  return out;
}

std::vector<std::string> Regex::FindAll(std::string_view text) const {
  if (text.data() == nullptr) text = std::string_view("", 0);
  std::vector<std::string> found;
  std::vector<re2::StringPiece> groups;
  size_t from = 0;
  size_t previous_end = std::string_view::npos;
  while (from <= text.size() && FindFrom(program_->Compiled(), program_->anchor, text, from, &groups)) {
    size_t begin = static_cast<size_t>(groups[0].data() - text.data());
    size_t end = begin + groups[0].size();
    bool accept = true;
    if (end == from) {
      accept = begin != previous_end;
      from += from < text.size() ? WidthAt(text, from) : 1;
    } else {
      from = end;
    }
    previous_end = end;
    if (accept) found.emplace_back(groups[0].data(), groups[0].size());
    if (program_->anchor == Anchor::kBoth) break;
  }
  return found;
}

std::string QuoteMeta(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

}  // namespace tocsin::base
