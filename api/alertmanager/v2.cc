#include "api/alertmanager/v2.h"

#include <algorithm>
#include <functional>
#include <span>

#include "api/alertmanager/v2_json.h"
#include "api/http/json.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/version.h"

namespace tocsin::api {
namespace {

using alertmanager::AlertFilter;
using alertmanager::SilencePtr;
using alertmanager::SilenceState;

// An answer names what is wrong with each alert, but not with a hundred thousand.
constexpr size_t kMaxProblemBytes = 64 << 10;

net::HttpResponse Refused(const SchemaError& error) {
  // Code 0: not the schema but the handler refuses.
  return error.code == 0 ? JsonText(error.status, error.message)
                         : CodeAndMessage(error.status, error.code, error.message);
}

int StatusOf(const base::Error& error) {
  switch (error.code()) {
    case base::Code::kNotFound: return 404;
    case base::Code::kInvalidArgument:
    case base::Code::kResourceExhausted: return 400;
    default: return 500;
  }
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

// true, false, and what Go's swag.ConvertBool takes for true; nothing given: the default.
bool BoolParam(const net::Params& params, std::string_view name, bool otherwise) {
  if (!params.Has(name)) return otherwise;
  const std::string text = base::ToLower(params.Get(name));
  if (text.empty()) return otherwise;
  for (const std::string_view yes : {"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"}) {
    if (text == yes) return true;
  }
  return false;
}

}  // namespace

class AlertmanagerApi::Impl : public std::enable_shared_from_this<AlertmanagerApi::Impl> {
 public:
  Impl(base::Executor* executor, alertmanager::Alertmanager* am, std::shared_ptr<Replies> replies)
      : executor_(executor), am_(am), replies_(std::move(replies)) {}

  void Register(Router* router) {
    using Member = void (Impl::*)(const ExchangePtr&, const PathParams&);
    struct Row {
      std::string_view path;
      Member get;
      Member post;
      Member del;
      std::string_view allowed;  // in the words of a 405
    };
    static const Row kRows[] = {
        {"/api/v2/status", &Impl::GetStatus, nullptr, nullptr, "GET"},
        {"/api/v2/receivers", &Impl::GetReceivers, nullptr, nullptr, "GET"},
        {"/api/v2/alerts", &Impl::GetAlerts, &Impl::PostAlerts, nullptr, "POST,GET"},
        {"/api/v2/alerts/groups", &Impl::GetGroups, nullptr, nullptr, "GET"},
        {"/api/v2/silences", &Impl::GetSilences, &Impl::PostSilence, nullptr, "POST,GET"},
        {"/api/v2/silence/:id", &Impl::GetSilence, nullptr, &Impl::DeleteSilence, "DELETE,GET"},
    };
    for (const Row& row : kRows) {
      auto handler = [self = shared_from_this(), &row](const ExchangePtr& x, const PathParams& path) {
        const std::string& method = x->request().method;
        Member member = method == "GET" || method == "HEAD" ? row.get
                        : method == "POST"                  ? row.post
                        : method == "DELETE"                ? row.del
                                                            : nullptr;
        if (method == "OPTIONS") return self->Preflight(x);
        if (member == nullptr) {
          return self->Answer(x, CodeAndMessage(405, 405, "method " + method + " is not allowed, but [" +
                                                              std::string(row.allowed) + "] are"));
        }
        self->replies_->BoundTime(x);
        if (member == row.get && !self->replies_->Enter(x)) return;
        (self.get()->*member)(x, path);
      };
      router->Add({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, row.path, handler);
      // With a slash at the end it is the same resource.
      if (row.path.find(':') == std::string_view::npos) {
        router->Add({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, std::string(row.path) + "/", handler);
      }
    }
    router->Add({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, "/api/v2/*rest",
                [self = shared_from_this()](const ExchangePtr& x, const PathParams&) {
                  self->Answer(x, CodeAndMessage(404, 404, "path " + x->request().path + " was not found"));
                });
  }

 private:
  void Answer(const ExchangePtr& x, net::HttpResponse response) { replies_->Answer(x, std::move(response)); }
  void AnswerGet(const ExchangePtr& x, net::HttpResponse response) { replies_->AnswerGet(x, std::move(response)); }

  void Preflight(const ExchangePtr& x) {
    net::HttpResponse response;
    response.status = 200;
    const net::Headers& asked = x->request().headers;
    if (!asked.Get("Origin").empty()) {
      response.headers.Set("Access-Control-Allow-Origin", "*");
      response.headers.Set("Access-Control-Allow-Methods", asked.Get("Access-Control-Request-Method"));
      if (asked.Has("Access-Control-Request-Headers")) {
        response.headers.Set("Access-Control-Allow-Headers", asked.Get("Access-Control-Request-Headers"));
      }
    }
    for (const char* name : {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}) {
      response.headers.Add("Vary", name);
    }
    x->Respond(std::move(response));
  }

  void GetStatus(const ExchangePtr& x, const PathParams&) {
    std::string body;
    JsonWriter json(&body);
    json.BeginObject();
    json.Key("cluster");
    json.BeginObject();
    json.Key("peers");
    json.BeginArray();
    json.EndArray();
    json.Member("status", "disabled");
    json.EndObject();
    json.Key("config");
    json.BeginObject();
    json.Member("original", am_->config_yaml());
    json.EndObject();
    json.Member("uptime", base::FormatRfc3339Millis(am_->started()));
    json.Key("versionInfo");
    json.BeginObject();
    json.Member("branch", "");
    json.Member("buildDate", "");
    json.Member("buildUser", "");
    json.Member("goVersion", "");
    json.Member("revision", "tocsin " + std::string(base::kVersion));
    json.Member("version", base::kAlertmanagerVersion);
    json.EndObject();
    json.EndObject();
    AnswerGet(x, net::HttpResponse::Json(200, body + "\n"));
  }

  void GetReceivers(const ExchangePtr& x, const PathParams&) {
    alertmanager::Matchers matchers;
    if (!ReadMatchers(x, "receiver_matchers", &matchers)) return;
    std::string body;
    JsonWriter json(&body);
    json.BeginArray();
    if (const alertmanager::ConfigPtr config = am_->config()) {
      for (const alertmanager::ReceiverConfig& receiver : config->receivers) {
        if (!alertmanager::MatchesAll(matchers, model::Labels::FromPairs(receiver.labels))) continue;
        json.BeginObject();
        json.Member("name", receiver.name);
        // The name alone says nothing new, and clients from before 0.33 do not expect it.
        if (receiver.labels.size() > 1) {
          json.Key("labels");
          json.BeginObject();
          for (const auto& [name, value] : receiver.labels) json.Member(name, value);
          json.EndObject();
        }
        json.EndObject();
      }
    }
    json.EndArray();
    AnswerGet(x, net::HttpResponse::Json(200, body + "\n"));
  }

  // All values of a repeated parameter as matchers; false: answered.
  bool ReadMatchers(const ExchangePtr& x, std::string_view name, alertmanager::Matchers* matchers) {
    for (const std::string& text : x->request().query.All(name)) {
      auto matcher = alertmanager::ParseMatcher(text, am_->options().matcher_mode);
      if (!matcher) {
        const std::string what = name == "filter" ? "" : "failed to parse " + std::string(name) + " param: ";
        AnswerGet(x, JsonText(400, what + matcher.error().message()));
        return false;
      }
      matchers->push_back(std::move(*matcher));
    }
    return true;
  }

  bool ReadFilter(const ExchangePtr& x, AlertFilter* filter) {
    const net::Params& query = x->request().query;
    if (!ReadMatchers(x, "filter", &filter->matchers)) return false;
    if (const std::string_view receiver = query.Get("receiver"); !receiver.empty()) {
      auto regex = base::Regex::Anchored(receiver);
      if (!regex) {
        // The pattern as the reference compiles it, so that the message quotes the same.
        if (auto whole = base::Regex::Unanchored("^(?:" + std::string(receiver) + ")$"); !whole) regex = std::move(whole);
        AnswerGet(x, JsonText(400, "failed to parse receiver param: " + regex.error().message()));
        return false;
      }
      filter->receiver = std::move(*regex);
    }
    if (!ReadMatchers(x, "receiver_matchers", &filter->receiver_matchers)) return false;
    filter->active = BoolParam(query, "active", true);
    filter->silenced = BoolParam(query, "silenced", true);
    filter->inhibited = BoolParam(query, "inhibited", true);
    filter->muted = BoolParam(query, "muted", true);
    return true;
  }

  void GetAlerts(const ExchangePtr& x, const PathParams&) {
    AlertFilter filter;
    if (!ReadFilter(x, &filter)) return;
    am_->ListAlerts(std::move(filter), [self = shared_from_this(), x](std::vector<alertmanager::AlertView> alerts) {
      self->replies_->AnswerGetWith(x, std::make_shared<std::vector<alertmanager::AlertView>>(std::move(alerts)), WriteAlerts);
    });
  }

  void GetGroups(const ExchangePtr& x, const PathParams&) {
    AlertFilter filter;
    if (!ReadFilter(x, &filter)) return;
    am_->ListGroups(std::move(filter), [self = shared_from_this(), x](std::vector<alertmanager::GroupView> groups) {
      self->replies_->AnswerGetWith(x, std::make_shared<std::vector<alertmanager::GroupView>>(std::move(groups)), [](std::vector<alertmanager::GroupView>& list, std::string* out) {
        alertmanager::Alertmanager::SortGroups(&list);
        WriteGroups(list, out);
      });
    });
  }

  void PostAlerts(const ExchangePtr& x, const PathParams&) {
    if (!replies_->IsJson(x)) return;
    struct Posting {
      Decoded<SharedAlerts> decoded;
      size_t at = 0;
      std::string problems;
    };
    auto posting = std::make_shared<Posting>();
    executor_->Offload(
        base::Lane::kIntake, [x, posting] { posting->decoded = DecodeAlerts(x->request().body); },
        [self = shared_from_this(), x, posting] {
          if (const auto* error = std::get_if<SchemaError>(&posting->decoded)) return self->Answer(x, Refused(*error));
          // In slices: a hundred thousand alerts may come in one request.
          self->executor_->Slice([self, posting] { return self->PostSome(&posting->at, std::get<0>(posting->decoded), &posting->problems); },
                                 [self, x, posting] {
                                   if (!posting->problems.empty()) return self->Answer(x, JsonText(400, posting->problems));
                                   self->Answer(x, net::HttpResponse{});
                                 });
        });
  }

  bool PostSome(size_t* at, const SharedAlerts& alerts, std::string* problems) {
    constexpr size_t kAtOnce = 128;
    const size_t count = std::min(kAtOnce, alerts.size() - *at);
    const base::Status posted = am_->Post(std::span(alerts).subspan(*at, count));
    if (!posted && problems->size() < kMaxProblemBytes) {
      if (!problems->empty()) *problems += "; ";
      *problems += posted.error().message();
    }
    *at += count;
    return *at < alerts.size();
  }

  void GetSilences(const ExchangePtr& x, const PathParams&) {
    alertmanager::Matchers filter;
    if (!ReadMatchers(x, "filter", &filter)) return;
    const net::Params& query = x->request().query;
    const bool wanted[] = {BoolParam(query, "pending", true), BoolParam(query, "active", true),
                           BoolParam(query, "expired", true)};
    const base::Time now = executor_->Now();
    std::vector<SilencePtr> shown;
    for (const SilencePtr& silence : am_->silences().List()) {
      if (!wanted[static_cast<int>(silence->StateAt(now))]) continue;
      // Every matcher asked for must stand as it is in one of the silence's sets.
      const bool has_all = std::ranges::any_of(silence->matcher_sets, [&](const alertmanager::Matchers& set) {
        return std::ranges::all_of(filter, [&](const alertmanager::Matcher& m) { return std::ranges::find(set, m) != set.end(); });
      });
      if (has_all) shown.push_back(silence);
    }
    // Active ones by their end, then pending ones by their begin, then expired ones, the latest first.
    std::ranges::stable_sort(shown, [now](const SilencePtr& a, const SilencePtr& b) {
      const SilenceState x_state = a->StateAt(now), y_state = b->StateAt(now);
      if (x_state != y_state) {
        constexpr int kOrder[] = {1, 0, 2};
        return kOrder[static_cast<int>(x_state)] < kOrder[static_cast<int>(y_state)];
      }
      if (x_state == SilenceState::kActive) return a->ends_at < b->ends_at;
      if (x_state == SilenceState::kPending) return a->starts_at < b->starts_at;
      return a->ends_at > b->ends_at;
    });
    replies_->AnswerGetWith(x, std::make_shared<std::vector<SilencePtr>>(std::move(shown)), [now](const std::vector<SilencePtr>& silences, std::string* out) {
      WriteSilences(silences, now, out);
    });
  }

  void PostSilence(const ExchangePtr& x, const PathParams&) {
    if (!replies_->IsJson(x)) return;
    auto decoded = DecodePostedSilence(x->request().body);
    if (const auto* error = std::get_if<SchemaError>(&decoded)) return Answer(x, Refused(*error));
    auto& posted = std::get<0>(decoded);
    if (const SilencePtr before = posted.silence.id.empty() ? nullptr : am_->silences().Find(posted.silence.id)) {
      posted.KeepUnknown(*before);
    }
    alertmanager::Silence silence = std::move(posted.silence);
    if (silence.starts_at >= silence.ends_at) {
      return Answer(x, JsonText(400, "Failed to create silence: start time must be before end time"));
    }
    if (silence.ends_at < executor_->Now()) {
      return Answer(x, JsonText(400, "Failed to create silence: end time can't be in the past"));
    }
    for (const std::string& name : silence.receivers) {
      // Those that its client does not know of may be gone from the configuration.
      if (!posted.has_receivers) break;
      if (const alertmanager::ConfigPtr config = am_->config(); config == nullptr || config->FindReceiver(name) == nullptr) {
        return Answer(x, JsonText(400, "silence invalid: there is no receiver " + base::Quote(name)));
      }
    }
    am_->silences().Set(std::move(silence), [self = shared_from_this(), x](base::Result<std::string> id) {
      if (!id) return self->Answer(x, JsonText(StatusOf(id.error()), id.error().message()));
      std::string body;
      JsonWriter json(&body);
      json.BeginObject();
      json.Member("silenceID", *id);
      json.EndObject();
      self->Answer(x, net::HttpResponse::Json(200, body + "\n"));
    });
  }

  static net::HttpResponse WrongId(std::string_view id) {
    return CodeAndMessage(422, 601, "silenceID in path must be of type uuid: " + base::Quote(id));
  }

  void GetSilence(const ExchangePtr& x, const PathParams& path) {
    if (!IsUuid(path.Get("id"))) return AnswerGet(x, WrongId(path.Get("id")));
    const SilencePtr silence = am_->silences().Find(path.Get("id"));
    if (silence == nullptr) {
      net::HttpResponse response;
      response.status = 404;
      return AnswerGet(x, std::move(response));
    }
    std::string body;
    WriteSilence(*silence, executor_->Now(), &body);
    AnswerGet(x, net::HttpResponse::Json(200, body + "\n"));
  }

  void DeleteSilence(const ExchangePtr& x, const PathParams& path) {
    if (!IsUuid(path.Get("id"))) return Answer(x, WrongId(path.Get("id")));
    am_->silences().Expire(std::string(path.Get("id")), [self = shared_from_this(), x](base::Status done) {
      if (!done) return self->Answer(x, JsonText(StatusOf(done.error()), done.error().message()));
      self->Answer(x, net::HttpResponse{});
    });
  }

  base::Executor* const executor_;
  alertmanager::Alertmanager* const am_;
  const std::shared_ptr<Replies> replies_;
};

AlertmanagerApi::AlertmanagerApi(base::Executor* executor, alertmanager::Alertmanager* am, std::shared_ptr<Replies> replies)
    : impl_(std::make_shared<Impl>(executor, am, std::move(replies))) {}

AlertmanagerApi::~AlertmanagerApi() = default;

void AlertmanagerApi::Register(Router* router) { impl_->Register(router); }

std::function<void(const net::HttpRequestStats&)> AlertmanagerHttpMetrics(base::Registry* registry) {
  auto* duration = registry->AddHistogramFamily("alertmanager_http_request_duration_seconds",
                                                "Latencies of HTTP requests.", {"handler", "method", "code"},
                                                {0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 20, 60});
  auto* size = registry->AddHistogramFamily("alertmanager_http_response_size_bytes",
                                            "Sizes of HTTP answers.", {"handler", "method"},
                                            {100, 1000, 10000, 100000, 1e6, 1e7, 1e8});
  return [duration, size](const net::HttpRequestStats& stats) {
    const std::string method = base::ToLower(stats.method);
    duration->With({stats.route, method, std::to_string(stats.status)})->Observe(base::ToSeconds(stats.duration));
    size->With({stats.route, method})->Observe(static_cast<double>(stats.response_bytes));
  };
}

}  // namespace tocsin::api
