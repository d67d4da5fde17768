// Every kind of damage: `tsdb verify` names it, `tsdb repair` mends it, and what was not damaged is still there.

#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "tools/tsdb/folder_test_util.h"
#include "tools/tsdb/verbs.h"
#include "tools/tsdb/verify.h"
#include "tsdb/block_meta.h"
#include "tsdb/head_chunks.h"
#include "tsdb/index/block_index.h"
#include "tsdb/wal/checkpoint.h"
#include "tsdb/wal/record.h"
#include "tsdb/wal/segment.h"

namespace tocsin::tools {
namespace {

class VerifyTest : public TsdbFolderTest {
 protected:
  std::string DumpAll() {
    EXPECT_EQ(Run(TsdbDump, {"data"}), 0) << err_;
    return out_;
  }
  // Lines of `before` that are not in `after`; both sorted by series and time.
  static size_t Missing(const std::string& before, const std::string& after) {
    std::set<std::string> have;
    std::istringstream in(after);
    for (std::string line; std::getline(in, line);) have.insert(line);
    size_t missing = 0;
    std::istringstream old(before);
    for (std::string line; std::getline(old, line);) missing += !have.contains(line);
    return missing;
  }
  // The offset of section `n` of a block's index, by its table of contents.
  uint64_t Section(const std::string& block, int n) {
    const std::string index = *fs_.ReadFile(block + "/index");
    uint64_t offset = 0;
    for (int i = 0; i < 8; ++i) offset = offset << 8 | static_cast<uint8_t>(index[index.size() - 52 + 8 * static_cast<size_t>(n) + static_cast<size_t>(i)]);
    return offset;
  }
  std::string LastSegment() {
    const auto segments = tsdb::wal::ListSegments(&fs_, "data/wal");
    for (auto it = segments->rbegin(); it != segments->rend(); ++it) {
      const std::string path = tsdb::wal::SegmentPath("data/wal", *it);
      if (fs_.Stat(path)->size > 1000) return path;
    }
    return "";
  }

  // Samples in the records of a segment from the one that holds byte `at` on.
  size_t SamplesFrom(const std::string& segment, uint64_t at) {
    const std::string bytes = *fs_.ReadFile(segment);
    tsdb::wal::SegmentReader reader(bytes);
    size_t samples = 0, record_samples = 0;
    for (std::string_view record; reader.Next(&record);) {
      if (reader.record_offset() > at) samples += record_samples;
      std::vector<storage::FloatSample> floats;
      std::vector<tsdb::wal::HistogramEntry> histograms;
      const auto type = tsdb::wal::TypeOf(record);
      if (type == tsdb::wal::RecordType::kSamples) base::Ignore(tsdb::wal::DecodeSamples(record, &floats));  // the log is whole
      if (type == tsdb::wal::RecordType::kHistograms) base::Ignore(tsdb::wal::DecodeHistograms(record, &histograms));
      record_samples = floats.size() + histograms.size();
    }
    return samples + record_samples;
  }

  // Verify names `where`; a dry run changes nothing; repair mends it; at most `may_lose` samples are gone.
  void Mend(const std::string& where, size_t may_lose, const std::string& before) {
    EXPECT_EQ(Run(TsdbVerify, {"data"}), 1) << out_;
    EXPECT_NE(out_.find(where), std::string::npos) << where << "\n" << out_;
    const auto damaged = Files();
    EXPECT_EQ(Run(TsdbRepair, {"--dry-run", "data"}), 0) << out_ << err_;
    EXPECT_NE(out_.find("would be healthy; nothing was changed"), std::string::npos) << out_;
    EXPECT_EQ(Files(), damaged);
    EXPECT_EQ(Run(TsdbRepair, {"data"}), 0) << out_ << err_;
    EXPECT_EQ(Run(TsdbVerify, {"data"}), 0) << out_;
    EXPECT_LE(Missing(before, DumpAll()), may_lose);
  }

  base::CaptureLog log_;
};

TEST_F(VerifyTest, AWholeFolderIsHealthy) {
  MakeFolder();
  const auto before = Files();
  EXPECT_EQ(Run(TsdbVerify, {"data"}), 0) << out_;
  EXPECT_NE(out_.find("data is healthy\n"), std::string::npos) << out_;
  EXPECT_EQ(Files(), before);
  EXPECT_EQ(Run(TsdbVerify, {"--json", "data"}), 0);
  const auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["healthy"], true);
  EXPECT_EQ(json["read"]["blocks"], Blocks().size());
  EXPECT_EQ(Run(TsdbVerify, {"nowhere"}), 2);
  EXPECT_EQ(Run(TsdbVerify, {"data", "more"}), 2);
  EXPECT_EQ(Run(TsdbRepair, {"nowhere"}), 2);
  EXPECT_EQ(Run(TsdbRepair, {"data"}), 0) << out_;
}

TEST_F(VerifyTest, AFlippedByteOfAChunkCostsThatChunk) {
  MakeFolder();
  const std::string before = DumpAll(), block = Blocks()[0];
  FlipByte(block + "/chunks/000001", 40);
  Mend("/chunks/000001, byte 8: chunk CRC", 120, before);
}

TEST_F(VerifyTest, ACutOrMissingSegmentCostsItsChunks) {
  MakeFolder();
  const std::string before = DumpAll(), block = Blocks()[0];
  const std::string chunks = *fs_.ReadFile(block + "/chunks/000001");
  ASSERT_TRUE(fs_.WriteFileAtomically(block + "/chunks/000001", chunks.substr(0, chunks.size() - 3)));
  Mend("/chunks/000001, byte ", 120, before);
}

TEST_F(VerifyTest, AnIndexIsMadeAnewOfWhatCanBeRead) {
  const struct {
    const char* what;
    int section;    // of the table of contents; -1: the file's begin, -2: its end
    int64_t delta;
    const char* named;
    size_t lost;
  } rows[] = {
      {"magic", -1, 1, "index, byte 0: magic", 0},
      {"table of contents", -2, -20, "table of contents: CRC", 0},
      {"symbols", 0, 12, "symbols: CRC", 0},
      {"a series", 1, 4, "series: CRC", 120},
      {"postings", 4, 9, "postings of ", 0},
      {"postings table", 5, 12, "postings table: CRC", 0},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    ASSERT_TRUE(fs_.RemoveAll("data"));
    MakeFolder();
    const std::string before = DumpAll(), block = Blocks()[0];
    const int64_t size = static_cast<int64_t>(fs_.Stat(block + "/index")->size);
    const int64_t base = row.section >= 0 ? static_cast<int64_t>(Section(block, row.section)) : row.section == -1 ? 0 : size;
    FlipByte(block + "/index", static_cast<size_t>(base + row.delta));
    Mend(row.named, row.lost, before);
  }
}

TEST_F(VerifyTest, AMissingIndexCostsTheBlockWhichIsKept) {
  MakeFolder();
  const std::string before = DumpAll(), block = Blocks()[0];
  ASSERT_TRUE(fs_.Remove(block + "/index"));
  Mend("/index: ", 600, before);
  EXPECT_TRUE(fs_.Stat("data/damaged/" + block.substr(5) + "/chunks/000001"));
}

TEST_F(VerifyTest, MetaAndTombstonesAreMadeAnew) {
  for (const char* file : {"/meta.json", "/tombstones"}) {
    SCOPED_TRACE(file);
    ASSERT_TRUE(fs_.RemoveAll("data"));
    MakeFolder();
    const std::string before = DumpAll(), block = Blocks()[0];
    FlipByte(block + file, 0);
    Mend(file, 0, before);
  }
}

TEST_F(VerifyTest, WhatTombstonesHideStaysHiddenInASalvagedBlock) {
  MakeFolder();
  {
    auto db = tsdb::Db::Open(Options());
    ASSERT_TRUE(db);
    const std::vector<model::Matchers> any_of = {{model::Matcher::Equal("job", "web")}};
    ASSERT_TRUE((*db)->DeleteSeries(0, 30 * kMinute, any_of));
  }
  const std::string before = DumpAll();
  EXPECT_EQ(before.find("{__name__=\"up\", job=\"web\"} 3 180000\n"), std::string::npos);
  FlipByte(Blocks()[0] + "/chunks/000001", 40);
  Mend("/chunks/000001, byte 8: chunk CRC", 120, before);
  EXPECT_EQ(Missing(DumpAll(), before), 0u);  // nothing shows again
}

TEST_F(VerifyTest, ATornEndOfTheLogIsCut) {
  MakeFolder();
  const std::string before = DumpAll(), segment = LastSegment();
  const std::string bytes = *fs_.ReadFile(segment);
  ASSERT_TRUE(fs_.WriteFileAtomically(segment, bytes.substr(0, bytes.size() - 3)));
  Mend(segment.substr(5) + ", byte ", 5, before);  // one batch
}

TEST_F(VerifyTest, AFlippedByteOfTheLogCostsTheRecordsOfItsPages) {
  MakeFolder();
  const std::string before = DumpAll(), segment = LastSegment();
  const uint64_t at = fs_.Stat(segment)->size / 2;
  const size_t behind = SamplesFrom(segment, at);
  ASSERT_LT(behind, SamplesFrom(segment, 0));
  FlipByte(segment, at);
  Mend(segment.substr(5) + ", byte ", behind, before);
  EXPECT_TRUE(fs_.Stat("data/damaged/wal-" + segment.substr(9)));  // one page: nothing tells it from a torn end
}

TEST_F(VerifyTest, ARecordThatMakesNoSenseIsLeftOut) {
  MakeFolder();
  const std::string before = DumpAll(), segment = LastSegment();
  std::string bytes = *fs_.ReadFile(segment);
  uint64_t offset = bytes.size();
  tsdb::wal::Frame(tsdb::wal::Pack(std::string("\x02short"), tsdb::wal::Compression::kNone), &offset, &bytes);
  ASSERT_TRUE(fs_.WriteFileAtomically(segment, bytes));
  Mend(segment.substr(5) + ", byte ", 0, before);
}

TEST_F(VerifyTest, ARecordOfANewerVersionIsNotedAndStays) {
  MakeFolder();
  const std::string before = DumpAll(), segment = LastSegment();
  std::string bytes = *fs_.ReadFile(segment);
  uint64_t offset = bytes.size();
  for (int i = 0; i < 2; ++i) tsdb::wal::Frame(tsdb::wal::Pack(std::string("\x2asamples"), tsdb::wal::Compression::kNone), &offset, &bytes);
  ASSERT_TRUE(fs_.WriteFileAtomically(segment, bytes));
  EXPECT_EQ(Run(TsdbVerify, {"data"}), 0) << out_;
  EXPECT_NE(out_.find("note    " + segment.substr(5) + ": 2 records are of type 42, which this version does not know"), std::string::npos) << out_;
  EXPECT_EQ(Run(TsdbRepair, {"data"}), 0) << out_ << err_;
  EXPECT_EQ(*fs_.ReadFile(segment), bytes);
  EXPECT_EQ(DumpAll(), before);
}

TEST_F(VerifyTest, AnEmptyRecordIsDamage) {
  MakeFolder();
  const std::string before = DumpAll(), segment = LastSegment();
  std::string bytes = *fs_.ReadFile(segment);
  uint64_t offset = bytes.size();
  tsdb::wal::Frame(tsdb::wal::Pack(std::string(), tsdb::wal::Compression::kNone), &offset, &bytes);
  ASSERT_TRUE(fs_.WriteFileAtomically(segment, bytes));
  Mend("an empty record", 0, before);
}

// A server cuts its log and removes blocks while it is checked.
TEST_F(VerifyTest, WhatTheServerRemovesMeanwhileIsNoDamage) {
  MakeFolder();
  const std::string block = Blocks()[0];
  const auto segments = tsdb::wal::ListSegments(&fs_, "data/wal");
  ASSERT_TRUE(segments);
  const std::string segment = tsdb::wal::SegmentPath("wal", segments->front());
  const auto checkpoint = tsdb::wal::LastCheckpoint(&fs_, "data/wal");
  ASSERT_TRUE(checkpoint);
  const std::string gone[] = {block.substr(5) + "/meta.json", segment,
                              *checkpoint ? "wal/" + base::NameOf((*checkpoint)->path) + "/00000000" : segment};
  for (const Live live : {Live::kYes, Live::kNo}) {
    for (const std::string& path : gone) {
      SCOPED_TRACE(path);
      ASSERT_TRUE(fs_.RemoveAll("data"));
      MakeFolder();
      const std::string mine = path == gone[0] ? Blocks()[0].substr(5) + "/meta.json" : path;
      bool removed = false;
      Report report([&](const std::string& reading) {
        if (reading != mine || std::exchange(removed, true)) return;
        EXPECT_TRUE(fs_.RemoveAll(path == gone[0] ? Blocks()[0] : path.starts_with("wal/checkpoint.") ? "data/" + base::FolderOf(path) : "data/" + path));
      });
      ASSERT_TRUE(ScanFolder(&fs_, "data", live, &report));
      EXPECT_TRUE(removed);
      EXPECT_EQ(report.damages() == 0, live == Live::kYes) << report.damages();
    }
  }
}

TEST_F(VerifyTest, StrayFilesWithNumbersAreNamedAtOnce) {
  MakeFolder();
  const std::string before = DumpAll();
  for (const char* name : {"9", "900000", "4294967295", "99999999999999999999", "1"}) {
    for (const std::string& folder : {Blocks()[0] + "/chunks/", std::string("data/chunks_head/")}) {
      SCOPED_TRACE(folder + name);
      const auto files = Files();
      ASSERT_TRUE(fs_.WriteFileAtomically(folder + name, "x"));
      const int exit = Run(TsdbVerify, {"data"});
      // What is no name of six digits in chunks_head/ no server reads.
      const bool head = folder == "data/chunks_head/";
      EXPECT_EQ(exit, head && (name == std::string("1") || name == std::string("9") || std::string_view(name).size() > 6) ? 0 : 1) << out_;
      EXPECT_EQ(Run(TsdbRepair, {"--dry-run", "data"}), 0) << out_ << err_;
      ASSERT_TRUE(fs_.Remove(folder + name));
      EXPECT_EQ(Files(), files);
    }
  }
}

TEST_F(VerifyTest, AMissingSegmentIsNamed) {
  MakeFolder();
  const std::string before = DumpAll();
  const auto segments = tsdb::wal::ListSegments(&fs_, "data/wal");
  ASSERT_TRUE(segments);
  const int next = segments->back() + 2;
  ASSERT_TRUE(fs_.WriteFileAtomically(tsdb::wal::SegmentPath("data/wal", next), ""));
  Mend("the segment is missing", 0, before);
}

TEST_F(VerifyTest, FilesBehindAFarGapTakeTheNumbersThatFollow) {
  for (const char* folder : {"data/wal/", "data/chunks_head/"}) {
    SCOPED_TRACE(folder);
    ASSERT_TRUE(fs_.RemoveAll("data"));
    MakeFolder();
    const std::string before = DumpAll();
    std::vector<std::string> names;
    const auto files = fs_.List(folder);
    ASSERT_TRUE(files);
    for (const base::FileInfo& f : *files) {
      if (!f.is_folder) names.push_back(f.name);
    }
    std::sort(names.begin(), names.end());
    const std::string next = fmt::format("{:0{}}", std::stoi(names.back()) + 1, names.back().size());
    const std::string far = names.back().size() == 6 ? "900000" : "00900000", farther = names.back().size() == 6 ? "990000" : "00990000";
    ASSERT_TRUE(fs_.WriteFileAtomically(folder + far, ""));
    ASSERT_TRUE(fs_.WriteFileAtomically(folder + farther, ""));
    Mend(" files are missing from here to " + std::string(folder).substr(5) + far, 0, before);
    EXPECT_TRUE(fs_.Stat(folder + next)) << next;
    EXPECT_FALSE(fs_.Stat(folder + far));
    EXPECT_FALSE(fs_.Stat(folder + farther));
  }
}

TEST_F(VerifyTest, DamagedHeadChunksAreLeftOut) {
  for (const size_t at : {size_t{40}, size_t{2}, SIZE_MAX}) {
    SCOPED_TRACE(at);
    ASSERT_TRUE(fs_.RemoveAll("data"));
    MakeFolder();
    const std::string before = DumpAll();
    const auto files = fs_.List("data/chunks_head");
    ASSERT_TRUE(files);
    const std::string path = "data/chunks_head/" + files->front().name;
    if (at == SIZE_MAX) {
      ASSERT_TRUE(fs_.Rename(path, "data/chunks_head/000777"));
      ASSERT_TRUE(fs_.WriteFileAtomically("data/chunks_head/000775", ""));
      Mend("chunks_head/000776: the file is missing", 0, before);
      continue;
    }
    FlipByte(path, at);
    Mend(path.substr(5) + ", byte ", 0, before);
    EXPECT_TRUE(fs_.Stat("data/damaged/chunks_head-" + files->front().name));
  }
}

TEST_F(VerifyTest, ADamagedLengthOfAHeadChunkCostsWhatTheReaderLeavesOut) {
  for (const bool last : {false, true}) {
    SCOPED_TRACE(last);
    ASSERT_TRUE(fs_.RemoveAll("data"));
    MakeFolder();
    const std::string before = DumpAll();
    const std::string path = "data/chunks_head/" + fs_.List("data/chunks_head")->front().name;
    const std::string file = *fs_.ReadFile(path);
    std::vector<tsdb::HeadChunkReader::Item> chunks;
    tsdb::HeadChunkReader reader(file);
    for (tsdb::HeadChunkReader::Item item; reader.Next(&item);) chunks.push_back(item);
    ASSERT_GE(chunks.size(), 2u);
    const tsdb::HeadChunkReader::Item& damaged = last ? chunks.back() : chunks.front();
    std::string changed = file;
    changed[damaged.offset + 25] = '\x7f';  // behind reference, times and encoding
    ASSERT_NE(changed, file);
    ASSERT_TRUE(fs_.WriteFileAtomically(path, changed));
    Mend(last ? fmt::format("the last {} bytes are lost", file.size() - damaged.offset)
              : fmt::format("the next chunk is found at byte {}", damaged.end),
         0, before);
  }
}

TEST_F(VerifyTest, LeftoversAreNotedAndRemoved) {
  MakeFolder();
  ASSERT_TRUE(fs_.CreateFolders("data/01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation"));
  EXPECT_EQ(Run(TsdbVerify, {"data"}), 0);
  EXPECT_NE(out_.find("note    01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation: left by"), std::string::npos) << out_;
  EXPECT_EQ(Run(TsdbRepair, {"data"}), 0);
  EXPECT_FALSE(fs_.Stat("data/01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation"));
}

// When the checkpoint is damaged, the segments it stands for may be the only copy.
TEST_F(VerifyTest, WhatACheckpointStandsForIsSetAside) {
  MakeFolder();
  ASSERT_TRUE(fs_.CreateFolders("data/wal/checkpoint.00000002"));
  ASSERT_TRUE(fs_.CreateFolders("data/wal/checkpoint.00000001"));
  ASSERT_TRUE(fs_.CreateFolders("data/wal/checkpoint.00000003.tmp"));
  for (const char* path : {"wal/checkpoint.00000002/00000000", "wal/checkpoint.00000001/00000000", "wal/00000000"}) {
    ASSERT_TRUE(fs_.WriteFileAtomically(std::string("data/") + path, ""));
  }
  EXPECT_EQ(Run(TsdbRepair, {"data"}), 0) << out_ << err_;
  for (const char* path : {"wal-00000000", "wal-checkpoint.00000001/00000000"}) {
    EXPECT_TRUE(fs_.Stat(std::string("data/damaged/") + path)) << path << out_;
  }
  EXPECT_FALSE(fs_.Stat("data/wal/00000000"));
  EXPECT_FALSE(fs_.Stat("data/wal/checkpoint.00000001"));
  EXPECT_FALSE(fs_.Stat("data/wal/checkpoint.00000003.tmp"));
  EXPECT_FALSE(fs_.Stat("data/damaged/wal-checkpoint.00000003.tmp"));
}

TEST_F(VerifyTest, AFolderThatAServerHoldsIsReadButNotMended) {
  MakeFolder();
  const auto lock = fs_.Lock("data/lock");
  ASSERT_TRUE(lock);
  EXPECT_EQ(Run(TsdbVerify, {"data"}), 0);
  EXPECT_NE(out_.find("a server has the folder open"), std::string::npos) << out_;
  EXPECT_EQ(Run(TsdbRepair, {"data"}), 1);
  EXPECT_NE(err_.find("stop it first"), std::string::npos) << err_;
}

// Whatever byte of a block is flipped: verify finds it or nothing was lost, and repair ends with a healthy folder.
TEST_F(VerifyTest, AnyFlippedByteOfABlockIsFoundOrHarmless) {
  MakeFolder();
  const std::string before = DumpAll(), block = Blocks()[0];
  base::SimulatedFileSystem* fs = &fs_;
  for (const char* file : {"/index", "/chunks/000001"}) {
    const std::string path = block + file, whole = *fs->ReadFile(path);
    for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 40) {
      SCOPED_TRACE(path + " byte " + std::to_string(at));
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
      ASSERT_TRUE(fs->WriteFileAtomically(path, bytes));
      const int found = Run(TsdbVerify, {"data"});
      EXPECT_EQ(Run(TsdbRepair, {"--dry-run", "data"}), 0) << out_ << err_;
      if (found == 0) {
        EXPECT_EQ(DumpAll(), before);
      }
    }
    ASSERT_TRUE(fs->WriteFileAtomically(path, whole));
  }
}

}  // namespace
}  // namespace tocsin::tools
