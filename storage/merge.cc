#include "storage/merge.h"

#include <algorithm>
#include <cstring>
#include <queue>

namespace tocsin::storage {
namespace {

class MergedSet : public SeriesSet {
 public:
  // Where a series comes from: [first_source, first_source of the next) in sources_.
  struct Source {
    uint32_t part;
    uint32_t index;
  };

  explicit MergedSet(std::vector<std::unique_ptr<SeriesSet>> parts, size_t limit) : parts_(std::move(parts)) {
    // A heap of the parts' next series; equal labels come out in the order of the parts.
    const auto after = [this](const Source& a, const Source& b) {
      const auto order = parts_[a.part]->labels(a.index) <=> parts_[b.part]->labels(b.index);
      return order != 0 ? order > 0 : a.part > b.part;
    };
    std::priority_queue<Source, std::vector<Source>, decltype(after)> next(after);
    for (uint32_t p = 0; p < parts_.size(); ++p) {
      if (parts_[p]->size() > 0) next.push({p, 0});
    }
    while (!next.empty()) {
      const Source s = next.top();
      next.pop();
      const bool same = !sources_.empty() &&
                        parts_[sources_.back().part]->labels(sources_.back().index) == parts_[s.part]->labels(s.index);
      if (!same) {
        if (limit > 0 && first_.size() == limit) break;
        first_.push_back(static_cast<uint32_t>(sources_.size()));
      }
      sources_.push_back(s);
      if (s.index + 1 < parts_[s.part]->size()) next.push({s.part, s.index + 1});
    }
    first_.push_back(static_cast<uint32_t>(sources_.size()));
  }

  size_t size() const override { return first_.size() - 1; }
  model::LabelsView labels(size_t i) const override {
    const Source& s = sources_[first_[i]];
    return parts_[s.part]->labels(s.index);
  }

  base::Status Read(size_t first, size_t count, Window window, SampleColumns* out) const override {
    out->Clear();
    out->offsets.push_back(0);
    std::vector<SampleColumns> columns;
    for (size_t i = first; i < first + count; ++i) {
      const uint32_t begin = first_[i], end = first_[i + 1];
      if (columns.size() < end - begin) columns.resize(end - begin);
      for (uint32_t s = begin; s < end; ++s) {
        RETURN_IF_ERROR(parts_[sources_[s].part]->Read(sources_[s].index, 1, window, &columns[s - begin]));
      }
      MergeSamples(std::span(columns).first(end - begin), out);
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    return {};
  }

  base::Status ReadLast(size_t first, size_t count, Window window, LastColumns* out) const override {
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    out->histograms.clear();
    LastColumns one;
    for (size_t i = first; i < first + count; ++i) {
      const size_t place = i - first;
      for (uint32_t s = first_[i]; s < first_[i + 1]; ++s) {
        RETURN_IF_ERROR(parts_[sources_[s].part]->ReadLast(sources_[s].index, 1, window, &one));
        if (one.times[0] <= out->times[place]) continue;
        out->times[place] = one.times[0];
        std::memcpy(&out->values[place], &one.values[0], sizeof(double));  // a stale marker keeps its bits
        if (!one.histograms.empty() && one.histograms[0] != nullptr) {
          if (out->histograms.empty()) out->histograms.resize(count);
          out->histograms[place] = one.histograms[0];
        } else if (!out->histograms.empty()) {
          out->histograms[place] = nullptr;
        }
      }
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<SeriesSet>> parts_;
  std::vector<Source> sources_;
  std::vector<uint32_t> first_;
};

class MergeQuerier : public Querier {
 public:
  explicit MergeQuerier(std::vector<std::unique_ptr<Querier>> parts) : parts_(std::move(parts)) {}

  base::Result<std::unique_ptr<SeriesSet>> Select(const SelectHints& hints,
                                                  std::span<const model::Matcher> matchers) override {
    std::vector<std::unique_ptr<SeriesSet>> sets;
    SelectHints sorted = hints;
    sorted.sorted = true;  // merging needs the order
    sorted.limit = 0;
    for (const auto& part : parts_) {
      ASSIGN_OR_RETURN(std::unique_ptr<SeriesSet> set, part->Select(parts_.size() == 1 ? hints : sorted, matchers));
      if (set->size() > 0 || parts_.size() == 1) sets.push_back(std::move(set));
    }
    if (sets.size() == 1 && (hints.limit == 0 || sets[0]->size() <= hints.limit)) return std::move(sets[0]);
    return std::make_unique<MergedSet>(std::move(sets), hints.limit);
  }

  base::Result<std::vector<std::string>> LabelNames(const LabelQuery& query,
                                                    std::span<const model::Matcher> matchers) override {
    return Strings(query.limit, [&](Querier* q) { return q->LabelNames(query, matchers); });
  }
  base::Result<std::vector<std::string>> LabelValues(std::string_view name, const LabelQuery& query,
                                                     std::span<const model::Matcher> matchers) override {
    return Strings(query.limit, [&](Querier* q) { return q->LabelValues(name, query, matchers); });
  }

 private:
  template <class Ask>
  base::Result<std::vector<std::string>> Strings(size_t limit, Ask ask) {
    std::vector<std::string> out;
    for (const auto& part : parts_) {
      ASSIGN_OR_RETURN(std::vector<std::string> some, ask(part.get()));
      out.insert(out.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    }
    if (parts_.size() > 1) {
      std::sort(out.begin(), out.end());
      out.erase(std::unique(out.begin(), out.end()), out.end());
    }
    if (limit > 0 && out.size() > limit) out.resize(limit);
    return out;
  }

  std::vector<std::unique_ptr<Querier>> parts_;
};

}  // namespace

std::unique_ptr<Querier> MakeMergeQuerier(std::vector<std::unique_ptr<Querier>> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  return std::make_unique<MergeQuerier>(std::move(parts));
}

std::unique_ptr<Querier> MergeQueryable::NewQuerier(Window window) {
  std::vector<std::unique_ptr<Querier>> queriers;
  for (Queryable* part : parts_) queriers.push_back(part->NewQuerier(window));
  return MakeMergeQuerier(std::move(queriers));
}

base::Result<std::vector<ExemplarSeries>> MergeQueryable::SelectExemplars(Window window,
                                                                          std::span<const model::Matchers> any_of) {
  std::vector<ExemplarSeries> all;
  for (Queryable* part : parts_) {
    ASSIGN_OR_RETURN(std::vector<ExemplarSeries> some, part->SelectExemplars(window, any_of));
    for (ExemplarSeries& s : some) {
      const auto it = std::find_if(all.begin(), all.end(), [&](const ExemplarSeries& a) { return a.labels == s.labels; });
      if (it == all.end()) {
        all.push_back(std::move(s));
        continue;
      }
      it->exemplars.insert(it->exemplars.end(), s.exemplars.begin(), s.exemplars.end());
      std::stable_sort(it->exemplars.begin(), it->exemplars.end(),
                       [](const model::Exemplar& a, const model::Exemplar& b) { return a.t < b.t; });
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.labels < b.labels; });
  return all;
}

void MergeSamples(std::span<const SampleColumns> parts, SampleColumns* out) {
  struct Cursor {
    size_t at = 0;
    size_t histogram = 0;
  };
  std::vector<Cursor> cursors(parts.size());
  for (;;) {
    size_t best = parts.size();
    for (size_t p = 0; p < parts.size(); ++p) {
      if (cursors[p].at == parts[p].times.size()) continue;
      if (best == parts.size() || parts[p].times[cursors[p].at] < parts[best].times[cursors[best].at]) best = p;
    }
    if (best == parts.size()) return;
    const model::Timestamp t = parts[best].times[cursors[best].at];
    for (size_t p = 0; p < parts.size(); ++p) {
      Cursor& c = cursors[p];
      if (c.at == parts[p].times.size() || parts[p].times[c.at] != t) continue;
      const bool histogram = c.histogram < parts[p].histogram_at.size() && parts[p].histogram_at[c.histogram] == c.at;
      if (p == best) {
        if (histogram) {
          out->histogram_at.push_back(static_cast<uint32_t>(out->times.size()));
          out->histograms.push_back(parts[p].histograms[c.histogram]);
        }
        out->times.push_back(t);
        out->values.push_back(parts[p].values[c.at]);
      }
      ++c.at;
      c.histogram += histogram;
    }
  }
}

}  // namespace tocsin::storage
