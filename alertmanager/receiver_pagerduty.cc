// pagerduty: events v2 (routing_key) and the older v1 (service_key).

#include <algorithm>
#include <map>

#include "alertmanager/receiver.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr std::string_view kV1Url = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
constexpr size_t kMaxSummaryRunes = 1024;
constexpr size_t kMaxEventBytes = 512'000;  // PagerDuty refuses more

class PagerDuty : public Receiver {
 public:
  PagerDuty(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context), v1_(block_.Has("service_key") || block_.Has("service_key_file")) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    ASSIGN_OR_RETURN(const std::string key, v1_ ? SecretText(block_, "service_key", "service_key_file", context_.fs)
                                                : SecretText(block_, "routing_key", "routing_key_file", context_.fs));
    auto request = JsonPost(block_, context_, std::string(v1_ ? kV1Url : std::string_view(block_.Text("url"))));
    request.body = Event(n, expand, std::string(base::Trim(expand.Key(key))), Details::kAll);
    if (request.body.size() > kMaxEventBytes) {
      request.body = Event(n, expand, std::string(base::Trim(expand.Key(key))), Details::kTooLarge);
    }
    return expand.Finish(std::move(request));
  }

  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (!o.ok && response.status == (v1_ ? 403 : 429)) o.retry = true;
    return o;
  }

 private:
  enum class Details { kAll, kTooLarge };

  std::string Event(const Notification& n, Expander& expand, const std::string& key, Details details) const {
    const bool firing = n.data.status == "firing";
    const std::string summary = TruncateRunes(expand.Text(block_.Text("description")), kMaxSummaryRunes);
    auto text = [&](std::string_view name) { return expand.Text(block_.Text(name)); };
    std::string out;
    JsonObject o(&out);
    if (v1_) {
      o.Text("service_key", key);
      o.Text("incident_key", HashOfKey(n.group_key));
      o.Text("event_type", firing ? "trigger" : "resolve");
      o.TextIfAny("description", summary);
      o.Text("event_action", "");
      *o.Key("payload") += "null";
      if (firing) {
        o.TextIfAny("client", text("client"));
        o.TextIfAny("client_url", text("client_url"));
      }
      AppendDetails(expand, details, o.Key("details"));
    } else {
      o.TextIfAny("routing_key", key);
      o.Text("dedup_key", HashOfKey(n.group_key));
      o.Text("event_action", firing ? "trigger" : "resolve");
      JsonObject payload(o.Key("payload"));
      payload.Text("summary", summary);
      payload.Text("source", block_.Has("source") ? text("source") : text("client"));
      const std::string severity = text("severity");
      payload.Text("severity", severity.empty() ? "error" : severity);
      for (std::string_view name : {"class", "component", "group"}) payload.TextIfAny(name, text(name));
      AppendDetails(expand, details, payload.Key("custom_details"));
      payload.Close();
      o.TextIfAny("client", text("client"));
      o.TextIfAny("client_url", text("client_url"));
      AppendList(expand, "images", "src", &o);
      AppendList(expand, "links", "href", &o);
    }
    o.Close();
    return out + "\n";
  }

  // Ours, unless the user gave the same key.
  void AppendDetails(Expander& expand, Details details, std::string* out) const {
    JsonObject o(out);
    if (details == Details::kTooLarge) {
      o.Text("error", "Custom details have been removed because the original event exceeds the maximum size of 512KB");
      o.Close();
      return;
    }
    constexpr std::pair<std::string_view, std::string_view> kDefaults[] = {
        {"firing", "{{ template \"pagerduty.default.instances\" .Alerts.Firing }}"},
        {"num_firing", "{{ .Alerts.Firing | len }}"},
        {"num_resolved", "{{ .Alerts.Resolved | len }}"},
        {"resolved", "{{ template \"pagerduty.default.instances\" .Alerts.Resolved }}"},
    };
    const base::yaml::Node* own = block_.Tree("details");
    for (const auto& [key, text] : kDefaults) {
      if (own == nullptr || own->Find(key) == nullptr) o.Text(key, expand.Text(text));
    }
    if (own != nullptr) {
      for (const auto& entry : own->entries) {
        // A text stays one, also where it looks like a number: custom details are texts on v1.
        if (entry.value.IsScalar()) {
          o.Text(entry.key.text, expand.Text(entry.value.text));
        } else {
          base::Ignore(AppendTree(entry.value, expand, o.Key(entry.key.text)));  // expand keeps the error
        }
      }
    }
    o.Close();
  }

  // Entries whose `required` text comes out empty are left out.
  void AppendList(Expander& expand, std::string_view key, std::string_view required, JsonObject* o) const {
    std::string list;
    for (const Block& item : block_.Blocks(key)) {
      if (expand.Text(item.Text(required)).empty()) continue;
      list += list.empty() ? "" : ",";
      JsonObject entry(&list);
      for (const Field& f : item.table().fields) entry.Text(f.key, expand.Text(item.Text(f.key)));
      entry.Close();
    }
    if (!list.empty()) *o->Key(key) += "[" + list + "]";
  }

  const Block block_;
  const ReceiverContext context_;
  const bool v1_;
};

}  // namespace

std::unique_ptr<Receiver> MakePagerDuty(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<PagerDuty>(config, context);
}

}  // namespace tocsin::alertmanager
