#include "tools/tsdb/report.h"

#include <charconv>
#include <iterator>

#include "base/duration.h"

namespace tocsin::tools {

void Report::Put(Finding finding) {
  const bool damage = finding.severity == Finding::Severity::kDamage;
  damages_ += damage;
  if (++(damage ? damages_by_path_ : notes_by_path_)[finding.path] > kMaxPerFile) {
    ++left_out_;
    return;
  }
  findings_.push_back(std::move(finding));
}

void Report::Damage(const std::string& path, std::optional<uint64_t> offset, std::string what, std::string cost) {
  Put({Finding::Severity::kDamage, path, offset, std::move(what), std::move(cost)});
}

void Report::Note(const std::string& path, std::string what) {
  Put({Finding::Severity::kNote, path, std::nullopt, std::move(what), ""});
}

void Report::Add(Report other) {
  std::move(other.findings_.begin(), other.findings_.end(), std::back_inserter(findings_));
  for (const auto& [path, n] : other.damages_by_path_) damages_by_path_[path] += n;
  for (const auto& [path, n] : other.notes_by_path_) notes_by_path_[path] += n;
  damages_ += other.damages_;
  left_out_ += other.left_out_;
  blocks += other.blocks, series += other.series, chunks += other.chunks, samples += other.samples;
  segments += other.segments, records += other.records;
}

size_t Report::damages_of(const std::string& path) const {
  size_t n = 0;
  for (auto it = damages_by_path_.lower_bound(path); it != damages_by_path_.end() && it->first.starts_with(path); ++it) {
    n += it->second;
  }
  return n;
}

std::optional<uint32_t> FileNumber(std::string_view name) {
  uint32_t number = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data(), end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
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
