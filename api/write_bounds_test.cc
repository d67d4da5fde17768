// What a small body could make of memory and of the log.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>

#include "api/remote_write.h"
#include "base/compress.h"
#include "base/metrics.h"
#include "base/simulated_file_system.h"
#include "tsdb/db.h"

namespace tocsin::api {
namespace {

using testing::HasSubstr;

class WriteBoundsTest : public testing::Test {
 protected:
  WriteBoundsTest() { db_ = *tsdb::Db::Open({.path = "data", .fs = &files_, .wal = false, .lock_file = false}); }

  net::HttpResponse Write(storage::Appendable* storage, std::string_view body, bool v2 = true) {
    net::HttpRequest request;
    request.body = base::SnappyEncode(body);
    request.headers.Set("Content-Encoding", "snappy");
    request.headers.Set("Content-Type", v2 ? "application/x-protobuf;proto=io.prometheus.write.v2.Request" : "application/x-protobuf");
    receiver_.Expect(request);
    net::HttpResponse answer;
    receiver_.Write(request, storage, 10'000, [&](net::HttpResponse response) { answer = std::move(response); });
    return answer;
  }

  base::SimulatedFileSystem files_;
  std::unique_ptr<tsdb::Db> db_;
  base::Registry registry_;
  RemoteWriteReceiver receiver_{&registry_, 7};
};

TEST_F(WriteBoundsTest, ASeriesHasOnlySoManyReferences) {
  std::string body;
  protozero::pbf_writer writer(body);
  writer.add_string(4, "");
  {
    const std::vector<uint32_t> refs(3 << 20, 0);
    protozero::pbf_writer series(writer, 5);
    series.add_packed_uint32(1, refs.begin(), refs.end());
  }
  const net::HttpResponse answer = Write(db_.get(), body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("more than 65536 labelRefs"));
}

TEST_F(WriteBoundsTest, ARequestHasOnlySoManySymbols) {
  std::string body;
  protozero::pbf_writer writer(body);
  for (int i = 0; i <= 1 << 20; ++i) writer.add_string(4, "");
  const net::HttpResponse answer = Write(db_.get(), body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("more than 1048576 symbols"));
}

// A storage that knows no series any more and can make none.
class FullStorage : public storage::Appendable {
 public:
  explicit FullStorage(storage::Appendable* under) : under_(under) {}
  std::unique_ptr<storage::Appender> NewAppender() override { return std::make_unique<FullAppender>(this, under_->NewAppender()); }
  base::Status WaitSynced(storage::SyncTicket ticket) override { return under_->WaitSynced(ticket); }

  bool full = false;

 private:
  class FullAppender : public storage::Appender {
   public:
    FullAppender(FullStorage* of, std::unique_ptr<storage::Appender> under) : of_(of), under_(std::move(under)) {}
    base::Result<storage::SeriesRef> Resolve(model::LabelsView labels) override {
      if (of_->full) return base::ResourceExhausted("no space left on device");
      return under_->Resolve(labels);
    }
    void Append(std::span<const storage::FloatSample> samples, std::span<storage::AppendOutcome> outcomes) override {
      under_->Append(samples, outcomes);
      if (of_->full) std::ranges::fill(outcomes, storage::AppendOutcome::kUnknownSeries);
    }
    storage::AppendOutcome AppendHistogram(storage::SeriesRef ref, model::Timestamp t, model::HistogramPtr h) override {
      return of_->full ? storage::AppendOutcome::kUnknownSeries : under_->AppendHistogram(ref, t, std::move(h));
    }
    storage::AppendOutcome AppendExemplar(storage::SeriesRef ref, const model::Exemplar& e) override { return under_->AppendExemplar(ref, e); }
    void UpdateMetadata(storage::SeriesRef ref, const model::Metadata& m) override { under_->UpdateMetadata(ref, m); }
    base::Status Commit(storage::Durability durability) override { return under_->Commit(durability); }
    void Rollback() override { under_->Rollback(); }
    storage::SyncTicket ticket() const override { return under_->ticket(); }

   private:
    FullStorage* const of_;
    const std::unique_ptr<storage::Appender> under_;
  };
  storage::Appendable* const under_;
};

TEST_F(WriteBoundsTest, ASeriesThatCannotBeMadeAgainIsSentAgain) {
  FullStorage storage(db_.get());
  for (const bool histogram : {false, true}) {
    const auto body = [&](int64_t t) {
      std::string out;
      protozero::pbf_writer writer(out);
      protozero::pbf_writer series(writer, 1);
      {
        protozero::pbf_writer label(series, 1);
        label.add_string(1, "__name__");
        label.add_string(2, histogram ? "h" : "f");
      }
      protozero::pbf_writer sample(series, histogram ? 4 : 2);
      if (histogram) {
        sample.add_int64(15, t);
      } else {
        sample.add_double(1, 1);
        sample.add_int64(2, t);
      }
      return out;
    };
    storage.full = false;
    EXPECT_EQ(Write(&storage, body(1000), false).status, 204) << histogram;
    storage.full = true;
    const net::HttpResponse answer = Write(&storage, body(2000), false);
    EXPECT_EQ(answer.status, 500) << histogram << ": a 4xx would lose the samples";
    EXPECT_THAT(answer.body, HasSubstr("no space left on device"));
  }
}

}  // namespace
}  // namespace tocsin::api
