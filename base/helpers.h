#pragma once

// Threads that have nothing to do and may lend a hand to work that is under way on another thread.
//
//   if (helpers->Invite([work] { work->Help(); })) ...   // soon, on another thread
//   while (work->HasMore() && !helpers->Wanted()) ...    // in Help(): others come first
//
// Whoever invites does not wait for the help to begin: it may come late, or never.
//
// Threads: any.

#include "base/executor.h"

namespace tocsin::base {

class Helpers {
 public:
  virtual ~Helpers() = default;
  // How many may help one caller at once.
  virtual size_t most() const = 0;
  // Runs `work` on a thread that is idle now.  False: none is, and the work is dropped.
  virtual bool Invite(Task work) = 0;
  // Whether other work waits for the threads: then help ends soon.
  virtual bool Wanted() const = 0;
};

}  // namespace tocsin::base
