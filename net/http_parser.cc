#include "net/http_parser.h"

#include <llhttp.h>

#include <charconv>

#include "base/text.h"

namespace tocsin::net {
namespace {

// More fields than any client sends; look-ups are linear.
constexpr size_t kMaxFields = 1000;
// What chunk framing may cost beyond the body itself, against endless chunk extensions.
constexpr uint64_t kMaxFramingBytes = 64 << 10;

}  // namespace

struct HttpRequestParser::Llhttp {
  llhttp_t parser;
  llhttp_settings_t settings;
  HttpRequestParser* owner;
  std::string name, value;
  bool trailers = false;
  bool complete = false;

  static Llhttp* Of(llhttp_t* p) { return static_cast<Llhttp*>(p->data); }

  explicit Llhttp(HttpRequestParser* of) : owner(of) {
    llhttp_settings_init(&settings);
    settings.on_url = [](llhttp_t* p, const char* at, size_t n) {
      Of(p)->owner->request_->target.append(at, n);
      return 0;
    };
    settings.on_header_field = [](llhttp_t* p, const char* at, size_t n) {
      Of(p)->name.append(at, n);
      return 0;
    };
    settings.on_header_value = [](llhttp_t* p, const char* at, size_t n) {
      Of(p)->value.append(at, n);
      return 0;
    };
    settings.on_header_value_complete = [](llhttp_t* p) {
      Llhttp* self = Of(p);
      // Trailers are read over: nothing here uses them, and they could forge what was checked.
      if (!self->trailers) self->owner->request_->headers.Add(self->name, self->value);
      self->name.clear();
      self->value.clear();
      return 0;
    };
    settings.on_headers_complete = [](llhttp_t* p) {
      Of(p)->trailers = true;
      // Protocols to upgrade to are not spoken here, and a request may go on without.
      if (p->method != HTTP_CONNECT) p->upgrade = 0;
      return 0;
    };
    settings.on_body = [](llhttp_t* p, const char* at, size_t n) -> int {
      HttpRequestParser* self = Of(p)->owner;
      std::string& body = self->request_->body;
      const size_t limit = self->body_limit_;
      if (n > limit - std::min(limit, body.size())) {
        self->Fail(413, "the body is larger than " + std::to_string(limit) + " bytes");
        return HPE_USER;
      }
      body.append(at, n);
      return 0;
    };
    settings.on_message_complete = [](llhttp_t* p) -> int {
      Of(p)->complete = true;
      return HPE_PAUSED;
    };
    Init();
  }

  void Init() {
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = this;
    name.clear();
    value.clear();
    trailers = false;
    complete = false;
  }

  // Feeds bytes; returns how many were taken.  Errors go to the owner.
  size_t Execute(std::string_view bytes) {
    const llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), bytes.size());
    if (error == HPE_OK) return bytes.size();
    if (complete && (error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE)) {
      return static_cast<size_t>(llhttp_get_error_pos(&parser) - bytes.data());
    }
    if (owner->state_ != State::kFailed) {
      const char* reason = llhttp_get_error_reason(&parser);
      const std::string_view head = owner->head_;
      const bool unknown_method =
          error == HPE_INVALID_METHOD && IsHeaderName(head.substr(0, head.find(' ')));
      owner->Fail(unknown_method ? 501 : 400,
                  reason != nullptr && *reason != '\0' ? reason : llhttp_errno_name(error));
    }
    return bytes.size();
  }
};

HttpRequestParser::HttpRequestParser(size_t max_head_bytes)
    : max_head_bytes_(max_head_bytes), llhttp_(std::make_unique<Llhttp>(this)) {
  Reset();
}

HttpRequestParser::~HttpRequestParser() = default;

void HttpRequestParser::Reset() {
  state_ = State::kHead;
  head_.clear();
  scanned_ = 0;
  request_ = std::make_shared<HttpRequest>();
  keep_alive_ = true;
  expects_continue_ = false;
  has_length_ = false;
  length_ = 0;
  body_limit_ = SIZE_MAX;
  body_wire_bytes_ = 0;
  error_status_ = 0;
  error_.clear();
  llhttp_->Init();
}

void HttpRequestParser::Fail(int status, std::string what) {
  state_ = State::kFailed;
  error_status_ = status;
  error_ = std::move(what);
}

size_t HttpRequestParser::Consume(std::string_view bytes) {
  switch (state_) {
    case State::kHead: return ConsumeHead(bytes);
    case State::kBody: return ConsumeBody(bytes);
    case State::kComplete:
    case State::kFailed: break;
  }
  return 0;
}

// Collects the head up to its empty line.
size_t HttpRequestParser::ConsumeHead(std::string_view bytes) {
  size_t skipped = 0;
  if (head_.empty()) {
    // Empty lines before a request are allowed (RFC 9112 section 2.2).
    while (bytes.substr(skipped).starts_with("\r\n")) skipped += 2;
    bytes.remove_prefix(skipped);
    if (bytes.empty()) return skipped;
  }
  const size_t before = head_.size();
  const size_t room = max_head_bytes_ + 1 - std::min(before, max_head_bytes_);
  head_.append(bytes.substr(0, room));
  for (; scanned_ < head_.size(); ++scanned_) {
    const char c = head_[scanned_];
    if (c == '\0') {
      Fail(400, "a zero byte in the head");
      return skipped + bytes.size();
    }
    if (c != '\n') continue;
    if (scanned_ == 0 || head_[scanned_ - 1] != '\r') {
      Fail(400, "a line of the head ends without a carriage return");
      return skipped + bytes.size();
    }
    if (scanned_ >= 3 && head_[scanned_ - 2] == '\n') {
      ++scanned_;
      head_.resize(scanned_);
      const size_t taken = scanned_ - before;
      HeadComplete();
      return skipped + taken;
    }
    if (scanned_ + 1 < head_.size() && (head_[scanned_ + 1] == ' ' || head_[scanned_ + 1] == '\t')) {
      Fail(400, "a header line continues the one before (obsolete line folding)");
      return skipped + bytes.size();
    }
    // The byte after this line has not come yet: look at this line's end again with it.
    if (scanned_ + 1 == head_.size()) break;
  }
  if (head_.size() > max_head_bytes_) {
    Fail(431, "the head is larger than " + std::to_string(max_head_bytes_) + " bytes");
  }
  return skipped + bytes.size();
}

void HttpRequestParser::HeadComplete() {
  llhttp_->Execute(head_);
  if (state_ == State::kFailed) return;
  HttpRequest& r = *request_;
  r.method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp_->parser.method));
  r.version_major = llhttp_->parser.http_major;
  r.version_minor = llhttp_->parser.http_minor;
  if (r.version_major != 1) {
    Fail(505, "HTTP/1.1 is spoken here");
    return;
  }
  if (r.headers.size() > kMaxFields) {
    Fail(431, "more than " + std::to_string(kMaxFields) + " header fields");
    return;
  }
  const size_t hosts = r.headers.All("Host").size();
  if (hosts > 1 || (hosts == 0 && r.version_minor == 1)) {
    Fail(400, hosts == 0 ? "missing required Host header" : "too many Host headers");
    return;
  }
  if (!CheckFraming() || !ReadTarget()) return;
  keep_alive_ = r.version_minor == 1 ? !r.headers.HasToken("Connection", "close")
                                     : r.headers.HasToken("Connection", "keep-alive");
  if (r.method == "CONNECT") keep_alive_ = false;
  if (r.headers.Has("Expect")) {
    if (!base::EqualsIgnoreCase(r.headers.Get("Expect"), "100-continue")) {
      Fail(417, "only Expect: 100-continue is known");
      return;
    }
    expects_continue_ = r.version_minor == 1 && !llhttp_->complete;
  }
  state_ = llhttp_->complete ? State::kComplete : State::kBody;
}

// What says how long the body is must be said once and clearly.
bool HttpRequestParser::CheckFraming() {
  const Headers& headers = request_->headers;
  const auto lengths = headers.All("Content-Length");
  const auto codings = headers.All("Transfer-Encoding");
  if (!codings.empty()) {
    if (!lengths.empty()) {
      Fail(400, "both Content-Length and Transfer-Encoding");
    } else if (codings.size() > 1 || !base::EqualsIgnoreCase(codings[0], "chunked")) {
      Fail(501, "unsupported transfer encoding; send chunked");
    } else if (request_->version_minor == 0) {
      Fail(400, "Transfer-Encoding in HTTP/1.0");
    }
    return state_ != State::kFailed;
  }
  if (lengths.empty()) return true;
  const std::string_view text = lengths[0];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length_);
  if (lengths.size() > 1 || error != std::errc() || end != text.data() + text.size()) {
    Fail(400, "bad Content-Length");
    return false;
  }
  has_length_ = true;
  return true;
}

bool HttpRequestParser::ReadTarget() {
  HttpRequest& r = *request_;
  std::string_view rest = r.target;
  if (rest.starts_with("http://") || rest.starts_with("https://")) {  // absolute form
    rest.remove_prefix(rest.find("//") + 2);
    const size_t slash = rest.find_first_of("/?");
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  } else if (!rest.starts_with('/') && rest != "*" && r.method != "CONNECT") {
    Fail(400, "the request target begins with neither / nor http://");
    return false;
  }
  rest = rest.substr(0, rest.find('#'));
  const size_t question = rest.find('?');
  r.raw_path = rest.substr(0, question);
  if (r.raw_path.empty()) r.raw_path = "/";
  if (question != std::string_view::npos) r.raw_query = rest.substr(question + 1);
  if (!base::PathUnescape(r.raw_path, &r.path)) {
    Fail(400, "the request path has a malformed %-escape");
    return false;
  }
  r.query = Params::Parse(r.raw_query);
  return true;
}

void HttpRequestParser::SetBodyLimit(size_t bytes) {
  body_limit_ = bytes;
  if (state_ == State::kBody && has_length_ && length_ > bytes) {
    Fail(413, "the body of " + std::to_string(length_) + " bytes is larger than " +
                  std::to_string(bytes) + " bytes");
  }
}

size_t HttpRequestParser::ConsumeBody(std::string_view bytes) {
  const size_t taken = llhttp_->Execute(bytes);
  body_wire_bytes_ += taken;
  if (state_ == State::kFailed) return taken;
  // Chunks of one byte cost six on the wire.
  if (body_wire_bytes_ > 8 * static_cast<uint64_t>(request_->body.size()) + kMaxFramingBytes) {
    Fail(400, "more chunk framing than body");
  } else if (llhttp_->complete) {
    state_ = State::kComplete;
  }
  return taken;
}

}  // namespace tocsin::net
