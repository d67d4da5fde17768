#include "scrape/families.h"

#include <initializer_list>

namespace tocsin::scrape {
namespace {

// Without the first of the suffixes that it has.
std::string_view Cut(std::string_view name, std::initializer_list<std::string_view> suffixes) {
  for (const std::string_view suffix : suffixes) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  }
  return name;
}

}  // namespace

bool IsPartOfFamily(std::string_view name, std::string_view family, model::MetricType type) {
  switch (type) {
    case model::MetricType::kCounter: return Cut(name, {"_total"}) == Cut(family, {"_total"});
    case model::MetricType::kInfo: return Cut(name, {"_info"}) == Cut(family, {"_info"});
    case model::MetricType::kHistogram: return Cut(name, {"_bucket", "_sum", "_count"}) == family;
    case model::MetricType::kGaugeHistogram: return Cut(name, {"_bucket", "_gsum", "_gcount"}) == family;
    case model::MetricType::kSummary: return Cut(name, {"_sum", "_count"}) == family;
    default: return name == family;
  }
}

}  // namespace tocsin::scrape
