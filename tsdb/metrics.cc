#include "tsdb/metrics.h"

namespace tocsin::tsdb {

Metrics::Metrics(base::Registry* r) {
  const std::vector<double> none;
  const std::vector<double> quantiles = {0.5, 0.9, 0.99};
  auto* appended = r->AddCounterFamily("prometheus_tsdb_head_samples_appended_total", "Total number of appended samples.", {"type"});
  float_samples = appended->With({"float"});
  histogram_samples = appended->With({"histogram"});
  auto* out_of_order = r->AddCounterFamily("prometheus_tsdb_out_of_order_samples_total", "Total number of out of order samples ingestion failed attempts due to out of order being disabled.", {"type"});
  out_of_order_float = out_of_order->With({"float"});
  out_of_order_histogram = out_of_order->With({"histogram"});
  out_of_order_appended = r->AddCounterFamily("prometheus_tsdb_head_out_of_order_samples_appended_total", "Total number of appended out of order samples.", {"type"})->With({"float"});
  auto* out_of_bound = r->AddCounterFamily("prometheus_tsdb_out_of_bound_samples_total", "Total number of out of bound samples ingestion failed attempts with out of order support disabled.", {"type"});
  out_of_bound_float = out_of_bound->With({"float"});
  out_of_bound_histogram = out_of_bound->With({"histogram"});
  auto* too_old = r->AddCounterFamily("prometheus_tsdb_too_old_samples_total", "Total number of out of order samples ingestion failed attempts with out of support enabled, but sample outside of time window.", {"type"});
  too_old_float = too_old->With({"float"});
  too_old_histogram = too_old->With({"histogram"});
  series_created = r->AddCounter("prometheus_tsdb_head_series_created_total", "Total number of series created in the head");
  series_removed = r->AddCounter("prometheus_tsdb_head_series_removed_total", "Total number of series removed in the head");
  series_not_found = r->AddCounter("prometheus_tsdb_head_series_not_found_total", "Total number of requests for series that were not found.");
  chunks_created = r->AddCounter("prometheus_tsdb_head_chunks_created_total", "Total number of chunks created in the head");
  chunks_removed = r->AddCounter("prometheus_tsdb_head_chunks_removed_total", "Total number of chunks removed in the head");
  chunks_mapped = r->AddCounter("prometheus_tsdb_mmap_chunks_total", "Total number of chunks that were memory-mapped.");
  chunk_corruptions = r->AddCounter("prometheus_tsdb_mmap_chunk_corruptions_total", "Total number of memory-mapped chunk corruptions.");
  exemplars_appended = r->AddCounter("prometheus_tsdb_exemplar_exemplars_appended_total", "Total number of appended exemplars.");
  exemplars_out_of_order = r->AddCounter("prometheus_tsdb_exemplar_out_of_order_exemplars_total", "Total number of out of order exemplar ingestion failed attempts.");

  head_truncations = r->AddCounter("prometheus_tsdb_head_truncations_total", "Total number of head truncations attempted.");
  head_truncations_failed = r->AddCounter("prometheus_tsdb_head_truncations_failed_total", "Total number of head truncations that failed.");
  head_gc_seconds = r->AddSummary("prometheus_tsdb_head_gc_duration_seconds", "Runtime of garbage collection in the head block.", none);
  wal_corruptions = r->AddCounter("prometheus_tsdb_wal_corruptions_total", "Total number of WAL corruptions.");
  wal_truncations = r->AddCounter("prometheus_tsdb_wal_truncations_total", "Total number of write log truncations that were attempted.");
  wal_truncations_failed = r->AddCounter("prometheus_tsdb_wal_truncations_failed_total", "Total number of write log truncations that failed.");
  wal_truncate_seconds = r->AddSummary("prometheus_tsdb_wal_truncate_duration_seconds", "Duration of WAL truncation.", none);
  wal_fsync_seconds = r->AddSummary("prometheus_tsdb_wal_fsync_duration_seconds", "Duration of write log fsync.", quantiles);
  wal_page_flushes = r->AddCounter("prometheus_tsdb_wal_page_flushes_total", "Total number of page flushes.");
  wal_writes_failed = r->AddCounter("prometheus_tsdb_wal_writes_failed_total", "Total number of write log writes that failed.");
  wal_bytes = r->AddCounter("tocsin_tsdb_wal_written_bytes_total", "Bytes written to segments of the write-ahead log.");
  wal_segment = r->AddGauge("prometheus_tsdb_wal_segment_current", "Write log segment index that TSDB is currently writing to.");
  checkpoint_creations = r->AddCounter("prometheus_tsdb_checkpoint_creations_total", "Total number of checkpoint creations attempted.");
  checkpoint_creations_failed = r->AddCounter("prometheus_tsdb_checkpoint_creations_failed_total", "Total number of checkpoint creations that failed.");
  checkpoint_deletions = r->AddCounter("prometheus_tsdb_checkpoint_deletions_total", "Total number of checkpoint deletions attempted.");
  checkpoint_deletions_failed = r->AddCounter("prometheus_tsdb_checkpoint_deletions_failed_total", "Total number of checkpoint deletions that failed.");
  replay_seconds = r->AddGauge("prometheus_tsdb_data_replay_duration_seconds", "Time taken to replay the data on disk.");
  snapshot_replay_errors = r->AddCounter("prometheus_tsdb_snapshot_replay_error_total", "Total number snapshot replays that failed.");
  replay_unknown_series = r->AddCounterFamily("prometheus_tsdb_wal_replay_unknown_refs_total", "Total number of unknown series references encountered during WAL replay.", {"type"})->With({"samples"});

  compactions = r->AddCounter("prometheus_tsdb_compactions_total", "Total number of compactions that were executed for the partition.");
  compactions_failed = r->AddCounter("prometheus_tsdb_compactions_failed_total", "Total number of compactions that failed for the partition.");
  compactions_triggered = r->AddCounter("prometheus_tsdb_compactions_triggered_total", "Total number of triggered compactions for the partition.");
  compactions_skipped = r->AddCounter("prometheus_tsdb_compactions_skipped_total", "Total number of skipped compactions due to disabled auto compaction.");
  compaction_seconds = r->AddHistogram("prometheus_tsdb_compaction_duration_seconds", "Duration of compaction runs", {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192});
  reloads = r->AddCounter("prometheus_tsdb_reloads_total", "Number of times the database reloaded block data from disk.");
  reloads_failed = r->AddCounter("prometheus_tsdb_reloads_failures_total", "Number of times the database failed to reloadBlocks block data from disk.");
  time_retentions = r->AddCounter("prometheus_tsdb_time_retentions_total", "The number of times that blocks were deleted because the maximum time limit was exceeded.");
  size_retentions = r->AddCounter("prometheus_tsdb_size_retentions_total", "The number of times that blocks were deleted because the maximum number of bytes was exceeded.");
  vertical_compactions = r->AddCounter("prometheus_tsdb_vertical_compactions_total", "Total number of compactions done on overlapping blocks.");
  retention_limit_bytes = r->AddGauge("prometheus_tsdb_retention_limit_bytes", "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled");
  retention_limit_seconds = r->AddGauge("prometheus_tsdb_retention_limit_seconds", "How long to retain samples in storage.");
  clean_start = r->AddGauge("prometheus_tsdb_clean_start", "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: lockfile creation was clean");
  tombstone_cleanup_seconds = r->AddSummary("prometheus_tsdb_tombstone_cleanup_seconds", "The time taken to recompact blocks to remove tombstones.", none);
}

}  // namespace tocsin::tsdb
