#include "app/pages.h"

#include "web/files.h"

namespace tocsin::app {
namespace {

net::HttpResponse FileResponse(const web::File& file) {
  net::HttpResponse response;
  response.headers.Set("Content-Type", file.content_type);
  response.headers.Set("Cache-Control", "no-cache");
  response.body = file.content;
  return response;
}

}  // namespace

void RegisterPages(api::Router* router) {
  // Rules' generator URLs are /graph?...; the others are Prometheus's pages, which people have marked.
  for (const char* path : {"/", "/graph", "/query", "/alerts", "/rules", "/targets", "/status", "/silences",
                           "/config", "/flags", "/service-discovery"}) {
    router->Add({"GET", "HEAD"}, path, [](const api::ExchangePtr& x, const api::PathParams&) {
      x->Respond(FileResponse(*web::FindFile("index.html")));
    });
  }
  for (const web::File& file : web::Files()) {
    if (file.path == "index.html") continue;
    router->Add({"GET", "HEAD"}, "/" + std::string(file.path),
                [&file](const api::ExchangePtr& x, const api::PathParams&) { x->Respond(FileResponse(file)); });
  }
}

}  // namespace tocsin::app
