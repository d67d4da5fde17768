#include "tools/unit_test_file.h"

#include <algorithm>

#include "base/duration.h"
#include "base/number.h"
#include "base/yaml.h"
#include "promql/parse/series_notation.h"

namespace tocsin::tools {
namespace {

using base::yaml::Errors;
using base::yaml::Node;
using base::yaml::Reader;
using Pairs = std::vector<std::pair<std::string, std::string>>;

// Annotations keep empty values, which label sets drop.
model::Labels AnnotationsOf(Pairs pairs) {
  std::ranges::sort(pairs);
  std::string encoded;
  for (const auto& [name, value] : pairs) model::AppendEncodedLabel(name, value, &encoded);
  return model::Labels::FromEncoded(encoded);
}

class FileReader {
 public:
  FileReader(Errors* errors, bool ignore_unknown) : errors_(errors), ignore_unknown_(ignore_unknown) {}

  void Read(const Node& root, UnitTestFile* file) {
    Reader r(root, errors_, "unitTestFile");
    r.Strings("rule_files", &file->rule_files);
    r.Duration("evaluation_interval", &file->evaluation_interval);
    if (file->evaluation_interval == base::Duration(0)) file->evaluation_interval = std::chrono::minutes(1);
    r.Strings("group_eval_order", &file->group_eval_order);
    r.Bool("fuzzy_compare", &file->fuzzy_compare);
    r.Each("tests", [&](const Node& node) {
      TestGroup test;
      test.interval = file->evaluation_interval;
      ReadTest(node, &test);
      file->tests.push_back(std::move(test));
    });
    Finish(&r);
  }

 private:
  void Finish(Reader* reader) {
    if (!ignore_unknown_) reader->Finish();
  }

  void ReadTest(const Node& node, TestGroup* test) {
    Reader r(node, errors_, "testGroup");
    r.String("name", &test->name);
    base::Duration interval{0};
    if (r.Duration("interval", &interval) && interval.count() > 0) test->interval = interval;
    r.Each("input_series", [&](const Node& item) {
      Reader s(item, errors_, "series");
      InputSeries& series = test->input.emplace_back();
      s.String("series", &series.series);
      s.String("values", &series.values);
      Finish(&s);
    });
    r.Each("alert_rule_test", [&](const Node& item) { ReadAlertTest(item, test); });
    r.Each("promql_expr_test", [&](const Node& item) { ReadExprTest(item, test); });
    Pairs labels;
    if (r.StringMap("external_labels", &labels)) test->external_labels = model::Labels::FromPairs(labels);
    r.String("external_url", &test->external_url);
    std::string start;
    if (r.String("start_timestamp", &start)) ReadStart(r, start, test);
    Finish(&r);
  }

  // RFC 3339 or seconds since the epoch.
  void ReadStart(Reader& r, const std::string& text, TestGroup* test) {
    if (const auto time = base::ParseRfc3339(text)) {
      test->start = *time;
    } else if (const auto seconds = base::ParseFloat(text)) {
      test->start = base::FromUnixMillis(static_cast<int64_t>(*seconds * 1000));
    } else {
      r.Error("start_timestamp", "\"" + text + "\" is no time: write RFC 3339 or seconds since the epoch");
    }
  }

  void ReadAlertTest(const Node& node, TestGroup* test) {
    Reader r(node, errors_, "alertTestCase");
    AlertTestCase& c = test->alert_tests.emplace_back();
    r.Duration("eval_time", &c.eval_time);
    r.String("alertname", &c.alertname);
    if (c.alertname.empty()) {
      errors_->Add(node.position, "an item under alert_rule_test misses required attribute alertname at eval_time " +
                                      base::FormatDuration(c.eval_time));
    }
    r.Each("exp_alerts", [&](const Node& item) {
      Reader a(item, errors_, "alert");
      Pairs labels, annotations;
      a.StringMap("exp_labels", &labels);
      a.StringMap("exp_annotations", &annotations);
      Finish(&a);
      labels.emplace_back(model::kAlertName, c.alertname);
      c.expected.push_back({model::Labels::FromPairs(labels), AnnotationsOf(std::move(annotations))});
    });
    Finish(&r);
  }

  void ReadExprTest(const Node& node, TestGroup* test) {
    Reader r(node, errors_, "promqlTestCase");
    ExprTestCase& c = test->expr_tests.emplace_back();
    r.String("expr", &c.expr);
    r.Duration("eval_time", &c.eval_time);
    r.Each("exp_samples", [&](const Node& item) {
      Reader s(item, errors_, "sample");
      std::string labels, histogram;
      ExpectedSample sample;
      s.String("labels", &labels);
      s.Double("value", &sample.value);
      s.String("histogram", &histogram);
      Finish(&s);
      if (!labels.empty()) {
        auto parsed = promql::ParseMetric(labels);
        if (parsed) {
          sample.labels = *parsed;
        } else if (c.bad_labels.empty()) {
          c.bad_labels = "labels " + base::Quote(labels) + ": " + parsed.error().message();
        }
      }
      if (!histogram.empty()) {
        auto parsed = promql::ParseSeriesDescription("x " + histogram);
        if (parsed && parsed->values.size() == 1 && parsed->values[0].histogram) {
          sample.histogram = parsed->values[0].histogram;
        } else {
          s.Error("histogram", parsed ? "write one histogram, {{...}}" : parsed.error().message());
        }
      }
      c.expected.push_back(std::move(sample));
    });
    Finish(&r);
  }

  Errors* const errors_;
  const bool ignore_unknown_;
};

}  // namespace

base::Result<UnitTestFile> ReadUnitTestFile(base::FileSystem* fs, const std::string& path,
                                            bool ignore_unknown_fields) {
  ASSIGN_OR_RETURN(const std::string text, fs->ReadFile(path));
  ASSIGN_OR_RETURN(const base::yaml::Document document, base::yaml::Parse(text, path));
  Errors errors(path);
  UnitTestFile file;
  FileReader(&errors, ignore_unknown_fields).Read(document.root(), &file);
  RETURN_IF_ERROR(errors.ToStatus());

  std::vector<std::string> files;
  for (const std::string& glob : file.rule_files) {
    ASSIGN_OR_RETURN(const std::vector<std::string> found, base::Glob(fs, base::JoinPath(base::FolderOf(path), glob)));
    files.insert(files.end(), found.begin(), found.end());
  }
  file.rule_files = std::move(files);
  return file;
}

}  // namespace tocsin::tools
