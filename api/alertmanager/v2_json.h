#pragma once

// Between the API's JSON and the Alertmanager's values.
// Threads: any.

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "base/result.h"

namespace tocsin::api {

// What does not fit the schema: {"code": code, "message": message} with an HTTP status.
struct SchemaError {
  int status = 400;
  int code = 400;
  std::string message;
};
template <class T>
using Decoded = std::variant<T, SchemaError>;

using SharedAlerts = std::vector<std::shared_ptr<model::Alert>>;
// With their fingerprints, which are dear.
Decoded<SharedAlerts> DecodeAlerts(const std::string& body);

// A silence as a client posts it, and which of tocsin's own fields the client knows of.
struct PostedSilence {
  alertmanager::Silence silence;
  bool has_sets = false;
  bool has_schedule = false;
  bool has_receivers = false;

  // What a client that does not know these fields must not lose when it changes a silence: then they are
  // as before.
  void KeepUnknown(const alertmanager::Silence& before);
};
Decoded<PostedSilence> DecodePostedSilence(const std::string& body);

void WriteAlerts(const std::vector<alertmanager::AlertView>& alerts, std::string* out);
void WriteGroups(const std::vector<alertmanager::GroupView>& groups, std::string* out);
void WriteSilence(const alertmanager::Silence& silence, base::Time now, std::string* out);
void WriteSilences(const std::vector<alertmanager::SilencePtr>& silences, base::Time now, std::string* out);

}  // namespace tocsin::api
