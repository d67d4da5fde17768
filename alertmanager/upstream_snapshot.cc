#include "alertmanager/upstream_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "alertmanager/silences.h"
#include "base/log.h"

namespace tocsin::alertmanager {

namespace {

// A protobuf message, field by field.  A length is never trusted: what does not fit fails the reader.
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  // The next field; false at the end or after damage.
  bool Next() {
    if (rest_.empty() || !ok_) return false;
    const uint64_t key = Varint();
    number_ = static_cast<uint32_t>(key >> 3);
    value_ = 0;
    text_ = {};
    switch (key & 7) {
      case 0: value_ = Varint(); break;
      case 1: text_ = Take(8); break;
      case 2: text_ = Take(Varint()); break;
      case 5: text_ = Take(4); break;
      default: ok_ = false;
    }
    return ok_;
  }
  uint32_t number() const { return number_; }
  uint64_t value() const { return value_; }           // of a varint
  std::string_view text() const { return text_; }     // of bytes, strings, messages, packed lists
  bool ok() const { return ok_; }
  size_t left() const { return rest_.size(); }

  uint64_t Varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      v |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return v;
    }
    ok_ = false;
    return 0;
  }
  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }

 private:
  std::string_view rest_;
  uint32_t number_ = 0;
  uint64_t value_ = 0;
  std::string_view text_;
  bool ok_ = true;
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
      case 8: s.created_by = m.text(); break;
      case 9: s.comment = m.text(); break;
      default: break;
    }
  }
  if (!m.ok() || s.id.empty() || matchers.empty()) return base::DataLoss("damaged silence");
  s.matcher_sets.push_back(std::move(matchers));
  return s;
}

// Packed or one by one, as protobuf allows.
void ReadHashes(const Message& field, std::vector<uint64_t>* out) {
  if (field.text().empty()) {
    out->push_back(field.value());
    return;
  }
  for (Message packed(field.text()); packed.left() > 0 && packed.ok();) out->push_back(packed.Varint());
}

bool ReadEntry(std::string_view bytes, state::NotificationRecord* out) {
  std::string_view group, integration;
  uint64_t index = 0;
  Message m(bytes);
  while (m.Next()) {
    switch (m.number()) {
      case 1: out->group_key = m.text(); break;
      case 2: {
        Message receiver(m.text());
        while (receiver.Next()) {
          if (receiver.number() == 1) group = receiver.text();
          if (receiver.number() == 2) integration = receiver.text();
          if (receiver.number() == 3) index = receiver.value();
        }
        if (!receiver.ok()) return false;
        break;
      }
      case 5: out->sent_at = ReadTimestamp(m.text()); break;
      case 6: ReadHashes(m, &out->firing); break;
      case 7: ReadHashes(m, &out->resolved); break;
      default: break;
    }
  }
  out->receiver_key = fmt::format("{}/{}/{}", group, integration, index);
  return m.ok() && !out->group_key.empty() && !group.empty();
}

// Calls `read(message, expires_at)` for each delimited message; false means damage.
template <class Read>
base::Status ReadDelimited(std::string_view bytes, std::string_view what, Read read) {
  Message stream(bytes);
  while (stream.left() > 0) {
    const size_t at = bytes.size() - stream.left();
    const std::string_view outer = stream.Take(stream.Varint());
    std::string_view inner;
    base::Time expires{};
    Message m(outer);
    while (m.Next()) {
      if (m.number() == 1) inner = m.text();
      if (m.number() == 2) expires = ReadTimestamp(m.text());
    }
    if (!stream.ok() || !m.ok() || !read(inner, expires)) {
      return base::DataLoss(fmt::format("{} snapshot: record at byte {} of {} is damaged", what, at, bytes.size()));
    }
  }
  return {};
}

}  // namespace

base::Status ReadUpstreamSilences(std::string_view bytes, std::vector<state::SilenceRecord>* out) {
  return ReadDelimited(bytes, "silences", [&](std::string_view message, base::Time expires) {
    auto silence = ReadSilence(message);
    if (!silence) return false;
    out->push_back({.id = silence->id,
                    .bytes = EncodeSilence(*silence),
                    .updated_at = silence->updated_at,
                    .expires_at = expires});
    return true;
  });
}

base::Status ReadUpstreamNotifications(std::string_view bytes, std::vector<state::NotificationRecord>* out) {
  return ReadDelimited(bytes, "nflog", [&](std::string_view message, base::Time expires) {
    state::NotificationRecord record;
    if (!ReadEntry(message, &record)) return false;
    record.expires_at = expires;
    out->push_back(std::move(record));
    return true;
  });
}

void ImportUpstreamSnapshots(const std::string& folder, base::FileSystem* fs, state::Store* store,
                             state::Contents* contents) {
  if (!contents->silences.empty() || !contents->notifications.empty()) return;
  auto files = std::make_shared<std::vector<std::string>>();
  auto read = [&](const char* name, auto parse) {
    const std::string path = base::JoinPath(folder, name);
    auto bytes = fs->ReadFile(path);
    if (!bytes) return;  // none was left there
    if (auto status = parse(*bytes); !status) {
      base::LogWarn("an Alertmanager's snapshot is damaged; what comes before is imported",
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
