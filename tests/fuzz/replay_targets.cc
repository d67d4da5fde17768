// Starts of the database on logs whose records are whole and whose contents are anything: strange references, times
// at the ends of their range, series and samples in any order.

#include <bit>
#include <map>

#include "base/check.h"
#include "base/simulated_file_system.h"
#include "log_records.h"
#include "samples.h"
#include "target.h"
#include "tsdb/db.h"
#include "tsdb/wal/segment.h"

namespace tocsin::fuzz {
namespace {

namespace wal = tsdb::wal;

// Records one after another, each behind its length in two bytes.
std::string Join(const std::vector<std::string>& records) {
  std::string out;
  for (const std::string& r : records) {
    out.push_back(static_cast<char>(r.size()));
    out.push_back(static_cast<char>(r.size() >> 8));
    out += r;
  }
  return out;
}

std::string Framed(std::string_view input) {
  std::string segment;
  uint64_t offset = 0;
  while (input.size() > 2) {
    const size_t length = static_cast<uint8_t>(input[0]) | static_cast<size_t>(static_cast<uint8_t>(input[1])) << 8;
    const std::string_view record = input.substr(2, length);
    wal::Frame(wal::Pack(std::string(record), wal::Compression::kNone), &offset, &segment);
    input.remove_prefix(2 + record.size());
  }
  return segment;
}

// Values by their bits: NaNs are equal to themselves.
using Samples = std::map<std::string, std::vector<std::pair<model::Timestamp, uint64_t>>>;

Samples ReadAll(tsdb::Db* db) {
  const auto querier = db->NewQuerier({});
  const model::Matcher any = *model::Matcher::Make(model::MatchOp::kNotEqual, "none", "x");
  auto set = querier->Select({}, {&any, 1});
  TOCSIN_CHECK(set.has_value()) << set.error().message();
  storage::SampleColumns columns;
  const base::Status status = (*set)->Read(0, (*set)->size(), {}, &columns);
  TOCSIN_CHECK(status.has_value()) << status.error().message();
  Samples out;
  for (size_t i = 0; i < (*set)->size(); ++i) {
    auto& samples = out[(*set)->labels(i).ToMetricString()];
    for (size_t k = 0; k < columns.times_of(i).size(); ++k) {
      TOCSIN_CHECK(k == 0 || columns.times_of(i)[k - 1] < columns.times_of(i)[k]);
      samples.emplace_back(columns.times_of(i)[k], std::bit_cast<uint64_t>(columns.values_of(i)[k]));
    }
  }
  return out;
}

std::unique_ptr<tsdb::Db> Open(base::FileSystem* fs) {
  tsdb::DbOptions options;
  options.path = "data";
  options.fs = fs;
  options.retention_time = base::Duration(0);
  options.out_of_order_window = std::chrono::minutes(10);
  options.max_exemplars = 10;
  options.memory_snapshot = true;
  options.lock_file = false;
  auto db = tsdb::Db::Open(std::move(options));
  TOCSIN_CHECK(db.has_value()) << db.error().message();
  return std::move(*db);
}

void Put(tsdb::Db* db, model::Timestamp t, double v) {
  const auto app = db->NewAppender();
  const auto ref = app->Resolve(model::Labels::FromPairs({{"__name__", "up"}, {"job", "node"}}).view());
  TOCSIN_CHECK(ref.has_value());
  const storage::FloatSample sample{*ref, t, v};
  storage::AppendOutcome outcome;
  app->Append({&sample, 1}, {&outcome, 1});
  TOCSIN_CHECK(app->Commit().has_value());
}

// The database starts on it, takes a sample, and a second start finds what the first had.
void Start(base::SimulatedFileSystem* fs) {
  Samples before;
  {
    const auto db = Open(fs);
    ReadAll(db.get());
    Put(db.get(), 5000, 7);
    before = ReadAll(db.get());
    TOCSIN_CHECK(!before.empty());
  }  // as a process that is killed: nothing is written at its end
  const auto db = Open(fs);
  TOCSIN_CHECK(ReadAll(db.get()) == before) << "a second start finds other samples";
  db->Stop([] {});
}

void WriteSegment(base::SimulatedFileSystem* fs, const std::string& folder, const std::string& segment) {
  TOCSIN_CHECK(fs->CreateFolders(folder).has_value());
  TOCSIN_CHECK(fs->WriteFileAtomically(folder + "/00000000", segment).has_value());
}

void RunReplay(const std::string& input) {
  base::SimulatedFileSystem fs;
  WriteSegment(&fs, "data/wal", Framed(input));
  Start(&fs);
}

void RunLateReplay(const std::string& input) {
  base::SimulatedFileSystem fs;
  std::string wal;
  uint64_t offset = 0;
  for (const std::string& r : LogRecords()) wal::Frame(wal::Pack(r, wal::Compression::kNone), &offset, &wal);
  WriteSegment(&fs, "data/wal", wal);
  WriteSegment(&fs, "data/wbl", Framed(input));
  Start(&fs);
}

// A folder of a clean stop, and its snapshot's folder.
std::map<std::string, std::string> StoppedFolder(std::string* snapshot) {
  base::SimulatedFileSystem fs;
  {
    const auto db = Open(&fs);
    for (int i = 0; i < 200; ++i) Put(db.get(), i * 1000, i);
    const auto app = db->NewAppender();
    const auto ref = app->Resolve(model::Labels::FromPairs({{"__name__", "h"}}).view());
    for (int i = 0; i < 5; ++i) app->AppendHistogram(*ref, i * 1000, SomeHistogram(i, true));
    TOCSIN_CHECK(app->Commit().has_value());
    db->Stop([] {});
  }
  std::map<std::string, std::string> files;
  const auto read = [&](const std::string& folder, const auto& self) -> void {
    const auto listed = fs.List(folder);
    for (const base::FileInfo& f : *listed) {
      const std::string path = base::JoinPath(folder, f.name);
      if (f.name.starts_with("chunk_snapshot.")) *snapshot = path;
      if (f.is_folder) {
        self(path, self);
      } else {
        files[path] = *fs.ReadFile(path);
      }
    }
  };
  read("data", read);
  TOCSIN_CHECK(!snapshot->empty());
  return files;
}

struct Stopped {
  std::string snapshot;
  std::map<std::string, std::string> files = StoppedFolder(&snapshot);
};
const Stopped& StoppedOnce() {
  static const Stopped stopped;
  return stopped;
}

std::vector<std::string> Snapshots() {
  const std::string& segment = StoppedOnce().files.at(StoppedOnce().snapshot + "/00000000");
  std::vector<std::string> records;
  wal::SegmentReader reader(segment);
  for (std::string_view record; reader.Next(&record);) records.emplace_back(record);
  return {Join(records)};
}

void RunSnapshot(const std::string& input) {
  base::SimulatedFileSystem fs;
  for (const auto& [path, bytes] : StoppedOnce().files) {
    TOCSIN_CHECK(fs.CreateFolders(base::FolderOf(path)).has_value());
    TOCSIN_CHECK(fs.WriteFileAtomically(path, bytes).has_value());
  }
  TOCSIN_CHECK(fs.WriteFileAtomically(StoppedOnce().snapshot + "/00000000", Framed(input)).has_value());
  Start(&fs);
}

}  // namespace

std::vector<Target> ReplayTargets() {
  const auto records = [] { return std::vector{Join(LogRecords())}; };
  return {{.name = "replay", .rounds = 100, .seeds = records, .run = RunReplay},
          {.name = "late_replay", .rounds = 100, .seeds = records, .run = RunLateReplay},
          {.name = "snapshot", .rounds = 100, .seeds = Snapshots, .run = RunSnapshot}};
}

}  // namespace tocsin::fuzz
