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
  out_of_order_delta = r->AddHistogram("prometheus_tsdb_sample_ooo_delta", "Delta in seconds by which a sample is considered out of order (reported regardless of OOO time window and whether sample is accepted or not).", {600, 1800, 3600, 7200, 10800, 21600, 43200});
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

  appenders_created = r->AddCounter("prometheus_tsdb_head_appenders_created_total", "Total number of appender transactions created.");
  head_truncations = r->AddCounter("prometheus_tsdb_head_truncations_total", "Total number of head truncations attempted.");
  head_truncations_failed = r->AddCounter("prometheus_tsdb_head_truncations_failed_total", "Total number of head truncations that failed.");
  head_gc_seconds = r->AddSummary("prometheus_tsdb_head_gc_duration_seconds", "Runtime of garbage collection in the head block.", none);
  wal_corruptions = r->AddCounter("prometheus_tsdb_wal_corruptions_total", "Total number of WAL corruptions.");
  wal_truncations = r->AddCounter("prometheus_tsdb_wal_truncations_total", "Total number of write log truncations that were attempted.");
  wal_truncations_failed = r->AddCounter("prometheus_tsdb_wal_truncations_failed_total", "Total number of write log truncations that failed.");
  wal_truncate_seconds = r->AddSummary("prometheus_tsdb_wal_truncate_duration_seconds", "Duration of WAL truncation.", none);
  wal_fsync_seconds = r->AddSummary("prometheus_tsdb_wal_fsync_duration_seconds", "Duration of write log fsync.", quantiles);
  wal_page_flushes = r->AddCounter("prometheus_tsdb_wal_page_flushes_total", "Total number of page flushes.");
  wal_pages_completed = r->AddCounter("prometheus_tsdb_wal_completed_pages_total", "Total number of completed pages.");
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
  replay_unknown_late_series = r->AddCounterFamily("prometheus_tsdb_wbl_replay_unknown_refs_total", "Total number of unknown series references encountered during WBL replay.", {"type"})->With({"samples"});

  compactions = r->AddCounter("prometheus_tsdb_compactions_total", "Total number of compactions that were executed for the partition.");
  compactions_failed = r->AddCounter("prometheus_tsdb_compactions_failed_total", "Total number of compactions that failed for the partition.");
  compactions_triggered = r->AddCounter("prometheus_tsdb_compactions_triggered_total", "Total number of triggered compactions for the partition.");
  compactions_skipped = r->AddCounter("prometheus_tsdb_compactions_skipped_total", "Total number of skipped compactions due to disabled auto compaction.");
  compaction_seconds = r->AddHistogram("prometheus_tsdb_compaction_duration_seconds", "Duration of compaction runs", {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192});
  compaction_chunk_range = r->AddHistogram("prometheus_tsdb_compaction_chunk_range_seconds", "Final time range of chunks on their first compaction", {100, 400, 1600, 6400, 25600, 102400, 409600, 1.6384e+06, 6.5536e+06, 2.62144e+07});
  compaction_chunk_samples = r->AddHistogram("prometheus_tsdb_compaction_chunk_samples", "Final number of samples on their first compaction", {4, 6, 9, 13.5, 20.25, 30.375, 45.5625, 68.34375, 102.515625, 153.7734375, 230.66015625, 345.990234375});
  compaction_chunk_bytes = r->AddHistogram("prometheus_tsdb_compaction_chunk_size_bytes", "Final size of chunks on their first compaction", {32, 48, 72, 108, 162, 243, 364.5, 546.75, 820.125, 1230.1875, 1845.28125, 2767.921875});
  reloads = r->AddCounter("prometheus_tsdb_reloads_total", "Number of times the database reloaded block data from disk.");
  reloads_failed = r->AddCounter("prometheus_tsdb_reloads_failures_total", "Number of times the database failed to reloadBlocks block data from disk.");
  time_retentions = r->AddCounter("prometheus_tsdb_time_retentions_total", "The number of times that blocks were deleted because the maximum time limit was exceeded.");
  size_retentions = r->AddCounter("prometheus_tsdb_size_retentions_total", "The number of times that blocks were deleted because the maximum number of bytes was exceeded.");
  vertical_compactions = r->AddCounter("prometheus_tsdb_vertical_compactions_total", "Total number of compactions done on overlapping blocks.");
  retention_limit_bytes = r->AddGauge("prometheus_tsdb_retention_limit_bytes", "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled");
  retention_limit_percentage = r->AddGauge("prometheus_tsdb_retention_limit_percentage", "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 means disabled");
  retention_limit_seconds = r->AddGauge("prometheus_tsdb_retention_limit_seconds", "How long to retain samples in storage.");
  clean_start = r->AddGauge("prometheus_tsdb_clean_start", "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: lockfile creation was clean");
  tombstone_cleanup_seconds = r->AddHistogram("prometheus_tsdb_tombstone_cleanup_seconds", "The time taken to recompact blocks to remove tombstones.", {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10});
}

}  // namespace tocsin::tsdb
