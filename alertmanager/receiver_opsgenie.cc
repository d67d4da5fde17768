// opsgenie: creates an alert, closes it by its alias, and with update_alerts also changes its texts.

#include <map>

#include "alertmanager/receiver.h"
#include "base/text.h"

namespace tocsin::alertmanager {

namespace {

constexpr size_t kMaxMessageRunes = 130;

// Parts between commas that are not empty; blanks in them count.
std::vector<std::string> SplitParts(std::string_view text) {
  std::vector<std::string> out;
  for (std::string_view part : base::Split(base::Trim(text), ',')) {
    if (!part.empty()) out.emplace_back(part);
  }
  return out;
}

void TextsIfAny(std::string_view key, const std::vector<std::string>& items, JsonObject* o) {
  if (items.empty()) return;
  std::string* out = o->Key(key);
  *out += '[';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) *out += ',';
    base::AppendJsonString(items[i], out, base::JsonEscape::kGo);
  }
  *out += ']';
}

class OpsGenie : public Receiver {
 public:
  OpsGenie(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step& step) const override {
    Expander expand(context_, n);
    const std::string alias = HashOfKey(n.group_key);
    auto request = JsonPost(block_, context_, block_.Text("api_url") + "v2/alerts");
    ASSIGN_OR_RETURN(const std::string key, SecretText(block_, "api_key", "api_key_file", context_.fs));
    request.headers.Set("Authorization", "GenieKey " + std::string(base::Trim(expand.Key(key))));
    JsonObject o(&request.body);
    if (n.data.status == "resolved") {
      request.url += "/" + alias + "/close?identifierType=alias";
      o.Text("source", expand.Text(block_.Text("source")));
    } else if (step.index == 0) {
      Create(n, alias, expand, &o);
    } else {
      const std::string_view what = step.index == 1 ? "message" : "description";
      request.method = "PUT";
      request.url += "/" + alias + "/" + std::string(what) + "?identifierType=alias";
      const std::string text = expand.Text(block_.Text(what));
      o.TextIfAny(what, step.index == 1 ? TruncateRunes(text, kMaxMessageRunes) : text);
    }
    o.Close();
    request.body += '\n';
    return expand.Finish(std::move(request));
  }

  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (!o.ok && response.status == 429) o.retry = true;
    o.more = o.told = o.ok && n.data.status == "firing" && block_.Flag("update_alerts") && step.index < 2;
    return o;
  }

 private:
  void Create(const Notification& n, const std::string& alias, Expander& expand, JsonObject* o) const {
    auto text = [&](std::string_view name) { return expand.Text(block_.Text(name)); };
    o->Text("alias", alias);
    o->Text("message", TruncateRunes(text("message"), kMaxMessageRunes));
    o->TextIfAny("description", text("description"));
    std::map<std::string, std::string> details;
    for (const auto& [name, value] : n.data.common_labels) details[name] = value;
    for (const auto& [name, value] : block_.Map("details")) details[name] = expand.Text(value);
    JsonObject d(o->Key("details"));
    for (const auto& [name, value] : details) d.Text(name, value);
    d.Close();
    o->Text("source", text("source"));
    AppendResponders(expand, o);
    TextsIfAny("tags", SplitParts(text("tags")), o);
    o->TextIfAny("note", text("note"));
    o->TextIfAny("priority", text("priority"));
    o->TextIfAny("entity", text("entity"));
    TextsIfAny("actions", SplitParts(text("actions")), o);
  }

  void AppendResponders(Expander& expand, JsonObject* o) const {
    std::string list;
    auto add = [&](const std::string& id, const std::string& name, const std::string& user, const std::string& type) {
      list += list.empty() ? "" : ",";
      JsonObject r(&list);
      r.TextIfAny("id", id);
      r.TextIfAny("name", name);
      r.TextIfAny("username", user);
      r.Text("type", type);
      r.Close();
    };
    for (const Block& b : block_.Blocks("responders")) {
      const std::string id = expand.Text(b.Text("id")), name = expand.Text(b.Text("name"));
      const std::string user = expand.Text(b.Text("username")), type = expand.Text(b.Text("type"));
      if (id.empty() && name.empty() && user.empty() && type.empty()) continue;
      if (type == "teams") {
        for (const std::string& team : SplitParts(name)) add("", team, "", "team");
      } else {
        add(id, name, user, type);
      }
    }
    if (!list.empty()) *o->Key("responders") += "[" + list + "]";
  }

  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

std::unique_ptr<Receiver> MakeOpsGenie(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<OpsGenie>(config, context);
}

}  // namespace tocsin::alertmanager
