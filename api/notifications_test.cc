#include "api/notifications.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/simulated_executor.h"

namespace tocsin::api {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

std::string Event(const std::string& text, int seconds, bool active) {
  return "data: {\"text\":\"" + text + "\",\"date\":\"1970-01-01T00:00:0" + std::to_string(seconds) + "Z\",\"active\":" +
         (active ? "true" : "false") + "}\n\n";
}

// What a connection does with a stream: it asks for a part, writes it, and asks for the next.
class Listener {
 public:
  explicit Listener(net::BodySource source) : source_(std::move(source)) { Ask(); }
  void Ask() {
    source_([this](base::Result<std::string> part) {
      ended = part->empty();
      parts.push_back(std::move(*part));
    });
  }
  // What has come, and goes on listening.
  std::vector<std::string> Read() {
    auto got = std::exchange(parts, {});
    if (!got.empty() && !ended) Ask();
    return got;
  }
  void Leave() { source_ = nullptr; }

  std::vector<std::string> parts;
  bool ended = false;

 private:
  net::BodySource source_;
};

class NotificationsTest : public testing::Test {
 protected:
  base::SimulatedExecutor sim_{base::FromUnixMillis(0)};
  base::Registry registry_;
  std::optional<Notifications> notifications_{std::in_place, &sim_, &registry_, 2};
};

TEST_F(NotificationsTest, AnEqualOneGetsANewTimeOnly) {
  notifications_->Add("a");
  sim_.RunFor(3s);
  notifications_->Add("a");
  notifications_->Add("b");
  ASSERT_EQ(notifications_->all().size(), 2u);
  EXPECT_EQ(notifications_->all()[0].date, base::FromUnixMillis(3000));
  notifications_->Remove("a");
  notifications_->Remove("none");
  ASSERT_EQ(notifications_->all().size(), 1u);
  EXPECT_EQ(notifications_->all()[0].text, "b");
}

TEST_F(NotificationsTest, AListenerGetsWhatThereIsAndEachChange) {
  notifications_->Add("a");
  Listener listener(notifications_->Subscribe().value());
  EXPECT_THAT(listener.Read(), ElementsAre(Event("a", 0, true)));
  sim_.RunFor(1s);
  notifications_->Add("b");
  notifications_->Remove("a");
  EXPECT_THAT(listener.Read(), ElementsAre(Event("b", 1, true)));
  EXPECT_THAT(listener.Read(), ElementsAre(Event("a", 0, false)));
  EXPECT_THAT(listener.Read(), IsEmpty());
  sim_.RunFor(15s);
  EXPECT_THAT(listener.Read(), ElementsAre(":\n\n"));
  notifications_->EndStreams();
  EXPECT_THAT(listener.Read(), ElementsAre(""));
  EXPECT_FALSE(notifications_->Subscribe());
}

TEST_F(NotificationsTest, WhoDoesNotReadLosesTheLast) {
  Listener listener(notifications_->Subscribe().value());
  for (int i = 0; i < 20; ++i) notifications_->Add(std::to_string(i));
  EXPECT_THAT(listener.Read(), ElementsAre(Event("0", 0, true)));
  std::string ten;
  for (int i = 1; i <= 10; ++i) ten += Event(std::to_string(i), 0, true);
  EXPECT_THAT(listener.Read(), ElementsAre(ten));
  EXPECT_THAT(listener.Read(), IsEmpty());
}

TEST_F(NotificationsTest, NoMoreListenThanMayAndOneThatLeavesMakesRoom) {
  Listener one(notifications_->Subscribe().value());
  Listener two(notifications_->Subscribe().value());
  EXPECT_FALSE(notifications_->Subscribe());
  one.Leave();
  Listener three(notifications_->Subscribe().value());
  notifications_->Add("a");
  EXPECT_THAT(two.Read(), ElementsAre(Event("a", 0, true)));
  EXPECT_THAT(three.Read(), ElementsAre(Event("a", 0, true)));
  notifications_ = std::nullopt;  // the streams end
  EXPECT_THAT(two.Read(), ElementsAre(""));
}

}  // namespace
}  // namespace tocsin::api
