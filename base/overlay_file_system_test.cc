// What happens over an OverlayFileSystem stays there.

#include "base/overlay_file_system.h"

#include <gtest/gtest.h>

namespace tocsin::base {
namespace {

class OverlayFileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(lower_.CreateFolders("data/block/chunks"));
    ASSERT_TRUE(lower_.WriteFileAtomically("data/a", "one"));
    ASSERT_TRUE(lower_.WriteFileAtomically("data/block/index", "index"));
    ASSERT_TRUE(lower_.WriteFileAtomically("data/block/chunks/000001", "chunks"));
  }
  std::string Names(const std::string& folder) {
    std::string out;
    const auto files = overlay_.List(folder);
    if (!files) return files.error().message();
    for (const FileInfo& f : *files) out += (out.empty() ? "" : " ") + f.name;
    return out;
  }
  std::string Read(const std::string& path) {
    const auto text = overlay_.ReadFile(path);
    return text ? *text : "error";
  }
  // The lower one is as SetUp() left it.
  void TearDown() override {
    EXPECT_EQ(lower_.List("data")->size(), 2u);
    EXPECT_EQ(*lower_.ReadFile("data/a"), "one");
    EXPECT_EQ(*lower_.ReadFile("data/block/chunks/000001"), "chunks");
  }

  SimulatedFileSystem lower_;
  OverlayFileSystem overlay_{&lower_};
};

TEST_F(OverlayFileSystemTest, ReadsFallThrough) {
  EXPECT_EQ(Read("data/a"), "one");
  EXPECT_EQ(Read("./data//a"), "one");
  EXPECT_EQ(Names("data"), "a block");
  EXPECT_EQ((*overlay_.Map("data/a"))->data(), "one");
  EXPECT_EQ(overlay_.Stat("data/a")->size, 3u);
  EXPECT_TRUE(overlay_.Changes().empty());
}

TEST_F(OverlayFileSystemTest, WritesStayAbove) {
  auto file = overlay_.Open("data/a", FileSystem::Mode::kAppend);
  ASSERT_TRUE(file) << file.error().message();
  ASSERT_TRUE((*file)->Append(" two"));
  EXPECT_EQ(Read("data/a"), "one two");
  ASSERT_TRUE(overlay_.WriteFileAtomically("data/new", "x"));
  EXPECT_EQ(Names("data"), "a block new");
  EXPECT_EQ(overlay_.Open("data/a", FileSystem::Mode::kCreate).error().code(), Code::kAlreadyExists);
  ASSERT_TRUE(overlay_.Open("data/a", FileSystem::Mode::kTruncate));
  EXPECT_EQ(Read("data/a"), "");
}

TEST_F(OverlayFileSystemTest, RemovedFilesAreGoneUntilTheyAreWrittenAnew) {
  ASSERT_TRUE(overlay_.Remove("data/a"));
  EXPECT_EQ(overlay_.ReadFile("data/a").error().code(), Code::kNotFound);
  EXPECT_EQ(Names("data"), "block");
  EXPECT_FALSE(overlay_.Remove("data/block"));  // not empty
  ASSERT_TRUE(overlay_.RemoveAll("data/block"));
  EXPECT_EQ(Names("data"), "");
  ASSERT_TRUE(overlay_.CreateFolders("data/block"));
  EXPECT_EQ(Names("data/block"), "");
  ASSERT_TRUE(overlay_.WriteFileAtomically("data/a", "again"));
  EXPECT_EQ(Read("data/a"), "again");
}

TEST_F(OverlayFileSystemTest, FoldersMoveWithAllTheyHold) {
  ASSERT_TRUE(overlay_.CreateFolders("data/damaged"));
  ASSERT_TRUE(overlay_.WriteFileAtomically("data/block/meta.json", "{}"));
  ASSERT_TRUE(overlay_.Remove("data/block/index"));
  ASSERT_TRUE(overlay_.Rename("data/block", "data/damaged/block"));
  EXPECT_EQ(Names("data"), "a damaged");
  EXPECT_EQ(Names("data/damaged/block"), "chunks meta.json");
  EXPECT_EQ(Read("data/damaged/block/chunks/000001"), "chunks");
  EXPECT_EQ(Read("data/damaged/block/meta.json"), "{}");
  ASSERT_TRUE(overlay_.Rename("data/damaged/block", "data/block"));
  EXPECT_EQ(Read("data/block/chunks/000001"), "chunks");
  EXPECT_EQ(Names("data/damaged"), "");
}

TEST_F(OverlayFileSystemTest, AFolderMovesToWhereOneWasRemoved) {
  ASSERT_TRUE(overlay_.CreateFolders("data/new/chunks"));
  ASSERT_TRUE(overlay_.WriteFileAtomically("data/new/index", "new index"));
  ASSERT_TRUE(overlay_.Remove("data/block/index"));
  ASSERT_TRUE(overlay_.RemoveAll("data/block"));
  ASSERT_TRUE(overlay_.Rename("data/new", "data/block"));
  EXPECT_EQ(Names("data/block"), "chunks index");

  ASSERT_TRUE(lower_.CreateFolders("other"));
  ASSERT_TRUE(lower_.WriteFileAtomically("other/index", "other index"));
  ASSERT_TRUE(overlay_.Remove("data/block/index"));
  ASSERT_TRUE(overlay_.RemoveAll("data/block"));
  ASSERT_TRUE(overlay_.Rename("other", "data/block"));
  EXPECT_EQ(Names("data/block"), "index");
  EXPECT_EQ(Read("data/block/index"), "other index");
}

TEST_F(OverlayFileSystemTest, ARenamedFileReplacesItsTarget) {
  ASSERT_TRUE(overlay_.Rename("data/block/index", "data/a"));
  EXPECT_EQ(Read("data/a"), "index");
  EXPECT_EQ(Names("data/block"), "chunks");
  ASSERT_TRUE(overlay_.Link("data/a", "data/block/index"));
  EXPECT_EQ(Read("data/block/index"), "index");
  EXPECT_EQ(overlay_.Changes(), (std::vector<std::string>{"rename data/block/index data/a", "link data/a data/block/index"}));
}

}  // namespace
}  // namespace tocsin::base
