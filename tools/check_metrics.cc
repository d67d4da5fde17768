#include "tools/check_metrics.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "base/number.h"
#include "base/text.h"
#include "scrape/exposition.h"

namespace tocsin::tools {
namespace {

using model::MetricType;

struct MetricFamily {
  MetricType type = MetricType::kUnknown;
  bool has_help = false;
  uint64_t series = 0;
  std::set<std::string> label_names;
  std::set<std::string> seen;  // series, to find repeated ones
  bool repeated = false;
};
using Families = std::map<std::string, MetricFamily>;

struct Problem {
  std::string metric;
  std::string text;
  friend auto operator<=>(const Problem&, const Problem&) = default;
};

// The family a series belongs to: foo_bucket, foo_sum and foo_count are foo's where foo is a
// histogram or summary.
std::string FamilyOf(const Families& families, const std::string& name) {
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string stem = name.substr(0, name.size() - suffix.size());
    const auto found = families.find(stem);
    if (found == families.end()) continue;
    if (found->second.type == MetricType::kHistogram) return stem;
    if (found->second.type == MetricType::kSummary && suffix != "_bucket") return stem;
  }
  return name;
}

base::Result<Families> Read(const std::string& body) {
  Families families;
  scrape::ExpositionParser parser(scrape::ExpositionFormat::kText, body);
  scrape::Entry entry;
  scrape::LabelPairs labels;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, parser.Next(&entry));
    if (!more) return families;
    if (entry.kind == scrape::EntryKind::kHelp) families[entry.metric].has_help = !entry.text.empty();
    if (entry.kind == scrape::EntryKind::kType) families[entry.metric].type = entry.type;
    if (entry.kind != scrape::EntryKind::kSeries) continue;
    RETURN_IF_ERROR(scrape::ParseSeries(entry.series, scrape::ExpositionFormat::kText,
                                        MetricType::kUnknown, &labels));
    std::string name;
    for (const auto& [label, value] : labels) {
      if (label == model::kMetricName) name = base::Trim(value);  // with the blanks before it, which mean nothing here
    }
    MetricFamily& family = families[FamilyOf(families, name)];
    ++family.series;
    for (const auto& [label, value] : labels) {
      if (label != model::kMetricName) family.label_names.insert(label);
    }
    if (!family.seen.insert(model::Labels::FromPairs(labels).ToString()).second) family.repeated = true;
  }
}

bool IsCamelCase(std::string_view name) {
  for (size_t i = 1; i < name.size(); ++i) {
    if (std::islower(static_cast<unsigned char>(name[i - 1])) != 0 &&
        std::isupper(static_cast<unsigned char>(name[i])) != 0) {
      return true;
    }
  }
  return false;
}

// Units that are not base units, or have a prefix, and what to use instead.
constexpr std::pair<std::string_view, std::string_view> kUnits[] = {
    {"amperes", "amperes"}, {"bytes", "bytes"},     {"celsius", "celsius"}, {"grams", "grams"},
    {"joules", "joules"},   {"kelvin", "kelvin"},   {"meters", "meters"},   {"metres", "metres"},
    {"moles", "moles"},     {"seconds", "seconds"}, {"volts", "volts"},     {"minutes", "seconds"},
    {"hours", "seconds"},   {"days", "seconds"},    {"weeks", "seconds"},   {"kelvins", "kelvin"},
    {"fahrenheit", "celsius"}, {"rankine", "celsius"}, {"inches", "meters"}, {"yards", "meters"},
    {"miles", "meters"},    {"bits", "bytes"},      {"calories", "joules"}, {"pounds", "grams"},
    {"ounces", "grams"},
};
constexpr std::string_view kPrefixes[] = {"pico", "nano", "micro", "milli", "centi", "deci", "deca",
                                          "deka", "hecto", "kilo", "kibi", "mega", "mebi", "mibi",
                                          "giga", "gibi", "tera", "tebi", "peta", "pebi"};
constexpr std::string_view kAbbreviations[] = {"s",  "ms", "us", "ns", "sec", "b", "kb",
                                               "mb", "gb", "tb", "pb", "m",   "h", "d"};

void CheckUnits(const std::string& name, std::vector<std::string>* found) {
  for (const std::string_view word : base::Split(name, '_')) {
    for (const auto& [unit, better] : kUnits) {
      bool is_unit = word == unit;
      for (const std::string_view prefix : kPrefixes) {
        is_unit |= word.size() == prefix.size() + unit.size() && word.starts_with(prefix) &&
                   word.ends_with(unit);
      }
      if (is_unit && word != better) {
        found->push_back("use base unit " + base::Quote(better) + " instead of " + base::Quote(word));
        return;
      }
    }
  }
}

void CheckReserved(const std::string& name, const MetricFamily& family, std::vector<std::string>* found) {
  if (family.type == MetricType::kUnknown) return;
  const bool histogram = family.type == MetricType::kHistogram;
  const bool summary = family.type == MetricType::kSummary;
  if (!histogram && name.ends_with("_bucket")) {
    found->push_back("non-histogram metrics should not have \"_bucket\" suffix");
  }
  for (const char* suffix : {"_count", "_sum"}) {
    if (!histogram && !summary && name.ends_with(suffix)) {
      found->push_back("non-histogram and non-summary metrics should not have " + base::Quote(suffix) +
                       " suffix");
    }
  }
  if (!histogram && family.label_names.contains("le")) {
    found->push_back("non-histogram metrics should not have \"le\" label");
  }
  if (!summary && family.label_names.contains("quantile")) {
    found->push_back("non-summary metrics should not have \"quantile\" label");
  }
}

std::vector<std::string> Lint(const std::string& name, const MetricFamily& family) {
  std::vector<std::string> found;
  const bool total = name.ends_with("_total");
  const std::string lower = base::ToLower(name);
  if (!family.has_help) found.push_back("no help text");
  CheckUnits(name, &found);
  if (family.type == MetricType::kCounter && !total) {
    found.push_back("counter metrics should have \"_total\" suffix");
  }
  if (family.type != MetricType::kCounter && family.type != MetricType::kUnknown && total) {
    found.push_back("non-counter metrics should not have \"_total\" suffix");
  }
  CheckReserved(name, family, &found);
  if (family.type != MetricType::kUnknown) {
    const std::string type(model::MetricTypeName(family.type));
    if (lower.find("_" + type + "_") != std::string::npos || lower.ends_with("_" + type)) {
      found.push_back("metric name should not include type '" + type + "'");
    }
  }
  if (name.find(':') != std::string::npos) found.push_back("metric names should not contain ':'");
  if (IsCamelCase(name)) {
    found.push_back("metric names should be written in 'snake_case' not 'camelCase'");
  }
  for (const std::string& label : family.label_names) {
    if (!IsCamelCase(label)) continue;
    found.push_back("label names should be written in 'snake_case' not 'camelCase'");
    break;
  }
  for (const std::string_view short_unit : kAbbreviations) {
    const std::string word = "_" + std::string(short_unit);
    if (lower.ends_with(word) || lower.find(word + "_") != std::string::npos) {
      found.push_back("metric names should not contain abbreviated units");
      break;
    }
  }
  if (family.repeated) found.push_back("metric not unique");
  return found;
}

void PrintCardinality(const Families& families, const ToolIo& io) {
  std::vector<std::pair<std::string, uint64_t>> rows;
  uint64_t total = 0;
  size_t width = std::string_view("Total").size();
  for (const auto& [name, family] : families) {
    rows.emplace_back(name, family.series);
    total += family.series;
    width = std::max(width, name.size());
  }
  std::ranges::stable_sort(rows, [](const auto& a, const auto& b) { return a.second > b.second; });
  auto line = [&](const std::string& name, const std::string& count, const std::string& share) {
    io.out(name + std::string(width + 4 - name.size(), ' ') + count +
           std::string(count.size() < 15 ? 15 - count.size() : 1, ' ') + share + "\n");
  };
  line("Metric", "Cardinality", "Percentage");
  for (const auto& [name, count] : rows) {
    const double share = total == 0 ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(total);
    line(name, std::to_string(count), base::FormatPrecision(share, 'f', 2) + "%");
  }
  line("Total", std::to_string(total), "100%");
}

}  // namespace

int CheckMetrics(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool check metrics [FLAGS] < FILE",
                "Checks the names of an exposition on standard input; 3 if there is something to mend.");
  bool extended = false;
  std::string lint = "all";
  flags.Bool("extended", &extended, "Show how many series each metric has.");
  flags.String("lint", &lint, "all or none.");
  flags.Examples("  curl -s http://127.0.0.1:9100/metrics | promtool check metrics --extended\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (lint != "all" && lint != "none") {
    io.err("error: --lint=" + lint + ": write all or none\n");
    return 1;
  }
  if (lint == "none" && !extended) {
    io.err("error: --lint=none leaves nothing to do without --extended\n");
    return 1;
  }
  const auto families = Read(io.read_input());
  if (!families) {
    io.err("error while linting: " + families.error().message() + "\n");
    return 1;
  }
  std::set<Problem> problems;
  if (lint == "all") {
    for (const auto& [name, family] : *families) {
      for (std::string& text : Lint(name, family)) problems.insert({name, std::move(text)});
    }
  }
  for (const Problem& problem : problems) io.err(problem.metric + " " + problem.text + "\n");
  if (extended) PrintCardinality(*families, io);
  return problems.empty() ? 0 : 3;
}

}  // namespace tocsin::tools
