#pragma once

// Questions to the journal: by time, matchers, kind, group, receiver.
//
//   SearchJournal(store, {.matchers = m, .from = yesterday, .limit = 100}, [](base::Result<JournalPage> page) {...});
//
// Threads: called on the loop, answers there; reads and decodes on lane kQueries.
// Errors:  the store's.  A damaged pack is left out and counted in the page.
// Bounds:  at most `limit` events are kept, the newest, and of these no more than together name
//          `named` alerts; one chapter's descriptions are in memory.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "alertmanager/journal_format.h"
#include "alertmanager/matchers.h"
#include "base/result.h"
#include "state/store.h"

namespace tocsin::alertmanager {

// A message may name a hundred thousand alerts, and a page may hold many messages.
inline constexpr size_t kMaxNamed = 1'000'000;

struct JournalQuery {
  Matchers matchers{};                   // of one alert that the event is about; all must match
  std::optional<uint64_t> fingerprint{}; // the same for one alert
  std::vector<JournalKind> kinds{};      // empty: all
  std::string group{};                   // a group's key
  std::string receiver{};
  bool service = false;                // also starts, stops and configurations, whatever the matchers
  base::Time from{};                   // [from, to)
  base::Time to{base::Duration(INT64_MAX)};
  size_t limit = 1000;
  size_t named = kMaxNamed;
};

struct JournalPage {
  std::vector<JournalEntry> entries{};  // oldest first
  bool more = false;                  // older ones match too
  size_t damaged = 0;                 // packs
};

void SearchJournal(state::Store* store, JournalQuery query,
                   std::move_only_function<void(base::Result<JournalPage>)> done);

}  // namespace tocsin::alertmanager
