#include "tools/tsdb/report.h"

#include "base/duration.h"

namespace tocsin::tools {

void Report::Damage(const std::string& path, std::optional<uint64_t> offset, std::string what, std::string cost) {
  ++damages_;
  if (++damages_by_path_[path] > kMaxPerFile) {
    ++left_out_;
    return;
  }
  findings_.push_back({Finding::Severity::kDamage, path, offset, std::move(what), std::move(cost)});
}

void Report::Note(const std::string& path, std::string what) {
  if (++notes_by_path_[path] > kMaxPerFile) {
    ++left_out_;
    return;
  }
  findings_.push_back({Finding::Severity::kNote, path, std::nullopt, std::move(what), ""});
}

size_t Report::damages_of(const std::string& path) const {
  size_t n = 0;
  for (auto it = damages_by_path_.lower_bound(path); it != damages_by_path_.end() && it->first.starts_with(path); ++it) {
    n += it->second;
  }
  return n;
}

std::string TimeSpan(model::Timestamp from, model::Timestamp to) {
  // Years that four digits can say; what lies beyond is damage itself.
  constexpr model::Timestamp kLast = 253402300799999;
  const auto text = [](model::Timestamp t) {
    return t < -kLast || t > kLast ? std::to_string(t) + " ms" : base::FormatRfc3339(base::FromUnixMillis(t));
  };
  return "from " + text(from) + " to " + text(to);
}

}  // namespace tocsin::tools
