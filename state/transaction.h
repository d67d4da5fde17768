#pragma once

// What a Transaction holds; for the stores of this folder.

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "state/store.h"

namespace tocsin::state {

struct ForgetSilenceChange {
  std::string id;
};
struct ForgetNotificationChange {
  std::string group_key;
  std::string receiver_key;
};
struct ForgetIntentChange {
  std::string group_key;
  std::string receiver_key;
};
struct ForgetAlertChange {
  uint64_t fingerprint;
};
struct ForgetExpiredChange {
  base::Time now;
};

struct JournalBound {
  base::Time before{};
  uint64_t max_bytes = UINT64_MAX;
};

using Change = std::variant<SilenceRecord, ForgetSilenceChange, NotificationRecord,
                            ForgetNotificationChange, IntentRecord, ForgetIntentChange, AlertRecord,
                            ForgetAlertChange, ForgetExpiredChange>;

struct Transaction::Rep {
  std::vector<Change> changes;
  std::map<Journal, std::vector<EventPack>> packs;
  std::map<Journal, JournalBound> bounds;

  bool journals_only() const { return changes.empty(); }
  // Appends another's changes to this one's.
  void Take(Rep* other);
};

}  // namespace tocsin::state
