#include "app/serve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/simulated_file_system.h"

namespace tocsin::app {
namespace {

using testing::HasSubstr;

TEST(ServeTest, WhatAFlagCannotBeIsToldBeforeAnythingIsOpened) {
  struct Row {
    std::string flag;
    int exit;
    std::string says;
  };
  const Row rows[] = {
      {"--storage.tsdb.wal-segment-size=foo", 2, "--storage.tsdb.wal-segment-size=foo: units: invalid foo"},
      {"--storage.tsdb.wal-segment-size=1KB", 1, "--storage.tsdb.wal-segment-size=1KB: write 32KB to 1GB"},
      {"--storage.tsdb.wal-segment-size=2GB", 1, "--storage.tsdb.wal-segment-size=2GB: write 32KB to 1GB"},
      {"--storage.tsdb.retention.size=10Gb", 2, "--storage.tsdb.retention.size=10Gb: units: unknown unit Gb"},
      {"--storage.tsdb.retention.time=15", 2, "--storage.tsdb.retention.time=15: "},
      {"--storage.tsdb.max-block-duration=x", 2, "--storage.tsdb.max-block-duration=x: "},
      {"--storage.tsdb.wal-compression-type=lz4", 2, "--storage.tsdb.wal-compression-type=lz4: write snappy or zstd"},
      {"--web.external-url=:", 2, "missing protocol scheme"},
      {"--storage.agent.path=x", 3, "--storage.agent.path: can only be used in agent mode"},
      {"--storage.tsdb.wal-segment-size=64MB", 1, "prometheus.yml"},  // a right one: the next thing is the file
  };
  for (const Row& row : rows) {
    const base::CaptureLog log;
    base::SimulatedFileSystem files;
    std::string err;
    const tools::ToolIo io{.out = [](std::string_view) {}, .err = [&](std::string_view text) { err += text; }, .read_input = nullptr, .fs = &files};
    EXPECT_EQ(Serve({row.flag}, io), row.exit) << row.flag;
    EXPECT_THAT(err, HasSubstr(row.says)) << row.flag;
  }
}

}  // namespace
}  // namespace tocsin::app
