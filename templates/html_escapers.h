#pragma once

// What html/template puts after an action's pipeline, by where the action stands.  Internal to the room.
// Source: Go's html/template (html.go, url.go, js.go, css.go).

#include <cstdint>
#include <string>

#include "templates/value.h"

namespace tocsin::templates {

enum class Escaper : uint8_t {
  kHtml, kRcdata, kAttr, kNoSpace, kHtmlName, kComment,
  kUrlFilter, kUrlNormalize, kUrlEscape, kSrcset,
  kJsValue, kJsString, kJsTemplate, kJsRegexp,
  kCssValue, kCssString,
  kNothing,  // the pipeline itself ended with an equal function
};

Value ApplyEscaper(Escaper escaper, const Value& value);

}  // namespace tocsin::templates
