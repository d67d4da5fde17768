#include "base/digest.h"

#include <gtest/gtest.h>

namespace tocsin::base {
namespace {

TEST(DigestTest, ChecksumsHaveTheirPublishedValues) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Fnv1a64(""), 14695981039346656037ULL);
  EXPECT_EQ(Fnv1a64("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(Fnv1a64("foobar"), 0x85944171f73967e8ULL);
  EXPECT_EQ(Xxh64(""), 0xef46db3751d8e999ULL);
  EXPECT_EQ(Xxh64("a"), 0xd24ec4f1a98c6e5bULL);
}

TEST(DigestTest, ChecksumsContinueOverParts) {
  const std::string text = "The quick brown fox jumps over the lazy dog, twice.";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    std::string_view a = std::string_view(text).substr(0, cut);
    std::string_view b = std::string_view(text).substr(cut);
    EXPECT_EQ(Crc32c(Crc32c(a), b), Crc32c(text)) << cut;
    EXPECT_EQ(Fnv1a64(Fnv1a64(a), b), Fnv1a64(text)) << cut;
  }
}

TEST(DigestTest, CryptographicDigestsHaveTheirPublishedValues) {
  EXPECT_EQ(Hex(Md5("abc")), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(Hex(Sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231 test case 2, RFC 2104.
  EXPECT_EQ(Hex(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hex(HmacMd5("Jefe", "what do ya want for nothing?")), "750c783e6ab0b503eaa86e310a5db738");
  EXPECT_EQ(Hex(HmacSha256("", "")), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(DigestTest, Base64IsReadAndWritten) {
  struct Row {
    std::string text, standard, url;
  };
  for (const Row& row : {
           Row{"", "", ""},
           {"f", "Zg==", "Zg=="},
           {"fo", "Zm8=", "Zm8="},
           {"foo", "Zm9v", "Zm9v"},
           {"\xfb\xff\xfe", "+//+", "-__-"},
       }) {
    EXPECT_EQ(Base64Encode(row.text), row.standard);
    EXPECT_EQ(Base64UrlEncode(row.text), row.url);
    std::string back;
    ASSERT_TRUE(Base64Decode(row.standard, &back)) << row.standard;
    EXPECT_EQ(back, row.text);
    ASSERT_TRUE(Base64UrlDecode(row.url, &back)) << row.url;
    EXPECT_EQ(back, row.text);
  }
  std::string out;
  EXPECT_TRUE(Base64Decode("Zm9v\nZg==\n", &out));
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg===", "=", "Z===", "Zm9v=", "Zg==Zg==", "Zm9*", "-__-"}) {
    EXPECT_FALSE(Base64Decode(bad, &out)) << bad;
  }
}

}  // namespace
}  // namespace tocsin::base
