#pragma once

// A configuration ready for use: routes compiled, receivers made, templates parsed.
// Threads: immutable.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alertmanager/alertmanager.h"
#include "alertmanager/config.h"
#include "alertmanager/receiver.h"
#include "alertmanager/route.h"
#include "templates/template.h"

namespace tocsin::alertmanager {

// One way of telling a receiver.
struct Integration {
  std::string receiver_name;
  std::string name;  // slack
  std::string key;   // team/slack/0: in the notification log
  bool send_resolved = false;
  std::unique_ptr<Receiver> receiver;
};

class Prepared {
 public:
  ConfigPtr config;
  std::string yaml;  // masked
  std::shared_ptr<const Route> root;
  std::shared_ptr<const templates::TemplateSet> templates;
  // Of the receivers that some route names.
  std::map<std::string, std::vector<Integration>, std::less<>> receivers;

  const std::vector<Integration>& Integrations(const std::string& receiver) const;
  // Those of `names` whose intervals hold `t`.
  std::vector<std::string> ActiveIntervals(const std::vector<std::string>& names, base::Time t) const;
};

}  // namespace tocsin::alertmanager
