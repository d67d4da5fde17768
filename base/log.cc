#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "base/check.h"
#include "base/mutex.h"
#include "base/text.h"

namespace tocsin::base {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogFormat> g_format{LogFormat::kLogfmt};
std::atomic<bool> g_capturing{false};

Mutex g_captured_mu;
std::vector<std::string>* g_captured TOCSIN_GUARDED_BY(g_captured_mu) = nullptr;

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "DEBUG";
    case LogLevel::kInfo: return "INFO";
    case LogLevel::kWarn: return "WARN";
    case LogLevel::kError: return "ERROR";
  }
  return "INFO";
}

void AppendTime(std::string* out) {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(now - day);
  char text[64];
  const int n = std::snprintf(
      text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  out->append(text, static_cast<size_t>(n));
}

// As Go's slog text handler: quoted where a reader could not tell the value's end.
bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || c == '"' || c == '=' || byte == 0x7f) return true;
  }
  return !IsValidUtf8(text);
}

void AppendLogfmtValue(std::string_view text, std::string* out) {
  if (!NeedsQuotes(text)) {
    out->append(text);
    return;
  }
  out->push_back('"');
  while (!text.empty()) {
    const char c = text[0];
    const auto byte = static_cast<unsigned char>(c);
    int size = 1;
    if (byte >= 0x80 && DecodeRune(text, &size) != 0xfffd) {
      out->append(text.substr(0, static_cast<size_t>(size)));
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '\t') {
      out->append("\\t");
    } else if (c == '\r') {
      out->append("\\r");
    } else if (byte >= ' ' && byte < 0x7f) {
      out->push_back(c);
    } else {
      char hex[8];
      std::snprintf(hex, sizeof(hex), "\\x%02x", byte);
      out->append(hex);
    }
    text.remove_prefix(static_cast<size_t>(size));
  }
  out->push_back('"');
}

std::string Logfmt(std::string_view level, std::string_view message, LogFields fields) {
  std::string line = "level=";
  line.append(level).append(" msg=");
  AppendLogfmtValue(message, &line);
  for (const LogField& field : fields) {
    line.push_back(' ');
    line.append(field.key);
    line.push_back('=');
    AppendLogfmtValue(field.value, &line);
  }
  return line;
}

std::string Json(std::string_view level, std::string_view message, LogFields fields) {
  std::string line = "\"level\":";
  AppendJsonString(level, &line);
  line += ",\"msg\":";
  AppendJsonString(message, &line);
  for (const LogField& field : fields) {
    line.push_back(',');
    AppendJsonString(field.key, &line);
    line.push_back(':');
    if (field.number) {
      line += field.value;
    } else {
      AppendJsonString(field.value, &line);
    }
  }
  return line;
}

// One write() a line, so that lines of several threads do not mix.
void WriteLine(const std::string& line) {
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nobody reads the log: there is nowhere to say so
    done += static_cast<size_t>(n);
  }
}

}  // namespace

void ConfigureLog(const LogOptions& options) {
  g_level.store(options.level, std::memory_order_relaxed);
  g_format.store(options.format, std::memory_order_relaxed);
}

bool LogEnabled(LogLevel level) {
  return level >= g_level.load(std::memory_order_relaxed) ||
         g_capturing.load(std::memory_order_relaxed);
}

void Log(LogLevel level, std::string_view message, LogFields fields) {
  if (!LogEnabled(level)) return;
  if (g_capturing.load(std::memory_order_relaxed)) {
    std::string line = Logfmt(ToLower(LevelName(level)), message, fields);
    const MutexLock lock(&g_captured_mu);
    if (g_captured != nullptr) {
      g_captured->push_back(std::move(line));
      return;
    }
  }
  std::string line;
  if (g_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    line = "{\"time\":\"";
    AppendTime(&line);
    line += "\"," + Json(LevelName(level), message, fields) + "}\n";
  } else {
    line = "time=";
    AppendTime(&line);
    line += " " + Logfmt(LevelName(level), message, fields) + "\n";
  }
  WriteLine(line);
}

CaptureLog::CaptureLog() {
  const MutexLock lock(&g_captured_mu);
  TOCSIN_CHECK(g_captured == nullptr) << "only one CaptureLog at a time";
  g_captured = new std::vector<std::string>;
  g_capturing.store(true, std::memory_order_relaxed);
}

CaptureLog::~CaptureLog() {
  const MutexLock lock(&g_captured_mu);
  delete std::exchange(g_captured, nullptr);
  g_capturing.store(false, std::memory_order_relaxed);
}

std::vector<std::string> CaptureLog::lines() const {
  const MutexLock lock(&g_captured_mu);
  return *g_captured;
}

}  // namespace tocsin::base
