#pragma once

// From the labels that a target wrote to those that are stored: the target's own are added,
// conflicts resolved, metric_relabel_configs applied, and the result is checked.
// Source: Prometheus 3.14, mutateSampleLabels and verifyLabelLimits.
// Threads: any.

#include "base/result.h"
#include "model/labels.h"
#include "scrape/config.h"
#include "scrape/exposition.h"

namespace tocsin::scrape {

// Empty: dropped by relabeling.
// Errors: kInvalidArgument (no name, a label twice, names that are not valid), kResourceExhausted (a
// label limit).
base::Result<model::Labels> SeriesLabels(LabelPairs* scraped, model::LabelsView target,
                                         const ScrapeConfig& config);

}  // namespace tocsin::scrape
