#pragma once

// The data of notification templates, under Alertmanager's names: {{ .Alerts.Firing }},
// {{ .CommonLabels.SortedPairs.Values }}.  Also the body of webhooks, since both show the same.
// Source: Alertmanager 0.34, template/template.go.
//
// Threads: plain values.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "templates/go_time.h"
#include "templates/value.h"

namespace tocsin::templates {

// Name and value, sorted by name, names unique.
using KeyValues = std::vector<std::pair<std::string, std::string>>;

struct NotificationAlert {
  std::string status;  // firing, resolved
  KeyValues labels;
  KeyValues annotations;
  GoTime starts_at;
  GoTime ends_at;  // zero while the end is not known
  std::string generator_url;
  std::string fingerprint;  // 16 hex digits
};

struct NotificationData {
  std::string receiver;  // as upstream gives it: quoted as for a regular expression
  std::string status;
  std::vector<NotificationAlert> alerts;
  std::string notification_reason;  // "first notification", ...; empty: left out
  KeyValues group_labels;
  KeyValues common_labels;
  KeyValues common_annotations;
  KeyValues route_labels;
  std::string external_url;
};

// {{ . }} of a notification template.
Value MakeNotificationValue(const NotificationData& data);

// A label set with .SortedPairs, .Remove, .Names, .Values; prints as a=1, b=2.
Value MakeKeyValues(const KeyValues& pairs);

// Alphabetically, but `alertname` first.
KeyValues SortedPairs(const KeyValues& pairs);

}  // namespace tocsin::templates
