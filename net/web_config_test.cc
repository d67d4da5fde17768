#include "net/web_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/simulated_executor.h"
#include "base/simulated_file_system.h"
#include "net/password.h"

namespace tocsin::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// Of "secret" and "other" at cost 4.
const std::string kSecret = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
const std::string kOther = "$2b$04$abcdefghijklmnopqrstuu0HtfOlPbTiymk5tcV.3TsFPDd3SYZqu";

TEST(PasswordTest, BcryptHashesAreToldFromOthersAndMatchTheirPasswordOnly) {
  EXPECT_TRUE(IsBcryptHash(kSecret));
  for (std::string_view wrong : {"", "secret", "$2b$04$short", "$1$abc$def", "$2b$99$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234"}) {
    EXPECT_FALSE(IsBcryptHash(wrong)) << wrong;
  }
  EXPECT_TRUE(MatchesBcrypt("secret", kSecret));
  std::string go = kSecret;
  go[2] = 'y';  // as htpasswd writes it
  EXPECT_TRUE(MatchesBcrypt("secret", go));
  EXPECT_FALSE(MatchesBcrypt("Secret", kSecret));
  EXPECT_FALSE(MatchesBcrypt("", kSecret));
  EXPECT_FALSE(MatchesBcrypt(std::string("secret\0x", 8), kSecret));
  EXPECT_FALSE(MatchesBcrypt(std::string(73, 'x'), kSecret));
}

class WebConfigTest : public testing::Test {
 protected:
  WebConfigTest() { EXPECT_TRUE(fs_.CreateFolders("/etc")); }
  void Write(const std::string& path, const std::string& text) { ASSERT_TRUE(fs_.WriteFileAtomically(path, text)); }
  base::Result<WebConfigPtr> Load(const std::string& text) {
    Write("/etc/web.yml", text);
    return LoadWebConfig("/etc/web.yml", &fs_);
  }
  base::SimulatedFileSystem fs_;
};

TEST_F(WebConfigTest, EveryKeyIsRead) {
  auto pair = MakeSelfSignedCertificate({"localhost"});
  ASSERT_TRUE(pair);
  Write("/etc/cert.pem", pair->cert);
  Write("/etc/key.pem", pair->key);
  auto config = Load("tls_server_config:\n  cert_file: cert.pem\n  key_file: /etc/key.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
                     "  client_ca_file: cert.pem\n  client_allowed_sans: [a.example]\n  min_version: TLS12\n  max_version: TLS13\n"
                     "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  curve_preferences: [X25519, CurveP256]\n"
                     "  prefer_server_cipher_suites: true\n"
                     "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=9\n"
                     "basic_auth_users:\n  ada: " + kSecret + "\nrate_limit:\n  interval: 500ms\n  burst: 3\n");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_NE((*config)->tls, nullptr);
  EXPECT_EQ((*config)->headers.Get("X-Frame-Options"), "deny");
  EXPECT_EQ((*config)->users.size(), 1U);
  EXPECT_EQ((*config)->rate_per_second, 2);
  EXPECT_EQ((*config)->rate_burst, 3);
  EXPECT_THAT((*config)->files, ElementsAre("/etc/web.yml", "/etc/cert.pem", "/etc/key.pem", "/etc/cert.pem"));
  auto empty = Load("");
  ASSERT_TRUE(empty);
  EXPECT_EQ((*empty)->tls, nullptr);
}

TEST_F(WebConfigTest, MistakesAreNamedWithTheirPlace) {
  struct Row {
    std::string text;
    std::string says;
  };
  for (const Row& row : {
           Row{"tls_server_config:\n  cert_file: none.pem\n  key_file: none.pem\n", "/etc/web.yml:2:14: cert_file: /etc/none.pem"},
           Row{"tls_server_config:\n  cert: x\n", "missing one of key or key_file"},
           Row{"tls_server_config:\n  key: x\n", "missing one of cert or cert_file"},
           Row{"tls_server_config:\n  cert: x\n  key: y\n", "unable to use"},
           Row{"tls_server_config:\n  cert: x\n  key: y\n  client_ca: z\n", "without a Client Auth Policy"},
           Row{"tls_server_config:\n  client_auth_type: Sometimes\n", "Sometimes"},
           Row{"tls_server_config:\n  min_version: SSL3\n", "SSL3"},
           Row{"http_server_config:\n  headers:\n    X-Mine: 1\n", "HTTP header \"X-Mine\" can not be configured"},
           Row{"basic_auth_users:\n  ada: plain\n", "the password of ada is no bcrypt hash"},
           Row{"basic_auth_users: [ada]\n", "expected users"},
           Row{"rate_limit:\n  burst: -1\n", "burst must not be negative"},
           Row{"tls: {}\n", "field tls not found"},
       }) {
    const auto config = Load(row.text);
    ASSERT_FALSE(config) << row.text;
    EXPECT_THAT(config.error().message(), HasSubstr(row.says)) << row.text;
  }
}

class TestExchange : public HttpExchange {
 public:
  explicit TestExchange(const std::string& credentials) : request_(std::make_shared<HttpRequest>()) {
    if (!credentials.empty()) request_->headers.Set("Authorization", "Basic " + base::Base64Encode(credentials));
  }
  const HttpRequest& request() const override { return *request_; }
  std::shared_ptr<const HttpRequest> request_ptr() const override { return request_; }
  void Respond(HttpResponse response) override { status = response.status; }
  bool responded() const override { return status != 0; }
  void SetRoute(std::string_view) override {}
  void OnClientGone(base::Task) override {}
  bool client_gone() const override { return false; }
  int status = 0;

 private:
  std::shared_ptr<HttpRequest> request_;
};

// Remembers where work went.
class LaneExecutor : public base::SimulatedExecutor {
 public:
  using SimulatedExecutor::SimulatedExecutor;
  void Offload(base::Lane lane, base::Task work, base::Task done) override {
    lanes.push_back(lane);
    SimulatedExecutor::Offload(lane, std::move(work), std::move(done));
  }
  std::vector<base::Lane> lanes;
};

class WebGuardTest : public WebConfigTest {
 protected:
  void Start(const std::string& text) {
    auto config = Load(text);
    ASSERT_TRUE(config) << config.error().message();
    guard_ = std::make_unique<WebGuard>(&sim_, &fs_, "/etc/web.yml", *config);
    handler_ = guard_->Wrap([](std::shared_ptr<HttpExchange> x) { x->Respond(HttpResponse::Text(200, "in")); });
  }
  int Ask(const std::string& credentials = "") {
    auto x = std::make_shared<TestExchange>(credentials);
    handler_(x);
    sim_.RunPosted();
    return x->status;
  }

  base::CaptureLog log_;
  LaneExecutor sim_{base::FromUnixMillis(1'700'000'000'000)};
  std::unique_ptr<WebGuard> guard_;
  Handler handler_;
};

TEST_F(WebGuardTest, LetsInWhoKnowsThePassword) {
  Start("basic_auth_users:\n  ada: " + kSecret + "\n");
  EXPECT_EQ(Ask(), 401);
  EXPECT_EQ(Ask("ada:wrong"), 401);
  EXPECT_EQ(Ask("eve:secret"), 401);
  EXPECT_EQ(Ask("ada:secret"), 200);
  EXPECT_EQ(Ask("ada:secret"), 200);
  EXPECT_THAT(sim_.lanes, testing::Each(base::Lane::kIntake)) << "a request must not wait for queries";
}

TEST_F(WebGuardTest, APasswordIsHashedOnce) {
  Start("basic_auth_users:\n  ada: " + kSecret + "\n");
  sim_.SetWorkDuration(100ms);
  auto x = std::make_shared<TestExchange>("ada:secret");
  handler_(x);
  sim_.RunFor(300ms);
  EXPECT_EQ(x->status, 200);
  EXPECT_EQ(Ask("ada:secret"), 200);  // at once
  auto y = std::make_shared<TestExchange>("ada:other");
  handler_(y);
  sim_.RunPosted();
  EXPECT_EQ(y->status, 0);
  sim_.RunFor(300ms);
  EXPECT_EQ(y->status, 401);
}

TEST_F(WebGuardTest, AChangedFileIsTakenWithoutAReloadAndAWrongOneIsNot) {
  Start("basic_auth_users:\n  ada: " + kSecret + "\n");
  int changes = 0;
  guard_->OnChange([&](const WebConfig&) { ++changes; });
  EXPECT_EQ(Ask("ada:secret"), 200);
  sim_.RunFor(2s);
  Write("/etc/web.yml", "basic_auth_users:\n  ada: " + kOther + "\n");
  EXPECT_EQ(Ask("ada:secret"), 401);
  EXPECT_EQ(Ask("ada:other"), 200);
  EXPECT_EQ(changes, 1);
  sim_.RunFor(2s);
  Write("/etc/web.yml", "basic_auth_users:\n  ada: nonsense\n");
  EXPECT_EQ(Ask("ada:other"), 200);
  EXPECT_EQ(changes, 1);
}

TEST_F(WebGuardTest, AFileThatChangesBeforeTheFirstRequestIsTaken) {
  Start("basic_auth_users:\n  ada: " + kSecret + "\n");
  Write("/etc/web.yml", "basic_auth_users:\n  ada: " + kOther + "\n");
  EXPECT_EQ(Ask("ada:secret"), 401);
  EXPECT_EQ(Ask("ada:other"), 200);
}

TEST_F(WebGuardTest, AMistakeIsLoggedOnceAndMendedByWhatItsFilesName) {
  auto pair = MakeSelfSignedCertificate({"localhost"});
  ASSERT_TRUE(pair);
  Write("/etc/key.pem", pair->key);
  Start("basic_auth_users:\n  ada: " + kSecret + "\n");
  Write("/etc/web.yml", "tls_server_config:\n  cert_file: new.pem\n  key_file: key.pem\nbasic_auth_users:\n  ada: " + kOther + "\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Ask("ada:secret"), 200);
    sim_.RunFor(2s);
  }
  EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr("has become wrong")));
  Write("/etc/new.pem", pair->cert);
  EXPECT_EQ(Ask("ada:other"), 200);
}

TEST_F(WebGuardTest, BeyondTheRateRequestsAreRefused) {
  Start("rate_limit:\n  interval: 1s\n  burst: 2\n");
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(Ask(), 429);
  sim_.RunFor(1s);
  EXPECT_EQ(Ask(), 200);
  EXPECT_EQ(Ask(), 429);
}

}  // namespace
}  // namespace tocsin::net
