#include "alertmanager/silences.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/simulated_executor.h"

namespace tocsin::alertmanager {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SilencesTest : public testing::Test {
 protected:
  void Make(SilenceLimits limits = {}) {
    silences_ = std::make_unique<Silences>(&sim_, store_.get(), &registry_,
                                           Silences::Options{.retention = 1h, .limits = limits,
                                                             .new_id = [this] { return fmt::format("new{}", ++ids_); }, .on_change = nullptr});
  }

  Silence Of(std::string_view matchers, base::Duration starts, base::Duration ends) const {
    Silence s;
    s.matcher_sets = {*ParseMatchers(matchers)};
    s.starts_at = start_ + starts;
    s.ends_at = start_ + ends;
    return s;
  }
  // The id, or what is wrong.
  std::string Set(Silence s) {
    std::string out = "no answer";
    silences_->Set(std::move(s), [&](base::Result<std::string> id) { out = id ? *id : id.error().message(); });
    sim_.RunPosted();
    return out;
  }
  std::string Expire(const std::string& id) {
    std::string out = "no answer";
    silences_->Expire(id, [&](base::Status s) { out = s ? "" : s.error().message(); });
    sim_.RunPosted();
    return out;
  }
  std::string StateOf(const std::string& id) const {
    const SilencePtr s = silences_->Find(id);
    return s == nullptr ? "" : std::string(SilenceStateName(s->StateAt(sim_.Now())));
  }

  const base::Time start_ = base::FromUnixMillis(1'700'000'000'000);
  base::CaptureLog log_;
  base::SimulatedExecutor sim_{start_};
  base::Registry registry_;
  std::unique_ptr<state::Store> store_ = state::NewMemoryStore(&sim_);
  int ids_ = 0;
  std::unique_ptr<Silences> silences_;
};

TEST_F(SilencesTest, WhatIsInvalidIsRefusedInTheWordsThatClientsKnow) {
  Make();
  struct Row {
    Silence silence;
    std::string_view says;
  };
  Silence none = Of("a=b", 0s, 1h);
  none.matcher_sets.clear();
  Silence empty_set = Of("a=b", 0s, 1h);
  empty_set.matcher_sets.emplace_back();
  for (const Row& row : {Row{none, "silence invalid: at least one matcher required"},
                         Row{empty_set, "silence invalid: at least one matcher required"},
                         Row{Of("a=~\".*\"", 0s, 1h), "silence invalid: at least one matcher must not match the empty string"},
                         Row{Of("a=\"\"", 0s, 1h), "silence invalid: at least one matcher must not match the empty string"},
                         Row{Of("a=b", 1h, 0s), "silence invalid: end time must not be before start time"}}) {
    EXPECT_EQ(Set(row.silence), row.says);
  }
  EXPECT_EQ(silences_->size(), 0U);
  Silence unknown = Of("a=b", 0s, 1h);
  unknown.id = "never";
  EXPECT_EQ(Set(unknown), "silence not found");
}

// Which changes keep the id, and what becomes of a silence that is replaced.
TEST_F(SilencesTest, AChangeKeepsTheIdOnlyWhereTheHistoryStaysTrue) {
  struct Row {
    std::string_view name;
    base::Duration starts, ends;  // of the silence, made at 0
    base::Duration now;           // of the change
    std::function<void(Silence*)> change;
    bool keeps;
    std::string_view before;  // state of the old one afterwards
  };
  for (const Row& row : {
           Row{"active, a later end", 0s, 1h, 10min, [](Silence* s) { s->ends_at += 1h; }, true, "active"},
           Row{"active, an earlier end", 0s, 1h, 10min, [](Silence* s) { s->ends_at -= 30min; }, true, "active"},
           Row{"active, another comment", 0s, 1h, 10min, [](Silence* s) { s->comment = "new"; }, true, "active"},
           Row{"active, the same second", 0s, 1h, 10min, [](Silence* s) { s->starts_at += 500ms; }, true, "active"},
           Row{"active, another start", 0s, 1h, 10min, [](Silence* s) { s->starts_at += 5min; }, false, "expired"},
           Row{"active, an end that is past", 0s, 1h, 10min, [](Silence* s) { s->ends_at = s->starts_at + 5min; }, false, "expired"},
           Row{"active, other matchers", 0s, 1h, 10min, [](Silence* s) { s->matcher_sets = {*ParseMatchers("a=c")}; }, false, "expired"},
           Row{"pending, another start", 30min, 1h, 10min, [](Silence* s) { s->starts_at += 5min; }, true, "pending"},
           Row{"pending, a start that is past", 30min, 1h, 10min, [](Silence* s) { s->starts_at -= 25min; }, false, "expired"},
           Row{"expired, another comment", 0s, 5min, 10min, [](Silence* s) { s->comment = "new"; s->ends_at += 1h; }, false, "expired"},
       }) {
    SCOPED_TRACE(row.name);
    base::Registry registry;
    Silences silences(&sim_, store_.get(), &registry,
                      {.retention = 24h, .limits = {}, .new_id = [this] { return fmt::format("new{}", ++ids_); }, .on_change = nullptr});
    const base::Time begun = sim_.Now();
    Silence s = Of("a=b", 0s, 0s);
    s.starts_at = begun + row.starts;
    s.ends_at = begun + row.ends;
    std::string id;
    silences.Set(s, [&](base::Result<std::string> r) { id = *r; });
    sim_.RunFor(row.now);
    Silence changed = *silences.Find(id);
    row.change(&changed);
    std::string again;
    silences.Set(changed, [&](base::Result<std::string> r) { again = r ? *r : r.error().message(); });
    sim_.RunFor(1ms);
    EXPECT_EQ(again == id, row.keeps) << again;
    EXPECT_EQ(SilenceStateName(silences.Find(id)->StateAt(sim_.Now())), row.before);
    if (const SilencePtr now = silences.Find(again); !row.keeps && now != nullptr) {
      EXPECT_GE(now->starts_at, begun + row.now) << "what is past is not silenced afterwards";
    }
  }
}

TEST_F(SilencesTest, ExpiringEndsNowAndTwiceIsFine) {
  Make();
  const std::string active = Set(Of("a=b", 0s, 1h)), pending = Set(Of("a=b", 30min, 1h));
  sim_.RunFor(1min);
  EXPECT_EQ(Expire(active), "");
  EXPECT_EQ(Expire(pending), "");
  sim_.RunFor(1ms);
  EXPECT_EQ(StateOf(active), "expired");
  EXPECT_EQ(StateOf(pending), "expired");
  EXPECT_EQ(silences_->Find(pending)->starts_at, start_ + 1min);
  EXPECT_EQ(silences_->Find(active)->starts_at, start_);
  EXPECT_EQ(Expire(active), "");
  EXPECT_EQ(silences_->Find(active)->ends_at, start_ + 1min);
  EXPECT_EQ(Expire("never"), "silence not found");
}

TEST_F(SilencesTest, EndedOnesAreForgottenAfterTheRetention) {
  Make();
  const std::string id = Set(Of("a=b", 0s, 10min));
  sim_.RunFor(69min);
  EXPECT_EQ(silences_->Collect(), 0U);
  sim_.RunFor(1min);
  EXPECT_EQ(silences_->Collect(), 1U);
  EXPECT_EQ(silences_->Find(id), nullptr);
}

TEST_F(SilencesTest, LimitsCountEndedOnesTooAndNameTheNumbers) {
  Make({.max_silences = 2, .max_silence_size_bytes = 500});
  const std::string one = Set(Of("a=b", 0s, 1h));
  Set(Of("a=c", 0s, 1h));
  EXPECT_EQ(Expire(one), "");
  EXPECT_EQ(Set(Of("a=d", 0s, 1h)), "exceeded maximum number of silences: 2 (limit: 2)");
  Silence longer = *silences_->Find("new2");
  longer.ends_at += 1h;
  EXPECT_EQ(Set(longer), "new2");
  longer.comment = std::string(1000, 'x');
  EXPECT_THAT(Set(longer), HasSubstr("silence exceeded maximum size: "));
}

TEST_F(SilencesTest, AlertsAreMutedByAnySetWhileTheSilenceHoldsAndOnlyForItsReceivers) {
  Make();
  Silence s = Of("a=1", 1min, 10min);
  s.matcher_sets.push_back(*ParseMatchers("b=~\"2|3\",c!=x"));
  const std::string both = Set(s);
  s.receivers = {"chat"};
  const std::string chat = Set(s);
  auto muting = [&](const Pairs& labels, std::string_view receiver) {
    return silences_->Muting(model::Labels::FromPairs(labels), sim_.Now(), receiver);
  };
  EXPECT_THAT(muting({{"a", "1"}}, "ops"), IsEmpty());
  sim_.RunFor(2min);
  EXPECT_THAT(muting({{"a", "1"}}, "ops"), ElementsAre(both));
  EXPECT_THAT(muting({{"a", "1"}}, "chat"), ElementsAre(both, chat));
  EXPECT_THAT(muting({{"b", "3"}}, "ops"), ElementsAre(both));
  EXPECT_THAT(muting({{"b", "3"}, {"c", "x"}}, "ops"), IsEmpty());
  EXPECT_THAT(muting({{"a", "1"}, {"b", "2"}}, "ops"), ElementsAre(both));  // once, though both sets match
  sim_.RunFor(9min);
  EXPECT_THAT(muting({{"a", "1"}}, "ops"), IsEmpty());
}

}  // namespace
}  // namespace tocsin::alertmanager
