#pragma once

#include "promql/engine.h"
#include "script.h"

namespace tocsin::promqltest {

// Equal within a relative 1e-6, NaN to NaN, stale markers only to stale markers.
bool AlmostEqual(double a, double b);

// What is wrong, or nothing.
std::string CompareVector(const EvalCommand& eval, const promql::Vector& got);
std::string CompareMatrix(const EvalCommand& eval, const promql::Matrix& got);
std::string CompareValue(const EvalCommand& eval, const promql::Value& got);
std::string CompareAnnotations(const EvalCommand& eval, const promql::QueryResult& got);

}  // namespace tocsin::promqltest
