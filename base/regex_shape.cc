#include "base/regex_shape.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace tocsin::base {
namespace {

constexpr size_t kMaxProduct = 1000;  // strings of one concatenation of alternatives
constexpr int kMaxDepth = 50;

bool IsMeta(char c) { return std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos; }

// A backslash before any of these makes it stand for itself.
bool IsPunctuation(char c) {
  return IsMeta(c) || std::string_view("!\"#%&',-/:;=@`~ ").find(c) != std::string_view::npos;
}

// Reads a pattern as a set of strings, or gives up.
class SetReader {
 public:
  explicit SetReader(std::string_view pattern) : p_(pattern) {}

  std::optional<std::vector<std::string>> Read() {
    std::vector<std::string> all;
    if (!Alternation(0, &all) || at_ != p_.size()) return std::nullopt;
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

 private:
  bool Alternation(int depth, std::vector<std::string>* out) {
    if (depth > kMaxDepth) return false;
    while (true) {
      if (!Concatenation(depth, out)) return false;
      if (at_ >= p_.size() || p_[at_] != '|') return true;
      ++at_;
    }
  }

  // Appends to `out`.
  bool Concatenation(int depth, std::vector<std::string>* out) {
    std::vector<std::string> strings = {""};
    if (depth == 0 && at_ < p_.size() && p_[at_] == '^') ++at_;
    while (at_ < p_.size() && p_[at_] != '|' && p_[at_] != ')') {
      if (depth == 0 && p_[at_] == '$' && (at_ + 1 == p_.size() || p_[at_ + 1] == '|')) {
        ++at_;
        break;
      }
      if (!Atom(depth, &strings)) return false;
      if (at_ < p_.size() && std::string_view("*+?{").find(p_[at_]) != std::string_view::npos) {
        return false;
      }
    }
    for (std::string& s : strings) out->push_back(std::move(s));
    return true;
  }

  bool Atom(int depth, std::vector<std::string>* strings) {
    char c = p_[at_];
    if (c == '(') return Group(depth, strings);
    if (c == '[') return Class(strings);
    std::string text;
    if (c == '\\') {
      // A quantifier binds to the last character alone, so characters are taken one by one.
      if (at_ + 1 >= p_.size() || !IsPunctuation(p_[at_ + 1])) return false;
      text = p_[at_ + 1];
      at_ += 2;
    } else if (IsMeta(c)) {
      return false;
    } else if (!Rune(&text)) {
      return false;
    }
    for (std::string& s : *strings) s += text;
    return true;
  }

  bool Group(int depth, std::vector<std::string>* strings) {
    ++at_;
    if (p_.substr(at_).starts_with("?:")) {
      at_ += 2;
    } else if (p_.substr(at_).starts_with("?")) {
      return false;
    }
    std::vector<std::string> inner;
    if (!Alternation(depth + 1, &inner) || at_ >= p_.size()) return false;
    ++at_;  // the closing parenthesis, which is all that ends an inner alternation
    return Product(inner, strings);
  }

  // [abc], without ranges, classes and escapes.
  bool Class(std::vector<std::string>* strings) {
    ++at_;
    std::vector<std::string> inner;
    while (at_ < p_.size() && p_[at_] != ']') {
      char c = p_[at_];
      if (c == '^' || c == '-' || c == '\\' || c == '[') return false;
      std::string text;
      if (!Rune(&text)) return false;
      inner.push_back(std::move(text));
    }
    if (at_ >= p_.size() || inner.empty()) return false;
    ++at_;
    return Product(inner, strings);
  }

  bool Product(const std::vector<std::string>& inner, std::vector<std::string>* strings) {
    if (strings->size() == 1 && strings->front().empty()) {
      *strings = inner;
      return true;
    }
    if (inner.size() * strings->size() > kMaxProduct) return false;
    std::vector<std::string> product;
    product.reserve(inner.size() * strings->size());
    for (const std::string& head : *strings) {
      for (const std::string& tail : inner) product.push_back(head + tail);
    }
    *strings = std::move(product);
    return true;
  }

  bool Rune(std::string* out) {
    int size = 1;
    if (static_cast<unsigned char>(p_[at_]) >= 0x80) {
      if (DecodeRune(p_.substr(at_), &size) == 0xfffd && size == 1) return false;
    }
    out->append(p_.substr(at_, static_cast<size_t>(size)));
    at_ += static_cast<size_t>(size);
    return true;
  }

  std::string_view p_;
  size_t at_ = 0;
};

// Text with .* and .+ between; false: something else is in it.
bool ReadPieces(std::string_view p, RegexShape* shape) {
  if (p.starts_with('^')) p.remove_prefix(1);
  std::vector<RegexShape::Piece> pieces(1);
  pieces[0].gap_before = RegexShape::kNoGap;
  size_t gap = RegexShape::kNoGap;
  auto last_takes_text = [&] { return gap == RegexShape::kNoGap; };
  for (size_t i = 0; i < p.size(); ++i) {
    char c = p[i];
    if (c == '$' && i + 1 == p.size()) break;
    if (c == '.') {
      if (i + 1 >= p.size() || (p[i + 1] != '*' && p[i + 1] != '+')) return false;
      size_t least = p[i + 1] == '+' ? 1 : 0;
      gap = gap == RegexShape::kNoGap ? least : gap + least;
      if (gap > 1) return false;  // two characters are not two bytes
      ++i;
      // .*? finds the same whole values; other quantifiers after a quantifier are errors.
      if (i + 1 < p.size() && p[i + 1] == '?') ++i;
      if (i + 1 < p.size() && std::string_view("*+?{").find(p[i + 1]) != std::string_view::npos) {
        return false;
      }
      continue;
    }
    if (c == '\\') {
      if (i + 1 >= p.size() || !IsPunctuation(p[i + 1])) return false;
      c = p[++i];
    } else if (IsMeta(c)) {
      return false;
    }
    if (i + 1 < p.size() && std::string_view("*+?{").find(p[i + 1]) != std::string_view::npos) {
      return false;
    }
    if (!last_takes_text()) {
      pieces.push_back({.text = {}, .gap_before = gap});
      gap = RegexShape::kNoGap;
    }
    pieces.back().text.push_back(c);
  }
  shape->pieces = std::move(pieces);
  shape->gap_at_end = gap;
  return true;
}

// The plain text before anything else, if the whole pattern is one concatenation of simple things.
std::string ReadPrefix(std::string_view p) {
  if (p.find('|') != std::string_view::npos) return {};
  if (p.starts_with('^')) p.remove_prefix(1);
  std::string prefix;
  for (size_t i = 0; i < p.size();) {
    size_t next = i + 1;
    char c = p[i];
    if (c == '\\') {
      if (i + 1 >= p.size() || !IsPunctuation(p[i + 1])) break;
      c = p[i + 1];
      next = i + 2;
    } else if (IsMeta(c)) {
      break;
    }
    // A quantifier takes the last character (all of its bytes) away from the prefix.
    if (next < p.size() && std::string_view("*+?{").find(p[next]) != std::string_view::npos) {
      if (static_cast<unsigned char>(c) >= 0x80) {
        while (!prefix.empty() && (static_cast<unsigned char>(prefix.back()) & 0xc0) == 0x80) {
          prefix.pop_back();
        }
        if (!prefix.empty()) prefix.pop_back();
      }
      break;
    }
    prefix.push_back(c);
    i = next;
  }
  return prefix;
}

std::string CommonPrefix(const std::vector<std::string>& sorted) {
  const std::string& a = sorted.front();
  const std::string& b = sorted.back();
  auto end = std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())),
                           b.begin());
  return std::string(a.begin(), end.first);
}

}  // namespace

RegexShape AnalyzeShape(std::string_view pattern) {
  RegexShape shape;
  if (!IsValidUtf8(pattern)) return shape;  // RE2 says what is wrong with it
  if (auto set = SetReader(pattern).Read()) {
    shape.kind = RegexShape::Kind::kSet;
    shape.prefix = CommonPrefix(*set);
    shape.set = std::move(*set);
    return shape;
  }
  if (ReadPieces(pattern, &shape)) {
    shape.kind = RegexShape::Kind::kPieces;
    shape.prefix = shape.pieces.front().text;
    return shape;
  }
  shape.prefix = ReadPrefix(pattern);
  return shape;
}

bool MatchesPieces(const RegexShape& shape, std::string_view text) {
  if (!text.starts_with(shape.pieces.front().text)) return false;
  size_t at = shape.pieces.front().text.size();
  size_t count = shape.pieces.size();
  for (size_t i = 1; i < count; ++i) {
    const RegexShape::Piece& piece = shape.pieces[i];
    size_t from = at + piece.gap_before;
    if (i + 1 == count && shape.gap_at_end == RegexShape::kNoGap) {
      return text.size() >= from + piece.text.size() && text.ends_with(piece.text);
    }
    size_t found = from > text.size() ? std::string_view::npos : text.find(piece.text, from);
    if (found == std::string_view::npos) return false;
    at = found + piece.text.size();
  }
  if (shape.gap_at_end == RegexShape::kNoGap) return at == text.size();
  return text.size() >= at + shape.gap_at_end;
}

}  // namespace tocsin::base
