// The house rules that a compiler does not check: who includes whom (against rooms.txt, written by
// cmake/rooms.cmake), which room may include which library, and that links in the documents lead
// somewhere.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Rooms = std::map<std::string, std::set<std::string>>;

const fs::path kSource = TOCSIN_SOURCE_DIR;

// Each room with all it may use, itself and what those may use included.
Rooms ReadRooms() {
  Rooms rooms;
  std::ifstream in(fs::path(TOCSIN_BINARY_DIR) / "rooms.txt");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string room;
    words >> room;
    room.pop_back();  // the colon
    std::set<std::string>& all = rooms[room];
    all.insert(room);
    for (std::string used; words >> used;) {
      EXPECT_TRUE(rooms.contains(used)) << room << " uses " << used << ", which does not stand below it";
      all.insert(rooms[used].begin(), rooms[used].end());
    }
  }
  return rooms;
}

std::vector<std::string> Includes(const fs::path& file, char open) {
  std::vector<std::string> found;
  std::ifstream in(file);
  const std::string start = std::string("#include ") + open;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(start)) continue;
    const size_t end = line.find(open == '"' ? '"' : '>', start.size());
    found.push_back(line.substr(start.size(), end - start.size()));
  }
  return found;
}

std::vector<fs::path> SourcesOf(const std::string& room) {
  std::vector<fs::path> files;
  if (!fs::exists(kSource / room)) return files;
  for (const auto& entry : fs::directory_iterator(kSource / room)) {
    if (entry.path().extension() == ".h" || entry.path().extension() == ".cc") {
      files.push_back(entry.path());
    }
  }
  return files;
}

TEST(HouseTest, IncludesPointDown) {
  const Rooms rooms = ReadRooms();
  ASSERT_FALSE(rooms.empty());
  for (const auto& [room, allowed] : rooms) {
    for (const fs::path& file : SourcesOf(room)) {
      for (const std::string& include : Includes(file, '"')) {
        const std::string folder = fs::path(include).parent_path();
        if (!rooms.contains(folder)) continue;  // a library's header
        EXPECT_TRUE(allowed.contains(folder))
            << file << " includes " << include << ", but " << room << " may not use " << folder;
      }
    }
  }
}

// The Alertmanager alone opens no database: it and its API are linked without what samples need.
TEST(HouseTest, TheAlertmanagerIsLinkedWithoutTheDatabaseAndTheRules) {
  const Rooms rooms = ReadRooms();
  for (const char* room : {"alertmanager", "api/alertmanager"}) {
    ASSERT_TRUE(rooms.contains(room));
    for (const std::string& used : rooms.at(room)) {
      for (const char* heavy : {"storage", "tsdb", "promql", "scrape", "ruler", "remote", "discovery", "config"}) {
        EXPECT_FALSE(used == heavy || used.starts_with(std::string(heavy) + "/")) << room << " uses " << used;
      }
    }
  }
  for (const std::string& include : Includes(kSource / "app/alertmanager_main.cc", '"')) {
    for (const char* heavy : {"storage/", "tsdb/", "promql/", "scrape/", "ruler/"}) {
      EXPECT_FALSE(include.starts_with(heavy)) << "app/alertmanager_main.cc includes " << include;
    }
  }
}

// One door per library: the headers of each are included in one room only.
TEST(HouseTest, EachLibraryHasOneDoor) {
  const std::vector<std::pair<std::string, std::set<std::string>>> doors = {
      {"uv.h", {"net"}},          {"llhttp.h", {"net"}},  {"curl/", {"net"}},
      {"openssl/", {"net", "base"}}, {"yaml-cpp/", {"base"}}, {"re2/", {"base"}},
      {"sqlite3.h", {"state"}},   {"crypt.h", {"net"}},   {"snappy", {"base"}},   {"zstd.h", {"base"}},
      {"libdeflate.h", {"base"}}, {"xxhash.h", {"base"}},
  };
  for (const auto& [room, allowed] : ReadRooms()) {
    for (const fs::path& file : SourcesOf(room)) {
      for (const char open : {'<', '"'}) {
        for (const std::string& include : Includes(file, open)) {
          for (const auto& [header, rooms] : doors) {
            if (!include.starts_with(header)) continue;
            EXPECT_TRUE(rooms.contains(room)) << file << " includes " << include;
          }
        }
      }
    }
  }
}

// Time, chance and the outside world come in through base/ and net/.
TEST(HouseTest, NothingAsksTheSystemForTimeOrChance) {
  const std::vector<std::pair<std::string, std::string>> banned = {
      {"system_clock::now", "base::Executor::Now()"},
      {"sleep_for", "base::Executor::After()"},
      {"std::random_device", "a seeded generator passed in"},
      {"fopen(", "base::FileSystem"},
  };
  for (const auto& [room, allowed] : ReadRooms()) {
    if (room == "base" || room == "net" || room == "app") continue;
    for (const fs::path& file : SourcesOf(room)) {
      std::ifstream in(file);
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        for (const auto& [what, instead] : banned) {
          EXPECT_EQ(line.find(what), std::string::npos)
              << file << ":" << number << ": " << what << ": use " << instead;
        }
      }
    }
  }
}

TEST(HouseTest, LinksInDocumentsLeadSomewhere) {
  for (const char* name : {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"}) {
    std::ifstream in(kSource / name);
    std::stringstream all;
    all << in.rdbuf();
    const std::string text = all.str();
    for (size_t at = text.find("]("); at != std::string::npos; at = text.find("](", at + 1)) {
      std::string target = text.substr(at + 2, text.find(')', at) - at - 2);
      if (target.starts_with("http") || target.starts_with("#")) continue;
      target = target.substr(0, target.find('#'));
      EXPECT_TRUE(fs::exists(kSource / target)) << name << " links to " << target;
    }
  }
}

}  // namespace
