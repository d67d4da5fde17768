// Remote write and remote read.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <protozero/pbf_reader.hpp>
#include <random>

#include "api/prometheus_world_test.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RemoteApiTest : public PrometheusApiTest {};

TEST_F(RemoteApiTest, OutOfOrderSamplesAreRefusedAndTheOthersKept) {
  Fill({{"__name__", "up"}});
  std::string request;
  AddSeries({{"__name__", "up"}}, {{kNow - 30'000, 7}}, &request);
  AddSeries({{"__name__", "other"}}, {{kNow, 8}}, &request);
  AddSeries({{"__name__", "far"}}, {{kNow + 3'600'000, 8}}, &request);
  auto x = Write(request);
  EXPECT_EQ(x->status(), 400);
  EXPECT_THAT(x->body(), HasSubstr("out of order sample"));
  EXPECT_THAT(x->body(), HasSubstr("too far in the future"));
  EXPECT_THAT(Get("/api/v1/query?query=other&time=1700000000"), HasSubstr("\"8\""));
}

TEST_F(RemoteApiTest, SeriesWithInvalidLabelsAreLeftOut) {
  std::string request;
  AddSeries({{"job", "nameless"}}, {{kNow, 1}}, &request);
  AddSeries({{"__name__", "twice"}, {"a", "1"}, {"a", "2"}}, {{kNow, 1}}, &request);
  AddSeries({{"__name__", "bytes"}, {"a", "\xff"}}, {{kNow, 1}}, &request);
  AddSeries({{"__name__", "good"}}, {{kNow, 1}}, &request);
  EXPECT_EQ(Write(request)->status(), 204);
  EXPECT_EQ(Get("/api/v1/label/__name__/values"), R"({"status":"success","data":["good"]})");
  EXPECT_THAT(Get("/metrics"),
              HasSubstr("prometheus_api_remote_write_invalid_labels_samples_total 3"));
}

TEST_F(RemoteApiTest, LabelsAreKnownWhereverTheyStand) {
  std::string first;
  AddSeries({{"__name__", "m"}, {"a", "b"}}, {{kNow - 2000, 1}}, &first, true);
  EXPECT_EQ(Write(first)->status(), 204);
  std::string second;
  AddSeries({{"a", "b"}, {"__name__", "m"}}, {{kNow - 1000, 2}}, &second);
  EXPECT_EQ(Write(second)->status(), 204);
  EXPECT_EQ(Get("/api/v1/series?match%5B%5D=m"),
            R"({"status":"success","data":[{"__name__":"m","a":"b"}]})");
}

TEST_F(RemoteApiTest, SeriesAreKnownInWhateverOrderTheyCome) {
  const std::vector<Pairs> series = {{{"__name__", "m"}, {"a", "1"}},
                                     {{"__name__", "m"}, {"a", "1"}, {"b", "2"}},  // begins as the one before
                                     {{"__name__", "m"}, {"a", "22"}},
                                     {{"__name__", "n"}}};
  const std::vector<std::vector<size_t>> requests = {{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 2, 3}, {1, 0, 3, 2},
                                                     {1, 0, 3, 2}, {3, 2, 1, 0}, {0, 1, 2, 3}, {2}};
  std::vector<std::string> last(series.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    std::string request;
    for (const size_t s : requests[i]) {
      const model::Timestamp t = kNow - 1000 * static_cast<model::Timestamp>(requests.size() - i);
      AddSeries(series[s], {{t, static_cast<double>(10 * i + s)}}, &request);
      last[s] = std::to_string(10 * i + s);
    }
    EXPECT_EQ(Write(request)->status(), 204) << i;
  }
  const char* const selectors[] = {"m{a=\"1\",b=\"\"}", "m{b=\"2\"}", "m{a=\"22\"}", "n"};
  for (size_t s = 0; s < series.size(); ++s) {
    EXPECT_THAT(Get("/api/v1/query?time=1700000000&query=" + base::QueryEscape(selectors[s])),
                HasSubstr("\"" + last[s] + "\"]}]"))
        << selectors[s];
  }
}

TEST_F(RemoteApiTest, OtherFieldsBehindKnownLabelsAreRead) {
  const Pairs labels[] = {{{"__name__", "m"}}, {{"__name__", "n"}}};
  const auto write = [&](const auto& add_behind) {
    std::string request;
    AddSeries(labels[0], {{kNow, 1}}, &request);
    protozero::pbf_writer writer(request);
    protozero::pbf_writer series(writer, 1);
    {
      protozero::pbf_writer label(series, 1);
      label.add_string(1, "__name__");
      label.add_string(2, "n");
    }
    add_behind(&series);
    series.commit();
    return Write(request)->status();
  };
  const auto add = [](protozero::pbf_writer* series, double v, model::Timestamp t, bool v_first = true) {
    protozero::pbf_writer fields(*series, 2);
    if (v_first) fields.add_double(1, v);
    fields.add_int64(2, t);
    if (!v_first) fields.add_double(1, v);
  };
  const auto value = [&](std::string_view selector) {
    return Get("/api/v1/query?time=1700000000&query=" + base::QueryEscape(selector));
  };
  // The first two make the second series the expected one.
  for (int i = 0; i < 2; ++i) EXPECT_EQ(write([&](auto* s) { add(s, i, kNow - 9000 + i); }), 204);
  EXPECT_EQ(write([&](auto* s) { add(s, 7, kNow - 8000, false); }), 204);
  EXPECT_THAT(value("n"), HasSubstr("\"7\"]"));
  EXPECT_EQ(write([&](auto* s) { add(s, 8, kNow - 7000), add(s, 9, kNow - 6000); }), 204);
  EXPECT_THAT(value("n"), HasSubstr("\"9\"]"));
  // Zero is not written, in proto3.
  EXPECT_EQ(write([&](auto* s) {
              protozero::pbf_writer sample(*s, 2);
              sample.add_int64(2, kNow - 5000);
            }), 204);
  EXPECT_THAT(value("n"), HasSubstr("\"0\"]"));
  // A label behind the sample: another series.
  EXPECT_EQ(write([&](auto* s) {
              add(s, 10, kNow - 4000);
              protozero::pbf_writer label(*s, 1);
              label.add_string(1, "late");
              label.add_string(2, "label");
            }), 204);
  EXPECT_THAT(value("n{late=\"\"}"), HasSubstr("\"0\"]"));
  EXPECT_THAT(value("n{late=\"label\"}"), HasSubstr("\"10\"]"));
  EXPECT_EQ(write([&](auto* s) { add(s, 11, kNow); }), 204);
  EXPECT_THAT(value("n{late=\"\"}"), HasSubstr("\"11\"]"));
}

TEST_F(RemoteApiTest, ProtocolTwoAnswersWithCounts) {
  net::Headers headers{
      {"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
      {"Content-Encoding", "snappy"}};
  auto x = Write(RequestV2({{"__name__", "m"}, {"a", "b"}}, {{kNow - 1000, 1}, {kNow, 2}}), headers);
  EXPECT_EQ(x->status(), 204) << x->body();
  EXPECT_EQ(x->response().headers.Get("X-Prometheus-Remote-Write-Samples-Written"), "2");
  EXPECT_THAT(Get("/api/v1/query?query=m&time=1700000000"), HasSubstr("\"a\":\"b\""));
  auto partly = Write(RequestV2({{"__name__", "m"}, {"a", "b"}}, {{kNow - 5000, 1}, {kNow + 1, 2}}),
                      headers);
  EXPECT_EQ(partly->status(), 400);
  EXPECT_EQ(partly->response().headers.Get("X-Prometheus-Remote-Write-Samples-Written"), "1");
  auto nameless = Write(RequestV2({{"a", "b"}}, {{kNow, 1}}), headers);
  EXPECT_EQ(nameless->status(), 400);
}

TEST_F(RemoteApiTest, ProtocolTwoTellsWhenSamplesBegan) {
  const net::Headers headers{{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"}};
  EXPECT_EQ(Write(RequestV2({{"__name__", "f"}}, {{kNow - 3000, 1}, {kNow - 2000, 2}, {kNow - 1000, 3}}, {5, 0, 7}), headers)->status(), 204);
  EXPECT_EQ(Write(RequestV2({{"__name__", "h"}}, {}, {8, 0, 9}), headers)->status(), 204);
  EXPECT_EQ(Write(RequestV2({{"__name__", "none"}}, {{kNow, 1}}), headers)->status(), 204);
  const auto starts = [&](std::string_view name) {
    storage::SampleColumns columns;
    const auto q = db_->NewQuerier({});
    EXPECT_TRUE((*q->Select({}, std::vector{model::Matcher::Equal("__name__", name)}))->Read(0, 1, {}, &columns));
    return columns.start_times;
  };
  EXPECT_THAT(starts("f"), ::testing::ElementsAre(5, 0, 7));
  EXPECT_THAT(starts("h"), ::testing::ElementsAre(8, 0, 9));
  EXPECT_THAT(starts("none"), ::testing::IsEmpty());
}

TEST_F(RemoteApiTest, OtherFormatsAreRefused) {
  auto status = [&](net::Headers headers) { return Write("", std::move(headers))->status(); };
  EXPECT_EQ(status({{"Content-Type", "application/json"}}), 415);
  EXPECT_EQ(status({{"Content-Encoding", "gzip"}}), 415);
  EXPECT_EQ(status({{"Content-Type", "application/x-protobuf;proto=other"}}), 415);
  EXPECT_EQ(Send("POST", "/api/v1/write", "garbage")->status(), 400);
  EXPECT_EQ(Write("\x0a\xff\xff")->status(), 400);
  // 33 MB of zeros in a few bytes.
  EXPECT_EQ(Write(std::string(33 << 20, '\0'))->status(), 413);
}

TEST_F(RemoteApiTest, BrokenRequestsAreAnsweredNotDiedOf) {
  std::string whole;
  AddSeries({{"__name__", "m"}, {"a", "b"}}, {{kNow, 1}}, &whole);
  std::string v2 = RequestV2({{"__name__", "m"}}, {{kNow, 1}});
  std::mt19937 random(3);
  for (const std::string& request : {whole, v2}) {
    net::Headers headers{{"Content-Type", request == v2
                                              ? "application/x-protobuf;proto=io.prometheus.write.v2.Request"
                                              : "application/x-protobuf"}};
    for (size_t cut = 0; cut < request.size(); ++cut) {
      EXPECT_THAT(Write(request.substr(0, cut), headers)->status(), ::testing::AnyOf(204, 400));
      std::string flipped = request;
      flipped[cut] = static_cast<char>(random());
      EXPECT_THAT(Write(flipped, headers)->status(), ::testing::AnyOf(204, 400));
    }
  }
}

std::string ReadRequest(std::string_view metric, int accepted) {
  std::string out;
  protozero::pbf_writer writer(out);
  {
    protozero::pbf_writer query(writer, 1);
    query.add_int64(1, kNow - 60'000);
    query.add_int64(2, kNow);
    for (auto [name, value] : {std::pair<std::string_view, std::string_view>("__name__", metric),
                               std::pair<std::string_view, std::string_view>("cluster", "c1")}) {
      protozero::pbf_writer matcher(query, 3);
      matcher.add_enum(1, 0);
      matcher.add_string(2, std::string(name));
      matcher.add_string(3, std::string(value));
    }
  }
  writer.add_enum(2, accepted);
  return base::SnappyEncode(out);
}

TEST_F(RemoteApiTest, RemoteReadGivesSamplesWithExternalLabels) {
  backend_.external_labels = [] { return model::Labels::FromPairs({{"cluster", "c1"}}); };
  Fill({{"__name__", "up"}, {"job", "a"}});
  auto x = Send("POST", "/api/v1/read", ReadRequest("up", 0));
  ASSERT_EQ(x->status(), 200) << x->body();
  std::string body = *base::SnappyDecode(x->body(), 1 << 20);
  std::string want;
  {
    protozero::pbf_writer writer(want);
    protozero::pbf_writer result(writer, 1);
    std::string request;
    AddSeries({{"__name__", "up"}, {"cluster", "c1"}, {"job", "a"}},
              {{kNow - 60'000, 2}, {kNow, 3}}, &request);
    // A series has the same form in both directions: the field of the list is 1 in both, too.
    protozero::pbf_reader series(request);
    ASSERT_TRUE(series.next(1));
    result.add_message(1, series.get_view());
  }
  EXPECT_EQ(body, want);
  EXPECT_EQ(Send("POST", "/api/v1/read", ReadRequest("up", 1))->status(), 400);
  EXPECT_EQ(Send("POST", "/api/v1/read", "garbage")->status(), 400);
}

}  // namespace
}  // namespace tocsin::api
