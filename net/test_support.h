#pragma once

// For tests of this room and those above: a loop that runs until something is so, and a client that
// sends bytes as given.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "net/address.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace tocsin::net {

// Runs the loop until `so()`; fails the test after 20 s.
inline void RunUntil(EventLoop* loop, const std::function<bool()>& so) {
  bool late = false;
  base::Timer guard = loop->After(std::chrono::seconds(20), [&] { late = true; });
  while (!so() && !late) loop->RunNext();
  ASSERT_FALSE(late) << "what the test waits for did not happen";
}

class RawClient {
 public:
  RawClient(EventLoop* loop, const std::string& address);
  void Send(std::string bytes) { stream_->Write(std::move(bytes)); }
  void CloseSending() { stream_->Shutdown(); }
  void Close() { stream_.reset(); }
  void PauseReading() { stream_->PauseReading(); }
  void ResumeReading() { stream_->ResumeReading(); }
  // Waits until `text` has been received.
  const std::string& WaitFor(const std::string& text);
  // Waits until the server has closed; everything received.
  const std::string& WaitForEnd();
  const std::string& received() const { return received_; }
  bool ended() const { return ended_; }

 private:
  EventLoop* const loop_;
  Resolver resolver_;
  Call connecting_;
  std::unique_ptr<Stream> stream_;
  std::string received_;
  bool ended_ = false;
};

inline RawClient::RawClient(EventLoop* loop, const std::string& address)
    : loop_(loop), resolver_(loop) {
  auto target = SplitHostPort(address);
  connecting_ = Connect(loop, &resolver_, target->host, ParsePort(target->port),
                        [this](base::Result<std::unique_ptr<Stream>> stream) {
                          ASSERT_TRUE(stream) << stream.error().message();
                          stream_ = std::move(*stream);
                          stream_->Start([this](std::string_view bytes) { received_ += bytes; },
                                         [this](base::Status) {
                                           ended_ = true;
                                           stream_->Shutdown();
                                         });
                        });
  RunUntil(loop, [this] { return stream_ != nullptr; });
}

inline const std::string& RawClient::WaitFor(const std::string& text) {
  RunUntil(loop_, [&] { return received_.find(text) != std::string::npos || ended_; });
  EXPECT_NE(received_.find(text), std::string::npos) << "received: " << received_;
  return received_;
}

inline const std::string& RawClient::WaitForEnd() {
  RunUntil(loop_, [&] { return ended_; });
  return received_;
}

}  // namespace tocsin::net
