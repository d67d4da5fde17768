#include "alertmanager/upstream_snapshot.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "alertmanager/notification_log.h"
#include "alertmanager/receiver.h"
#include "alertmanager/silence_schedule.h"
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

TEST(UpstreamSnapshotTest, NewerFieldsAreReadAndRecordsThatCannotBeTakenOverCostOnlyThemselves) {
  const std::string a = Number(1, 0) + Bytes(2, "a") + Bytes(3, "1"), b = Number(1, 2) + Bytes(2, "b") + Bytes(3, "2");
  const std::string name = Bytes(1, Bytes(2, "name") + Bytes(3, "team"));
  auto silence = [&](const std::string& more) {
    return Delimited(Bytes(1, Bytes(1, "4a1cbcf0-0000-4000-8000-000000000002") + Bytes(2, a) + Bytes(4, Timestamp(200)) + more));
  };
  std::vector<state::SilenceRecord> silences;
  const auto read = ReadUpstreamSilences(
      silence(Bytes(12, Bytes(1, Number(1, 1) + Bytes(2, "name") + Bytes(3, "t.*")))) +  // receivers by regex
          silence(Bytes(11, Bytes(1, a)) + Bytes(11, Bytes(1, b)) + Bytes(10, Bytes(1, "k") + Bytes(2, "v"))) + silence(Bytes(12, name)) +
          silence(Bytes(7, Bytes(1, "old author") + Bytes(2, "old comment"))),
      &silences);
  ASSERT_FALSE(read.has_value());
  EXPECT_THAT(read.error().message(), testing::HasSubstr("record at byte 0 of"));
  EXPECT_THAT(read.error().message(), testing::HasSubstr("receivers that match {name=~\"t.*\"}"));
  ASSERT_THAT(silences, SizeIs(3));
  EXPECT_EQ(MatcherSetsText(DecodeSilence(silences[0].bytes)->matcher_sets), "{a=\"1\"} or {b!=\"2\"}");
  EXPECT_THAT(DecodeSilence(silences[0].bytes)->annotations, ElementsAre(testing::Pair("k", "v")));
  EXPECT_THAT(DecodeSilence(silences[1].bytes)->receivers, ElementsAre("team"));
  EXPECT_EQ(DecodeSilence(silences[2].bytes)->created_by, "old author");

  std::vector<state::NotificationRecord> entries;
  const std::string slack = Bytes(1, "team/a") + Bytes(2, "slack") + Number(3, 1);
  ASSERT_TRUE(ReadUpstreamNotifications(
      Delimited(Bytes(1, Bytes(1, "{}:{}") + Bytes(2, slack) + Bytes(6, Varint(1) + Varint(2) + Varint(3)) + Bytes(9, Varint(2)) +
                             Bytes(8, Bytes(1, "threadTs") + Bytes(2, Bytes(1, "1.5"))) + Bytes(8, Bytes(1, "channelId") + Bytes(2, Bytes(1, "C1"))))),
      &entries));
  EXPECT_EQ(entries[0].receiver_key, "team/a/slack/1");
  EXPECT_THAT(entries[0].firing, ElementsAre(1, 3));  // what was muted was not told
  EXPECT_EQ(DecodeSlackPost(entries[0].receiver_data)->ts, "1.5");
}

TEST(UpstreamSnapshotTest, WhatIsWrittenIsReadBackAndWhatWouldHoldMoreBackIsLeftOut) {
  std::vector<std::string> left_out;
  std::vector<state::SilenceRecord> silences;
  for (int i = 0; i < 4; ++i) {
    Silence s;
    s.id = fmt::format("4a1cbcf0-0000-4000-8000-00000000000{}", i);
    s.matcher_sets = {*ParseMatchers("a=b,c=~d"), *ParseMatchers("e!=f")};
    if (i == 1) s.matcher_sets.pop_back();
    s.starts_at = base::FromUnixMillis(-1500);
    s.ends_at = base::FromUnixMillis(2'000'000'000'123);
    s.updated_at = base::FromUnixMillis(5);
    s.created_by = "ada";
    s.comment = "why";
    s.annotations = {{"k", "v"}, {"l", ""}};
    if (i == 2) {
      ASSERT_TRUE(s.SetSchedule(*ScheduleFromShort("saturday")));
    }
    if (i == 3) s.receivers = {"team"};
    silences.push_back({.id = s.id, .bytes = EncodeSilence(s), .updated_at = s.updated_at, .expires_at = base::FromUnixMillis(9)});
  }
  std::vector<state::SilenceRecord> back;
  ASSERT_TRUE(ReadUpstreamSilences(WriteUpstreamSilences(silences, &left_out), &back));
  ASSERT_THAT(back, SizeIs(2));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back[i].bytes, silences[i].bytes);
    EXPECT_EQ(back[i].expires_at, silences[i].expires_at);
  }
  EXPECT_THAT(left_out, ElementsAre(testing::HasSubstr("it recurs"), testing::HasSubstr("for some receivers only")));

  left_out.clear();
  std::vector<state::NotificationRecord> entries = {
      {.group_key = "{}:{a=\"1\"}", .receiver_key = "a/b/slack/12", .sent_at = base::FromUnixMillis(1'700'000'000'001), .firing = {1, UINT64_MAX},
       .resolved = {}, .receiver_data = EncodeSlackPost({.channel = "C", .ts = "1"}), .expires_at = base::FromUnixMillis(9)},
      {.group_key = "{}", .receiver_key = "ops/email/0", .resolved = {7}},
      {.group_key = "{}", .receiver_key = "none"}};
  std::vector<state::NotificationRecord> read;
  ASSERT_TRUE(ReadUpstreamNotifications(WriteUpstreamNotifications(entries, &left_out), &read));
  EXPECT_THAT(left_out, SizeIs(1));
  ASSERT_THAT(read, SizeIs(2));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read[i].receiver_key, entries[i].receiver_key);
    EXPECT_EQ(read[i].sent_at, entries[i].sent_at);
    EXPECT_EQ(read[i].firing, entries[i].firing);
    EXPECT_EQ(read[i].resolved, entries[i].resolved);
    EXPECT_EQ(read[i].receiver_data, entries[i].receiver_data);
    EXPECT_EQ(read[i].expires_at, entries[i].expires_at);
  }
}

TEST(UpstreamSnapshotTest, AnEntryWhoseHashesAreCutIsLeftOut) {
  for (const int field : {6, 7, 9}) {
    std::vector<state::NotificationRecord> entries;
    const std::string receiver = Bytes(1, "team") + Bytes(2, "webhook");
    const auto read = ReadUpstreamNotifications(
        Delimited(Bytes(1, Bytes(1, "{}:{}") + Bytes(2, receiver) + Bytes(field, Varint(7) + "\x80"))) + OneEntry(), &entries);
    ASSERT_FALSE(read.has_value());
    EXPECT_THAT(read.error().message(), testing::HasSubstr("nflog snapshot: record at byte 0 of"));
    EXPECT_THAT(entries, SizeIs(1));
  }
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
