#pragma once

// What a scraped target is: its labels after relabeling, its URL, when it is scraped.
// Source: Prometheus 3.14, scrape/target.go.
//
// Threads: immutable once built.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/labels.h"
#include "model/target_group.h"
#include "scrape/config.h"

namespace tocsin::scrape {

struct Target {
  model::Labels labels;         // without what begins with __: on every scraped series
  model::Labels all_labels;     // with the __ labels that steer the scrape, after relabeling
  model::Labels discovered;     // before relabeling
  std::string url;              // http://host:9100/metrics?module=x
  std::string unix_socket;      // of __unix_socket__; empty: none
  base::Duration interval{};
  base::Duration timeout{};
  bool native_histograms = false;
  bool always_classic_histograms = false;
  bool convert_to_nhcb = false;
  // Of labels and URL: two targets of a job with equal hashes are one.  Decides when in the interval
  // the target is scraped.
  uint64_t hash = 0;
};

using TargetPtr = std::shared_ptr<const Target>;

// The labels of a target before relabeling: its own, its group's, and the job's settings.
model::Labels DiscoveredLabels(const ScrapeConfig& config, model::LabelsView target,
                               model::LabelsView group);

// Relabels and checks.  Null: dropped by relabeling (or nothing but __ labels is left).
// Errors: kInvalidArgument, in Prometheus's words: "no address", ...
base::Result<TargetPtr> BuildTarget(const ScrapeConfig& config, model::Labels discovered);

struct DroppedTarget {
  model::Labels discovered;
};

struct TargetSet {
  std::vector<TargetPtr> active;  // each hash once, in order of discovery
  std::vector<DroppedTarget> dropped;  // at most keep_dropped_targets, if that is set
  size_t dropped_count = 0;
  std::vector<std::string> failures;
};

// All targets of a job.  Cost: one relabeling per target; run it on a worker.
TargetSet BuildTargets(const ScrapeConfig& config, const std::vector<model::TargetGroup>& groups);

// Time until the target's next slot: the same phase within the interval at every start, spread over
// targets by their hash and over servers by the seed.
base::Duration TimeToSlot(const Target& target, uint64_t seed, base::Time now);

// The seed that keeps replicas apart: FNV-1a of host name and external labels.
uint64_t OffsetSeed(std::string_view host, model::LabelsView external_labels);

}  // namespace tocsin::scrape
