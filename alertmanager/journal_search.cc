#include "alertmanager/journal_search.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <utility>

#include "base/log.h"

namespace tocsin::alertmanager {
namespace {

struct Search {
  JournalQuery query;
  JournalPage page;
  JournalChapter chapter;
  int64_t number = 0;
  std::deque<JournalEntry> found;  // of the chapter
  size_t found_named = 0;          // alerts, by these
  size_t page_named = 0;           // and by the page
  std::map<const JournalAlert*, bool> matched;  // of the chapter

  bool Wants(const JournalAlertPtr& alert) {
    if (alert == nullptr) return false;
    if (query.fingerprint && *query.fingerprint != alert->fingerprint) return false;
    const auto [at, added] = matched.try_emplace(alert.get(), false);
    if (added) at->second = MatchesAll(query.matchers, alert->labels);
    return at->second;
  }

  bool Wants(const JournalEntry& e) {
    if (e.at < query.from || e.at >= query.to) return false;
    if (!query.kinds.empty() && std::ranges::find(query.kinds, e.kind) == query.kinds.end()) return false;
    if (query.service && e.kind == JournalKind::kService) return true;
    if (!query.group.empty() && (e.group == nullptr || e.group->key != query.group)) return false;
    if (!query.receiver.empty() && (e.group == nullptr || e.group->receiver != query.receiver)) return false;
    if (query.matchers.empty() && !query.fingerprint) return true;
    auto wanted = [this](const JournalAlertPtr& a) { return Wants(a); };
    return wanted(e.alert) || std::ranges::any_of(e.firing, wanted) || std::ranges::any_of(e.resolved, wanted);
  }

  static size_t Named(const JournalEntry& e) { return e.firing.size() + e.resolved.size(); }

  // What the chapter had goes before what later chapters had.
  void EndChapter() {
    page.entries.insert(page.entries.begin(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
    page_named += std::exchange(found_named, 0);
    found.clear();
    matched.clear();
    chapter = {};
  }

  bool Visit(const state::EventPack& pack) {
    if (pack.chapter != number) {
      EndChapter();
      number = pack.chapter;
    }
    const size_t room = query.limit - std::min(query.limit, page.entries.size());
    auto read = chapter.Read(pack.bytes, [&](JournalEntry e) {
      if (!Wants(e)) return;
      found_named += Named(e);
      found.push_back(std::move(e));
      while (!found.empty() && (found.size() > room || page_named + found_named > query.named)) {
        page.more = true;
        found_named -= Named(found.front());
        found.pop_front();
      }
    });
    if (!read) {
      ++page.damaged;
      base::LogWarn("a part of the alert journal is damaged and left out", {{"error", read.error()}});
    }
    return !page.more && page.entries.size() + found.size() < query.limit;
  }
};

}  // namespace

void SearchJournal(state::Store* store, JournalQuery query,
                   std::move_only_function<void(base::Result<JournalPage>)> done) {
  auto search = std::make_shared<Search>();
  search->query = std::move(query);
  state::PackQuery packs{.from = search->query.from, .to = search->query.to};
  packs.visit = [search](const state::EventPack& pack) { return search->Visit(pack); };
  store->ReadPacks(std::move(packs), [search, done = std::move(done)](base::Status status) mutable {
    if (!status) return done(std::unexpected(std::move(status).error()));
    search->EndChapter();
    done(std::move(search->page));
  });
}

}  // namespace tocsin::alertmanager
