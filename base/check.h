#pragma once

// TOCSIN_CHECK(cond) << ...: an invariant of the program.  It stays on in release builds and dies
// with file, line and the streamed values.  Never for the user's input: that is a base::Error.
// TOCSIN_DCHECK is the same in debug builds only, for hot loops.
//
//   TOCSIN_CHECK(ref != 0) << "series " << ref;

#include <sstream>

namespace tocsin::base {

class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();  // prints the message to stderr and aborts
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

}  // namespace tocsin::base

#define TOCSIN_CHECK(cond)          \
  if (cond) [[likely]] {            \
  } else                            \
    ::tocsin::base::CheckFailure(__FILE__, __LINE__, #cond).stream()

#ifdef NDEBUG
#define TOCSIN_DCHECK(cond) \
  while (false) TOCSIN_CHECK(cond)
#else
#define TOCSIN_DCHECK(cond) TOCSIN_CHECK(cond)
#endif
