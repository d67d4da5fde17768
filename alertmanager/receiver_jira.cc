// jira: one issue for each group, found again by a label that holds the hash of the group's key.
// A search comes first; then the issue is created or brought up to date, and where its state does not
// fit the alerts' a transition is looked up by its name and made.
//
// Source: Jira's REST API, version 2 (server, data center) and 3 (cloud, where a description is a
// document in Atlassian's format).

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>

#include "alertmanager/receiver.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"

namespace tocsin::alertmanager {

namespace {

constexpr size_t kMaxSummaryRunes = 255;
constexpr size_t kMaxDescriptionRunes = 32767;

enum StepIndex { kSearch, kWrite, kListTransitions, kMakeTransition };

// The issue of a group, as steps hand it on.
struct Issue {
  std::string key;         // "OPS-1"; empty: there is none
  bool done = false;       // its status is in the category "done"
  std::string transition;  // the id of the transition to make, once it is known

  std::string Encode() const { return fmt::format("{}\n{}\n{}", key, done ? "done" : "", transition); }
  static Issue Decode(std::string_view text) {
    const auto parts = base::Split(text, '\n');
    if (parts.size() != 3) return {};
    return {.key = std::string(parts[0]), .done = !parts[1].empty(), .transition = std::string(parts[2])};
  }
};

// A field that is a template, or a mapping of one and of whether later notifications rewrite it.
struct TextField {
  std::string text;
  bool update = true;
};

TextField ReadTextField(const Block& block, std::string_view key) {
  TextField field{.text = fmt::format("{{{{ template \"jira.default.{}\" . }}}}", key)};
  const base::yaml::Node* node = block.Tree(key);
  if (node == nullptr || node->IsNull()) return field;
  if (node->IsScalar()) {
    field.text = node->text;
    return field;
  }
  for (const auto& entry : node->entries) {
    if (entry.key.text == "template") field.text = entry.value.text;
    if (entry.key.text == "enable_update") field.update = entry.value.text != "false";
  }
  return field;
}

bool IsJson(const std::string& text) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  return parser.parse(text).get(root) == simdjson::SUCCESS;
}

// Plain text as a document of Atlassian's format, a paragraph a line.
std::string Document(std::string_view text) {
  std::string out;
  JsonObject document(&out);
  document.Text("type", "doc");
  document.Number("version", 1);
  *document.Key("content") += '[';
  for (const std::string_view line : base::Split(text, '\n')) {
    if (out.back() != '[') out += ',';
    JsonObject paragraph(&out);
    paragraph.Text("type", "paragraph");
    if (!line.empty()) {
      *paragraph.Key("content") += '[';
      JsonObject run(&out);
      run.Text("type", "text");
      run.Text("text", line);
      run.Close();
      out += ']';
    }
    paragraph.Close();
  }
  out += ']';
  document.Close();
  return out;
}

std::string NameObject(std::string_view key, std::string_view value) {
  std::string out;
  JsonObject o(&out);
  o.Text(key, value);
  o.Close();
  return out;
}

std::string JsonText(std::string_view text) {
  std::string out;
  base::AppendJsonString(text, &out, base::JsonEscape::kGo);
  return out;
}

class Jira : public Receiver {
 public:
  Jira(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block),
        context_(context),
        summary_(ReadTextField(block_, "summary")),
        description_(ReadTextField(block_, "description")),
        base_(block_.Text("api_url")) {
    while (base_.ends_with('/')) base_.pop_back();
  }

  base::Result<Built> Build(const Notification& n, const Step& step) const override {
    Expander expand(context_, n);
    auto request = JsonPost(block_, context_, base_);
    request.headers.Set("Accept-Language", "en");
    const Issue issue = Issue::Decode(step.carried);
    switch (step.index) {
      case kSearch:
        request.url = SearchUrl();
        AppendSearch(n, expand, &request.body);
        break;
      case kWrite:
        request.url += issue.key.empty() ? "/issue" : "/issue/" + issue.key;
        if (!issue.key.empty()) request.method = "PUT";
        RETURN_IF_ERROR(AppendIssue(n, issue, expand, &request.body));
        break;
      case kListTransitions:
        request.method = "GET";
        request.url += "/issue/" + issue.key + "/transitions";
        break;
      default:
        request.url += "/issue/" + issue.key + "/transitions";
        request.body = "{\"transition\":" + NameObject("id", issue.transition) + "}";
    }
    if (!request.body.empty()) request.body += '\n';
    return expand.Finish(std::move(request));
  }

  Outcome Judge(const Notification& n, const Step& step, const net::FetchResponse& response) const override {
    Outcome o = Receiver::Judge(n, step, response);
    if (!o.ok) {
      if (response.status == 429) o.retry = true;
      constexpr std::string_view kDoing[] = {"looking for the group's issue", "writing the issue",
                                             "listing the issue's transitions", "moving the issue"};
      o.error = fmt::format("{}: {}", kDoing[static_cast<size_t>(step.index)], o.error);
      return o;
    }
    if (step.index == kSearch) return Found(n, response);
    Issue issue = Issue::Decode(step.carried);
    if (step.index == kWrite) {
      o.more = o.told = !issue.key.empty() && !Transition(n, issue).empty();
      o.carried = step.carried;
    } else if (step.index == kListTransitions) {
      return ChooseTransition(n, std::move(issue), response);
    }
    return o;
  }

 private:
  static bool Firing(const Notification& n) { return n.data.status == "firing"; }

  // What the issue has to go through to fit the alerts; empty: nothing.
  const std::string& Transition(const Notification& n, const Issue& issue) const {
    static const std::string kNone;
    if (Firing(n) != issue.done) return kNone;
    return block_.Text(Firing(n) ? "reopen_transition" : "resolve_transition");
  }

  static std::string Label(const Notification& n) { return "ALERT{" + HashOfKey(n.group_key) + "}"; }

  // Atlassian's cloud has a search of its own, which no data center has.
  std::string SearchUrl() const {
    const std::string& type = block_.Text("api_type");
    bool cloud = type == "cloud";
    if (type == "auto") {
      const auto url = base::ParseUrl(base_);
      cloud = url && url->host.ends_with("atlassian.net");
    }
    if (!cloud) return base_ + "/search";
    std::string url = base_ + "/search/jql";
    constexpr std::string_view kVersion2 = "/rest/api/2/";
    if (const size_t at = url.find(kVersion2); at != std::string::npos) {
      url.replace(at, kVersion2.size(), "/rest/api/3/");
    }
    return url;
  }

  void AppendSearch(const Notification& n, Expander& expand, std::string* out) const {
    std::string jql;
    if (const std::string& wont_fix = block_.Text("wont_fix_resolution"); !wont_fix.empty()) {
      jql += fmt::format("resolution != {} and ", base::Quote(wont_fix));
    }
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(block_.Span("reopen_duration")).count();
    if (Firing(n) && block_.Has("reopen_transition") && minutes > 0) {
      jql += fmt::format("(resolutiondate is EMPTY OR resolutiondate >= -{}m) and ", minutes);
    } else {
      jql += "statusCategory != Done and ";
    }
    jql += fmt::format("project={} and labels={} order by status ASC,resolutiondate DESC",
                       base::Quote(expand.Key(block_.Text("project"))), base::Quote(Label(n)));
    JsonObject o(out);
    *o.Key("fields") += "[\"status\"]";
    o.Text("jql", jql);
    o.Number("maxResults", 2);
    o.Close();
  }

  base::Status AppendIssue(const Notification& n, const Issue& issue, Expander& expand, std::string* out) const {
    std::map<std::string, std::string> fields;  // values as JSON
    const bool exists = !issue.key.empty();
    if (!exists || summary_.update) {
      fields["summary"] = JsonText(TruncateRunes(expand.Text(summary_.text), kMaxSummaryRunes));
    }
    if (!exists || description_.update) {
      ASSIGN_OR_RETURN(const std::string description, Description(expand));
      if (!description.empty()) fields["description"] = description;
    }
    fields["project"] = NameObject("key", expand.Key(block_.Text("project")));
    fields["issuetype"] = NameObject("name", expand.Key(block_.Text("issue_type")));
    fields["labels"] = Labels(n, expand);
    if (const std::string priority = expand.Key(block_.Text("priority")); !priority.empty()) {
      fields["priority"] = NameObject("name", priority);
    }
    if (const base::yaml::Node* own = block_.Tree("fields"); own != nullptr) {
      for (const auto& entry : own->entries) {
        std::string value;
        RETURN_IF_ERROR(AppendTree(entry.value, expand, &value));
        fields[entry.key.text] = std::move(value);
      }
    }
    JsonObject o(out);
    JsonObject f(o.Key("fields"));
    for (const auto& [name, value] : fields) *f.Key(name) += value;
    f.Close();
    o.Close();
    return {};
  }

  // As JSON; empty: the template gave nothing.
  base::Result<std::string> Description(Expander& expand) const {
    const std::string text = TruncateRunes(expand.Text(description_.text), kMaxDescriptionRunes);
    if (!base_.ends_with("/3")) return text.empty() ? std::string() : JsonText(text);
    const std::string trimmed(base::Trim(text));
    if (trimmed.empty() || IsJson(trimmed)) return trimmed;
    if (context_.compat.no_fallback_text) {
      return base::InvalidArgument("description template: invalid JSON for API v3");
    }
    return Document(trimmed);
  }

  std::string Labels(const Notification& n, Expander& expand) const {
    std::vector<std::string> labels = {Label(n)};
    for (const std::string& label : block_.Texts("labels")) labels.push_back(expand.Key(label));
    std::ranges::sort(labels);
    std::string out = "[";
    for (const std::string& label : labels) {
      if (out.size() > 1) out += ',';
      out += JsonText(label);
    }
    return out + "]";
  }

  static Outcome NotUnderstood(std::string_view body) {
    return {.error = "Jira's answer is not the expected JSON: " + base::TruncateRunes(body, 200)};
  }

  Outcome Found(const Notification& n, const net::FetchResponse& response) const {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::array issues;
    if (parser.parse(response.body).get(root) != simdjson::SUCCESS || !root.is_object()) {
      return NotUnderstood(response.body);
    }
    Issue issue;
    if (root["issues"].get(issues) == simdjson::SUCCESS && issues.size() > 0) {
      std::string_view key;
      if (issues.at(0)["key"].get(key) != simdjson::SUCCESS) return NotUnderstood(response.body);
      issue.key = key;
      std::string_view category;
      const auto status = issues.at(0).at_pointer("/fields/status/statusCategory/key");
      issue.done = status.get(category) == simdjson::SUCCESS && category == "done";
    }
    // Nothing is opened to say that all is well.
    const bool nothing = issue.key.empty() && !Firing(n);
    return {.ok = true, .more = !nothing, .carried = issue.Encode()};
  }

  Outcome ChooseTransition(const Notification& n, Issue issue, const net::FetchResponse& response) const {
    const std::string& wanted = Transition(n, issue);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::array transitions;
    if (parser.parse(response.body).get(root) != simdjson::SUCCESS ||
        root["transitions"].get(transitions) != simdjson::SUCCESS) {
      return NotUnderstood(response.body);
    }
    for (const simdjson::dom::element transition : transitions) {
      std::string_view name, id;
      if (transition["name"].get(name) != simdjson::SUCCESS || name != wanted) continue;
      if (transition["id"].get(id) != simdjson::SUCCESS) return NotUnderstood(response.body);
      issue.transition = id;
      return {.ok = true, .more = true, .carried = issue.Encode()};
    }
    return {.reason = FailureReason::kClientError,
            .error = fmt::format("can't find transition {} for issue {}", wanted, issue.key)};
  }

  const Block block_;
  const ReceiverContext context_;
  const TextField summary_;
  const TextField description_;
  std::string base_;  // api_url without slashes at its end
};

}  // namespace

std::unique_ptr<Receiver> MakeJira(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Jira>(config, context);
}

}  // namespace tocsin::alertmanager
