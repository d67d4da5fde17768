#pragma once

// Bytes to one HTTP/1 request; the door to llhttp.  The head is collected and checked as a whole
// before llhttp sees it (limits, bare line feeds, obsolete folds); framing that two servers could
// read differently is refused.  Source: RFC 9112.
//
//   parser.Consume(bytes)  ->  kHead .. kBody .. kComplete | kFailed
//
// Threads: one.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/http_message.h"

namespace tocsin::net {

class HttpRequestParser {
 public:
  enum class State { kHead, kBody, kComplete, kFailed };

  explicit HttpRequestParser(size_t max_head_bytes);
  ~HttpRequestParser();
  HttpRequestParser(const HttpRequestParser&) = delete;
  HttpRequestParser& operator=(const HttpRequestParser&) = delete;

  // Takes bytes up to the end of the current part and returns how many: it stops behind the head,
  // so that the caller can set the limit of the body, and behind the request.
  size_t Consume(std::string_view bytes);

  State state() const { return state_; }
  // Whether a byte of this request has come.
  bool started() const { return !head_.empty() || state_ != State::kHead; }
  // Of a failure: 400, 413, 431, 501, 505, and what was wrong.
  int error_status() const { return error_status_; }
  const std::string& error() const { return error_; }

  // From the end of the head on.
  HttpRequest& request() { return *request_; }
  std::shared_ptr<HttpRequest> TakeRequest() { return std::move(request_); }
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  // More body than this fails with 413, at once if the head announces more.
  void SetBodyLimit(size_t bytes);

  // Ready for the next request.
  void Reset();

 private:
  struct Llhttp;

  void Fail(int status, std::string what);
  size_t ConsumeHead(std::string_view bytes);
  size_t ConsumeBody(std::string_view bytes);
  void HeadComplete();
  bool CheckFraming();
  bool ReadTarget();

  const size_t max_head_bytes_;
  State state_ = State::kHead;
  std::string head_;
  size_t scanned_ = 0;  // of head_
  std::shared_ptr<HttpRequest> request_;
  bool keep_alive_ = true;
  bool expects_continue_ = false;
  bool has_length_ = false;
  uint64_t length_ = 0;
  size_t body_limit_ = SIZE_MAX;
  uint64_t body_wire_bytes_ = 0;
  int error_status_ = 0;
  std::string error_;
  std::unique_ptr<Llhttp> llhttp_;
};

}  // namespace tocsin::net
