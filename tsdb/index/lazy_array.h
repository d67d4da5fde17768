#pragma once

// A fixed array of pointers that begins as zeros without touching the memory: directories of pages,
// sized for the largest case and used at their beginning.

#include <sys/mman.h>

#include <atomic>
#include <new>

namespace tocsin::tsdb::index {

template <class T>
class LazyArray {
 public:
  // Mapped, since calloc() writes zeros once its threshold for mapping has grown.
  explicit LazyArray(size_t size) : bytes_(size * sizeof(std::atomic<T*>)) {
    static_assert(sizeof(std::atomic<T*>) == sizeof(T*));  // all zeros is a null pointer
    void* p = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    items_ = static_cast<std::atomic<T*>*>(p);
  }
  ~LazyArray() { ::munmap(items_, bytes_); }
  LazyArray(const LazyArray&) = delete;
  LazyArray& operator=(const LazyArray&) = delete;
  std::atomic<T*>& operator[](size_t i) const { return items_[i]; }

 private:
  const size_t bytes_;
  std::atomic<T*>* items_;
};

}  // namespace tocsin::tsdb::index
