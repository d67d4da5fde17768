#pragma once

// The flags of the services, as tables: Prometheus's and Alertmanager's own names and meanings, and ours.
// Values are checked when parsed and kept as text, since /api/v1/status/flags shows them so.
//
//   app::Flags flags(app::ServeFlagTable());
//   if (auto exit = flags.Parse(args, io)) return *exit;
//   base::Duration timeout = flags.Duration("query.timeout");

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "tools/tool.h"

namespace tocsin::app {

enum class FlagKind { kString, kBool, kInt, kFloat, kDuration, kBytes, kUrl, kList };

// How much of the flag this program has a use for.
enum class FlagUse {
  kUsed,
  kIgnored,  // accepted for compatibility; a line in the log says that it has no meaning here
};

struct FlagRow {
  std::string_view name;
  FlagKind kind = FlagKind::kString;
  std::string_view value;  // the default, as shown
  std::string_view help;
  FlagUse use = FlagUse::kUsed;
  std::string_view choices = {};  // "snappy|zstd"; empty: any
};

std::span<const FlagRow> ServeFlagTable();

class Flags {
 public:
  // `usage` heads --help; `examples` ends it.
  Flags(std::span<const FlagRow> table, std::string_view usage, std::string_view examples);

  // Not nullopt: exit with it.  Errors go to io.err and name the flag.
  std::optional<int> Parse(const std::vector<std::string>& args, const tools::ToolIo& io);

  // REQUIRES: the name is in the table, with the kind asked for.
  const std::string& String(std::string_view name) const;
  bool Bool(std::string_view name) const;
  int64_t Int(std::string_view name) const;
  double Float(std::string_view name) const;
  base::Duration Duration(std::string_view name) const;
  uint64_t Bytes(std::string_view name) const;
  std::vector<std::string> List(std::string_view name) const;
  bool Given(std::string_view name) const;

  // Every flag and its value, by name.
  const std::map<std::string, std::string, std::less<>>& values() const { return values_; }
  // Flags given whose names begin so.
  std::vector<std::string> GivenWith(std::string_view prefix) const;
  // Flags given that have no meaning here.
  std::vector<std::string> GivenButIgnored() const;

 private:
  const FlagRow* Find(std::string_view name) const;
  std::string Help() const;
  std::string Check(const FlagRow& row, const std::string& value) const;  // empty: fine

  const std::span<const FlagRow> table_;
  const std::string_view usage_;
  const std::string_view examples_;
  std::map<std::string, std::string, std::less<>> values_;
  std::map<std::string, std::vector<std::string>, std::less<>> lists_;
  std::vector<std::string> given_;
};

}  // namespace tocsin::app
