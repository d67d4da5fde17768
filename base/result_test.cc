#include "base/result.h"

#include <gtest/gtest.h>

#include "base/check.h"

namespace tocsin::base {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument(std::to_string(n) + " is odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  return Half(half);
}

Status CheckEven(int n) {
  RETURN_IF_ERROR(Half(n));
  return {};
}

TEST(ResultTest, ErrorsAreHandedOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).error().message(), "3 is odd");
  EXPECT_TRUE(CheckEven(2));
  EXPECT_EQ(CheckEven(1).error().code(), Code::kInvalidArgument);
}

TEST(ResultTest, EachLayerAddsItsContextOnce) {
  const Error error = Half(3).error().Within("rules/a.yml");
  EXPECT_EQ(error.message(), "rules/a.yml: 3 is odd");
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
}

TEST(ResultTest, EveryCodeHasAName) {
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    EXPECT_NE(CodeName(static_cast<Code>(code)), "unknown") << code;
  }
}

TEST(CheckDeathTest, AFailedCheckDiesWithFileLineAndValues) {
  const int n = 3;
  EXPECT_DEATH(TOCSIN_CHECK(n == 4) << "n is " << n, "result_test.cc:[0-9]+: check failed: n == 4 n is 3");
}

}  // namespace
}  // namespace tocsin::base
