#pragma once

// Mutexes that clang's -Wthread-safety understands.  Each Mutex is declared with what it guards
// (TOCSIN_GUARDED_BY) and, where two are held at once, with its place in the lock order.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define TOCSIN_TSA(x) __attribute__((x))
#else
#define TOCSIN_TSA(x)
#endif
#define TOCSIN_CAPABILITY(name) TOCSIN_TSA(capability(name))
#define TOCSIN_SCOPED_CAPABILITY TOCSIN_TSA(scoped_lockable)
#define TOCSIN_GUARDED_BY(m) TOCSIN_TSA(guarded_by(m))
#define TOCSIN_PT_GUARDED_BY(m) TOCSIN_TSA(pt_guarded_by(m))
#define TOCSIN_REQUIRES(...) TOCSIN_TSA(requires_capability(__VA_ARGS__))
#define TOCSIN_REQUIRES_SHARED(...) TOCSIN_TSA(requires_shared_capability(__VA_ARGS__))
#define TOCSIN_EXCLUDES(...) TOCSIN_TSA(locks_excluded(__VA_ARGS__))
#define TOCSIN_ACQUIRE(...) TOCSIN_TSA(acquire_capability(__VA_ARGS__))
#define TOCSIN_ACQUIRE_SHARED(...) TOCSIN_TSA(acquire_shared_capability(__VA_ARGS__))
#define TOCSIN_RELEASE(...) TOCSIN_TSA(release_capability(__VA_ARGS__))
#define TOCSIN_RELEASE_SHARED(...) TOCSIN_TSA(release_shared_capability(__VA_ARGS__))
#define TOCSIN_RELEASE_GENERIC(...) TOCSIN_TSA(release_generic_capability(__VA_ARGS__))
#define TOCSIN_TRY_ACQUIRE(...) TOCSIN_TSA(try_acquire_capability(__VA_ARGS__))
#define TOCSIN_ACQUIRED_BEFORE(...) TOCSIN_TSA(acquired_before(__VA_ARGS__))
#define TOCSIN_ACQUIRED_AFTER(...) TOCSIN_TSA(acquired_after(__VA_ARGS__))
#define TOCSIN_NO_THREAD_SAFETY_ANALYSIS TOCSIN_TSA(no_thread_safety_analysis)

namespace tocsin::base {

class TOCSIN_CAPABILITY("mutex") Mutex {
 public:
  void Lock() TOCSIN_ACQUIRE() { mu_.lock(); }
  void Unlock() TOCSIN_RELEASE() { mu_.unlock(); }
  bool TryLock() TOCSIN_TRY_ACQUIRE(true) { return mu_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class TOCSIN_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex* mu) TOCSIN_ACQUIRE(mu) : mu_(mu) { mu_->Lock(); }
  ~MutexLock() TOCSIN_RELEASE() { mu_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mu_;
};

class TOCSIN_CAPABILITY("shared_mutex") SharedMutex {
 public:
  void Lock() TOCSIN_ACQUIRE() { mu_.lock(); }
  void Unlock() TOCSIN_RELEASE() { mu_.unlock(); }
  void LockShared() TOCSIN_ACQUIRE_SHARED() { mu_.lock_shared(); }
  void UnlockShared() TOCSIN_RELEASE_SHARED() { mu_.unlock_shared(); }

 private:
  std::shared_mutex mu_;
};

class TOCSIN_SCOPED_CAPABILITY WriterLock {
 public:
  explicit WriterLock(SharedMutex* mu) TOCSIN_ACQUIRE(mu) : mu_(mu) { mu_->Lock(); }
  ~WriterLock() TOCSIN_RELEASE() { mu_->Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex* const mu_;
};

class TOCSIN_SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex* mu) TOCSIN_ACQUIRE_SHARED(mu) : mu_(mu) { mu_->LockShared(); }
  ~ReaderLock() TOCSIN_RELEASE_GENERIC() { mu_->UnlockShared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex* const mu_;
};

class CondVar {
 public:
  // Waits with `mu` held by the caller; may wake spuriously.
  void Wait(Mutex* mu) TOCSIN_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu->mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace tocsin::base
