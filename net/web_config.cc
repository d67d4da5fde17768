#include "net/web_config.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <optional>

#include "base/digest.h"
#include "base/log.h"
#include "base/yaml.h"
#include "net/password.h"

namespace tocsin::net {
namespace {

constexpr base::Duration kLookEvery = std::chrono::seconds(1);
constexpr base::Duration kLookUnasked = std::chrono::seconds(10);
constexpr size_t kMaxRemembered = 100;
constexpr size_t kMaxWaiting = 100;

// The headers that may be set.
constexpr std::array<std::string_view, 6> kHeaders = {"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options",
                                                      "X-XSS-Protection", "Content-Security-Policy", "Permissions-Policy"};
constexpr std::array<std::string_view, 6> kClientAuth = {"NoClientCert",         "RequestClientCert",       "RequireClientCert",
                                                         "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"};

std::string Resolve(const std::string& file, const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : base::JoinPath(base::FolderOf(file), path);
}

void ReadVersion(base::yaml::Reader& r, std::string_view key, TlsVersion* out) {
  constexpr std::array<std::string_view, 4> kNames = {"TLS10", "TLS11", "TLS12", "TLS13"};
  constexpr TlsVersion kVersions[] = {TlsVersion::kTls10, TlsVersion::kTls11, TlsVersion::kTls12, TlsVersion::kTls13};
  std::string name;
  if (r.Choice(key, kNames, &name)) *out = kVersions[std::ranges::find(kNames, name) - kNames.begin()];
}

// What a stamp says of one file.  What cannot be read differs from what could.
std::string StampOf(const std::string& file, const base::Result<std::string>& text) {
  return file + '\0' + (text ? std::to_string(base::Xxh64(*text)) : text.error().message()) + '\0';
}

// Reads a file that the configuration is made of.
base::Result<std::string> ReadPart(const std::string& file, base::FileSystem* fs, WebConfig* out) {
  auto text = fs->ReadFile(file);
  out->files.push_back(file);
  out->stamp += StampOf(file, text);
  return text;
}

// The stamp that a configuration read from these files would have now.
std::string StampNow(base::FileSystem* fs, const std::vector<std::string>& files) {
  std::string out;
  for (const std::string& file : files) out += StampOf(file, fs->ReadFile(file));
  return out;
}

// A text given as it is or by file.
std::string ReadPem(base::yaml::Reader& r, std::string_view key, std::string_view file_key, const std::string& config_file,
                    base::FileSystem* fs, WebConfig* out) {
  std::string text, path;
  r.String(key, &text);
  if (!r.String(file_key, &path) || path.empty()) return text;
  if (!text.empty()) r.Error(file_key, std::string(key) + " and " + std::string(file_key) + " are both set; choose one");
  path = Resolve(config_file, path);
  auto read = ReadPart(path, fs, out);
  if (!read) {
    r.Error(file_key, read.error().message());
    return text;
  }
  return std::move(*read);
}

void ReadTls(const base::yaml::Node& node, const std::string& file, base::FileSystem* fs, base::yaml::Errors* errors, WebConfig* out) {
  base::yaml::Reader r(node, errors, "tls_server_config");
  TlsServerConfig tls;
  tls.cert = ReadPem(r, "cert", "cert_file", file, fs, out);
  tls.key = ReadPem(r, "key", "key_file", file, fs, out);
  tls.client_ca = ReadPem(r, "client_ca", "client_ca_file", file, fs, out);
  std::string auth = "NoClientCert";
  r.Choice("client_auth_type", kClientAuth, &auth);
  tls.require_client_cert = auth == "RequireClientCert" || auth == "RequireAnyClientCert" || auth == "RequireAndVerifyClientCert";
  tls.verify_client_cert = auth == "VerifyClientCertIfGiven" || auth == "RequireAndVerifyClientCert";
  tls.request_client_cert = auth != "NoClientCert";
  r.Strings("client_allowed_sans", &tls.client_allowed_sans);
  ReadVersion(r, "min_version", &tls.min_version);
  ReadVersion(r, "max_version", &tls.max_version);
  r.Strings("cipher_suites", &tls.cipher_suites);
  r.Strings("curve_preferences", &tls.curves);
  r.Bool("prefer_server_cipher_suites", &tls.prefer_server_cipher_suites);
  const auto at = node.position;
  r.Finish();
  if (tls.cert.empty() && tls.key.empty() && tls.client_ca.empty() && auth == "NoClientCert") return;  // an empty block: plain
  if (tls.cert.empty()) errors->Add(at, "missing one of cert or cert_file");
  if (tls.key.empty()) errors->Add(at, "missing one of key or key_file");
  if (!tls.client_ca.empty() && auth == "NoClientCert") errors->Add(at, "client CA's have been configured without a Client Auth Policy");
  if (tls.client_ca.empty() && tls.verify_client_cert) errors->Add(at, "client_auth_type " + auth + " needs client_ca_file");
  if (!errors->empty()) return;
  auto context = TlsServerContext::Make(tls);
  if (context) {
    out->tls = std::move(*context);
  } else {
    errors->Add(at, context.error().message());
  }
}

void ReadUsers(const base::yaml::Node& node, base::yaml::Errors* errors, WebConfig* out) {
  if (!node.IsMapping()) {
    if (!node.IsNull()) errors->Add(node.position, "basic_auth_users: expected users and the bcrypt hashes of their passwords");
    return;
  }
  for (const base::yaml::Node::Entry& entry : node.entries) {
    std::string name, hash;
    if (!base::yaml::ScalarText(entry.key, &name) || !base::yaml::ScalarText(entry.value, &hash) || !IsBcryptHash(hash)) {
      errors->Add(entry.value.position, "basic_auth_users: the password of " + name +
                                            " is no bcrypt hash; make one with `htpasswd -nBC 10 \"\" | tr -d ':\\n'`");
      continue;
    }
    out->users.emplace_back(std::move(name), std::move(hash));
  }
}

}  // namespace

base::Result<WebConfigPtr> LoadWebConfig(const std::string& file, base::FileSystem* fs) {
  auto out = std::make_shared<WebConfig>();
  ASSIGN_OR_RETURN(const std::string text, ReadPart(file, fs, out.get()));
  ASSIGN_OR_RETURN(const base::yaml::Document doc, base::yaml::Parse(text, file));
  base::yaml::Errors errors(file);
  base::yaml::Reader r(doc.root(), &errors, "web config");
  r.With("tls_server_config", [&](const base::yaml::Node& node) { ReadTls(node, file, fs, &errors, out.get()); });
  r.With("http_server_config", [&](const base::yaml::Node& node) {
    base::yaml::Reader http(node, &errors, "http_server_config");
    bool http2 = true;  // accepted; this server speaks HTTP/1.1
    http.Bool("http2", &http2);
    std::vector<std::pair<std::string, std::string>> headers;
    http.StringMap("headers", &headers);
    for (const auto& [name, value] : headers) {
      if (std::ranges::find(kHeaders, name) == kHeaders.end()) {
        http.Error("headers", "HTTP header \"" + name + "\" can not be configured");
      } else {
        out->headers.Set(name, value);
      }
    }
    http.Finish();
  });
  r.With("basic_auth_users", [&](const base::yaml::Node& node) { ReadUsers(node, &errors, out.get()); });
  r.With("rate_limit", [&](const base::yaml::Node& node) {
    base::yaml::Reader rate(node, &errors, "rate_limit");
    base::Duration interval{};
    rate.Duration("interval", &interval);
    rate.Int("burst", &out->rate_burst);
    if (out->rate_burst < 0) rate.Error("burst", "burst must not be negative");
    rate.Finish();
    if (interval > base::Duration{}) out->rate_per_second = 1 / base::ToSeconds(interval);
  });
  r.Finish();
  RETURN_IF_ERROR(errors.ToStatus());
  return WebConfigPtr(std::move(out));
}

// ---- the guard -----------------------------------------------------------------------------------

struct WebGuard::Rep : std::enable_shared_from_this<WebGuard::Rep> {
  using Exchange = std::shared_ptr<HttpExchange>;
  struct Question {
    std::string key;
    std::string password;
    std::string hash;
    bool known = false;  // the user
    std::vector<std::move_only_function<void(bool)>> askers;
  };

  base::Executor* executor = nullptr;
  base::FileSystem* fs = nullptr;
  std::string file;
  WebConfigPtr config;
  std::function<void(const WebConfig&)> changed;
  std::optional<base::Duration> looked_at;
  bool looking = false;
  std::vector<base::Task> after_look;
  std::string mistake;  // of the files, as last logged; empty: there is none
  std::map<std::string, bool> remembered;
  std::deque<std::string> order;  // of `remembered`, oldest first
  std::deque<Question> questions;  // the first is being answered
  bool hashing = false;
  double tokens = 0;
  std::optional<base::Duration> refilled_at;
  std::string salt;
  base::Timer timer;
  base::Gate gate;

  // Looks at the files at most once a second, then goes on.  Not beside queries, which may take minutes.
  void Look(base::Task then) {
    if (looking) {
      after_look.push_back(std::move(then));
      return;
    }
    if (looked_at && executor->Monotonic() - *looked_at < kLookEvery) return then();
    looking = true;
    after_look.push_back(std::move(then));
    auto loaded = std::make_shared<std::optional<base::Result<WebConfigPtr>>>();
    executor->Offload(
        base::Lane::kIntake,
        [loaded, filesystem = fs, path = file, present = config] {
          if (StampNow(filesystem, present->files) != present->stamp) *loaded = LoadWebConfig(path, filesystem);
        },
        gate.Wrap([self = shared_from_this(), loaded] {
          self->looking = false;
          self->looked_at = self->executor->Monotonic();
          if (*loaded) {
            self->Take(std::move(**loaded));
          } else {
            self->mistake.clear();
          }
          for (base::Task& task : std::exchange(self->after_look, {})) task();
        }));
  }

  void Take(base::Result<WebConfigPtr> loaded) {
    if (!loaded) {
      // It is read again with each look, because what is wrong may be another file that it names.
      if (mistake == loaded.error().message()) return;
      mistake = loaded.error().message();
      base::LogError("the web configuration has become wrong; the one before stays in use", {{"file", file}, {"error", loaded.error()}});
      return;
    }
    mistake.clear();
    if ((config->tls == nullptr) != ((*loaded)->tls == nullptr)) {
      base::LogWarn("whether the server speaks TLS changes with a restart only", {{"file", file}});
    }
    config = std::move(*loaded);
    remembered.clear();
    order.clear();
    base::LogInfo("the web configuration has changed and is in use", {{"file", file}});
    if (changed) changed(*config);
  }

  // A certificate that has run out lets no request through that would look at its successor.
  void LookNowAndThen() {
    if (config->tls == nullptr) return;
    timer = executor->After(kLookUnasked, gate.Wrap([self = shared_from_this()] {
      self->Look([self] { self->LookNowAndThen(); });
    }));
  }

  // One of the rate limit's tokens.
  bool TakeToken() {
    if (config->rate_per_second <= 0) return true;
    const base::Duration now = executor->Monotonic();
    const double burst = std::max(1.0, static_cast<double>(config->rate_burst));
    tokens = refilled_at ? std::min(burst, tokens + base::ToSeconds(now - *refilled_at) * config->rate_per_second) : burst;
    refilled_at = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  static void Refuse(const Exchange& x) {
    HttpResponse r = HttpResponse::Text(401, "Unauthorized\n");
    r.headers.Set("WWW-Authenticate", "Basic");
    x->Respond(std::move(r));
  }

  void Serve(Exchange x, const std::shared_ptr<Handler>& inner) {
    Look([self = shared_from_this(), x = std::move(x), inner]() mutable {
      if (!self->TakeToken()) return x->Respond(HttpResponse::Text(429, "Too Many Requests\n"));
      if (self->config->users.empty()) return (*inner)(std::move(x));
      std::string user, password;
      if (!x->request().BasicAuth(&user, &password)) return Refuse(x);
      self->Ask(user, std::move(password), [x, inner](bool right) {
        right ? (*inner)(x) : Refuse(x);
      }, x);
    });
  }

  void Ask(const std::string& user, std::string password, std::move_only_function<void(bool)> answer, const Exchange& x) {
    const auto found = std::ranges::find(config->users, user, &std::pair<std::string, std::string>::first);
    const bool known = found != config->users.end();
    // Hashing some user's makes an unknown one cost what a known one does.
    const std::string hash = known ? found->second : config->users.front().second;
    const auto digest = base::HmacSha256(salt, user + '\0' + hash + '\0' + password);
    const std::string key(digest.begin(), digest.end());
    if (const auto before = remembered.find(key); before != remembered.end()) return answer(before->second);
    for (Question& q : questions) {
      if (q.key == key) return q.askers.push_back(std::move(answer));
    }
    if (questions.size() >= kMaxWaiting) {
      return x->Respond(HttpResponse::Text(503, "too many passwords are being checked; try again\n"));
    }
    questions.push_back({.key = key, .password = std::move(password), .hash = hash, .known = known, .askers = {}});
    questions.back().askers.push_back(std::move(answer));
    HashNext();
  }

  void HashNext() {
    if (hashing || questions.empty()) return;
    hashing = true;
    auto right = std::make_shared<bool>(false);
    const Question& q = questions.front();
    executor->Offload(
        base::Lane::kIntake,
        [right, password = q.password, hash = q.hash, known = q.known] { *right = MatchesBcrypt(password, hash) && known; },
        gate.Wrap([self = shared_from_this(), right] {
          self->hashing = false;
          Question done = std::move(self->questions.front());
          self->questions.pop_front();
          if (self->remembered.emplace(done.key, *right).second) self->order.push_back(done.key);
          if (self->order.size() > kMaxRemembered) {
            self->remembered.erase(self->order.front());
            self->order.pop_front();
          }
          self->HashNext();
          for (auto& asker : done.askers) asker(*right);
        }));
  }
};

WebGuard::WebGuard(base::Executor* executor, base::FileSystem* fs, std::string file, WebConfigPtr config) : rep_(std::make_shared<Rep>()) {
  rep_->executor = executor;
  rep_->fs = fs;
  rep_->file = std::move(file);
  rep_->config = std::move(config);
  // Keys of remembered answers are of no use to who reads the memory of another run.
  rep_->salt = std::to_string(executor->Now().time_since_epoch().count()) + std::to_string(reinterpret_cast<uintptr_t>(rep_.get()));
  rep_->LookNowAndThen();
}

WebGuard::~WebGuard() {
  rep_->gate.Close();
  rep_->timer.Cancel();
  rep_->after_look.clear();
  rep_->questions.clear();
}

Handler WebGuard::Wrap(Handler inner) {
  return [rep = rep_, inner = std::make_shared<Handler>(std::move(inner))](std::shared_ptr<HttpExchange> x) { rep->Serve(std::move(x), inner); };
}

void WebGuard::OnChange(std::function<void(const WebConfig&)> changed) { rep_->changed = std::move(changed); }

}  // namespace tocsin::net
