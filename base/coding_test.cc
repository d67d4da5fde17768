#include "base/coding.h"

#include <gtest/gtest.h>

#include <limits>

namespace tocsin::base {
namespace {

TEST(CodingTest, NumbersAndTextComeBack) {
  std::string out;
  for (const int64_t v : {int64_t{0}, int64_t{-1}, int64_t{63}, int64_t{-64}, int64_t{64},
                          std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    out.clear();
    PutVarint(&out, v);
    PutUvarint(&out, static_cast<uint64_t>(v));
    PutBe64(&out, static_cast<uint64_t>(v));
    PutText(&out, "text");
    PutDouble(&out, 1.5);
    PutBe32(&out, 7);
    Decoder in(out);
    EXPECT_EQ(in.Varint(), v);
    EXPECT_EQ(in.Uvarint(), static_cast<uint64_t>(v));
    EXPECT_EQ(in.Be64(), static_cast<uint64_t>(v));
    EXPECT_EQ(in.Text(), "text");
    EXPECT_EQ(in.Double(), 1.5);
    EXPECT_EQ(in.Be32(), 7u);
    EXPECT_TRUE(in.ok());
    EXPECT_FALSE(in.more());
  }
}

TEST(CodingTest, AVarintOfMoreThan64BitsIsRefused) {
  const std::string largest = std::string(9, '\xff') + '\x01';
  Decoder good(largest);
  EXPECT_EQ(good.Uvarint(), UINT64_MAX);
  EXPECT_TRUE(good.ok());
  for (const std::string& bad : {std::string(9, '\xff') + '\x02', std::string(10, '\xff') + '\x01', std::string(3, '\xff')}) {
    Decoder in(bad);
    EXPECT_EQ(in.Uvarint(), 0u);
    EXPECT_FALSE(in.ok());
    EXPECT_EQ(in.Be64(), 0u) << "everything after the failure is zero";
  }
}

TEST(CodingTest, WhatIsNotThereIsNotRead) {
  std::string out;
  PutUvarint(&out, 100);
  out += "short";
  Decoder text(out);
  EXPECT_EQ(text.Text(), "");
  EXPECT_FALSE(text.ok());
  Decoder count(out);
  EXPECT_EQ(count.Count(1), 0u);
  EXPECT_FALSE(count.ok());
}

}  // namespace
}  // namespace tocsin::base
