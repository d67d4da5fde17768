#pragma once

// The journal's events as values and as bytes.
//
//   pack   = version:byte  base:varint (ms since 1970)  alerts:varint groups:varint texts:varint  event*
//   event  = kind:byte  time:zigzag (ms since the event before, at first since base)
//            size:varint  payload
//   text   = size:varint bytes          span, tick = varint, zigzag (ms)
//
// Alerts, groups and texts are described once a chapter, before their first use, by events of their
// own that number them from 0; later events say the number.  A pack begins with how many of each the
// chapter has described before it, so that one that is lost costs what it described and no more.  A
// description of an alert says only in what its labels differ from the alert described before in the
// same pack.  A reader skips kinds it does not know.
//
// Threads: plain values.
// Errors:  kDataLoss with the offset; what stood before it has been given out.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/labels.h"

namespace tocsin::alertmanager {

inline constexpr uint8_t kJournalVersion = 2;

// Numbers are on disk: none is ever used for another meaning.
enum class JournalKind : uint8_t {
  kDescribeAlert = 1,
  kDescribeGroup = 2,
  kDescribeText = 3,
  kReceived = 10,    // an alert came, or came again after it had ended
  kResolved = 11,
  kGrouped = 12,
  kSuppressed = 20,  // from this flush on, until kReleased or another cause
  kReleased = 21,
  kNotSent = 30,     // a flush for which an integration (or none) was not called
  kRequest = 31,     // one request to a receiver and its answer
  kUnanswered = 32,  // one request whose answer nobody saw
  kGaveUp = 33,      // a delivery that ended without a further request
  kRecovered = 34,   // a delivery known from the notification log alone, after a crash
  kSilence = 40,
  kService = 41,
  // 60 to 69 are kept for acknowledgements and escalations.
};
std::string_view JournalKindName(JournalKind kind);         // "received"
bool ParseJournalKind(std::string_view name, JournalKind* kind);

enum class SuppressCause : uint8_t { kInhibition, kActiveInterval, kMuteInterval, kSilence };

enum class NotSentCause : uint8_t {
  kRepeatNotDue,     // it knows all of this; `due` is when it will be told again
  kToldResolved,     // all has ended and it knows
  kNeverTold,        // what ended was never announced to it
  kAllSuppressed,
  kNoIntegrations,   // the receiver has none: a black hole by choice
  kStillSending,     // the flush before is under way; this one follows it
  kResolvedUnwanted, // only resolved alerts were left and send_resolved is false
};

enum class RequestOutcome : uint8_t {
  kDelivered,
  kAccepted,  // the next request of the same message follows
  kRetry,     // after `wait`
  kRefused,   // until the group's next flush
};

enum class UnansweredCause : uint8_t { kDeadline, kReload, kStop, kCrash };
enum class SilenceChange : uint8_t { kCreated, kUpdated, kExpired };
enum class ServiceEvent : uint8_t { kStarted, kStopping, kConfigurationLoaded, kConfigurationRefused };

struct JournalAlert {
  uint64_t fingerprint = 0;
  model::Labels labels;
  model::Labels annotations;
  base::Time starts_at{};
  std::string generator_url;
};
using JournalAlertPtr = std::shared_ptr<const JournalAlert>;

struct JournalGroup {
  std::string key;
  std::string receiver;
  base::Duration group_wait{};  // all zero: not known
  base::Duration group_interval{};
  base::Duration repeat_interval{};
};
using JournalGroupPtr = std::shared_ptr<const JournalGroup>;

struct JournalEntry {
  base::Time at{};
  JournalKind kind = JournalKind::kService;
  uint8_t cause = 0;             // of the enum that belongs to the kind; kReceived: 1 after it had ended
  JournalAlertPtr alert;
  JournalGroupPtr group;
  std::string integration;       // team/slack/0
  std::vector<std::string> by;   // silences' ids, sources' fingerprint and rule, names of intervals
  base::Time tick{};             // of the flush
  base::Time due{};              // kNotSent: next repeat; kGrouped: next flush; kResolved: its end
  int attempt = 0;               // from 1
  int step = 0;                  // of a message of several requests, from 0
  int status = 0;                // HTTP or SMTP; 0: none
  base::Duration duration{};     // of the request
  base::Duration wait{};         // until the next attempt
  std::string reason;            // why the receiver is told: "first notification"
  std::string text;              // the answer, an error, a comment
  std::vector<JournalAlertPtr> firing;    // what the message speaks of
  std::vector<JournalAlertPtr> resolved;
};

// The cause's name for its kind: "silence", "repeat_not_due"; empty if it has none.
std::string_view JournalCauseName(const JournalEntry& entry);

// ---- bytes -------------------------------------------------------------------------------------

// In what `labels` differ from `previous`, position by position.
void AppendLabelsAfter(model::LabelsView labels, model::LabelsView previous, std::string* out);

// Reads the packs of one chapter in order; some may be missing.  Events then lack the alerts, groups and
// texts that only these described.
class JournalChapter {
 public:
  using Take = std::function<void(JournalEntry)>;
  base::Status Read(std::string_view pack, const Take& take);

 private:
  bool Payload(JournalKind kind, std::string_view bytes, JournalEntry* entry);
  std::vector<JournalAlertPtr> alerts_;  // null: its description is lost
  JournalAlertPtr described_;            // last in this pack
  std::vector<JournalGroupPtr> groups_;
  std::vector<std::string> texts_;
};

}  // namespace tocsin::alertmanager
