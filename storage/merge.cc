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
    if (count == 0) return {};
    // The series of a batch stand side by side in each part too: one read of each layer of each.
    struct Layer {
      uint32_t part;
      SampleColumns columns;
    };
    const Spread spread = SpreadOf(first, count);
    std::vector<Layer> layers;
    std::vector<uint32_t> layers_of(parts_.size());
    for (uint32_t p = 0; p < parts_.size(); ++p) {
      layers_of[p] = static_cast<uint32_t>(layers.size());
      if (spread.count[p] == 0) continue;
      const size_t n = parts_[p]->layers();
      if (spread.parts == 1 && n == 1) return parts_[p]->Read(spread.first[p], spread.count[p], window, out);
      for (size_t l = 0; l < n; ++l) {
        Layer& layer = layers.emplace_back(p, SampleColumns());
        RETURN_IF_ERROR(n == 1 ? parts_[p]->Read(spread.first[p], spread.count[p], window, &layer.columns)
                               : parts_[p]->ReadLayer(l, spread.first[p], spread.count[p], window, &layer.columns));
      }
    }
    std::vector<SampleRun> runs;
    for (size_t i = first; i < first + count; ++i) {
      runs.clear();
      for (uint32_t s = first_[i]; s < first_[i + 1]; ++s) {
        const Source& source = sources_[s];
        for (size_t l = layers_of[source.part]; l < layers.size() && layers[l].part == source.part; ++l) {
          const SampleColumns& c = layers[l].columns;
          const uint32_t at = source.index - spread.first[source.part];
          runs.push_back({&c, c.offsets[at], c.offsets[at + 1]});
        }
      }
      MergeSamples(runs, out);
      out->offsets.push_back(static_cast<uint32_t>(out->times.size()));
    }
    return {};
  }

  base::Status ReadLast(size_t first, size_t count, Window window, LastColumns* out) const override {
    out->times.assign(count, model::kMinTimestamp);
    out->values.assign(count, 0);
    out->histograms.clear();
    std::vector<LastColumns> last(parts_.size());
    const Spread spread = SpreadOf(first, count);
    for (uint32_t p = 0; p < parts_.size(); ++p) {
      if (spread.count[p] > 0) RETURN_IF_ERROR(parts_[p]->ReadLast(spread.first[p], spread.count[p], window, &last[p]));
    }
    for (size_t i = first; i < first + count; ++i) {
      const size_t place = i - first;
      bool twice = false;
      for (uint32_t s = first_[i]; s < first_[i + 1]; ++s) {
        const LastColumns& part = last[sources_[s].part];
        const size_t at = sources_[s].index - spread.first[sources_[s].part];
        if (part.times[at] == model::kMinTimestamp || part.times[at] < out->times[place]) continue;
        twice = part.times[at] == out->times[place];
        PutLast(place, count, part.times[at], part.values[at], part.histograms.empty() ? nullptr : part.histograms[at], out);
      }
      if (twice) RETURN_IF_ERROR(ChooseLast(i, place, count, window, out));
    }
    return {};
  }

 private:
  // Which series of each part make up a batch.
  struct Spread {
    std::vector<uint32_t> first, count;
    size_t parts = 0;
  };
  Spread SpreadOf(size_t first, size_t count) const {
    Spread spread{std::vector<uint32_t>(parts_.size()), std::vector<uint32_t>(parts_.size()), 0};
    for (uint32_t s = first_[first]; s < first_[first + count]; ++s) {
      if (spread.count[sources_[s].part]++ > 0) continue;
      spread.first[sources_[s].part] = sources_[s].index;
      ++spread.parts;
    }
    return spread;
  }

  static void PutLast(size_t place, size_t count, model::Timestamp t, const double& v, const model::HistogramPtr& histogram,
                      LastColumns* out) {
    out->times[place] = t;
    std::memcpy(&out->values[place], &v, sizeof(double));  // a stale marker keeps its bits
    if (histogram != nullptr && out->histograms.empty()) out->histograms.resize(count);
    if (!out->histograms.empty()) out->histograms[place] = histogram;
  }

  // Several parts have a sample at the last time: the one that reading the window ends with.
  base::Status ChooseLast(size_t i, size_t place, size_t count, Window window, LastColumns* out) const {
    SampleColumns all;
    RETURN_IF_ERROR(Read(i, 1, window, &all));
    if (all.times.empty()) return {};
    const bool histogram = !all.histogram_at.empty() && all.histogram_at.back() + 1 == all.times.size();
    PutLast(place, count, all.times.back(), all.values.back(), histogram ? all.histograms.back() : nullptr, out);
    return {};
  }

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

}  // namespace tocsin::storage
