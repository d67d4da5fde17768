#include "templates/rule_functions.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>

#include "base/duration.h"
#include "base/number.h"
#include "base/regex.h"
#include "base/text.h"
#include "templates/humanize.h"

namespace tocsin::templates {

namespace {

using base::Result;
using Args = std::span<const Value>;

// A native histogram as a template sees it; prints as PromQL does.
const Type* HistogramType() {
  static const Type type = [] {
    Type t;
    t.name = "*histogram.FloatHistogram";
    t.kind = Kind::kStruct;
    t.fields = {{"Count", ""}, {"Sum", ""}, {"ZeroCount", ""}, {" text", ""}};
    t.to_string = [](const Value& v) { return v.fields()[3].as_string(); };
    return t;
  }();
  return &type;
}

// One element of what `query` gives.
const Type* SampleType() {
  static const Type type = [] {
    Type t;
    t.name = "*template.sample";
    t.kind = Kind::kStruct;
    t.fields = {{"Labels", "Labels"}, {"Value", "Value"}};
    return t;
  }();
  return &type;
}

const Type* QueryResultType() {
  static const Type type = [] {
    Type t;
    t.name = "template.queryResult";
    t.kind = Kind::kList;
    t.element = SampleType();
    return t;
  }();
  return &type;
}

const Type* AlertDataType() {
  static const Type type = [] {
    Type t;
    t.name = "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; "
             "Value interface {} }";
    t.kind = Kind::kStruct;
    t.fields = {{"Labels", "Labels"}, {"ExternalLabels", "ExternalLabels"}, {"ExternalURL", "ExternalURL"},
                {"Value", "Value"}};
    return t;
  }();
  return &type;
}

Value LabelMap(model::LabelsView labels) {
  Map map;
  for (const model::Label& l : labels) map.emplace(l.name, Value::String(std::string(l.value)));
  return Value::MakeMap(std::move(map), types::StringMap());
}

Value SampleValue(double value, const model::HistogramPtr& histogram) {
  if (histogram == nullptr) return Value::Float(value);
  return Value::Struct(HistogramType(), {Value::Float(histogram->count), Value::Float(histogram->sum),
                                         Value::Float(histogram->zero_count), Value::String(histogram->ToString())});
}

// "host:port" or "[v6]:port"; false where Go's net.SplitHostPort fails.
bool SplitHostPort(std::string_view text, std::string* host, std::string* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view h = text.substr(0, colon);
  if (!h.empty() && h.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos || close + 1 != colon) return false;
    h = text.substr(1, close - 1);
  } else if (h.find(':') != std::string_view::npos) {
    return false;
  }
  if (h.find_first_of("[]") != std::string_view::npos) return false;
  *host = h;
  *port = text.substr(colon + 1);
  return port->find_first_of("[]") == std::string::npos;
}

bool IsIp(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

std::string StripPort(const std::string& text) {
  std::string host, port;
  return SplitHostPort(text, &host, &port) ? host : text;
}

std::string StripDomain(const std::string& text) {
  std::string host, port;
  if (!SplitHostPort(text, &host, &port)) {
    host = text;
    port.clear();
  }
  if (IsIp(host)) return text;
  host = host.substr(0, host.find('.'));
  if (port.empty()) return host;
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

// The path of a URL: what follows the authority, up to ? or #.
std::string PathOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) {
    const size_t slash = url.find_first_of("/?#", scheme + 3);
    url = slash == std::string_view::npos ? std::string_view() : url.substr(slash);
  }
  return std::string(url.substr(0, url.find_first_of("?#")));
}

Result<Value> Numeric(const Value& v, std::string (*print)(double)) {
  ASSIGN_OR_RETURN(const double d, ToFloat(v));
  return Value::String(print(d));
}

Result<Value> HumanizeTimestamp(const Value& v) {
  ASSIGN_OR_RETURN(const double d, ToFloat(v));
  if (std::isnan(d) || std::isinf(d)) return Value::String(base::FormatG(d));
  ASSIGN_OR_RETURN(const GoTime t, FloatToTime(d));
  return Value::String(t.ToString());
}

Result<Value> ToDuration(const Value& v) {
  ASSIGN_OR_RETURN(const double d, ToFloat(v));
  if (std::isnan(d) || std::isinf(d)) return base::InvalidArgument("value is NaN or Inf");
  const double nanos = d * 1e9;
  if (nanos >= 0x1p63 || nanos < -0x1p63) {
    return base::InvalidArgument(base::FormatG(d) +
                                 " cannot be represented as a nanoseconds duration since it overflows int64");
  }
  return Value::Duration(base::Duration(static_cast<int64_t>(nanos)));
}

Result<Value> ParseSignedDuration(std::string_view text) {
  const bool negative = text.starts_with('-');
  ASSIGN_OR_RETURN(const base::Duration d, base::ParseDuration(negative ? text.substr(1) : text));
  return Value::Float((negative ? -1 : 1) * base::ToSeconds(d));
}

Result<Value> RunQuery(const QueryCallback& query, const std::string& expr) {
  if (!query) return base::FailedPrecondition("no query function is set");
  ASSIGN_OR_RETURN(const std::vector<QuerySample> samples, query(expr));
  List list;
  list.reserve(samples.size());
  for (const QuerySample& s : samples) {
    list.push_back(Value::Struct(SampleType(), {LabelMap(s.labels), SampleValue(s.value, s.histogram)}));
  }
  return Value::MakeList(std::move(list), QueryResultType());
}

std::string LabelOf(const Value& sample, std::string_view name) {
  const Map& labels = sample.fields()[0].as_map();
  const auto it = labels.find(name);
  return it == labels.end() ? "" : it->second.as_string();
}

Result<Value> SortByLabel(const std::string& name, const Value& samples) {
  List list = samples.as_list();
  std::ranges::stable_sort(list, {}, [&](const Value& sample) { return LabelOf(sample, name); });
  return Value::MakeList(std::move(list), QueryResultType());
}

// Functions that work on their arguments alone.
const FunctionMap& PureFunctions() {
  static const FunctionMap map = [] {
    FunctionMap m;
    const Type* any = types::Any();
    const Type* string = types::String();
    auto text = [&m, string](std::string name, std::string (*f)(const std::string&)) {
      m.Add(std::move(name), {string},
            [f](CallContext&, Args a) -> Result<Value> { return Value::String(f(a[0].as_string())); });
    };
    text("title", [](const std::string& s) { return base::Title(s); });
    text("toUpper", [](const std::string& s) { return base::ToUpper(s); });
    text("toLower", [](const std::string& s) { return base::ToLower(s); });
    text("stripPort", StripPort);
    text("stripDomain", StripDomain);
    text("urlQueryEscape", [](const std::string& s) { return base::QueryEscape(s); });
    text("graphLink", [](const std::string& s) { return "/graph?g0.expr=" + base::QueryEscape(s) + "&g0.tab=0"; });
    text("tableLink", [](const std::string& s) { return "/graph?g0.expr=" + base::QueryEscape(s) + "&g0.tab=1"; });
    m.Add("safeHtml", {string}, [](CallContext&, Args a) -> Result<Value> { return Value::Html(a[0].as_string()); });
    m.Add("first", {QueryResultType()}, [](CallContext&, Args a) -> Result<Value> {
      if (a[0].as_list().empty()) return base::InvalidArgument("first() called on vector with no elements");
      return a[0].as_list().front();
    });
    m.Add("label", {string, SampleType()}, [](CallContext&, Args a) -> Result<Value> {
      return Value::String(LabelOf(a[1], a[0].as_string()));
    });
    m.Add("value", {SampleType()}, [](CallContext&, Args a) -> Result<Value> { return a[0].fields()[1]; });
    m.Add("strvalue", {SampleType()}, [](CallContext&, Args a) -> Result<Value> {
      return Value::String(LabelOf(a[0], "__value__"));
    });
    m.Add("sortByLabel", {string, QueryResultType()}, [](CallContext&, Args a) { return SortByLabel(a[0].as_string(), a[1]); });
    m.AddVariadic("args", {any}, [](CallContext&, Args a) -> Result<Value> {
      Map args;
      for (size_t i = 0; i < a.size(); ++i) args.emplace("arg" + std::to_string(i), a[i]);
      return Value::MakeMap(std::move(args), types::AnyMap());
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
    m.Add("humanize", {any}, [](CallContext&, Args a) { return Numeric(a[0], Humanize); });
    m.Add("humanize1024", {any}, [](CallContext&, Args a) { return Numeric(a[0], Humanize1024); });
    m.Add("humanizeDuration", {any}, [](CallContext&, Args a) { return Numeric(a[0], HumanizeDuration); });
    m.Add("humanizePercentage", {any}, [](CallContext&, Args a) { return Numeric(a[0], HumanizePercentage); });
    m.Add("humanizeTimestamp", {any}, [](CallContext&, Args a) { return HumanizeTimestamp(a[0]); });
    m.Add("toTime", {any}, [](CallContext&, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(const double d, ToFloat(a[0]));
      ASSIGN_OR_RETURN(const GoTime t, FloatToTime(d));
      return Value::Time(t);
    });
    m.Add("toDuration", {any}, [](CallContext&, Args a) { return ToDuration(a[0]); });
    m.Add("parseDuration", {string}, [](CallContext&, Args a) { return ParseSignedDuration(a[0].as_string()); });
    m.Add("tmpl", {string, any}, [](CallContext& c, Args a) -> Result<Value> {
      ASSIGN_OR_RETURN(std::string out, c.RunTemplate(a[0].as_string(), a[1]));
      return Value::Html(std::move(out));
    });
    return m;
  }();
  return map;
}

}  // namespace

namespace {

// Those that differ from one evaluation to the next.
FunctionMap ContextFunctions(const RuleTemplateContext& context) {
  FunctionMap m;
  m.Add("query", {types::String()}, [query = context.query](CallContext&, Args a) {
    return RunQuery(query, a[0].as_string());
  });
  m.Add("now", {}, [now = context.now_ms](CallContext&, Args) -> Result<Value> {
    return Value::Float(static_cast<double>(now) / 1000);
  });
  m.Add("externalURL", {}, [url = context.external_url](CallContext&, Args) -> Result<Value> {
    return Value::String(url);
  });
  m.Add("pathPrefix", {}, [url = context.external_url](CallContext&, Args) -> Result<Value> {
    return Value::String(PathOf(url));
  });
  return m;
}

}  // namespace

FunctionMap RuleFunctions(const RuleTemplateContext& context) {
  FunctionMap m = PureFunctions();
  m.AddAll(ContextFunctions(context));
  return m;
}

Value AlertTemplateData(model::LabelsView labels, model::LabelsView external_labels, const std::string& external_url,
                        double value, model::HistogramPtr histogram) {
  return Value::Struct(AlertDataType(), {LabelMap(labels), LabelMap(external_labels), Value::String(external_url),
                                         SampleValue(value, histogram)});
}

std::string_view RuleTemplateDefinitions() {
  return "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}"
         "{{$value := .Value}}";
}

base::Result<std::string> ExpandRuleTemplate(const std::string& name, std::string_view text, const Value& data,
                                             const RuleTemplateContext& context, const ExecuteOptions& options) {
  TemplateSet set(RuleFunctions(context));
  if (base::Status parsed = set.Parse(name, text); !parsed) {
    return base::MakeError(parsed.error().code(), "error parsing template " + name + ": " + parsed.error().message());
  }
  base::Result<std::string> out = set.Execute(name, data, options);
  if (!out) {
    return base::MakeError(out.error().code(), "error executing template " + name + ": " + out.error().message());
  }
  return out;
}

base::Result<RuleTemplate> RuleTemplate::Parse(const std::string& name, std::string_view text) {
  static const FunctionMap functions = RuleFunctions({});
  TemplateSet set(functions);
  base::Status parsed = set.Parse(name, std::string(RuleTemplateDefinitions()) + std::string(text));
  if (!parsed) {
    return base::MakeError(parsed.error().code(), "error parsing template " + name + ": " + parsed.error().message());
  }
  return RuleTemplate(name, std::move(set));
}

base::Result<std::string> RuleTemplate::Expand(const Value& data, const RuleTemplateContext& context) const {
  const FunctionMap functions = ContextFunctions(context);
  base::Result<std::string> out = set_.Execute(name_, data, {.functions = &functions});
  if (!out) {
    return base::MakeError(out.error().code(), "error executing template " + name_ + ": " + out.error().message());
  }
  return out;
}

base::Status CheckRuleTemplate(const std::string& name, std::string_view text) {
  base::Result<RuleTemplate> parsed = RuleTemplate::Parse(name, text);
  if (!parsed) return std::unexpected(parsed.error());
  return {};
}

}  // namespace tocsin::templates
