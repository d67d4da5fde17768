#pragma once

// The file of --web.config.file: TLS, basic auth, headers and a rate limit of the server, as
// Prometheus's exporter toolkit reads it.
//
//   ASSIGN_OR_RETURN(net::WebConfigPtr config, net::LoadWebConfig(path, fs));
//   net::WebGuard guard(&loop, fs, path, config);
//   options.tls = config->tls; options.extra_headers = config->headers;
//   net::HttpServer server(&loop, options, guard.Wrap(handler));
//   guard.OnChange([&](const net::WebConfig& c) { server.Reconfigure(c.tls, c.headers); });
//
// The file and the certificates are looked at again every second while requests come, so a changed
// password or certificate needs no reload; a file that has become wrong is logged and the old one used.
// Not changed while running: whether the server speaks TLS at all.
//
// Threads: LoadWebConfig() any; WebGuard loop only.  Passwords are hashed on a worker, one at a time;
//          the last 100 answers are remembered, so that a client costs a hash once.
// Errors:  kInvalidArgument, "file:line:column: message".

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/file_system.h"
#include "base/result.h"
#include "net/http_server.h"
#include "net/tls.h"

namespace tocsin::net {

struct WebConfig {
  std::shared_ptr<TlsServerContext> tls;  // null: plain
  Headers headers;                        // added to every answer
  std::vector<std::pair<std::string, std::string>> users;  // name, bcrypt hash; empty: no auth
  double rate_per_second = 0;             // 0: no limit
  int64_t rate_burst = 0;
  std::vector<std::string> files;         // that it was made of
  std::string stamp;                      // of what they held: a text that differs when it does
};
using WebConfigPtr = std::shared_ptr<const WebConfig>;

base::Result<WebConfigPtr> LoadWebConfig(const std::string& file, base::FileSystem* fs);

class WebGuard {
 public:
  WebGuard(base::Executor* executor, base::FileSystem* fs, std::string file, WebConfigPtr config);
  ~WebGuard();
  WebGuard(const WebGuard&) = delete;
  WebGuard& operator=(const WebGuard&) = delete;

  // Lets through what the file allows: 401 without a right password, 429 beyond the rate.
  Handler Wrap(Handler inner);
  void OnChange(std::function<void(const WebConfig&)> changed);

 private:
  struct Rep;
  std::shared_ptr<Rep> rep_;
};

}  // namespace tocsin::net
