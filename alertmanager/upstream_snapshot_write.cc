// The writing half of upstream_snapshot.h.

#include <fmt/format.h>

#include <charconv>

#include "alertmanager/receiver.h"
#include "alertmanager/silences.h"
#include "alertmanager/upstream_snapshot.h"
#include "base/coding.h"
#include "base/number.h"

namespace tocsin::alertmanager {
namespace {

// What is zero or empty is left out, as protobuf 3 does.
void Number(int field, uint64_t value, std::string* out) {
  if (value == 0) return;
  base::PutUvarint(out, static_cast<uint64_t>(field) << 3);
  base::PutUvarint(out, value);
}

void Message(int field, std::string_view bytes, std::string* out) {
  base::PutUvarint(out, static_cast<uint64_t>(field) << 3 | 2);
  base::PutText(out, bytes);
}

void Text(int field, std::string_view text, std::string* out) {
  if (!text.empty()) Message(field, text, out);
}

void Timestamp(int field, base::Time t, std::string* out) {
  const auto second = std::chrono::floor<std::chrono::seconds>(t);
  std::string bytes;
  Number(1, static_cast<uint64_t>(second.time_since_epoch().count()), &bytes);
  Number(2, static_cast<uint64_t>((t - second).count()), &bytes);
  Message(field, bytes, out);
}

void MapEntry(int field, std::string_view key, std::string_view value, std::string* out) {
  std::string entry;
  Text(1, key, &entry);
  Text(2, value, &entry);
  Message(field, entry, out);
}

std::string MatcherBytes(const Matcher& m) {
  constexpr std::pair<MatchOp, uint64_t> kTypes[] = {
      {MatchOp::kEqual, 0}, {MatchOp::kRegex, 1}, {MatchOp::kNotEqual, 2}, {MatchOp::kNotRegex, 3}};
  std::string out;
  for (const auto& [op, type] : kTypes) {
    if (op == m.op()) Number(1, type, &out);
  }
  Text(2, m.name(), &out);
  Text(3, m.value(), &out);
  return out;
}

std::string SilenceBytes(const Silence& s) {
  std::string out;
  Text(1, s.id, &out);
  for (const Matcher& m : s.matcher_sets.front()) Message(2, MatcherBytes(m), &out);
  Timestamp(3, s.starts_at, &out);
  Timestamp(4, s.ends_at, &out);
  Timestamp(5, s.updated_at, &out);
  Text(8, s.created_by, &out);
  Text(9, s.comment, &out);
  for (const auto& [name, value] : s.annotations) MapEntry(10, name, value, &out);
  if (s.matcher_sets.size() > 1) {
    for (const Matchers& set : s.matcher_sets) {
      std::string bytes;
      for (const Matcher& m : set) Message(1, MatcherBytes(m), &bytes);
      Message(11, bytes, &out);
    }
  }
  return out;
}

void Hashes(int field, const std::vector<uint64_t>& hashes, std::string* out) {
  std::string packed;
  for (const uint64_t hash : hashes) base::PutUvarint(&packed, hash);
  Text(field, packed, out);
}

// False: the key is not one of ours.
bool EntryBytes(const state::NotificationRecord& r, std::string* out) {
  // team/slack/0; the name may have slashes of its own.
  const std::string_view key = r.receiver_key;
  const size_t last = key.rfind('/');
  const size_t middle = last == std::string_view::npos || last == 0 ? std::string_view::npos : key.rfind('/', last - 1);
  if (middle == std::string_view::npos) return false;
  const std::string_view integration = key.substr(middle + 1, last - middle - 1), number = key.substr(last + 1);
  uint64_t index = 0;
  if (std::from_chars(number.data(), number.data() + number.size(), index).ec != std::errc()) return false;
  std::string receiver;
  Text(1, key.substr(0, middle), &receiver);
  Text(2, integration, &receiver);
  Number(3, index, &receiver);
  Text(1, r.group_key, out);
  Message(2, receiver, out);
  Timestamp(5, r.sent_at, out);
  Hashes(6, r.firing, out);
  Hashes(7, r.resolved, out);
  if (const auto post = DecodeSlackPost(r.receiver_data); post && integration == "slack") {
    for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>("threadTs", post->ts), {"channelId", post->channel}}) {
      std::string text;
      Text(1, value, &text);
      MapEntry(8, name, text, out);
    }
  }
  return true;
}

void Delimited(std::string_view inner, base::Time expires, std::string* out) {
  std::string outer;
  Message(1, inner, &outer);
  Timestamp(2, expires, &outer);
  base::PutText(out, outer);
}

}  // namespace

std::string WriteUpstreamSilences(std::span<const state::SilenceRecord> records, std::vector<std::string>* left_out) {
  std::string out;
  for (const state::SilenceRecord& record : records) {
    const auto silence = DecodeSilence(record.bytes);
    std::string_view why;
    if (!silence) {
      why = "its record is damaged";
    } else if (!silence->schedule.empty()) {
      why = "it recurs, and there it would hold all the time";
    } else if (!silence->receivers.empty()) {
      why = "it is for some receivers only, and there it would hold for all";
    }
    if (!why.empty()) {
      left_out->push_back(fmt::format("silence {}: {}", record.id, why));
      continue;
    }
    Delimited(SilenceBytes(*silence), record.expires_at, &out);
  }
  return out;
}

std::string WriteUpstreamNotifications(std::span<const state::NotificationRecord> records, std::vector<std::string>* left_out) {
  std::string out;
  for (const state::NotificationRecord& record : records) {
    std::string entry;
    if (EntryBytes(record, &entry)) {
      Delimited(entry, record.expires_at, &out);
    } else {
      left_out->push_back(fmt::format("notification log entry {}: {} is no receiver, integration and number", base::Quote(record.group_key),
                                      base::Quote(record.receiver_key)));
    }
  }
  return out;
}

}  // namespace tocsin::alertmanager
