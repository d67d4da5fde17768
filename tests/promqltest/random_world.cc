#include "random_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace tocsin::promqltest {

uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

World::World(base::Duration block, base::Duration late) {
  tsdb::DbOptions options;
  options.path = "data";
  options.fs = &fs_;
  options.wal = false;
  options.lock_file = false;
  options.min_block_duration = block;
  options.out_of_order_window = late;
  options.retention_time = base::Duration(0);
  auto db = tsdb::Db::Open(std::move(options));
  EXPECT_TRUE(db) << db.error().message();
  db_ = std::move(*db);
}

void World::Append(std::span<const Sample> samples) {
  const auto app = db_->NewAppender();
  for (const Sample& s : samples) {
    const auto ref = app->Resolve(s.labels);
    ASSERT_TRUE(ref) << ref.error().message();
    if (s.h != nullptr) {
      app->AppendHistogram(*ref, s.t, s.h);
    } else {
      const storage::FloatSample sample{*ref, s.t, s.v};
      storage::AppendOutcome outcome;
      app->Append({&sample, 1}, {&outcome, 1});
    }
  }
  const base::Status committed = app->Commit();
  ASSERT_TRUE(committed) << committed.error().message();
}

Targets::Targets(uint64_t seed) : random_(seed) {
  for (int i = 0; i < 6; ++i) targets_.push_back({.instance = "i" + std::to_string(i), .up = i < 4});
}

std::vector<Sample> Targets::Scrape(model::Timestamp t) {
  std::vector<Sample> out;
  for (Target& target : targets_) {
    if (Below(40) == 0) {
      target.up = !target.up;
      if (!target.up) {
        End(t, &target, &out);
        continue;
      }
      target.version += Below(2);  // new series, sometimes
      target.requests = 0;
    }
    if (!target.up || Below(20) == 0) continue;
    Write(t + static_cast<model::Timestamp>(Below(50)), &target, &out);
  }
  return out;
}

std::vector<Sample> Targets::Late(model::Timestamp now) {
  std::vector<Sample> out;
  for (int i = 0; i < 5 && !last_.empty(); ++i) {
    Sample s = last_[Below(last_.size())];
    s.t = now - static_cast<model::Timestamp>(1000 + Below(500'000));
    s.v += 1;
    if (s.h == nullptr) out.push_back(std::move(s));
  }
  return out;
}

void Targets::Write(model::Timestamp t, Target* target, std::vector<Sample>* out) {
  target->written.clear();
  const auto put = [&](std::vector<std::pair<std::string, std::string>> labels, double v,
                       const model::HistogramPtr& h = nullptr) {
    labels.emplace_back("instance", target->instance);
    labels.emplace_back("job", target->instance < "i3" ? "api" : "web");
    target->written.push_back({t, model::Labels::FromPairs(labels), v, h});
  };
  if (Below(60) == 0) target->requests = 0;  // a restart
  target->requests += static_cast<double>(Below(50));
  const double r = target->requests;
  put({{"__name__", "up"}}, 1);
  put({{"__name__", "requests_total"}, {"code", "200"}}, r);
  put({{"__name__", "requests_total"}, {"code", "500"}}, std::floor(r / 7));
  put({{"__name__", "errors_total"}}, std::floor(r / 11));
  put({{"__name__", "load"}}, static_cast<double>(Below(1000)) / 64);
  put({{"__name__", "temperature"}}, Below(30) == 0 ? std::nan("") : static_cast<double>(Below(40)) - 10);
  put({{"__name__", "size"}}, static_cast<double>(Below(5)));
  put({{"__name__", "build_info"}, {"version", "v" + std::to_string(target->version)}}, 1);
  put({{"__name__", "latency_bucket"}, {"le", "0.1"}}, std::floor(r / 3));
  put({{"__name__", "latency_bucket"}, {"le", "1"}}, std::floor(r / 2));
  put({{"__name__", "latency_bucket"}, {"le", "+Inf"}}, r);
  put({{"__name__", "latency_count"}}, r);
  if (target->instance < "i2") {
    auto h = std::make_shared<model::Histogram>();
    h->schema = 0;
    h->positive_spans = {{.offset = 0, .length = 2}};
    h->positive_buckets = {std::floor(r / 2), r - std::floor(r / 2)};
    h->count = r;
    h->sum = r * 1.5;
    h->integer = true;
    put({{"__name__", "native"}}, h->sum, h);
  }
  out->insert(out->end(), target->written.begin(), target->written.end());
  last_ = target->written;
}

void Targets::End(model::Timestamp t, Target* target, std::vector<Sample>* out) {
  if (Below(2) == 0) return;  // without a word
  for (Sample& s : target->written) {
    s.t = t;
    s.v = model::StaleMarker();
    s.h = nullptr;
    out->push_back(s);
  }
}

}  // namespace tocsin::promqltest
