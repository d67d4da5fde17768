#pragma once

// The coding of block files is that of base/coding.h.

#include "base/coding.h"

namespace tocsin::tsdb::index {

using base::Decoder;
using base::PutBe32;
using base::PutBe64;
using base::PutText;
using base::PutUvarint;
using base::PutVarint;

}  // namespace tocsin::tsdb::index
