#pragma once

// A fixture for tests of the journal and of what is made of it, with the journal as short lines.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "alertmanager/sim_world_test.h"

namespace tocsin::alertmanager {

class JournalWorld : public World {
 protected:
  // "0:30 request ops/webhook/0 delivered 200 #1 first notification a+ b-"
  std::vector<std::string> Rows() {
    std::vector<std::string> out;
    for (const JournalEntry& e : store_.Journal()) out.push_back(Row(e));
    return out;
  }

  static std::string Row(const JournalEntry& e) {
    const auto s = std::chrono::floor<std::chrono::seconds>(e.at - kStart).count();
    std::string line = fmt::format("{}:{:02} {}", s / 60, s % 60, JournalKindName(e.kind));
    auto add = [&](std::string_view text) {
      if (!text.empty()) line += fmt::format(" {}", text);
    };
    if (e.alert != nullptr) add(e.alert->labels.Get("instance"));
    add(e.integration);
    add(JournalCauseName(e));
    if (e.status != 0) add(std::to_string(e.status));
    if (e.attempt != 0) add("#" + std::to_string(e.attempt));
    add(e.reason);
    for (const JournalAlertPtr& a : e.firing) add(std::string(a->labels.Get("instance")) + "+");
    for (const JournalAlertPtr& a : e.resolved) add(std::string(a->labels.Get("instance")) + "-");
    return line;
  }
};

// One route to one webhook of the receiver ops.
inline std::string OneWebhook(std::string_view hook = "send_resolved: true", std::string_view more = "") {
  return fmt::format(
      "route:\n  receiver: ops\n  group_by: [alertname]\n  group_wait: 30s\n  group_interval: 5m\n"
      "  repeat_interval: 10m\nreceivers:\n- name: ops\n  webhook_configs:\n  - url: http://hook/\n    {}\n{}",
      hook, more);
}

}  // namespace tocsin::alertmanager
