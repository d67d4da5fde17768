#pragma once

// TLS; the door to OpenSSL's.  A context holds certificates and rules and is shared by many
// sessions; a session turns plain bytes into records and back, without touching a socket.
//
// Threads: contexts are immutable after Make(), which reads system certificates and is best run on a
//          worker; a session belongs to one thread.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/http_config.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

namespace tocsin::net {

class TlsClientContext {
 public:
  // Reads the files that `config` names.  Without a CA the system's are trusted.
  // Errors: kInvalidArgument, naming the file.
  static base::Result<std::shared_ptr<TlsClientContext>> Make(const TlsConfig& config);
  ~TlsClientContext();
  SSL_CTX* get() const { return ctx_; }
  bool verifies() const { return verifies_; }

 private:
  TlsClientContext() = default;
  SSL_CTX* ctx_ = nullptr;
  bool verifies_ = true;
};

struct TlsServerConfig {
  std::string cert;  // PEM, with intermediates
  std::string key;   // PEM
  std::string client_ca;            // PEM; empty: no client certificates
  bool require_client_cert = false; // else verified only if given
  bool verify_client_cert = false;
  bool request_client_cert = false; // asked for, whoever signed it
  std::vector<std::string> client_allowed_sans;  // one of the certificate's names must be one of these; empty: any
  std::vector<std::string> curves;               // Go's names: CurveP256, X25519; empty: OpenSSL's defaults
  bool prefer_server_cipher_suites = true;
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kDefault;
  std::vector<std::string> cipher_suites;  // Go's names; empty: OpenSSL's defaults
};

class TlsServerContext {
 public:
  static base::Result<std::shared_ptr<TlsServerContext>> Make(const TlsServerConfig& config);
  ~TlsServerContext();
  SSL_CTX* get() const { return ctx_; }

 private:
  TlsServerContext() = default;
  SSL_CTX* ctx_ = nullptr;
  std::vector<std::string> client_allowed_sans_;
};

class TlsSession {
 public:
  // `server_name` is checked against the certificate and, unless an address, sent as SNI.
  TlsSession(std::shared_ptr<TlsClientContext> context, const std::string& server_name);
  explicit TlsSession(std::shared_ptr<TlsServerContext> context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Takes bytes from the peer (none at first) and advances: plain bytes are appended to *plain,
  // records for the peer come out of TakeOutput().
  // Errors: kUnavailable, with OpenSSL's reason.
  base::Status Advance(std::string_view from_peer, std::string* plain);
  bool established() const { return established_; }
  bool peer_closed() const { return peer_closed_; }  // close_notify has arrived
  base::Status Write(std::string_view plain);        // REQUIRES: established
  void Close();                                      // queues close_notify
  std::string TakeOutput();

 private:
  base::Error Failure(std::string_view what) const;
  std::shared_ptr<TlsClientContext> client_;
  std::shared_ptr<TlsServerContext> server_;
  SSL* ssl_ = nullptr;
  bool established_ = false;
  bool peer_closed_ = false;
};

// A certificate for `names` (host names or addresses) signed by its own new key, valid for a year.
struct CertificateAndKey {
  std::string cert;  // PEM
  std::string key;   // PEM
};
base::Result<CertificateAndKey> MakeSelfSignedCertificate(const std::vector<std::string>& names);

}  // namespace tocsin::net
