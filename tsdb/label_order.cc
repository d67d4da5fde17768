#include "tsdb/label_order.h"

#include <algorithm>

namespace tocsin::tsdb {

LabelOrder::RanksPtr LabelOrder::Update(uint32_t slots_end, const std::function<bool(uint32_t)>& live,
                                        const std::function<bool(uint32_t, uint32_t)>& less) {
  std::vector<uint32_t> fresh;
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  // A slot that changed may have another series now: out with it, and in again where it belongs.
  std::erase_if(order_, [this](uint32_t slot) { return std::binary_search(changed_.begin(), changed_.end(), slot); });
  std::copy_if(changed_.begin(), changed_.end(), std::back_inserter(fresh), live);
  std::sort(fresh.begin(), fresh.end(), less);

  std::vector<uint32_t> merged;
  merged.reserve(order_.size() + fresh.size());
  auto from = order_.begin();
  for (const uint32_t slot : fresh) {
    // Few among many: their places are searched, not walked to.
    const auto to = std::lower_bound(from, order_.end(), slot, less);
    merged.insert(merged.end(), from, to);
    merged.push_back(slot);
    from = to;
  }
  merged.insert(merged.end(), from, order_.end());
  order_ = std::move(merged);

  auto ranks = std::make_shared<Ranks>();
  ranks->of_slot.assign(slots_end, kNoRank);
  for (const uint32_t slot : order_) ranks->of_slot[slot] = ranks->count++;
  changed_.clear();
  changed_.shrink_to_fit();
  ranks_ = std::move(ranks);
  return ranks_;
}

}  // namespace tocsin::tsdb
