#include "storage/queryable.h"

namespace tocsin::storage {

base::Result<std::vector<ExemplarSeries>> Queryable::SelectExemplars(Window,
                                                                     std::span<const model::Matchers>) {
  return std::vector<ExemplarSeries>{};
}

base::Status SeriesSet::ReadLayer(size_t, size_t first, size_t count, Window window, SampleColumns* out) const {
  return Read(first, count, window, out);
}

}  // namespace tocsin::storage
