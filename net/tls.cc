#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/check.h"
#include "base/file_system.h"
#include "net/address.h"

namespace tocsin::net {
namespace {

// The newest error of OpenSSL's queue, in words; clears the queue.
std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

int Version(TlsVersion v) {
  switch (v) {
    case TlsVersion::kTls10: return TLS1_VERSION;
    case TlsVersion::kTls11: return TLS1_1_VERSION;
    case TlsVersion::kTls12: return TLS1_2_VERSION;
    case TlsVersion::kTls13: return TLS1_3_VERSION;
    case TlsVersion::kDefault: break;
  }
  return 0;
}

void SetVersions(SSL_CTX* ctx, TlsVersion min, TlsVersion max) {
  SSL_CTX_set_min_proto_version(ctx, min == TlsVersion::kDefault ? TLS1_2_VERSION : Version(min));
  SSL_CTX_set_max_proto_version(ctx, Version(max));
  // OpenSSL's default security level refuses the old versions that the user asks for by name.
  if (min == TlsVersion::kTls10 || min == TlsVersion::kTls11) SSL_CTX_set_security_level(ctx, 0);
}

base::Result<std::string> TextOrFile(const std::string& text, const std::string& file) {
  if (!text.empty() || file.empty()) return text;
  auto read = base::RealFileSystem()->ReadFile(file);
  if (!read) return base::InvalidArgument("unable to read " + read.error().message());
  return read;
}

struct BioFree {
  void operator()(BIO* b) const { BIO_free_all(b); }
};
using BioPtr = std::unique_ptr<BIO, BioFree>;
BioPtr MemoryBio(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

struct X509Free {
  void operator()(X509* x) const { X509_free(x); }
};
using X509Ptr = std::unique_ptr<X509, X509Free>;
struct KeyFree {
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyFree>;

// Adds each certificate of `pem` to what `ctx` trusts.
base::Status AddTrusted(SSL_CTX* ctx, std::string_view pem, std::string_view what) {
  BioPtr bio = MemoryBio(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  int count = 0;
  while (X509Ptr cert{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store, cert.get());
    ++count;
  }
  ERR_clear_error();  // the end of the text is an error to the reader
  if (count == 0) {
    return base::InvalidArgument("unable to use specified CA cert " + std::string(what) +
                                 ": no PEM certificate found");
  }
  return {};
}

base::Status UseCertificate(SSL_CTX* ctx, std::string_view cert_pem, std::string_view key_pem,
                            std::string_view what) {
  BioPtr bio = MemoryBio(cert_pem);
  X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  const std::string context = "unable to use specified client cert " + std::string(what) + ": ";
  if (leaf == nullptr || SSL_CTX_use_certificate(ctx, leaf.get()) != 1) {
    return base::InvalidArgument(context + LastError());
  }
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    SSL_CTX_add_extra_chain_cert(ctx, next);  // takes ownership
  }
  ERR_clear_error();
  BioPtr key_bio = MemoryBio(key_pem);
  // An encrypted key must not ask for its password on the terminal.
  auto no_password = [](char*, int, int, void*) { return 0; };
  KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr || SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 ||
      SSL_CTX_check_private_key(ctx) != 1) {
    return base::InvalidArgument(context + "key: " + LastError());
  }
  return {};
}

// Refuses a verified client whose names (DNS, mail, URI, address) are none of the allowed ones.
int CheckClientName(int verified, X509_STORE_CTX* store) {
  if (verified != 1 || X509_STORE_CTX_get_error_depth(store) != 0) return verified;
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* allowed = static_cast<const std::vector<std::string>*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(X509_STORE_CTX_get_current_cert(store), NID_subject_alt_name, nullptr, nullptr));
  bool found = false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    std::string text;
    if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI) {
      text.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.ia5)), static_cast<size_t>(ASN1_STRING_length(name->d.ia5)));
    } else if (name->type == GEN_IPADD) {
      char buffer[INET6_ADDRSTRLEN] = {};
      const int bytes = ASN1_STRING_length(name->d.iPAddress);
      if (bytes != 4 && bytes != 16) continue;
      inet_ntop(bytes == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), buffer, sizeof buffer);
      text = buffer;
    }
    found = found || std::ranges::find(*allowed, text) != allowed->end();
  }
  GENERAL_NAMES_free(names);
  if (!found) X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  return found ? 1 : 0;
}

base::Status SetCurves(SSL_CTX* ctx, const std::vector<std::string>& names) {
  constexpr std::pair<std::string_view, std::string_view> kCurves[] = {
      {"CurveP256", "P-256"}, {"CurveP384", "P-384"}, {"CurveP521", "P-521"}, {"X25519", "X25519"}};
  std::string list;
  for (const std::string& name : names) {
    const auto* found = std::ranges::find(kCurves, name, &std::pair<std::string_view, std::string_view>::first);
    if (found == std::end(kCurves)) return base::InvalidArgument("unknown curve: " + name + "; there is CurveP256, CurveP384, CurveP521 and X25519");
    list += (list.empty() ? "" : ":") + std::string(found->second);
  }
  if (SSL_CTX_set1_groups_list(ctx, list.c_str()) != 1) return base::InvalidArgument("curves " + list + ": " + LastError());
  return {};
}

}  // namespace

base::Result<std::shared_ptr<TlsClientContext>> TlsClientContext::Make(const TlsConfig& config) {
  std::shared_ptr<TlsClientContext> out(new TlsClientContext);
  out->ctx_ = SSL_CTX_new(TLS_client_method());
  TOCSIN_CHECK(out->ctx_ != nullptr) << LastError();
  out->verifies_ = !config.insecure_skip_verify;
  SetVersions(out->ctx_, config.min_version, config.max_version);
  SSL_CTX_set_verify(out->ctx_, out->verifies_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(out->ctx_, SSL_MODE_RELEASE_BUFFERS);
  ASSIGN_OR_RETURN(std::string ca, TextOrFile(config.ca, config.ca_file));
  if (!ca.empty()) {
    RETURN_IF_ERROR(AddTrusted(out->ctx_, ca, config.ca_file));
  } else if (out->verifies_) {
    SSL_CTX_set_default_verify_paths(out->ctx_);
  }
  ASSIGN_OR_RETURN(std::string cert, TextOrFile(config.cert, config.cert_file));
  ASSIGN_OR_RETURN(std::string key, TextOrFile(config.key, config.key_file));
  if (!cert.empty()) {
    RETURN_IF_ERROR(UseCertificate(out->ctx_, cert, key, config.cert_file));
  }
  return out;
}

TlsClientContext::~TlsClientContext() { SSL_CTX_free(ctx_); }

base::Result<std::shared_ptr<TlsServerContext>> TlsServerContext::Make(
    const TlsServerConfig& config) {
  std::shared_ptr<TlsServerContext> out(new TlsServerContext);
  out->ctx_ = SSL_CTX_new(TLS_server_method());
  TOCSIN_CHECK(out->ctx_ != nullptr) << LastError();
  SetVersions(out->ctx_, config.min_version, config.max_version);
  SSL_CTX_set_mode(out->ctx_, SSL_MODE_RELEASE_BUFFERS);
  // Renegotiation lets a client make the server work for free.
  SSL_CTX_set_options(out->ctx_, SSL_OP_NO_RENEGOTIATION);
  if (config.prefer_server_cipher_suites) SSL_CTX_set_options(out->ctx_, SSL_OP_CIPHER_SERVER_PREFERENCE);
  RETURN_IF_ERROR(UseCertificate(out->ctx_, config.cert, config.key, ""));
  if (!config.client_ca.empty()) {
    RETURN_IF_ERROR(AddTrusted(out->ctx_, config.client_ca, ""));
  }
  if (config.require_client_cert || config.verify_client_cert || config.request_client_cert) {
    const int mode = SSL_VERIFY_PEER | (config.require_client_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    // Go's "request without verify" modes take any certificate.
    constexpr SSL_verify_cb kAny = [](int, X509_STORE_CTX*) { return 1; };
    out->client_allowed_sans_ = config.client_allowed_sans;
    const bool named = config.verify_client_cert && !config.client_allowed_sans.empty();
    SSL_CTX_set_verify(out->ctx_, mode, !config.verify_client_cert ? kAny : named ? CheckClientName : nullptr);
    SSL_CTX_set_app_data(out->ctx_, &out->client_allowed_sans_);
    // Without a name for whose sessions they are OpenSSL refuses clients that resume one.
    constexpr std::string_view kSessions = "tocsin";
    SSL_CTX_set_session_id_context(out->ctx_, reinterpret_cast<const unsigned char*>(kSessions.data()), kSessions.size());
  }
  if (!config.curves.empty()) RETURN_IF_ERROR(SetCurves(out->ctx_, config.curves));
  if (!config.cipher_suites.empty()) {
    // Go writes the IANA names; OpenSSL looks them up by their own table.
    std::string names;
    SSL* probe = SSL_new(out->ctx_);
    const STACK_OF(SSL_CIPHER)* known = SSL_get_ciphers(probe);
    for (const std::string& wanted : config.cipher_suites) {
      const char* found = nullptr;
      for (int i = 0; i < sk_SSL_CIPHER_num(known); ++i) {
        const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(known, i);
        const char* standard = SSL_CIPHER_standard_name(cipher);
        if (standard != nullptr && wanted == standard) found = SSL_CIPHER_get_name(cipher);
      }
      if (found == nullptr) {
        SSL_free(probe);
        return base::InvalidArgument("unknown cipher: " + wanted);
      }
      if (!names.empty()) names += ':';
      names += found;
    }
    SSL_free(probe);
    SSL_CTX_set_cipher_list(out->ctx_, names.c_str());
    ERR_clear_error();  // TLS 1.3 suites are not this list's; Go ignores them here too
  }
  return out;
}

TlsServerContext::~TlsServerContext() { SSL_CTX_free(ctx_); }

TlsSession::TlsSession(std::shared_ptr<TlsClientContext> context, const std::string& server_name)
    : client_(std::move(context)), ssl_(SSL_new(client_->get())) {
  TOCSIN_CHECK(ssl_ != nullptr) << LastError();
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(ssl_);
  if (IsIpAddress(server_name)) {
    if (client_->verifies()) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), server_name.c_str());
    }
  } else {
    SSL_set_tlsext_host_name(ssl_, server_name.c_str());
    if (client_->verifies()) SSL_set1_host(ssl_, server_name.c_str());
  }
}

TlsSession::TlsSession(std::shared_ptr<TlsServerContext> context)
    : server_(std::move(context)), ssl_(SSL_new(server_->get())) {
  TOCSIN_CHECK(ssl_ != nullptr) << LastError();
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(ssl_);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

base::Error TlsSession::Failure(std::string_view what) const {
  const long verify = SSL_get_verify_result(ssl_);
  std::string reason = LastError();
  if (verify != X509_V_OK) reason = X509_verify_cert_error_string(verify);
  return base::Error(base::Code::kUnavailable, "tls: " + std::string(what) + ": " + reason);
}

base::Status TlsSession::Advance(std::string_view from_peer, std::string* plain) {
  ERR_clear_error();
  if (!from_peer.empty()) {
    BIO_write(SSL_get_rbio(ssl_), from_peer.data(), static_cast<int>(from_peer.size()));
  }
  if (!established_) {
    const int done = SSL_do_handshake(ssl_);
    if (done == 1) {
      established_ = true;
    } else {
      const int error = SSL_get_error(ssl_, done);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        return std::unexpected(Failure("handshake failed"));
      }
      return {};
    }
  }
  char buffer[16384];
  while (true) {
    const int n = SSL_read(ssl_, buffer, sizeof buffer);
    if (n > 0) {
      plain->append(buffer, static_cast<size_t>(n));
      continue;
    }
    switch (SSL_get_error(ssl_, n)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE: return {};
      case SSL_ERROR_ZERO_RETURN: peer_closed_ = true; return {};
      default: return std::unexpected(Failure("bad record"));
    }
  }
}

base::Status TlsSession::Write(std::string_view plain) {
  TOCSIN_CHECK(established_);
  ERR_clear_error();
  while (!plain.empty()) {
    const int part = static_cast<int>(std::min<size_t>(plain.size(), 1 << 20));
    const int n = SSL_write(ssl_, plain.data(), part);
    if (n <= 0) return std::unexpected(Failure("write failed"));
    plain.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

void TlsSession::Close() {
  if (!established_) return;
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

std::string TlsSession::TakeOutput() {
  BIO* out = SSL_get_wbio(ssl_);
  std::string bytes(BIO_ctrl_pending(out), '\0');
  if (!bytes.empty()) BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

base::Result<CertificateAndKey> MakeSelfSignedCertificate(const std::vector<std::string>& names) {
  KeyPtr key(EVP_EC_gen("P-256"));
  X509Ptr cert(X509_new());
  if (key == nullptr || cert == nullptr) return base::Internal("no key: " + LastError());
  X509_set_version(cert.get(), X509_VERSION_3);
  unsigned char serial[8];
  // The serial only needs to differ; the public key's digest does.
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  X509_set_pubkey(cert.get(), key.get());
  X509_pubkey_digest(cert.get(), EVP_sha256(), digest, &digest_size);
  std::copy(digest, digest + sizeof serial, serial);
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 365L * 86400);
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("tocsin"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), subject);
  std::string alternatives;
  for (const std::string& name : names) {
    if (!alternatives.empty()) alternatives += ',';
    alternatives += (IsIpAddress(name) ? "IP:" : "DNS:") + name;
  }
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, cert.get(), cert.get(), nullptr, nullptr, 0);
  for (const auto& [nid, value] : {std::pair<int, std::string>{NID_subject_alt_name, alternatives},
                                   {NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) return base::InvalidArgument("certificate name: " + LastError());
    X509_add_ext(cert.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  if (X509_sign(cert.get(), key.get(), EVP_sha256()) == 0) {
    return base::Internal("certificate not signed: " + LastError());
  }
  auto text = [](BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return std::string(data, static_cast<size_t>(size));
  };
  BioPtr cert_out(BIO_new(BIO_s_mem())), key_out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(cert_out.get(), cert.get());
  PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return CertificateAndKey{text(cert_out.get()), text(key_out.get())};
}

}  // namespace tocsin::net
