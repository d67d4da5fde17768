// The types that values have by themselves, and the methods of Go's time package.

#include "base/duration.h"
#include "templates/value.h"

namespace tocsin::templates::types {

namespace {

using Args = std::span<const Value>;
using base::Result;

constexpr std::string_view kMonthNames[] = {"January", "February", "March",     "April",   "May",      "June",
                                            "July",    "August",   "September", "October", "November", "December"};
constexpr std::string_view kDayNames[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};

Type Plain(std::string name, Kind kind, const Type* element = nullptr) {
  Type t;
  t.name = std::move(name);
  t.kind = kind;
  t.element = element;
  return t;
}

template <class F>
Function Method(std::string name, std::vector<const Type*> params, F f) {
  return Function{.name = std::move(name),
                  .params = std::move(params),
                  .body = [f](CallContext&, Args args) -> Result<Value> { return f(args); }};
}

const Type* Location() {
  static const Type type = [] {
    Type t = Plain("*time.Location", Kind::kStruct);
    t.fields = {{"zone", ""}};
    t.to_string = [](const Value& v) { return v.fields()[0].as_time().zone.name(); };
    return t;
  }();
  return &type;
}

Value ZoneValue(const GoTime& t) { return Value::Struct(Location(), {Value::Time(GoTime{0, 0, t.zone})}); }

// Rounds half away from zero, as Go's Duration.Round.
base::Duration Round(base::Duration d, base::Duration unit) {
  if (unit.count() <= 0) return d;
  const int64_t rest = d.count() % unit.count();
  const int64_t down = d.count() - rest;
  const int64_t abs_rest = rest < 0 ? -rest : rest;
  if (abs_rest + abs_rest < unit.count()) return base::Duration(down);
  return base::Duration(rest < 0 ? down - unit.count() : down + unit.count());
}

std::vector<Function> TimeMethods(const Type* time, const Type* duration) {
  const Type* string = String();
  const Type* integer = Int();
  auto t = [](Args a) -> const GoTime& { return a[0].as_time(); };
  std::vector<Function> m;
  m.push_back(Method("Format", {string}, [t](Args a) { return Value::String(t(a).Format(a[1].as_string())); }));
  m.push_back(Method("String", {}, [t](Args a) { return Value::String(t(a).ToString()); }));
  m.push_back(Method("GoString", {}, [t](Args a) { return Value::String(t(a).ToString()); }));
  m.push_back(Method("UTC", {}, [t](Args a) { return Value::Time(t(a).In(Zone())); }));
  m.push_back(Method("Local", {}, [t](Args a) { return Value::Time(t(a).In(Zone::Local())); }));
  m.push_back(Method("Location", {}, [t](Args a) { return ZoneValue(t(a)); }));
  m.push_back(Method("In", {Location()}, [t](Args a) {
    return Value::Time(t(a).In(a[1].fields()[0].as_time().zone));
  }));
  m.push_back(Method("Add", {duration}, [t](Args a) { return Value::Time(t(a).Add(a[1].as_duration())); }));
  m.push_back(Method("Sub", {time}, [t](Args a) { return Value::Duration(t(a).Sub(a[1].as_time())); }));
  m.push_back(Method("AddDate", {integer, integer, integer}, [t](Args a) {
    return Value::Time(t(a).AddDate(a[1].as_int(), a[2].as_int(), a[3].as_int()));
  }));
  m.push_back(Method("Truncate", {duration}, [t](Args a) { return Value::Time(t(a).Truncate(a[1].as_duration())); }));
  m.push_back(Method("Round", {duration}, [t](Args a) {
    const base::Duration unit = a[1].as_duration();
    if (unit.count() <= 0) return Value::Time(t(a));
    const GoTime down = t(a).Truncate(unit);
    const base::Duration rest = t(a).Sub(down);
    return Value::Time(rest.count() * 2 < unit.count() ? down : down.Add(unit));
  }));
  m.push_back(Method("Before", {time}, [t](Args a) { return Value::Bool(t(a) < a[1].as_time()); }));
  m.push_back(Method("After", {time}, [t](Args a) { return Value::Bool(t(a) > a[1].as_time()); }));
  m.push_back(Method("Equal", {time}, [t](Args a) { return Value::Bool(t(a) == a[1].as_time()); }));
  m.push_back(Method("Compare", {time}, [t](Args a) {
    return Value::Int(t(a) < a[1].as_time() ? -1 : t(a) > a[1].as_time() ? 1 : 0);
  }));
  m.push_back(Method("IsZero", {}, [t](Args a) { return Value::Bool(t(a).IsZero()); }));
  m.push_back(Method("IsDST", {}, [](Args) { return Value::Bool(false); }));
  m.push_back(Method("Unix", {}, [t](Args a) { return Value::Int(t(a).seconds, Int64()); }));
  m.push_back(Method("UnixMilli", {}, [t](Args a) {
    return Value::Int(t(a).seconds * 1000 + t(a).nanos / 1'000'000, Int64());
  }));
  m.push_back(Method("UnixMicro", {}, [t](Args a) {
    return Value::Int(t(a).seconds * 1'000'000 + t(a).nanos / 1000, Int64());
  }));
  m.push_back(Method("UnixNano", {}, [t](Args a) {
    // Wraps around outside the years 1678 to 2262, as in Go.
    return Value::Int(static_cast<int64_t>(static_cast<uint64_t>(t(a).seconds) * 1'000'000'000U +
                                           static_cast<uint64_t>(t(a).nanos)),
                      Int64());
  }));
  m.push_back(Method("Year", {}, [t](Args a) { return Value::Int(t(a).civil().year); }));
  m.push_back(Method("Month", {}, [t](Args a) { return Value::Int(t(a).civil().month, Month()); }));
  m.push_back(Method("Day", {}, [t](Args a) { return Value::Int(t(a).civil().day); }));
  m.push_back(Method("Hour", {}, [t](Args a) { return Value::Int(t(a).civil().hour); }));
  m.push_back(Method("Minute", {}, [t](Args a) { return Value::Int(t(a).civil().minute); }));
  m.push_back(Method("Second", {}, [t](Args a) { return Value::Int(t(a).civil().second); }));
  m.push_back(Method("Nanosecond", {}, [t](Args a) { return Value::Int(t(a).nanos); }));
  m.push_back(Method("Weekday", {}, [t](Args a) { return Value::Int(t(a).civil().weekday, Weekday()); }));
  m.push_back(Method("YearDay", {}, [t](Args a) { return Value::Int(t(a).civil().year_day); }));
  // These give several values in Go, which templates cannot take.
  for (const auto& [name, results] : {std::pair("Date", 3), {"Clock", 3}, {"ISOWeek", 2}, {"Zone", 2}}) {
    m.push_back(Method(name, {}, [](Args) { return Value(); }));
    m.back().results = results;
  }
  return m;
}

std::vector<Function> DurationMethods(const Type* duration) {
  auto d = [](Args a) { return a[0].as_duration(); };
  // Go divides the whole part and the rest apart, which keeps more digits.
  auto in_units = [d](int64_t unit) {
    return [d, unit](Args a) {
      const int64_t n = d(a).count();
      return Value::Float(static_cast<double>(n / unit) + static_cast<double>(n % unit) / static_cast<double>(unit));
    };
  };
  std::vector<Function> m;
  m.push_back(Method("String", {}, [d](Args a) { return Value::String(base::FormatGoDuration(d(a))); }));
  m.push_back(Method("Hours", {}, in_units(3'600'000'000'000)));
  m.push_back(Method("Minutes", {}, in_units(60'000'000'000)));
  m.push_back(Method("Seconds", {}, in_units(1'000'000'000)));
  m.push_back(Method("Milliseconds", {}, [d](Args a) { return Value::Int(d(a).count() / 1'000'000, Int64()); }));
  m.push_back(Method("Microseconds", {}, [d](Args a) { return Value::Int(d(a).count() / 1000, Int64()); }));
  m.push_back(Method("Nanoseconds", {}, [d](Args a) { return Value::Int(d(a).count(), Int64()); }));
  m.push_back(Method("Abs", {}, [d](Args a) { return Value::Duration(d(a) < base::Duration(0) ? -d(a) : d(a)); }));
  m.push_back(Method("Round", {duration}, [d](Args a) { return Value::Duration(Round(d(a), a[1].as_duration())); }));
  m.push_back(Method("Truncate", {duration}, [d](Args a) {
    const base::Duration unit = a[1].as_duration();
    return Value::Duration(unit.count() <= 0 ? d(a) : base::Duration(d(a).count() - d(a).count() % unit.count()));
  }));
  return m;
}

// The two types whose methods name each other.
struct TimeTypes {
  Type time = Plain("time.Time", Kind::kTime);
  Type duration = Plain("time.Duration", Kind::kInt);
  TimeTypes() {
    time.to_string = [](const Value& v) { return v.as_time().ToString(); };
    time.to_json = [](const Value& v) { return '"' + v.as_time().ToRfc3339Nano() + '"'; };
    time.methods = TimeMethods(&time, &duration);
    duration.to_string = [](const Value& v) { return base::FormatGoDuration(v.as_duration()); };
    duration.methods = DurationMethods(&duration);
  }
};

const TimeTypes& Times() {
  static const TimeTypes types;
  return types;
}

}  // namespace

const Type* Any() {
  static const Type type = Plain("interface {}", Kind::kNil);
  return &type;
}
const Type* Bool() {
  static const Type type = Plain("bool", Kind::kBool);
  return &type;
}
const Type* Int() {
  static const Type type = Plain("int", Kind::kInt);
  return &type;
}
const Type* Int64() {
  static const Type type = Plain("int64", Kind::kInt);
  return &type;
}
const Type* Uint64() {
  static const Type type = Plain("uint64", Kind::kUint);
  return &type;
}
const Type* Float() {
  static const Type type = Plain("float64", Kind::kFloat);
  return &type;
}
const Type* Complex128() {
  static const Type type = Plain("complex128", Kind::kComplex);
  return &type;
}
const Type* String() {
  static const Type type = Plain("string", Kind::kString);
  return &type;
}
const Type* Html() {
  static const Type type = [] {
    Type t = Plain("template.HTML", Kind::kString);
    t.content = Type::Content::kHtml;
    return t;
  }();
  return &type;
}
const Type* Url() {
  static const Type type = [] {
    Type t = Plain("template.URL", Kind::kString);
    t.content = Type::Content::kUrl;
    return t;
  }();
  return &type;
}
const Type* Strings() {
  static const Type type = Plain("[]string", Kind::kList, String());
  return &type;
}
const Type* AnyList() {
  static const Type type = Plain("[]interface {}", Kind::kList);
  return &type;
}
const Type* StringMap() {
  static const Type type = Plain("map[string]string", Kind::kMap, String());
  return &type;
}
const Type* AnyMap() {
  static const Type type = Plain("map[string]interface {}", Kind::kMap);
  return &type;
}
const Type* Func() {
  static const Type type = Plain("func", Kind::kFunction);
  return &type;
}

const Type* Time() { return &Times().time; }
const Type* Duration() { return &Times().duration; }

const Type* Month() {
  static const Type type = [] {
    Type t = Plain("time.Month", Kind::kInt);
    t.to_string = [](const Value& v) {
      const int64_t n = v.as_int();
      return n >= 1 && n <= 12 ? std::string(kMonthNames[n - 1]) : "%!Month(" + std::to_string(n) + ")";
    };
    t.methods.push_back(Method("String", {}, [](Args a) { return Value::String(a[0].type()->to_string(a[0])); }));
    return t;
  }();
  return &type;
}

const Type* Weekday() {
  static const Type type = [] {
    Type t = Plain("time.Weekday", Kind::kInt);
    t.to_string = [](const Value& v) {
      const int64_t n = v.as_int();
      return n >= 0 && n <= 6 ? std::string(kDayNames[n]) : "%!Weekday(" + std::to_string(n) + ")";
    };
    t.methods.push_back(Method("String", {}, [](Args a) { return Value::String(a[0].type()->to_string(a[0])); }));
    return t;
  }();
  return &type;
}

}  // namespace tocsin::templates::types
