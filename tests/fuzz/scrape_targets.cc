// The exposition formats.

#include <bit>
#include <protozero/pbf_writer.hpp>

#include "base/check.h"
#include "message.h"
#include "scrape/sources.h"
#include "target.h"

namespace tocsin::fuzz {
namespace {

using protozero::pbf_writer;
using scrape::BodyFormat;

const char kText[] = R"(# HELP up Whether it is up: \\ \n "quoted".
# TYPE up gauge
up{job="node",instance="a\"b\\c\nd"} 1 1700000000000
up{job="x"} NaN
{"with.dots",job="y"} +Inf -5
# TYPE h histogram
h_bucket{le="0.5"} 3
h_bucket{le="+Inf"} 0x1p-3
h_sum 2e+300
h_count 3
# a comment
# TYPE s summary
s{quantile="0.9"} 1e-5
s_count{} 2
)";

const char kOpenMetrics[] = R"(# HELP a Help \\ \"x\".
# TYPE a counter
# UNIT a seconds
a_seconds_total{b="c"} 1 1700000000.5 # {trace="x"} 0.5 1700000000.1
a_seconds_created{b="c"} 1600000000
# TYPE h histogram
h_bucket{le="1"} 3 # {} 0.5
h_bucket{le="+Inf"} 4 # {trace_id="yyy",a="b"} 3
h_sum 7.5
h_count 4
# TYPE g gaugehistogram
g_gcount 3
# TYPE i info
i_info{v="1.0"} 1
# TYPE st stateset
st{st="a"} 0
{"q.name","l.x"="y"} 3
# EOF
)";

std::string Label(const std::string& name, const std::string& value) {
  return Message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_string(2, value);
  });
}

std::string Exemplar() {
  return Message([](pbf_writer& w) {
    w.add_message(1, Label("id", "x"));
    w.add_double(2, 0.5);
    w.add_message(3, Message([](pbf_writer& t) { t.add_int64(1, 1700000000), t.add_int32(2, 5); }));
  });
}

std::string Bucket(double bound, uint64_t count) {
  return Message([&](pbf_writer& w) {
    w.add_uint64(1, count);
    w.add_double(2, bound);
    w.add_message(3, Exemplar());
  });
}

std::string Family(const std::string& name, int type, uint32_t field, const std::string& value) {
  const std::string family = Message([&](pbf_writer& w) {
    w.add_string(1, name);
    w.add_string(2, "Help.");
    w.add_enum(3, type);
    for (const char* label : {"b", "c"}) {
      w.add_message(4, Message([&](pbf_writer& m) {
        m.add_message(1, Label("a", label));
        m.add_message(field, value);
        m.add_int64(6, 1700000000000);
      }));
    }
    w.add_string(5, "seconds");
  });
  std::string out;
  protozero::write_varint(std::back_inserter(out), family.size());
  return out + family;
}

std::vector<std::string> Families() {
  const std::string value = Message([](pbf_writer& w) { w.add_double(1, 2.5), w.add_message(2, Exemplar()); });
  const std::string summary = Message([](pbf_writer& w) {
    w.add_uint64(1, 7);
    w.add_double(2, 2.5);
    w.add_message(3, Message([](pbf_writer& q) { q.add_double(1, 0.9), q.add_double(2, 5); }));
  });
  const int64_t deltas[] = {1, 2, -1, 3};
  const double counts[] = {1, 2, 1.5};
  const double bounds[] = {0.5, 5};
  const auto histogram = [&](bool native, bool floats) {
    return Message([&](pbf_writer& w) {
      w.add_uint64(1, 13);
      w.add_double(2, 2.5);
      w.add_message(3, Bucket(1, 4));
      w.add_message(3, Bucket(8, 9));
      if (!native) return;
      w.add_sint32(5, 3);
      w.add_double(6, 0.001);
      w.add_uint64(7, 2);
      w.add_message(12, Message([&](pbf_writer& s) { s.add_sint32(1, -1), s.add_uint32(2, floats ? 3 : 4); }));
      if (floats) {
        w.add_packed_double(14, std::begin(counts), std::end(counts));
      } else {
        w.add_packed_sint64(13, std::begin(deltas), std::end(deltas));
      }
      w.add_message(16, Exemplar());
      w.add_packed_double(17, std::begin(bounds), std::end(bounds));
    });
  };
  return {Family("a_total", 0, 3, value) + Family("g", 1, 2, value) + Family("u", 3, 5, value),
          Family("s", 2, 4, summary) + Family("h", 4, 7, histogram(false, false)),
          Family("n", 4, 7, histogram(true, false)) + Family("f", 4, 7, histogram(true, true))};
}

// Reads a body to its end.  What was read, as text, so that two readings can be compared.
std::string ReadAll(scrape::EntrySource* source, BodyFormat format, std::string_view body, bool expect) {
  std::string all, last;
  scrape::Entry entry;
  scrape::LabelPairs pairs;
  // Of one line come as many entries as a histogram has classic buckets, at most.
  for (size_t n = 0;; ++n) {
    TOCSIN_CHECK(n <= 16 * body.size() + 16) << "no end of entries";
    if (expect) source->Expect(last);
    const auto more = source->Next(&entry);
    if (!more) return all + more.error().message();
    if (!*more) return all;
    all += std::to_string(static_cast<int>(entry.kind)) + " ";
    switch (entry.kind) {
      case scrape::EntryKind::kHistogram:
        TOCSIN_CHECK(entry.histogram != nullptr);
        base::Ignore(entry.histogram->Validate());  // asked where it is appended
        all += entry.histogram->ToString();
        [[fallthrough]];
      case scrape::EntryKind::kSeries: {
        const auto text = format == BodyFormat::kText ? scrape::ExpositionFormat::kText : scrape::ExpositionFormat::kOpenMetrics;
        if (format != BodyFormat::kProtobuf && scrape::ParseSeries(entry.series, text, entry.type, &pairs)) {
          TOCSIN_CHECK(!pairs.empty()) << entry.series;
        }
        all += std::string(entry.series) + " " + std::to_string(std::bit_cast<uint64_t>(entry.value)) + "\n";
        last = entry.series;
        break;
      }
      default: all += entry.metric + "\n";
    }
  }
}

std::function<void(const std::string&)> Reader(BodyFormat format) {
  return [format](const std::string& input) {
    for (int options = 0; options < 8; ++options) {
      const scrape::SourceOptions o{.native_histograms = (options & 1) != 0,
                                    .always_classic = (options & 2) != 0,
                                    .convert_to_nhcb = (options & 4) != 0};
      const std::string plain = ReadAll(scrape::MakeSource(format, input, o).get(), format, input, false);
      const std::string expecting = ReadAll(scrape::MakeSource(format, input, o).get(), format, input, true);
      TOCSIN_CHECK(plain == expecting) << plain << "\nbut when it expects the last series again\n" << expecting;
    }
  };
}

}  // namespace

std::vector<Target> ScrapeTargets() {
  return {{.name = "exposition_text", .seeds = [] { return std::vector<std::string>{kText}; }, .run = Reader(BodyFormat::kText)},
          {.name = "exposition_openmetrics", .seeds = [] { return std::vector<std::string>{kOpenMetrics}; },
           .run = Reader(BodyFormat::kOpenMetrics)},
          {.name = "exposition_protobuf", .seeds = Families, .run = Reader(BodyFormat::kProtobuf)}};
}

}  // namespace tocsin::fuzz
