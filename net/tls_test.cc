#include "net/tls.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace tocsin::net {
namespace {

struct SessionFree {
  void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
};
using SessionPtr = std::unique_ptr<SSL_SESSION, SessionFree>;

// A certificate of its own key with one name, an address of `bytes`, however many.
CertificateAndKey WithAddress(const std::string& bytes) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  X509_set_version(cert, X509_VERSION_3);
  X509_set_pubkey(cert, key);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_OCTET_STRING* address = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(address, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  GENERAL_NAME_set0_value(name, GEN_IPADD, address);
  sk_GENERAL_NAME_push(names, name);
  X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0);
  GENERAL_NAMES_free(names);
  X509_sign(cert, key, EVP_sha256());
  const auto text = [](auto write) {
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio);
    std::string out(BIO_ctrl_pending(bio), '\0');
    BIO_read(bio, out.data(), static_cast<int>(out.size()));
    BIO_free(bio);
    return out;
  };
  CertificateAndKey out{.cert = text([&](BIO* b) { PEM_write_bio_X509(b, cert); }),
                        .key = text([&](BIO* b) { PEM_write_bio_PrivateKey(b, key, nullptr, nullptr, 0, nullptr, nullptr); })};
  X509_free(cert);
  EVP_PKEY_free(key);
  return out;
}

class TlsTest : public testing::Test {
 protected:
  // Whether the server lets in a client with this certificate.  What it remembers is in session_ then.
  base::Status Connect(const CertificateAndKey& client) {
    TlsConfig config;
    config.insecure_skip_verify = true;
    config.cert = client.cert;
    config.key = client.key;
    const auto context = TlsClientContext::Make(config);
    if (!context) return std::unexpected(context.error());
    TlsSession server(server_);
    SSL* const ssl = SSL_new((*context)->get());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
    if (session_ != nullptr) SSL_set_session(ssl, session_.get());
    base::Status status;
    std::string received;
    for (int turn = 0; turn < 10 && status; ++turn) {
      char bytes[1];
      SSL_read(ssl, bytes, sizeof bytes);  // the handshake, and what follows it
      std::string sent(BIO_ctrl_pending(SSL_get_wbio(ssl)), '\0');
      BIO_read(SSL_get_wbio(ssl), sent.data(), static_cast<int>(sent.size()));
      status = server.Advance(sent, &received);
      const std::string answer = server.TakeOutput();
      BIO_write(SSL_get_rbio(ssl), answer.data(), static_cast<int>(answer.size()));
    }
    if (status && !server.established()) status = base::Unavailable("no handshake");
    resumed_ = SSL_session_reused(ssl) != 0;
    session_.reset(SSL_get1_session(ssl));
    SSL_shutdown(ssl);  // else the session is not one to resume
    SSL_free(ssl);
    return status;
  }

  const CertificateAndKey own_ = *MakeSelfSignedCertificate({"tocsin.test"});
  TlsServerConfig config_{.cert = own_.cert, .key = own_.key, .verify_client_cert = true};
  std::shared_ptr<TlsServerContext> server_;
  SessionPtr session_;
  bool resumed_ = false;
};

TEST_F(TlsTest, AClientWithACertificateMayResumeItsSession) {
  config_.client_ca = own_.cert;
  config_.require_client_cert = true;
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    config_.max_version = version;
    server_ = *TlsServerContext::Make(config_);
    session_ = nullptr;
    base::Status first = Connect(own_);
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_FALSE(resumed_);
    base::Status second = Connect(own_);
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_TRUE(resumed_);
  }
}

TEST_F(TlsTest, AnAddressOfAnotherLengthIsNoName) {
  const std::string v6 = std::string(15, '\0') + '\1';
  struct Row {
    std::string bytes;
    bool allowed;
  };
  for (const Row& row : {Row{"\x0a\x01\x02\x03", true}, Row{v6, true}, Row{v6 + "!", false}, Row{"\x0a\x01\x02\x03!", false}}) {
    const CertificateAndKey client = WithAddress(row.bytes);
    config_.client_ca = client.cert;
    config_.require_client_cert = true;
    config_.client_allowed_sans = {"10.1.2.3", "::1"};
    server_ = *TlsServerContext::Make(config_);
    session_ = nullptr;
    EXPECT_EQ(Connect(client).has_value(), row.allowed) << row.bytes.size();
  }
}

}  // namespace
}  // namespace tocsin::net
