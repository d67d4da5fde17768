#include "net/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/check.h"
#include "base/compress.h"
#include "base/duration.h"
#include "base/text.h"
#include "net/address.h"
#include "net/curl_multi.h"
#include "net/oauth_tokens.h"
#include "net/plain_http.h"
#include "net/request_secrets.h"
#include "net/resolver.h"
#include "net/url.h"

#ifndef TOCSIN_VERSION
#define TOCSIN_VERSION "0.1.0"
#endif

namespace tocsin::net {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxHeaderBytes = 1 << 20;
constexpr size_t kIdleHandles = 64;
// How long the first of several addresses may take before the others are tried beside it.
constexpr base::Duration kFirstAddress = std::chrono::milliseconds(250);
// Requests of which the parts that are made once are kept: about half a kilobyte each.
constexpr size_t kMaxPlans = 16384;

struct ListFree {
  void operator()(curl_slist* l) const { curl_slist_free_all(l); }
};
class List {
 public:
  void Add(const std::string& text) { list_.reset(curl_slist_append(list_.release(), text.c_str())); }
  curl_slist* get() const { return list_.get(); }

 private:
  std::unique_ptr<curl_slist, ListFree> list_;
};

// What is made once of a request that is sent again and again, as scrapes are: of a GET without libcurl
// that depends on no file and no token.
struct Plan {
  Headers headers;  // as the caller gave them
  std::weak_ptr<const HttpConfig> config;  // of a configuration that may be replaced
  bool decode_gzip = true;
  Url url;
  std::string head;     // as it is sent
  std::string address;  // empty: the name is looked up each time

  bool IsOf(const FetchRequest& r) const {
    return r.config == config.lock() && r.decode_gzip == decode_gzip && std::ranges::equal(r.headers, headers);
  }
};

// One request on its way.  `step` is what a deadline interrupts.
struct Transfer {
  uint64_t id = 0;
  FetchRequest request;
  FetchDone done;
  HttpConfigPtr config;
  base::Duration started{};
  base::Timer deadline;
  const char* step = "starting";
  Url url;
  Url first_url;
  int redirects = 0;
  RequestSecrets secrets;
  bool planned = false;  // by its Plan: secrets are not there
  Call lookup;
  Call exchange;  // without libcurl
  std::vector<std::string> addresses;
  CURL* easy = nullptr;
  List headers, resolve, connect_to, proxy_headers;
  char error[CURL_ERROR_SIZE] = {};
  FetchResponse response;
  size_t header_bytes = 0;
  bool too_large = false;
};

long SslVersion(const TlsConfig& tls) {
  long out = CURL_SSLVERSION_TLSv1_2;
  switch (tls.min_version) {
    case TlsVersion::kTls10: out = CURL_SSLVERSION_TLSv1_0; break;
    case TlsVersion::kTls11: out = CURL_SSLVERSION_TLSv1_1; break;
    case TlsVersion::kTls13: out = CURL_SSLVERSION_TLSv1_3; break;
    default: break;
  }
  switch (tls.max_version) {
    case TlsVersion::kTls10: return long{CURL_SSLVERSION_TLSv1_0} | CURL_SSLVERSION_MAX_TLSv1_0;
    case TlsVersion::kTls11: return std::min<long>(out, CURL_SSLVERSION_TLSv1_1) | CURL_SSLVERSION_MAX_TLSv1_1;
    case TlsVersion::kTls12: return out | CURL_SSLVERSION_MAX_TLSv1_2;
    case TlsVersion::kTls13: return out | CURL_SSLVERSION_MAX_TLSv1_3;
    default: return out;
  }
}

void SetBlob(CURL* easy, CURLoption option, std::string& text) {
  if (text.empty()) return;
  curl_blob blob{.data = text.data(), .len = text.size(), .flags = CURL_BLOB_COPY};
  curl_easy_setopt(easy, option, &blob);
}

size_t OnBody(char* data, size_t, size_t n, void* transfer) {
  auto* t = static_cast<Transfer*>(transfer);
  const size_t limit = t->request.max_response_bytes;
  if (limit != 0 && n > limit - std::min(limit, t->response.body.size())) {
    t->too_large = true;
    return 0;
  }
  t->response.body.append(data, n);
  return n;
}

size_t OnHeader(char* data, size_t, size_t n, void* transfer) {
  auto* t = static_cast<Transfer*>(transfer);
  t->header_bytes += n;
  if (t->header_bytes > kMaxHeaderBytes) return 0;
  const std::string_view line = base::Trim(std::string_view(data, n));
  if (line.starts_with("HTTP/")) {
    t->response.headers = {};  // an interim answer came before
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    t->response.headers.Add(line.substr(0, colon), base::Trim(line.substr(colon + 1)));
  }
  return n;
}

class CurlClient : public HttpClient {
 public:
  CurlClient(EventLoop* loop, const HttpClientOptions& options);
  ~CurlClient() override;
  Call Fetch(FetchRequest request, FetchDone done) override;

 private:
  Transfer* Find(uint64_t id);
  void Prepare(Transfer* t);
  const Plan* PlanOf(const FetchRequest& request) const;
  void LeavePlan(Transfer* t);
  void Authorize(Transfer* t);
  void Resolve(Transfer* t);
  void Begin(Transfer* t);
  bool PlainHead(const Transfer& t, std::string* head) const;
  bool BeginPlain(Transfer* t);
  void BeginCurl(Transfer* t);
  Headers AllHeaders(const Transfer& t) const;
  void SetHeaders(Transfer* t, const std::string& host_header);
  void SetTls(Transfer* t);
  void SetProxy(Transfer* t);
  void Ended(CURL* easy, int code);
  base::Error Failure(const Transfer& t, CURLcode code) const;
  void Answered(Transfer* t);
  bool Redirect(Transfer* t);
  void Decode(Transfer* t);
  void Fail(Transfer* t, base::Error error);
  void Finish(Transfer* t, base::Result<FetchResponse> result);
  static void SetUnsent(Transfer* t, bool unsent);
  void ReleaseHandle(Transfer* t);
  void Drop(uint64_t id);

  EventLoop* const loop_;
  const HttpClientOptions options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  base::Gate gate_;
  Resolver resolver_;
  CurlMulti multi_;
  PlainHttp plain_;
  std::vector<CURL*> idle_;
  std::map<uint64_t, std::unique_ptr<Transfer>> transfers_;
  std::map<CURL*, Transfer*> by_handle_;
  absl::flat_hash_map<std::string, Plan> plans_;  // by URL
  uint64_t next_id_ = 1;
  OAuthTokens tokens_;  // destroyed first: its requests are this client's
};

CurlClient::CurlClient(EventLoop* loop, const HttpClientOptions& options)
    : loop_(loop),
      options_(options),
      resolver_(loop),
      multi_(loop, options.max_connections, options.max_connections_per_host,
             [this](CURL* easy, int code) { Ended(easy, code); }),
      plain_(loop, static_cast<size_t>(options.max_connections)),
      tokens_(loop, this) {}

CurlClient::~CurlClient() {
  alive_.reset();
  gate_.Close();
  for (auto& [id, t] : transfers_) {
    if (t->easy == nullptr) continue;
    multi_.Remove(t->easy);
    curl_easy_cleanup(t->easy);
  }
  transfers_.clear();
  for (CURL* easy : idle_) curl_easy_cleanup(easy);
}

Transfer* CurlClient::Find(uint64_t id) {
  auto found = transfers_.find(id);
  return found == transfers_.end() ? nullptr : found->second.get();
}

Call CurlClient::Fetch(FetchRequest request, FetchDone done) {
  TOCSIN_DCHECK(loop_->OnThread());
  static const auto kDefaults = std::make_shared<const HttpConfig>();
  auto owned = std::make_unique<Transfer>();
  Transfer* t = owned.get();
  t->id = next_id_++;
  t->request = std::move(request);
  t->done = std::move(done);
  t->config = t->request.config ? t->request.config : kDefaults;
  t->started = loop_->Monotonic();
  SetUnsent(t, true);
  transfers_.emplace(t->id, std::move(owned));
  t->deadline = loop_->After(t->request.timeout, [this, t] {
    Fail(t, base::Error(base::Code::kDeadlineExceeded,
                        fmt::format("context deadline exceeded after {} while {}",
                                    base::FormatGoDuration(t->request.timeout), t->step)));
  });
  // From the next turn on, so that `done` never runs before Fetch() has returned.
  loop_->Post(gate_.Wrap([this, id = t->id] {
    if (Transfer* found = Find(id)) Prepare(found);
  }));
  return Call([this, alive = std::weak_ptr(alive_), id = t->id] {
    if (!alive.expired()) Drop(id);
  });
}

const Plan* CurlClient::PlanOf(const FetchRequest& request) const {
  const auto found = plans_.find(request.url);
  return found != plans_.end() && found->second.IsOf(request) ? &found->second : nullptr;
}

// For what its Plan does not do: libcurl, another URL.
void CurlClient::LeavePlan(Transfer* t) {
  if (!std::exchange(t->planned, false)) return;
  // Without files it cannot fail: the plan was made with them.
  if (auto secrets = ReadSecrets(*t->config)) t->secrets = std::move(*secrets);
}

void CurlClient::Prepare(Transfer* t) {
  if (const Plan* plan = PlanOf(t->request)) {
    t->planned = true;
    t->url = t->first_url = plan->url;
    if (plan->address.empty()) {
      Resolve(t);
    } else {
      t->addresses = {plan->address};
      Begin(t);
    }
    return;
  }
  auto url = ParseUrl(t->request.url);
  if (!url) {
    Fail(t, url.error());
    return;
  }
  t->url = t->first_url = std::move(*url);
  auto ready = [this, id = t->id](base::Result<RequestSecrets> secrets) {
    Transfer* found = Find(id);
    if (found == nullptr) return;
    if (!secrets) {
      Fail(found, secrets.error());
      return;
    }
    found->secrets = std::move(*secrets);
    Authorize(found);
  };
  if (!NeedsFiles(*t->config)) {
    ready(ReadSecrets(*t->config));
    return;
  }
  t->step = "reading the files of its configuration";
  auto secrets = std::make_shared<base::Result<RequestSecrets>>();
  loop_->Offload(
      base::Lane::kIntake, [secrets, config = t->config] { *secrets = ReadSecrets(*config); },
      gate_.Wrap([secrets, ready] { ready(std::move(*secrets)); }));
}

void CurlClient::Authorize(Transfer* t) {
  if (!t->config->oauth2) {
    Resolve(t);
    return;
  }
  t->step = "fetching an OAuth2 token";
  tokens_.Get(*t->config->oauth2, t->secrets.oauth_secret, [this, id = t->id](base::Result<std::string> token) {
    Transfer* found = Find(id);
    if (found == nullptr) return;
    if (!token) {
      Fail(found, token.error());
      return;
    }
    found->secrets.authorization = *token;
    Resolve(found);
  });
}

void CurlClient::Resolve(Transfer* t) {
  std::string host = t->url.host;
  if (!t->config->proxy.proxy_url.empty()) {
    auto proxy = ParseUrl(t->config->proxy.proxy_url);
    host = proxy ? proxy->host : "";  // other forms of proxy: libcurl's own look-up
  }
  if (!t->request.unix_socket.empty() || host.empty() || t->config->proxy.from_environment) {
    Begin(t);
    return;
  }
  t->step = "looking up the name";
  t->lookup = resolver_.Resolve(host, [this, id = t->id](base::Result<std::vector<std::string>> found) {
    Transfer* transfer = Find(id);
    if (transfer == nullptr) return;
    if (!found) {
      Fail(transfer, found.error());
      return;
    }
    transfer->addresses = std::move(*found);
    Begin(transfer);
  });
}

void CurlClient::Begin(Transfer* t) {
  t->step = "connecting or waiting for the answer";
  t->response = {};
  t->header_bytes = 0;
  t->too_large = false;
  SetUnsent(t, true);
  if (!BeginPlain(t)) BeginCurl(t);
}

void CurlClient::SetUnsent(Transfer* t, bool unsent) {
  if (t->request.unsent != nullptr) *t->request.unsent = unsent;
}

// The head as PlainHttp sends it.  False: a header is not one.
bool CurlClient::PlainHead(const Transfer& t, std::string* head) const {
  *head = "GET " + t.url.path_and_query + " HTTP/1.1\r\n";
  const Headers all = AllHeaders(t);
  if (!all.Has("Host")) *head += "Host: " + t.url.Authority() + "\r\n";
  for (const auto& [name, value] : all) {
    if (!IsHeaderName(name) || !IsHeaderValue(value)) return false;
    head->append(name).append(": ").append(value).append("\r\n");
  }
  *head += "\r\n";
  return true;
}

// Whether the request is one for PlainHttp, which then has it.
bool CurlClient::BeginPlain(Transfer* t) {
  const FetchRequest& r = t->request;
  const ProxyConfig& proxy = t->config->proxy;
  if (r.method != "GET" || !r.body.empty() || t->url.scheme != "http" || !r.unix_socket.empty() ||
      proxy.from_environment || !proxy.proxy_url.empty() || t->addresses.empty() || options_.max_connections_per_host > 0) {
    return false;
  }
  std::string head;
  const Plan* const plan = t->planned ? PlanOf(r) : nullptr;  // another may have taken its place
  if (plan != nullptr) {
    head = plan->head;
  } else {
    LeavePlan(t);
    if (!PlainHead(*t, &head)) return false;
    if (t->redirects == 0 && !NeedsFiles(*t->config) && !t->config->oauth2) {
      if (plans_.size() >= kMaxPlans) {
        absl::erase_if(plans_, [](const auto& plan) { return plan.second.config.expired(); });
        if (plans_.size() >= kMaxPlans) plans_.clear();
      }
      plans_[r.url] = {.headers = r.headers,
                       .config = r.config,
                       .decode_gzip = r.decode_gzip,
                       .url = t->url,
                       .head = head,
                       .address = IsIpAddress(t->url.host) ? t->addresses[0] : std::string()};
    }
  }
  PlainHttp::Request request{.address = t->addresses[0],
                             .port = ParsePort(t->url.port),
                             .head = std::move(head),
                             .max_body_bytes = r.max_response_bytes,
                             .max_header_bytes = kMaxHeaderBytes,
                             .connect_timeout = t->addresses.size() > 1 ? kFirstAddress : base::Duration{}};
  SetUnsent(t, false);
  t->exchange = plain_.Send(std::move(request), [this, id = t->id](base::Result<FetchResponse> response) {
    Transfer* found = Find(id);
    if (found == nullptr) return;
    if (response) {
      found->response = std::move(*response);
      Answered(found);
    } else if (response.error().code() == base::Code::kFailedPrecondition) {
      SetUnsent(found, true);
      BeginCurl(found);  // tries the other addresses too, and knows how to call the fault
    } else {
      Fail(found, response.error());
    }
  });
  return true;
}

void CurlClient::BeginCurl(Transfer* t) {
  LeavePlan(t);
  for (List* list : {&t->headers, &t->resolve, &t->connect_to, &t->proxy_headers}) *list = {};
  if (idle_.empty()) {
    t->easy = curl_easy_init();
    TOCSIN_CHECK(t->easy != nullptr);
  } else {
    t->easy = idle_.back();
    idle_.pop_back();
  }
  CURL* easy = t->easy;
  by_handle_[easy] = t;
  const FetchRequest& r = t->request;
  const HttpConfig& c = *t->config;

  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 65536L);
  // The deadline is ours and comes first.  libcurl shares what it is told out among the addresses.
  const base::Duration left = t->request.timeout - (loop_->Monotonic() - t->started) + std::chrono::seconds(1);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::clamp<int64_t>(left / std::chrono::milliseconds(1), 1000, 86400000)));
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   c.enable_http2 ? long{CURL_HTTP_VERSION_2TLS} : long{CURL_HTTP_VERSION_1_1});
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 300L);
  if (!r.unix_socket.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, r.unix_socket.c_str());

  if (r.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (r.method == "POST" || r.method == "PUT" || r.method == "PATCH" || !r.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r.body.data());
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r.method.c_str());
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r.method.c_str());
  }

  Url asked = t->url;
  std::string host_header;
  // TLS checks the certificate against the URL's host: give it the configured name, and say where
  // to connect separately.
  if (t->url.scheme == "https" && !c.tls.server_name.empty() && c.tls.server_name != t->url.host) {
    asked.host = c.tls.server_name;
    host_header = t->url.Authority();
    t->connect_to.Add("::" + JoinHostPort(t->url.host, t->url.port));
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, t->connect_to.get());
  }
  curl_easy_setopt(easy, CURLOPT_URL, asked.Text().c_str());
  SetProxy(t);
  if (!t->addresses.empty() && c.proxy.proxy_url.empty() && !IsIpAddress(t->url.host)) {
    std::string pinned = t->url.host + ":" + t->url.port + ":";
    for (size_t i = 0; i < t->addresses.size(); ++i) {
      const bool v6 = t->addresses[i].find(':') != std::string::npos;
      pinned += (i > 0 ? "," : "") + (v6 ? "[" + t->addresses[i] + "]" : t->addresses[i]);
    }
    t->resolve.Add(pinned);
    curl_easy_setopt(easy, CURLOPT_RESOLVE, t->resolve.get());
  }
  SetTls(t);
  SetHeaders(t, host_header);
  multi_.Add(easy);
}

void CurlClient::SetProxy(Transfer* t) {
  const ProxyConfig& proxy = t->config->proxy;
  CURL* easy = t->easy;
  if (proxy.from_environment) return;  // libcurl reads http_proxy and its kin
  curl_easy_setopt(easy, CURLOPT_PROXY, proxy.proxy_url.c_str());  // empty: none, whatever is set outside
  curl_easy_setopt(easy, CURLOPT_NOPROXY, proxy.no_proxy.c_str());
  if (proxy.proxy_url.empty()) return;
  curl_easy_setopt(easy, CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  for (const auto& [name, values] : proxy.connect_headers) {
    for (const std::string& value : values) {
      if (IsHeaderName(name) && IsHeaderValue(value)) t->proxy_headers.Add(name + ": " + value);
    }
  }
  curl_easy_setopt(easy, CURLOPT_PROXYHEADER, t->proxy_headers.get());
  auto url = ParseUrl(proxy.proxy_url);
  if (url && !t->addresses.empty() && !IsIpAddress(url->host)) {
    t->resolve.Add(url->host + ":" + url->port + ":" + base::Join(t->addresses, ","));
    curl_easy_setopt(easy, CURLOPT_RESOLVE, t->resolve.get());
  }
}

void CurlClient::SetTls(Transfer* t) {
  const TlsConfig& tls = t->config->tls;
  CURL* easy = t->easy;
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, SslVersion(tls));
  if (tls.insecure_skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  SetBlob(easy, CURLOPT_CAINFO_BLOB, t->secrets.ca);
  SetBlob(easy, CURLOPT_SSLCERT_BLOB, t->secrets.cert);
  SetBlob(easy, CURLOPT_SSLKEY_BLOB, t->secrets.key);
}

Headers CurlClient::AllHeaders(const Transfer& transfer) const {
  const Transfer* const t = &transfer;
  const FetchRequest& r = t->request;
  Headers all;
  // What the caller said for the host it named is not for another one.
  const bool same_host = t->first_url.SameHost(t->url);
  for (const auto& [name, value] : r.headers) {
    const bool private_header = base::EqualsIgnoreCase(name, "authorization") ||
                                base::EqualsIgnoreCase(name, "cookie") || base::EqualsIgnoreCase(name, "host");
    if (same_host || !private_header) all.Add(name, value);
  }
  for (const auto& [name, value] : t->secrets.headers) all.Remove(name);
  for (const auto& [name, value] : t->secrets.headers) all.Add(name, value);
  if (same_host) {
    for (const auto& [name, value] : t->secrets.secret_headers) all.Add(name, value);
    if (!t->secrets.authorization.empty()) all.SetDefault("Authorization", t->secrets.authorization);
  }
  if (t->url.has_user) all.SetDefault("Authorization", BasicAuthorization(t->url.user, t->url.password));
  all.SetDefault("User-Agent", options_.user_agent.empty() ? "tocsin/" TOCSIN_VERSION : options_.user_agent);
  if (r.decode_gzip) all.SetDefault("Accept-Encoding", "gzip");
  return all;
}

void CurlClient::SetHeaders(Transfer* t, const std::string& host_header) {
  Headers all = AllHeaders(*t);
  if (!host_header.empty()) all.SetDefault("Host", host_header);
  for (const auto& [name, value] : all) t->headers.Add(value.empty() ? name + ";" : name + ": " + value);
  // Headers that libcurl would add by itself.
  for (const char* unwanted : {"Accept", "Expect", "Content-Type"}) {
    if (!all.Has(unwanted)) t->headers.Add(std::string(unwanted) + ":");
  }
  curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers.get());
}

base::Error CurlClient::Failure(const Transfer& t, CURLcode code) const {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(loop_->Monotonic() - t.started).count();
  const std::string detail = t.error[0] != '\0' ? t.error : curl_easy_strerror(code);
  long os_error = 0;
  curl_easy_getinfo(t.easy, CURLINFO_OS_ERRNO, &os_error);
  std::string message;
  switch (code) {
    case CURLE_COULDNT_CONNECT: {
      const std::string where = !t.request.unix_socket.empty() ? "dial unix " + t.request.unix_socket
                                : t.addresses.empty() ? "dial tcp " + t.url.Authority()
                                                      : "dial tcp " + JoinHostPort(t.addresses[0], t.url.port);
      std::string why = os_error != 0 ? strerror(static_cast<int>(os_error)) : detail;
      if (!why.empty()) why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
      message = fmt::format("{}: {} after {} ms", where, why, ms);
      break;
    }
    case CURLE_GOT_NOTHING:
      message = fmt::format("EOF: the connection was closed without an answer after {} ms", ms);
      break;
    case CURLE_PARTIAL_FILE: message = "unexpected EOF: the connection was closed inside the body"; break;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      message = os_error != 0 ? fmt::format("{} after {} ms", base::ToLower(strerror(static_cast<int>(os_error))), ms)
                              : fmt::format("connection broken after {} ms: {}", ms, detail);
      break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: message = "malformed HTTP response: " + detail; break;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE: message = "tls: " + detail; break;
    case CURLE_URL_MALFORMAT: return base::Error(base::Code::kInvalidArgument, "invalid URL: " + detail);
    case CURLE_OPERATION_TIMEDOUT:
      return base::Error(base::Code::kDeadlineExceeded, fmt::format("timed out after {} ms: {}", ms, detail));
    default: message = detail;
  }
  return base::Error(base::Code::kUnavailable, std::move(message));
}

void CurlClient::Ended(CURL* easy, int code) {
  auto found = by_handle_.find(easy);
  if (found == by_handle_.end()) return;
  Transfer* t = found->second;
  if (code != CURLE_OK) {
    if (t->too_large) {
      Fail(t, base::Error(base::Code::kResourceExhausted,
                          fmt::format("body size limit exceeded: more than {} bytes", t->request.max_response_bytes)));
    } else {
      Fail(t, Failure(*t, static_cast<CURLcode>(code)));
    }
    return;
  }
  long status = 0, version = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  t->response.status = static_cast<int>(status);
  t->response.version = version == CURL_HTTP_VERSION_1_0 ? 10 : version == CURL_HTTP_VERSION_1_1 ? 11 : 20;
  ReleaseHandle(t);
  Answered(t);
}

void CurlClient::Answered(Transfer* t) {
  t->response.url = t->url.Text();
  if (t->response.status == 401 && t->config->oauth2) {
    tokens_.Forget(*t->config->oauth2, t->secrets.oauth_secret);
  }
  if (Redirect(t)) return;
  Decode(t);
}

// Follows a redirect as Go's client does; true when the transfer goes on or has failed over it.
bool CurlClient::Redirect(Transfer* t) {
  const int status = t->response.status;
  if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) return false;
  if (!t->config->follow_redirects) return false;
  const std::string location(t->response.headers.Get("Location"));
  if (location.empty()) return false;
  LeavePlan(t);
  if (++t->redirects > kMaxRedirects) {
    Fail(t, base::Error(base::Code::kUnavailable, fmt::format("stopped after {} redirects", kMaxRedirects)));
    return true;
  }
  auto next = ResolveUrl(t->url, location);
  if (!next) {
    Fail(t, base::Error(base::Code::kUnavailable, "bad redirect: " + next.error().message()));
    return true;
  }
  if (status != 307 && status != 308) {
    if (t->request.method != "HEAD") t->request.method = "GET";
    t->request.body.clear();
    for (const char* name : {"Content-Type", "Content-Encoding"}) t->request.headers.Remove(name);
  }
  // Where it came from, as Go says it, but never from https to http.
  if (t->url.scheme != "https" || next->scheme == "https") t->request.headers.Set("Referer", t->url.Text());
  t->url = std::move(*next);
  t->addresses.clear();
  // Not from within libcurl's callback chain: a chain of redirects must not recurse.
  loop_->Post(gate_.Wrap([this, id = t->id] {
    if (Transfer* found = Find(id)) Resolve(found);
  }));
  return true;
}

void CurlClient::Decode(Transfer* t) {
  if (!t->request.decode_gzip ||
      !base::EqualsIgnoreCase(t->response.headers.Get("Content-Encoding"), "gzip") || t->response.body.empty()) {
    Finish(t, std::move(t->response));
    return;
  }
  t->step = "decompressing the answer";
  auto body = std::make_shared<base::Result<std::string>>(std::move(t->response.body));
  const size_t limit = t->request.max_response_bytes == 0 ? SIZE_MAX : t->request.max_response_bytes;
  loop_->Offload(
      base::Lane::kIntake, [body, limit] { *body = base::GunzipAll(std::string(std::move(**body)), limit); },
      gate_.Wrap([this, id = t->id, body, limit] {
        Transfer* found = Find(id);
        if (found == nullptr) return;
        if (!*body) {
          const bool too_large = body->error().code() == base::Code::kResourceExhausted;
          Fail(found, too_large ? base::Error(base::Code::kResourceExhausted,
                                              fmt::format("body size limit exceeded: more than {} bytes", limit))
                                : base::Error(base::Code::kUnavailable, "gzip: " + body->error().message()));
          return;
        }
        found->response.body = std::move(**body);
        found->response.headers.Remove("Content-Encoding");
        found->response.headers.Remove("Content-Length");
        Finish(found, std::move(found->response));
      }));
}

void CurlClient::Fail(Transfer* t, base::Error error) { Finish(t, std::unexpected(std::move(error))); }

void CurlClient::Finish(Transfer* t, base::Result<FetchResponse> result) {
  if (result) result->duration = loop_->Monotonic() - t->started;
  FetchDone done = std::move(t->done);
  Drop(t->id);
  done(std::move(result));
}

// Hands the libcurl handle back, in the middle of a request or after it.
void CurlClient::ReleaseHandle(Transfer* t) {
  if (t->easy == nullptr) return;
  CURL* easy = std::exchange(t->easy, nullptr);
  long sent_bytes = 0;
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
  if (sent_bytes > 0) SetUnsent(t, false);
  by_handle_.erase(easy);
  multi_.Remove(easy);
  if (idle_.size() < kIdleHandles) {
    curl_easy_reset(easy);
    idle_.push_back(easy);
  } else {
    curl_easy_cleanup(easy);
  }
}

void CurlClient::Drop(uint64_t id) {
  auto node = transfers_.extract(id);
  if (!node.empty()) ReleaseHandle(node.mapped().get());
}

}  // namespace

std::unique_ptr<HttpClient> MakeHttpClient(EventLoop* loop, const HttpClientOptions& options) {
  return std::make_unique<CurlClient>(loop, options);
}

}  // namespace tocsin::net
