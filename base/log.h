#pragma once

// The program's log: one line an event, logfmt or JSON, with key=value fields.  A message is a
// constant sentence; what varies goes into fields.
//
//   base::LogWarn("scrape failed", {{"target", url}, {"error", error.message()}});
//
// Threads: any.  The sink is set once at start-up (tests use CaptureLog).

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tocsin::base {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

class LogField {
 public:
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  LogField(std::string_view k, double v);
  LogField(std::string_view k, Duration v);  // as Go prints durations
  LogField(std::string_view k, Time v);      // RFC 3339
  template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)), number(true) {}
  LogField(std::string_view k, const Error& error) : key(k), value(error.message()) {}

  std::string_view key;
  std::string value;
  bool number = false;
};

using LogFields = std::initializer_list<LogField>;

enum class LogFormat { kLogfmt, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kLogfmt;
};
void ConfigureLog(const LogOptions& options);
bool LogEnabled(LogLevel level);

void Log(LogLevel level, std::string_view message, LogFields fields);
inline void LogDebug(std::string_view m, LogFields f = {}) {
  if (LogEnabled(LogLevel::kDebug)) Log(LogLevel::kDebug, m, f);
}
inline void LogInfo(std::string_view m, LogFields f = {}) { Log(LogLevel::kInfo, m, f); }
inline void LogWarn(std::string_view m, LogFields f = {}) { Log(LogLevel::kWarn, m, f); }
inline void LogError(std::string_view m, LogFields f = {}) { Log(LogLevel::kError, m, f); }

// While alive, log lines (all levels, without time) are kept here and not printed.  One at a time.
class CaptureLog {
 public:
  CaptureLog();
  ~CaptureLog();
  std::vector<std::string> lines() const;  // 'level=warn msg="scrape failed" target=...'
};

}  // namespace tocsin::base
