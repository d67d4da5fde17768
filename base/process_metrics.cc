// The process's own numbers, from /proc.

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "base/file_system.h"
#include "base/metrics.h"
#include "base/text.h"

namespace tocsin::base {
namespace {

// Field `number` (from 1) of /proc/self/stat, or NaN.  The command's name, in parentheses, may hold
// anything, so fields are counted from after it.
double StatField(size_t number) {
  const auto stat = RealFileSystem()->ReadFile("/proc/self/stat");
  if (!stat) return std::nan("");
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos || name_end + 2 > stat->size()) return std::nan("");
  const auto fields = Split(std::string_view(*stat).substr(name_end + 2), ' ');
  if (number < 3 || number - 3 >= fields.size()) return std::nan("");
  return std::strtod(std::string(fields[number - 3]).c_str(), nullptr);
}

double Ticks() { return static_cast<double>(::sysconf(_SC_CLK_TCK)); }

double CpuSeconds() { return (StatField(14) + StatField(15)) / Ticks(); }
double VirtualBytes() { return StatField(23); }
double ResidentBytes() { return StatField(24) * static_cast<double>(::sysconf(_SC_PAGESIZE)); }

double StartTime() {
  const auto stat = RealFileSystem()->ReadFile("/proc/stat");
  if (!stat) return std::nan("");
  const size_t at = stat->find("\nbtime ");
  if (at == std::string::npos) return std::nan("");
  return std::strtod(stat->c_str() + at + 7, nullptr) + StatField(22) / Ticks();
}

double OpenFiles() {
  DIR* dir = ::opendir("/proc/self/fd");
  if (dir == nullptr) return std::nan("");
  double count = -3;  // ".", ".." and the folder just opened
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

double LimitOf(decltype(RLIMIT_NOFILE) resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return std::nan("");
  return static_cast<double>(limit.rlim_cur);  // none is 2^64
}

}  // namespace

int ProcessThreads() {
  const double threads = StatField(20);
  return std::isnan(threads) ? 0 : static_cast<int>(threads);
}

void AddProcessMetrics(Registry* registry) {
  registry->AddCounterCallback("process_cpu_seconds_total",
                               "Total user and system CPU time spent in seconds.", CpuSeconds);
  registry->AddGaugeCallback("process_resident_memory_bytes", "Resident memory size in bytes.",
                             ResidentBytes);
  registry->AddGaugeCallback("process_virtual_memory_bytes", "Virtual memory size in bytes.",
                             VirtualBytes);
  registry->AddGaugeCallback("process_open_fds", "Number of open file descriptors.", OpenFiles);
  registry->AddGaugeCallback("process_max_fds", "Maximum number of open file descriptors.",
                             [] { return LimitOf(RLIMIT_NOFILE); });
  registry->AddGaugeCallback("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.",
                             [] { return LimitOf(RLIMIT_AS); });
  registry->AddGaugeCallback("process_start_time_seconds",
                             "Start time of the process since unix epoch in seconds.",
                             [start = StartTime()] { return start; });
}

}  // namespace tocsin::base
