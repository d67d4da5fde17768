#pragma once

// The Prometheus API before a database in memory, at a time that stands still: for tests.
//
// Threads: one.

#include <gtest/gtest.h>

#include <memory>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/http/fake_exchange.h"
#include "api/prometheus.h"
#include "base/compress.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"

namespace tocsin::api {

inline constexpr model::Timestamp kNow = 1'700'000'000'000;

using Pairs = std::vector<std::pair<std::string, std::string>>;

// A series of a remote-write request, protocol 1.0.
inline void AddSeries(const Pairs& labels, const std::vector<model::Sample>& samples, std::string* request,
               bool samples_first = false) {
  protozero::pbf_writer writer(*request);
  protozero::pbf_writer series(writer, 1);
  auto write_samples = [&] {
    for (const model::Sample& s : samples) {
      protozero::pbf_writer sample(series, 2);
      sample.add_double(1, s.v);
      sample.add_int64(2, s.t);
    }
  };
  if (samples_first) write_samples();
  for (const auto& [name, value] : labels) {
    protozero::pbf_writer label(series, 1);
    label.add_string(1, name);
    label.add_string(2, value);
  }
  if (!samples_first) write_samples();
}

// The same in protocol 2.0.
// `starts`: of the samples, and then of histograms at the minutes before now; 0: not told.
inline std::string RequestV2(const Pairs& labels, const std::vector<model::Sample>& samples, const std::vector<int64_t>& starts = {}) {
  std::string out;
  protozero::pbf_writer writer(out);
  writer.add_string(4, "");
  std::vector<uint32_t> refs;
  for (const auto& [name, value] : labels) {
    writer.add_string(4, name);
    writer.add_string(4, value);
    for (int i = 0; i < 2; ++i) refs.push_back(static_cast<uint32_t>(refs.size()) + 1);
  }
  protozero::pbf_writer series(writer, 5);
  series.add_packed_uint32(1, refs.begin(), refs.end());
  for (size_t i = 0; i < samples.size(); ++i) {
    protozero::pbf_writer sample(series, 2);
    sample.add_double(1, samples[i].v);
    sample.add_int64(2, samples[i].t);
    if (i < starts.size() && starts[i] != 0) sample.add_int64(3, starts[i]);
  }
  for (size_t i = samples.size(); i < starts.size(); ++i) {
    protozero::pbf_writer histogram(series, 3);
    histogram.add_uint64(1, 0);
    histogram.add_int64(15, kNow - static_cast<int64_t>(starts.size() - i) * 60'000);
    if (starts[i] != 0) histogram.add_int64(17, starts[i]);
  }
  return out;
}

class PrometheusApiTest : public ::testing::Test {
 protected:
  PrometheusApiTest() : executor_(base::FromUnixMillis(kNow)), engine_({.clock = &executor_}) {
    auto db = tsdb::Db::Open({.path = "data", .fs = &files_, .start_times = true, .histogram_start_times = true, .wal = false, .lock_file = false});
    EXPECT_TRUE(db) << db.error().message();
    db_ = *std::move(db);
    backend_.executor = &executor_;
    backend_.registry = &registry_;
    backend_.engine = &engine_;
    backend_.queryable = db_.get();
    backend_.appendable = db_.get();
    backend_.tsdb = AccessTo(db_.get());
  }

  void Start(PrometheusApiOptions options = {.enable_lifecycle = true,
                                             .remote_write_receiver = true,
                                             .external_url = "http://mon.example:80/",
                                             .listen_address = ":9090"}) {
    api_ = std::make_unique<PrometheusApi>(options, &backend_);
    api_->Register(&router_);
  }

  std::shared_ptr<FakeExchange> Send(std::string_view method, std::string_view target,
                                     std::string_view body = {}, net::Headers headers = {}) {
    if (api_ == nullptr) Start();
    auto x = std::make_shared<FakeExchange>(method, target, body, std::move(headers));
    router_.Serve(x);
    executor_.RunPosted();
    executor_.RunFor(std::chrono::milliseconds(1));
    return x;
  }
  std::string Get(std::string_view target) { return Send("GET", target)->body(); }

  std::shared_ptr<FakeExchange> Write(std::string_view request, net::Headers headers = {}) {
    return Send("POST", "/api/v1/write", base::SnappyEncode(request), std::move(headers));
  }
  // Samples 1, 2, 3, ... at the last minutes.
  void Fill(const Pairs& labels, int count = 3) {
    std::vector<model::Sample> samples;
    for (int i = 1; i <= count; ++i) {
      samples.push_back({kNow - 60'000 * (count - i), static_cast<double>(i)});
    }
    std::string request;
    AddSeries(labels, samples, &request);
    auto x = Write(request);
    ASSERT_EQ(x->status(), 204) << x->body();
  }

  base::SimulatedFileSystem files_;
  base::SimulatedExecutor executor_;
  base::Registry registry_;
  promql::Engine engine_;
  std::unique_ptr<tsdb::Db> db_;
  PrometheusBackend backend_;
  Router router_;
  std::unique_ptr<PrometheusApi> api_;
};

}  // namespace tocsin::api
