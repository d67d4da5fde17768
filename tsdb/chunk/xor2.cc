#include "tsdb/chunk/xor2.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "tsdb/chunk/varbit.h"
#include "tsdb/chunk/xor.h"

namespace tocsin::tsdb::chunk {
namespace {

constexpr size_t kHeaderBytes = 3;

// Whether n bits hold v, in two's complement.
constexpr bool FitsBits(int64_t v, int n) { return v >= -(int64_t{1} << (n - 1)) && v < int64_t{1} << (n - 1); }

bool IsStaleBits(uint64_t bits) { return bits == model::kStaleBits; }

// The value that others are xored with, and the window of their bits.
struct ValueState {
  uint64_t last = 0;
  uint8_t leading = 0xff;
  uint8_t trailing = 0;

  // `reuse` and `fresh`: the bits that tell which window the bits are in.
  void Put(BitBuffer* out, uint64_t delta, std::pair<uint64_t, int> reuse, std::pair<uint64_t, int> fresh) {
    const int new_leading = std::min(std::countl_zero(delta), 31), new_trailing = std::countr_zero(delta);
    if (leading != 0xff && new_leading >= leading && new_trailing >= trailing) {
      out->Put(reuse.first, reuse.second);
      out->Put(delta >> trailing, 64 - leading - trailing);
      return;
    }
    leading = static_cast<uint8_t>(new_leading);
    trailing = static_cast<uint8_t>(new_trailing);
    const int width = 64 - new_leading - new_trailing;
    out->Put(fresh.first, fresh.second);
    out->Put(static_cast<uint64_t>(new_leading) << 6 | (static_cast<uint64_t>(width) & 63), 11);
    out->Put(delta >> new_trailing, width);
  }

  void PutValue(BitBuffer* out, uint64_t bits) {
    if (IsStaleBits(bits)) {
      out->Put(7, 3);
    } else if (bits == last) {
      out->Put(0, 1);
    } else {
      Put(out, bits ^ last, {2, 2}, {6, 3});
      last = bits;
    }
  }

  uint64_t Read(BitReader* in, bool fresh) {
    if (fresh) {
      const uint64_t head = in->Read(11);
      leading = static_cast<uint8_t>(head >> 6);
      const int width = (head & 63) == 0 ? 64 : static_cast<int>(head & 63);
      trailing = static_cast<uint8_t>(std::max(0, 64 - leading - width));
      return last ^= in->Read(width) << trailing;
    }
    const int width = leading == 0xff ? 64 : 64 - leading - trailing;
    return last ^= in->Read(std::max(0, width)) << trailing;
  }

  uint64_t ReadValue(BitReader* in) {
    const uint64_t head = in->Peek() >> 61;
    if (head < 4) {
      in->Skip(1);
      return last;
    }
    if (head < 6) {
      in->Skip(2);
      return Read(in, false);
    }
    in->Skip(3);
    return head == 6 ? Read(in, true) : model::kStaleBits;
  }
};

}  // namespace

std::string EncodeXor2(std::span<const model::Timestamp> times, std::span<const double> values,
                       std::span<const model::Timestamp> starts) {
  TOCSIN_CHECK(!times.empty() && times.size() <= kMaxXorSamples) << times.size() << " samples";
  TOCSIN_CHECK(starts.empty() || starts.size() == times.size()) << starts.size() << " start times";
  BitBuffer out;
  out.Put(times.size(), 16);
  out.Put(0, 8);
  ValueState value;
  StartTimes start;
  int64_t delta = 0;
  for (size_t i = 0; i < times.size(); ++i) {
    uint64_t bits;
    std::memcpy(&bits, &values[i], 8);  // a stale marker keeps its bits
    const model::Timestamp previous = i == 0 ? 0 : times[i - 1];
    const int64_t step = Minus(times[i], previous), dod = Minus(step, delta);
    if (i == 0) {
      out.PutVarint(times[0]);
      out.Put(bits, 64);
      if (!IsStaleBits(bits)) value.last = bits;
    } else if (i == 1) {
      out.PutUvarint(static_cast<uint64_t>(step));
      value.PutValue(&out, bits);
    } else if (dod == 0) {
      if (IsStaleBits(bits)) {
        out.Put(31, 5);
      } else if (bits == value.last) {
        out.Put(0, 1);
      } else {
        value.Put(&out, bits ^ value.last, {4, 3}, {5, 3});
        value.last = bits;
      }
    } else {
      if (FitsBits(dod, 13)) {
        out.Put(6ULL << 13 | (static_cast<uint64_t>(dod) & 0x1fff), 16);
      } else if (FitsBits(dod, 20)) {
        out.Put(14ULL << 20 | (static_cast<uint64_t>(dod) & 0xfffff), 24);
      } else {
        out.Put(30, 5);
        out.Put(static_cast<uint64_t>(dod), 64);
      }
      value.PutValue(&out, bits);
    }
    if (i > 0) delta = step;
    start.Put(&out, i, previous, times[i], starts.empty() ? 0 : starts[i]);
  }
  std::string chunk = out.Take();
  chunk[2] = static_cast<char>(start.header());
  return chunk;
}

base::Status DecodeXor2(std::string_view chunk, storage::Window window, size_t hide_last, storage::SampleColumns* out) {
  const size_t total = SampleCount(Encoding::kXor2, chunk);
  if (chunk.size() < kHeaderBytes || total > chunk.size() * 8) {
    return base::DataLoss(fmt::format("float chunk (xor2) of {} bytes says it has {} samples", chunk.size(), total));
  }
  const size_t count = total - std::min(hide_last, total), begin = out->times.size();
  BitReader in(chunk.substr(kHeaderBytes));
  ValueState value;
  StartTimes starts(static_cast<uint8_t>(chunk[2]));
  if (starts.any()) out->start_times.resize(begin);
  model::Timestamp t = 0;
  int64_t delta = 0;
  for (size_t i = 0; i < count; ++i) {
    const model::Timestamp previous = t;
    uint64_t bits;
    if (i == 0) {
      t = in.ReadVarint();
      bits = in.Read(64);
      if (!IsStaleBits(bits)) value.last = bits;
    } else if (i == 1) {
      delta = static_cast<int64_t>(in.ReadUvarint());
      t = Plus(t, delta);
      bits = value.ReadValue(&in);
    } else {
      const int ones = std::min(5, std::countl_one(in.Peek()));
      in.Skip(std::min(ones + 1, 5));
      if (ones == 2 || ones == 3 || ones == 4) {
        const int width = ones == 2 ? 13 : ones == 3 ? 20 : 64;
        int64_t dod = static_cast<int64_t>(in.Read(width));
        if (width < 64 && dod >= int64_t{1} << (width - 1)) dod -= int64_t{1} << width;
        delta = Plus(delta, dod);
      }
      t = Plus(t, delta);
      if (ones == 0) {
        bits = value.last;
      } else if (ones == 1) {
        bits = value.Read(&in, in.ReadBit());
      } else {
        bits = ones == 5 ? model::kStaleBits : value.ReadValue(&in);
      }
    }
    const model::Timestamp start = starts.any() ? starts.Read(&in, i, previous, t) : 0;
    if (in.overrun()) {
      out->times.resize(begin);
      out->values.resize(begin);
      if (!out->start_times.empty()) out->start_times.resize(begin);
      return base::DataLoss(fmt::format("float chunk (xor2) of {} bytes ends within sample {} of {}", chunk.size(), i + 1, total));
    }
    if (t > window.upto) break;
    if (t <= window.after) continue;
    out->times.push_back(t);
    out->values.emplace_back();
    std::memcpy(&out->values.back(), &bits, 8);
    if (starts.any()) out->start_times.push_back(start);
  }
  return {};
}

}  // namespace tocsin::tsdb::chunk
