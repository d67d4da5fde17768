#include "storage/queryable.h"

namespace tocsin::storage {

base::Result<std::vector<ExemplarSeries>> Queryable::SelectExemplars(Window,
                                                                     std::span<const model::Matchers>) {
  return std::vector<ExemplarSeries>{};
}

}  // namespace tocsin::storage
