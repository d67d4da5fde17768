#pragma once

// An alert as it travels from rules (or the API) to Alertmanagers: immutable once shared.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/labels.h"

namespace tocsin::model {

struct Alert {
  Labels labels;  // with alertname
  Labels annotations;
  base::Time starts_at{};
  base::Time ends_at{};  // past: resolved
  // How the sender wrote both times, east of UTC; messages and the API show them so again.
  std::chrono::minutes starts_offset{0};
  std::chrono::minutes ends_offset{0};
  std::string generator_url;
  // Kept by Alertmanagers.
  base::Time updated_at{};
  bool timeout = false;  // ends_at is only starts or receipt + resolve_timeout, not the sender's word
  // labels.Fingerprint() if it was worked out already, else 0.  Whoever changes the labels resets it.
  uint64_t known_fingerprint = 0;

  std::string_view name() const { return labels.Get(kAlertName); }
  uint64_t fingerprint() const { return known_fingerprint != 0 ? known_fingerprint : labels.Fingerprint(); }
  bool ResolvedAt(base::Time now) const { return ends_at != base::Time{} && ends_at <= now; }
};

using AlertPtr = std::shared_ptr<const Alert>;

// Where alerts go: the Alertmanager in this process, or a queue to a remote one.
class AlertSink {
 public:
  virtual ~AlertSink() = default;
  // Loop only; never blocks, never fails: a full queue drops the oldest and counts.
  virtual void Send(std::span<const AlertPtr> alerts) = 0;
};

}  // namespace tocsin::model
