#include "net/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/simulated_file_system.h"

namespace tocsin::net {
namespace {

using testing::HasSubstr;

FetchRequest Publish() {
  FetchRequest request{.method = "POST", .url = "https://sns.eu-west-1.amazonaws.com/"};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}};
  request.body = "Action=Publish";
  return request;
}

// The expected signatures were computed with Python's hmac and hashlib from the same request.
TEST(SigV4Test, SignsTheRequestsMethodPathHeadersAndBody) {
  const base::Time now = base::FromUnixMillis(1'767'323'045'678);  // 2026-01-02T03:04:05.678Z
  FetchRequest request = Publish();
  ASSERT_TRUE(SignAws({.access_key = "AKID", .secret_key = "secret", .session_token = {}}, "eu-west-1", "sns", now, &request).has_value());
  EXPECT_EQ(request.headers.Get("X-Amz-Date"), "20260102T030405Z");
  EXPECT_EQ(request.headers.Get("Authorization"),
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-west-1/sns/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
            "Signature=22ee4a85a810b08c0f8bbc3c513f37f9320d011a5dd62cbb1460280f55abf55b");

  request = Publish();
  ASSERT_TRUE(SignAws({.access_key = "AKID", .secret_key = "secret", .session_token = "token"}, "eu-west-1", "sns", now, &request).has_value());
  EXPECT_EQ(request.headers.Get("X-Amz-Security-Token"), "token");
  EXPECT_THAT(std::string(request.headers.Get("Authorization")),
              HasSubstr("Signature=569d7a0de0892e4b9d66b749f536e8f70359f2c213dfce6118d5d18df4777b8e"));
}

class IdentityTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(fs_.CreateFolders("/home/.aws").has_value());
    ASSERT_TRUE(fs_.WriteFileAtomically("/home/.aws/" + name, text).has_value());
  }
  base::Result<AwsIdentity> Find(const AwsSettings& settings) {
    return FindAwsIdentity(settings, &fs_, [this](const char* name) { return variables_[name]; });
  }

  base::SimulatedFileSystem fs_;
  std::map<std::string, std::string> variables_ = {{"HOME", "/home"}};
};

TEST_F(IdentityTest, TheSettingsKeysGoFirstThenTheProfileThenTheEnvironment) {
  variables_ = {{"AWS_ACCESS_KEY_ID", "env"}, {"AWS_SECRET_ACCESS_KEY", "s"}, {"AWS_REGION", "r"}, {"HOME", "/home"}};
  Write("credentials", "[default]\naws_access_key_id = def\naws_secret_access_key = s\n\n"
                       "# people's\n[alerts]\naws_access_key_id=prof\naws_secret_access_key=s\naws_session_token = t\n");
  auto id = Find({.region = "x", .credentials = {.access_key = "own", .secret_key = "s", .session_token = {}}, .profile = "alerts"});
  ASSERT_TRUE(id.has_value()) << id.error().message();
  EXPECT_EQ(id->credentials.access_key + " " + id->region, "own x");
  id = Find({.region = {}, .credentials = {}, .profile = "alerts"});
  ASSERT_TRUE(id.has_value()) << id.error().message();
  EXPECT_EQ(id->credentials.access_key + " " + id->credentials.session_token + " " + id->region, "prof t r");
  EXPECT_EQ(Find({})->credentials.access_key, "env");
  variables_.erase("AWS_ACCESS_KEY_ID");
  EXPECT_EQ(Find({})->credentials.access_key, "def");
}

TEST_F(IdentityTest, TheConfigFileHoldsTheProfilesRegion) {
  Write("credentials", "[alerts]\naws_access_key_id=a\naws_secret_access_key=s\n");
  Write("config", "[profile alerts]\nregion = eu-central-1\n");
  EXPECT_EQ(Find({.region = {}, .credentials = {}, .profile = "alerts"})->region, "eu-central-1");
}

TEST_F(IdentityTest, WhatIsMissingIsSaid) {
  
  auto id = Find({.region = "r", .credentials = {}, .profile = "alerts"});
  ASSERT_FALSE(id.has_value());
  EXPECT_THAT(id.error().message(), HasSubstr("nor the profile \"alerts\" of /home/.aws/credentials"));
  id = Find({.region = {}, .credentials = {.access_key = "a", .secret_key = "s", .session_token = {}}, .profile = {}});
  ASSERT_FALSE(id.has_value());
  EXPECT_THAT(id.error().message(), HasSubstr("no AWS region"));
}

}  // namespace
}  // namespace tocsin::net
