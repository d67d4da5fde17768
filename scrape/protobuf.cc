// Fields (prometheus/client_model, io/prometheus/client/metrics.proto):
//   MetricFamily  name 1, help 2, type 3, metric 4, unit 5
//   Metric        label 1, gauge 2, counter 3, summary 4, untyped 5, timestamp_ms 6, histogram 7
//   LabelPair     name 1, value 2
//   Counter       value 1, exemplar 2, start_timestamp 3;  Gauge, Untyped: value 1
//   Summary       sample_count 1, sample_sum 2, quantile 3 {quantile 1, value 2}, start_timestamp 4
//   Histogram     sample_count 1, sample_sum 2, bucket 3, sample_count_float 4, schema 5,
//                 zero_threshold 6, zero_count 7, zero_count_float 8, negative_span 9,
//                 negative_delta 10, negative_count 11, positive_span 12, positive_delta 13,
//                 positive_count 14, start_timestamp 15, exemplars 16
//   Bucket        cumulative_count 1, upper_bound 2, exemplar 3, cumulative_count_float 4
//   BucketSpan    offset 1, length 2
//   Exemplar      label 1, value 2, timestamp 3
//   Timestamp     seconds 1, nanos 2

#include "scrape/protobuf.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <exception>
#include <limits>
#include <protozero/pbf_reader.hpp>

#include "base/number.h"
#include "base/text.h"
#include "scrape/histogram_build.h"

namespace tocsin::scrape {
namespace {

using protozero::pbf_reader;
using Pairs = std::vector<std::pair<std::string, std::string>>;

// A field of another wire type than its message says is skipped like an unknown one.
constexpr uint32_t Bytes(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::length_delimited);
}
constexpr uint32_t Varint(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::varint);
}
constexpr uint32_t Fixed64(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::fixed64);
}

std::string_view View(pbf_reader* in) {
  const protozero::data_view view = in->get_view();
  return std::string_view(view.data(), view.size());
}

std::string Text(pbf_reader* in) { return std::string(View(in)); }

std::pair<std::string, std::string> ReadLabel(pbf_reader in) {
  std::pair<std::string, std::string> label;
  while (in.next()) {
    switch (in.tag_and_type()) {
      case Bytes(1): label.first = Text(&in); break;
      case Bytes(2): label.second = Text(&in); break;
      default: in.skip();
    }
  }
  return label;
}

// Times beyond what milliseconds can hold are as far away as can be.
model::Timestamp ReadTime(pbf_reader in) {
  int64_t seconds = 0;
  int64_t nanos = 0;
  while (in.next()) {
    switch (in.tag_and_type()) {
      case Varint(1): seconds = in.get_int64(); break;
      case Varint(2): nanos = in.get_int32(); break;
      default: in.skip();
    }
  }
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 1000 - 1;
  return std::clamp(seconds, -kMost, kMost) * 1000 + nanos / 1'000'000;
}

model::Exemplar ReadExemplar(pbf_reader in) {
  model::Exemplar exemplar;
  Pairs labels;
  while (in.next()) {
    switch (in.tag_and_type()) {
      case Bytes(1): labels.push_back(ReadLabel(in.get_message())); break;
      case Fixed64(2): exemplar.value = in.get_double(); break;
      case Bytes(3):
        exemplar.has_timestamp = true;
        exemplar.t = ReadTime(in.get_message());
        break;
      default: in.skip();
    }
  }
  exemplar.labels = model::Labels::FromPairs(labels);
  return exemplar;
}

struct Bucket {
  double count = 0;
  double upper_bound = 0;
  std::vector<model::Exemplar> exemplar;  // none or one
};

struct HistogramMessage {
  double count = 0;
  double count_float = 0;
  double zero_count = 0;
  double zero_count_float = 0;
  model::Histogram native;
  std::vector<int64_t> positive_deltas;
  std::vector<int64_t> negative_deltas;
  std::vector<Bucket> buckets;
  std::vector<model::Exemplar> exemplars;
  model::Timestamp start = 0;

  double total() const { return count_float != 0 ? count_float : count; }
  bool IsNative() const {
    return !native.positive_spans.empty() || !native.negative_spans.empty() ||
           native.zero_threshold > 0 || zero_count > 0;
  }
};

Bucket ReadBucket(pbf_reader in) {
  Bucket bucket;
  double count_float = 0;
  while (in.next()) {
    switch (in.tag_and_type()) {
      case Varint(1): bucket.count = static_cast<double>(in.get_uint64()); break;
      case Fixed64(2): bucket.upper_bound = in.get_double(); break;
      case Bytes(3): bucket.exemplar = {ReadExemplar(in.get_message())}; break;
      case Fixed64(4): count_float = in.get_double(); break;
      default: in.skip();
    }
  }
  if (count_float != 0) bucket.count = count_float;
  return bucket;
}

model::Span ReadSpan(pbf_reader in) {
  model::Span span;
  while (in.next()) {
    switch (in.tag_and_type()) {
      case Varint(1): span.offset = in.get_sint32(); break;
      case Varint(2): span.length = in.get_uint32(); break;
      default: in.skip();
    }
  }
  return span;
}

// Repeated numbers come packed or one by one.
void ReadDeltas(pbf_reader* in, std::vector<int64_t>* out) {
  if (in->wire_type() == protozero::pbf_wire_type::length_delimited) {
    for (const int64_t v : in->get_packed_sint64()) out->push_back(v);
  } else {
    out->push_back(in->get_sint64());
  }
}

void ReadCounts(pbf_reader* in, std::vector<double>* out) {
  if (in->wire_type() == protozero::pbf_wire_type::length_delimited) {
    for (const double v : in->get_packed_double()) out->push_back(v);
  } else {
    out->push_back(in->get_double());
  }
}

HistogramMessage ReadHistogram(pbf_reader in) {
  HistogramMessage h;
  while (in.next()) {
    switch (in.tag_and_type()) {
      case Varint(1): h.count = static_cast<double>(in.get_uint64()); break;
      case Fixed64(2): h.native.sum = in.get_double(); break;
      case Bytes(3): h.buckets.push_back(ReadBucket(in.get_message())); break;
      case Fixed64(4): h.count_float = in.get_double(); break;
      case Varint(5): h.native.schema = in.get_sint32(); break;
      case Fixed64(6): h.native.zero_threshold = in.get_double(); break;
      case Varint(7): h.zero_count = static_cast<double>(in.get_uint64()); break;
      case Fixed64(8): h.zero_count_float = in.get_double(); break;
      case Bytes(9): h.native.negative_spans.push_back(ReadSpan(in.get_message())); break;
      case Bytes(10):
      case Varint(10): ReadDeltas(&in, &h.negative_deltas); break;
      case Bytes(11):
      case Fixed64(11): ReadCounts(&in, &h.native.negative_buckets); break;
      case Bytes(12): h.native.positive_spans.push_back(ReadSpan(in.get_message())); break;
      case Bytes(13):
      case Varint(13): ReadDeltas(&in, &h.positive_deltas); break;
      case Bytes(14):
      case Fixed64(14): ReadCounts(&in, &h.native.positive_buckets); break;
      case Bytes(15): h.start = ReadTime(in.get_message()); break;
      case Bytes(16): h.exemplars.push_back(ReadExemplar(in.get_message())); break;
      default: in.skip();
    }
  }
  return h;
}

base::Status CheckSpans(std::string_view side, const std::vector<model::Span>& spans, size_t buckets) {
  uint64_t total = 0;
  for (const model::Span& span : spans) total += span.length;
  if (total == buckets) return {};
  return base::InvalidArgument(std::string(side) + " side: spans require " + std::to_string(total) +
                               " buckets, have " + std::to_string(buckets));
}

// Deltas between buckets, the first from 0, to counts.
std::vector<double> Absolute(const std::vector<int64_t>& deltas) {
  std::vector<double> counts;
  uint64_t count = 0;  // wraps where bytes are hostile; negative counts are refused later
  for (const int64_t delta : deltas) {
    count += static_cast<uint64_t>(delta);
    counts.push_back(static_cast<double>(static_cast<int64_t>(count)));
  }
  return counts;
}

base::Result<model::HistogramPtr> NativeOf(const HistogramMessage& message, bool gauge) {
  auto h = std::make_shared<model::Histogram>(message.native);
  h->integer = !(message.count_float > 0 || message.zero_count_float > 0);
  h->count = h->integer ? message.count : message.count_float;
  h->zero_count = h->integer ? message.zero_count : message.zero_count_float;
  if (h->integer) {
    h->positive_buckets = Absolute(message.positive_deltas);
    h->negative_buckets = Absolute(message.negative_deltas);
  }
  if (gauge) h->counter_reset = model::CounterReset::kGauge;
  RETURN_IF_ERROR(CheckSpans("positive", h->positive_spans, h->positive_buckets.size()));
  RETURN_IF_ERROR(CheckSpans("negative", h->negative_spans, h->negative_buckets.size()));
  CompactBuckets(0, &h->positive_spans, &h->positive_buckets);
  CompactBuckets(0, &h->negative_spans, &h->negative_buckets);
  return h;
}

enum class Type { kCounter = 0, kGauge = 1, kSummary = 2, kUntyped = 3, kHistogram = 4, kGaugeHistogram = 5 };

model::MetricType ModelType(Type type) {
  switch (type) {
    case Type::kCounter: return model::MetricType::kCounter;
    case Type::kGauge: return model::MetricType::kGauge;
    case Type::kSummary: return model::MetricType::kSummary;
    case Type::kHistogram: return model::MetricType::kHistogram;
    case Type::kGaugeHistogram: return model::MetricType::kGaugeHistogram;
    case Type::kUntyped: break;
  }
  return model::MetricType::kUnknown;
}

class ProtobufSource : public EntrySource {
 public:
  ProtobufSource(std::string_view body, const SourceOptions& options) : body_(body), options_(options) {}

  base::Result<bool> Next(Entry* entry) override {
    // protozero throws at bytes that do not decode.
    try {
      return NextOrThrow(entry);
    } catch (const std::exception& e) {
      ended_ = true;
      return base::InvalidArgument("protobuf: message that ends at byte " + std::to_string(at_) + " of " +
                                   std::to_string(body_.size()) + ": " + e.what());
    }
  }

 private:
  // One entry with the text that it views.
  struct Item {
    Entry entry;
    std::string text;
  };

  base::Result<bool> NextOrThrow(Entry* entry) {
    while (items_.empty()) {
      if (ended_) return false;
      base::Result<bool> more = next_metric_ < metrics_.size() ? ReadMetric() : ReadFamily();
      if (!more) {
        ended_ = true;
        return more;
      }
      if (!*more) {
        ended_ = true;
        return false;
      }
    }
    current_ = std::move(items_.front());
    items_.pop_front();
    *entry = std::move(current_.entry);
    entry->series = current_.text;
    return true;
  }

  base::Result<bool> ReadFamily() {
    if (at_ == body_.size()) return false;
    const char* p = body_.data() + at_;
    const char* const end = body_.data() + body_.size();
    const uint64_t size = protozero::decode_varint(&p, end);
    if (size > static_cast<uint64_t>(end - p)) {
      return base::InvalidArgument("protobuf: byte " + std::to_string(at_) + ": message of " +
                                   std::to_string(size) + " bytes, but only " + std::to_string(end - p) +
                                   " are left");
    }
    pbf_reader in(p, static_cast<size_t>(size));
    at_ = static_cast<size_t>(p - body_.data()) + static_cast<size_t>(size);

    name_.clear();
    metrics_.clear();
    next_metric_ = 0;
    std::string help;
    std::string unit;
    int32_t type = 0;
    while (in.next()) {
      switch (in.tag_and_type()) {
        case Bytes(1): name_ = Text(&in); break;
        case Bytes(2): help = Text(&in); break;
        case Varint(3): type = in.get_enum(); break;
        case Bytes(4): metrics_.push_back(View(&in)); break;
        case Bytes(5): unit = Text(&in); break;
        default: in.skip();
      }
    }
    if (metrics_.empty()) return true;  // nothing to say about
    if (!model::IsValidMetricName(name_)) return base::InvalidArgument("invalid metric name: " + name_);
    if (!base::IsValidUtf8(help)) {
      return base::InvalidArgument("invalid help for metric " + base::Quote(name_) + ": " + base::Quote(help));
    }
    if (type < 0 || type > static_cast<int32_t>(Type::kGaugeHistogram)) {
      return base::InvalidArgument("unknown metric type for metric " + base::Quote(name_) + ": " +
                                   std::to_string(type));
    }
    type_ = static_cast<Type>(type);
    PushMeta(EntryKind::kHelp, help);
    if (!unit.empty()) PushMeta(EntryKind::kUnit, unit);
    PushMeta(EntryKind::kType, "");
    return true;
  }

  void PushMeta(EntryKind kind, std::string text) {
    Item& item = items_.emplace_back();
    item.entry.kind = kind;
    item.entry.metric = name_;
    item.entry.type = ModelType(type_);
    item.entry.text = std::move(text);
  }

  base::Result<bool> ReadMetric() {
    const std::string_view bytes = metrics_[next_metric_++];
    pbf_reader in(bytes.data(), bytes.size());
    labels_.clear();
    t_ = 0;
    start_ = 0;
    double value = 0;
    std::vector<model::Exemplar> exemplar;
    std::string_view summary;
    std::string_view histogram;
    while (in.next()) {
      switch (in.tag_and_type()) {
        case Bytes(1): labels_.push_back(ReadLabel(in.get_message())); break;
        case Bytes(2):
        case Bytes(5): value = ReadValue(in.get_message(), &exemplar, nullptr); break;
        case Bytes(3): value = ReadValue(in.get_message(), &exemplar, type_ == Type::kCounter ? &start_ : nullptr); break;
        case Bytes(4): summary = View(&in); break;
        case Varint(6): t_ = in.get_int64(); break;
        case Bytes(7): histogram = View(&in); break;
        default: in.skip();
      }
    }
    for (const auto& [name, text] : labels_) {
      if (!base::IsValidUtf8(name) || !base::IsValidUtf8(text)) {
        return base::InvalidArgument("invalid UTF-8 in a label of metric " + base::Quote(name_));
      }
    }
    std::sort(labels_.begin(), labels_.end());
    switch (type_) {
      case Type::kSummary: PushSummary(pbf_reader(summary.data(), summary.size())); break;
      case Type::kHistogram:
      case Type::kGaugeHistogram:
        RETURN_IF_ERROR(PushHistogram(ReadHistogram(pbf_reader(histogram.data(), histogram.size()))));
        break;
      default: Push("", {}, value, std::move(exemplar));
    }
    return true;
  }

  // `start`: null if it has none.
  static double ReadValue(pbf_reader in, std::vector<model::Exemplar>* exemplar, model::Timestamp* start) {
    double value = 0;
    while (in.next()) {
      switch (in.tag_and_type()) {
        case Fixed64(1): value = in.get_double(); break;
        case Bytes(2): *exemplar = {ReadExemplar(in.get_message())}; break;
        case Bytes(3):
          if (start != nullptr) {
            *start = ReadTime(in.get_message());
          } else {
            in.skip();
          }
          break;
        default: in.skip();
      }
    }
    return value;
  }

  // A series of the metric; a zero time is none, since proto3 cannot tell.
  Item& Push(std::string_view suffix, const std::pair<std::string, std::string>& extra, double value,
             std::vector<model::Exemplar> exemplar) {
    Item& item = items_.emplace_back();
    item.entry.kind = EntryKind::kSeries;
    item.entry.value = value;
    item.entry.has_timestamp = t_ != 0;
    item.entry.t = t_;
    item.entry.start = start_;
    item.entry.has_exemplar = !exemplar.empty();
    if (!exemplar.empty()) item.entry.exemplar = std::move(exemplar[0]);
    Pairs pairs = labels_;
    if (!extra.first.empty()) pairs.push_back(extra);
    AppendSeriesText(name_ + std::string(suffix), pairs, &item.text);
    return item;
  }

  void PushSummary(pbf_reader in) {
    double count = 0;
    double sum = 0;
    std::vector<std::pair<double, double>> quantiles;
    while (in.next()) {
      switch (in.tag_and_type()) {
        case Varint(1): count = static_cast<double>(in.get_uint64()); break;
        case Fixed64(2): sum = in.get_double(); break;
        case Bytes(3): {
          pbf_reader q = in.get_message();
          auto& [quantile, value] = quantiles.emplace_back();
          while (q.next()) {
            switch (q.tag_and_type()) {
              case Fixed64(1): quantile = q.get_double(); break;
              case Fixed64(2): value = q.get_double(); break;
              default: q.skip();
            }
          }
          break;
        }
        case Bytes(4): start_ = ReadTime(in.get_message()); break;
        default: in.skip();
      }
    }
    Push("_count", {}, count, {});
    Push("_sum", {}, sum, {});
    for (const auto& [quantile, value] : quantiles) {
      Push("", {"quantile", FormatOpenMetricsFloat(quantile)}, value, {});
    }
  }

  base::Status PushHistogram(HistogramMessage message) {
    const bool gauge = type_ == Type::kGaugeHistogram;
    start_ = message.start;
    if (options_.native_histograms && message.IsNative()) {
      auto native = NativeOf(message, gauge);
      if (!native) return std::unexpected(native.error().Within("histogram " + base::Quote(name_)));
      PushNative(std::move(*native), message);
      if (options_.always_classic && !message.buckets.empty()) PushClassic(message);
      return {};
    }
    if (!options_.convert_to_nhcb || options_.always_classic) PushClassic(message);
    if (!options_.convert_to_nhcb) return {};
    ClassicHistogram classic;
    classic.SetCount(message.total());
    classic.SetSum(message.native.sum);
    for (const Bucket& b : message.buckets) classic.SetBucket(b.upper_bound, b.count);
    ASSIGN_OR_RETURN(model::Histogram converted, classic.Convert());
    if (gauge) converted.counter_reset = model::CounterReset::kGauge;
    PushNative(std::make_shared<const model::Histogram>(std::move(converted)), message);
    return {};
  }

  void PushNative(model::HistogramPtr histogram, const HistogramMessage& message) {
    Item& item = Push("", {}, 0, {});
    item.entry.kind = EntryKind::kHistogram;
    item.entry.histogram = std::move(histogram);
    item.entry.exemplars = message.exemplars;
    if (!message.exemplars.empty()) return;
    for (const Bucket& b : message.buckets) {
      item.entry.exemplars.insert(item.entry.exemplars.end(), b.exemplar.begin(), b.exemplar.end());
    }
  }

  void PushClassic(const HistogramMessage& message) {
    Push("_count", {}, message.total(), {});
    Push("_sum", {}, message.native.sum, {});
    bool infinite = false;
    for (const Bucket& b : message.buckets) {
      Push("_bucket", {"le", FormatOpenMetricsFloat(b.upper_bound)}, b.count, b.exemplar);
      infinite |= b.upper_bound == std::numeric_limits<double>::infinity();
      if (infinite) break;
    }
    if (!infinite) Push("_bucket", {"le", "+Inf"}, message.total(), {});
  }

  const std::string_view body_;
  const SourceOptions options_;
  size_t at_ = 0;
  bool ended_ = false;

  std::string name_;  // of the family
  Type type_ = Type::kUntyped;
  std::vector<std::string_view> metrics_;
  size_t next_metric_ = 0;

  Pairs labels_;  // of the metric, sorted
  int64_t t_ = 0;
  model::Timestamp start_ = 0;

  std::deque<Item> items_;
  Item current_;  // given last
};

}  // namespace

std::unique_ptr<EntrySource> MakeProtobufSource(std::string_view body, const SourceOptions& options) {
  return std::make_unique<ProtobufSource>(body, options);
}

}  // namespace tocsin::scrape
