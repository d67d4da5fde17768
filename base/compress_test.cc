#include "base/compress.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

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

TEST(CompressTest, RowsEncodedForSnappyDecode) {
  uint32_t x = 1;
  const auto random = [&x](uint32_t below) {
    x = x * 1664525 + 1013904223;
    return (x >> 8) % below;
  };
  for (const size_t rows : {0, 1, 2, 7, 100, 3000, 20000}) {
    for (const uint32_t kinds : {1u, 4u, 300u, 100000u}) {
      std::string data = "a head of a row";
      std::vector<uint32_t> words;
      for (size_t i = 0; i < rows; ++i) {
        data.append(random(4), static_cast<char>(random(2)));
        // Alike at the start, at the end, or all over.
        const uint64_t word = uint64_t{random(kinds)} << (8 * random(4)) << random(32);
        words.push_back(static_cast<uint32_t>(data.size()));
        data.append(reinterpret_cast<const char*>(&word), sizeof word);
        if (i % 1000 == 999) data.append(random(70000), 'x');  // farther than a copy reaches
      }
      std::string encoded;
      SnappyEncodeRows(data, words, &encoded);
      const auto back = SnappyDecode(encoded, data.size());
      ASSERT_TRUE(back) << rows << " rows of " << kinds << ": " << back.error().message();
      EXPECT_TRUE(*back == data) << rows << " rows of " << kinds;
      if (rows == 100 && kinds == 1) {
        EXPECT_LT(encoded.size(), data.size() * 2 / 3);
      }
    }
  }
}

TEST(CompressTest, SnappyRowsOfAFewBytesReadNoOthers) {
  for (size_t n = 1; n <= 20; ++n) {
    const std::unique_ptr<char[]> exact(new char[n]);
    std::fill_n(exact.get(), n, 'a');
    std::string encoded;
    SnappyEncodeRows({exact.get(), n}, {}, &encoded);
    EXPECT_EQ(SnappyDecode(encoded, n), std::string(n, 'a'));
  }
}

TEST(CompressTest, SnappyRowsMayBeginWithAWord) {
  for (uint32_t head = 0; head <= 9; ++head) {
    const size_t size = head + 5 * 9;
    const std::unique_ptr<char[]> exact(new char[size]);
    std::fill_n(exact.get(), size, 'a');
    const std::vector<uint32_t> words = {head, head + 9, head + 18, head + 27, head + 36};
    std::string encoded;
    SnappyEncodeRows({exact.get(), size}, words, &encoded);
    EXPECT_EQ(SnappyDecode(encoded, size), std::string(size, 'a')) << head;
  }
}

// Elements of every kind, and what they decode to.
TEST(CompressTest, SnappyElementsDecode) {
  const std::string abc = "abcdefghijklmnopqrstuvwxyz";
  const std::string long_text = Text(70'000);
  const auto block = [](size_t length, const std::string& elements) {
    std::string out;
    for (; length >= 0x80; length >>= 7) out += static_cast<char>(length | 0x80);
    return out + static_cast<char>(length) + elements;
  };
  const struct {
    const char* name;
    std::string input;
    std::string want;  // empty: it is corrupt
  } kCases[] = {
      {"a literal", block(3, "\x08" "abc"), "abc"},
      {"a long literal", block(70'000, "\xf8\x6f\x11\x01" + long_text), long_text},
      {"a run", block(12, std::string("\x00" "a", 2) + std::string("\x1d\x01", 2)), "aaaaaaaaaaaa"},
      {"a short copy", block(30, "\x64" + abc + std::string("\x01\x1a", 2)), abc + "abcd"},
      {"a copy of two bytes' offset", block(36, "\x64" + abc + std::string("\x26\x1a\x00", 3)), abc + "abcdefghij"},
      {"a copy of four bytes' offset", block(28, "\x64" + abc + std::string("\x07\x02\x00\x00\x00", 5)), abc + "yz"},
      {"a copy that overlaps itself", block(90, "\x64" + abc + std::string("\xfe\x09\x00", 3)),
       abc + [&] {
         std::string s;
         for (size_t i = 0; i < 64; ++i) s += abc[17 + i % 9];
         return s;
       }()},
      {"nothing", block(0, ""), ""},
      {"a copy from before the start", block(5, std::string("\x00" "a", 2) + std::string("\x01\x02", 2)), ""},
      {"a copy from nowhere", block(5, std::string("\x00" "a", 2) + std::string("\x01\x00", 2)), ""},
      {"more than it says", block(2, "\x08" "abc"), ""},
      {"less than it says", block(4, "\x08" "abc"), ""},
      {"a literal without its bytes", block(20, "\x4c" "abc"), ""},
      {"a copy without its offset", block(5, std::string("\x00" "a\x01", 3)), ""},
      {"far more than the bytes can hold", block(1'000'000, "\x08" "abc"), ""},
      {"a length of too many bytes", "\xff\xff\xff\xff\xff\x01", ""},
  };
  for (const auto& c : kCases) {
    const auto got = SnappyDecode(c.input, 1 << 20);
    const bool empty = std::string_view(c.name) == "nothing";
    if (c.want.empty() && !empty) {
      ASSERT_FALSE(got) << c.name;
      EXPECT_EQ(got.error().code(), Code::kDataLoss) << c.name;
    } else {
      ASSERT_TRUE(got) << c.name << ": " << got.error().message();
      EXPECT_EQ(*got, c.want) << c.name;
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
