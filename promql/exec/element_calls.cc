// Functions of an instant vector, value by value: abs(), clamp(), round(), the dates, and the simple
// figures of native histograms.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "promql/exec/histogram_math.h"
#include "promql/exec/label_ops.h"
#include "promql/exec/operator.h"

namespace tocsin::promql::exec {
namespace {

using plan::Function;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool IsDate(Function f) { return f >= Function::kDayOfMonth && f <= Function::kYear; }
bool IsOfHistogram(Function f) {
  return f >= Function::kHistogramAvg && f <= Function::kHistogramSum;
}

// Days since 1970 to a date of the proleptic Gregorian calendar (Howard Hinnant, chrono-compatible
// low-level date algorithms, civil_from_days), good for any year that 64-bit seconds can name.
struct Civil {
  int64_t year;
  int month;
  int day;
};
Civil CivilFromDays(int64_t z) {
  z += 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const int64_t doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  const int day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  const int month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

bool IsLeap(int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); }

int DaysInMonth(int64_t year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && IsLeap(year) ? 29 : kDays[month - 1];
}

int DayOfYear(const Civil& c) {
  int n = c.day;
  for (int m = 1; m < c.month; ++m) n += DaysInMonth(c.year, m);
  return n;
}

// Go's conversion on amd64: what does not fit becomes the smallest number.
int64_t TruncateToInt(double v) {
  if (!(v >= -9223372036854775808.0 && v < 9223372036854775808.0)) {
    return std::numeric_limits<int64_t>::min();
  }
  return static_cast<int64_t>(v);
}

double DatePart(Function f, int64_t seconds) {
  int64_t days = seconds / 86400;
  int64_t rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  switch (f) {
    case Function::kHour: return static_cast<double>(rest / 3600);
    case Function::kMinute: return static_cast<double>(rest % 3600 / 60);
    case Function::kDayOfWeek: return static_cast<double>(((days + 4) % 7 + 7) % 7);
    default: break;
  }
  const Civil c = CivilFromDays(days);
  switch (f) {
    case Function::kDayOfMonth: return c.day;
    case Function::kDayOfYear: return DayOfYear(c);
    case Function::kDaysInMonth: return DaysInMonth(c.year, c.month);
    case Function::kMonth: return c.month;
    default: return static_cast<double>(c.year);
  }
}

// Go's math.Max(lo, math.Min(hi, v)) with lo <= hi: NaN stays NaN, but a NaN bound makes NaN.
double Clamp(double v, double lo, double hi) {
  if (std::isnan(v) || std::isnan(lo) || std::isnan(hi)) {
    if (hi == -kInfinity || v == -kInfinity) v = -kInfinity;
    else if (std::isnan(v) || std::isnan(hi)) v = std::numeric_limits<double>::quiet_NaN();
    else v = v < hi ? v : hi;
    if (lo == kInfinity || v == kInfinity) return kInfinity;
    if (std::isnan(v) || std::isnan(lo)) return std::numeric_limits<double>::quiet_NaN();
  }
  if (v > hi) v = hi;
  return v < lo ? lo : v;
}

// As long as somebody waits for it.
template <class Fn>
void Map(Run& run, Block* block, Fn fn) {
  for (size_t row = 0; row < block->rows(); ++row) {
    if (!run.Spend(4 * block->steps())) return;
    double* v = block->values(row);
    const uint8_t* cells = block->cells(row);
    for (size_t s = 0; s < block->steps(); ++s) {
      if (cells[s] != kAbsent) v[s] = fn(v[s], s);
    }
  }
}

// Go's logarithm on amd64 does not normalise subnormal numbers; Prometheus gives what it gives.
double NaturalLogarithm(double v) {
  if (!(v > 0 && v < std::numeric_limits<double>::min())) return std::log(v);
  constexpr uint64_t kHalf = 0x3FE0000000000000;
  return std::log(std::bit_cast<double>(std::bit_cast<uint64_t>(v) | kHalf)) -
         1022 * std::numbers::ln2;
}

double DecimalLogarithm(double v) {
  if (!(v > 0 && v < std::numeric_limits<double>::min())) return std::log10(v);
  return NaturalLogarithm(v) / std::numbers::ln10;
}

double Sign(double v) { return v < 0 ? -1 : v > 0 ? 1 : v; }

void MapMath(Run& run, Function f, Block* b) {
  const auto map = [&run, b](auto fn) { Map(run, b, [fn](double v, size_t) { return fn(v); }); };
  switch (f) {
    case Function::kAbs: return map([](double v) { return std::fabs(v); });
    case Function::kAcos: return map([](double v) { return std::acos(v); });
    case Function::kAcosh: return map([](double v) { return std::acosh(v); });
    case Function::kAsin: return map([](double v) { return std::asin(v); });
    case Function::kAsinh: return map([](double v) { return std::asinh(v); });
    case Function::kAtan: return map([](double v) { return std::atan(v); });
    case Function::kAtanh: return map([](double v) { return std::atanh(v); });
    case Function::kCeil: return map([](double v) { return std::ceil(v); });
    case Function::kCos: return map([](double v) { return std::cos(v); });
    case Function::kCosh: return map([](double v) { return std::cosh(v); });
    case Function::kDeg: return map([](double v) { return v * 180 / std::numbers::pi; });
    case Function::kExp: return map([](double v) { return std::exp(v); });
    case Function::kFloor: return map([](double v) { return std::floor(v); });
    case Function::kLn: return map(NaturalLogarithm);
    case Function::kLog10: return map(DecimalLogarithm);
    case Function::kLog2: return map([](double v) { return std::log2(v); });
    case Function::kRad: return map([](double v) { return v * std::numbers::pi / 180; });
    case Function::kSgn: return map(Sign);
    case Function::kSin: return map([](double v) { return std::sin(v); });
    case Function::kSinh: return map([](double v) { return std::sinh(v); });
    case Function::kSqrt: return map([](double v) { return std::sqrt(v); });
    case Function::kTan: return map([](double v) { return std::tan(v); });
    case Function::kTanh: return map([](double v) { return std::tanh(v); });
    default: return;
  }
}

class ElementCallOperator : public Operator, private RowPieces {
 public:
  ElementCallOperator(const plan::Node& node, const Grid* grid, OperatorPtr input,
                      std::vector<OperatorPtr> parameters)
      : Operator(node, grid),
        input_(std::move(input)),
        parameters_(std::move(parameters)),
        parameter_blocks_(parameters_.size()) {}

  base::Status Open(Run& run) override {
    for (const OperatorPtr& op : parameters_) RETURN_IF_ERROR(op->Open(run));
    RETURN_IF_ERROR(input_->Open(run));
    series_ = input_->series();
    for (Series& s : series_) s.drop_name = true;
    if (!run.options().delayed_name_removal) {
      merge_.BuildWithoutMetadata(std::move(series_), &run.arena(), &series_);
    }
    return {};
  }

  base::Status Eval(Run& run, StepSpan span, Block* out) override {
    RETURN_IF_ERROR(EvalParameters(run, span));
    Block* block = merge_.injective() ? out : &before_merge_;
    RETURN_IF_ERROR(input_->Eval(run, span, block));
    RETURN_IF_ERROR(MapAll(run, span, block));
    if (merge_.injective()) return {};
    return merge_.Apply(before_merge_, series_.size(), out);
  }

  RowPieces* pieces() override {
    return merge_.injective() && HasPlainParameters(node_) && input_->pieces() != nullptr ? this : nullptr;
  }

 private:
  base::Status BeginPieces(Run& run, StepSpan span) override {
    RETURN_IF_ERROR(EvalParameters(run, span));
    return input_->pieces()->BeginPieces(run, span);
  }
  std::unique_ptr<Scratch> NewScratch() const override { return input_->pieces()->NewScratch(); }
  base::Status EvalRows(Run& piece, Scratch& scratch, StepSpan span, RowRange rows,
                        Block* out) const override {
    RETURN_IF_ERROR(input_->pieces()->EvalRows(piece, scratch, span, rows, out));
    return MapAll(piece, span, out);
  }
  void SeePiece(Run& run, const Block& block) override { input_->pieces()->SeePiece(run, block); }

  base::Status EvalParameters(Run& run, StepSpan span) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      RETURN_IF_ERROR(parameters_[i]->Eval(run, span, &parameter_blocks_[i]));
    }
    return {};
  }

  base::Status MapAll(Run& run, StepSpan span, Block* block) const {
    if (IsOfHistogram(node_.function)) {
      MapHistograms(run, block);
    } else if (node_.function == Function::kTimestamp) {
      MapTimestamp(span, block);
    } else {
      block->DropHistograms();
      MapFloats(run, block);
    }
    return run.Stopped();
  }

  double Parameter(size_t i, size_t step) const { return parameter_blocks_[i].values(0)[step]; }

  void MapFloats(Run& run, Block* b) const {
    const Function f = node_.function;
    switch (f) {
      case Function::kRound:
        Map(run, b, [&](double v, size_t s) {
          // Multiplying by the inverse loses less than dividing.
          const double inverse = 1.0 / (parameters_.empty() ? 1.0 : Parameter(0, s));
          return std::floor(v * inverse + 0.5) / inverse;
        });
        return;
      case Function::kClamp:
        ClampAll(b, [&](size_t s) { return Parameter(0, s); },
                 [&](size_t s) { return Parameter(1, s); });
        return;
      case Function::kClampMax:
        ClampAll(b, [](size_t) { return -kInfinity; }, [&](size_t s) { return Parameter(0, s); });
        return;
      case Function::kClampMin:
        ClampAll(b, [&](size_t s) { return Parameter(0, s); }, [](size_t) { return kInfinity; });
        return;
      case Function::kStartTimestamp:
        // Only a selector's samples have one, and only where they are asked for.
        for (size_t row = 0; row < b->rows(); ++row) {
          std::fill_n(b->cells(row), b->steps(), uint8_t{kAbsent});
        }
        return;
      default: break;
    }
    if (IsDate(f)) {
      Map(run, b, [f](double v, size_t) { return DatePart(f, TruncateToInt(v)); });
    } else {
      MapMath(run, f, b);
    }
  }

  template <class Lo, class Hi>
  static void ClampAll(Block* b, Lo lo, Hi hi) {
    for (size_t s = 0; s < b->steps(); ++s) {
      const double low = lo(s);
      const double high = hi(s);
      const bool none = high < low;
      for (size_t row = 0; row < b->rows(); ++row) {
        if (none) b->cells(row)[s] = kAbsent;
        b->values(row)[s] = Clamp(b->values(row)[s], low, high);
      }
    }
  }

  void MapTimestamp(StepSpan span, Block* b) const {
    for (size_t row = 0; row < b->rows(); ++row) {
      for (size_t s = 0; s < span.count; ++s) {
        if (b->cells(row)[s] == kAbsent) continue;
        b->SetFloat(row, s, static_cast<double>(grid_.time(span.first + s)) / 1000);
      }
    }
  }

  void MapHistograms(Run& run, Block* b) const {
    for (size_t row = 0; row < b->rows(); ++row) {
      if (!run.Spend(Run::kCellsAHistogram * b->steps())) return;
      uint8_t* cells = b->cells(row);
      for (size_t s = 0; s < b->steps(); ++s) {
        if (cells[s] != kHistogram) {
          cells[s] = kAbsent;
          continue;
        }
        const model::Histogram& h = *b->histogram(row, s);
        double v = 0;
        switch (node_.function) {
          case Function::kHistogramAvg: v = h.sum / h.count; break;
          case Function::kHistogramCount: v = h.count; break;
          case Function::kHistogramSum: v = h.sum; break;
          case Function::kHistogramStdvar: v = HistogramVariance(h); break;
          default: v = std::sqrt(HistogramVariance(h)); break;
        }
        b->SetFloat(row, s, v);
      }
    }
  }

  OperatorPtr input_;
  std::vector<OperatorPtr> parameters_;
  std::vector<Block> parameter_blocks_;
  RowMerge merge_;
  Block before_merge_;
};

// hour() and its like without an argument: of the evaluation's time.
class DateNowOperator : public Operator {
 public:
  DateNowOperator(const plan::Node& node, const Grid* grid) : Operator(node, grid) {
    series_.emplace_back();
  }
  base::Status Open(Run&) override { return {}; }
  base::Status Eval(Run&, StepSpan span, Block* out) override {
    out->Reset(1, span.count);
    for (size_t s = 0; s < span.count; ++s) {
      out->SetFloat(0, s, DatePart(node_.function, grid_.time(span.first + s) / 1000));
    }
    return {};
  }
};

}  // namespace

base::Result<OperatorPtr> MakeElementCall(Run& run, const plan::Node& node, const Grid* grid) {
  if (node.inputs.empty()) return std::make_unique<DateNowOperator>(node, grid);
  ASSIGN_OR_RETURN(OperatorPtr input, MakeOperator(run, *node.inputs[0], grid));
  std::vector<OperatorPtr> parameters;
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    ASSIGN_OR_RETURN(OperatorPtr op, MakeOperator(run, *node.inputs[i], grid));
    parameters.push_back(std::move(op));
  }
  return std::make_unique<ElementCallOperator>(node, grid, std::move(input),
                                               std::move(parameters));
}

}  // namespace tocsin::promql::exec
