#pragma once

// Metrics about ourselves.  A Registry holds families; a family holds one metric a label set.
// Handles stay valid as long as their registry; those of a removed label set until Remove().
//
//   base::Counter* scrapes = registry->AddCounter("prometheus_target_scrapes_total", "Scrapes done.");
//   auto* failed = registry->AddCounterFamily("alertmanager_notifications_failed_total", "...",
//                                             {"integration", "reason"});
//   failed->With({"slack", "serverError"})->Add(1);
//
// Threads: any.  Updating a metric is one atomic operation; With() takes a lock.
// Format of Expose(): Prometheus text 0.0.4, families by name, metrics by label values.

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tocsin::base {

class Counter {
 public:
  void Add(double v = 1) { value_.fetch_add(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void Set(double v) { value_.store(v, std::memory_order_relaxed); }
  void Add(double v) { value_.fetch_add(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Cumulative buckets with upper bounds, +Inf implied.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double v);
  uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  friend class Registry;
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;  // bounds_.size() + 1
  std::atomic<double> sum_{0};
};

// Count, sum and quantiles over a sliding window of 10 minutes (5 slices of 2).
class Summary {
 public:
  explicit Summary(std::vector<double> quantiles);
  ~Summary();
  void Observe(double v);
  struct Rep;

 private:
  friend class Registry;
  std::unique_ptr<Rep> rep_;
};

template <class Metric>
class Family {
 public:
  virtual ~Family() = default;
  // The metric with these label values, made at the first call.  REQUIRES: as many values as labels.
  virtual Metric* With(std::initializer_list<std::string_view> values) = 0;
  virtual Metric* With(std::span<const std::string> values) = 0;
  virtual void Remove(std::span<const std::string> values) = 0;
  virtual void Clear() = 0;
};

class Registry {
 public:
  using Labels = std::vector<std::string>;
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // A name may be added once; adding it again with the same type and labels gives the same metric.
  Counter* AddCounter(std::string_view name, std::string_view help);
  Gauge* AddGauge(std::string_view name, std::string_view help);
  Histogram* AddHistogram(std::string_view name, std::string_view help, std::vector<double> bounds);
  Summary* AddSummary(std::string_view name, std::string_view help, std::vector<double> quantiles);
  Family<Counter>* AddCounterFamily(std::string_view name, std::string_view help, Labels labels);
  Family<Gauge>* AddGaugeFamily(std::string_view name, std::string_view help, Labels labels);
  Family<Histogram>* AddHistogramFamily(std::string_view name, std::string_view help, Labels labels,
                                        std::vector<double> bounds);
  Family<Summary>* AddSummaryFamily(std::string_view name, std::string_view help, Labels labels,
                                    std::vector<double> quantiles);

  // Values read at each exposition; `read` runs on the thread that calls Expose().
  void AddGaugeCallback(std::string_view name, std::string_view help, std::function<double()> read);
  void AddCounterCallback(std::string_view name, std::string_view help, std::function<double()> read);
  // Runs before each exposition, to set gauges that are cheap to compute but dear to keep.
  void AddCollector(std::function<void()> collect);

  std::string Expose() const;

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, process_max_fds,
// process_start_time_seconds, process_virtual_memory_bytes.
void AddProcessMetrics(Registry* registry);
int ProcessThreads();  // 0: not known

// Client libraries' usual buckets: 0.005 .. 10.
std::vector<double> DefaultBuckets();

}  // namespace tocsin::base
