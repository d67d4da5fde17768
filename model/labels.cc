#include "model/labels.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/digest.h"
#include "base/number.h"
#include "base/text.h"

namespace tocsin::model {
namespace {

constexpr size_t kMaxPart = (size_t{1} << 24) - 1;  // what three bytes of length can say

size_t EncodedPartSize(std::string_view part) { return part.size() + (part.size() < 255 ? 1 : 4); }

char* WritePart(std::string_view part, char* out) {
  TOCSIN_CHECK(part.size() <= kMaxPart) << "a label name or value of " << part.size() << " bytes";
  if (part.size() < 255) {
    *out++ = static_cast<char>(part.size());
  } else {
    *out++ = static_cast<char>(255);
    *out++ = static_cast<char>(part.size());
    *out++ = static_cast<char>(part.size() >> 8);
    *out++ = static_cast<char>(part.size() >> 16);
  }
  if (!part.empty()) std::memcpy(out, part.data(), part.size());
  return out + part.size();
}

void AppendNamePrinted(std::string_view name, std::string* out) {
  if (IsLegacyLabelName(name)) {
    out->append(name);
  } else {
    out->append(base::Quote(name));
  }
}

void AppendLabelPrinted(const Label& label, std::string* out) {
  AppendNamePrinted(label.name, out);
  out->push_back('=');
  out->append(base::Quote(label.value));
}

template <class Pairs>
std::vector<Label> AsLabels(const Pairs& pairs) {
  std::vector<Label> labels;
  labels.reserve(pairs.size());
  for (const auto& [name, value] : pairs) labels.push_back({name, value});
  return labels;
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool IsLegacyName(std::string_view name, bool colons) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [colons](char c) {
    return IsLetter(c) || (c >= '0' && c <= '9') || (colons && c == ':');
  });
}

}  // namespace

// Followed by `size` bytes of encoding.
struct Labels::Rep {
  std::atomic<uint32_t> count{1};
  uint32_t size = 0;
  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  static Rep* New(size_t size) {
    TOCSIN_CHECK(size <= UINT32_MAX) << "a label set of " << size << " bytes";
    Rep* rep = new (::operator new(sizeof(Rep) + size)) Rep;
    rep->size = static_cast<uint32_t>(size);
    return rep;
  }
};

size_t LabelsView::size() const {
  size_t n = 0;
  for (auto it = begin(); it != end(); ++it) ++n;
  return n;
}

std::string_view LabelsView::Get(std::string_view name) const {
  for (const Label& label : *this) {
    if (label.name == name) return label.value;
    // Sorted, but comparing first bytes is all that pays here.
    if (!name.empty() && label.name[0] > name[0]) break;
  }
  return {};
}

bool LabelsView::Has(std::string_view name) const { return !Get(name).empty(); }

uint64_t LabelsView::Hash() const { return base::Xxh64(encoded_); }

uint64_t LabelsView::Fingerprint() const {
  constexpr std::string_view kSeparator = "\xff";
  uint64_t h = base::kFnv1a64Offset;
  for (const Label& label : *this) {
    h = base::Fnv1a64(h, label.name);
    h = base::Fnv1a64(h, kSeparator);
    h = base::Fnv1a64(h, label.value);
    h = base::Fnv1a64(h, kSeparator);
  }
  return h;
}

std::string LabelsView::ToString() const {
  std::string out = "{";
  for (const Label& label : *this) {
    if (out.size() > 1) out.append(", ");
    AppendLabelPrinted(label, &out);
  }
  out.push_back('}');
  return out;
}

std::string LabelsView::ToMetricString() const {
  std::string_view metric = MetricName();
  bool plain = IsLegacyMetricName(metric);
  std::string labels;
  if (!metric.empty() && !plain) labels.append(base::Quote(metric));
  for (const Label& label : *this) {
    if (label.name == kMetricName) continue;
    if (!labels.empty()) labels.append(", ");
    AppendLabelPrinted(label, &labels);
  }
  std::string out = plain ? std::string(metric) : std::string();
  if (!plain || !labels.empty()) out += "{" + labels + "}";
  return out;
}

std::strong_ordering operator<=>(LabelsView a, LabelsView b) {
  auto i = a.begin();
  auto j = b.begin();
  for (; i != a.end() && j != b.end(); ++i, ++j) {
    if (auto c = i->name <=> j->name; c != 0) return c;
    if (auto c = i->value <=> j->value; c != 0) return c;
  }
  if (i == a.end()) return j == b.end() ? std::strong_ordering::equal : std::strong_ordering::less;
  return std::strong_ordering::greater;
}

Labels::Labels(LabelsView view) {
  if (view.empty()) return;
  rep_ = Rep::New(view.encoded().size());
  std::memcpy(rep_->bytes(), view.encoded().data(), view.encoded().size());
}

Labels::Labels(const Labels& other) : rep_(other.rep_) {
  if (rep_ != nullptr) rep_->count.fetch_add(1, std::memory_order_relaxed);
}

Labels::~Labels() {
  if (rep_ != nullptr && rep_->count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    rep_->~Rep();
    ::operator delete(rep_);
  }
}

LabelsView Labels::view() const {
  return rep_ == nullptr ? LabelsView() : LabelsView(std::string_view(rep_->bytes(), rep_->size));
}

Labels Labels::FromLabels(std::vector<Label> labels) {
  auto by_name = [](const Label& a, const Label& b) { return a.name < b.name; };
  if (!std::is_sorted(labels.begin(), labels.end(), by_name)) {
    std::stable_sort(labels.begin(), labels.end(), by_name);
  }
  size_t kept = 0;
  size_t bytes = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    bool repeated = i + 1 < labels.size() && labels[i + 1].name == labels[i].name;
    if (repeated || labels[i].value.empty()) continue;
    bytes += EncodedPartSize(labels[i].name) + EncodedPartSize(labels[i].value);
    labels[kept++] = labels[i];
  }
  Labels out;
  if (kept == 0) return out;
  out.rep_ = Rep::New(bytes);
  char* p = out.rep_->bytes();
  for (size_t i = 0; i < kept; ++i) p = WritePart(labels[i].value, WritePart(labels[i].name, p));
  return out;
}

Labels Labels::FromPairs(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
  return FromLabels(AsLabels(pairs));
}

Labels Labels::FromPairs(std::span<const std::pair<std::string, std::string>> pairs) {
  return FromLabels(AsLabels(pairs));
}

LabelsBuilder::LabelsBuilder(LabelsView base) { Reset(base); }

void LabelsBuilder::Reset(LabelsView base) {
  // Assigning over the strings that are there keeps their memory.
  size_t n = 0;
  for (const Label& label : base) {
    if (n == labels_.size()) labels_.emplace_back();
    labels_[n].first = label.name;
    labels_[n].second = label.value;
    ++n;
  }
  labels_.resize(n);
}

LabelsBuilder& LabelsBuilder::Set(std::string_view name, std::string_view value) {
  if (value.empty()) return Del(name);
  auto at = std::lower_bound(labels_.begin(), labels_.end(), name,
                             [](const auto& pair, std::string_view n) { return pair.first < n; });
  if (at != labels_.end() && at->first == name) {
    at->second = value;
  } else {
    labels_.emplace(at, name, value);
  }
  return *this;
}

LabelsBuilder& LabelsBuilder::Del(std::string_view name) {
  std::erase_if(labels_, [name](const auto& pair) { return pair.first == name; });
  return *this;
}

LabelsBuilder& LabelsBuilder::Keep(std::span<const std::string> names) {
  std::erase_if(labels_, [names](const auto& pair) {
    return std::find(names.begin(), names.end(), pair.first) == names.end();
  });
  return *this;
}

std::string_view LabelsBuilder::Get(std::string_view name) const {
  for (const auto& pair : labels_) {
    if (pair.first == name) return pair.second;
  }
  return {};
}

Labels LabelsBuilder::Build() const { return Labels::FromPairs(labels_); }

void AppendEncodedLabel(std::string_view name, std::string_view value, std::string* out) {
  size_t old = out->size();
  out->resize(old + EncodedPartSize(name) + EncodedPartSize(value));
  WritePart(value, WritePart(name, out->data() + old));
}

bool IsLegacyLabelName(std::string_view name) { return IsLegacyName(name, false); }
bool IsLegacyMetricName(std::string_view name) { return IsLegacyName(name, true); }
bool IsValidLabelName(std::string_view name) { return !name.empty() && base::IsValidUtf8(name); }
bool IsValidMetricName(std::string_view name) { return !name.empty() && base::IsValidUtf8(name); }

}  // namespace tocsin::model
