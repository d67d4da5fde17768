#include "alertmanager/journal_format.h"

#include <algorithm>
#include <limits>
#include <span>

#include "base/coding.h"

namespace tocsin::alertmanager {
namespace {

struct KindRow {
  JournalKind kind;
  std::string_view name;
};
constexpr KindRow kKinds[] = {
    {JournalKind::kReceived, "received"},     {JournalKind::kResolved, "resolved"},
    {JournalKind::kGrouped, "grouped"},       {JournalKind::kSuppressed, "suppressed"},
    {JournalKind::kReleased, "released"},     {JournalKind::kNotSent, "not_sent"},
    {JournalKind::kRequest, "request"},       {JournalKind::kUnanswered, "unanswered"},
    {JournalKind::kGaveUp, "gave_up"},        {JournalKind::kRecovered, "recovered"},
    {JournalKind::kSilence, "silence"},       {JournalKind::kService, "service"},
};

constexpr std::string_view kReceivedNames[] = {"new", "again"};
constexpr std::string_view kResolvedNames[] = {"sender", "timeout"};
constexpr std::string_view kSuppressNames[] = {"inhibition", "active_time_interval", "mute_time_interval", "silence"};
constexpr std::string_view kNotSentNames[] = {"repeat_not_due", "told_resolved",  "never_told",        "all_suppressed",
                                              "no_integrations", "still_sending", "resolved_unwanted"};
constexpr std::string_view kOutcomeNames[] = {"delivered", "accepted", "retry", "refused"};
constexpr std::string_view kUnansweredNames[] = {"deadline", "reload", "stop", "crash"};
constexpr std::string_view kSilenceNames[] = {"created", "updated", "expired"};
constexpr std::string_view kServiceNames[] = {"started", "stopping", "configuration_loaded", "configuration_refused"};

std::span<const std::string_view> CauseNames(JournalKind kind) {
  switch (kind) {
    case JournalKind::kReceived: return kReceivedNames;
    case JournalKind::kResolved: return kResolvedNames;
    case JournalKind::kSuppressed: return kSuppressNames;
    case JournalKind::kNotSent: return kNotSentNames;
    case JournalKind::kRequest: return kOutcomeNames;
    case JournalKind::kUnanswered: return kUnansweredNames;
    case JournalKind::kSilence: return kSilenceNames;
    case JournalKind::kService: return kServiceNames;
    default: return {};
  }
}

// A pack whose head speaks of more descriptions than a chapter can hold is damaged.
constexpr uint64_t kMaxDescriptions = 1 << 22;

// How a label stands to the one at its place in the label set before.
enum : char { kSame = 0, kOtherValue = 1, kOther = 2, kEnd = 3 };

// The thing numbered next.  Out of range is no damage: its description may have been lost with its pack.
template <class T>
T TakeFrom(base::Decoder& in, const std::vector<T>& list) {
  const uint64_t i = in.Uvarint();
  return i < list.size() ? list[i] : T{};
}

// Times and spans that do not fit nanoseconds are hostile or damaged; they become the nearest that do.
base::Duration MillisOf(int64_t ms) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 1'000'000;
  return std::chrono::milliseconds(std::clamp(ms, -kMax, kMax));
}
base::Time TimeOf(int64_t ms) { return base::Time(MillisOf(ms)); }

// False: it refers to labels that the set before does not have.
bool TakeLabels(base::Decoder& in, model::LabelsView previous, model::Labels* out) {
  std::vector<model::Label> labels;
  auto before = previous.begin();
  while (true) {
    const auto how = static_cast<char>(in.Byte());
    if (!in.ok() || how > kEnd || how < kSame) return false;
    if (how == kEnd) break;
    const bool has_before = before != previous.end();
    if (how == kOther) {
      const std::string_view name = in.Text();
      labels.push_back({name, in.Text()});
    } else if (has_before) {
      labels.push_back({before->name, how == kSame ? before->value : in.Text()});
    } else {
      return false;
    }
    if (has_before) ++before;
  }
  *out = model::Labels::FromLabels(std::move(labels));
  return true;
}

std::vector<JournalAlertPtr> TakeAlerts(base::Decoder& in, const std::vector<JournalAlertPtr>& known) {
  std::vector<JournalAlertPtr> out;
  uint64_t number = 0;
  for (uint64_t n = in.Uvarint(); n > 0 && in.ok(); --n) {
    number += static_cast<uint64_t>(in.Varint());
    if (number < known.size() && known[number] != nullptr) out.push_back(known[number]);
  }
  return out;
}

}  // namespace

std::string_view JournalKindName(JournalKind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.name;
  }
  return "";
}

bool ParseJournalKind(std::string_view name, JournalKind* kind) {
  for (const KindRow& row : kKinds) {
    if (row.name != name) continue;
    *kind = row.kind;
    return true;
  }
  return false;
}

std::string_view JournalCauseName(const JournalEntry& entry) {
  const auto names = CauseNames(entry.kind);
  return entry.cause < names.size() ? names[entry.cause] : std::string_view();
}

void AppendLabelsAfter(model::LabelsView labels, model::LabelsView previous, std::string* out) {
  auto before = previous.begin();
  const auto end = previous.end();
  for (const model::Label& label : labels) {
    if (before == end || before->name != label.name) {
      *out += kOther;
      base::PutText(out, label.name);
      base::PutText(out, label.value);
    } else if (before->value != label.value) {
      *out += kOtherValue;
      base::PutText(out, label.value);
    } else {
      *out += kSame;
    }
    if (before != end) ++before;
  }
  *out += kEnd;
}

base::Status JournalChapter::Read(std::string_view pack, const Take& take) {
  base::Decoder in(pack);
  if (const uint8_t version = in.Byte(); version != kJournalVersion) {
    return base::DataLoss("journal: a pack of version " + std::to_string(version) + ", this one knows " +
                          std::to_string(kJournalVersion));
  }
  int64_t at = static_cast<int64_t>(in.Uvarint());
  const uint64_t alerts = in.Uvarint(), groups = in.Uvarint(), texts = in.Uvarint();
  if (!in.ok() || std::max({alerts, groups, texts}) > kMaxDescriptions) {
    return base::DataLoss("journal: the head of a pack of " + std::to_string(pack.size()) + " bytes is damaged");
  }
  alerts_.resize(alerts);
  groups_.resize(groups);
  texts_.resize(texts);
  described_ = std::make_shared<const JournalAlert>();
  while (in.more()) {
    const size_t offset = in.offset();
    const auto kind = static_cast<JournalKind>(in.Byte());
    at = static_cast<int64_t>(static_cast<uint64_t>(at) + static_cast<uint64_t>(in.Varint()));
    const std::string_view payload = in.Text();
    JournalEntry entry{.at = TimeOf(at), .kind = kind};
    if (!in.ok() || !Payload(kind, payload, &entry)) {
      return base::DataLoss("journal: the event at byte " + std::to_string(offset) + " of " +
                            std::to_string(pack.size()) + " is damaged");
    }
    if (!JournalKindName(kind).empty()) take(std::move(entry));
  }
  return {};
}

bool JournalChapter::Payload(JournalKind kind, std::string_view bytes, JournalEntry* e) {
  base::Decoder in(bytes);
  switch (kind) {
    case JournalKind::kDescribeAlert: {
      auto alert = std::make_shared<JournalAlert>();
      alert->starts_at = TimeOf(in.Varint());
      if (!TakeLabels(in, described_->labels, &alert->labels)) return false;
      if (!TakeLabels(in, described_->annotations, &alert->annotations)) return false;
      alert->generator_url = in.Byte() == 0 ? described_->generator_url : std::string(in.Text());
      alert->fingerprint = alert->labels.Fingerprint();
      described_ = alert;
      alerts_.push_back(std::move(alert));
      break;
    }
    case JournalKind::kDescribeGroup: {
      auto group = std::make_shared<JournalGroup>();
      group->key = in.Text();
      group->receiver = in.Text();
      group->group_wait = MillisOf(in.Varint());
      group->group_interval = MillisOf(in.Varint());
      group->repeat_interval = MillisOf(in.Varint());
      groups_.push_back(std::move(group));
      break;
    }
    case JournalKind::kDescribeText:
      texts_.emplace_back(in.Text());
      break;
    case JournalKind::kReceived:
      e->alert = TakeFrom(in, alerts_);
      e->cause = in.Byte();
      break;
    case JournalKind::kResolved:
      e->alert = TakeFrom(in, alerts_);
      e->cause = in.Byte();
      e->due = TimeOf(in.Varint());
      break;
    case JournalKind::kGrouped:
      e->alert = TakeFrom(in, alerts_);
      e->group = TakeFrom(in, groups_);
      e->due = TimeOf(in.Varint());
      break;
    case JournalKind::kSuppressed:
      e->alert = TakeFrom(in, alerts_);
      e->group = TakeFrom(in, groups_);
      e->cause = in.Byte();
      for (uint64_t n = in.Uvarint(); n > 0 && in.ok(); --n) e->by.push_back(TakeFrom(in, texts_));
      break;
    case JournalKind::kReleased:
      e->alert = TakeFrom(in, alerts_);
      e->group = TakeFrom(in, groups_);
      break;
    case JournalKind::kNotSent:
      e->group = TakeFrom(in, groups_);
      e->integration = TakeFrom(in, texts_);
      e->cause = in.Byte();
      e->tick = TimeOf(in.Varint());
      e->due = TimeOf(in.Varint());
      e->firing = TakeAlerts(in, alerts_);
      e->resolved = TakeAlerts(in, alerts_);
      break;
    case JournalKind::kRequest:
      e->group = TakeFrom(in, groups_);
      e->integration = TakeFrom(in, texts_);
      e->cause = in.Byte();
      e->tick = TimeOf(in.Varint());
      e->attempt = static_cast<int>(in.Uvarint());
      e->step = static_cast<int>(in.Uvarint());
      e->status = static_cast<int>(in.Uvarint());
      e->duration = std::chrono::microseconds(in.Uvarint() & 0xffff'ffff'ffff);
      e->wait = MillisOf(in.Varint());
      e->reason = TakeFrom(in, texts_);
      e->text = TakeFrom(in, texts_);
      e->firing = TakeAlerts(in, alerts_);
      e->resolved = TakeAlerts(in, alerts_);
      break;
    case JournalKind::kUnanswered:
    case JournalKind::kGaveUp:
    case JournalKind::kRecovered:
      e->group = TakeFrom(in, groups_);
      e->integration = TakeFrom(in, texts_);
      e->cause = in.Byte();
      e->tick = TimeOf(in.Varint());
      e->attempt = static_cast<int>(in.Uvarint());
      e->reason = TakeFrom(in, texts_);
      e->text = TakeFrom(in, texts_);
      e->firing = TakeAlerts(in, alerts_);
      e->resolved = TakeAlerts(in, alerts_);
      break;
    case JournalKind::kSilence:
      e->cause = in.Byte();
      e->by.emplace_back(in.Text());  // id
      e->by.emplace_back(in.Text());  // matchers
      e->by.emplace_back(in.Text());  // creator
      e->text = in.Text();            // comment
      e->tick = TimeOf(in.Varint());  // begins
      e->due = TimeOf(in.Varint());   // ends
      break;
    case JournalKind::kService:
      e->cause = in.Byte();
      e->text = in.Text();
      break;
  }
  return in.ok();
}

}  // namespace tocsin::alertmanager
