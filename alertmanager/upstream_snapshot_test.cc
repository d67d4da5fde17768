#include "alertmanager/upstream_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/notification_log.h"
#include "alertmanager/silences.h"
#include "base/log.h"

namespace tocsin::alertmanager {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// ---- just enough of protobuf to write the files ----

std::string Varint(uint64_t v) {
  std::string out;
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  return out + static_cast<char>(v);
}
std::string Bytes(int field, const std::string& value) { return Varint(field << 3 | 2) + Varint(value.size()) + value; }
std::string Number(int field, uint64_t value) { return Varint(field << 3) + Varint(value); }
std::string Delimited(const std::string& message) { return Varint(message.size()) + message; }
std::string Timestamp(int64_t seconds, int64_t nanos = 0) { return Number(1, static_cast<uint64_t>(seconds)) + Number(2, nanos); }

std::string OneSilence() {
  const std::string matcher = Number(1, 1) + Bytes(2, "instance") + Bytes(3, "a|b");
  return Delimited(Bytes(1, Bytes(1, "4a1cbcf0-0000-4000-8000-000000000001") + Bytes(2, matcher) + Bytes(3, Timestamp(100)) +
                                Bytes(4, Timestamp(200)) + Bytes(5, Timestamp(100)) + Bytes(8, "me") + Bytes(9, "why")) +
                   Bytes(2, Timestamp(300)));
}

std::string OneEntry() {
  const std::string receiver = Bytes(1, "team") + Bytes(2, "webhook") + Number(3, 0);
  return Delimited(Bytes(1, Bytes(1, "{}:{alertname=\"X\"}") + Bytes(2, receiver) + Bytes(5, Timestamp(100, 5)) +
                                Bytes(6, Varint(7) + Varint(1ULL << 63)) + Number(7, 9)) +
                   Bytes(2, Timestamp(900)));
}

TEST(UpstreamSnapshotTest, SilencesAndLogEntriesAreRead) {
  std::vector<state::SilenceRecord> silences;
  ASSERT_TRUE(ReadUpstreamSilences(OneSilence() + OneSilence(), &silences).has_value());
  ASSERT_THAT(silences, SizeIs(2));
  auto silence = DecodeSilence(silences[0].bytes);
  ASSERT_TRUE(silence.has_value());
  EXPECT_EQ(MatchersText(silence->matcher_sets[0]), "{instance=~\"a|b\"}");
  EXPECT_EQ(silence->comment, "why");
  EXPECT_EQ(silences[0].expires_at, base::FromUnixMillis(300'000));

  std::vector<state::NotificationRecord> entries;
  ASSERT_TRUE(ReadUpstreamNotifications(OneEntry(), &entries).has_value());
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].receiver_key, "team/webhook/0");
  EXPECT_THAT(entries[0].firing, ElementsAre(7, 1ULL << 63));
  EXPECT_THAT(entries[0].resolved, ElementsAre(9));
}

TEST(UpstreamSnapshotTest, CutOrChangedBytesAreNeverACrash) {
  for (const std::string& whole : {OneSilence(), OneEntry()}) {
    for (size_t i = 0; i < whole.size(); ++i) {
      std::vector<state::SilenceRecord> silences;
      std::vector<state::NotificationRecord> entries;
      const std::string cut = whole.substr(0, i);
      EXPECT_EQ(ReadUpstreamSilences(cut, &silences).has_value(), i == 0);
      base::Ignore(ReadUpstreamNotifications(cut, &entries));
      for (int bit = 0; bit < 8; ++bit) {
        std::string flipped = whole;
        flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
        base::Ignore(ReadUpstreamSilences(flipped, &silences));
        base::Ignore(ReadUpstreamNotifications(flipped, &entries));
      }
    }
  }
}

TEST(SilenceRecordTest, RecordsSurviveAndDamageIsNoticedWithoutACrash) {
  Silence s;
  s.id = "x";
  s.matcher_sets = {*ParseMatchers("a=b,c=~d"), *ParseMatchers("e!=f")};
  s.starts_at = base::FromUnixMillis(1);
  s.ends_at = base::FromUnixMillis(2);
  s.annotations = {{"k", "v"}};
  const std::string bytes = EncodeSilence(s);
  auto again = DecodeSilence(bytes);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(EncodeSilence(*again), bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(DecodeSilence(bytes.substr(0, i)).has_value()) << i;
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x80);
    base::Ignore(DecodeSilence(flipped));
  }
}

}  // namespace
}  // namespace tocsin::alertmanager
