#pragma once

// Which values of a label an expression matches, remembered: matching a regular expression against every value
// is most of what a selection costs.
//
// Threads: any.
// Bounds:  `capacity` results with `max_values` values in all; the one that was not used for longest goes.  A result
//          that alone is larger is not kept.

#include <iterator>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "model/matcher.h"

namespace tocsin::tsdb::index {

// `positive`: of the values that match; else of those that do not.
inline std::string KeyOf(const model::Matcher& m, bool positive) {
  std::string key(1, static_cast<char>('0' + static_cast<int>(m.op()) * 2 + positive));
  key.append(m.name()).push_back('\0');
  return key.append(m.value());
}

template <class Values>
class Remembered {
 public:
  Remembered(size_t capacity, size_t max_values) : capacity_(capacity), max_values_(max_values) {}

  // Null when there is none of this version.
  std::shared_ptr<const Values> Find(const std::string& key, uint64_t version) {
    base::MutexLock lock(&mu_);
    for (auto it = items_.begin(); it != items_.end(); ++it) {
      if (it->key != key) continue;
      if (it->version != version) break;
      items_.splice(items_.begin(), items_, it);
      return it->values;
    }
    return nullptr;
  }
  void Put(std::string key, uint64_t version, std::shared_ptr<const Values> values) {
    base::MutexLock lock(&mu_);
    for (auto it = items_.begin(); it != items_.end(); ++it) {
      if (it->key != key) continue;
      Forget(it);
      break;
    }
    if (values->size() > max_values_) return;
    values_ += values->size();
    items_.push_front({std::move(key), version, std::move(values)});
    while (items_.size() > capacity_ || values_ > max_values_) Forget(std::prev(items_.end()));
  }

 private:
  struct Item {
    std::string key;
    uint64_t version;
    std::shared_ptr<const Values> values;
  };
  void Forget(typename std::list<Item>::iterator it) TOCSIN_REQUIRES(mu_) {
    values_ -= it->values->size();
    items_.erase(it);
  }

  const size_t capacity_;
  const size_t max_values_;
  base::Mutex mu_;
  size_t values_ TOCSIN_GUARDED_BY(mu_) = 0;     // of all items
  std::list<Item> items_ TOCSIN_GUARDED_BY(mu_);  // the last used first
};

}  // namespace tocsin::tsdb::index
