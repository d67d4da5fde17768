#include "api/remote_write.h"

#include <fmt/core.h>

#include <chrono>
#include <memory>
#include <protozero/exception.hpp>
#include <utility>
#include <vector>

#include "api/write_batch.h"
#include "api/write_protocols.h"
#include "base/compress.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

constexpr size_t kMaxBytes = 32 << 20;
constexpr std::chrono::minutes kMaxAhead{10};
// What is larger takes long, and nobody waits for it.
constexpr size_t kLargeBody = 256 << 10;
// Of a decompressed series with one sample, for reserving memory.
constexpr size_t kSeriesBytes = 128;
// Series that nobody wrote for so long are forgotten, and looked up when they come again.
constexpr int64_t kForgetMs = 10 * 60 * 1000;
// From so many series gone on it is looked whether they are most of what is remembered.
constexpr uint64_t kManyGone = 10'000;

enum class Protocol { kV1, kV2 };

// The protocol that the headers name.  Errors: what to answer with 415.
base::Result<Protocol> ProtocolOf(const net::HttpRequest& request) {
  std::string_view encoding = request.headers.Get("Content-Encoding");
  if (!encoding.empty() && encoding != "snappy") {
    return base::InvalidArgument(fmt::format(
        "{} encoding (compression) is not accepted by this server; only snappy is acceptable",
        encoding));
  }
  std::string_view type = request.headers.Get("Content-Type");
  std::vector<std::string_view> parts = base::Split(type, ';');
  std::string_view media = base::Trim(parts[0]);
  if (!media.empty() && !base::EqualsIgnoreCase(media, "application/x-protobuf")) {
    return base::InvalidArgument(fmt::format(
        "expected application/x-protobuf as the first (media) part, got {} content-type", type));
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string_view part = base::Trim(parts[i]);
    if (!part.starts_with("proto=")) continue;
    std::string_view proto = part.substr(6);
    if (proto == "prometheus.WriteRequest") return Protocol::kV1;
    if (proto == "io.prometheus.write.v2.Request") return Protocol::kV2;
    return base::InvalidArgument(
        fmt::format("{} protobuf message is not accepted by this server; only "
                    "prometheus.WriteRequest and io.prometheus.write.v2.Request are",
                    proto));
  }
  return Protocol::kV1;
}

net::HttpResponse Refuse(int status, std::string message) {
  if (!message.ends_with('\n')) message += '\n';
  return net::HttpResponse::Text(status, std::move(message));
}

int StatusOf(const base::Error& error) {
  switch (error.code()) {
    case base::Code::kDataLoss:  // the body is no protobuf
    case base::Code::kInvalidArgument: return 400;
    case base::Code::kUnavailable: return 503;
    default: return 500;
  }
}

void AddCounts(const WriteBatch& batch, net::HttpResponse* response) {
  auto set = [response](std::string_view what, size_t count) {
    response->headers.Set(fmt::format("X-Prometheus-Remote-Write-{}-Written", what),
                          std::to_string(count));
  };
  set("Samples", batch.samples());
  set("Histograms", batch.histograms());
  set("Exemplars", batch.exemplars());
}

bool IsSmall(const net::HttpRequest& request) { return request.body.size() <= kLargeBody; }

}  // namespace

RemoteWriteReceiver::RemoteWriteReceiver(base::Registry* registry, uint64_t seed)
    : seed_(seed),
      invalid_labels_(registry->AddCounter(
          "prometheus_api_remote_write_invalid_labels_samples_total",
          "The total number of series of remote write requests which were rejected due to invalid "
          "labels.")) {}

void RemoteWriteReceiver::Expect(const net::HttpRequest& request) {
  if (IsSmall(request)) group_.Expect();
}

net::HttpResponse RemoteWriteReceiver::Take(const net::HttpRequest& request, storage::Appendable* storage,
                                            model::Timestamp now, storage::SyncTicket* ticket) {
  auto protocol = ProtocolOf(request);
  if (!protocol) return Refuse(415, protocol.error().message());
  auto body = base::SnappyDecode(request.body, kMaxBytes);
  if (!body) {
    bool large = body.error().code() == base::Code::kResourceExhausted;
    return Refuse(large ? 413 : 400, "snappy: " + body.error().message());
  }
  std::unique_ptr<WriteProtocol> messages;
  if (*protocol == Protocol::kV1) messages = std::make_unique<WriteV1>(seed_);
  else messages = std::make_unique<WriteV2>(seed_);
  WriteBatch batch(storage, &cache_, now + std::chrono::milliseconds(kMaxAhead).count(), messages.get());
  batch.Reserve(body->size() / kSeriesBytes + 1);
  base::Status status;
  try {
    status = messages->Take(*body, &batch);
  } catch (const protozero::exception& e) {
    return Refuse(400, std::string("proto: ") + e.what());
  }
  if (!status) return Refuse(StatusOf(status.error()), status.error().message());
  auto committed = batch.Commit();
  if (!committed) return Refuse(StatusOf(committed.error()), committed.error().message());
  *ticket = *committed;
  invalid_labels_->Add(static_cast<double>(batch.invalid_series()));
  // 1.0 leaves series with invalid labels out and says nothing.
  bool silent = *protocol == Protocol::kV1 && batch.only_invalid_labels();
  net::HttpResponse response;
  response.status = 204;
  if (!batch.problems().empty() && !silent) response = Refuse(400, batch.problems());
  if (*protocol == Protocol::kV2) AddCounts(batch, &response);
  return response;
}

void RemoteWriteReceiver::Write(const net::HttpRequest& request, storage::Appendable* storage,
                                model::Timestamp now, Answer answer) {
  if (int64_t last = last_sweep_.load(std::memory_order_relaxed);
      now - last >= kForgetMs && last_sweep_.compare_exchange_strong(last, now)) {
    cache_.Sweep();
  }
  const uint64_t gone = storage->series_gone();
  if (uint64_t before = gone_.load(std::memory_order_relaxed);
      gone - before >= kManyGone && gone - before >= cache_.size() / 2 && gone_.compare_exchange_strong(before, gone)) {
    cache_.ForgetGone(*storage);
  }
  storage::SyncTicket ticket = 0;
  net::HttpResponse response = Take(request, storage, now, &ticket);
  if (ticket > 0) {
    group_.Join(storage, ticket, IsSmall(request),
                [response = std::move(response), answer = std::move(answer)](base::Status synced) mutable {
                  if (!synced) response = Refuse(StatusOf(synced.error()), synced.error().message());
                  answer(std::move(response));
                });
    return;
  }
  if (IsSmall(request)) group_.Leave();
  answer(std::move(response));
}

}  // namespace tocsin::api
