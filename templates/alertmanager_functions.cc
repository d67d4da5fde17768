#include "templates/alertmanager_functions.h"

#include "base/digest.h"
#include "base/regex.h"
#include "base/text.h"
#include "templates/humanize.h"

namespace tocsin::templates {

namespace {

using base::Result;
using Args = std::span<const Value>;

bool IsLetter(char32_t r) {
  return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') ||
         (r >= 0xaa && r != 0xd7 && r != 0xf7 && !(r >= 0xab && r <= 0xb4) && !(r >= 0xb6 && r <= 0xb9) &&
          !(r >= 0xbb && r <= 0xbf) && !(r >= 0x2000 && r <= 0x2bff) && !(r >= 0x3000 && r <= 0x303f));
}

bool IsDigitOrUnderscore(char32_t r) { return (r >= '0' && r <= '9') || r == '_'; }

// Marks that do not end a word between two letters (Unicode's word boundaries).
bool JoinsLetters(char32_t r) { return r == '\'' || r == 0x2019 || r == '.' || r == ':' || r == 0xb7; }

// Each word's first letter large, the others small (x/text's title case for English).
std::string TitleCase(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t i = 0; i < text.size();) {
    int size = 1;
    const char32_t r = base::DecodeRune(text.substr(i), &size);
    const std::string_view rune = text.substr(i, static_cast<size_t>(size));
    i += static_cast<size_t>(size);
    if (IsLetter(r)) {
      out += in_word ? base::ToLower(rune) : base::ToUpper(rune);
      in_word = true;
      continue;
    }
    out += rune;
    if (IsDigitOrUnderscore(r)) continue;
    int next_size = 1;
    const bool joins = in_word && JoinsLetters(r) && i < text.size() && IsLetter(base::DecodeRune(text.substr(i), &next_size));
    if (!joins) in_word = false;
  }
  return out;
}

Result<Value> Dict(Args args) {
  if (args.size() % 2 != 0) return base::InvalidArgument("dict: expected an even number of arguments, got " + std::to_string(args.size()));
  Map map;
  for (size_t i = 0; i < args.size(); i += 2) {
    if (args[i].kind() != Kind::kString) {
      return base::InvalidArgument("dict: key " + std::to_string(i / 2) + " must be a string, found " +
                                   std::string(args[i].type_name()));
    }
    map.insert_or_assign(args[i].as_string(), args[i + 1]);
  }
  return Value::MakeMap(std::move(map), types::AnyMap());
}

Result<Value> RouteLabel(CallContext& context, const std::string& name) {
  const Value* labels = context.root().FindField("RouteLabels");
  if (labels == nullptr || labels->kind() != Kind::kMap) return Value::String("");
  const auto it = labels->as_map().find(name);
  if (it == labels->as_map().end() || it->second.kind() != Kind::kString) return Value::String("");
  ASSIGN_OR_RETURN(std::string out, context.RunText(it->second.as_string(), context.root()));
  return Value::String(std::move(out));
}

// Without `now` and `since`.
const FunctionMap& PureFunctions() {
  static const FunctionMap map = [] {
    FunctionMap m;
    const Type* any = types::Any();
    const Type* string = types::String();
    const Type* time = types::Time();
    auto text = [&m, string](std::string name, std::string (*f)(const std::string&)) {
      m.Add(std::move(name), {string},
            [f](CallContext&, Args a) -> Result<Value> { return Value::String(f(a[0].as_string())); });
    };
    text("toUpper", [](const std::string& s) { return base::ToUpper(s); });
    text("toLower", [](const std::string& s) { return base::ToLower(s); });
    text("title", [](const std::string& s) { return TitleCase(s); });
    text("trimSpace", [](const std::string& s) { return std::string(base::Trim(s)); });
    text("base64encode", [](const std::string& s) { return base::Base64UrlEncode(s); });
    m.Add("join", {string, types::Strings()}, [](CallContext&, Args a) -> Result<Value> {
      std::string out;
      const List& list = a[1].as_list();
      for (size_t i = 0; i < list.size(); ++i) {
        if (i > 0) out += a[0].as_string();
        out += list[i].as_string();
      }
      return Value::String(std::move(out));
    });
    m.Add("match", {string, string}, [](CallContext&, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(const base::Regex regex, base::Regex::Unanchored(a[0].as_string()));
      return Value::Bool(regex.Matches(a[1].as_string()));
    });
    m.Add("reReplaceAll", {string, string, string}, [](CallContext&, Args a) -> Result<Value> {
      base::Result<base::Regex> regex = base::Regex::Unanchored(a[0].as_string());
      if (!regex) return base::InvalidArgument("regexp: Compile(`" + a[0].as_string() + "`): " + regex.error().message());
      return Value::String(regex->ReplaceAll(a[2].as_string(), a[1].as_string()));
    });
    m.Add("safeHtml", {string}, [](CallContext&, Args a) -> Result<Value> { return Value::Html(a[0].as_string()); });
    m.Add("safeUrl", {string}, [](CallContext&, Args a) -> Result<Value> { return Value::Url(a[0].as_string()); });
    m.Add("urlUnescape", {string}, [](CallContext&, Args a) -> Result<Value> {
      std::string out;
      if (!base::QueryUnescape(a[0].as_string(), &out)) {
        return base::InvalidArgument("invalid URL escape in \"" + a[0].as_string() + "\"");
      }
      return Value::String(std::move(out));
    });
    m.AddVariadic("stringSlice", {string}, [](CallContext&, Args a) -> Result<Value> {
      return Value::MakeList(List(a.begin(), a.end()), types::Strings());
    });
    m.Add("routeLabels", {string}, [](CallContext& c, Args a) { return RouteLabel(c, a[0].as_string()); });
    m.Add("date", {string, time}, [](CallContext&, Args a) -> Result<Value> {
      return Value::String(a[1].as_time().Format(a[0].as_string()));
    });
    m.Add("tz", {string, time}, [](CallContext&, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(Zone zone, Zone::Load(a[0].as_string()));
      return Value::Time(a[1].as_time().In(std::move(zone)));
    });
    m.Add("humanizeDuration", {any}, [](CallContext&, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(const double d, ToFloat(a[0]));
      return Value::String(HumanizeDuration(d));
    });
    m.Add("toDate", {string, string}, [](CallContext&, Args a) -> Result<Value> {
      return Value::Time(GoTime::Parse(a[0].as_string(), a[1].as_string()).value_or(GoTime{}));
    });
    m.Add("mustToDate", {string, string}, [](CallContext&, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(GoTime t, GoTime::Parse(a[0].as_string(), a[1].as_string()));
      return Value::Time(std::move(t));
    });
    m.Add("toJson", {any}, [](CallContext&, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(std::string json, ToJson(a[0]));
      return Value::String(std::move(json));
    });
    m.Add("base64decode", {string}, [](CallContext&, Args a) -> Result<Value> {
      std::string out;
      if (!base::Base64UrlDecode(a[0].as_string(), &out)) return base::InvalidArgument("illegal base64 data in \"" + a[0].as_string() + "\"");
      return Value::String(std::move(out));
    });
    m.AddVariadic("list", {any}, [](CallContext&, Args a) -> Result<Value> {
      return Value::MakeList(List(a.begin(), a.end()), types::AnyList());
    });
    m.AddVariadic("append", {types::AnyList(), any}, [](CallContext&, Args a) -> Result<Value> {
      List list = a[0].as_list();
      list.insert(list.end(), a.begin() + 1, a.end());
      return Value::MakeList(std::move(list), types::AnyList());
    });
    m.AddVariadic("dict", {any}, [](CallContext&, Args a) { return Dict(a); });
    return m;
  }();
  return map;
}

}  // namespace

FunctionMap AlertmanagerFunctions(std::function<base::Time()> clock) {
  FunctionMap m = PureFunctions();
  m.Add("now", {}, [clock](CallContext&, Args) -> Result<Value> {
    return Value::Time(GoTime::FromTime(clock()).In(Zone::Local()));
  });
  m.Add("since", {types::Time()}, [clock](CallContext&, Args a) -> Result<Value> {
    return Value::Duration(GoTime::FromTime(clock()).Sub(a[0].as_time()));
  });
  return m;
}

}  // namespace tocsin::templates
