#pragma once

// Samples that seeds are made of.

#include <memory>

#include "model/histogram.h"

namespace tocsin::fuzz {

inline std::shared_ptr<model::Histogram> SomeHistogram(int i, bool integer) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = integer;
  h->schema = 3;
  h->zero_threshold = 1e-128;
  h->count = 11.0 + 3 * i;
  h->zero_count = 1;
  h->sum = 0.5 * i;
  h->positive_spans = {{0, 2}, {3, 1}};
  h->positive_buckets = {1.0 + i, 2.0 + i, 3.0};
  h->negative_spans = {{-2, 1}};
  h->negative_buckets = {4.0 + i};
  return h;
}

inline std::shared_ptr<model::Histogram> CustomHistogram(int i, bool integer) {
  auto h = std::make_shared<model::Histogram>();
  h->integer = integer;
  h->schema = model::kCustomBucketsSchema;
  h->count = 3.0 + 2 * i;
  h->sum = 7;
  h->positive_spans = {{0, 2}};
  h->positive_buckets = {1.0 + i, 2.0 + i};
  h->custom_values = {0.5, 5};
  return h;
}

}  // namespace tocsin::fuzz
