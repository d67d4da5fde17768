#include "alertmanager/silence_schedule.h"

#include "base/text.h"
#include "base/yaml.h"

namespace tocsin::alertmanager {

base::Result<SchedulePtr> ReadSchedule(std::string_view text) {
  if (base::Trim(text).empty()) return SchedulePtr();
  ASSIGN_OR_RETURN(const base::yaml::Document doc, base::yaml::Parse(text, "schedule"));
  base::yaml::Errors errors("schedule");
  const base::yaml::Node& root = doc.root();
  if (root.kind != base::yaml::Node::Kind::kSequence) {
    return base::InvalidArgument("schedule: expected a list of time intervals, such as [{\"weekdays\": [\"saturday\"]}]");
  }
  auto intervals = std::make_shared<std::vector<TimeInterval>>();
  for (const base::yaml::Node& item : root.items) intervals->push_back(ReadTimeInterval(item, &errors));
  RETURN_IF_ERROR(errors.ToStatus());
  if (intervals->empty()) return SchedulePtr();
  return SchedulePtr(std::move(intervals));
}

base::Result<std::string> ScheduleFromShort(std::string_view text) {
  text = base::Trim(text);
  if (text.starts_with('[')) return std::string(text);
  if (text.starts_with('{')) return "[" + std::string(text) + "]";
  std::string weekdays, times, zone;
  for (std::string_view part : base::Split(text, ' ')) {
    if (part.empty()) continue;
    if (part.find('/') != std::string_view::npos || part == "UTC" || part == "Local") {
      zone = part;
      continue;
    }
    for (std::string_view item : base::Split(part, ',')) {
      std::string* list = &weekdays;
      std::string value;
      if (const size_t dash = item.find('-'); dash != std::string_view::npos) {
        list = &times;
        value = "{\"start_time\":";
        base::AppendJsonString(item.substr(0, dash), &value);
        value += ",\"end_time\":";
        base::AppendJsonString(item.substr(dash + 1), &value);
        value += '}';
      } else {
        base::AppendJsonString(base::ToLower(item), &value);
      }
      *list += (list->empty() ? "" : ",") + value;
    }
  }
  std::string fields;
  auto add = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) fields += (fields.empty() ? "\"" : ",\"") + std::string(key) + "\":" + value;
  };
  if (!weekdays.empty()) add("weekdays", "[" + weekdays + "]");
  if (!times.empty()) add("times", "[" + times + "]");
  if (!zone.empty()) {
    std::string quoted;
    base::AppendJsonString(zone, &quoted);
    add("location", quoted);
  }
  if (fields.empty()) return base::InvalidArgument("schedule: write it as in \"saturday 02:00-04:00 Europe/Berlin\"");
  return "[{" + fields + "}]";
}

}  // namespace tocsin::alertmanager
