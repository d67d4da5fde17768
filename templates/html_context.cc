#include "templates/html_context.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/number.h"
#include "base/text.h"

namespace tocsin::templates {

namespace {

constexpr std::string_view kHtmlSpaces = " \t\n\f\r";
constexpr size_t kNone = std::string_view::npos;

HtmlContext Failed(std::string message) {
  HtmlContext c;
  c.state = HtmlState::kError;
  c.error = std::move(message);
  return c;
}

bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAsciiAlnum(char c) { return IsAsciiLetter(c) || (c >= '0' && c <= '9'); }

std::string Lower(std::string_view s) {
  std::string out(s);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && base::EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

size_t SkipSpaces(std::string_view s, size_t i) {
  while (i < s.size() && kHtmlSpaces.find(s[i]) != kNone) ++i;
  return i;
}

constexpr std::pair<std::string_view, HtmlElement> kSpecialElements[] = {
    {"script", HtmlElement::kScript}, {"style", HtmlElement::kStyle},
    {"textarea", HtmlElement::kTextarea}, {"title", HtmlElement::kTitle}};

std::string_view ElementName(HtmlElement e) {
  for (const auto& [name, element] : kSpecialElements) {
    if (element == e) return name;
  }
  return {};
}

HtmlState ContentState(HtmlElement e) {
  switch (e) {
    case HtmlElement::kScript: return HtmlState::kJs;
    case HtmlElement::kStyle: return HtmlState::kCss;
    case HtmlElement::kTextarea:
    case HtmlElement::kTitle: return HtmlState::kRcdata;
    case HtmlElement::kNone: break;
  }
  return HtmlState::kText;
}

HtmlState ValueState(HtmlAttr attr) {
  switch (attr) {
    case HtmlAttr::kScript: return HtmlState::kJs;
    case HtmlAttr::kStyle: return HtmlState::kCss;
    case HtmlAttr::kUrl: return HtmlState::kUrl;
    case HtmlAttr::kSrcset: return HtmlState::kSrcset;
    case HtmlAttr::kNone:
    case HtmlAttr::kScriptType: break;
  }
  return HtmlState::kAttr;
}

// A tag's name: letters and digits, with single - and : within.
size_t EatTagName(std::string_view s, size_t i, HtmlElement* element) {
  *element = HtmlElement::kNone;
  if (i == s.size() || !IsAsciiLetter(s[i])) return i;
  size_t j = i + 1;
  while (j < s.size()) {
    if (IsAsciiAlnum(s[j])) {
      ++j;
    } else if ((s[j] == ':' || s[j] == '-') && j + 1 < s.size() && IsAsciiAlnum(s[j + 1])) {
      j += 2;
    } else {
      break;
    }
  }
  const std::string name = Lower(s.substr(i, j - i));
  for (const auto& [special, e] : kSpecialElements) {
    if (name == special) *element = e;
  }
  return j;
}

size_t EatAttrName(std::string_view s, size_t i, HtmlContext* c) {
  for (size_t j = i; j < s.size(); ++j) {
    switch (s[j]) {
      case ' ':
      case '\t':
      case '\n':
      case '\f':
      case '\r':
      case '=':
      case '>': return j;
      case '\'':
      case '"':
      case '<':
        *c = Failed(base::Quote(s.substr(j, 1)) + " in attribute name: " + base::Quote(s.substr(0, 32)));
        return s.size();
      default: break;
    }
  }
  return s.size();
}

size_t TextStep(std::string_view s, HtmlContext* c) {
  size_t from = 0;
  for (;;) {
    size_t i = s.find('<', from);
    if (i == kNone || i + 1 == s.size()) return s.size();
    if (s.substr(i).starts_with("<!--")) {
      *c = HtmlContext{.state = HtmlState::kHtmlComment};
      return i + 4;
    }
    ++i;
    bool end = false;
    if (s[i] == '/') {
      if (i + 1 == s.size()) return s.size();
      end = true;
      ++i;
    }
    HtmlElement element;
    const size_t j = EatTagName(s, i, &element);
    if (j != i) {
      *c = HtmlContext{.state = HtmlState::kTag, .element = end ? HtmlElement::kNone : element};
      return j;
    }
    from = j;
  }
}

size_t TagStep(std::string_view s, HtmlContext* c) {
  const size_t i = SkipSpaces(s, 0);
  if (i == s.size()) return s.size();
  if (s[i] == '>') {
    *c = HtmlContext{.state = ContentState(c->element), .element = c->element};
    return i + 1;
  }
  const HtmlElement element = c->element;
  const size_t j = EatAttrName(s, i, c);
  if (c->state == HtmlState::kError) return s.size();
  if (i == j) {
    *c = Failed("expected space, attr name, or end of tag, but got " + base::Quote(s.substr(i)));
    return s.size();
  }
  const std::string name = Lower(s.substr(i, j - i));
  HtmlAttr attr = HtmlAttr::kNone;
  if (element == HtmlElement::kScript && name == "type") {
    attr = HtmlAttr::kScriptType;
  } else {
    switch (AttrContentOf(name)) {
      case AttrContent::kUrl: attr = HtmlAttr::kUrl; break;
      case AttrContent::kCss: attr = HtmlAttr::kStyle; break;
      case AttrContent::kJs: attr = HtmlAttr::kScript; break;
      case AttrContent::kSrcset: attr = HtmlAttr::kSrcset; break;
      case AttrContent::kPlain:
      case AttrContent::kUnsafe: break;
    }
  }
  *c = HtmlContext{.state = j == s.size() ? HtmlState::kAttrName : HtmlState::kAfterName, .attr = attr, .element = element};
  return j;
}

size_t AfterNameStep(std::string_view s, HtmlContext* c) {
  const size_t i = SkipSpaces(s, 0);
  if (i == s.size()) return s.size();
  if (s[i] != '=') {
    c->state = HtmlState::kTag;  // an attribute without a value, or the end of the tag
    return i;
  }
  c->state = HtmlState::kBeforeValue;
  return i + 1;
}

size_t BeforeValueStep(std::string_view s, HtmlContext* c) {
  size_t i = SkipSpaces(s, 0);
  if (i == s.size()) return s.size();
  c->delim = HtmlDelim::kSpaceOrTagEnd;
  if (s[i] == '\'' || s[i] == '"') {
    c->delim = s[i] == '"' ? HtmlDelim::kDouble : HtmlDelim::kSingle;
    ++i;
  }
  c->state = ValueState(c->attr);
  return i;
}

size_t UrlStep(std::string_view s, HtmlContext* c) {
  if (s.find_first_of("#?") != kNone) {
    c->url_part = UrlPart::kQueryOrFragment;
  } else if (SkipSpaces(s, 0) != s.size() && c->url_part == UrlPart::kNone) {
    c->url_part = UrlPart::kPreQuery;
  }
  return s.size();
}

bool IsJsWord(char c) { return IsAsciiAlnum(c) || c == '_' || c == '$'; }

// What a / after `s` would begin: a division after a value, else a regular expression.
JsNext NextJs(std::string_view s, JsNext before) {
  while (!s.empty() && (kHtmlSpaces.find(s.back()) != kNone)) s.remove_suffix(1);
  if (s.empty()) return before;
  const size_t n = s.size();
  const char last = s[n - 1];
  if (last == '+' || last == '-') {
    size_t start = n - 1;
    while (start > 0 && s[start - 1] == last) --start;
    return (n - start) % 2 == 1 ? JsNext::kRegexp : JsNext::kDivision;  // ++ and -- end a value
  }
  if (last == '.') return n > 1 && s[n - 2] >= '0' && s[n - 2] <= '9' ? JsNext::kDivision : JsNext::kRegexp;
  if (std::string_view(",<>=*%&|^?!~([:;{}").find(last) != kNone) return JsNext::kRegexp;
  size_t word = n;
  while (word > 0 && IsJsWord(s[word - 1])) --word;
  for (const std::string_view keyword : {"break", "case", "continue", "delete", "do", "else", "finally", "in",
                                         "instanceof", "return", "throw", "try", "typeof", "void"}) {
    if (s.substr(word) == keyword) return JsNext::kRegexp;
  }
  return JsNext::kDivision;
}

size_t JsStep(std::string_view s, HtmlContext* c) {
  size_t i = s.find_first_of("\"`'/");
  if (i == kNone) {
    c->js_next = NextJs(s, c->js_next);
    return s.size();
  }
  c->js_next = NextJs(s.substr(0, i), c->js_next);
  const char next = i + 1 < s.size() ? s[i + 1] : '\0';
  switch (s[i]) {
    case '"': c->state = HtmlState::kJsDqString; break;
    case '\'': c->state = HtmlState::kJsSqString; break;
    case '`': c->state = HtmlState::kJsTemplate; break;
    default:
      if (next == '/' || next == '*') {
        c->state = next == '/' ? HtmlState::kJsLineComment : HtmlState::kJsBlockComment;
        return i + 2;
      }
      if (c->js_next == JsNext::kRegexp) {
        c->state = HtmlState::kJsRegexp;
      } else if (c->js_next == JsNext::kDivision) {
        c->js_next = JsNext::kRegexp;
      } else {
        *c = Failed("'/' could start a division or regexp: " + base::Quote(s.substr(i, 32)));
        return s.size();
      }
      return i + 1;
  }
  c->js_next = JsNext::kRegexp;
  return i + 1;
}

// Strings, template literals and regular expressions of JavaScript.
size_t JsDelimitedStep(std::string_view s, HtmlContext* c) {
  const char end = c->state == HtmlState::kJsDqString   ? '"'
                   : c->state == HtmlState::kJsSqString ? '\''
                   : c->state == HtmlState::kJsTemplate ? '`'
                                                        : '/';
  bool in_set = false;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\\') {
      if (++i == s.size()) {
        *c = Failed("unfinished escape sequence in JS string: " + base::Quote(s));
        return s.size();
      }
    } else if (end == '/' && s[i] == '[') {
      in_set = true;
    } else if (end == '/' && s[i] == ']') {
      in_set = false;
    } else if (s[i] == end && !in_set) {
      c->state = HtmlState::kJs;
      c->js_next = JsNext::kDivision;
      return i + 1;
    }
  }
  if (in_set) *c = Failed("unfinished JS regexp charset: " + base::Quote(s));
  return s.size();
}

size_t BlockCommentStep(std::string_view s, HtmlContext* c) {
  const size_t end = s.find("*/");
  if (end == kNone) return s.size();
  c->state = c->state == HtmlState::kJsBlockComment ? HtmlState::kJs : HtmlState::kCss;
  return end + 2;
}

size_t LineCommentStep(std::string_view s, HtmlContext* c) {
  const bool js = c->state == HtmlState::kJsLineComment;
  const size_t end = s.find_first_of(js ? "\n\r" : "\n\f\r");
  if (end == kNone) return s.size();
  c->state = js ? HtmlState::kJs : HtmlState::kCss;
  return end;
}

size_t CssStep(std::string_view s, HtmlContext* c) {
  for (size_t i = s.find_first_of("(\"'/"); i != kNone; i = s.find_first_of("(\"'/", i + 1)) {
    switch (s[i]) {
      case '(': {
        size_t end = i;
        while (end > 0 && kHtmlSpaces.find(s[end - 1]) != kNone) --end;
        const bool url = end >= 3 && base::EqualsIgnoreCase(s.substr(end - 3, 3), "url") &&
                         (end == 3 || !(IsAsciiAlnum(s[end - 4]) || s[end - 4] == '-' || s[end - 4] == '_'));
        if (!url) break;
        const size_t j = SkipSpaces(s, i + 1);
        if (j < s.size() && (s[j] == '"' || s[j] == '\'')) {
          c->state = s[j] == '"' ? HtmlState::kCssDqUrl : HtmlState::kCssSqUrl;
          return j + 1;
        }
        c->state = HtmlState::kCssUrl;
        return j;
      }
      case '/':
        if (i + 1 < s.size() && (s[i + 1] == '/' || s[i + 1] == '*')) {
          c->state = s[i + 1] == '/' ? HtmlState::kCssLineComment : HtmlState::kCssBlockComment;
          return i + 2;
        }
        break;
      default: c->state = s[i] == '"' ? HtmlState::kCssDqString : HtmlState::kCssSqString; return i + 1;
    }
  }
  return s.size();
}

size_t CssStringStep(std::string_view s, HtmlContext* c) {
  std::string_view stops = "\\\t\n\f\r )";
  if (c->state == HtmlState::kCssDqString || c->state == HtmlState::kCssDqUrl) stops = "\\\"";
  if (c->state == HtmlState::kCssSqString || c->state == HtmlState::kCssSqUrl) stops = "\\'";
  size_t from = 0;
  for (;;) {
    size_t i = s.find_first_of(stops, from);
    if (i == kNone) {
      UrlStep(s.substr(from), c);
      return s.size();
    }
    if (s[i] != '\\') {
      c->state = HtmlState::kCss;
      return i + 1;
    }
    if (++i == s.size()) {
      *c = Failed("unfinished escape sequence in CSS string: " + base::Quote(s));
      return s.size();
    }
    UrlStep(s.substr(0, i + 1), c);
    from = i + 1;
  }
}

// One step by the state's own rules.
size_t Step(HtmlState by, std::string_view s, HtmlContext* c) {
  switch (by) {
    case HtmlState::kText: return TextStep(s, c);
    case HtmlState::kTag: return TagStep(s, c);
    case HtmlState::kAttrName: {
      const size_t i = EatAttrName(s, 0, c);
      if (c->state != HtmlState::kError && i != s.size()) c->state = HtmlState::kAfterName;
      return i;
    }
    case HtmlState::kAfterName: return AfterNameStep(s, c);
    case HtmlState::kBeforeValue: return BeforeValueStep(s, c);
    case HtmlState::kHtmlComment: {
      const size_t end = s.find("-->");
      if (end == kNone) return s.size();
      *c = HtmlContext{};
      return end + 3;
    }
    case HtmlState::kUrl: return UrlStep(s, c);
    case HtmlState::kJs: return JsStep(s, c);
    case HtmlState::kJsDqString:
    case HtmlState::kJsSqString:
    case HtmlState::kJsTemplate:
    case HtmlState::kJsRegexp: return JsDelimitedStep(s, c);
    case HtmlState::kJsBlockComment:
    case HtmlState::kCssBlockComment: return BlockCommentStep(s, c);
    case HtmlState::kJsLineComment:
    case HtmlState::kCssLineComment: return LineCommentStep(s, c);
    case HtmlState::kCss: return CssStep(s, c);
    case HtmlState::kCssDqString:
    case HtmlState::kCssSqString:
    case HtmlState::kCssDqUrl:
    case HtmlState::kCssSqUrl:
    case HtmlState::kCssUrl: return CssStringStep(s, c);
    case HtmlState::kRcdata:
    case HtmlState::kAttr:
    case HtmlState::kSrcset:
    case HtmlState::kDead:
    case HtmlState::kError: break;
  }
  return s.size();
}

bool InScriptLiteral(HtmlState s) {
  return s == HtmlState::kJsDqString || s == HtmlState::kJsSqString || s == HtmlState::kJsTemplate ||
         s == HtmlState::kJsRegexp;
}

// Up to where the content of a script, style, textarea or title reaches: its end tag.
size_t ContentEnd(std::string_view s, const HtmlContext& c) {
  const std::string_view name = ElementName(c.element);
  if (name.empty()) return kNone;
  if (c.element == HtmlElement::kScript && (InScriptLiteral(c.state) || IsComment(c.state))) return kNone;
  for (size_t i = s.find("</"); i != kNone; i = s.find("</", i + 2)) {
    const std::string_view rest = s.substr(i + 2);
    if (!StartsWithIgnoringCase(rest, name)) continue;
    if (rest.size() == name.size() || std::string_view("> \t\n\f/").find(rest[name.size()]) != kNone) return i;
  }
  return kNone;
}

bool InTag(HtmlState s) {
  return s == HtmlState::kTag || s == HtmlState::kAttrName || s == HtmlState::kAfterName ||
         s == HtmlState::kBeforeValue || s == HtmlState::kAttr;
}

std::string_view DelimEnds(HtmlDelim d) {
  switch (d) {
    case HtmlDelim::kDouble: return "\"";
    case HtmlDelim::kSingle: return "'";
    case HtmlDelim::kSpaceOrTagEnd: return " \t\n\f\r>";
    case HtmlDelim::kNone: break;
  }
  return {};
}

// The entities that matter for finding the ends of strings and URLs in attributes.
std::string DecodeEntities(std::string_view s) {
  std::string out(s);
  for (const auto& [entity, text] : {std::pair("&quot;", "\""), {"&#34;", "\""}, {"&#39;", "'"}, {"&apos;", "'"},
                                     {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}}) {
    out = base::ReplaceAll(out, entity, text);
  }
  return out;
}

bool IsJsType(std::string_view type) {
  const std::string t = Lower(base::Trim(type.substr(0, type.find(';'))));
  constexpr std::array<std::string_view, 12> kTypes = {
      "", "application/ecmascript", "application/javascript", "application/json", "application/ld+json",
      "application/x-ecmascript", "application/x-javascript", "module", "text/ecmascript", "text/javascript",
      "text/jscript", "text/x-javascript"};
  return std::ranges::find(kTypes, t) != kTypes.end();
}

}  // namespace

bool IsComment(HtmlState s) {
  return s == HtmlState::kHtmlComment || s == HtmlState::kJsBlockComment || s == HtmlState::kJsLineComment ||
         s == HtmlState::kCssBlockComment || s == HtmlState::kCssLineComment;
}

size_t AdvanceHtml(std::string_view s, HtmlContext* c) {
  if (c->delim == HtmlDelim::kNone) {
    const size_t end = ContentEnd(s, *c);
    if (end == 0) {
      *c = HtmlContext{};
      return 0;
    }
    return Step(c->state, s.substr(0, end), c);
  }
  // Inside an attribute's value.
  size_t i = std::min(s.find_first_of(DelimEnds(c->delim)), s.size());
  if (c->delim == HtmlDelim::kSpaceOrTagEnd) {
    const size_t bad = s.substr(0, i).find_first_of("\"'<=`");
    if (bad != kNone) {
      *c = Failed(base::Quote(s.substr(bad, 1)) + " in unquoted attr: " + base::Quote(s.substr(0, i)));
      return s.size();
    }
  }
  if (i == s.size()) {
    const std::string decoded = DecodeEntities(s);
    for (std::string_view rest = decoded; !rest.empty() && c->state != HtmlState::kError;) {
      const HtmlState before = c->state;
      const size_t n = Step(c->state, rest, c);
      if (n == 0 && before == c->state) break;
      rest.remove_prefix(n);
    }
    return s.size();
  }
  HtmlElement element = c->element;
  if (c->state == HtmlState::kAttr && element == HtmlElement::kScript && c->attr == HtmlAttr::kScriptType &&
      !IsJsType(s.substr(0, i))) {
    element = HtmlElement::kNone;
  }
  if (c->delim != HtmlDelim::kSpaceOrTagEnd) ++i;
  *c = HtmlContext{.state = HtmlState::kTag, .element = element};
  return i;
}

HtmlContext Nudge(HtmlContext c) {
  switch (c.state) {
    case HtmlState::kTag: c.state = HtmlState::kAttrName; break;
    case HtmlState::kBeforeValue:
      c.state = ValueState(c.attr);
      c.delim = HtmlDelim::kSpaceOrTagEnd;
      c.attr = HtmlAttr::kNone;
      break;
    case HtmlState::kAfterName:
      c.state = HtmlState::kAttrName;
      c.attr = HtmlAttr::kNone;
      break;
    default: break;
  }
  return c;
}

AttrContent AttrContentOf(std::string_view name) {
  if (name.starts_with("data-")) {
    name.remove_prefix(5);
  } else if (const size_t colon = name.find(':'); colon != kNone) {
    if (name.substr(0, colon) == "xmlns") return AttrContent::kUrl;
    name.remove_prefix(colon + 1);
  }
  for (const std::string_view url : {"action", "archive", "background", "cite", "classid", "codebase", "data",
                                     "formaction", "href", "icon", "longdesc", "manifest", "poster", "profile", "src",
                                     "usemap", "xmlns"}) {
    if (name == url) return AttrContent::kUrl;
  }
  for (const std::string_view unsafe : {"accept-charset", "async", "challenge", "charset", "content", "crossorigin",
                                        "defer", "enctype", "form", "formenctype", "formmethod", "formnovalidate",
                                        "http-equiv", "keytype", "language", "method", "novalidate", "pattern", "rel",
                                        "sandbox", "srcdoc", "type", "value"}) {
    if (name == unsafe) return AttrContent::kUnsafe;
  }
  if (name == "style") return AttrContent::kCss;
  if (name == "srcset") return AttrContent::kSrcset;
  if (name.starts_with("on")) return AttrContent::kJs;
  // Attributes of one's own that look like addresses.
  for (const std::string_view part : {"src", "uri", "url"}) {
    if (name.find(part) != kNone) return AttrContent::kUrl;
  }
  return AttrContent::kPlain;
}

std::string StripTags(std::string_view html) {
  HtmlContext c;
  std::string out;
  bool all_text = true;
  size_t i = 0;
  while (i < html.size()) {
    if (c.delim == HtmlDelim::kNone) {
      const HtmlContext before = c;
      const bool raw = c.element != HtmlElement::kNone && !InTag(c.state);
      if (raw && ContentEnd(html.substr(i), {.state = HtmlState::kRcdata, .element = c.element}) == 0) {
        c = HtmlContext{};
        continue;
      }
      const std::string_view rest = html.substr(i);
      const size_t n = raw ? std::min(ContentEnd(rest, {.state = HtmlState::kRcdata, .element = c.element}), rest.size())
                           : Step(c.state, rest, &c);
      const size_t next = i + n;
      if (before.state == HtmlState::kText || before.state == HtmlState::kRcdata) {
        size_t end = next;
        if (c.state != before.state) {
          const size_t open = html.rfind('<', next - 1);
          if (open != kNone && open >= i) end = open;
        }
        out += html.substr(i, end - i);
      } else {
        all_text = false;
      }
      if (n == 0 && before.state == c.state) break;
      i = next;
      if (c.state == HtmlState::kError) break;
      continue;
    }
    size_t end = html.find_first_of(DelimEnds(c.delim), i);
    if (end == kNone) break;
    if (c.delim != HtmlDelim::kSpaceOrTagEnd) ++end;
    c = HtmlContext{.state = HtmlState::kTag, .element = c.element};
    i = end;
  }
  return all_text ? std::string(html) : out;
}

std::string HtmlContext::ToString() const {
  constexpr std::string_view kStates[] = {
      "stateText", "stateTag", "stateAttrName", "stateAfterName", "stateBeforeValue", "stateHTMLCmt", "stateRCDATA",
      "stateAttr", "stateURL", "stateSrcset", "stateJS", "stateJSDqStr", "stateJSSqStr", "stateJSTmplLit",
      "stateJSRegexp", "stateJSBlockCmt", "stateJSLineCmt", "stateCSS", "stateCSSDqStr", "stateCSSSqStr",
      "stateCSSDqURL", "stateCSSSqURL", "stateCSSURL", "stateCSSBlockCmt", "stateCSSLineCmt", "stateDead", "stateError"};
  constexpr std::string_view kDelims[] = {"delimNone", "delimDoubleQuote", "delimSingleQuote", "delimSpaceOrTagEnd"};
  constexpr std::string_view kParts[] = {"urlPartNone", "urlPartPreQuery", "urlPartQueryOrFrag", "urlPartUnknown"};
  constexpr std::string_view kJs[] = {"jsCtxRegexp", "jsCtxDivOp", "jsCtxUnknown"};
  constexpr std::string_view kAttrs[] = {"attrNone", "attrScript", "attrScriptType", "attrStyle", "attrURL", "attrSrcset"};
  constexpr std::string_view kElements[] = {"elementNone", "elementScript", "elementStyle", "elementTextarea", "elementTitle"};
  auto text = [](std::string_view s) { return std::string(s) + " "; };
  return "{" + text(kStates[static_cast<int>(state)]) + text(kDelims[static_cast<int>(delim)]) +
         text(kParts[static_cast<int>(url_part)]) + text(kJs[static_cast<int>(js_next)]) +
         text(kAttrs[static_cast<int>(attr)]) + text(kElements[static_cast<int>(element)]) + "<nil>}";
}

}  // namespace tocsin::templates
