// Bodies of remote write.

#include <optional>
#include <protozero/pbf_writer.hpp>

#include "api/remote_write.h"
#include "base/check.h"
#include "base/compress.h"
#include "base/text.h"
#include "message.h"
#include "scrape/test_storage.h"
#include "target.h"

namespace tocsin::fuzz {
namespace {

using protozero::pbf_writer;

constexpr model::Timestamp kNow = 1'700'000'000'000;

std::string Sample(double v, int64_t t) {
  return Message([&](pbf_writer& w) { w.add_double(1, v), w.add_int64(2, t); });
}

std::string Histogram(bool floats) {
  return Message([&](pbf_writer& w) {
    const int64_t deltas[] = {1, 1};
    const double counts[] = {1.5, 2};
    if (floats) {
      w.add_double(2, 4.5);
      w.add_double(7, 1);
    } else {
      w.add_uint64(1, 4);
      w.add_uint64(6, 1);
    }
    w.add_double(3, 7.5);
    w.add_sint32(4, 2);
    w.add_double(5, 0.001);
    w.add_message(11, Message([](pbf_writer& s) { s.add_sint32(1, -3), s.add_uint32(2, 2); }));
    if (floats) {
      w.add_packed_double(13, std::begin(counts), std::end(counts));
    } else {
      w.add_packed_sint64(12, std::begin(deltas), std::end(deltas));
    }
    w.add_enum(14, 1);
    w.add_int64(15, kNow + 3);
  });
}

std::vector<std::string> BodiesV1() {
  const auto label = [](const char* name, const char* value) {
    return Message([&](pbf_writer& w) { w.add_string(1, name), w.add_string(2, value); });
  };
  const std::string body = Message([&](pbf_writer& w) {
    for (const char* job : {"a", "b"}) {
      w.add_message(1, Message([&](pbf_writer& s) {
        s.add_message(1, label("__name__", "up"));
        s.add_message(1, label("job", job));
        s.add_message(2, Sample(1.5, kNow));
        s.add_message(2, Sample(2.5, kNow + 1));
        s.add_message(3, Message([&](pbf_writer& e) {
          e.add_message(1, label("trace", "x"));
          e.add_double(2, 1);
          e.add_int64(3, kNow);
        }));
        s.add_message(4, Histogram(*job == 'a'));
      }));
    }
    w.add_message(3, Message([](pbf_writer& m) { m.add_enum(1, 1), m.add_string(2, "up"), m.add_string(4, "Help."); }));
  });
  return {body};
}

std::vector<std::string> BodiesV2() {
  const std::string body = Message([&](pbf_writer& w) {
    for (const char* symbol : {"", "__name__", "up", "job", "a", "b", "Help.", "s", "trace"}) w.add_string(4, symbol);
    for (const uint32_t job : {4u, 5u}) {
      w.add_message(5, Message([&](pbf_writer& s) {
        const uint32_t refs[] = {1, 2, 3, job};
        s.add_packed_uint32(1, std::begin(refs), std::end(refs));
        s.add_message(2, Sample(1.5, kNow));
        s.add_message(3, Histogram(job == 4));
        s.add_message(4, Message([&](pbf_writer& e) {
          const uint32_t labels[] = {8, 4};
          e.add_packed_uint32(1, std::begin(labels), std::end(labels));
          e.add_double(2, 1);
          e.add_int64(3, kNow);
        }));
        s.add_message(5, Message([](pbf_writer& m) { m.add_enum(1, 1), m.add_uint32(3, 6), m.add_uint32(4, 7); }));
      }));
    }
  });
  return {body};
}

net::HttpRequest Request(const std::string& body, const char* proto) {
  net::HttpRequest request;
  request.method = "POST";
  request.headers.Set("Content-Type", std::string("application/x-protobuf;proto=") + proto);
  request.headers.Set("Content-Encoding", "snappy");
  request.body = base::SnappyEncode(body);
  return request;
}

// The answer, which does not wait for a log that is not there.
net::HttpResponse Write(api::RemoteWriteReceiver* receiver, const net::HttpRequest& request, scrape::TestStorage* storage) {
  std::optional<net::HttpResponse> answer;
  receiver->Expect(request);
  receiver->Write(request, storage, kNow, [&answer](net::HttpResponse response) { answer = std::move(response); });
  TOCSIN_CHECK(answer.has_value());
  return *std::move(answer);
}

void Check(const scrape::TestStorage& storage, const net::HttpResponse& answer) {
  TOCSIN_CHECK(answer.status == 204 || answer.status == 400) << answer.status << ": " << answer.body;
  TOCSIN_CHECK((answer.status == 204) == answer.body.empty()) << answer.body;
  for (const auto& s : storage.series) {
    TOCSIN_CHECK(!s.labels.empty());
    for (const model::Label& l : s.labels) TOCSIN_CHECK(base::IsValidUtf8(l.name) && base::IsValidUtf8(l.value) && !l.value.empty());
    for (const auto& [t, h] : s.histograms) TOCSIN_CHECK(h->Validate().has_value());
  }
}

// To a server that knows nothing, and to one that has seen a good request of the same series: both store the same.
std::function<void(const std::string&)> Receiver(const char* proto, std::vector<std::string> (*seeds)()) {
  return [proto, seeds](const std::string& input) {
    base::Registry fresh_metrics, warm_metrics;
    scrape::TestStorage fresh, warm;
    api::RemoteWriteReceiver first(&fresh_metrics, 1), second(&warm_metrics, 1);
    const net::HttpResponse good = Write(&second, Request(seeds()[0], proto), &warm);
    TOCSIN_CHECK(good.status == 204) << good.status << good.body;
    for (auto& s : warm.series) s.samples.clear(), s.histograms.clear(), s.exemplars.clear();
    const net::HttpResponse cold = Write(&first, Request(input, proto), &fresh);
    const net::HttpResponse known = Write(&second, Request(input, proto), &warm);
    Check(fresh, cold);
    Check(warm, known);
    TOCSIN_CHECK(cold.status == known.status) << cold.body << " but " << known.body;
    for (const auto& s : fresh.series) {
      const auto* same = warm.Find(s.labels.ToMetricString());
      TOCSIN_CHECK(same != nullptr && same->samples.size() == s.samples.size() && same->histograms.size() == s.histograms.size())
          << s.labels.ToMetricString();
    }
  };
}

}  // namespace

std::vector<Target> WriteTargets() {
  return {{.name = "remote_write_v1", .rounds = 2000, .seeds = BodiesV1, .run = Receiver("prometheus.WriteRequest", BodiesV1)},
          {.name = "remote_write_v2", .rounds = 2000, .seeds = BodiesV2, .run = Receiver("io.prometheus.write.v2.Request", BodiesV2)}};
}

}  // namespace tocsin::fuzz
