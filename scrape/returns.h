#pragma once

// What workers hand back.  Nobody is in a hurry for it: it is taken when the loop is awake for something else, or
// after kPatience.  A loop that is woken for each costs as much as a tenth of a small scrape.
//
// Threads: loop only.

#include <memory>
#include <vector>

#include "base/executor.h"

namespace tocsin::scrape {

class Returns {
 public:
  explicit Returns(base::Executor* executor);
  ~Returns();  // what is out is dropped when it comes
  Returns(const Returns&) = delete;
  Returns& operator=(const Returns&) = delete;

  // Runs `work` on a worker, then `done` on the loop: in Take() or soon.
  void Offload(base::Lane lane, base::Task work, base::Task done);
  // Runs what has come, which may destroy this.
  void Take();

 private:
  struct Come;
  static constexpr base::Duration kPatience = std::chrono::milliseconds(100);

  void Arm();
  std::vector<base::Task> Collect();

  base::Executor* const executor_;
  const std::shared_ptr<Come> come_;
  size_t out_ = 0;
  bool armed_ = false;
  base::Timer timer_;
};

}  // namespace tocsin::scrape
