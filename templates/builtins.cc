// The functions every template has.  Rules and messages: Go's text/template/funcs.go.

#include <fmt/format.h>

#include <algorithm>

#include "base/number.h"
#include "base/text.h"
#include "templates/exec.h"

namespace tocsin::templates {

namespace {

using base::Result;
using Args = std::span<const Value>;

// What eq and lt tell apart.
enum class Basic { kInvalid, kBool, kComplex, kInt, kFloat, kString, kUint };

Basic BasicKind(const Value& v) {
  switch (v.kind()) {
    case Kind::kBool: return Basic::kBool;
    case Kind::kInt: return Basic::kInt;
    case Kind::kUint: return Basic::kUint;
    case Kind::kFloat: return Basic::kFloat;
    case Kind::kComplex: return Basic::kComplex;
    case Kind::kString: return Basic::kString;
    default: return Basic::kInvalid;
  }
}

auto Incompatible() { return base::InvalidArgument("incompatible types for comparison"); }
auto Incomparable() { return base::InvalidArgument("invalid type for comparison"); }

bool Comparable(const Value& v) {
  if (v.kind() == Kind::kList || v.kind() == Kind::kMap || v.kind() == Kind::kFunction) return false;
  return v.kind() != Kind::kStruct || std::ranges::all_of(v.fields(), Comparable);
}

bool DeepEqual(const Value& a, const Value& b) {
  if (a.kind() != b.kind() || a.type() != b.type()) return false;
  switch (a.kind()) {
    case Kind::kNil: return true;
    case Kind::kBool: return a.as_bool() == b.as_bool();
    case Kind::kInt: return a.as_int() == b.as_int();
    case Kind::kUint: return a.as_uint() == b.as_uint();
    case Kind::kFloat: return a.as_float() == b.as_float();
    case Kind::kComplex: return a.as_complex() == b.as_complex();
    case Kind::kString: return a.as_string() == b.as_string();
    case Kind::kTime: return a.as_time() == b.as_time() && a.as_time().zone.rep() == b.as_time().zone.rep();
    case Kind::kStruct:
      for (size_t i = 0; i < a.fields().size(); ++i) {
        if (!DeepEqual(a.fields()[i], b.fields()[i])) return false;
      }
      return true;
    default: return false;
  }
}

Result<bool> EqualOne(const Value& a, const Value& b) {
  const Basic ka = BasicKind(a);
  const Basic kb = BasicKind(b);
  if (ka != kb) {
    if (ka == Basic::kInt && kb == Basic::kUint) return a.as_int() >= 0 && static_cast<uint64_t>(a.as_int()) == b.as_uint();
    if (ka == Basic::kUint && kb == Basic::kInt) return b.as_int() >= 0 && static_cast<uint64_t>(b.as_int()) == a.as_uint();
    if (!a.is_nil() && !b.is_nil()) return Incompatible();
    return false;
  }
  switch (ka) {
    case Basic::kBool: return a.as_bool() == b.as_bool();
    case Basic::kComplex: return a.as_complex() == b.as_complex();
    case Basic::kFloat: return a.as_float() == b.as_float();
    case Basic::kInt: return a.as_int() == b.as_int();
    case Basic::kUint: return a.as_uint() == b.as_uint();
    case Basic::kString: return a.as_string() == b.as_string();
    case Basic::kInvalid: break;
  }
  if (a.is_nil() || b.is_nil()) return a.is_nil() == b.is_nil();
  for (const Value* v : {&a, &b}) {
    if (!Comparable(*v)) {
      return base::InvalidArgument("non-comparable type " + Printed(*v) + ": " + std::string(v->type_name()));
    }
  }
  return DeepEqual(a, b);
}

Result<bool> Equal(Args args) {
  if (args.size() < 2) return base::InvalidArgument("missing argument for comparison");
  for (const Value& other : args.subspan(1)) {
    ASSIGN_OR_RETURN(const bool equal, EqualOne(args[0], other));
    if (equal) return true;
  }
  return false;
}

Result<bool> Less(const Value& a, const Value& b) {
  const Basic ka = BasicKind(a);
  const Basic kb = BasicKind(b);
  if (ka == Basic::kInvalid || kb == Basic::kInvalid) return Incomparable();
  if (ka != kb) {
    if (ka == Basic::kInt && kb == Basic::kUint) return a.as_int() < 0 || static_cast<uint64_t>(a.as_int()) < b.as_uint();
    if (ka == Basic::kUint && kb == Basic::kInt) return b.as_int() >= 0 && a.as_uint() < static_cast<uint64_t>(b.as_int());
    return Incompatible();
  }
  switch (ka) {
    case Basic::kFloat: return a.as_float() < b.as_float();
    case Basic::kInt: return a.as_int() < b.as_int();
    case Basic::kUint: return a.as_uint() < b.as_uint();
    case Basic::kString: return a.as_string() < b.as_string();
    default: return Incomparable();
  }
}

Result<bool> LessOrEqual(Args a) {
  ASSIGN_OR_RETURN(const bool less, Less(a[0], a[1]));
  if (less) return true;
  return Equal(a);
}

// An index of a list or string; `most` itself is let through, as in Go.
Result<size_t> IndexArgument(const Value& index, size_t most) {
  int64_t x = 0;
  switch (index.kind()) {
    case Kind::kInt: x = index.as_int(); break;
    case Kind::kUint: x = index.as_uint() > INT64_MAX ? -1 : static_cast<int64_t>(index.as_uint()); break;
    case Kind::kNil: return base::InvalidArgument("cannot index slice/array with nil");
    default:
      return base::InvalidArgument("cannot index slice/array with type " + std::string(index.type_name()));
  }
  if (x < 0 || static_cast<uint64_t>(x) > most) {
    return base::InvalidArgument("index out of range: " + std::to_string(x));
  }
  return static_cast<size_t>(x);
}

Result<Value> Index(Args args) {
  if (args[0].is_nil()) return base::InvalidArgument("index of untyped nil");
  Value item = args[0];
  for (const Value& index : args.subspan(1)) {
    switch (item.kind()) {
      case Kind::kList: {
        ASSIGN_OR_RETURN(const size_t i, IndexArgument(index, item.as_list().size()));
        if (i == item.as_list().size()) return base::InvalidArgument("reflect: slice index out of range");
        item = Value(item.as_list()[i]);
        break;
      }
      case Kind::kString: {
        ASSIGN_OR_RETURN(const size_t i, IndexArgument(index, item.as_string().size()));
        if (i == item.as_string().size()) return base::InvalidArgument("reflect: string index out of range");
        item = Value::Uint(static_cast<unsigned char>(item.as_string()[i]));
        break;
      }
      case Kind::kMap: {
        if (index.is_nil()) return base::InvalidArgument("value is nil; should be of type string");
        if (index.kind() != Kind::kString) {
          return base::InvalidArgument("value has type " + std::string(index.type_name()) + "; should be string");
        }
        const Map& map = item.as_map();
        const auto it = map.find(index.as_string());
        item = it == map.end() ? ZeroOf(item.type()->element) : Value(it->second);
        break;
      }
      case Kind::kNil: return base::InvalidArgument("index of nil pointer");
      default: return base::InvalidArgument("can't index item of type " + std::string(item.type_name()));
    }
  }
  return item;
}

Result<Value> Slice(Args args) {
  const Value& item = args[0];
  const size_t count = args.size() - 1;
  if (item.is_nil()) return base::InvalidArgument("slice of untyped nil");
  if (count > 3) return base::InvalidArgument("too many slice indexes: " + std::to_string(count));
  if (item.kind() != Kind::kString && item.kind() != Kind::kList) {
    return base::InvalidArgument("can't slice item of type " + std::string(item.type_name()));
  }
  if (item.kind() == Kind::kString && count == 3) return base::InvalidArgument("cannot 3-index slice a string");
  const size_t length = item.kind() == Kind::kString ? item.as_string().size() : item.as_list().size();
  size_t bounds[3] = {0, length, length};
  for (size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(bounds[i], IndexArgument(args[i + 1], length));
  }
  for (size_t i = 1; i < 3; ++i) {
    if (i == 2 && count < 3) break;
    if (bounds[i - 1] > bounds[i]) {
      return base::InvalidArgument(fmt::format("invalid slice index: {} > {}", bounds[i - 1], bounds[i]));
    }
  }
  if (item.kind() == Kind::kString) {
    return Value::String(item.as_string().substr(bounds[0], bounds[1] - bounds[0]), item.type());
  }
  const List& list = item.as_list();
  return Value::MakeList(List(list.begin() + static_cast<std::ptrdiff_t>(bounds[0]),
                              list.begin() + static_cast<std::ptrdiff_t>(bounds[1])),
                         item.type());
}

// The arguments of html, js and urlquery as one text.
std::string Joined(Args args) {
  if (args.size() == 1 && args[0].kind() == Kind::kString) return Printed(args[0]);
  std::vector<Value> shown(args.begin(), args.end());
  for (Value& v : shown) {
    if (v.is_nil()) v = Value::String("<no value>");
  }
  return Sprint(shown);
}

bool IsPrint(char32_t r) { return r >= 0xa1 && r != 0xad && !(r >= 0x2000 && r <= 0x200f) && !(r >= 0x2028 && r <= 0x202f) && r != 0xfeff; }

std::string JsEscape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    int size = 1;
    const char32_t r = base::DecodeRune(text.substr(i), &size);
    switch (r) {
      case '\\': out += "\\\\"; break;
      case '\'': out += "\\'"; break;
      case '"': out += "\\\""; break;
      case '<': out += "\\u003C"; break;
      case '>': out += "\\u003E"; break;
      case '&': out += "\\u0026"; break;
      case '=': out += "\\u003D"; break;
      default:
        if (r < 0x20 || r == 0x7f || (r >= 0x80 && !IsPrint(r))) {
          out += r == 0x7f ? std::string("\x7f") : fmt::format("\\u{:04X}", static_cast<uint32_t>(r));
        } else {
          out += text.substr(i, static_cast<size_t>(size));
        }
    }
    i += static_cast<size_t>(size);
  }
  return out;
}

Result<Value> Length(const Value& v) {
  switch (v.kind()) {
    case Kind::kString: return Value::Int(static_cast<int64_t>(v.as_string().size()));
    case Kind::kList: return Value::Int(static_cast<int64_t>(v.as_list().size()));
    case Kind::kMap: return Value::Int(static_cast<int64_t>(v.as_map().size()));
    case Kind::kNil: return base::InvalidArgument("reflect: call of reflect.Value.Type on zero Value");
    default: return base::InvalidArgument("len of type " + std::string(v.type_name()));
  }
}

Result<Value> Call(CallContext& context, Args args) {
  if (args[0].is_nil()) return base::InvalidArgument("call of nil");
  if (args[0].kind() != Kind::kFunction) {
    return base::InvalidArgument("non-function of type " + std::string(args[0].type_name()));
  }
  const Function& f = args[0].as_function();
  const size_t n = args.size() - 1;
  if (n != f.params.size() && !(f.variadic && n + 1 >= f.params.size())) {
    return base::InvalidArgument(fmt::format("wrong number of args: got {} want {}", n, f.params.size()));
  }
  return f.body(context, args.subspan(1));
}

FunctionMap Make() {
  FunctionMap m;
  const Type* any = types::Any();
  auto boolean = [](Result<bool> r) -> Result<Value> {
    if (!r) return std::unexpected(std::move(r).error());
    return Value::Bool(*r);
  };
  auto negated = [](Result<bool> r) -> Result<Value> {
    if (!r) return std::unexpected(std::move(r).error());
    return Value::Bool(!*r);
  };
  auto unreachable = [](CallContext&, Args a) -> Result<Value> { return a.back(); };
  m.AddVariadic("and", {any, any}, unreachable);  // done by the execution, which may skip arguments
  m.AddVariadic("or", {any, any}, unreachable);
  m.Add("not", {any}, [](CallContext&, Args a) -> Result<Value> { return Value::Bool(!a[0].IsTrue()); });
  m.Add("len", {any}, [](CallContext&, Args a) { return Length(a[0]); });
  m.AddVariadic("index", {any, any}, [](CallContext&, Args a) { return Index(a); });
  m.AddVariadic("slice", {any, any}, [](CallContext&, Args a) { return Slice(a); });
  m.AddVariadic("call", {any, any}, [](CallContext& c, Args a) { return Call(c, a); });
  m.AddVariadic("print", {any}, [](CallContext&, Args a) -> Result<Value> { return Value::String(Sprint(a)); });
  m.AddVariadic("println", {any}, [](CallContext&, Args a) -> Result<Value> { return Value::String(Sprintln(a)); });
  m.AddVariadic("printf", {types::String(), any}, [](CallContext&, Args a) -> Result<Value> {
    return Value::String(Sprintf(a[0].as_string(), a.subspan(1)));
  });
  m.AddVariadic("html", {any}, [](CallContext&, Args a) -> Result<Value> { return Value::String(HtmlEscape(Joined(a))); });
  m.AddVariadic("js", {any}, [](CallContext&, Args a) -> Result<Value> { return Value::String(JsEscape(Joined(a))); });
  m.AddVariadic("urlquery", {any}, [](CallContext&, Args a) -> Result<Value> {
    return Value::String(base::QueryEscape(Joined(a)));
  });
  m.AddVariadic("eq", {any, any}, [boolean](CallContext&, Args a) { return boolean(Equal(a)); });
  m.Add("ne", {any, any}, [negated](CallContext&, Args a) { return negated(Equal(a)); });
  m.Add("lt", {any, any}, [boolean](CallContext&, Args a) { return boolean(Less(a[0], a[1])); });
  m.Add("le", {any, any}, [boolean](CallContext&, Args a) { return boolean(LessOrEqual(a)); });
  m.Add("gt", {any, any}, [negated](CallContext&, Args a) { return negated(LessOrEqual(a)); });
  m.Add("ge", {any, any}, [negated](CallContext&, Args a) { return negated(Less(a[0], a[1])); });
  return m;
}

}  // namespace

const FunctionMap& Builtins() {
  static const FunctionMap map = Make();
  return map;
}

std::string HtmlEscape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '\0': out += "\uFFFD"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace tocsin::templates
