#include "tsdb/block_meta.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "base/digest.h"
#include "tsdb/index/coding.h"

namespace tocsin::tsdb {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kTombstonesMagic = 0x0130BA30;
constexpr std::string_view kBase32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

template <class T>
void Get(const Json& object, const char* key, T* out) {
  if (const auto it = object.find(key); it != object.end() && !it->is_null()) it->get_to(*out);
}

}  // namespace

base::Result<BlockMeta> ParseBlockMeta(std::string_view json) {
  BlockMeta m;
  try {
    const Json j = Json::parse(json);
    Get(j, "version", &m.version);
    Get(j, "ulid", &m.ulid);
    Get(j, "minTime", &m.min_time);
    Get(j, "maxTime", &m.max_time);
    if (const auto s = j.find("stats"); s != j.end()) {
      Get(*s, "numSamples", &m.samples);
      Get(*s, "numFloatSamples", &m.float_samples);
      Get(*s, "numHistogramSamples", &m.histogram_samples);
      Get(*s, "numSeries", &m.series);
      Get(*s, "numChunks", &m.chunks);
      Get(*s, "numTombstones", &m.tombstones);
    }
    if (const auto c = j.find("compaction"); c != j.end()) {
      Get(*c, "level", &m.level);
      Get(*c, "deletable", &m.deletable);
      Get(*c, "failed", &m.failed);
      Get(*c, "sources", &m.sources);
      Get(*c, "hints", &m.hints);
      if (const auto p = c->find("parents"); p != c->end() && p->is_array()) {
        for (const Json& parent : *p) {
          BlockMeta::Parent one;
          Get(parent, "ulid", &one.ulid);
          Get(parent, "minTime", &one.min_time);
          Get(parent, "maxTime", &one.max_time);
          m.parents.push_back(std::move(one));
        }
      }
    }
  } catch (const Json::exception& e) {
    return base::DataLoss(fmt::format("meta.json: {}", e.what()));
  }
  if (m.version != 1) return base::DataLoss(fmt::format("meta.json: version {}, 1 expected", m.version));
  if (!IsUlid(m.ulid)) return base::DataLoss(fmt::format("meta.json: ulid \"{}\" is none", m.ulid));
  if (m.min_time > m.max_time) return base::DataLoss(fmt::format("meta.json: minTime {} after maxTime {}", m.min_time, m.max_time));
  return m;
}

std::string FormatBlockMeta(const BlockMeta& m) {
  Json j;
  j["ulid"] = m.ulid;
  j["minTime"] = m.min_time;
  j["maxTime"] = m.max_time;
  Json stats = Json::object();
  const auto put = [&stats](const char* key, uint64_t v) {
    if (v != 0) stats[key] = v;
  };
  put("numSamples", m.samples);
  put("numFloatSamples", m.float_samples);
  put("numHistogramSamples", m.histogram_samples);
  put("numSeries", m.series);
  put("numChunks", m.chunks);
  put("numTombstones", m.tombstones);
  j["stats"] = std::move(stats);
  Json c;
  c["level"] = m.level;
  if (!m.sources.empty()) c["sources"] = m.sources;
  if (m.deletable) c["deletable"] = true;
  if (!m.parents.empty()) {
    Json parents = Json::array();
    for (const BlockMeta::Parent& p : m.parents) {
      parents.push_back(Json{{"ulid", p.ulid}, {"minTime", p.min_time}, {"maxTime", p.max_time}});
    }
    c["parents"] = std::move(parents);
  }
  if (m.failed) c["failed"] = true;
  if (!m.hints.empty()) c["hints"] = m.hints;
  j["compaction"] = std::move(c);
  j["version"] = m.version;
  return j.dump(1, '\t') + "\n";
}

std::string MakeUlid(int64_t unix_ms, std::string_view salt) {
  static std::atomic<uint64_t> counter{0};
  const auto digest = base::Sha256(fmt::format("{} {} {}", salt, unix_ms, counter.fetch_add(1)));
  std::string out(26, '0');
  uint64_t time = static_cast<uint64_t>(std::max<int64_t>(unix_ms, 0)) & ((uint64_t{1} << 48) - 1);
  for (int i = 9; i >= 0; --i, time >>= 5) out[static_cast<size_t>(i)] = kBase32[time & 31];
  for (size_t i = 0; i < 16; ++i) out[10 + i] = kBase32[digest[i] & 31];
  return out;
}

bool IsUlid(std::string_view name) {
  return name.size() == 26 && name[0] <= '7' &&
         std::all_of(name.begin(), name.end(), [](char c) { return kBase32.find(c) != kBase32.npos; });
}

void AddInterval(Intervals* intervals, Interval add) {
  if (add.mint > add.maxt) return;
  Intervals out;
  for (const Interval& i : *intervals) {
    const bool before = i.maxt < add.mint && i.maxt + 1 < add.mint;
    const bool after = add.maxt < i.mint && add.maxt + 1 < i.mint;
    if (before || after) {
      out.push_back(i);
      continue;
    }
    add.mint = std::min(add.mint, i.mint);
    add.maxt = std::max(add.maxt, i.maxt);
  }
  out.insert(std::lower_bound(out.begin(), out.end(), add, [](const Interval& a, const Interval& b) { return a.mint < b.mint; }), add);
  *intervals = std::move(out);
}

bool Covers(const Intervals& intervals, model::Timestamp mint, model::Timestamp maxt) {
  return std::any_of(intervals.begin(), intervals.end(), [=](const Interval& i) { return i.mint <= mint && i.maxt >= maxt; });
}

base::Result<Tombstones> ParseTombstones(std::string_view file) {
  Tombstones out;
  if (file.size() < 9) return base::DataLoss(fmt::format("tombstones: {} bytes, at least 9 needed", file.size()));
  index::Decoder head(file);
  if (const uint32_t magic = head.Be32(); magic != kTombstonesMagic) {
    return base::DataLoss(fmt::format("tombstones: magic {:08x}, {:08x} expected", magic, kTombstonesMagic));
  }
  const std::string_view body = file.substr(5, file.size() - 9);
  const uint32_t stored = index::Decoder(file.substr(file.size() - 4)).Be32(), computed = base::Crc32c(body);
  if (stored != computed) return base::DataLoss(fmt::format("tombstones: CRC {:08x}, computed {:08x}", stored, computed));
  if (const int version = head.Byte(); version != 1) return base::DataLoss(fmt::format("tombstones: version {}", version));
  index::Decoder in(body);
  while (in.ok() && in.left() > 0) {
    const uint64_t id = in.Uvarint();
    Interval i;
    i.mint = in.Varint();
    i.maxt = in.Varint();
    if (in.ok() && i.mint <= i.maxt) AddInterval(&out[id], i);
  }
  if (!in.ok()) return base::DataLoss("tombstones: the last entry does not decode");
  return out;
}

std::string FormatTombstones(const Tombstones& tombstones) {
  std::string body;
  for (const auto& [id, intervals] : tombstones) {
    for (const Interval& i : intervals) {
      index::PutUvarint(&body, id);
      index::PutVarint(&body, i.mint);
      index::PutVarint(&body, i.maxt);
    }
  }
  std::string out;
  index::PutBe32(&out, kTombstonesMagic);
  out.push_back('\x01');
  out += body;
  index::PutBe32(&out, base::Crc32c(body));
  return out;
}

bool BlockMeta::Has(std::string_view hint) const { return std::find(hints.begin(), hints.end(), hint) != hints.end(); }

}  // namespace tocsin::tsdb
