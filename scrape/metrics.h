#pragma once

// The scraper's own metrics, with Prometheus's names.
// Threads: any.

#include "base/metrics.h"

namespace tocsin::scrape {

struct Metrics {
  explicit Metrics(base::Registry* registry);

  base::Counter* pools;
  base::Counter* pools_failed;
  base::Counter* pool_reloads;
  base::Counter* pool_reloads_failed;
  base::Counter* exceeded_target_limit;
  base::Counter* exceeded_label_limits;
  base::Counter* exceeded_body_size_limit;
  base::Counter* exceeded_sample_limit;
  base::Counter* exceeded_bucket_limit;
  base::Counter* cache_flush_forced;
  base::Counter* duplicate_timestamp;
  base::Counter* out_of_order;
  base::Counter* out_of_bounds;
  base::Counter* exemplar_out_of_order;
  base::Counter* scrapes;         // tocsin_target_scrapes_total
  base::Counter* scrapes_failed;  // tocsin_target_scrapes_failed_total
  base::Counter* skipped;         // tocsin_target_scrapes_skipped_total
  base::Family<base::Gauge>* pool_target_limit;    // by scrape_job
  base::Family<base::Gauge>* pool_targets;         // by scrape_job
  base::Family<base::Counter>* pool_syncs;         // by scrape_job
  base::Family<base::Counter>* sync_failed;        // by scrape_job
  base::Family<base::Gauge>* metadata_entries;     // by scrape_job
  base::Family<base::Gauge>* metadata_bytes;       // by scrape_job
  base::Family<base::Summary>* sync_length;        // by scrape_job
  base::Family<base::Histogram>* sync_length_histogram;      // by scrape_job
  base::Family<base::Summary>* interval_length;              // by interval
  base::Family<base::Histogram>* interval_length_histogram;  // by interval
  base::Histogram* duration;                       // from the slot to the commit
  base::Family<base::Summary>* reload_length;      // by interval
};

}  // namespace tocsin::scrape
