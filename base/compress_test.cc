#include "base/compress.h"

#include <gtest/gtest.h>

#include <functional>

namespace tocsin::base {
namespace {

struct Codec {
  const char* name;
  std::function<std::string(std::string_view)> encode;
  std::function<Result<std::string>(std::string_view, size_t)> decode;
};

const Codec kCodecs[] = {
    {"gzip", [](std::string_view d) { return Gzip(d); }, GunzipAll},
    {"snappy", SnappyEncode, SnappyDecode},
    {"zstd", [](std::string_view d) { return ZstdEncode(d); }, ZstdDecode},
};

std::string Text(size_t size) {
  std::string text;
  uint32_t x = 1;
  while (text.size() < size) {
    x = x * 1664525 + 1013904223;
    text += "line " + std::to_string(x >> 20) + "\n";
  }
  text.resize(size);
  return text;
}

TEST(CompressTest, WhatIsEncodedDecodes) {
  for (const Codec& codec : kCodecs) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{65536}, size_t{1000000}}) {
      const std::string text = Text(size);
      const auto back = codec.decode(codec.encode(text), size);
      ASSERT_TRUE(back) << codec.name << " " << size << ": " << back.error().message();
      EXPECT_TRUE(*back == text) << codec.name << " " << size;
    }
  }
}

TEST(CompressTest, MoreThanTheLimitIsRefused) {
  for (const Codec& codec : kCodecs) {
    const auto back = codec.decode(codec.encode(std::string(1 << 20, 'a')), (1 << 20) - 1);
    ASSERT_FALSE(back) << codec.name;
    EXPECT_EQ(back.error().code(), Code::kResourceExhausted) << codec.name;
  }
}

TEST(CompressTest, CutInputIsDataLoss) {
  for (const Codec& codec : kCodecs) {
    const std::string whole = codec.encode(Text(500));
    for (size_t n = 0; n < whole.size(); ++n) {
      const auto back = codec.decode(std::string_view(whole).substr(0, n), 10000);
      ASSERT_FALSE(back) << codec.name << " cut at " << n;
      EXPECT_EQ(back.error().code(), Code::kDataLoss) << codec.name << " cut at " << n;
    }
  }
}

TEST(CompressTest, FlippedBytesNeverCrash) {
  for (const Codec& codec : kCodecs) {
    const std::string whole = codec.encode(Text(500));
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ 0xff);
      Ignore(codec.decode(flipped, 10000));  // either outcome is fine, as long as it ends
    }
  }
}

TEST(CompressTest, GzipMembersMayFollowEachOther) {
  EXPECT_EQ(*GunzipAll(Gzip("one ") + Gzip("two"), 100), "one two");
  EXPECT_FALSE(GunzipAll(Gzip("one ") + "junk", 100));
  // The last one's size says little about the whole.
  EXPECT_EQ(GunzipAll(Gzip(Text(100000)) + Gzip("two"), 200000)->size(), 100003u);
  EXPECT_EQ(GunzipAll(Gzip(Text(100000)) + Gzip("two"), 100002).error().code(), Code::kResourceExhausted);
}

TEST(CompressTest, ALieAboutTheSizeCostsNoMemory) {
  std::string gzip = Gzip("one");
  gzip.replace(gzip.size() - 4, 4, "\xff\xff\xff\x7f", 4);
  EXPECT_EQ(GunzipAll(gzip, SIZE_MAX).error().code(), Code::kDataLoss);
}

TEST(CompressTest, ABufferIsUsedAgain) {
  std::string buffer(1000, 'x');
  const char* const memory = buffer.data();
  ASSERT_TRUE(GunzipInto(Gzip("one"), 100, &buffer));
  EXPECT_EQ(buffer, "one");
  EXPECT_EQ(buffer.data(), memory);
}

}  // namespace
}  // namespace tocsin::base
