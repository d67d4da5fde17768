#pragma once

// The files of `test rules`, read from YAML.
// Errors: kInvalidArgument with all errors of the file, "file:line:column: ...".

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/time.h"
#include "model/histogram.h"
#include "model/labels.h"

namespace tocsin::tools {

struct InputSeries {
  std::string series;
  std::string values;
};

struct ExpectedAlert {
  model::Labels labels;  // with alertname
  model::Labels annotations;
};

struct AlertTestCase {
  base::Duration eval_time{0};
  std::string alertname;
  std::vector<ExpectedAlert> expected;
};

struct ExpectedSample {
  model::Labels labels;
  double value = 0;
  model::HistogramPtr histogram;
};

struct ExprTestCase {
  std::string expr;
  base::Duration eval_time{0};
  std::vector<ExpectedSample> expected;
  std::string bad_labels;  // not empty: what is wrong with those of a sample; the test fails, the others run
};

struct TestGroup {
  std::string name;
  base::Duration interval{0};
  base::Time start{};
  std::vector<InputSeries> input;
  std::vector<AlertTestCase> alert_tests;
  std::vector<ExprTestCase> expr_tests;
  model::Labels external_labels;
  std::string external_url;
};

struct UnitTestFile {
  std::vector<std::string> rule_files;  // paths after globbing
  base::Duration evaluation_interval = std::chrono::minutes(1);
  std::vector<std::string> group_eval_order;
  bool fuzzy_compare = false;
  std::vector<TestGroup> tests;
};

base::Result<UnitTestFile> ReadUnitTestFile(base::FileSystem* fs, const std::string& path,
                                            bool ignore_unknown_fields);

}  // namespace tocsin::tools
