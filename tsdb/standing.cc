#include "tsdb/standing.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "tsdb/head_querier.h"
#include "tsdb/kept_windows.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {
namespace {

// Series read under one hold of a page's lock, so that a writer of the page does not wait long.
constexpr size_t kReadRun = 32;

std::string KeyOf(const model::Matchers& matchers) {
  std::string key;
  for (const model::Matcher& m : matchers) {
    key += m.ToString();
    key += '\0';
  }
  return key;
}

std::string_view NameOf(const model::Matchers& matchers) {
  for (const model::Matcher& m : matchers) {
    if (m.op() == model::MatchOp::kEqual && m.name() == model::kMetricName) return m.value();
  }
  return {};
}

bool LabelsBefore(const Standing::Series& a, const Standing::Series& b) { return a.labels.view() < b.labels.view(); }

}  // namespace

// Windows of a selection's series, for all who read it: its mutex is held for a run of reads.
class Standing::SharedWindows {
 public:
  base::Mutex mu;
  KeptWindows rows TOCSIN_GUARDED_BY(mu);
  SeriesListPtr list TOCSIN_GUARDED_BY(mu) = std::make_shared<SeriesList>();  // that the rows are of

  // A reader that has `of` begins an evaluation that looks at `window`.  False: it reads from chunks, for its
  // window is too long, or another reader has a later list.
  bool Begin(const SeriesListPtr& of, storage::Window window) {
    base::MutexLock lock(&mu);
    if (of->version < list->version) return false;
    if (of != list) Rearrange(of);
    window.after = std::max(window.after, model::kMinTimestamp / 4);  // so that differences fit
    window.upto = std::min(window.upto, model::kMaxTimestamp / 4);
    const int64_t length = window.upto - window.after;
    if (length < 0 || length > longest_kept_) return false;
    // Far behind what others read: time went back.
    if (newest_ - window.upto > 2 * length + kSlackMs) {
      newest_ = window.upto;
      reach_ = 0;
    }
    newest_ = std::max(newest_, window.upto);
    if (newest_ - window.after > longest_kept_) return false;
    reach_ = std::max(reach_, newest_ - window.after);
    rows.Begin(newest_ - reach_);
    if (!rows.too_long()) return true;
    // Perhaps shorter windows can be kept.
    longest_kept_ = reach_ - 1;
    reach_ = 0;
    rows.Clear();
    return false;
  }

 private:
  static constexpr int64_t kSlackMs = 60'000;  // slots of groups of one interval are so far apart, or a bit more

  // What is kept of series that stay goes with them.
  void Rearrange(const SeriesListPtr& of) TOCSIN_REQUIRES(mu) {
    absl::flat_hash_map<storage::SeriesRef, uint32_t> before;
    for (uint32_t i = 0; i < list->series.size(); ++i) before[list->series[i].ref] = i;
    std::vector<uint32_t> from(of->series.size(), KeptWindows::kNew);
    for (size_t i = 0; i < from.size(); ++i) {
      const auto it = before.find(of->series[i].ref);
      if (it != before.end()) from[i] = it->second;
    }
    rows.Rearrange(from);
    list = of;
  }

  model::Timestamp newest_ TOCSIN_GUARDED_BY(mu) = model::kMinTimestamp / 4;  // that was read
  int64_t reach_ TOCSIN_GUARDED_BY(mu) = 0;  // how far before that the readers look
  int64_t longest_kept_ TOCSIN_GUARDED_BY(mu) = model::kMaxTimestamp / 4;
};

Standing::Selection::Selection() : windows(std::make_unique<SharedWindows>()) {}
Standing::Selection::~Selection() = default;

class StandingHeadSet : public storage::KeptSeries {
 public:
  StandingHeadSet(Head* head, Standing::SharedWindows* windows) : head_(head), windows_(*windows) {}

  uint64_t version() const override { return list_->version; }
  size_t size() const override { return list_->series.size(); }
  model::LabelsView labels(size_t i) const override { return list_->series[i].labels; }

  base::Status Read(size_t first, size_t count, storage::Window window, storage::SampleColumns* out) const override {
    out->Clear();
    out->offsets.reserve(count + 1);
    out->offsets.push_back(0);
    Windows windows(this);
    KeptWindows* const rows = windows.rows();
    PageCursor cursor(head_->table_);
    for (size_t i = 0; i < count; ++i) {
      if (i % kReadRun == 0) cursor.Release();
      const Slot slot = list_->series[first + i].slot;
      const SeriesPage& page = *cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      if (rows != nullptr) {
        RETURN_IF_ERROR(rows->Read(first + i, page, at, view_, window, out));
      } else if (page.last_t[at] > window.after || page.has(at, SeriesPage::kOutOfOrder)) {
        RETURN_IF_ERROR(ReadSlot(page, at, window, view_.visible, view_.files, out));
      }
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    out->PadStartTimes();
    return {};
  }

  base::Status ReadLast(size_t first, size_t count, storage::Window window, storage::LastColumns* out) const override {
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    out->histograms.clear();
    Windows windows(this);
    PageCursor cursor(head_->table_);
    size_t done = 0;
    const auto one = [&](size_t row, size_t place) -> base::Status {
      if (++done % (kReadRun * 8) == 0) cursor.Release();
      const Slot slot = list_->series[row].slot;
      const SeriesPage& page = *cursor.MoveTo(slot);
      const uint32_t at = SeriesTable::At(slot);
      if (ReadLastColumn(page, at, view_.visible, window, place, out)) [[likely]] return {};
      // Usually its newest sample is later than asked for.  A page's lock is never held while waiting for windows.
      if (!windows.tried()) {
        cursor.Release();
        windows.rows();
        return Again(row, place, window, &cursor, &windows, out);
      }
      return Slow(row, page, at, place, window, &windows, out);
    };
    if (count < size()) {
      for (size_t i = 0; i < count; ++i) RETURN_IF_ERROR(one(first + i, i));
      return {};
    }
    // In the order of the columns, wherever the results belong.
    for (const uint32_t i : list_->by_slot) RETURN_IF_ERROR(one(i, i));
    return {};
  }

  void Use(const Standing::SeriesListPtr& list) { list_ = list; }
  // The evaluation begins.
  void Begin(uint64_t visible, storage::Window window) {
    view_ = {visible, head_->chunk_files_.get()};
    keeps_ = windows_.Begin(list_, window);
  }

 private:
  // The windows, held from when they are first asked for; none where the set is not of their list.
  class Windows {
   public:
    explicit Windows(const StandingHeadSet* set) : set_(*set) {}
    ~Windows() TOCSIN_NO_THREAD_SAFETY_ANALYSIS {
      if (held_) set_.windows_.mu.Unlock();
    }
    Windows(const Windows&) = delete;
    Windows& operator=(const Windows&) = delete;
    bool tried() const { return held_ || !set_.keeps_; }
    KeptWindows* rows() TOCSIN_NO_THREAD_SAFETY_ANALYSIS {
      if (!tried()) {
        set_.windows_.mu.Lock();
        held_ = true;
        if (set_.windows_.list == set_.list_) rows_ = &set_.windows_.rows;
      }
      return rows_;
    }

   private:
    const StandingHeadSet& set_;
    bool held_ = false;
    KeptWindows* rows_ = nullptr;
  };

  base::Status Again(size_t row, size_t place, storage::Window window, PageCursor* cursor, Windows* windows,
                     storage::LastColumns* out) const {
    const Slot slot = list_->series[row].slot;
    return Slow(row, *cursor->MoveTo(slot), SeriesTable::At(slot), place, window, windows, out);
  }
  base::Status Slow(size_t row, const SeriesPage& page, uint32_t at, size_t place, storage::Window window,
                    Windows* windows, storage::LastColumns* out) const {
    return windows->rows() != nullptr ? windows->rows()->ReadLast(row, page, at, view_, window, place, out)
                                      : ReadLastOf(page, at, view_.visible, view_.files, window, place, out);
  }

  Head* const head_;
  Standing::SharedWindows& windows_;  // the selection's, which the reader holds
  Standing::SeriesListPtr list_ = std::make_shared<Standing::SeriesList>();
  KeptWindows::View view_;
  bool keeps_ = false;
};

class StandingHeadReader : public storage::StandingReader {
 public:
  explicit StandingHeadReader(Standing* source) : source_(source) {}

  storage::KeptSeries* Keep(const model::Matchers& matchers) override {
    Kept& kept = kept_.emplace_back();
    kept.selection = source_->Share(matchers);
    kept.set = std::make_unique<StandingHeadSet>(source_->head_, kept.selection->windows.get());
    current_ = false;
    return kept.set.get();
  }

  bool Enter(storage::Window window) override {
    Head* head = source_->head_;
    view_.emplace(head);
    if (!source_->all_in_head_(window)) {
      view_.reset();
      return false;
    }
    if (!current_ || generation_ != head->Generation()) TakeLists();
    for (const Kept& kept : kept_) kept.set->Begin(view_->visible(), window);
    return true;
  }

  void Leave() override { view_.reset(); }

 private:
  struct Kept {
    Standing::SelectionPtr selection;
    std::unique_ptr<StandingHeadSet> set;
  };

  void TakeLists() {
    base::MutexLock lock(&source_->mu_);
    source_->Refresh();
    for (const Kept& kept : kept_) {
      if (kept.selection->list == nullptr) source_->Resolve(kept.selection.get());
      kept.set->Use(kept.selection->list);
    }
    generation_ = source_->generation_;
    current_ = true;
  }

  Standing* const source_;
  std::vector<Kept> kept_;
  std::optional<HeadView> view_;
  bool current_ = false;     // whether all sets have the lists of generation_
  uint64_t generation_ = 0;
};

std::unique_ptr<storage::StandingReader> Standing::NewReader() { return std::make_unique<StandingHeadReader>(this); }

Standing::SelectionPtr Standing::Share(const model::Matchers& matchers) {
  std::string key = KeyOf(matchers);
  base::MutexLock lock(&mu_);
  std::weak_ptr<Selection>& known = selections_[key];
  if (SelectionPtr shared = known.lock()) return shared;
  auto made = std::make_shared<Selection>();
  made->key = std::move(key);
  made->matchers = matchers;
  known = made;
  // An equal one that nobody holds any more leaves its place to this one.
  std::vector<std::weak_ptr<Selection>>& same_name = by_name_[std::string(NameOf(matchers))];
  std::erase_if(same_name, [](const auto& selection) { return selection.expired(); });
  same_name.push_back(made);
  if (selections_.size() > sweep_at_) Sweep();
  return made;
}

void Standing::Sweep() {
  absl::erase_if(selections_, [](const auto& entry) { return entry.second.expired(); });
  for (auto it = by_name_.begin(); it != by_name_.end();) {
    std::erase_if(it->second, [](const auto& selection) { return selection.expired(); });
    it = it->second.empty() ? by_name_.erase(it) : std::next(it);
  }
  sweep_at_ = 64 + 2 * selections_.size();
}

void Standing::Refresh() {
  if (generation_ == head_->Generation()) return;
  if (const std::optional<storage::SeriesChanges> changes = head_->ChangesSince(generation_)) {
    Apply(*changes);
    generation_ = changes->generation;
    return;
  }
  // Too old: everything is resolved again, when it is next asked for.
  generation_ = head_->Generation();
  for (auto& [key, weak] : selections_) {
    if (SelectionPtr selection = weak.lock()) selection->list = nullptr;
  }
}

// Series that come while it looks are in the list and in the changes: Apply() adds none twice.
void Standing::Resolve(Selection* selection) {
  std::vector<HeadItem> items;
  {
    base::ReaderLock lock(&head_->index_mu_);
    for (const Slot slot : head_->postings_.Select(selection->matchers)) {
      items.push_back({slot, head_->LabelsOfSlot(slot)});
    }
  }
  HeadQuerier::SortByLabels(head_, &items);
  std::vector<Series> series;
  series.reserve(items.size());
  std::string encoded;
  PageCursor cursor(head_->table_);
  for (const HeadItem& item : items) {
    encoded.clear();
    head_->EncodeLabels(*item.labels, &encoded);
    const storage::SeriesRef ref = cursor.MoveTo(item.slot)->ref[SeriesTable::At(item.slot)];
    if (ref == 0) continue;  // removed meanwhile
    series.push_back({item.slot, ref, model::Labels::FromEncoded(encoded)});
  }
  Replace(selection, std::move(series));
}

void Standing::Replace(Selection* selection, std::vector<Series> series) {
  auto list = std::make_shared<SeriesList>();
  list->version = ++last_version_;
  list->series = std::move(series);
  list->by_slot.resize(list->series.size());
  std::iota(list->by_slot.begin(), list->by_slot.end(), 0);
  std::sort(list->by_slot.begin(), list->by_slot.end(),
            [&](uint32_t a, uint32_t b) { return list->series[a].slot < list->series[b].slot; });
  selection->list = std::move(list);
}

void Standing::Apply(const storage::SeriesChanges& changes) {
  // The series that each selection gains.
  absl::flat_hash_map<SelectionPtr, std::vector<Series>> gained;
  const auto offer = [&](std::string_view name, const Series& series) TOCSIN_REQUIRES(mu_) {
    const auto it = by_name_.find(name);
    if (it == by_name_.end()) return;
    for (const std::weak_ptr<Selection>& weak : it->second) {
      SelectionPtr selection = weak.lock();
      if (selection == nullptr || selection->list == nullptr) continue;
      if (model::MatchesAll(selection->matchers, series.labels)) gained[std::move(selection)].push_back(series);
    }
  };
  for (const storage::SeriesChanges::Created& created : changes.created) {
    const Series series{head_->refs_.Find(created.ref), created.ref, created.labels};
    if (series.slot == RefTable::kNone) continue;  // gone again
    const std::string_view name = series.labels.MetricName();
    offer(name, series);
    if (!name.empty()) offer({}, series);
  }
  const absl::flat_hash_set<storage::SeriesRef> lost(changes.deleted.begin(), changes.deleted.end());
  const auto is_lost = [&](const Series& s) { return lost.contains(s.ref); };
  for (auto& [key, weak] : selections_) {
    const SelectionPtr selection = weak.lock();
    if (selection == nullptr || selection->list == nullptr) continue;
    const auto gains = gained.find(selection);
    const std::vector<Series>& now = selection->list->series;
    const bool loses = !lost.empty() && std::ranges::any_of(now, is_lost);
    if (gains == gained.end() && !loses) continue;
    std::vector<Series> kept;
    kept.reserve(now.size() + (gains == gained.end() ? 0 : gains->second.size()));
    std::ranges::copy_if(now, std::back_inserter(kept), [&](const Series& s) { return !loses || !is_lost(s); });
    if (gains != gained.end()) {
      std::vector<Series>& fresh = gains->second;
      std::erase_if(fresh, is_lost);
      std::sort(fresh.begin(), fresh.end(), LabelsBefore);
      const auto middle = kept.insert(kept.end(), fresh.begin(), fresh.end());
      std::inplace_merge(kept.begin(), middle, kept.end(), LabelsBefore);
      kept.erase(std::unique(kept.begin(), kept.end(), [](const Series& a, const Series& b) { return a.ref == b.ref; }),
                 kept.end());
    }
    if (!loses && kept.size() == now.size()) continue;  // it had them already
    Replace(selection.get(), std::move(kept));
  }
}

}  // namespace tocsin::tsdb
