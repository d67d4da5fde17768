#pragma once

// Runs a plan and collects its value.

#include "promql/exec/run.h"
#include "promql/exec/value.h"

namespace tocsin::promql::exec {

// At run.times().  Errors: as promql/engine.h says.
base::Result<Value> RunPlan(Run& run, const plan::Plan& plan);

}  // namespace tocsin::promql::exec
