#pragma once

// Where in a page a piece of text or an action stands, and how text moves it on.  Internal to the room.
// Source: Go's html/template (context.go, transition.go); the HTML5 tokenizer in short.

#include <cstdint>
#include <string>
#include <string_view>

namespace tocsin::templates {

enum class HtmlState : uint8_t {
  kText, kTag, kAttrName, kAfterName, kBeforeValue, kHtmlComment, kRcdata,
  kAttr, kUrl, kSrcset,
  kJs, kJsDqString, kJsSqString, kJsTemplate, kJsRegexp, kJsBlockComment, kJsLineComment,
  kCss, kCssDqString, kCssSqString, kCssDqUrl, kCssSqUrl, kCssUrl, kCssBlockComment, kCssLineComment,
  kDead,   // after break or continue
  kError,
};
enum class HtmlDelim : uint8_t { kNone, kDouble, kSingle, kSpaceOrTagEnd };
enum class UrlPart : uint8_t { kNone, kPreQuery, kQueryOrFragment, kUnknown };
enum class JsNext : uint8_t { kRegexp, kDivision, kUnknown };  // what a / would begin
enum class HtmlAttr : uint8_t { kNone, kScript, kScriptType, kStyle, kUrl, kSrcset };
enum class HtmlElement : uint8_t { kNone, kScript, kStyle, kTextarea, kTitle };

struct HtmlContext {
  HtmlState state = HtmlState::kText;
  HtmlDelim delim = HtmlDelim::kNone;
  UrlPart url_part = UrlPart::kNone;
  JsNext js_next = JsNext::kRegexp;
  HtmlAttr attr = HtmlAttr::kNone;
  HtmlElement element = HtmlElement::kNone;
  std::string error = {};  // with kError

  std::string ToString() const;
  friend bool operator==(const HtmlContext&, const HtmlContext&) = default;
};

bool IsComment(HtmlState state);

// Moves `c` over a prefix of `text`; returns its length.  May be 0 when only the state changes.
size_t AdvanceHtml(std::string_view text, HtmlContext* c);

// What an action turns the context into before it prints: <p {{ is an attribute's name, <p a={{ a value.
HtmlContext Nudge(HtmlContext c);

// What an attribute's value is, by its name in small letters.
enum class AttrContent : uint8_t { kPlain, kUrl, kCss, kJs, kSrcset, kUnsafe };
AttrContent AttrContentOf(std::string_view name);

// A page's text without its tags.
std::string StripTags(std::string_view html);

}  // namespace tocsin::templates
