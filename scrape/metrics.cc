#include "scrape/metrics.h"

namespace tocsin::scrape {
namespace {

std::vector<double> Quantiles() { return {0.01, 0.05, 0.5, 0.9, 0.99}; }
std::vector<double> IntervalBounds() { return {0.01, 0.1, 1, 10}; }

}  // namespace

Metrics::Metrics(base::Registry* r)
    : pools(r->AddCounter("prometheus_target_scrape_pools_total",
                          "Total number of scrape pool creation attempts.")),
      pools_failed(r->AddCounter("prometheus_target_scrape_pools_failed_total",
                                 "Total number of scrape pool creations that failed.")),
      pool_reloads(r->AddCounter("prometheus_target_scrape_pool_reloads_total",
                                 "Total number of scrape pool reloads.")),
      pool_reloads_failed(r->AddCounter("prometheus_target_scrape_pool_reloads_failed_total",
                                        "Total number of failed scrape pool reloads.")),
      exceeded_target_limit(
          r->AddCounter("prometheus_target_scrape_pool_exceeded_target_limit_total",
                        "Total number of times scrape pools hit the target limit, during sync or config reload.")),
      exceeded_label_limits(
          r->AddCounter("prometheus_target_scrape_pool_exceeded_label_limits_total",
                        "Total number of times scrape pools hit the label limits, during sync or config reload.")),
      exceeded_body_size_limit(r->AddCounter("prometheus_target_scrapes_exceeded_body_size_limit_total",
                                             "Total number of scrapes that hit the body size limit")),
      exceeded_sample_limit(
          r->AddCounter("prometheus_target_scrapes_exceeded_sample_limit_total",
                        "Total number of scrapes that hit the sample limit and were rejected.")),
      exceeded_bucket_limit(
          r->AddCounter("prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                        "Total number of scrapes that hit the native histogram bucket limit and were rejected.")),
      cache_flush_forced(
          r->AddCounter("prometheus_target_scrapes_cache_flush_forced_total",
                        "How many times a scrape cache was flushed due to getting big while scrapes are failing.")),
      duplicate_timestamp(
          r->AddCounter("prometheus_target_scrapes_sample_duplicate_timestamp_total",
                        "Total number of samples rejected due to duplicate timestamps but different values.")),
      out_of_order(
          r->AddCounter("prometheus_target_scrapes_sample_out_of_order_total",
                        "Total number of samples rejected due to not being out of the expected order.")),
      out_of_bounds(
          r->AddCounter("prometheus_target_scrapes_sample_out_of_bounds_total",
                        "Total number of samples rejected due to timestamp falling outside of the time bounds.")),
      exemplar_out_of_order(
          r->AddCounter("prometheus_target_scrapes_exemplar_out_of_order_total",
                        "Total number of exemplar rejected due to not being out of the expected order.")),
      scrapes(r->AddCounter("tocsin_target_scrapes_total", "Scrapes done, failed ones included.")),
      scrapes_failed(r->AddCounter("tocsin_target_scrapes_failed_total", "Scrapes that failed.")),
      skipped(r->AddCounter("tocsin_target_scrapes_skipped_total",
                            "Slots that passed while the scrape before was still being stored.")),
      pool_target_limit(r->AddGaugeFamily("prometheus_target_scrape_pool_target_limit",
                                          "Maximum number of targets allowed in this scrape pool.",
                                          {"scrape_job"})),
      pool_targets(r->AddGaugeFamily("prometheus_target_scrape_pool_targets",
                                     "Current number of targets in this scrape pool.", {"scrape_job"})),
      pool_syncs(r->AddCounterFamily("prometheus_target_scrape_pool_sync_total",
                                     "Total number of syncs that were executed on a scrape pool.",
                                     {"scrape_job"})),
      sync_failed(r->AddCounterFamily("prometheus_target_sync_failed_total",
                                      "Total number of target sync failures.", {"scrape_job"})),
      metadata_entries(r->AddGaugeFamily("prometheus_target_metadata_cache_entries",
                                         "Total number of metric metadata entries in the cache",
                                         {"scrape_job"})),
      metadata_bytes(r->AddGaugeFamily(
          "prometheus_target_metadata_cache_bytes",
          "The number of bytes that are currently used for storing metric metadata in the cache",
          {"scrape_job"})),
      sync_length(r->AddSummaryFamily("prometheus_target_sync_length_seconds",
                                      "Actual interval to sync the scrape pool.", {"scrape_job"},
                                      Quantiles())),
      sync_length_histogram(r->AddHistogramFamily("prometheus_target_sync_length_histogram_seconds",
                                                  "Actual interval to sync the scrape pool.", {"scrape_job"},
                                                  IntervalBounds())),
      interval_length(r->AddSummaryFamily("prometheus_target_interval_length_seconds",
                                          "Actual intervals between scrapes.", {"interval"},
                                          Quantiles())),
      interval_length_histogram(r->AddHistogramFamily("prometheus_target_interval_length_histogram_seconds",
                                                      "Actual intervals between scrapes.", {"interval"},
                                                      IntervalBounds())),
      duration(r->AddHistogram("prometheus_target_scrape_duration_seconds",
                               "Total duration of the scrape from start to commit completion in seconds.",
                               {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})),
      reload_length(r->AddSummaryFamily(
          "prometheus_target_reload_length_seconds",
          "Actual interval to reload the scrape pool with a given configuration.", {"interval"},
          Quantiles())) {}

}  // namespace tocsin::scrape
