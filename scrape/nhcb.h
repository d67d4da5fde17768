#pragma once

// Turns the classic histograms of a text body into native ones with custom bounds on the way: series
// of a family of type histogram are collected until another set of labels begins.
// Source: Prometheus 3.14, textparse.NHCBParser.

#include <memory>

#include "scrape/exposition.h"

namespace tocsin::scrape {

// With `keep_classic` the classic series are given too.
std::unique_ptr<EntrySource> MakeNhcbSource(std::unique_ptr<EntrySource> inner, ExpositionFormat format,
                                            bool keep_classic);

}  // namespace tocsin::scrape
