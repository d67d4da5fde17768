// The steady state of a scrape: a line that has the bytes of its predecessor up to the value is not
// parsed.  What is not plain (another series, a changed comment, an exemplar, a value like +Inf) is left
// to the parser.
//
// By the books of one core: 20 ns a line, of which comparing the bytes and reading the number are half each.

#include <fast_float/fast_float.h>

#include <cmath>

#include "model/sample.h"
#include "scrape/intake_batch.h"

namespace tocsin::scrape {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Up to 18 digits, so that they fit.
const char* ReadDigits(const char* p, const char* end, int64_t* value) {
  constexpr ptrdiff_t kMost = 18;
  const char* const begin = p;
  if (end - p > kMost) end = p + kMost;
  int64_t v = 0;
  while (p < end && IsDigit(*p)) v = v * 10 + (*p++ - '0');
  *value = v;
  return p == begin ? nullptr : p;
}

// A decimal number.  Null: it is not plain.
const char* ReadValue(const char* p, const char* end, double* value) {
  constexpr ptrdiff_t kExactDigits = 15;  // below 2^53
  int64_t whole = 0;
  const char* after = ReadDigits(p, end, &whole);
  if (after != nullptr && after < end && (*after == '\n' || *after == ' ') && after - p <= kExactDigits) {
    *value = static_cast<double>(whole);
    return after;
  }
  const char* const digits = p < end && *p == '-' ? p + 1 : p;
  if (digits >= end || !IsDigit(*digits)) {
    if (!std::string_view(p, static_cast<size_t>(end - p)).starts_with("NaN")) return nullptr;
    *value = model::NormalNan();
    return p + 3;
  }
  const auto read = fast_float::from_chars(p, end, *value);
  return read.ec == std::errc() && std::isfinite(*value) ? read.ptr : nullptr;
}

}  // namespace

size_t Intake::TakeRepeated(const Scraped& scraped, size_t at, bool read_gaps, Batch* batch) {
  const ScrapeConfig& config = *options_.config;
  const std::string_view body = scraped.body;
  const char* const end = body.data() + body.size();
  const model::Timestamp most = base::ToUnixMillis(scraped.now) + kMaxAheadMs;
  const bool timestamps = format_ == ExpositionFormat::kText;
  // Its series get its new description, by the parser's way.
  const bool describe =
      options_.append_metadata && last_family_ != nullptr && last_family_->second.changed == number_;
  while (true) {
    const SeriesCache::Step step = cache_->Match(body.substr(at));
    if (step.series == SeriesCache::kNone || (step.gap != nullptr ? read_gaps : describe)) return at;
    const char* p = body.data() + at + step.size;
    double value = 0;
    if (p == end || *p != ' ' || (p = ReadValue(p + 1, end, &value)) == nullptr || p == end) return at;
    model::Timestamp t = scraped.t;
    bool timed = false;
    if (*p == ' ' && timestamps) {
      int64_t told = 0;
      if ((p = ReadDigits(p + 1, end, &told)) == nullptr || p == end) return at;
      if (config.honor_timestamps) {
        t = told;
        timed = true;
      }
    }
    if (*p != '\n' || t > most) return at;
    const SeriesCache::Entry& series = (*cache_)[step.series];
    const bool track = !timed || config.track_timestamps_staleness;
    if (!series.dropped && config.sample_limit > 0 && batch->accepted >= config.sample_limit) return at;
    if (step.gap != nullptr) {
      last_family_ = step.gap->family;
      type_ = step.gap->type;
    }
    const bool first = cache_->Take(step);
    at = static_cast<size_t>(p + 1 - body.data());
    ++batch->scraped;
    if (series.dropped) continue;
    ++batch->after_relabeling;
    if (!first && !timed) {
      ++batch->duplicates;
      options_.metrics->duplicate_timestamp->Add();
      continue;
    }
    ++batch->accepted;
    batch->samples.push_back({.ref = series.ref, .t = t, .v = value});
    batch->series.push_back(step.series);
    batch->track.push_back(track);
    batch->all_tracked &= track;
  }
}

}  // namespace tocsin::scrape
