// What series cost: memory while they are written, what is left of it when they are gone, bytes on disk, and the
// time of restarts.  A figure a line.
//
//   head_memory FOLDER [SERIES [SAMPLES]]      an empty folder; 1000000 series of 11 labels, 150 samples each
//
// Resident memory is the process's (pages of mapped files included), "in use" is what the allocator has given out.

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "base/check.h"
#include "bench/pod_labels.h"
#include "tsdb/db.h"

namespace {

using namespace tocsin;

double Resident() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}
double InUse() {
  const struct mallinfo2 m = ::mallinfo2();
  return static_cast<double>(m.uordblks + m.hblkhd);
}
double BytesIn(const std::string& folder) {
  double bytes = 0;
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder)) {
    if (e.is_regular_file()) bytes += static_cast<double>(e.file_size());
  }
  return bytes;
}
double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

class Feeder {
 public:
  explicit Feeder(tsdb::Db* db) : db_(db) {}
  void Resolve(int series, int generation) {
    refs_.clear();
    for (int i = 0; i < series; i += kBatch) {
      const auto app = db_->NewAppender();
      for (int s = i; s < std::min(series, i + kBatch); ++s) refs_.push_back(*app->Resolve(PodLabels(s, generation)));
      TOCSIN_CHECK(app->Commit().has_value());
    }
    values_.assign(refs_.size(), 0);
  }
  // One sample of each: integer counters that grow by up to a thousand, a third of them at rest.
  void Scrape(model::Timestamp t) {
    for (size_t i = 0; i < refs_.size(); i += kBatch) {
      const size_t end = std::min(refs_.size(), i + kBatch);
      batch_.clear();
      for (size_t s = i; s < end; ++s) {
        if (s % 3 != 0) values_[s] += static_cast<double>(random_() % 1000);
        batch_.push_back({refs_[s], t, values_[s]});
      }
      outcomes_.resize(batch_.size());
      const auto app = db_->NewAppender();
      app->Append(batch_, outcomes_);
      TOCSIN_CHECK(app->Commit().has_value());
    }
  }

 private:
  static constexpr int kBatch = 2000;
  tsdb::Db* const db_;
  std::vector<storage::SeriesRef> refs_;
  std::vector<double> values_;
  std::vector<storage::FloatSample> batch_;
  std::vector<storage::AppendOutcome> outcomes_;
  std::mt19937_64 random_{1};
};

std::unique_ptr<tsdb::Db> Open(const std::string& folder, bool snapshot) {
  const double begin = Seconds(), cpu = CpuSeconds();
  auto db = tsdb::Db::Open({.path = folder, .memory_snapshot = snapshot});
  TOCSIN_CHECK(db.has_value()) << db.error().message();
  std::printf("start: %.2f s, %.2f CPU-s, %.0f MB resident\n", Seconds() - begin, CpuSeconds() - cpu, Resident() / 1e6);
  return std::move(*db);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: head_memory FOLDER [SERIES [SAMPLES]]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const int series = argc > 2 ? std::atoi(argv[2]) : 1'000'000;
  const int samples = argc > 3 ? std::atoi(argv[3]) : 150;
  const double n = series;
  auto db = Open(folder, false);
  const double resident = Resident(), in_use = InUse();
  model::Timestamp t = 7'200'000;
  {
    Feeder feeder(db.get());
    feeder.Resolve(series, 0);
    const double born_resident = Resident(), born = InUse();
    std::printf("series without samples: %.0f bytes resident, %.0f in use each\n", (born_resident - resident) / n, (born - in_use) / n - 16);
    const double cpu = CpuSeconds();
    for (int i = 0; i < samples; ++i, t += 15'000) feeder.Scrape(t);
    std::printf("append: %.1f CPU-ns a sample\n", (CpuSeconds() - cpu) * 1e9 / n / samples);
  }
  TOCSIN_CHECK(db->Compact().has_value());
  ::malloc_trim(0);
  std::printf("series of %d samples: %.0f bytes resident, %.0f in use each\n", samples, (Resident() - resident) / n, (InUse() - in_use) / n);
  std::printf("on disk before a block is cut: %.2f bytes a sample (wal %.2f, chunks_head %.2f)\n", BytesIn(folder) / n / samples,
              BytesIn(folder + "/wal") / n / samples, BytesIn(folder + "/chunks_head") / n / samples);
  db.reset();
  db = Open(folder, true);  // from the log
  db.reset();
  db = Open(folder, true);  // from a snapshot
  // As many are born, written for an hour and gone, while the first live on.
  Feeder staying(db.get());
  staying.Resolve(series, 0);
  staying.Scrape(t);
  const double before = Resident(), before_in_use = InUse();
  {
    Feeder passing(db.get());
    passing.Resolve(series, 1);
    for (int minute = 1; minute <= 5 * 60; minute += 5) {
      staying.Scrape(t + minute * 60'000);
      if (minute < 60) passing.Scrape(t + minute * 60'000);
      if (minute == 56) std::printf("as many beside them: %.2f times the resident memory\n", Resident() / before);
    }
  }
  TOCSIN_CHECK(db->Compact().has_value());
  ::malloc_trim(0);
  std::printf("and gone again: %.2f times the resident memory (%.2f in use), %llu series\n", Resident() / before,
              InUse() / before_in_use, static_cast<unsigned long long>(db->Stats().series));
  return 0;
}
