#include "three_forms.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "promql/plan/explain.h"
#include "promql/standing/standing_query.h"

namespace tocsin::promqltest {
namespace {

constexpr int64_t kStepMs = 20'000;

struct Element {
  double v = 0;
  model::HistogramPtr h;
};
// What came out, by labels.  A scalar has no labels.
struct Outcome {
  std::string error;
  std::map<std::string, Element> elements;
  std::vector<std::string> notes;
  std::vector<double> in_order;
  bool repeated = false;
};

void Put(Outcome* out, const std::string& labels, double v, const model::HistogramPtr& h) {
  out->repeated = !out->elements.emplace(labels, Element{v, h}).second || out->repeated;
  out->in_order.push_back(v);
}

void PutNotes(Outcome* out, const std::vector<std::string>& warnings, const std::vector<std::string>& infos) {
  out->notes = warnings;
  out->notes.insert(out->notes.end(), infos.begin(), infos.end());
  std::ranges::sort(out->notes);
}

Outcome OfInstant(const base::Result<promql::QueryResult>& result) {
  Outcome out;
  if (!result) {
    out.error = result.error().message();
    return out;
  }
  if (const auto* vector = std::get_if<promql::Vector>(&result->value)) {
    for (const promql::VectorSample& s : *vector) Put(&out, s.labels.ToString(), s.v, s.h);
  } else {
    Put(&out, "", std::get<promql::Scalar>(result->value).v, nullptr);
  }
  PutNotes(&out, result->warnings, result->infos);
  return out;
}

Outcome OfRange(const base::Result<promql::QueryResult>& result, model::Timestamp at) {
  Outcome out;
  if (!result) {
    out.error = result.error().message();
    return out;
  }
  for (const promql::MatrixSeries& s : std::get<promql::Matrix>(result->value)) {
    for (const auto& p : s.floats) {
      if (p.t == at) Put(&out, s.labels.ToString(), p.v, nullptr);
    }
    for (const auto& p : s.histograms) {
      if (p.t == at) Put(&out, s.labels.ToString(), 0, p.h);
    }
  }
  return out;
}

Outcome OfKept(const base::Status& status, const promql::standing::StandingQuery& result) {
  Outcome out;
  if (!status) {
    out.error = status.error().message();
    return out;
  }
  const bool scalar = result.rows().size() == 1 && result.rows()[0].empty();
  for (const auto& s : result.samples()) {
    Put(&out, scalar ? "" : result.rows()[s.row].ToString(), s.v, s.h);
  }
  PutNotes(&out, result.warnings(), result.infos());
  return out;
}

// Rounding: of sums and variances over groups, where series stand in another order.
bool SameNumber(double a, double b) {
  if (model::SameBits(a, b) || (std::isnan(a) && std::isnan(b))) return true;
  return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}

std::string Show(const Outcome& o) {
  if (!o.error.empty()) return "error: " + o.error;
  std::string text;
  for (const auto& [labels, e] : o.elements) {
    text += fmt::format("\n    {} {}", labels, e.h ? e.h->ToString() : fmt::format("{:.17g}", e.v));
  }
  for (const std::string& note : o.notes) text += "\n    " + note;
  return text.empty() ? "nothing" : text;
}

// Errors name the first series they met: what stands before is compared.
std::string_view Kind(std::string_view error) { return error.substr(0, error.find('{')); }

bool Same(const Outcome& a, const Outcome& b, bool notes) {
  if (a.error.empty() != b.error.empty() || Kind(a.error) != Kind(b.error) || a.repeated || b.repeated) return false;
  if (a.elements.size() != b.elements.size() || (notes && a.notes != b.notes)) return false;
  for (auto x = a.elements.begin(), y = b.elements.begin(); x != a.elements.end(); ++x, ++y) {
    const auto scalar_labels = [](const std::string& l) { return l.empty() || l == "{}"; };
    if (x->first != y->first && !(scalar_labels(x->first) && scalar_labels(y->first))) return false;
    if ((x->second.h == nullptr) != (y->second.h == nullptr)) return false;
    if (x->second.h ? x->second.h->ToString() != y->second.h->ToString() : !SameNumber(x->second.v, y->second.v)) {
      return false;
    }
  }
  return true;
}

// All of it, to the bit.
std::string ShowExactly(const base::Result<promql::QueryResult>& result) {
  if (!result) return "error: " + result.error().message();
  std::string text;
  if (const auto* vector = std::get_if<promql::Vector>(&result->value)) {
    for (const promql::VectorSample& s : *vector) {
      text += fmt::format("\n    {} {:a} {}", s.labels.ToString(), s.v, s.h ? s.h->ToString() : "");
    }
  } else if (const auto* matrix = std::get_if<promql::Matrix>(&result->value)) {
    for (const promql::MatrixSeries& s : *matrix) {
      text += "\n    " + s.labels.ToString();
      for (const auto& p : s.floats) text += fmt::format(" {}:{:a}", p.t, p.v);
      for (const auto& p : s.histograms) text += fmt::format(" {}:{}", p.t, p.h->ToString());
    }
  } else {
    text += fmt::format("\n    {:a}", std::get<promql::Scalar>(result->value).v);
  }
  for (const std::string& note : result->warnings) text += "\n    " + note;
  for (const std::string& note : result->infos) text += "\n    " + note;
  return text + fmt::format("\n    {} samples looked at, {} read", result->stats.samples_looked_at,
                            result->stats.samples_read);
}

bool Mentions(const std::string& text, std::initializer_list<const char*> words) {
  return std::ranges::any_of(words, [&](const char* w) { return text.find(w) != std::string::npos; });
}

}  // namespace

ThreeForms::ThreeForms(std::string text, promql::PreparedQuery query, promql::PreparedQuery unshared)
    : text_(std::move(text)), query_(std::move(query)), unshared_(std::move(unshared)) {
  shares_ = promql::plan::ToText(query_.Explain()).find("shared with") != std::string::npos;
  // In a range query these are something else, and an error at another step is an error.
  std::string lower = text_;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  in_range_ = !Mentions(lower, {"start()", "end()", "range()", "step()", "sort", "limit"});
}

base::Result<std::unique_ptr<ThreeForms>> ThreeForms::Make(const promql::Engine& engine, std::string text) {
  ASSIGN_OR_RETURN(promql::PreparedQuery query, engine.Prepare(text));
  if (query.type() != promql::ValueType::kVector && query.type() != promql::ValueType::kScalar) {
    return base::InvalidArgument("neither an instant vector nor a scalar");
  }
  promql::EngineOptions options = engine.options();
  options.share_equal_subtrees = false;
  ASSIGN_OR_RETURN(promql::PreparedQuery unshared, promql::Engine(options).Prepare(text));
  return std::unique_ptr<ThreeForms>(new ThreeForms(std::move(text), std::move(query), std::move(unshared)));
}

std::string ThreeForms::CompareUnshared(storage::Queryable* storage, model::Timestamp at) const {
  const auto differ = [&](const char* form, const std::string& shared, const std::string& unshared) {
    if (shared == unshared) return std::string();
    return fmt::format("{} at {}, {}: shared {}\n  not shared {}", text_, at, form, shared, unshared);
  };
  const promql::QueryOptions counting{.count_samples = true};
  const std::string wrong = differ("once", ShowExactly(query_.Run(storage, at, counting)),
                                   ShowExactly(unshared_.Run(storage, at, counting)));
  if (!wrong.empty()) return wrong;
  const promql::RangeParams range{at - 7 * kStepMs, at, std::chrono::milliseconds(kStepMs)};
  return differ("in a range", ShowExactly(query_.RunRange(storage, range, counting)),
                ShowExactly(unshared_.RunRange(storage, range, counting)));
}

std::string ThreeForms::Compare(storage::Queryable* storage, model::Timestamp at) {
  const Outcome once = OfInstant(query_.Run(storage, at));
  values_ += once.error.empty() ? 1 : 0;
  if (!kept_) kept_ = query_.Keep();
  const base::Status status = kept_->Run(storage, at);
  const Outcome kept = OfKept(status, kept_->result());
  was_kept_ = status && kept_->result().kept();
  const bool ordered = text_.starts_with("sort") && once.in_order.size() == kept.in_order.size();
  const bool same_order = !ordered || std::ranges::equal(once.in_order, kept.in_order, SameNumber);
  if (!Same(once, kept, true) || !same_order) {
    return fmt::format("{} at {}: once {}\n  kept{} {}", text_, at, Show(once), was_kept_ ? "" : " (not)", Show(kept));
  }
  if (shares_) {
    if (std::string wrong = CompareUnshared(storage, at); !wrong.empty()) return wrong;
  }
  if (!in_range_) return {};
  const promql::RangeParams range{at - 2 * kStepMs, at + 2 * kStepMs, std::chrono::milliseconds(kStepMs)};
  const auto ranged = query_.RunRange(storage, range);
  if (!ranged) return {};  // perhaps because of another step
  const Outcome middle = OfRange(ranged, at);
  if (!once.error.empty() || !Same(once, middle, false)) {
    return fmt::format("{} at {}: once {}\n  in a range {}", text_, at, Show(once), Show(middle));
  }
  return {};
}

}  // namespace tocsin::promqltest
