#include "app/guarded_server.h"

namespace tocsin::app {

base::Result<GuardedServer> MakeGuardedServer(net::EventLoop* loop, base::FileSystem* fs, const std::string& web_config_file,
                                              net::HttpServerOptions options, net::Handler handler) {
  GuardedServer out;
  if (!web_config_file.empty()) {
    ASSIGN_OR_RETURN(net::WebConfigPtr config, net::LoadWebConfig(web_config_file, fs));
    options.tls = config->tls;
    options.extra_headers = config->headers;
    out.guard = std::make_unique<net::WebGuard>(loop, fs, web_config_file, std::move(config));
    handler = out.guard->Wrap(std::move(handler));
  }
  out.server = std::make_unique<net::HttpServer>(loop, std::move(options), std::move(handler));
  if (out.guard != nullptr) {
    out.guard->OnChange([server = out.server.get()](const net::WebConfig& config) { server->Reconfigure(config.tls, config.headers); });
  }
  return out;
}

}  // namespace tocsin::app
