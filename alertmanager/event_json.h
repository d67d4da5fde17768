#pragma once

// Events of the journal as the event recorder writes them: JSON objects with the names and the JSON mapping of
// Alertmanager's protobuf messages (0.33 and later), where the journal has the fact.
//
//   event  = {"@timestamp": time, "instance": text, "data": {type: {...}}}
//   type   = alertCreated | alertGrouped | alertResolved | notification | silenceCreated | silenceUpdated |
//            silenceMutedAlert | inhibitionMutedAlert | alertmanagerStartupEvent | alertmanagerShutdownEvent
//
// What the journal does not have is left out: a group's labels and matchers, the inhibition's rule.  What is muted
// is told when it begins, not at each flush; an alert's end once, not for each of its groups.
//
// Threads: any.

#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/journal_format.h"

namespace tocsin::alertmanager {

struct RecordedEvent {
  std::string_view type;  // as metrics name it: "alert_created"
  std::string json;       // one line, without its end
};

// Adds what `entry` is told as: nothing, one event, or one for each silence that mutes an alert.
void AppendEvents(const JournalEntry& entry, std::string_view instance, std::vector<RecordedEvent>* out);

}  // namespace tocsin::alertmanager
