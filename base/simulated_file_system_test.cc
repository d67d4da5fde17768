#include "base/simulated_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/faulty_file_system.h"

namespace tocsin::base {
namespace {

using testing::HasSubstr;
using Mode = FileSystem::Mode;
using Op = FaultyFileSystem::Op;

std::unique_ptr<File> Open(FileSystem* fs, const std::string& path, Mode mode) {
  auto file = fs->Open(path, mode);
  EXPECT_TRUE(file) << file.error().message();
  return std::move(*file);
}

TEST(SimulatedFileSystemTest, ACrashForgetsBytesThatWereNotSynced) {
  SimulatedFileSystem fs;
  ASSERT_TRUE(fs.CreateFolders("d"));
  auto file = Open(&fs, "d/a", Mode::kCreate);
  ASSERT_TRUE(file->Append("synced"));
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(fs.SyncFolder("d"));
  ASSERT_TRUE(file->Append(" lost"));
  ASSERT_TRUE(file->WriteAt(0, "S"));
  EXPECT_EQ(*fs.ReadFile("d/a"), "Synced lost");
  fs.Crash();
  EXPECT_EQ(*fs.ReadFile("d/a"), "synced");
  EXPECT_EQ(file->Append("x").error().code(), Code::kUnavailable);
  EXPECT_EQ(file->Sync().error().code(), Code::kUnavailable);
  ASSERT_TRUE(Open(&fs, "d/a", Mode::kAppend)->Append("!"));
  EXPECT_EQ(*fs.ReadFile("d/a"), "synced!");
}

TEST(SimulatedFileSystemTest, ACrashForgetsEntriesOfFoldersThatWereNotSynced) {
  SimulatedFileSystem fs;
  ASSERT_TRUE(fs.WriteFileAtomically("kept", "1"));
  ASSERT_TRUE(fs.WriteFileAtomically("renamed", "2"));
  ASSERT_TRUE(fs.WriteFileAtomically("removed", "3"));
  ASSERT_TRUE(fs.Rename("renamed", "elsewhere"));
  ASSERT_TRUE(fs.Remove("removed"));
  ASSERT_TRUE(Open(&fs, "created", Mode::kCreate)->Sync());
  fs.Crash();
  EXPECT_EQ(*fs.ReadFile("kept"), "1");
  EXPECT_EQ(*fs.ReadFile("renamed"), "2");
  EXPECT_EQ(*fs.ReadFile("removed"), "3");
  EXPECT_FALSE(fs.Stat("elsewhere"));
  EXPECT_FALSE(fs.Stat("created"));
}

TEST(SimulatedFileSystemTest, ARenamedFolderKeepsItsFilesWhenItsParentIsSynced) {
  SimulatedFileSystem fs;
  ASSERT_TRUE(fs.CreateFolders("data/block.tmp/chunks"));
  ASSERT_TRUE(fs.WriteFileAtomically("data/block.tmp/chunks/000001", "bytes"));
  ASSERT_TRUE(fs.Rename("data/block.tmp", "data/block"));
  ASSERT_TRUE(fs.SyncFolder("data"));
  fs.Crash();
  EXPECT_EQ(*fs.ReadFile("data/block/chunks/000001"), "bytes");
  EXPECT_FALSE(fs.Stat("data/block.tmp"));
  ASSERT_TRUE(fs.RemoveAll("data/block"));
  fs.Crash();
  EXPECT_TRUE(fs.Stat("data/block"));  // the removal was not synced
}

TEST(SimulatedFileSystemTest, ASeededCrashKeepsAPrefixOfTheTail) {
  bool partial = false;
  for (uint64_t seed = 1; seed < 20; ++seed) {
    SimulatedFileSystem fs;
    ASSERT_TRUE(fs.WriteFileAtomically("a", "begin "));
    auto file = Open(&fs, "a", Mode::kAppend);
    ASSERT_TRUE(file->Append("middle end"));
    fs.Crash(seed);
    const std::string text = *fs.ReadFile("a");
    EXPECT_TRUE(std::string("begin middle end").starts_with(text)) << text;
    EXPECT_GE(text.size(), 6u);
    partial |= text.size() > 6 && text.size() < 16;
  }
  EXPECT_TRUE(partial);
}

TEST(SimulatedFileSystemTest, ErrorsAreThoseOfARealDisk) {
  SimulatedFileSystem fs;
  ASSERT_TRUE(fs.WriteFileAtomically("a", "1"));
  ASSERT_TRUE(fs.CreateFolders("d/e"));
  EXPECT_EQ(fs.Open("none", Mode::kRead).error().message(), "none: open: no such file or directory");
  EXPECT_EQ(fs.Open("none/a", Mode::kCreate).error().code(), Code::kNotFound);
  EXPECT_EQ(fs.Open("a", Mode::kCreate).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(fs.Open("d", Mode::kRead).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(fs.Remove("d").error().code(), Code::kAlreadyExists);
  EXPECT_EQ(fs.Remove("none").error().code(), Code::kNotFound);
  EXPECT_EQ(fs.Rename("none", "b").error().code(), Code::kNotFound);
  EXPECT_EQ(fs.Link("a", "a").error().code(), Code::kAlreadyExists);
  EXPECT_EQ(fs.List("none").error().code(), Code::kNotFound);
  EXPECT_EQ(fs.SyncFolder("a").error().code(), Code::kNotFound);
  EXPECT_EQ(fs.CreateFolders("a/b").error().code(), Code::kNotFound);
  EXPECT_FALSE(Open(&fs, "a", Mode::kRead)->Append("x"));
  fs.SetTotalSpace(4);
  const Status full = Open(&fs, "a", Mode::kAppend)->Append("23456");
  EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(*fs.ReadFile("a"), "1234");
  EXPECT_EQ(fs.FreeSpace("a")->free, 0u);
  auto lock = fs.Lock("lock");
  ASSERT_TRUE(lock);
  EXPECT_EQ(fs.Lock("lock").error().code(), Code::kUnavailable);
  lock->reset();
  EXPECT_TRUE(fs.Lock("lock"));
}

TEST(FaultyFileSystemTest, ChosenCallsFailAsOftenAsAsked) {
  SimulatedFileSystem disk;
  FaultyFileSystem fs(&disk);
  fs.Fail({.op = Op::kSync, .path = "a", .skip = 1, .times = 2});
  auto file = Open(&fs, "a", Mode::kCreate);
  EXPECT_TRUE(file->Sync());
  EXPECT_EQ(file->Sync().error().message(), "a: input/output error");
  EXPECT_FALSE(file->Sync());
  EXPECT_TRUE(file->Sync());
  EXPECT_EQ(fs.calls(Op::kSync), 4u);
}

TEST(FaultyFileSystemTest, WritesAreShortWhenTheyFail) {
  SimulatedFileSystem disk;
  FaultyFileSystem fs(&disk);
  auto file = Open(&fs, "a", Mode::kCreate);
  fs.Fail({.op = Op::kWrite, .times = 1, .written = 2});
  EXPECT_FALSE(file->Append("abcd"));
  EXPECT_EQ(*disk.ReadFile("a"), "ab");
  fs.SetSpace(3);
  const Status full = file->Append("cdefg");
  EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(full.error().message(), HasSubstr("no space left"));
  EXPECT_EQ(*disk.ReadFile("a"), "abcde");
  fs.Heal();
  EXPECT_TRUE(file->Append("fg"));
}

TEST(FaultyFileSystemTest, APredicateDecides) {
  SimulatedFileSystem disk;
  FaultyFileSystem fs(&disk);
  fs.Fail({.code = Code::kPermissionDenied,
           .message = "no",
           .when = [](Op op, const std::string& path) { return op == Op::kRename && path == "b.tmp"; }});
  EXPECT_TRUE(fs.WriteFileAtomically("a", "1"));
  EXPECT_EQ(fs.WriteFileAtomically("b", "1").error().code(), Code::kPermissionDenied);
  EXPECT_FALSE(disk.Stat("b.tmp"));
}

TEST(FaultyFileSystemTest, EveryOperationCanFail) {
  SimulatedFileSystem disk;
  FaultyFileSystem fs(&disk);
  ASSERT_TRUE(fs.WriteFileAtomically("a", "1"));
  auto file = Open(&fs, "a", Mode::kReadWrite);
  fs.Fail({.when = [](Op, const std::string&) { return true; }});
  char buffer[4];
  EXPECT_FALSE(fs.Open("a", Mode::kRead));
  EXPECT_FALSE(fs.Map("a"));
  EXPECT_FALSE(fs.ReadFile("a"));
  EXPECT_FALSE(file->ReadAt(0, buffer));
  EXPECT_FALSE(file->WriteAt(0, "x"));
  EXPECT_FALSE(file->Truncate(0));
  EXPECT_FALSE(file->Close());
  EXPECT_FALSE(fs.Link("a", "b"));
  EXPECT_FALSE(fs.Remove("a"));
  EXPECT_FALSE(fs.RemoveAll("a"));
  EXPECT_FALSE(fs.CreateFolders("d"));
  EXPECT_FALSE(fs.SyncFolder("."));
  EXPECT_FALSE(fs.List("."));
  EXPECT_FALSE(fs.Stat("a"));
  EXPECT_FALSE(fs.Lock("lock"));
  EXPECT_FALSE(fs.FreeSpace("."));
  fs.Heal();
  EXPECT_EQ(*fs.ReadFile("a"), "1");
}

}  // namespace
}  // namespace tocsin::base
