#include "base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

namespace tocsin::base {
namespace {

using testing::ElementsAre;
using testing::StartsWith;
using Mode = FileSystem::Mode;

class FileSystemTest : public testing::Test {
 protected:
  ~FileSystemTest() override { Ignore(fs_->RemoveAll(folder_)); }  // best effort: a test's folder

  std::string At(std::string_view name) const { return JoinPath(folder_, name); }
  std::unique_ptr<File> Open(std::string_view name, Mode mode) {
    auto file = fs_->Open(At(name), mode);
    EXPECT_TRUE(file) << file.error().message();
    return std::move(*file);
  }

  static std::string MakeFolder() {
    std::string path = "/tmp/tocsin_base_XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr) << path;
    return path;
  }

  FileSystem* const fs_ = RealFileSystem();
  // Const: the destructor removes it with all it holds.
  const std::string folder_ = MakeFolder();
};

TEST_F(FileSystemTest, AppendsGoToTheEndAlsoAfterReopening) {
  ASSERT_TRUE(Open("a", Mode::kCreate)->Append("one "));
  auto file = Open("a", Mode::kAppend);
  ASSERT_TRUE(file->Append("two"));
  ASSERT_TRUE(file->WriteAt(0, "ONE"));
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(*file->Size(), 7u);
  EXPECT_EQ(*fs_->ReadFile(At("a")), "ONE two");
  ASSERT_TRUE(file->Truncate(3));
  ASSERT_TRUE(file->Append("!"));
  EXPECT_EQ(*fs_->ReadFile(At("a")), "ONE!");
  char buffer[10];
  EXPECT_EQ(*file->ReadAt(2, buffer), 2u);
  EXPECT_EQ(std::string_view(buffer, 2), "E!");
  EXPECT_EQ(*file->ReadAt(9, buffer), 0u);
  EXPECT_TRUE(file->Close());
}

TEST_F(FileSystemTest, ErrorsBeginWithThePathAndHaveTheirCode) {
  const auto missing = fs_->Open(At("none"), Mode::kRead);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_EQ(missing.error().message(), At("none") + ": open: no such file or directory");

  ASSERT_TRUE(Open("a", Mode::kCreate)->Append("x"));
  const auto again = fs_->Open(At("a"), Mode::kCreate);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);

  ASSERT_TRUE(fs_->CreateFolders(At("d/e")));
  EXPECT_EQ(fs_->Open(At("d"), Mode::kRead).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(fs_->Map(At("d")).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(fs_->Map(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->ReadFile(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->Rename(At("none"), At("b")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->Link(At("a"), At("a")).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(fs_->Remove(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->Remove(At("d")).error().code(), Code::kAlreadyExists);  // not empty
  EXPECT_EQ(fs_->List(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->Stat(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->SyncFolder(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->FreeSpace(At("none")).error().code(), Code::kNotFound);
  EXPECT_EQ(fs_->CreateFolders(At("a/b")).error().code(), Code::kNotFound);  // a is a file
  EXPECT_EQ(fs_->WriteFileAtomically(At("none/f"), "x").error().code(), Code::kNotFound);
  EXPECT_TRUE(fs_->RemoveAll(At("none")));
  EXPECT_EQ(Open("a", Mode::kRead)->Append("y").error().code(), Code::kUnavailable);
}

TEST_F(FileSystemTest, AWriteBeyondTheDeviceIsResourceExhausted) {
  const auto full = fs_->Open("/dev/full", Mode::kReadWrite);
  if (!full) GTEST_SKIP() << "no /dev/full here";
  const Status status = (*full)->Append("x");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(status.error().message(), StartsWith("/dev/full: write: "));
}

TEST_F(FileSystemTest, FilesAreListedMappedLinkedAndRemoved) {
  ASSERT_TRUE(fs_->WriteFileAtomically(At("b"), "bytes"));
  ASSERT_TRUE(fs_->WriteFileAtomically(At("b"), "more bytes"));
  ASSERT_TRUE(fs_->Link(At("b"), At("a")));
  ASSERT_TRUE(fs_->CreateFolders(At("folder")));
  const auto files = fs_->List(folder_);
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 3u);
  EXPECT_EQ((*files)[0].name, "a");
  EXPECT_EQ((*files)[0].size, 10u);
  EXPECT_TRUE((*files)[2].is_folder);
  EXPECT_EQ((*fs_->Map(At("a")))->data(), "more bytes");
  ASSERT_TRUE(Open("empty", Mode::kTruncate)->Sync());
  EXPECT_EQ((*fs_->Map(At("empty")))->data(), "");
  ASSERT_TRUE(fs_->Rename(At("a"), At("c")));
  EXPECT_TRUE(fs_->SyncFolder(folder_));
  EXPECT_FALSE(fs_->Stat(At("a")));
  EXPECT_EQ(fs_->Stat(At("c"))->name, "c");
  ASSERT_TRUE(fs_->Remove(At("c")));
  ASSERT_TRUE(fs_->RemoveAll(At("folder")));
  EXPECT_GT(fs_->FreeSpace(folder_)->total, 0u);
  EXPECT_THAT(*fs_->ReadFile("/proc/self/stat"), StartsWith(std::to_string(::getpid())));
}

TEST_F(FileSystemTest, ALockIsHeldByOne) {
  auto first = fs_->Lock(At("lock"));
  ASSERT_TRUE(first);
  const auto second = fs_->Lock(At("lock"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kUnavailable);
  first->reset();
  EXPECT_TRUE(fs_->Lock(At("lock")));
}

TEST_F(FileSystemTest, GlobMatchesTheLastPathElement) {
  for (const char* name : {"a.yml", "b.yml", "c.yaml", "[x]"}) {
    ASSERT_TRUE(Open(name, Mode::kCreate)->Sync());
  }
  EXPECT_THAT(*Glob(fs_, At("*.yml")), ElementsAre(At("a.yml"), At("b.yml")));
  EXPECT_THAT(*Glob(fs_, At("[bc].*")), ElementsAre(At("b.yml"), At("c.yaml")));
  EXPECT_THAT(*Glob(fs_, At("?.yaml")), ElementsAre(At("c.yaml")));
  EXPECT_THAT(*Glob(fs_, At("a.yml")), ElementsAre(At("a.yml")));
  EXPECT_THAT(*Glob(fs_, At("none.yml")), ElementsAre());
  EXPECT_THAT(*Glob(fs_, At("none/*.yml")), ElementsAre());
}

TEST(PathTest, PathsAreJoinedAndSplit) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("a", "/b"), "/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(JoinPath(".", "b"), "b");
  EXPECT_EQ(FolderOf("a/b/c"), "a/b");
  EXPECT_EQ(FolderOf("/c"), "/");
  EXPECT_EQ(FolderOf("c"), ".");
  EXPECT_EQ(NameOf("a/b"), "b");
  EXPECT_EQ(NameOf("b"), "b");
}

}  // namespace
}  // namespace tocsin::base
