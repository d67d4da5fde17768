// 1. The steps of a range query are computed in blocks: wide enough to read series in long runs, narrow
//    enough to bound memory.
// 2. Names whose removal was delayed go last; series that became equal are one, unless both have a
//    sample at one time.

#include "promql/exec/result.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <numeric>

#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {

OutputRows MakeOutputRows(Run& run, const SeriesTable& series) {
  OutputRows rows;
  const bool names_go = run.options().delayed_name_removal &&
                        std::ranges::any_of(series, [](const Series& s) { return s.drop_name; });
  if (!names_go) {
    // Rows differ, or are not there at the same time.
    rows.labels.reserve(series.size());
    for (const Series& s : series) rows.labels.push_back(s.labels);
    rows.target.resize(series.size());
    std::iota(rows.target.begin(), rows.target.end(), 0);
    return rows;
  }
  rows.merged = true;
  absl::flat_hash_map<std::string_view, uint32_t> seen;
  seen.reserve(series.size());
  rows.target.reserve(series.size());
  for (const Series& s : series) {
    model::LabelsView labels = s.labels;
    if (s.drop_name) {
      labels = DropMetadata(labels, &run.arena());
    }
    auto [it, fresh] =
        seen.try_emplace(labels.encoded(), static_cast<uint32_t>(rows.labels.size()));
    if (fresh) rows.labels.push_back(labels);
    rows.target.push_back(it->second);
  }
  return rows;
}

namespace {

// Cells of the widest table at once: 8 MB of values.
constexpr size_t kCellsAtOnce = 1 << 20;
// A block not shorter than the longest window reads each sample at most twice, but not beyond this.
constexpr size_t kMostCells = 1 << 24;

size_t StepsAtOnce(const Run& run, const Grid& grid) {
  const size_t rows = std::max<size_t>(run.widest(), 1);
  const auto window_steps = static_cast<size_t>(run.longest_window() / grid.step_ms + 1);
  size_t steps = std::max(kCellsAtOnce / rows, window_steps);
  steps = std::min(steps, std::max<size_t>(kMostCells / rows, 1));
  return std::clamp<size_t>(steps, 1, std::max<size_t>(grid.count, 1));
}

base::Result<Value> InstantVector(Run& run, Operator& op, const Grid& grid) {
  HeldBlock block;
  RETURN_IF_ERROR(block.Eval(run, op, {0, 1}));
  const OutputRows rows = MakeOutputRows(run, op.series());
  Vector vector;
  vector.reserve(block->CountPresent());
  std::vector<uint8_t> taken;
  RETURN_IF_ERROR(ForInstantCells(*block, rows, &taken, [&](uint32_t to, uint32_t row) {
    VectorSample& sample = vector.emplace_back();
    sample.labels = model::Labels(rows.labels[to]);
    sample.t = grid.start;
    if (block->cells(row)[0] == kHistogram) {
      sample.h = block->histogram(row, 0);
    } else {
      sample.v = block->values(row)[0];
    }
  }));
  return Value(std::move(vector));
}

// Appends a block's samples to the series of the result.  `expect_all`: series have room made for as many as
// there will be if they go on so.
void Append(const Grid& grid, StepSpan span, const Block& block, const OutputRows& rows, bool expect_all,
            std::vector<MatrixSeries>* out) {
  for (size_t row = 0; row < block.rows(); ++row) {
    MatrixSeries& series = (*out)[rows.target[row]];
    const uint8_t* cells = block.cells(row);
    const double* values = block.values(row);
    const auto floats = static_cast<size_t>(std::count(cells, cells + span.count, kFloat));
    if (series.floats.empty()) {
      // What grows by doubling takes up to twice as much.
      const size_t steps = expect_all ? grid.count - span.first : span.count;
      series.floats.reserve((floats * steps + span.count - 1) / span.count);
    } else if (series.floats.capacity() < series.floats.size() + floats) {
      series.floats.reserve(std::max(series.floats.size() + floats, series.floats.capacity() * 2));
    }
    for (size_t s = 0; s < span.count; ++s) {
      if (cells[s] == kAbsent) continue;
      const model::Timestamp t = grid.time(span.first + s);
      if (cells[s] == kHistogram) {
        series.histograms.push_back({t, block.histogram(row, s)});
      } else {
        series.floats.push_back({t, values[s]});
      }
    }
  }
}

base::Status SortMerged(MatrixSeries* series) {
  std::ranges::sort(series->floats, {}, &FloatPoint::t);
  std::ranges::sort(series->histograms, {}, &HistogramPoint::t);
  const auto repeated = [](const auto& points) {
    return std::ranges::adjacent_find(points, {}, [](const auto& p) { return p.t; }) !=
           points.end();
  };
  if (repeated(series->floats) || repeated(series->histograms)) return SameLabelset();
  return {};
}

void SortByLabels(Matrix* matrix) {
  const auto before = [](const MatrixSeries& a, const MatrixSeries& b) {
    return a.labels < b.labels;
  };
  if (!std::ranges::is_sorted(*matrix, before)) std::ranges::sort(*matrix, before);
}

base::Result<Value> RangeMatrix(Run& run, Operator& op, const Grid& grid) {
  const OutputRows rows = MakeOutputRows(run, op.series());
  std::vector<MatrixSeries> all(rows.labels.size());
  const size_t at_once = StepsAtOnce(run, grid);
  const bool expect_all = all.size() * grid.count <= static_cast<size_t>(run.options().max_samples);
  HeldBlock block;
  for (size_t first = 0; first < grid.count; first += at_once) {
    RETURN_IF_ERROR(run.Check());
    const StepSpan span{first, std::min(at_once, grid.count - first)};
    RETURN_IF_ERROR(block.Eval(run, op, span));
    RETURN_IF_ERROR(run.Charge(static_cast<int64_t>(block->CountPresent())));
    Append(grid, span, *block, rows, expect_all, &all);
    block.Drop(run);
  }
  Matrix matrix;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].floats.empty() && all[i].histograms.empty()) continue;
    if (rows.merged) RETURN_IF_ERROR(SortMerged(&all[i]));
    all[i].labels = model::Labels(rows.labels[i]);
    matrix.push_back(std::move(all[i]));
  }
  SortByLabels(&matrix);
  return Value(std::move(matrix));
}

base::Result<Value> RawMatrix(Run& run, const plan::Node& node, const Grid& grid) {
  ASSIGN_OR_RETURN(std::vector<RawSeries> raw, EvalRawRange(run, node, &grid));
  SeriesTable table;
  for (const RawSeries& r : raw) table.push_back({r.labels, r.drop_name});
  const OutputRows rows = MakeOutputRows(run, table);
  Matrix matrix(rows.labels.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    MatrixSeries& series = matrix[rows.target[i]];
    for (size_t k = 0; k < raw[i].times.size(); ++k) {
      if (!raw[i].histograms.empty() && raw[i].histograms[k]) {
        series.histograms.push_back({raw[i].times[k], std::move(raw[i].histograms[k])});
      } else {
        series.floats.push_back({raw[i].times[k], raw[i].values[k]});
      }
    }
  }
  for (size_t i = 0; i < matrix.size(); ++i) {
    if (rows.merged) RETURN_IF_ERROR(SortMerged(&matrix[i]));
    matrix[i].labels = model::Labels(rows.labels[i]);
  }
  SortByLabels(&matrix);
  return Value(std::move(matrix));
}

}  // namespace

Grid GridOf(const plan::QueryTimes& times) {
  if (times.step_ms == 0) return {.start = times.start, .step_ms = 1, .count = 1};
  const bool any = times.end >= times.start;
  return {.start = times.start,
          .step_ms = times.step_ms,
          .count = any ? static_cast<size_t>((times.end - times.start) / times.step_ms + 1) : 0};
}

base::Result<Value> RunPlan(Run& run, const plan::Plan& plan, const Grid& grid) {
  const plan::QueryTimes& times = run.times();
  const bool instant = times.step_ms == 0;
  RETURN_IF_ERROR(run.Check());
  if (plan.type == ValueType::kString) {
    return Value(String{times.start, As<StringLiteral>(*plan.root->expr).value});
  }
  if (plan.type == ValueType::kMatrix) return RawMatrix(run, *plan.root, grid);
  ASSIGN_OR_RETURN(OperatorPtr op, MakeOperator(run, *plan.root, &grid));
  RETURN_IF_ERROR(op->Open(run));
  if (!instant) return RangeMatrix(run, *op, grid);
  if (plan.type == ValueType::kVector) return InstantVector(run, *op, grid);
  Block block;
  RETURN_IF_ERROR(op->Eval(run, {0, 1}, &block));
  return Value(Scalar{times.start, block.values(0)[0]});
}

}  // namespace tocsin::promql::exec
