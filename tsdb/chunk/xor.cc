#include "tsdb/chunk/xor.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

namespace tocsin::tsdb::chunk {
namespace {

// Whether `v` is in the range that `n` bits hold: one more above zero than below.
constexpr bool Fits(int64_t v, int n) {
  return -((int64_t{1} << (n - 1)) - 1) <= v && v <= int64_t{1} << (n - 1);
}

constexpr uint64_t Low(int64_t v, int n) { return static_cast<uint64_t>(v) & ((1ULL << n) - 1); }

// Control bits and payload of the xor with the value before.
template <class Put>
void EncodeXor(uint64_t delta, uint8_t* leading, uint8_t* trailing, Put put) {
  if (delta == 0) {
    put(0, 1);
    return;
  }
  const int new_leading = std::min(std::countl_zero(delta), 31);  // five bits hold 31
  const int new_trailing = std::countr_zero(delta);
  if (*leading != 0xff && new_leading >= *leading && new_trailing >= *trailing) {
    const int width = 64 - *leading - *trailing;
    if (width <= 54) {
      put(2ULL << width | delta >> *trailing, width + 2);
    } else {
      put(2, 2);
      put(delta >> *trailing, width);
    }
    return;
  }
  *leading = static_cast<uint8_t>(new_leading);
  *trailing = static_cast<uint8_t>(new_trailing);
  const int width = 64 - new_leading - new_trailing;
  put(3ULL << 11 | static_cast<uint64_t>(new_leading) << 6 | (static_cast<uint64_t>(width) & 63), 13);
  put(delta >> new_trailing, width);
}

// Reads what EncodeXor wrote.
inline uint64_t DecodeXorBits(BitReader* in, uint64_t last, uint8_t* leading, uint8_t* trailing) {
  const uint64_t head = in->Peek();
  if (head >> 63 == 0) {
    in->Skip(1);
    return last;
  }
  int width;
  if (head >> 62 == 2) {
    in->Skip(2);
    width = 64 - *leading - *trailing;
    if (*leading == 0xff || width < 0) width = 0;  // damage: no width was given before
  } else {
    *leading = static_cast<uint8_t>(head >> 57 & 31);
    width = static_cast<int>(head >> 51 & 63);
    in->Skip(13);
    if (width == 0) width = 64;
    width = std::min(width, 64 - *leading);  // damage: more bits than there are; every reader takes as many
    *trailing = static_cast<uint8_t>(64 - *leading - width);
  }
  return last ^ in->Read(width) << *trailing;
}

inline int64_t DecodeDod(BitReader* in) {
  const uint64_t head = in->Peek();
  if (head >> 63 == 0) {
    in->Skip(1);
    return 0;
  }
  int skip, width;
  if (head >> 62 == 2) {
    skip = 2, width = 14;
  } else if (head >> 61 == 6) {
    skip = 3, width = 17;
  } else if (head >> 60 == 14) {
    skip = 4, width = 20;
  } else {
    in->Skip(4);
    return static_cast<int64_t>(in->Read(64));
  }
  in->Skip(skip + width);
  const uint64_t bits = head << skip >> (64 - width);
  return bits > 1ULL << (width - 1) ? static_cast<int64_t>(bits) - (int64_t{1} << width)
                                    : static_cast<int64_t>(bits);
}

}  // namespace

void AppendXor(XorState* state, uint8_t* data, model::Timestamp last_t, double last_v, model::Timestamp t,
               double v) {
  const uint64_t bits = std::bit_cast<uint64_t>(v);
  uint32_t pos = state->bits;
  const auto put = [&](uint64_t value, int n) { PutBits64(data, &pos, value, n); };
  const auto put_uvarint = [&](uint64_t value) {
    for (; value >= 0x80; value >>= 7) PutBits(data, &pos, (value & 0x7f) | 0x80, 8);
    PutBits(data, &pos, value, 8);
  };
  if (state->count == 0) {
    pos = 16;
    put_uvarint(static_cast<uint64_t>(t) << 1 ^ static_cast<uint64_t>(t >> 63));
    put(bits, 64);
  } else {
    // Unsigned: a hostile pair of times may differ by more than an int64 holds.
    const uint64_t delta = static_cast<uint64_t>(t) - static_cast<uint64_t>(last_t);
    if (state->count == 1) {
      put_uvarint(delta);
    } else {
      const int64_t dod = static_cast<int64_t>(delta - state->delta);
      if (dod == 0) {
        put(0, 1);
      } else if (Fits(dod, 14)) {
        put(2ULL << 14 | Low(dod, 14), 16);
      } else if (Fits(dod, 17)) {
        put(6ULL << 17 | Low(dod, 17), 20);
      } else if (Fits(dod, 20)) {
        put(14ULL << 20 | Low(dod, 20), 24);
      } else {
        put(15, 4);
        put(static_cast<uint64_t>(dod), 64);
      }
    }
    EncodeXor(bits ^ std::bit_cast<uint64_t>(last_v), &state->leading, &state->trailing, put);
    state->delta = delta;
  }
  state->bits = pos;
  ++state->count;
  data[0] = static_cast<uint8_t>(state->count >> 8);
  data[1] = static_cast<uint8_t>(state->count);
}

namespace {

// A sample is at most this many bytes, and reading it looks eight further.
constexpr size_t kReach = 40;

// Decodes samples after the first, one after another, without asking whether there are bytes left.
struct FastDecoder {
  uint64_t t = 0;
  uint64_t v = 0;
  uint64_t delta = 0;
  uint32_t width = 0;  // of the last value that was not the same
  uint32_t trailing = 0;

  // The bits at `pos`, left-aligned; the last seven may be missing.
  static uint64_t At(const uint8_t* data, uint64_t pos) { return LoadBigEndian64(data + (pos >> 3)) << (pos & 7); }
  static uint64_t Bits(const uint8_t* data, uint64_t pos, uint32_t n) {
    if (n == 0) return 0;
    if (n <= 56) return At(data, pos) >> (64 - n);
    const uint64_t high = At(data, pos) >> 32;
    return high << (n - 32) | At(data, pos + 32) >> (96 - n);
  }

  // Returns the position behind the sample.  REQUIRES: kReach bytes from `pos` on.
  [[gnu::always_inline]] uint64_t Next(const uint8_t* data, uint64_t pos) {
    uint64_t head = At(data, pos);
    if (head >> 63 == 0) [[likely]] {
      ++pos;
      head <<= 1;
    } else {
      pos = NextTime(data, pos, head);
      head = At(data, pos);
    }
    t += delta;
    if (head >> 63 == 0) return pos + 1;
    if (head >> 62 == 2) {
      // 53 bits are there for certain behind the two of control.
      const uint64_t bits = width <= 53 ? (head << 2 >> 1) >> (63 - width) : Bits(data, pos + 2, width);
      v ^= bits << trailing;
      return pos + 2 + width;
    }
    const uint32_t leading = head >> 57 & 31;
    width = head >> 51 & 63;
    if (width == 0) width = 64;
    width = std::min(width, 64 - leading);  // as DecodeXorBits
    trailing = 64 - leading - width;
    const uint64_t bits = width <= 42 ? head << 13 >> (64 - width) : Bits(data, pos + 13, width);
    v ^= bits << trailing;
    return pos + 13 + width;
  }

  uint64_t NextTime(const uint8_t* data, uint64_t pos, uint64_t head) {
    uint32_t skip, n;
    if (head >> 62 == 2) {
      skip = 2, n = 14;
    } else if (head >> 61 == 6) {
      skip = 3, n = 17;
    } else if (head >> 60 == 14) {
      skip = 4, n = 20;
    } else {
      delta += Bits(data, pos + 4, 64);
      return pos + 68;
    }
    const uint64_t bits = head << skip >> (64 - n);
    delta += bits > 1ULL << (n - 1) ? bits - (1ULL << n) : bits;
    return pos + skip + n;
  }
};

// The marks of a chunk that is read once.
struct NoMarks {
  uint32_t Before(model::Timestamp, size_t) const { return 0; }
  const XorMarks::Mark& At(uint32_t) const { std::unreachable(); }
  size_t next() const { return SIZE_MAX; }
  void Note(const FastDecoder&, uint64_t) {}
};

struct Marks {
  XorMarks* marks;

  // How many marks stand behind samples that are not after `from`, of the first `count` samples.
  uint32_t Before(model::Timestamp from, size_t count) const {
    uint32_t n = marks->count;
    while (n > 0 && (n * XorMarks::kEvery > count || static_cast<model::Timestamp>(At(n - 1).t) > from)) --n;
    return n;
  }
  const XorMarks::Mark& At(uint32_t i) const { return marks->items[i]; }
  // How many samples stand before the mark that is to be noted next.
  size_t next() const { return marks->count == XorMarks::kMost ? SIZE_MAX : (marks->count + 1) * XorMarks::kEvery; }
  void Note(const FastDecoder& d, uint64_t pos) {
    if (d.delta > UINT32_MAX || pos > UINT16_MAX) return;  // strange times or long values: go without
    marks->items[marks->count++] = {.t = d.t,
                                    .v = d.v,
                                    .delta = static_cast<uint32_t>(d.delta),
                                    .bits = static_cast<uint16_t>(pos),
                                    .width = static_cast<uint8_t>(d.width),
                                    .trailing = static_cast<uint8_t>(d.trailing)};
  }
};

// Calls sample(t, v) for up to `count` samples, as long as it gives true.  Where there are marks it may begin with the
// last sample that is not after `from`.  False: the bytes end before the samples do.
template <class AnyMarks, class Sample>
[[gnu::always_inline]] inline bool WalkXor(std::string_view chunk, size_t count, AnyMarks marks, model::Timestamp from,
                                           Sample&& sample) {
  FastDecoder d;
  size_t i;
  uint64_t pos;
  if (const uint32_t n = marks.Before(from, count); n > 0) {
    const XorMarks::Mark& m = marks.At(n - 1);
    d = {.t = m.t, .v = m.v, .delta = m.delta, .width = m.width, .trailing = m.trailing};
    i = n * XorMarks::kEvery;
    pos = m.bits;
  } else {
    BitReader in(chunk);
    in.Skip(8 * kXorHeaderBytes);
    d.t = static_cast<uint64_t>(in.ReadVarint());
    d.v = in.Read(64);
    if (in.overrun()) return false;
    if (!sample(d.t, d.v) || count == 1) return true;
    d.delta = in.ReadUvarint();
    d.t += d.delta;
    uint8_t leading = 0xff, trailing = 0;
    d.v = DecodeXorBits(&in, d.v, &leading, &trailing);
    if (in.overrun()) return false;
    if (leading != 0xff) {
      d.trailing = trailing;
      d.width = 64u - leading - trailing;
    }
    i = 2;
    pos = in.position();
  }
  if (!sample(d.t, d.v)) return true;

  size_t mark_at = marks.next();
  const auto* data = reinterpret_cast<const uint8_t*>(chunk.data());
  if (chunk.size() > kReach) {
    const uint64_t safe = (chunk.size() - kReach) * 8;
    while (i < count && pos < safe) {
      pos = d.Next(data, pos);
      if (++i == mark_at) [[unlikely]] marks.Note(d, pos), mark_at = marks.next();
      if (!sample(d.t, d.v)) return true;
    }
  }
  // What is left goes where there is room behind it.
  uint8_t rest[3 * kReach] = {};
  const uint64_t begin = pos >> 3;
  if (begin < chunk.size()) std::memcpy(rest, data + begin, std::min(chunk.size() - begin, 2 * kReach));
  const uint64_t end = (chunk.size() - begin) * 8;
  pos &= 7;
  while (i < count) {
    if (pos > end) return false;
    pos = d.Next(rest, pos);
    if (pos > end) return false;
    if (++i == mark_at) [[unlikely]] marks.Note(d, begin * 8 + pos), mark_at = marks.next();
    if (!sample(d.t, d.v)) return true;
  }
  return true;
}

std::unexpected<base::Error> Short(std::string_view chunk, size_t total) {
  return base::DataLoss(fmt::format("float chunk of {} bytes ends before its {} samples do", chunk.size(), total));
}

}  // namespace

base::Status DecodeXor(std::string_view chunk, storage::Window window, size_t hide_last,
                       std::vector<model::Timestamp>* times, std::vector<double>* values, XorMarks* marks) {
  const size_t total = SampleCount(Encoding::kXor, chunk);
  if (chunk.size() < kXorHeaderBytes || total * 2 > chunk.size() * 8) {
    return base::DataLoss(fmt::format("float chunk of {} bytes says it has {} samples", chunk.size(), total));
  }
  const size_t count = total - std::min(hide_last, total);
  if (count == 0) return {};
  const uint32_t skipped = marks == nullptr ? 0 : Marks{marks}.Before(window.after, count);
  const size_t begin = times->size(), most = count - (skipped == 0 ? 0 : skipped * XorMarks::kEvery - 1);
  times->resize(begin + most);
  values->resize(begin + most);
  model::Timestamp* out_t = times->data() + begin;
  double* out_v = values->data() + begin;
  size_t kept = 0;
  const auto keep = [&](uint64_t t, uint64_t v) {
    const auto time = static_cast<model::Timestamp>(t);
    out_t[kept] = time;
    std::memcpy(&out_v[kept], &v, 8);  // a stale marker keeps its bits
    kept += time > window.after && time <= window.upto;
    return time <= window.upto;  // times ascend
  };
  const bool whole = marks == nullptr ? WalkXor(chunk, count, NoMarks{}, window.after, keep)
                                      : WalkXor(chunk, count, Marks{marks}, window.after, keep);
  times->resize(begin + (whole ? kept : 0));
  values->resize(begin + (whole ? kept : 0));
  if (!whole) return Short(chunk, total);
  return {};
}

base::Result<bool> DecodeXorLast(std::string_view chunk, storage::Window window, size_t hide_last,
                                 model::Timestamp* last_t, double* last_v, XorMarks* marks) {
  const size_t total = SampleCount(Encoding::kXor, chunk);
  if (chunk.size() < kXorHeaderBytes || total * 2 > chunk.size() * 8) {
    return base::DataLoss(fmt::format("float chunk of {} bytes says it has {} samples", chunk.size(), total));
  }
  const size_t count = total - std::min(hide_last, total);
  if (count == 0) return false;
  model::Timestamp found = model::kMinTimestamp;
  uint64_t value = 0;
  const auto take = [&](uint64_t t, uint64_t v) {
    const auto time = static_cast<model::Timestamp>(t);
    if (time > window.upto) return false;
    found = time;
    value = v;
    return true;
  };
  const bool whole = marks == nullptr ? WalkXor(chunk, count, NoMarks{}, window.upto, take)
                                      : WalkXor(chunk, count, Marks{marks}, window.upto, take);
  if (!whole) return Short(chunk, total);
  if (found <= window.after) return false;
  *last_t = found;
  std::memcpy(last_v, &value, 8);  // a stale marker keeps its bits
  return true;
}

base::Status ContinueXor(std::string_view chunk, size_t upto, XorCursor* cursor,
                         std::vector<model::Timestamp>* times, std::vector<double>* values) {
  const size_t total = SampleCount(Encoding::kXor, chunk);
  if (chunk.size() < kXorHeaderBytes || upto > total || cursor->count > total) {
    return base::DataLoss(fmt::format("float chunk of {} bytes says it has {} samples", chunk.size(), total));
  }
  BitReader in(chunk);
  in.Skip(static_cast<int>(std::max<uint32_t>(cursor->bits, 8 * kXorHeaderBytes)));
  XorCursor next = *cursor;
  const size_t begin = times->size();
  while (next.count < upto) {
    if (next.count == 0) {
      next.t = static_cast<uint64_t>(in.ReadVarint());
      next.v = in.Read(64);
    } else {
      next.delta = next.count == 1 ? in.ReadUvarint() : next.delta + static_cast<uint64_t>(DecodeDod(&in));
      next.t += next.delta;
      next.v = DecodeXorBits(&in, next.v, &next.leading, &next.trailing);
    }
    if (in.overrun()) {
      times->resize(begin);
      values->resize(begin);
      return Short(chunk, total);
    }
    ++next.count;
    times->push_back(static_cast<model::Timestamp>(next.t));
    values->push_back(0);
    std::memcpy(&values->back(), &next.v, 8);  // a stale marker keeps its bits
  }
  next.bits = static_cast<uint32_t>(in.position());
  *cursor = next;
  return {};
}

void PutXorValue(BitBuffer* out, XorValue* state, double v) {
  EncodeXor(std::bit_cast<uint64_t>(v) ^ std::bit_cast<uint64_t>(state->value), &state->leading,
            &state->trailing, [out](uint64_t value, int n) { out->Put(value, n); });
  state->value = v;
}

void ReadXorValue(BitReader* in, XorValue* state) {
  const uint64_t bits = DecodeXorBits(in, std::bit_cast<uint64_t>(state->value), &state->leading, &state->trailing);
  state->value = std::bit_cast<double>(bits);
}

}  // namespace tocsin::tsdb::chunk
