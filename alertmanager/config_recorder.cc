// What may stand in event_recorder: a list of outputs for each kind of destination.
//
// Source: Alertmanager 0.34, eventrecorder/config.go.

#include <fmt/format.h>

#include <algorithm>

#include "alertmanager/config.h"

namespace tocsin::alertmanager {
namespace {

using enum Kind;

constexpr Field kFileFields[] = {{"path", kPath}};
constexpr std::string_view kPathRequired[] = {"path"};
constexpr Table kFile = {.name = "file_output", .fields = kFileFields, .required = kPathRequired,
                         .required_message = "event_recorder file output requires a {}"};

// Zero is the default, which EventRecorder knows.
constexpr Field kWebhookFields[] = {
    {"url", kSecretUrl},
    {"http_config", kHttp},
    {"timeout", kDuration},
    {"workers", kInt},
    {"max_retries", kInt},
    {"retry_backoff", kDuration},
    {"batch", kBool},
    {"batch_max_events", kInt},
    {"batch_max_bytes", kInt},
    {"batch_flush_interval", kDuration},
};
constexpr std::string_view kUrlRequired[] = {"url"};
void CheckWebhookOutput(const Block& b, const ReadContext& c) {
  for (const std::string_view key : {"workers", "max_retries", "batch_max_events", "batch_max_bytes"}) {
    if (b.Number(key) < 0) c.errors->Add(b.At(key), fmt::format("{} of an event_recorder webhook output cannot be negative", key));
  }
  const bool sized = b.Has("batch_max_events") || b.Has("batch_max_bytes") || b.Has("batch_flush_interval");
  if (sized && !b.Flag("batch")) c.errors->Add(b.position(), "event_recorder webhook batch settings require batch: true");
}
constexpr Table kWebhook = {.name = "webhook_output", .fields = kWebhookFields, .required = kUrlRequired,
                            .required_message = "event_recorder webhook output requires a {}", .check = CheckWebhookOutput};

constexpr Table kStdout = {.name = "stdout_output", .fields = {}};

constexpr Field kRecorderFields[] = {
    {"file_outputs", kBlocks, {}, Show::kNotEmpty, &kFile},
    {"webhook_outputs", kBlocks, {}, Show::kNotEmpty, &kWebhook},
    {"kafka_outputs", kTree},
    {"stdout_outputs", kBlocks, {}, Show::kNotEmpty, &kStdout},
};
constexpr Table kRecorder = {.name = "event_recorder", .fields = kRecorderFields};

}  // namespace

const Table* EventRecorderTable() { return &kRecorder; }

}  // namespace tocsin::alertmanager
