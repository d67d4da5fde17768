#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>

#include "base/check.h"
#include "base/mutex.h"
#include "base/number.h"

namespace tocsin::base {

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(new std::atomic<uint64_t>[bounds_.size() + 1]()) {
  TOCSIN_CHECK(std::is_sorted(bounds_.begin(), bounds_.end())) << "histogram bounds must ascend";
}

void Histogram::Observe(double v) {
  const size_t i =
      static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin());
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) total += counts_[i].load(std::memory_order_relaxed);
  return total;
}

// The window's observations are kept in slices, each a uniform sample of bounded size: with 1024
// values the error of a quantile's rank is about 1.5 %.
struct Summary::Rep {
  static constexpr size_t kSlices = 5;
  static constexpr auto kSliceLength = std::chrono::minutes(2);
  static constexpr size_t kKept = 1024;

  struct Slice {
    int64_t number = -1;  // which two minutes since the clock's start
    uint64_t seen = 0;
    std::vector<double> kept;
  };

  std::vector<double> quantiles;
  mutable Mutex mu;
  std::array<Slice, kSlices> slices TOCSIN_GUARDED_BY(mu);
  uint64_t count TOCSIN_GUARDED_BY(mu) = 0;
  double sum TOCSIN_GUARDED_BY(mu) = 0;
  uint64_t random TOCSIN_GUARDED_BY(mu) = 0x9e3779b97f4a7c15;

  static int64_t SliceNow() { return std::chrono::steady_clock::now().time_since_epoch() / kSliceLength; }

  void Observe(double v) {
    const int64_t number = SliceNow();
    const MutexLock lock(&mu);
    ++count;
    sum += v;
    Slice& slice = slices[static_cast<size_t>(number) % kSlices];
    if (slice.number != number) {
      slice.number = number;
      slice.seen = 0;
      slice.kept.clear();
    }
    ++slice.seen;
    if (slice.kept.size() < kKept) {
      slice.kept.push_back(v);
      return;
    }
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;  // xorshift64
    const uint64_t at = random % slice.seen;
    if (at < kKept) slice.kept[at] = v;
  }

  std::vector<double> Values() const {
    const int64_t number = SliceNow();
    const MutexLock lock(&mu);
    std::vector<std::pair<double, double>> weighted;
    double total = 0;
    for (const Slice& slice : slices) {
      if (slice.number < 0 || number - slice.number >= static_cast<int64_t>(kSlices)) continue;
      const double weight = static_cast<double>(slice.seen) / static_cast<double>(slice.kept.size());
      for (const double v : slice.kept) weighted.emplace_back(v, weight);
      total += static_cast<double>(slice.seen);
    }
    std::sort(weighted.begin(), weighted.end());
    std::vector<double> values;
    for (const double q : quantiles) {
      double value = std::nan("");
      double rank = 0;
      for (const auto& [v, weight] : weighted) {
        rank += weight;
        value = v;
        if (rank >= q * total) break;
      }
      values.push_back(value);
    }
    return values;
  }
};

Summary::Summary(std::vector<double> quantiles) : rep_(std::make_unique<Rep>()) {
  rep_->quantiles = std::move(quantiles);
}
Summary::~Summary() = default;
void Summary::Observe(double v) { rep_->Observe(v); }

namespace {

using LabelNames = Registry::Labels;

void AppendEscaped(std::string_view text, bool quotes, std::string* out) {
  for (const char c : text) {
    if (c == '\\') {
      out->append("\\\\");
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '"' && quotes) {
      out->append("\\\"");
    } else {
      out->push_back(c);
    }
  }
}

// One line; `extra` is a label beside the family's own (le, quantile), or has an empty name.
void AppendSample(std::string_view name, std::string_view suffix, const LabelNames& names,
                  const std::vector<std::string>& values,
                  const std::pair<std::string_view, std::string>& extra, double v, std::string* out) {
  out->append(name).append(suffix);
  char open = '{';
  const auto label = [&](std::string_view key, std::string_view value) {
    out->push_back(std::exchange(open, ','));
    out->append(key).append("=\"");
    AppendEscaped(value, true, out);
    out->push_back('"');
  };
  for (size_t i = 0; i < names.size(); ++i) label(names[i], values[i]);
  if (!extra.first.empty()) label(extra.first, extra.second);
  if (open == ',') out->push_back('}');
  out->push_back(' ');
  out->append(FormatG(v));
  out->push_back('\n');
}

class AnyFamily {
 public:
  AnyFamily(std::string_view h, std::string_view t, LabelNames names)
      : help(h), type(t), labels(std::move(names)) {}
  virtual ~AnyFamily() = default;
  virtual void Expose(std::string_view name, std::string* out) const = 0;

  const std::string help;
  const std::string_view type;
  const LabelNames labels;
};

template <class Metric>
using ExposeOne = void (*)(std::string_view name, const LabelNames&, const std::vector<std::string>&,
                        const Metric&, std::string* out);

template <class Metric>
class FamilyOf : public AnyFamily, public Family<Metric> {
 public:
  using Make = std::function<std::unique_ptr<Metric>()>;
  FamilyOf(std::string_view h, std::string_view t, LabelNames names, Make make,
           ExposeOne<Metric> expose)
      : AnyFamily(h, t, std::move(names)), make_(std::move(make)), expose_(expose) {}

  Metric* With(std::initializer_list<std::string_view> values) override {
    return Find(std::vector<std::string>(values.begin(), values.end()));
  }
  Metric* With(std::span<const std::string> values) override {
    return Find(std::vector<std::string>(values.begin(), values.end()));
  }
  void Remove(std::span<const std::string> values) override {
    const MutexLock lock(&mu_);
    metrics_.erase(std::vector<std::string>(values.begin(), values.end()));
  }
  void Clear() override {
    const MutexLock lock(&mu_);
    metrics_.clear();
  }
  void Expose(std::string_view name, std::string* out) const override {
    const MutexLock lock(&mu_);
    for (const auto& [values, metric] : metrics_) expose_(name, labels, values, *metric, out);
  }

 private:
  Metric* Find(std::vector<std::string> values) {
    TOCSIN_CHECK(values.size() == labels.size())
        << values.size() << " values for " << labels.size() << " labels of: " << help;
    const MutexLock lock(&mu_);
    std::unique_ptr<Metric>& metric = metrics_[std::move(values)];
    if (!metric) metric = make_();
    return metric.get();
  }

  const Make make_;
  const ExposeOne<Metric> expose_;
  mutable Mutex mu_;
  std::map<std::vector<std::string>, std::unique_ptr<Metric>> metrics_ TOCSIN_GUARDED_BY(mu_);
};

class CallbackFamily : public AnyFamily {
 public:
  CallbackFamily(std::string_view h, std::string_view t, std::function<double()> read)
      : AnyFamily(h, t, {}), read_(std::move(read)) {}
  void Expose(std::string_view name, std::string* out) const override {
    AppendSample(name, "", {}, {}, {}, read_(), out);
  }

 private:
  const std::function<double()> read_;
};

template <class Metric>
void ExposeValue(std::string_view name, const LabelNames& names,
                 const std::vector<std::string>& values, const Metric& metric, std::string* out) {
  AppendSample(name, "", names, values, {}, metric.value(), out);
}

}  // namespace

struct Registry::Rep {
  mutable Mutex mu;
  std::map<std::string, std::unique_ptr<AnyFamily>, std::less<>> families TOCSIN_GUARDED_BY(mu);
  std::vector<std::function<void()>> collectors TOCSIN_GUARDED_BY(mu);

  template <class F, class... Args>
  F* Add(std::string_view name, std::string_view help, std::string_view type, const LabelNames& labels,
         Args&&... args) {
    const MutexLock lock(&mu);
    const auto found = families.find(name);
    if (found == families.end()) {
      auto family = std::make_unique<F>(help, type, labels, std::forward<Args>(args)...);
      F* added = family.get();
      families.emplace(name, std::move(family));
      return added;
    }
    F* same = dynamic_cast<F*>(found->second.get());
    TOCSIN_CHECK(same != nullptr && same->labels == labels && same->type == type)
        << "metric " << name << " was added before with another type or other labels";
    return same;
  }

  void AddCallback(std::string_view name, std::string_view help, std::string_view type,
                   std::function<double()> read) {
    const MutexLock lock(&mu);
    const bool added =
        families.emplace(name, std::make_unique<CallbackFamily>(help, type, std::move(read))).second;
    TOCSIN_CHECK(added) << "metric " << name << " was added before";
  }

  // Friends of the metrics' insides.
  static void ExposeHistogram(std::string_view name, const LabelNames& names,
                              const std::vector<std::string>& values, const Histogram& h,
                              std::string* out) {
    uint64_t total = 0;
    for (size_t i = 0; i <= h.bounds_.size(); ++i) {
      total += h.counts_[i].load(std::memory_order_relaxed);
      AppendSample(name, "_bucket", names, values,
                   {"le", i < h.bounds_.size() ? FormatG(h.bounds_[i]) : "+Inf"},
                   static_cast<double>(total), out);
    }
    AppendSample(name, "_sum", names, values, {}, h.sum(), out);
    AppendSample(name, "_count", names, values, {}, static_cast<double>(total), out);
  }

  static void ExposeSummary(std::string_view name, const LabelNames& names,
                            const std::vector<std::string>& values, const Summary& s,
                            std::string* out) {
    const std::vector<double> at = s.rep_->Values();
    for (size_t i = 0; i < at.size(); ++i) {
      AppendSample(name, "", names, values, {"quantile", FormatG(s.rep_->quantiles[i])}, at[i], out);
    }
    const MutexLock lock(&s.rep_->mu);
    AppendSample(name, "_sum", names, values, {}, s.rep_->sum, out);
    AppendSample(name, "_count", names, values, {}, static_cast<double>(s.rep_->count), out);
  }
};

Registry::Registry() : rep_(std::make_unique<Rep>()) {}
Registry::~Registry() = default;

Counter* Registry::AddCounter(std::string_view name, std::string_view help) {
  return AddCounterFamily(name, help, {})->With(std::initializer_list<std::string_view>{});
}
Gauge* Registry::AddGauge(std::string_view name, std::string_view help) {
  return AddGaugeFamily(name, help, {})->With(std::initializer_list<std::string_view>{});
}
Histogram* Registry::AddHistogram(std::string_view name, std::string_view help,
                                  std::vector<double> bounds) {
  return AddHistogramFamily(name, help, {}, std::move(bounds))
      ->With(std::initializer_list<std::string_view>{});
}
Summary* Registry::AddSummary(std::string_view name, std::string_view help,
                              std::vector<double> quantiles) {
  return AddSummaryFamily(name, help, {}, std::move(quantiles))
      ->With(std::initializer_list<std::string_view>{});
}

Family<Counter>* Registry::AddCounterFamily(std::string_view name, std::string_view help,
                                            Labels labels) {
  return rep_->Add<FamilyOf<Counter>>(name, help, "counter", labels,
                                      [] { return std::make_unique<Counter>(); }, &ExposeValue<Counter>);
}
Family<Gauge>* Registry::AddGaugeFamily(std::string_view name, std::string_view help, Labels labels) {
  return rep_->Add<FamilyOf<Gauge>>(name, help, "gauge", labels,
                                    [] { return std::make_unique<Gauge>(); }, &ExposeValue<Gauge>);
}
Family<Histogram>* Registry::AddHistogramFamily(std::string_view name, std::string_view help,
                                                Labels labels, std::vector<double> bounds) {
  return rep_->Add<FamilyOf<Histogram>>(
      name, help, "histogram", labels,
      [bounds = std::move(bounds)] { return std::make_unique<Histogram>(bounds); },
      &Rep::ExposeHistogram);
}
Family<Summary>* Registry::AddSummaryFamily(std::string_view name, std::string_view help,
                                            Labels labels, std::vector<double> quantiles) {
  return rep_->Add<FamilyOf<Summary>>(
      name, help, "summary", labels,
      [quantiles = std::move(quantiles)] { return std::make_unique<Summary>(quantiles); },
      &Rep::ExposeSummary);
}

void Registry::AddGaugeCallback(std::string_view name, std::string_view help,
                                std::function<double()> read) {
  rep_->AddCallback(name, help, "gauge", std::move(read));
}
void Registry::AddCounterCallback(std::string_view name, std::string_view help,
                                  std::function<double()> read) {
  rep_->AddCallback(name, help, "counter", std::move(read));
}
void Registry::AddCollector(std::function<void()> collect) {
  const MutexLock lock(&rep_->mu);
  rep_->collectors.push_back(std::move(collect));
}

std::string Registry::Expose() const {
  // Collectors and callbacks run without the lock, so that they may use the registry.  Families are
  // never removed, so their addresses stay good.
  std::vector<std::function<void()>> collectors;
  {
    const MutexLock lock(&rep_->mu);
    collectors = rep_->collectors;
  }
  for (const auto& collect : collectors) collect();
  std::vector<std::pair<std::string, const AnyFamily*>> families;
  {
    const MutexLock lock(&rep_->mu);
    for (const auto& [name, family] : rep_->families) families.emplace_back(name, family.get());
  }
  std::string out;
  std::string samples;
  for (const auto& [name, family] : families) {
    samples.clear();
    family->Expose(name, &samples);
    if (samples.empty()) continue;
    out.append("# HELP ").append(name).append(" ");
    AppendEscaped(family->help, false, &out);
    out.append("\n# TYPE ").append(name).append(" ").append(family->type).append("\n").append(samples);
  }
  return out;
}

std::vector<double> DefaultBuckets() { return {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}; }

}  // namespace tocsin::base
