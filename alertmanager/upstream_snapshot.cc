#include "alertmanager/upstream_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "alertmanager/receiver.h"
#include "alertmanager/silences.h"
#include "base/coding.h"
#include "base/log.h"

namespace tocsin::alertmanager {

namespace {

// A protobuf message, field by field.  A length is never trusted: what does not fit fails the reader.
class Message {
 public:
  explicit Message(std::string_view bytes) : in_(bytes) {}

  // The next field; false at the end or after damage.
  bool Next() {
    if (!in_.more() || damaged_) return false;
    const uint64_t key = in_.Uvarint();
    number_ = static_cast<uint32_t>(key >> 3);
    value_ = 0;
    text_ = {};
    switch (key & 7) {
      case 0: value_ = in_.Uvarint(); break;
      case 1: text_ = in_.Bytes(8); break;
      case 2: text_ = in_.Text(); break;
      case 5: text_ = in_.Bytes(4); break;
      default: damaged_ = true;
    }
    return ok();
  }
  uint32_t number() const { return number_; }
  uint64_t value() const { return value_; }           // of a varint
  std::string_view text() const { return text_; }     // of bytes, strings, messages, packed lists
  bool ok() const { return in_.ok() && !damaged_; }

 private:
  base::Decoder in_;
  uint32_t number_ = 0;
  uint64_t value_ = 0;
  std::string_view text_;
  bool damaged_ = false;
};

base::Time ReadTimestamp(std::string_view bytes) {
  int64_t seconds = 0, nanos = 0;
  for (Message m(bytes); m.Next();) {
    if (m.number() == 1) seconds = static_cast<int64_t>(m.value());
    if (m.number() == 2) nanos = static_cast<int64_t>(m.value());
  }
  // Go's zero time lies before what nanoseconds since 1970 can hold.
  constexpr int64_t kMost = INT64_MAX / 1'000'000'000 - 1;
  seconds = std::clamp(seconds, -kMost, kMost);
  return base::Time(std::chrono::seconds(seconds) + base::Duration(nanos));
}

base::Result<Matcher> ReadMatcher(std::string_view bytes) {
  constexpr MatchOp kOps[] = {MatchOp::kEqual, MatchOp::kRegex, MatchOp::kNotEqual, MatchOp::kNotRegex};
  uint64_t type = 0;
  std::string_view name, pattern;
  Message m(bytes);
  while (m.Next()) {
    if (m.number() == 1) type = m.value();
    if (m.number() == 2) name = m.text();
    if (m.number() == 3) pattern = m.text();
  }
  if (!m.ok() || type > 3) return base::DataLoss("damaged matcher");
  return Matcher::Make(kOps[type], name, pattern);
}

base::Result<Matchers> ReadMatcherSet(std::string_view bytes) {
  Matchers set;
  Message m(bytes);
  while (m.Next()) {
    if (m.number() != 1) continue;
    ASSIGN_OR_RETURN(Matcher matcher, ReadMatcher(m.text()));
    set.push_back(std::move(matcher));
  }
  if (!m.ok() || set.empty()) return base::DataLoss("damaged set of matchers");
  return set;
}

// The name that a set of matchers asks of a receiver, if that is all it asks.
base::Result<std::string> ReadReceiver(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Matchers set, ReadMatcherSet(bytes));
  if (set.size() == 1 && set[0].name() == "name" && set[0].op() == MatchOp::kEqual) return set[0].value();
  return base::InvalidArgument(fmt::format("it holds for receivers that match {}; here a silence names its receivers", MatchersText(set)));
}

std::pair<std::string_view, std::string_view> ReadMapEntry(std::string_view bytes) {
  std::pair<std::string_view, std::string_view> entry;
  for (Message m(bytes); m.Next();) {
    if (m.number() == 1) entry.first = m.text();
    if (m.number() == 2) entry.second = m.text();
  }
  return entry;
}

base::Result<Silence> ReadSilence(std::string_view bytes) {
  Silence s;
  Matchers matchers;
  Message m(bytes);
  while (m.Next()) {
    switch (m.number()) {
      case 1: s.id = m.text(); break;
      case 2: {
        ASSIGN_OR_RETURN(Matcher matcher, ReadMatcher(m.text()));
        matchers.push_back(std::move(matcher));
        break;
      }
      case 3: s.starts_at = ReadTimestamp(m.text()); break;
      case 4: s.ends_at = ReadTimestamp(m.text()); break;
      case 5: s.updated_at = ReadTimestamp(m.text()); break;
      case 7:  // before 0.15 a silence had comments, each with its author
        if (s.comment.empty()) std::tie(s.created_by, s.comment) = ReadMapEntry(m.text());
        break;
      case 8: s.created_by = m.text(); break;
      case 9: s.comment = m.text(); break;
      case 10: s.annotations.emplace_back(ReadMapEntry(m.text())); break;
      case 11: {
        ASSIGN_OR_RETURN(Matchers set, ReadMatcherSet(m.text()));
        s.matcher_sets.push_back(std::move(set));
        break;
      }
      case 12: {
        ASSIGN_OR_RETURN(std::string receiver, ReadReceiver(m.text()));
        s.receivers.push_back(std::move(receiver));
        break;
      }
      default: break;
    }
  }
  // With several sets `matchers` is the first of them, for older readers.
  if (s.matcher_sets.empty() && !matchers.empty()) s.matcher_sets.push_back(std::move(matchers));
  if (!m.ok() || s.id.empty() || s.matcher_sets.empty()) return base::DataLoss("it is damaged");
  std::ranges::sort(s.annotations);
  return s;
}

// Packed or one by one, as protobuf allows.
base::Status ReadHashes(const Message& field, std::vector<uint64_t>* out) {
  if (field.text().empty()) {
    out->push_back(field.value());
    return {};
  }
  base::Decoder packed(field.text());
  while (packed.more()) out->push_back(packed.Uvarint());
  return packed.ok() ? base::Status() : base::DataLoss("it is damaged");
}

base::Result<state::NotificationRecord> ReadEntry(std::string_view bytes) {
  state::NotificationRecord out;
  std::string_view receiver_name, integration;
  SlackPost post;
  uint64_t index = 0;
  std::vector<uint64_t> muted;
  Message m(bytes);
  while (m.Next()) {
    switch (m.number()) {
      case 1: out.group_key = m.text(); break;
      case 2:
        for (Message receiver(m.text()); receiver.Next();) {
          if (receiver.number() == 1) receiver_name = receiver.text();
          if (receiver.number() == 2) integration = receiver.text();
          if (receiver.number() == 3) index = receiver.value();
        }
        break;
      case 5: out.sent_at = ReadTimestamp(m.text()); break;
      case 6: RETURN_IF_ERROR(ReadHashes(m, &out.firing)); break;
      case 7: RETURN_IF_ERROR(ReadHashes(m, &out.resolved)); break;
      case 8: {
        const auto [key, value] = ReadMapEntry(m.text());
        const std::string_view text = ReadMapEntry(value).first;  // as a text
        if (key == "threadTs") post.ts = text;
        if (key == "channelId") post.channel = text;
        break;
      }
      case 9: RETURN_IF_ERROR(ReadHashes(m, &muted)); break;
      default: break;
    }
  }
  if (!m.ok() || out.group_key.empty() || receiver_name.empty()) return base::DataLoss("it is damaged");
  // What was held back was not told.
  std::ranges::sort(muted);
  for (std::vector<uint64_t>* told : {&out.firing, &out.resolved}) {
    std::erase_if(*told, [&](uint64_t hash) { return std::ranges::binary_search(muted, hash); });
  }
  out.receiver_key = fmt::format("{}/{}/{}", receiver_name, integration, index);
  if (!post.ts.empty() && !post.channel.empty()) out.receiver_data = EncodeSlackPost(post);
  return out;
}

// Calls `read(message, expires_at)` for each delimited message.
template <class Read>
base::Status ReadDelimited(std::string_view bytes, std::string_view what, Read read) {
  base::Status first;
  size_t left_out = 0;
  base::Decoder stream(bytes);
  while (stream.more()) {
    const size_t at = stream.offset();
    const std::string_view outer = stream.Text();
    std::string_view inner;
    base::Time expires{};
    Message m(outer);
    while (m.Next()) {
      if (m.number() == 1) inner = m.text();
      if (m.number() == 2) expires = ReadTimestamp(m.text());
    }
    const bool whole = stream.ok() && m.ok();
    if (base::Status done = whole ? read(inner, expires) : base::DataLoss("it is damaged"); !done && left_out++ == 0) {
      first = base::DataLoss(fmt::format("{} snapshot: record at byte {} of {}: {}", what, at, bytes.size(), done.error().message()));
    }
  }
  if (left_out > 1) return base::DataLoss(fmt::format("{}; {} more were left out too", first.error().message(), left_out - 1));
  return first;
}

}  // namespace

base::Status ReadUpstreamSilences(std::string_view bytes, std::vector<state::SilenceRecord>* out) {
  return ReadDelimited(bytes, "silences", [&](std::string_view message, base::Time expires) -> base::Status {
    ASSIGN_OR_RETURN(const Silence silence, ReadSilence(message));
    out->push_back({.id = silence.id, .bytes = EncodeSilence(silence), .updated_at = silence.updated_at, .expires_at = expires});
    return base::Status();
  });
}

base::Status ReadUpstreamNotifications(std::string_view bytes, std::vector<state::NotificationRecord>* out) {
  return ReadDelimited(bytes, "nflog", [&](std::string_view message, base::Time expires) -> base::Status {
    ASSIGN_OR_RETURN(state::NotificationRecord record, ReadEntry(message));
    record.expires_at = expires;
    out->push_back(std::move(record));
    return base::Status();
  });
}

void ImportUpstreamSnapshots(const std::string& folder, base::FileSystem* fs, state::Store* store,
                             state::Contents* contents) {
  if (!contents->silences.empty() || !contents->notifications.empty()) {
    for (const char* name : {"silences", "nflog"}) {
      const std::string path = base::JoinPath(folder, name);
      if (!fs->Stat(path)) continue;
      base::LogWarn("an Alertmanager's snapshot is not imported, because there is a state of our own already; remove the file, or "
                    "state.db before the next start", {{"file", path}});
    }
    return;
  }
  auto files = std::make_shared<std::vector<std::string>>();
  auto read = [&](const char* name, auto parse) {
    const std::string path = base::JoinPath(folder, name);
    auto bytes = fs->ReadFile(path);
    if (!bytes) return;  // none was left there
    if (auto status = parse(*bytes); !status) {
      base::LogWarn("not all of an Alertmanager's snapshot can be imported",
                    {{"file", path}, {"error", status.error()}});
    }
    files->push_back(path);
  };
  read("silences", [&](std::string_view b) { return ReadUpstreamSilences(b, &contents->silences); });
  read("nflog", [&](std::string_view b) { return ReadUpstreamNotifications(b, &contents->notifications); });
  if (files->empty()) return;
  state::Transaction t;
  for (const auto& s : contents->silences) t.PutSilence(s);
  for (const auto& n : contents->notifications) t.PutNotification(n);
  base::LogInfo("importing an Alertmanager's state", {{"silences", contents->silences.size()},
                                                      {"notifications", contents->notifications.size()}});
  store->Commit(std::move(t), [files, fs](base::Status status) {
    if (!status) {
      base::LogError("an Alertmanager's state could not be stored; it is imported again at the next start",
                     {{"error", status.error()}});
      return;
    }
    for (const std::string& path : *files) {
      if (auto renamed = fs->Rename(path, path + ".imported"); !renamed) {
        base::LogWarn("an imported snapshot could not be renamed", {{"file", path}, {"error", renamed.error()}});
      }
    }
  });
}

}  // namespace tocsin::alertmanager
