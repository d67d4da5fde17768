#pragma once

// A Value is what templates compute with: Go's dynamic values.  Each has a kind, which decides what
// operations do, and a type, which gives its name in messages (%T), its methods and how it prints.
//
//   Value v = Value::String("x");
//   Value labels = Value::MakeMap({{"job", Value::String("node")}}, types::StringMap());
//   Value alert = Value::Struct(kAlertType, {...});
//
// Threads: immutable; copies share, from any thread.
// Errors:  a method's failure is an Error whose message is shown as "error calling NAME: message".

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "templates/go_time.h"

namespace tocsin::templates {

enum class Kind : uint8_t {
  kNil,     // nothing at all; of type Any: a nil inside an interface, such as a missing map entry
  kBool, kInt, kUint, kFloat, kComplex, kString, kList, kMap, kStruct, kTime, kFunction,
};

class Value;
struct Type;
struct Function;
class CallContext;

using List = std::vector<Value>;
using Map = std::map<std::string, Value, std::less<>>;
using Complex = std::pair<double, double>;

class Value {
 public:
  Value() = default;  // nil
  static Value Nil() { return Value(); }
  static Value NilInterface();
  static Value Bool(bool v);
  static Value Int(int64_t v);
  static Value Int(int64_t v, const Type* type);  // a named integer type, such as time.Month
  static Value Uint(uint64_t v);
  static Value Float(double v);
  static Value ComplexNumber(double real, double imaginary);
  static Value String(std::string v);
  static Value String(std::string v, const Type* type);  // a named string type
  static Value Html(std::string v);                      // safe in HTML as it is
  static Value Url(std::string v);                       // safe as (part of) a URL
  static Value MakeList(List items, const Type* type);
  static Value Strings(const std::vector<std::string>& items);  // []string
  static Value MakeMap(Map entries, const Type* type);
  // REQUIRES: one value for each of the type's fields.
  static Value Struct(const Type* type, std::vector<Value> fields);
  static Value Time(GoTime t);
  static Value Duration(base::Duration d);
  static Value Func(std::shared_ptr<const Function> function);

  Kind kind() const { return kind_; }
  const Type* type() const { return type_; }  // null only for nil
  bool is_nil() const { return kind_ == Kind::kNil; }
  std::string_view type_name() const;         // as %T prints it

  // REQUIRES: the kind.
  bool as_bool() const { return std::get<bool>(data_); }
  int64_t as_int() const { return std::get<int64_t>(data_); }
  uint64_t as_uint() const { return std::get<uint64_t>(data_); }
  double as_float() const { return std::get<double>(data_); }
  Complex as_complex() const { return std::get<Complex>(data_); }
  const std::string& as_string() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  const List& as_list() const { return *std::get<std::shared_ptr<const List>>(data_); }
  const Map& as_map() const { return *std::get<std::shared_ptr<const Map>>(data_); }
  const std::vector<Value>& fields() const { return as_list(); }  // of a struct
  const GoTime& as_time() const { return std::get<GoTime>(data_); }
  const Function& as_function() const { return *std::get<std::shared_ptr<const Function>>(data_); }
  base::Duration as_duration() const { return base::Duration(as_int()); }
  // Whether the list or map is Go's nil one (prints the same; JSON null).
  bool is_nil_container() const { return nil_container_; }
  Value AsNilContainer() const;

  // Go's truth: not zero, not empty; structs are true.
  bool IsTrue() const;
  // A field of a struct, or null.
  const Value* FindField(std::string_view name) const;

 private:
  Kind kind_ = Kind::kNil;
  bool nil_container_ = false;
  const Type* type_ = nullptr;
  std::variant<std::monostate, bool, int64_t, uint64_t, double, Complex,
               std::shared_ptr<const std::string>, std::shared_ptr<const List>,
               std::shared_ptr<const Map>, GoTime, std::shared_ptr<const Function>>
      data_;
};

// A function or a method; a method's receiver is args[0] and is not among the parameters.
struct Function {
  using Body = std::function<base::Result<Value>(CallContext& context, std::span<const Value> args)>;
  std::string name;
  std::vector<const Type*> params;
  bool variadic = false;  // the last parameter repeats
  Body body;
  // How many values Go's version returns; other than 1 the call is refused, as there.
  int results = 1;
};

// Types are static: they live as long as the program.
struct Type {
  std::string name;  // "string", "[]string", "template.KV"
  Kind kind = Kind::kNil;
  const Type* element = nullptr;  // of lists and maps; null: any
  struct Field {
    std::string name;
    std::string json;  // its key; empty: left out
  };
  std::vector<Field> fields;  // of structs
  std::vector<Function> methods;
  // Go's String(), where the type has one.
  std::function<std::string(const Value&)> to_string;
  // Go's MarshalJSON(), where it is not the plain one.
  std::function<std::string(const Value&)> to_json;
  enum class Content { kPlain, kHtml, kHtmlAttr, kUrl, kJs, kCss } content = Content::kPlain;

  const Function* FindMethod(std::string_view method) const;
};

namespace types {
const Type* Any();  // interface {}: as a parameter takes everything
const Type* Bool();
const Type* Int();
const Type* Int64();
const Type* Uint64();
const Type* Float();
const Type* Complex128();
const Type* String();
const Type* Html();
const Type* Url();
const Type* Strings();    // []string
const Type* AnyList();    // []interface {}
const Type* StringMap();  // map[string]string
const Type* AnyMap();     // map[string]interface {}
const Type* Time();
const Type* Duration();
const Type* Month();
const Type* Weekday();
const Type* Func();
}  // namespace types

// The zero value of a type: "", 0, an empty list; for null or Any a nil inside an interface.
Value ZeroOf(const Type* type);

// What a running function may ask of the execution that calls it.
class CallContext {
 public:
  virtual ~CallContext() = default;
  // Runs a template of the same set, or a text in it, within what is left of the same limits.
  virtual base::Result<std::string> RunTemplate(std::string_view name, const Value& data) = 0;
  virtual base::Result<std::string> RunText(std::string_view text, const Value& data) = 0;
  // The data that Execute() was given.
  virtual const Value& root() const = 0;
  // Counts `bytes` against the limit of what one execution may make.
  virtual base::Status Charge(size_t bytes) = 0;
};

// Formatting stops soon after this many bytes and ends in "%!(TOOLONG)": a format may repeat wide
// verbs, and a value may hold the same list many times over.
inline constexpr size_t kMaxFormatted = 8 << 20;

// Go's fmt.Sprint, Sprintln and Sprintf; "<nil>" for nil.
std::string Sprint(std::span<const Value> args);
std::string Sprintln(std::span<const Value> args);
std::string Sprintf(std::string_view format, std::span<const Value> args);
// What {{ value }} prints: Sprint, but "<no value>" for nil.
std::string Printed(const Value& v);
// Go's encoding/json, with <, > and & escaped.  Errors: NaN, infinities, functions.
base::Result<std::string> ToJson(const Value& v);

}  // namespace tocsin::templates
