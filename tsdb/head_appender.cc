// A batch on its way into the head: see head.h.

#include <absl/container/flat_hash_map.h>

#include <algorithm>

#include "base/check.h"
#include "tsdb/head.h"
#include "tsdb/page_cursor.h"

namespace tocsin::tsdb {

using storage::AppendOutcome;
using storage::FloatSample;

class HeadAppender : public storage::Appender {
 public:
  explicit HeadAppender(Head* head) : head_(head), id_(head->isolation_.EnterWriter()) {
    head_->metrics_->appenders_created->Add();
    const model::Timestamp max = head_->max_time();
    min_valid_ = head_->min_valid_time();
    // Half a range behind the newest sample: what is older may be in a block that is being cut.
    if (max != model::kMinTimestamp) min_valid_ = std::max(min_valid_, max - head_->options_.chunk_range_ms / 2);
    window_ = head_->out_of_order_ms();
    late_after_ = max == model::kMinTimestamp ? model::kMinTimestamp : max - window_;
  }
  ~HeadAppender() override {
    Finish();
    head_->isolation_.Leave(id_);
  }

  base::Result<storage::SeriesRef> Resolve(model::LabelsView labels) override;
  void Append(std::span<const FloatSample> samples, std::span<AppendOutcome> outcomes) override;
  AppendOutcome AppendHistogram(storage::SeriesRef ref, model::Timestamp t, model::HistogramPtr h) override {
    return AppendStartedHistogram(ref, t, 0, std::move(h));
  }
  void AppendStarted(std::span<const FloatSample> samples, std::span<const model::Timestamp> starts,
                     std::span<AppendOutcome> outcomes) override;
  AppendOutcome AppendStartedHistogram(storage::SeriesRef ref, model::Timestamp t, model::Timestamp start,
                                       model::HistogramPtr h) override;
  AppendOutcome AppendExemplar(storage::SeriesRef ref, const model::Exemplar& exemplar) override;
  void UpdateMetadata(storage::SeriesRef ref, const model::Metadata& metadata) override;
  void SetInOrderOnly(bool on) override { in_order_only_ = on; }
  base::Status Commit(storage::Durability durability) override;
  void Rollback() override {
    Finish();
    repeats_ = false;
  }
  storage::SyncTicket ticket() const override { return ticket_; }

 private:
  // By slot, the newest of a list of samples in order of their coming; found out when it is asked for.
  class Newest {
   public:
    template <class Sample>
    const Sample* Find(Slot slot, const std::vector<Slot>& slots, const std::vector<Sample>& samples) {
      if (slots.empty()) return nullptr;
      if (slots.back() == slot) return &samples.back();
      for (; known_ < slots.size(); ++known_) at_[slots[known_]] = known_;
      const auto found = at_.find(slot);
      return found == at_.end() ? nullptr : &samples[found->second];
    }
    void Clear() {
      at_.clear();
      known_ = 0;
    }

   private:
    absl::flat_hash_map<Slot, size_t> at_;  // of the first `known_`
    size_t known_ = 0;
  };
  enum class Place { kInOrder, kRepeat, kLate };
  struct Verdict {
    AppendOutcome outcome;
    Place place;
  };
  // Where a sample at `t` goes; `same` says whether it equals the last one.
  template <class Same>
  Verdict Judge(const SeriesPage& page, uint32_t at, model::Timestamp t, Same same) const;
  // Of one before the series' newest.
  Verdict JudgeLate(model::Timestamp t) const;
  void Count(AppendOutcome outcome, bool histogram);
  void Pin(SeriesPage* page, uint32_t at, Slot slot) {
    ++page->pending[at];
    if (page->has(at, SeriesPage::kUnlogged)) [[unlikely]] unlogged_.push_back(slot);
  }
  // The newest that this batch has of a series already; null: nothing.  Looked for where the series is pinned.
  const FloatSample* Pending(Slot slot) { return newest_.Find(slot, slots_, samples_); }
  const wal::HistogramEntry* PendingHistogram(Slot slot) {
    return newest_histogram_.Find(slot, histogram_slots_, histograms_);
  }
  // Unpins everything and empties the batch.
  void Finish();
  std::vector<wal::PackedRecord> PackRecords() const;
  // For append `number` of the log, and what the batch repeats.
  storage::SyncTicket TicketFor(uint64_t number);
  wal::PackedRecord PackSeries();
  // Errors: those of the log of late samples; what is not late is in the chunks then.
  base::Status Apply(uint64_t batch) TOCSIN_REQUIRES(head_->commit_mu_);
  // Late samples from these on.
  base::Status LogLate(size_t first_float, size_t first_histogram) TOCSIN_REQUIRES(head_->commit_mu_);
  // Whether another batch has put a later sample there since this one was judged, so that it is late now.
  bool IsOvertaken(const SeriesPage& page, uint32_t at, model::Timestamp t) const {
    return window_ > 0 && !in_order_only_ && t >= late_after_ && t < MaxTimeOf(page, at);
  }
  // Makes samples late that a cut of the head has overtaken since they were judged.
  void MoveBehindCut(model::Timestamp bound);
  // Logs, applies and publishes.  `number`: what to wait for.
  base::Status CommitLocked(std::vector<wal::PackedRecord> records, uint64_t* number) TOCSIN_REQUIRES(head_->commit_mu_);

  Head* const head_;
  const uint64_t id_;
  model::Timestamp min_valid_;
  int64_t window_;
  model::Timestamp late_after_;
  bool in_order_only_ = false;
  storage::SyncTicket ticket_ = 0;
  bool repeats_ = false;  // something of the batch was there already

  // Where in the batch a float follows a histogram of its series: what is before it is logged and applied first.
  struct Part {
    size_t floats, histograms;
  };
  Part PartBegin(size_t part) const { return part == 0 ? Part{0, 0} : parts_[part - 1]; }
  Part PartEnd(size_t part) const { return part < parts_.size() ? parts_[part] : Part{samples_.size(), histograms_.size()}; }

  // The batch.  Slots beside samples; each entry pins its slot once.
  std::vector<FloatSample> samples_;
  std::vector<Slot> slots_;
  Newest newest_, newest_histogram_;
  std::vector<wal::HistogramEntry> histograms_;
  std::vector<Slot> histogram_slots_;
  std::vector<Part> parts_;  // where all but the last end
  std::vector<FloatSample> late_;
  std::vector<Slot> late_slots_;
  // Start times, beside samples_ and late_: where one is known, so that started_, each has one once the batch is committed.
  std::vector<model::Timestamp> starts_, late_starts_;
  bool started_ = false;
  std::vector<wal::HistogramEntry> late_histograms_;
  std::vector<Slot> late_histogram_slots_;
  std::vector<wal::ExemplarEntry> exemplars_;
  std::vector<Slot> exemplar_slots_;
  std::vector<wal::MetadataEntry> metadata_;
  std::vector<Slot> created_;    // by this appender: pinned until it ends
  std::vector<Slot> unlogged_;   // whose series record is to be written, perhaps by us
  std::vector<Slot> sealed_;     // whose chunk was sealed by the batch
};

std::unique_ptr<storage::Appender> Head::NewAppender() { return std::make_unique<HeadAppender>(this); }

base::Result<storage::SeriesRef> HeadAppender::Resolve(model::LabelsView labels) {
  if (labels.empty()) return base::InvalidArgument("a series without labels; give it at least a metric name");
  const Head::Probe probe = Head::ProbeOf(labels);
  const auto ref_of = [&](Slot slot) {
    PageHandle* page = head_->table_.PageOf(slot);
    base::MutexLock lock(&page->mu);
    return page->data->ref[SeriesTable::At(slot)];
  };
  {
    base::ReaderLock lock(&head_->index_mu_);
    if (const std::optional<Slot> slot = head_->FindSeries(probe)) return ref_of(*slot);
  }
  base::WriterLock lock(&head_->index_mu_);
  if (const std::optional<Slot> slot = head_->FindSeries(probe)) return ref_of(*slot);
  RETURN_IF_ERROR(head_->ReserveRefs(head_->next_ref_));
  const storage::SeriesRef ref = head_->next_ref_++;
  const Slot slot = head_->CreateSeries(ref, probe);
  PageHandle* page = head_->table_.PageOf(slot);
  base::MutexLock page_lock(&page->mu);
  Pin(page->data.get(), SeriesTable::At(slot), slot);
  created_.push_back(slot);
  return ref;
}

template <class Same>
HeadAppender::Verdict HeadAppender::Judge(const SeriesPage& page, uint32_t at, model::Timestamp t, Same same) const {
  if (t >= min_valid_) [[likely]] {
    if (t > page.last_t[at] || !page.has(at, SeriesPage::kHasSamples)) [[likely]] return {AppendOutcome::kOk, Place::kInOrder};
    if (t == page.last_t[at]) {
      return same() ? Verdict{AppendOutcome::kOk, Place::kRepeat}
                    : Verdict{AppendOutcome::kDuplicateTimestamp, Place::kRepeat};
    }
  }
  return JudgeLate(t);
}

HeadAppender::Verdict HeadAppender::JudgeLate(model::Timestamp t) const {
  head_->metrics_->out_of_order_delta->Observe(static_cast<double>(head_->max_time()) / 1000 - static_cast<double>(t) / 1000);
  if (window_ > 0 && !in_order_only_) {
    return t >= late_after_ ? Verdict{AppendOutcome::kOk, Place::kLate} : Verdict{AppendOutcome::kTooOld, Place::kLate};
  }
  return {t < min_valid_ ? AppendOutcome::kOutOfBounds : AppendOutcome::kOutOfOrder, Place::kLate};
}

void HeadAppender::Count(AppendOutcome outcome, bool histogram) {
  Metrics& m = *head_->metrics_;
  switch (outcome) {
    case AppendOutcome::kOutOfOrder: (histogram ? m.out_of_order_histogram : m.out_of_order_float)->Add(); break;
    case AppendOutcome::kOutOfBounds: (histogram ? m.out_of_bound_histogram : m.out_of_bound_float)->Add(); break;
    case AppendOutcome::kTooOld: (histogram ? m.too_old_histogram : m.too_old_float)->Add(); break;
    case AppendOutcome::kUnknownSeries: m.series_not_found->Add(); break;
    default: break;
  }
}

void HeadAppender::Append(std::span<const FloatSample> samples, std::span<AppendOutcome> outcomes) {
  TOCSIN_CHECK(samples.size() == outcomes.size()) << samples.size() << " samples, " << outcomes.size() << " outcomes";
  // A scrape comes as its samples and then a few about itself, which must not move the others.
  constexpr size_t kFew = 16;
  if (const size_t room = samples_.size() + samples.size(); room > samples_.capacity()) {
    samples_.reserve(room + kFew);
    slots_.reserve(room + kFew);
  }
  PageCursor cursor(head_->table_);
  for (size_t i = 0; i < samples.size(); ++i) {
    const FloatSample& s = samples[i];
    const Slot slot = head_->refs_.Find(s.ref);
    SeriesPage* page = slot == RefTable::kNone ? nullptr : cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    if (page == nullptr || page->ref[at] != s.ref) [[unlikely]] {
      outcomes[i] = AppendOutcome::kUnknownSeries;
      Count(outcomes[i], false);
      continue;
    }
    Verdict v = Judge(*page, at, s.t, [&] {
      return model::SameBits(page->last_v[at], s.v) && !page->has(at, SeriesPage::kHistogramRun);
    });
    if (page->pending[at] > 0 && v.outcome == AppendOutcome::kOk && v.place == Place::kInOrder) [[unlikely]] {
      // A request may have a series twice, in any order.
      if (const FloatSample* mine = Pending(slot); mine != nullptr && s.t <= mine->t) {
        if (s.t == mine->t) {
          v = {model::SameBits(s.v, mine->v) ? AppendOutcome::kOk : AppendOutcome::kDuplicateTimestamp, Place::kRepeat};
        } else {
          v = JudgeLate(s.t);
        }
      } else if (const wal::HistogramEntry* other = PendingHistogram(slot); other != nullptr) {
        if (s.t <= other->t) {
          v = s.t < other->t ? JudgeLate(s.t) : Verdict{AppendOutcome::kDuplicateTimestamp, Place::kRepeat};
        } else if (static_cast<size_t>(other - histograms_.data()) >= PartBegin(parts_.size()).histograms) {
          parts_.push_back(PartEnd(parts_.size()));
        }
      }
    }
    outcomes[i] = v.outcome;
    if (v.outcome == AppendOutcome::kOk && v.place == Place::kInOrder) [[likely]] {
      samples_.push_back(s);
      slots_.push_back(slot);
      Pin(page, at, slot);
    } else if (v.outcome == AppendOutcome::kOk && v.place == Place::kLate) {
      late_.push_back(s);
      late_slots_.push_back(slot);
      Pin(page, at, slot);
    } else if (v.outcome != AppendOutcome::kOk) {
      Count(v.outcome, false);
    } else {
      repeats_ = true;
    }
  }
}

// What was taken of the samples stands in their order among those in order, or among the late ones.
void HeadAppender::AppendStarted(std::span<const FloatSample> samples, std::span<const model::Timestamp> starts,
                                 std::span<AppendOutcome> outcomes) {
  TOCSIN_CHECK(samples.size() == starts.size()) << samples.size() << " samples, " << starts.size() << " start times";
  size_t next = samples_.size(), next_late = late_.size();
  Append(samples, outcomes);
  if (!head_->options_.start_times) return;
  const auto is_next = [](const std::vector<FloatSample>& taken, size_t at, const FloatSample& s) {
    return at < taken.size() && taken[at].ref == s.ref && taken[at].t == s.t;
  };
  const auto note = [&](std::vector<model::Timestamp>* of, size_t at, size_t i) {
    if (starts[i] == 0 || model::IsStale(samples[i].v)) return;
    of->resize(at + 1);
    of->back() = starts[i];
    started_ = true;
  };
  for (size_t i = 0; i < samples.size(); ++i) {
    if (outcomes[i] != AppendOutcome::kOk) continue;
    if (is_next(samples_, next, samples[i])) {
      note(&starts_, next++, i);
    } else if (is_next(late_, next_late, samples[i])) {
      note(&late_starts_, next_late++, i);
    }
  }
}

AppendOutcome HeadAppender::AppendStartedHistogram(storage::SeriesRef ref, model::Timestamp t, model::Timestamp start,
                                                   model::HistogramPtr h) {
  if (!h->IsStale() && !h->Validate()) return AppendOutcome::kInvalidHistogram;
  PageCursor cursor(head_->table_);
  const Slot slot = head_->refs_.Find(ref);
  SeriesPage* page = slot == RefTable::kNone ? nullptr : cursor.MoveTo(slot);
  const uint32_t at = SeriesTable::At(slot);
  if (page == nullptr || page->ref[at] != ref) {
    Count(AppendOutcome::kUnknownSeries, true);
    return AppendOutcome::kUnknownSeries;
  }
  // What is stored has the hint its readers see; the rest must be equal.
  const auto equals = [&](model::Histogram last) {
    last.counter_reset = h->counter_reset;
    return last == *h;
  };
  Verdict v = Judge(*page, at, t, [&] {
    return page->has(at, SeriesPage::kHistogramRun) && equals(*page->run(at)->histograms.back());
  });
  if (page->pending[at] > 0 && v.outcome == AppendOutcome::kOk && v.place == Place::kInOrder) [[unlikely]] {
    const wal::HistogramEntry* mine = PendingHistogram(slot);
    const FloatSample* other = Pending(slot);
    if (mine != nullptr && t == mine->t) {
      v = {equals(*mine->histogram) ? AppendOutcome::kOk : AppendOutcome::kDuplicateTimestamp, Place::kRepeat};
    } else if (other != nullptr && t == other->t) {
      v = {AppendOutcome::kDuplicateTimestamp, Place::kRepeat};
    } else if ((mine != nullptr && t < mine->t) || (other != nullptr && t < other->t)) {
      v = JudgeLate(t);
    }
  }
  if (v.outcome != AppendOutcome::kOk) {
    Count(v.outcome, true);
    return v.outcome;
  }
  if (v.place == Place::kRepeat) {
    repeats_ = true;
    return v.outcome;
  }
  Pin(page, at, slot);
  const bool late = v.place == Place::kLate;
  if (!head_->options_.start_times || h->IsStale()) start = 0;
  (late ? late_histograms_ : histograms_).push_back({ref, t, std::move(h), start});
  (late ? late_histogram_slots_ : histogram_slots_).push_back(slot);
  return v.outcome;
}

AppendOutcome HeadAppender::AppendExemplar(storage::SeriesRef ref, const model::Exemplar& exemplar) {
  if (!head_->exemplars_.enabled()) return AppendOutcome::kOk;
  PageCursor cursor(head_->table_);
  const Slot slot = head_->refs_.Find(ref);
  SeriesPage* page = slot == RefTable::kNone ? nullptr : cursor.MoveTo(slot);
  const uint32_t at = SeriesTable::At(slot);
  if (page == nullptr || page->ref[at] != ref) return AppendOutcome::kUnknownSeries;
  const AppendOutcome outcome = head_->exemplars_.Check(ref, exemplar);
  if (outcome == AppendOutcome::kDuplicateTimestamp) return AppendOutcome::kOk;
  if (outcome != AppendOutcome::kOk) {
    head_->metrics_->exemplars_out_of_order->Add();
    return outcome;
  }
  Pin(page, at, slot);
  exemplars_.push_back({ref, exemplar});
  exemplar_slots_.push_back(slot);
  return outcome;
}

void HeadAppender::UpdateMetadata(storage::SeriesRef ref, const model::Metadata& metadata) {
  if (head_->refs_.Find(ref) == RefTable::kNone) return;
  base::MutexLock lock(&head_->metadata_mu_);
  const auto it = head_->metadata_.find(ref);
  if (it != head_->metadata_.end() && it->second == metadata) return;
  metadata_.push_back({ref, metadata});
}

void HeadAppender::Finish() {
  PageCursor cursor(head_->table_);
  for (const std::vector<Slot>* slots : {&slots_, &histogram_slots_, &late_slots_, &late_histogram_slots_,
                                         &exemplar_slots_, &created_}) {
    for (const Slot slot : *slots) --cursor.MoveTo(slot)->pending[SeriesTable::At(slot)];
  }
  cursor.Release();
  samples_.clear(), slots_.clear();
  histograms_.clear(), histogram_slots_.clear();
  parts_.clear();
  newest_.Clear(), newest_histogram_.Clear();
  late_.clear(), late_slots_.clear();
  starts_.clear(), late_starts_.clear();
  started_ = false;
  late_histograms_.clear(), late_histogram_slots_.clear();
  exemplars_.clear(), exemplar_slots_.clear();
  metadata_.clear(), created_.clear(), unlogged_.clear();
}

// The records of the batch but for the series', in the order they are replayed.
std::vector<wal::PackedRecord> HeadAppender::PackRecords() const {
  std::vector<wal::PackedRecord> records;
  std::string record;
  const auto put = [&] {
    if (!record.empty()) records.push_back(wal::Pack(std::exchange(record, {}), head_->options_.compression));
  };
  if (!metadata_.empty()) wal::EncodeMetadata(metadata_, &record);
  put();
  const auto put_histograms = [&](std::span<const wal::HistogramEntry> list) {
    wal::ForEachKind(list, [&](std::span<const wal::HistogramEntry> some) {
      wal::EncodeHistograms(some, &record);
      put();
    });
  };
  for (size_t part = 0; part <= parts_.size(); ++part) {
    const Part begin = PartBegin(part), end = PartEnd(part);
    const auto floats = std::span(samples_).subspan(begin.floats, end.floats - begin.floats);
    const auto starts = started_ ? std::span(starts_).subspan(begin.floats, floats.size()) : std::span(starts_);
    if (!floats.empty()) records.push_back(wal::PackSamples(floats, head_->options_.compression, starts));
    put_histograms(std::span(histograms_).subspan(begin.histograms, end.histograms - begin.histograms));
  }
  put_histograms(late_histograms_);
  // Late ones are replayed from wbl/; here so that remote write sees them.
  if (!late_.empty()) records.push_back(wal::PackSamples(late_, head_->options_.compression, late_starts_));
  wal::EncodeExemplars(exemplars_, &record);
  put();
  return records;
}

// Series that nobody has logged yet.  Under commit_mu_, so that none is logged twice.
wal::PackedRecord HeadAppender::PackSeries() {
  std::string record, labels;
  PageCursor cursor(head_->table_);
  std::sort(unlogged_.begin(), unlogged_.end());
  unlogged_.erase(std::unique(unlogged_.begin(), unlogged_.end()), unlogged_.end());
  std::erase_if(unlogged_, [&](Slot slot) { return !cursor.MoveTo(slot)->has(SeriesTable::At(slot), SeriesPage::kUnlogged); });
  for (const Slot slot : unlogged_) {
    const SeriesPage* page = cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    labels.clear();
    head_->EncodeLabels(*page->labels[at], &labels);
    wal::EncodeSeries(page->ref[at], model::LabelsView(labels), &record);
  }
  return wal::Pack(std::move(record), head_->options_.compression);
}

base::Status HeadAppender::Commit(storage::Durability durability) {
  if (samples_.empty() && histograms_.empty() && late_.empty() && late_histograms_.empty() && exemplars_.empty() &&
      metadata_.empty() && unlogged_.empty()) {
    Finish();
    ticket_ = TicketFor(0);
    return durability == storage::Durability::kSynced ? head_->WaitSynced(ticket_) : base::Status();
  }
  if (started_) {
    starts_.resize(samples_.size());
    late_starts_.resize(late_.size());
  }
  uint64_t number = 0;
  std::vector<wal::PackedRecord> records;
  if (head_->log_ != nullptr) records = PackRecords();
  base::Status status;
  {
    base::MutexLock commit(&head_->commit_mu_);
    status = CommitLocked(std::move(records), &number);
  }
  if (!sealed_.empty()) {
    head_->QueueSealed(sealed_);
    sealed_.clear();
  }
  Finish();
  if (!status) {
    ticket_ = 0;
    repeats_ = false;
    return status;
  }
  head_->FlushIfDue();
  ticket_ = TicketFor(number);
  return durability == storage::Durability::kSynced ? head_->WaitSynced(ticket_) : base::Status();
}

storage::SyncTicket HeadAppender::TicketFor(uint64_t number) {
  const bool repeats = std::exchange(repeats_, false);
  if (head_->log_ == nullptr || !head_->options_.sync) return 0;
  // What the batch repeats is promised as well.  Who logged it may not have waited, or in vain.
  if (!repeats) return number;
  return head_->log_in_doubt() ? head_->failed_ticket_.load(std::memory_order_relaxed) : head_->log_->appended();
}

base::Status Head::WaitSynced(storage::SyncTicket ticket) {
  if (ticket == 0) return {};
  if (ticket <= checkpointed_.load(std::memory_order_relaxed)) {
    // A ticket of the log in doubt stands for its batch too, which the checkpoint may not have.
    ticket = log_->appended();
    if (ticket <= checkpointed_.load(std::memory_order_relaxed)) return {};
  }
  base::Status synced = log_->WaitSynced(ticket);
  if (synced) return synced;
  for (auto now = failed_ticket_.load(std::memory_order_relaxed); now < ticket;) {
    if (failed_ticket_.compare_exchange_weak(now, ticket, std::memory_order_relaxed)) break;
  }
  return synced;
}

base::Status HeadAppender::CommitLocked(std::vector<wal::PackedRecord> records, uint64_t* number) {
  if (head_->log_ != nullptr) {
    if (!unlogged_.empty()) {
      wal::PackedRecord series = PackSeries();
      if (!series.bytes.empty()) records.insert(records.begin(), std::move(series));
    }
    if (!records.empty()) {
      const base::Result<uint64_t> written = head_->log_->Append(records);
      if (!written) return std::unexpected(written.error().Within("write-ahead log"));
      *number = *written;
    }
  }
  if (const model::Timestamp bound = head_->min_valid_time(); bound > min_valid_) [[unlikely]] MoveBehindCut(bound);
  RETURN_IF_ERROR(LogLate(0, 0));
  {
    PageCursor cursor(head_->table_);
    for (const Slot slot : unlogged_) {
      cursor.MoveTo(slot)->flags[SeriesTable::At(slot)] &= static_cast<uint8_t>(~SeriesPage::kUnlogged);
    }
  }
  const uint64_t batch = head_->next_batch_++;
  const base::Status applied = Apply(batch);
  head_->isolation_.Publish(batch);
  return applied;
}

base::Status HeadAppender::LogLate(size_t first_float, size_t first_histogram) {
  if (head_->log_ == nullptr || (first_float == late_.size() && first_histogram == late_histograms_.size())) return {};
  const auto from = [](const auto& all, size_t first) { return std::vector(all.begin() + static_cast<ptrdiff_t>(std::min(first, all.size())), all.end()); };
  const auto logged = head_->LogLate({.markers = {},
                                      .floats = from(late_, first_float),
                                      .starts = from(late_starts_, first_float),
                                      .histograms = from(late_histograms_, first_histogram)});
  if (!logged) return std::unexpected(logged.error().Within("out-of-order log"));
  if (!head_->options_.sync) return {};
  // Late samples are rare; they are synced at once rather than waited for in two logs.
  const base::Status synced = head_->late_log_->WaitSynced(*logged);
  return synced ? base::Status() : std::unexpected(synced.error().Within("out-of-order log"));
}

void HeadAppender::MoveBehindCut(model::Timestamp bound) {
  // `starts` is empty, or as long as `samples`.
  const auto move = [this, bound](auto* samples, std::vector<Slot>* slots, std::vector<model::Timestamp>* starts, auto* late,
                                  std::vector<Slot>* late_slots, std::vector<model::Timestamp>* late_starts, size_t Part::*end) {
    size_t kept = 0, part = 0;
    for (size_t i = 0; i < samples->size(); ++i) {
      for (; part < parts_.size() && parts_[part].*end == i; ++part) parts_[part].*end = kept;
      const bool behind = (*samples)[i].t < bound;
      if (behind) {
        late->push_back(std::move((*samples)[i]));
        late_slots->push_back((*slots)[i]);
        if (!starts->empty()) late_starts->push_back((*starts)[i]);
      } else {
        if (!starts->empty()) (*starts)[kept] = (*starts)[i];
        if (kept != i) (*samples)[kept] = std::move((*samples)[i]);
        (*slots)[kept++] = (*slots)[i];
      }
    }
    for (; part < parts_.size(); ++part) parts_[part].*end = kept;
    samples->resize(kept);
    slots->resize(kept);
    if (!starts->empty()) starts->resize(kept);
  };
  move(&samples_, &slots_, &starts_, &late_, &late_slots_, &late_starts_, &Part::floats);
  std::vector<model::Timestamp> none;  // histograms have theirs with them
  move(&histograms_, &histogram_slots_, &none, &late_histograms_, &late_histogram_slots_, &none, &Part::histograms);
}

// Puts the batch into the chunks.  Its samples stay hidden until the batch is published.
base::Status HeadAppender::Apply(uint64_t batch) {
  const uint64_t oldest = head_->isolation_.OldestVisible();
  const uint64_t all_see = std::min(oldest, batch - 1);  // a reader that comes now does not see this batch
  model::Timestamp mint = model::kMaxTimestamp, maxt = model::kMinTimestamp;
  size_t floats = 0, histograms = 0, late = 0, out_of_order = 0, chunks = 0;
  const size_t late_floats = late_.size(), late_runs = late_histograms_.size();  // logged; others may join them
  const bool start_times = head_->options_.start_times, histogram_starts = head_->options_.histogram_start_times;
  PageCursor cursor(head_->table_);
  for (size_t part = 0; part <= parts_.size(); ++part) {
    const Part begin = PartBegin(part), end = PartEnd(part);
    for (size_t i = begin.floats; i < end.floats; ++i) {
      const FloatSample& s = samples_[i];
      SeriesPage* page = cursor.MoveTo(slots_[i]);
      const uint32_t at = SeriesTable::At(slots_[i]);
      if (i + 2 * kPrefetchAhead < samples_.size()) {
        PrefetchOpen(*page, slots_[i], slots_[i + kPrefetchAhead], slots_[i + 2 * kPrefetchAhead]);
      }
      AppendEffect effect;
      if (!page->has(at, SeriesPage::kLateIsNewest) || !IsOvertaken(*page, at, s.t)) [[likely]] {
        effect = AppendFloat(page, at, s.t, s.v, head_->policy_);
      }
      if (!effect.appended) [[unlikely]] {
        // Another batch was first, or the batch has a time twice.
        if (IsOvertaken(*page, at, s.t)) {
          late_.push_back(s);
          late_slots_.push_back(slots_[i]);
          if (started_) late_starts_.push_back(starts_[i]);
          ++page->pending[at];
        } else {
          out_of_order += s.t < page->last_t[at];
        }
        continue;
      }
      if (start_times) [[unlikely]] NoteStart(page, at, started_ ? starts_[i] : 0);
      NoteBatch(page, at, batch, 1, oldest);
      chunks += effect.chunk_created;
      if (effect.sealed) [[unlikely]] sealed_.push_back(slots_[i]);
      if (effect.stale_change != 0) [[unlikely]] head_->stale_.fetch_add(effect.stale_change, std::memory_order_relaxed);
      ++floats;
      mint = std::min(mint, s.t);
      maxt = std::max(maxt, s.t);
    }
    for (size_t i = begin.histograms; i < end.histograms; ++i) {
      const wal::HistogramEntry& h = histograms_[i];
      SeriesPage* page = cursor.MoveTo(histogram_slots_[i]);
      const uint32_t at = SeriesTable::At(histogram_slots_[i]);
      AppendEffect effect;
      if (!page->has(at, SeriesPage::kLateIsNewest) || !IsOvertaken(*page, at, h.t)) {
        effect = tsdb::AppendHistogram(page, at, h.t, h.histogram, head_->policy_);
      }
      if (!effect.appended) {
        if (!IsOvertaken(*page, at, h.t)) continue;
        late_histograms_.push_back(h);
        late_histogram_slots_.push_back(histogram_slots_[i]);
        ++page->pending[at];
        continue;
      }
      if (histogram_starts) NoteStart(page, at, h.start);
      NoteBatch(page, at, batch, 1, oldest);
      chunks += effect.chunk_created;
      if (effect.sealed) sealed_.push_back(histogram_slots_[i]);
      if (effect.stale_change != 0) head_->stale_.fetch_add(effect.stale_change, std::memory_order_relaxed);
      ++histograms;
      mint = std::min(mint, h.t);
      maxt = std::max(maxt, h.t);
    }
  }
  cursor.Release();
  base::Status status = LogLate(late_floats, late_runs);
  const size_t late_kept = status ? late_.size() : late_floats, runs_kept = status ? late_histograms_.size() : late_runs;
  const uint64_t sealable = std::min(all_see, head_->cut_batch_.load(std::memory_order_relaxed));
  const auto put_late = [&](Slot slot, const LateSample& sample, model::Timestamp start) {
    SeriesPage* page = cursor.MoveTo(slot);
    const uint32_t at = SeriesTable::At(slot);
    if (page->has(at, SeriesPage::kOutOfOrder)) {
      const std::vector<LateSample>& waiting = page->late->find(at)->second.samples;
      // Every reader sees all that a chunk holds, and a block that is being cut has all of it.
      const bool seen = std::all_of(waiting.begin(), waiting.end(), [&](const LateSample& l) { return l.batch <= sealable; });
      if (waiting.size() >= kMaxLateSamples && seen) {
        SealLate(page, at, head_->policy_);
        sealed_.push_back(slot);
      }
    }
    if (!InsertLate(page, at, sample, start)) return;
    ++late;
    mint = std::min(mint, sample.t);
    maxt = std::max(maxt, sample.t);
  };
  for (size_t i = 0; i < late_kept; ++i) {
    put_late(late_slots_[i], {late_[i].t, late_[i].v, nullptr, batch}, started_ ? late_starts_[i] : 0);
  }
  for (size_t i = 0; i < runs_kept; ++i) {
    const wal::HistogramEntry& h = late_histograms_[i];
    put_late(late_histogram_slots_[i], {h.t, h.histogram->sum, h.histogram, batch}, histogram_starts ? h.start : 0);
  }
  std::string labels;
  for (size_t i = 0; i < exemplars_.size(); ++i) {
    const SeriesPage* page = cursor.MoveTo(exemplar_slots_[i]);
    labels.clear();
    head_->EncodeLabels(*page->labels[SeriesTable::At(exemplar_slots_[i])], &labels);
    if (head_->exemplars_.Add(exemplars_[i].ref, model::LabelsView(labels), exemplars_[i].exemplar) == AppendOutcome::kOk) {
      head_->metrics_->exemplars_appended->Add();
    }
  }
  cursor.Release();
  if (!metadata_.empty()) {
    base::MutexLock lock(&head_->metadata_mu_);
    for (wal::MetadataEntry& m : metadata_) head_->metadata_[m.ref] = std::move(m.metadata);
  }
  if (mint <= maxt) head_->NoteTimes(mint, maxt);
  head_->oldest_since_ = std::min(head_->oldest_since_, mint);
  head_->chunk_count_.fetch_add(chunks, std::memory_order_relaxed);
  head_->late_samples_.fetch_add(late, std::memory_order_relaxed);
  head_->logged_samples_.fetch_add(floats + histograms, std::memory_order_relaxed);
  Metrics& m = *head_->metrics_;
  if (floats > 0) m.float_samples->Add(static_cast<double>(floats));
  if (histograms > 0) m.histogram_samples->Add(static_cast<double>(histograms));
  if (late > 0) m.out_of_order_appended->Add(static_cast<double>(late));
  if (out_of_order > 0) m.out_of_order_float->Add(static_cast<double>(out_of_order));
  if (chunks > 0) m.chunks_created->Add(static_cast<double>(chunks));
  return status;
}

}  // namespace tocsin::tsdb
