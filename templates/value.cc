#include "templates/value.h"

#include "base/check.h"

namespace tocsin::templates {

Value Value::NilInterface() {
  Value v;
  v.type_ = types::Any();
  return v;
}

Value Value::Bool(bool b) {
  Value v;
  v.kind_ = Kind::kBool;
  v.type_ = types::Bool();
  v.data_ = b;
  return v;
}

Value Value::Int(int64_t i) { return Int(i, types::Int()); }

Value Value::Int(int64_t i, const Type* type) {
  Value v;
  v.kind_ = Kind::kInt;
  v.type_ = type;
  v.data_ = i;
  return v;
}

Value Value::Uint(uint64_t u) {
  Value v;
  v.kind_ = Kind::kUint;
  v.type_ = types::Uint64();
  v.data_ = u;
  return v;
}

Value Value::Float(double d) {
  Value v;
  v.kind_ = Kind::kFloat;
  v.type_ = types::Float();
  v.data_ = d;
  return v;
}

Value Value::ComplexNumber(double real, double imaginary) {
  Value v;
  v.kind_ = Kind::kComplex;
  v.type_ = types::Complex128();
  v.data_ = Complex(real, imaginary);
  return v;
}

Value Value::String(std::string s) { return String(std::move(s), types::String()); }

Value Value::String(std::string s, const Type* type) {
  Value v;
  v.kind_ = Kind::kString;
  v.type_ = type;
  v.data_ = std::make_shared<const std::string>(std::move(s));
  return v;
}

Value Value::Html(std::string s) { return String(std::move(s), types::Html()); }
Value Value::Url(std::string s) { return String(std::move(s), types::Url()); }

Value Value::MakeList(List items, const Type* type) {
  Value v;
  v.kind_ = Kind::kList;
  v.type_ = type;
  v.data_ = std::make_shared<const List>(std::move(items));
  return v;
}

Value Value::Strings(const std::vector<std::string>& items) {
  List list;
  list.reserve(items.size());
  for (const std::string& s : items) list.push_back(String(s));
  return MakeList(std::move(list), types::Strings());
}

Value Value::MakeMap(Map entries, const Type* type) {
  Value v;
  v.kind_ = Kind::kMap;
  v.type_ = type;
  v.data_ = std::make_shared<const Map>(std::move(entries));
  return v;
}

Value Value::Struct(const Type* type, std::vector<Value> fields) {
  TOCSIN_CHECK(fields.size() == type->fields.size()) << type->name;
  Value v;
  v.kind_ = Kind::kStruct;
  v.type_ = type;
  v.data_ = std::make_shared<const List>(std::move(fields));
  return v;
}

Value Value::Time(GoTime t) {
  Value v;
  v.kind_ = Kind::kTime;
  v.type_ = types::Time();
  v.data_ = std::move(t);
  return v;
}

Value Value::Duration(base::Duration d) { return Int(d.count(), types::Duration()); }

Value Value::Func(std::shared_ptr<const Function> function) {
  Value v;
  v.kind_ = Kind::kFunction;
  v.type_ = types::Func();
  v.data_ = std::move(function);
  return v;
}

std::string_view Value::type_name() const { return type_ == nullptr ? "<nil>" : std::string_view(type_->name); }

Value Value::AsNilContainer() const {
  Value v = *this;
  v.nil_container_ = true;
  return v;
}

bool Value::IsTrue() const {
  switch (kind_) {
    case Kind::kNil: return false;
    case Kind::kBool: return as_bool();
    case Kind::kInt: return as_int() != 0;
    case Kind::kUint: return as_uint() != 0;
    case Kind::kFloat: return as_float() != 0;
    case Kind::kComplex: return as_complex() != Complex(0, 0);
    case Kind::kString: return !as_string().empty();
    case Kind::kList: return !as_list().empty();
    case Kind::kMap: return !as_map().empty();
    case Kind::kStruct:
    case Kind::kTime:
    case Kind::kFunction: return true;
  }
  return false;
}

const Value* Value::FindField(std::string_view name) const {
  if (kind_ != Kind::kStruct) return nullptr;
  for (size_t i = 0; i < type_->fields.size(); ++i) {
    if (type_->fields[i].name == name) return &fields()[i];
  }
  return nullptr;
}

Value ZeroOf(const Type* type) {
  if (type == nullptr) return Value::NilInterface();
  switch (type->kind) {
    case Kind::kNil:
    case Kind::kFunction: return Value::NilInterface();
    case Kind::kBool: return Value::Bool(false);
    case Kind::kInt: return Value::Int(0, type);
    case Kind::kUint: return Value::Uint(0);
    case Kind::kFloat: return Value::Float(0);
    case Kind::kComplex: return Value::ComplexNumber(0, 0);
    case Kind::kString: return Value::String("", type);
    case Kind::kList: return Value::MakeList({}, type).AsNilContainer();
    case Kind::kMap: return Value::MakeMap({}, type).AsNilContainer();
    case Kind::kTime: return Value::Time(GoTime{});
    case Kind::kStruct: {
      // Field types are not kept; strings are what the data of templates mostly has.
      return Value::Struct(type, std::vector<Value>(type->fields.size(), Value::String("")));
    }
  }
  return Value();
}

const Function* Type::FindMethod(std::string_view method) const {
  for (const Function& f : methods) {
    if (f.name == method) return &f;
  }
  return nullptr;
}

}  // namespace tocsin::templates
