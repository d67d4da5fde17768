#pragma once

// What `tsdb verify` finds: each a sentence with the place, and what it costs.
//
// Threads: one.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/sample.h"

namespace tocsin::tools {

struct Finding {
  enum class Severity {
    kNote,    // harmless: a leftover, an overlap
    kDamage,
  };
  Severity severity = Severity::kDamage;
  std::string path;  // within the database's folder
  std::optional<uint64_t> offset;
  std::string what;
  std::string cost;  // may be empty
};

class Report {
 public:
  // `progress` is told each path before it is read; may be empty.
  explicit Report(std::function<void(const std::string&)> progress = {}) : progress_(std::move(progress)) {}

  void Damage(const std::string& path, std::optional<uint64_t> offset, std::string what, std::string cost);
  void Note(const std::string& path, std::string what);
  // Adds what `other` found and read.
  void Add(Report other);
  // An empty report that tells its progress as this does.
  Report Part() const { return Report(progress_); }
  void Reading(const std::string& path) const {
    if (progress_) progress_(path);
  }

  // A file has kMaxPerFile findings at most; the others are counted.
  const std::vector<Finding>& findings() const { return findings_; }
  size_t damages() const { return damages_; }
  size_t damages_of(const std::string& path) const;
  size_t left_out() const { return left_out_; }

  // What was read.
  uint64_t blocks = 0, series = 0, chunks = 0, samples = 0, segments = 0, records = 0;

 private:
  static constexpr size_t kMaxPerFile = 10;
  void Put(Finding finding);

  std::function<void(const std::string&)> progress_;
  std::vector<Finding> findings_;
  std::map<std::string, size_t> damages_by_path_;
  std::map<std::string, size_t> notes_by_path_;
  size_t damages_ = 0;
  size_t left_out_ = 0;
};

// The number that a file's name is, as of a segment; nullopt when it is none or beyond 32 bits.
std::optional<uint32_t> FileNumber(std::string_view name);

// "from 2026-11-20T07:28:00Z to 2026-11-20T07:30:00Z"
std::string TimeSpan(model::Timestamp from, model::Timestamp to);

}  // namespace tocsin::tools
