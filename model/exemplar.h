#pragma once

#include <string>

#include "model/labels.h"
#include "model/sample.h"

namespace tocsin::model {

// A sample with the labels of one observation (a trace id, mostly).
struct Exemplar {
  Labels labels;
  double value = 0;
  Timestamp t = 0;
  bool has_timestamp = false;
};

// The label text of an exemplar is at most this many UTF-8 characters.
inline constexpr size_t kExemplarMaxRunes = 128;

enum class MetricType { kUnknown, kCounter, kGauge, kHistogram, kGaugeHistogram, kSummary, kInfo, kStateset };

inline constexpr std::string_view MetricTypeName(MetricType t) {
  switch (t) {
    case MetricType::kCounter: return "counter";
    case MetricType::kGauge: return "gauge";
    case MetricType::kHistogram: return "histogram";
    case MetricType::kGaugeHistogram: return "gaugehistogram";
    case MetricType::kSummary: return "summary";
    case MetricType::kInfo: return "info";
    case MetricType::kStateset: return "stateset";
    case MetricType::kUnknown: break;
  }
  return "unknown";
}

struct Metadata {
  MetricType type = MetricType::kUnknown;
  std::string help;
  std::string unit;
  friend bool operator==(const Metadata&, const Metadata&) = default;
};

}  // namespace tocsin::model
