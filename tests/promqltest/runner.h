#pragma once

// Runs promqltest scripts against the engine, each instant query also in the other forms that must
// give the same: with @ at its time evaluated at other times, and as a range query around it.
//
// Threads: one.

#include <string>
#include <vector>

#include "promql/engine.h"
#include "script.h"

namespace tocsin::promqltest {

struct RunnerOptions {
  promql::EngineOptions engine;
  bool repeat = true;  // the other forms
};

// The engine options that the conformance scripts are written for.
RunnerOptions ConformanceOptions();

// The same engine with every table, however small, cut into pieces of one row, which several threads compute.
promql::EngineOptions InPieces(promql::EngineOptions options);

struct Failure {
  int line = 0;
  std::string message;
};

struct ScriptResult {
  int passed = 0;  // evals
  std::vector<Failure> failures;
};

// A script that does not parse is one failure.
ScriptResult RunScript(std::string_view text, const RunnerOptions& options);

}  // namespace tocsin::promqltest
