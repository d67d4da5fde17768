#include "tools/fetch.h"

#include <optional>

#include "net/event_loop.h"

namespace tocsin::tools {

base::Result<net::FetchResponse> FetchNow(net::FetchRequest request) {
  const std::string url = request.url;
  net::EventLoop loop({.threads = 2});
  const std::unique_ptr<net::HttpClient> client = net::MakeHttpClient(&loop);
  std::optional<base::Result<net::FetchResponse>> answer;
  net::Call call = client->Fetch(std::move(request), [&](base::Result<net::FetchResponse> result) {
    answer = std::move(result);
    loop.Stop();
  });
  loop.Run();
  if (!*answer) return std::unexpected(answer->error().Within(url));
  return std::move(*answer);
}

}  // namespace tocsin::tools
