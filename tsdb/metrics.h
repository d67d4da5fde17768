#pragma once

// The database's own metrics, under Prometheus's names.

#include "base/metrics.h"

namespace tocsin::tsdb {

struct Metrics {
  // `registry` outlives this.
  explicit Metrics(base::Registry* registry);

  base::Counter* float_samples;
  base::Counter* histogram_samples;
  base::Counter* out_of_order_float;
  base::Counter* out_of_order_histogram;
  base::Counter* out_of_order_appended;
  base::Histogram* out_of_order_delta;
  base::Counter* out_of_bound_float;
  base::Counter* out_of_bound_histogram;
  base::Counter* too_old_float;
  base::Counter* too_old_histogram;
  base::Counter* series_created;
  base::Counter* series_removed;
  base::Counter* series_not_found;
  base::Counter* chunks_created;
  base::Counter* chunks_removed;
  base::Counter* chunks_mapped;
  base::Counter* chunk_corruptions;
  base::Counter* exemplars_appended;
  base::Counter* exemplars_out_of_order;

  base::Counter* appenders_created;
  base::Counter* head_truncations;
  base::Counter* head_truncations_failed;
  base::Summary* head_gc_seconds;
  base::Counter* wal_corruptions;
  base::Counter* wal_truncations;
  base::Counter* wal_truncations_failed;
  base::Summary* wal_truncate_seconds;
  base::Summary* wal_fsync_seconds;
  base::Counter* wal_page_flushes;
  base::Counter* wal_pages_completed;
  base::Counter* wal_writes_failed;
  base::Counter* wal_bytes;
  base::Gauge* wal_segment;
  base::Counter* checkpoint_creations;
  base::Counter* checkpoint_creations_failed;
  base::Counter* checkpoint_deletions;
  base::Counter* checkpoint_deletions_failed;
  base::Gauge* replay_seconds;
  base::Counter* replay_unknown_series;
  base::Counter* replay_unknown_late_series;
  base::Counter* snapshot_replay_errors;

  base::Counter* compactions;
  base::Counter* compactions_failed;
  base::Counter* compactions_triggered;
  base::Counter* compactions_skipped;
  base::Histogram* compaction_seconds;
  base::Histogram* compaction_chunk_range;    // of chunks cut from the head
  base::Histogram* compaction_chunk_samples;
  base::Histogram* compaction_chunk_bytes;
  base::Counter* reloads;
  base::Counter* reloads_failed;
  base::Counter* time_retentions;
  base::Counter* size_retentions;
  base::Counter* vertical_compactions;
  base::Gauge* retention_limit_bytes;
  base::Gauge* retention_limit_percentage;
  base::Gauge* retention_limit_seconds;
  base::Gauge* clean_start;
  base::Histogram* tombstone_cleanup_seconds;
};

}  // namespace tocsin::tsdb
