#pragma once

// Fallible functions return Status or Result<T>.  An Error has a code that callers may act on and
// a message for people: what was found, where, and how to fix it.
//
//   base::Result<Config> Load(const std::string& path) {
//     ASSIGN_OR_RETURN(std::string text, fs->ReadFile(path));
//     if (text.empty()) return base::InvalidArgument(path + ": the file is empty");
//     ...
//   }

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace tocsin::base {

enum class Code {
  kCancelled,
  kInvalidArgument,     // the user's text is wrong (HTTP 400)
  kNotFound,
  kAlreadyExists,
  kFailedPrecondition,  // not in the state this needs, such as "not ready"
  kPermissionDenied,
  kResourceExhausted,   // a named limit
  kDeadlineExceeded,
  kUnavailable,         // worth a retry
  kDataLoss,            // bytes on disk disagree
  kUnimplemented,
  kInternal,            // our bug
};

std::string_view CodeName(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "context: " before the message.
  Error Within(std::string_view context) const;

 private:
  Code code_;
  std::string message_;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> MakeError(Code code, std::string message) {
  return std::unexpected<Error>(std::in_place, code, std::move(message));
}
inline auto Cancelled(std::string m) { return MakeError(Code::kCancelled, std::move(m)); }
inline auto InvalidArgument(std::string m) { return MakeError(Code::kInvalidArgument, std::move(m)); }
inline auto NotFound(std::string m) { return MakeError(Code::kNotFound, std::move(m)); }
inline auto AlreadyExists(std::string m) { return MakeError(Code::kAlreadyExists, std::move(m)); }
inline auto FailedPrecondition(std::string m) {
  return MakeError(Code::kFailedPrecondition, std::move(m));
}
inline auto PermissionDenied(std::string m) {
  return MakeError(Code::kPermissionDenied, std::move(m));
}
inline auto ResourceExhausted(std::string m) {
  return MakeError(Code::kResourceExhausted, std::move(m));
}
inline auto DeadlineExceeded(std::string m) {
  return MakeError(Code::kDeadlineExceeded, std::move(m));
}
inline auto Unavailable(std::string m) { return MakeError(Code::kUnavailable, std::move(m)); }
inline auto DataLoss(std::string m) { return MakeError(Code::kDataLoss, std::move(m)); }
inline auto Unimplemented(std::string m) { return MakeError(Code::kUnimplemented, std::move(m)); }
inline auto Internal(std::string m) { return MakeError(Code::kInternal, std::move(m)); }

// Says that an error is dropped on purpose; the caller's comment says why.
template <class T>
void Ignore(const std::expected<T, Error>&) {}

}  // namespace tocsin::base

#define TOCSIN_CONCAT_(a, b) a##b
#define TOCSIN_CONCAT(a, b) TOCSIN_CONCAT_(a, b)

#define RETURN_IF_ERROR(expr)                                            \
  do {                                                                   \
    if (auto tocsin_status_ = (expr); !tocsin_status_) [[unlikely]]      \
      return std::unexpected(std::move(tocsin_status_).error());         \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_(TOCSIN_CONCAT(tocsin_result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_(result, lhs, expr)                                   \
  auto result = (expr);                                                        \
  if (!result) [[unlikely]] return std::unexpected(std::move(result).error()); \
  lhs = std::move(*result)
