#pragma once

// The HTTP server of both services, behind the file of --web.config.file where there is one.
//
// Threads: loop only.  Errors: net::LoadWebConfig()'s.

#include <memory>
#include <string>

#include "base/file_system.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "net/web_config.h"

namespace tocsin::app {

struct GuardedServer {
  std::unique_ptr<net::WebGuard> guard;  // null without a file
  std::unique_ptr<net::HttpServer> server;
};

base::Result<GuardedServer> MakeGuardedServer(net::EventLoop* loop, base::FileSystem* fs, const std::string& web_config_file,
                                              net::HttpServerOptions options, net::Handler handler);

}  // namespace tocsin::app
