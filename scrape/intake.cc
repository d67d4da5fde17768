// A scrape in three steps:
// 1. Parse: each line is found in the cache, or its labels are made.  Nothing is written, so that a
//    body that is broken at its end leaves no trace.
// 2. Append: new series are resolved, all samples appended as one batch, outcomes counted.
// 3. Stale markers and the target's own series; one commit for all.
// A scrape that fails in 1 or 2 stores nothing; a series of the scrape before gets a marker unless it
// stood before the fault (Prometheus 2.42 and 3.14 alike).

#include "scrape/intake.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "base/compress.h"
#include "base/digest.h"
#include "base/log.h"
#include "scrape/families.h"
#include "scrape/intake_batch.h"
#include "scrape/series_labels.h"
#include "scrape/sources.h"

namespace tocsin::scrape {
namespace {

using storage::AppendOutcome;

// Decoded bodies of up to this size leave their memory for the next one on the same thread, whose
// pages and caches it still has.
constexpr size_t kKeptBufferBytes = 1 << 20;

std::string& DecodeBuffer() {
  thread_local std::string buffer;
  return buffer;
}

// Labels of a series that say what its family's description does.
constexpr std::string_view kTypeLabel = "__type__";
constexpr std::string_view kUnitLabel = "__unit__";

// Metadata outlives its family by about this many scrapes.
constexpr uint32_t kKeepFamilyScrapes = 10;
// Scrapes that fail may add this many families, and as many as there are, before old ones are looked for.
constexpr size_t kSlackFamilies = 1000;
// Comments that have not changed are still read each time that this many scrapes have passed, to know
// which families are there.
constexpr uint32_t kReadFamiliesScrapes = 8;

// Whether two configurations make the same series of the same lines.
bool SameSeries(const ScrapeConfig& a, const ScrapeConfig& b) {
  const auto same_rules = [](const model::RelabelRules& x, const model::RelabelRules& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const model::RelabelRule& r, const model::RelabelRule& s) {
                        return r.action == s.action && r.source_labels == s.source_labels &&
                               r.separator == s.separator && r.regex.pattern() == s.regex.pattern() &&
                               r.modulus == s.modulus && r.target_label == s.target_label &&
                               r.replacement == s.replacement;
                      });
  };
  return a.honor_labels == b.honor_labels && a.label_limit == b.label_limit &&
         a.label_name_length_limit == b.label_name_length_limit &&
         a.label_value_length_limit == b.label_value_length_limit &&
         a.name_validation == b.name_validation && a.honor_timestamps == b.honor_timestamps &&
         a.track_timestamps_staleness == b.track_timestamps_staleness &&
         a.extra_scrape_metrics == b.extra_scrape_metrics && same_rules(a.metric_relabel, b.metric_relabel);
}

}  // namespace

Intake::Intake(IntakeOptions options)
    : options_(std::move(options)), cache_(std::make_unique<SeriesCache>()) {}
Intake::~Intake() = default;

ScrapeReport Intake::Run(Scraped scraped) {
  ScrapeReport report;
  ++number_;
  std::unique_ptr<storage::Appender> app = options_.storage->NewAppender();
  size_t bytes = 0;
  report.status = Decode(&scraped);
  if (report.status) bytes = scraped.body.size();
  const bool empty = scraped.body.empty();
  bool read_families = false;
  if (report.status && !empty) {
    // Its memory is used again by the next scrape on this thread.
    thread_local Batch batch;
    report.status = Parse(scraped, &batch);
    read_families = batch.read_families;
    report.scraped = batch.scraped;
    report.after_relabeling = batch.after_relabeling;
    if (report.status) report.status = Append(app.get(), &batch);
    report.series_added = batch.series_added;
    WarnOfDrops(batch);
    if (!report.status) {
      // Those before what broke it.
      report.series_added = batch.over_sample_limit ? batch.added_within_limit : batch.added.size();
      std::vector<SeriesCache::Index> added;
      for (const NewSeries& n : batch.added) added.push_back(n.series);
      // What stood before the fault is still there, though its samples are not taken: no marker yet.
      for (size_t k = 0; k < batch.series.size(); ++k) {
        if (batch.track[k] != 0) cache_->Track(batch.series[k]);
      }
      for (const PendingHistogram& h : batch.histograms) {
        if (h.track) cache_->Track(h.series);
      }
      cache_->Remove(added);
      app->Rollback();
      app = options_.storage->NewAppender();
    }
    batch.Clear();
  }
  MarkStale(app.get(), scraped.t);
  const bool flush = report.status && !empty;
  const bool forced = cache_->EndScrape(flush);
  if (forced) options_.metrics->cache_flush_forced->Add();
  ForgetFamilies(flush, forced, read_families);
  report.duration = options_.executor->Monotonic() - scraped.begin;
  AppendReport(app.get(), report, scraped, bytes);
  if (const base::Status committed = app->Commit(); !committed) {
    base::LogError("Scrape commit failed", {{"scrape_pool", options_.config->job_name},
                                            {"target", options_.target->url},
                                            {"err", committed.error()}});
  }
  if (families_changed_) {
    auto metadata = std::make_shared<FamilyMetadata>();
    for (const auto& [name, family] : families_) metadata->emplace(name, family.metadata);
    report.metadata = std::move(metadata);
    families_changed_ = false;
  }
  KeepBuffer(&scraped);
  return report;
}

// As Prometheus does, not while scrapes fail, unless they make ever new ones.
void Intake::ForgetFamilies(bool flushed, bool forced, bool read_all) {
  if (flushed && read_all) families_read_ = number_;
  const bool many = families_.size() > 2 * families_before_ + kSlackFamilies;
  // The pieces of text between series that are remembered name families which were there when all
  // comments of a page that was kept were read, or later: none of them is that old.
  if (!(flushed && read_all) && !forced && !many) return;
  const size_t erased =
      std::erase_if(families_, [&](const auto& f) { return number_ - f.second.seen > kKeepFamilyScrapes; });
  if (erased > 0) {
    families_changed_ = true;
    if (!flushed) cache_->ForgetGaps();  // the page of before is remembered still
  }
  if (flushed) families_before_ = families_.size();
}

base::Status Intake::Decode(Scraped* scraped) {
  if (!scraped->fetched) {
    scraped->body.clear();
    return scraped->fetched;
  }
  const uint64_t most = MostBodyBytes(*options_.config);
  base::Status status;
  if (scraped->gzipped && !scraped->body.empty()) {
    std::string& plain = DecodeBuffer();
    status = base::GunzipInto(scraped->body, most, &plain);
    scraped->body.swap(plain);
    if (!status) scraped->body_too_large = status.error().code() == base::Code::kResourceExhausted;
  }
  if (scraped->body.size() > most) scraped->body_too_large = true;
  if (scraped->body_too_large) {
    options_.metrics->exceeded_body_size_limit->Add();
    status = base::ResourceExhausted("body size limit exceeded (limit: " + std::to_string(most) + " bytes)");
  }
  if (!status) scraped->body.clear();
  return status;
}

void Intake::KeepBuffer(Scraped* scraped) {
  std::string& kept = DecodeBuffer();
  if (scraped->gzipped && scraped->body.capacity() <= kKeptBufferBytes) {
    kept.swap(scraped->body);
  } else if (kept.capacity() > kKeptBufferBytes) {
    std::string().swap(kept);  // the compressed body
  }
}

base::Status Intake::Parse(const Scraped& scraped, Batch* batch) {
  const MediaType media = ReadMediaType(scraped.content_type, options_.config->fallback_scrape_protocol);
  if (!media.format) return base::InvalidArgument(media.problem);
  if (!media.problem.empty()) {
    base::LogDebug("Invalid content type on scrape, using fallback setting.",
                   {{"target", options_.target->url}, {"err", media.problem}});
  }
  const ExpositionFormat last_format = format_;
  format_ = *media.format == BodyFormat::kOpenMetrics ? ExpositionFormat::kOpenMetrics : ExpositionFormat::kText;
  const bool same_format = format_ == last_format;
  type_ = model::MetricType::kUnknown;
  unit_.clear();
  last_family_ = nullptr;
  const bool protobuf = *media.format == BodyFormat::kProtobuf;
  // What a series gets from its family's description is not in the memory of comments.
  const bool read_families = number_ - families_read_ >= kReadFamiliesScrapes || options_.type_and_unit_labels;
  const std::unique_ptr<EntrySource> source = MakeSource(
      *media.format, scraped.body,
      {.native_histograms = options_.target->native_histograms,
       .always_classic = options_.target->always_classic_histograms,
       .starts = options_.start_zeros || options_.start_times,
       .convert_to_nhcb = options_.target->convert_to_nhcb});
  batch->samples.reserve(cache_->size());
  batch->series.reserve(cache_->size());
  batch->track.reserve(cache_->size());

  // Text is read line by line here as long as the lines are those of the last scrape.
  const bool starts = (options_.start_zeros || options_.start_times) && format_ == ExpositionFormat::kOpenMetrics;
  const bool text = !protobuf && !options_.target->convert_to_nhcb && !starts;
  ExpositionParser* const parser = text ? static_cast<ExpositionParser*>(source.get()) : nullptr;
  size_t line_end = 0;  // of the last series
  Entry entry;
  while (true) {
    if (parser != nullptr && same_format && parser->position() == line_end) {
      line_end = TakeRepeated(scraped, line_end, read_families, batch);
      parser->SetPosition(line_end);
    }
    if (same_format) source->Expect(cache_->Expected());
    ASSIGN_OR_RETURN(const bool more, source->Next(&entry));
    if (!more) break;
    switch (entry.kind) {
      case EntryKind::kSeries:
        if (parser != nullptr) {
          const auto begin = static_cast<size_t>(entry.series.data() - scraped.body.data());
          SetGap(std::string_view(scraped.body).substr(line_end, begin - line_end));
          line_end = parser->position();
        }
        [[fallthrough]];
      case EntryKind::kHistogram: RETURN_IF_ERROR(TakeSeries(entry, scraped, batch)); break;
      case EntryKind::kComment: break;
      case EntryKind::kType:
        type_ = entry.type;
        TakeMetadata(entry);
        break;
      case EntryKind::kHelp:
        if (protobuf) unit_.clear();  // begins a family; in text the unit told last goes on, as in Prometheus
        TakeMetadata(entry);
        break;
      case EntryKind::kUnit:
        unit_ = entry.text;
        TakeMetadata(entry);
        break;
    }
  }
  batch->read_families = read_families || parser == nullptr;
  if (batch->over_sample_limit) {
    options_.metrics->exceeded_sample_limit->Add();
    return base::ResourceExhausted("sample limit exceeded (limit: " +
                                   std::to_string(options_.config->sample_limit) + ")");
  }
  if (batch->over_bucket_limit) {
    options_.metrics->exceeded_bucket_limit->Add();
    return base::ResourceExhausted("histogram bucket limit exceeded");
  }
  return {};
}

base::Result<SeriesCache::Index> Intake::Lookup(const Entry& entry, Batch* batch, bool* dropped,
                                                bool* repeated) {
  SeriesCache::Index i = cache_->Find(entry.series);
  if (i != SeriesCache::kNone) {
    *repeated = !cache_->Touch(i);
    *dropped = (*cache_)[i].dropped;
    return i;
  }
  LabelPairs pairs;
  if (base::Status parsed = ParseSeries(entry.series, format_, type_, &pairs); !parsed) {
    --batch->scraped;  // not a sample
    return std::unexpected(std::move(parsed).error());
  }
  if (options_.type_and_unit_labels) Describe(&pairs);
  auto labels = SeriesLabels(&pairs, options_.target->labels, *options_.config);
  if (!labels) {
    if (labels.error().code() == base::Code::kResourceExhausted) {
      options_.metrics->exceeded_label_limits->Add();
    }
    return std::unexpected(std::move(labels).error());
  }
  i = cache_->Add(entry.series, type_);
  if (i == SeriesCache::kNone) {
    return base::ResourceExhausted("the target's series take more than 4 GiB of text");
  }
  cache_->Touch(i);
  *dropped = (*cache_)[i].dropped = labels->empty();
  if (!*dropped) batch->added.push_back({.series = i, .labels = std::move(*labels)});
  return i;
}

// What the family's description says goes before what is written.
void Intake::Describe(LabelPairs* labels) const {
  const auto put = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    std::erase_if(*labels, [&](const auto& label) { return label.first == name; });
    labels->emplace_back(name, value);
  };
  if (type_ != model::MetricType::kUnknown) put(kTypeLabel, model::MetricTypeName(type_));
  put(kUnitLabel, unit_);
}

void Intake::TakeStart(const Entry& entry, model::Timestamp t, SeriesCache::Index i, Batch* batch) {
  if (!options_.start_zeros || entry.start == 0 || entry.start >= t) return;
  Start start{.series = i, .t = entry.start, .histogram = nullptr};
  if (entry.kind == EntryKind::kHistogram) {
    model::Histogram zero;
    zero.counter_reset = model::CounterReset::kReset;
    zero.integer = entry.histogram->integer;
    // As the sample's, so that no chunk is cut between them.
    const model::Histogram& like = *batch->histograms.back().histogram;
    zero.schema = like.schema;
    zero.zero_threshold = like.zero_threshold;
    zero.custom_values = like.custom_values;
    start.histogram = std::make_shared<const model::Histogram>(std::move(zero));
  }
  batch->starts.push_back(std::move(start));
}

base::Status Intake::TakeSeries(const Entry& entry, const Scraped& scraped, Batch* batch) {
  ++batch->scraped;
  bool dropped = false;
  bool repeated = false;
  const size_t added_before = batch->added.size();
  ASSIGN_OR_RETURN(const SeriesCache::Index i, Lookup(entry, batch, &dropped, &repeated));
  if (dropped) return {};
  ++batch->after_relabeling;

  const ScrapeConfig& config = *options_.config;
  const bool has_timestamp = entry.has_timestamp && config.honor_timestamps;
  const model::Timestamp t = has_timestamp ? entry.t : scraped.t;
  const bool histogram = entry.kind == EntryKind::kHistogram;
  if (repeated && !has_timestamp) {
    ++batch->duplicates;
    options_.metrics->duplicate_timestamp->Add();
  } else if (config.sample_limit > 0 && ++batch->accepted > config.sample_limit) {
    if (!batch->over_sample_limit) batch->added_within_limit = added_before;
    batch->over_sample_limit = true;  // parsing goes on, to count
  } else if (!histogram && t > base::ToUnixMillis(scraped.now) + kMaxAheadMs) {
    ++batch->out_of_bounds;
    options_.metrics->out_of_bounds->Add();
    batch->refused.push_back(i);
  } else if (histogram) {
    auto limited = LimitBuckets(entry.histogram, config.native_histogram_bucket_limit,
                                config.native_histogram_min_bucket_factor);
    if (limited == nullptr) {
      batch->over_bucket_limit = true;
    } else {
      batch->histograms.push_back({.series = i,
                                   .t = t,
                                   .track = !has_timestamp || config.track_timestamps_staleness,
                                   .histogram = std::move(limited),
                                   .start = options_.start_times ? entry.start : 0});
      TakeStart(entry, t, i, batch);
    }
  } else {
    batch->samples.push_back({.ref = (*cache_)[i].ref, .t = t, .v = entry.value});
    batch->series.push_back(i);
    if (options_.start_times && entry.start != 0) {
      batch->start_times.resize(batch->samples.size());
      batch->start_times.back() = entry.start;
    }
    const bool track = !has_timestamp || config.track_timestamps_staleness;
    batch->track.push_back(track);
    batch->all_tracked &= track;
    TakeStart(entry, t, i, batch);
  }

  PendingExemplars pending{.series = i, .exemplars = {}};
  if (!histogram && entry.has_exemplar) {
    pending.exemplars.push_back(entry.exemplar);
    if (!entry.exemplar.has_timestamp) pending.exemplars[0].t = t;
  } else if (histogram) {
    // Without a time an exemplar of a native histogram cannot be told from its repetition.
    std::copy_if(entry.exemplars.begin(), entry.exemplars.end(), std::back_inserter(pending.exemplars),
                 [](const model::Exemplar& e) { return e.has_timestamp; });
  }
  if (!pending.exemplars.empty()) batch->exemplars.push_back(std::move(pending));

  const bool added = batch->added.size() > added_before;
  if (options_.append_metadata && last_family_ != nullptr && (added || last_family_->second.changed == number_)) {
    const auto& [name, family] = *last_family_;
    if (IsPartOfFamily(added ? std::string(batch->added.back().labels.MetricName()) : MetricName(i), name,
                       family.metadata.type)) {
      batch->metadata.emplace_back(i, family.metadata);
    }
  }
  return {};
}

std::string Intake::MetricName(SeriesCache::Index i) const {
  LabelPairs pairs;
  if (!ParseSeries(cache_->Text(i), format_, (*cache_)[i].type, &pairs)) return {};
  auto labels = SeriesLabels(&pairs, options_.target->labels, *options_.config);
  return labels ? std::string(labels->MetricName()) : std::string();
}

void Intake::SetGap(std::string_view text) {
  if (text.empty()) return;
  cache_->SetGap({.size = static_cast<uint32_t>(text.size()),
                  .hash = base::Xxh3(text),
                  .family = last_family_,
                  .type = type_});
}

void Intake::TakeMetadata(const Entry& entry) {
  const auto [at, added] = families_.try_emplace(entry.metric);
  last_family_ = &*at;
  Family& family = at->second;
  family.seen = number_;
  const auto set = [&](auto* field, const auto& value) {
    if (*field == value) return;
    *field = value;
    families_changed_ = true;
    family.changed = number_;
  };
  families_changed_ |= added;
  if (entry.kind == EntryKind::kType) set(&family.metadata.type, entry.type);
  if (entry.kind == EntryKind::kHelp) set(&family.metadata.help, entry.text);
  if (entry.kind == EntryKind::kUnit) set(&family.metadata.unit, entry.text);
}

bool Intake::Count(AppendOutcome outcome, Batch* batch) {
  switch (outcome) {
    case AppendOutcome::kOk: return true;
    case AppendOutcome::kOutOfOrder:
    case AppendOutcome::kTooOld:
      ++batch->out_of_order;
      options_.metrics->out_of_order->Add();
      return false;
    case AppendOutcome::kDuplicateTimestamp:
      ++batch->duplicates;
      options_.metrics->duplicate_timestamp->Add();
      return false;
    case AppendOutcome::kOutOfBounds:
    case AppendOutcome::kTooFarInFuture:
      ++batch->out_of_bounds;
      options_.metrics->out_of_bounds->Add();
      return false;
    case AppendOutcome::kUnknownSeries:
    case AppendOutcome::kInvalidHistogram: return false;
  }
  return false;
}

base::Status Intake::Reresolve(storage::Appender* app, SeriesCache::Index i) {
  LabelPairs pairs;
  const std::string text(cache_->Text(i));
  RETURN_IF_ERROR(ParseSeries(text, format_, (*cache_)[i].type, &pairs));
  ASSIGN_OR_RETURN(const model::Labels labels,
                   SeriesLabels(&pairs, options_.target->labels, *options_.config));
  ASSIGN_OR_RETURN((*cache_)[i].ref, app->Resolve(labels));
  return {};
}

// New series all of whose samples lie too far in the future are not made.
void Intake::ForgetSeriesWithoutSamples(Batch* batch) {
  if (batch->refused.empty()) return;
  const absl::flat_hash_set<SeriesCache::Index> sampled(batch->series.begin(), batch->series.end());
  const absl::flat_hash_set<SeriesCache::Index> refused(batch->refused.begin(), batch->refused.end());
  std::vector<SeriesCache::Index> forget;
  std::erase_if(batch->added, [&](const NewSeries& n) {
    if (!refused.contains(n.series) || sampled.contains(n.series)) return false;
    forget.push_back(n.series);
    return true;
  });
  const absl::flat_hash_set<SeriesCache::Index> gone(forget.begin(), forget.end());
  std::erase_if(batch->exemplars, [&](const PendingExemplars& e) { return gone.contains(e.series); });
  std::erase_if(batch->metadata, [&](const auto& m) { return gone.contains(m.first); });
  cache_->Remove(forget);
}

base::Status Intake::Append(storage::Appender* app, Batch* batch) {
  ForgetSeriesWithoutSamples(batch);
  for (const NewSeries& n : batch->added) {
    ASSIGN_OR_RETURN((*cache_)[n.series].ref, app->Resolve(n.labels));
  }
  if (!batch->added.empty()) {
    for (size_t k = 0; k < batch->samples.size(); ++k) {
      batch->samples[k].ref = (*cache_)[batch->series[k]].ref;
    }
  }
  AppendStarts(app, *batch);
  batch->outcomes.resize(batch->samples.size());
  if (batch->start_times.empty()) {
    app->Append(batch->samples, batch->outcomes);
  } else {
    batch->start_times.resize(batch->samples.size());
    app->AppendStarted(batch->samples, batch->start_times, batch->outcomes);
  }
  std::vector<SeriesCache::Index> failed;
  const bool as_before =
      batch->histograms.empty() && batch->all_tracked &&
      std::all_of(batch->outcomes.begin(), batch->outcomes.end(),
                  [](AppendOutcome outcome) { return outcome == AppendOutcome::kOk; }) &&
      cache_->TrackAgain(batch->samples.size());
  for (size_t k = 0; k < batch->samples.size() && !as_before; ++k) {
    const SeriesCache::Index i = batch->series[k];
    if (batch->outcomes[k] == AppendOutcome::kUnknownSeries) {
      // The storage has forgotten a series that had no samples for long.
      RETURN_IF_ERROR(Reresolve(app, i));
      batch->samples[k].ref = (*cache_)[i].ref;
      const model::Timestamp start = batch->start_times.empty() ? 0 : batch->start_times[k];
      app->AppendStarted(std::span(batch->samples).subspan(k, 1), {&start, 1}, std::span(batch->outcomes).subspan(k, 1));
    }
    if (!Count(batch->outcomes[k], batch)) {
      failed.push_back(i);
    } else if (batch->track[k] != 0) {
      cache_->Track(i);
    }
  }
  for (const PendingHistogram& h : batch->histograms) {
    AppendOutcome outcome = app->AppendStartedHistogram((*cache_)[h.series].ref, h.t, h.start, h.histogram);
    if (outcome == AppendOutcome::kUnknownSeries) {
      RETURN_IF_ERROR(Reresolve(app, h.series));
      outcome = app->AppendStartedHistogram((*cache_)[h.series].ref, h.t, h.start, h.histogram);
    }
    if (outcome == AppendOutcome::kInvalidHistogram) {
      const base::Status valid = h.histogram->Validate();
      return base::InvalidArgument("invalid histogram of " + std::string(cache_->Text(h.series)) + ": " +
                                   (valid ? "not accepted by the storage" : valid.error().message()));
    }
    if (!Count(outcome, batch)) {
      failed.push_back(h.series);
    } else if (h.track) {
      cache_->Track(h.series);
    }
  }
  AppendExemplars(app, batch);
  for (const auto& [i, metadata] : batch->metadata) app->UpdateMetadata((*cache_)[i].ref, metadata);

  // A series whose first sample was refused is not remembered: it needs no stale marker.
  std::sort(failed.begin(), failed.end());
  std::vector<SeriesCache::Index> forget;
  for (const NewSeries& n : batch->added) {
    const bool refused = std::binary_search(failed.begin(), failed.end(), n.series) &&
                         (*cache_)[n.series].tracked == 0;
    if (refused) {
      forget.push_back(n.series);
    } else {
      ++batch->series_added;
    }
  }
  cache_->Remove(forget);
  batch->added.clear();
  return {};
}

// The same start comes with each scrape: that there are samples since is no fault, and a start that is not
// taken for another reason is none of the scrape either.
void Intake::AppendStarts(storage::Appender* app, const Batch& batch) {
  if (batch.starts.empty()) return;
  app->SetInOrderOnly(true);
  for (const Start& start : batch.starts) {
    const storage::SeriesRef ref = (*cache_)[start.series].ref;
    if (start.histogram != nullptr) {
      app->AppendHistogram(ref, start.t, start.histogram);
      continue;
    }
    const storage::FloatSample zero{.ref = ref, .t = start.t, .v = 0};
    AppendOutcome outcome{};
    app->Append({&zero, 1}, {&outcome, 1});
  }
  app->SetInOrderOnly(false);
}

void Intake::AppendExemplars(storage::Appender* app, Batch* batch) {
  for (PendingExemplars& pending : batch->exemplars) {
    std::stable_sort(pending.exemplars.begin(), pending.exemplars.end(),
                     [](const model::Exemplar& a, const model::Exemplar& b) { return a.t < b.t; });
    size_t refused = 0;
    for (const model::Exemplar& exemplar : pending.exemplars) {
      if (app->AppendExemplar((*cache_)[pending.series].ref, exemplar) == AppendOutcome::kOutOfOrder) ++refused;
    }
    // Some out of order among others is a set that was added to.
    if (refused == pending.exemplars.size()) {
      batch->exemplars_out_of_order += refused;
      options_.metrics->exemplar_out_of_order->Add(static_cast<double>(refused));
    }
  }
}

void Intake::WarnOfDrops(const Batch& batch) {
  const auto warn = [&](size_t count, std::string_view message) {
    if (count == 0) return;
    base::LogWarn(message, {{"scrape_pool", options_.config->job_name},
                            {"target", options_.target->url},
                            {"num_dropped", count}});
  };
  warn(batch.out_of_order, "Error on ingesting out-of-order samples");
  warn(batch.duplicates, "Error on ingesting samples with different value but same timestamp");
  warn(batch.out_of_bounds, "Error on ingesting samples that are too old or are too far into the future");
  warn(batch.exemplars_out_of_order, "Error on ingesting out-of-order exemplars");
}

void Intake::MarkStale(storage::Appender* app, model::Timestamp t) {
  std::vector<storage::FloatSample> markers;
  for (const storage::SeriesRef ref : cache_->Stale(inherited_)) {
    markers.push_back({.ref = ref, .t = t, .v = model::StaleMarker()});
  }
  inherited_.clear();
  if (markers.empty()) return;
  // Outcomes do not matter: a series that has a newer sample or is forgotten needs no marker.
  std::vector<AppendOutcome> outcomes(markers.size());
  app->SetInOrderOnly(true);
  app->Append(markers, outcomes);
  app->SetInOrderOnly(false);
}

std::vector<std::pair<std::string_view, double>> Intake::ReportValues(const ScrapeReport& report,
                                                                      const Scraped& scraped,
                                                                      size_t bytes) const {
  std::vector<std::pair<std::string_view, double>> values = {
      {"up", report.status ? 1 : 0},
      {"scrape_duration_seconds", base::ToSeconds(report.duration)},
      {"scrape_samples_scraped", static_cast<double>(report.scraped)},
      {"scrape_samples_post_metric_relabeling", static_cast<double>(report.after_relabeling)},
      {"scrape_series_added", static_cast<double>(report.series_added)},
  };
  if (options_.config->extra_scrape_metrics || options_.extra_scrape_metrics) {
    values.emplace_back("scrape_timeout_seconds", base::ToSeconds(options_.target->timeout));
    values.emplace_back("scrape_sample_limit", static_cast<double>(options_.config->sample_limit));
    values.emplace_back("scrape_body_size_bytes",
                        scraped.body_too_large ? -1 : static_cast<double>(bytes));
  }
  return values;
}

void Intake::AppendReport(storage::Appender* app, const ScrapeReport& report, const Scraped& scraped,
                          size_t bytes) {
  const auto values = ReportValues(report, scraped, bytes);
  report_refs_.resize(values.size());
  std::vector<storage::FloatSample> samples;
  for (size_t k = 0; k < values.size(); ++k) {
    samples.push_back({.ref = report_refs_[k], .t = scraped.t, .v = values[k].second});
  }
  std::vector<AppendOutcome> outcomes(samples.size(), AppendOutcome::kUnknownSeries);
  if (report_refs_[0] != 0) app->Append(samples, outcomes);
  for (size_t k = 0; k < values.size(); ++k) {
    storage::FloatSample& sample = samples[k];
    AppendOutcome& outcome = outcomes[k];
    if (outcome == AppendOutcome::kUnknownSeries) {
      model::LabelsBuilder labels(options_.target->labels);
      labels.Set(model::kMetricName, values[k].first);
      const auto ref = app->Resolve(labels.Build());
      if (!ref) {
        base::LogWarn("Appending scrape report failed", {{"target", options_.target->url}, {"err", ref.error()}});
        return;
      }
      sample.ref = report_refs_[k] = *ref;
      // Out of order is expected where a target went away and came back with a new loop.
      app->Append({&sample, 1}, {&outcome, 1});
    }
  }
}

void Intake::MarkAllStale(model::Timestamp t) {
  std::unique_ptr<storage::Appender> app = options_.storage->NewAppender();
  inherited_.insert(inherited_.end(), report_refs_.begin(), report_refs_.end());
  std::erase(inherited_, 0);
  MarkStale(app.get(), t);
  if (const base::Status committed = app->Commit(); !committed) {
    base::LogWarn("Stale commit failed", {{"target", options_.target->url}, {"err", committed.error()}});
  }
}

void Intake::Inherit(Intake* before) {
  inherited_ = before->cache_->Tracked();
  inherited_.insert(inherited_.end(), before->inherited_.begin(), before->inherited_.end());
}

void Intake::TakeOver(Intake* before) {
  cache_ = std::move(before->cache_);
  before->cache_ = std::make_unique<SeriesCache>();
  format_ = before->format_;
  inherited_ = std::move(before->inherited_);
  report_refs_ = std::move(before->report_refs_);
  families_ = std::move(before->families_);
  families_read_ = before->families_read_;
  families_before_ = before->families_before_;
  families_changed_ = true;
  number_ = before->number_;
}

bool Intake::empty() const {
  return inherited_.empty() && report_refs_.empty() && cache_->size() == 0;
}

void Intake::Continue(Intake* before) {
  const Target& a = *options_.target;
  const Target& b = *before->options_.target;
  const bool same = a.labels == b.labels && a.native_histograms == b.native_histograms &&
                    a.always_classic_histograms == b.always_classic_histograms &&
                    a.convert_to_nhcb == b.convert_to_nhcb &&
                    SameSeries(*options_.config, *before->options_.config);
  if (same) {
    TakeOver(before);
  } else {
    Inherit(before);
  }
}

}  // namespace tocsin::scrape
