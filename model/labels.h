#pragma once

// Label sets.  Labels owns one immutable flat buffer, shared by count; LabelsView borrows one.
//
// Encoding (that of Prometheus's stringlabels, so that hashes agree): for each label, sorted by
// name bytes, length and bytes of the name, then of the value.  A length is one byte, or 255 and
// three bytes little-endian.  No empty values, no repeated names.
//
//   model::Labels l = model::Labels::FromPairs({{"__name__", "up"}, {"job", "node"}});
//   for (auto [name, value] : l) ...
//
// Threads: immutable; copy from any thread.  Views live as long as what they were taken from (a
// storage::Querier for those it returned).

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tocsin::model {

inline constexpr std::string_view kMetricName = "__name__";
inline constexpr std::string_view kAlertName = "alertname";
inline constexpr std::string_view kBucketLabel = "le";
inline constexpr std::string_view kInstance = "instance";
inline constexpr std::string_view kJob = "job";

struct Label {
  std::string_view name;
  std::string_view value;
  friend bool operator==(const Label&, const Label&) = default;
};

class LabelsView {
 public:
  class Iterator {
   public:
    using value_type = Label;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(const char* p, const char* end) : p_(p), end_(end) { Read(); }
    const Label& operator*() const { return label_; }
    const Label* operator->() const { return &label_; }
    Iterator& operator++() {
      p_ = next_;
      Read();
      return *this;
    }
    Iterator operator++(int) {
      Iterator old = *this;
      ++*this;
      return old;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.p_ == b.p_; }

   private:
    void Read();
    const char* p_ = nullptr;
    const char* next_ = nullptr;
    const char* end_ = nullptr;
    Label label_;
  };

  LabelsView() = default;
  explicit LabelsView(std::string_view encoded) : encoded_(encoded) {}

  std::string_view encoded() const { return encoded_; }
  bool empty() const { return encoded_.empty(); }
  size_t size() const;  // number of labels; walks the buffer
  Iterator begin() const { return Iterator(encoded_.data(), encoded_.data() + encoded_.size()); }
  Iterator end() const {
    const char* e = encoded_.data() + encoded_.size();
    return Iterator(e, e);
  }
  std::string_view Get(std::string_view name) const;  // empty if absent
  bool Has(std::string_view name) const;
  std::string_view MetricName() const { return Get(kMetricName); }

  // xxhash64 of the encoding: equal to Prometheus's labels.Hash.
  uint64_t Hash() const;
  // FNV-1a over name 0xff value 0xff: Alertmanager's fingerprint, and relabeling's.
  uint64_t Fingerprint() const;

  // {a="1", b="2"} as Prometheus prints label sets (names quoted where they must be).
  std::string ToString() const;
  // up{job="node"}: the metric name before the braces where it is a plain one.
  std::string ToMetricString() const;

  // By pairs of name and value, a prefix first.
  friend std::strong_ordering operator<=>(LabelsView a, LabelsView b);
  friend bool operator==(LabelsView a, LabelsView b) { return a.encoded_ == b.encoded_; }

 private:
  std::string_view encoded_;
};

class Labels {
 public:
  Labels() = default;
  explicit Labels(LabelsView view);  // copies
  Labels(const Labels& other);
  Labels(Labels&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  Labels& operator=(Labels other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Labels();

  // Sorts; of a repeated name the last value counts; empty values are dropped.
  static Labels FromPairs(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs);
  static Labels FromPairs(std::span<const std::pair<std::string, std::string>> pairs);
  static Labels FromLabels(std::vector<Label> labels);  // copies the text
  // REQUIRES: the encoding described above.
  static Labels FromEncoded(std::string_view encoded) { return Labels(LabelsView(encoded)); }

  LabelsView view() const;
  operator LabelsView() const { return view(); }  // NOLINT: a borrow is always fine
  bool empty() const { return rep_ == nullptr; }
  size_t size() const { return view().size(); }
  auto begin() const { return view().begin(); }
  auto end() const { return view().end(); }
  std::string_view Get(std::string_view name) const { return view().Get(name); }
  bool Has(std::string_view name) const { return view().Has(name); }
  std::string_view MetricName() const { return view().MetricName(); }
  uint64_t Hash() const { return view().Hash(); }
  uint64_t Fingerprint() const { return view().Fingerprint(); }
  std::string ToString() const { return view().ToString(); }
  std::string ToMetricString() const { return view().ToMetricString(); }

  friend bool operator==(const Labels& a, const Labels& b) { return a.view() == b.view(); }
  friend std::strong_ordering operator<=>(const Labels& a, const Labels& b) {
    return a.view() <=> b.view();
  }

 private:
  struct Rep;
  Rep* rep_ = nullptr;
};

// Changes to a base set.  Cost: linear in the labels.
class LabelsBuilder {
 public:
  LabelsBuilder() = default;
  explicit LabelsBuilder(LabelsView base);  // copies
  void Reset(LabelsView base);
  LabelsBuilder& Set(std::string_view name, std::string_view value);  // empty value deletes
  LabelsBuilder& Del(std::string_view name);
  LabelsBuilder& Keep(std::span<const std::string> names);  // drops all others
  std::string_view Get(std::string_view name) const;
  bool empty() const { return labels_.empty(); }
  // The labels now, sorted by name; valid until the next change.
  const std::vector<std::pair<std::string, std::string>>& pairs() const { return labels_; }
  Labels Build() const;

 private:
  std::vector<std::pair<std::string, std::string>> labels_;  // sorted by name
};

// Appends one label to an encoding in progress; names must come in order.
void AppendEncodedLabel(std::string_view name, std::string_view value, std::string* out);

struct LabelsHash {
  using is_transparent = void;
  size_t operator()(LabelsView l) const { return l.Hash(); }
  size_t operator()(const Labels& l) const { return l.Hash(); }
};
struct LabelsEqual {
  using is_transparent = void;
  bool operator()(LabelsView a, LabelsView b) const { return a == b; }
};

bool IsLegacyLabelName(std::string_view name);   // [a-zA-Z_][a-zA-Z0-9_]*
bool IsLegacyMetricName(std::string_view name);  // ... and colons
bool IsValidLabelName(std::string_view name);    // UTF-8, not empty
bool IsValidMetricName(std::string_view name);   // UTF-8, not empty

inline void LabelsView::Iterator::Read() {
  if (p_ == end_) return;
  const char* p = p_;
  for (std::string_view* part : {&label_.name, &label_.value}) {
    size_t length = static_cast<unsigned char>(*p++);
    if (length == 255) {
      length = static_cast<unsigned char>(p[0]) | static_cast<unsigned char>(p[1]) << 8 |
               static_cast<unsigned char>(p[2]) << 16;
      p += 3;
    }
    *part = std::string_view(p, length);
    p += length;
  }
  next_ = p;
}

}  // namespace tocsin::model
