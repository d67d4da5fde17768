#include "api/alertmanager/insight.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "alertmanager/journal_search.h"
#include "alertmanager/preview.h"
#include "api/alertmanager/insight_json.h"
#include "api/alertmanager/v2_json.h"
#include "api/http/json.h"
#include "base/duration.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

constexpr size_t kMaxEvents = 10'000;
constexpr size_t kMaxPreviewed = 1000;

net::HttpResponse Failure(const base::Error& error) {
  const int status = error.code() == base::Code::kInvalidArgument ? 400 : error.code() == base::Code::kNotFound ? 404 : 500;
  std::string body;
  JsonWriter(&body).String(error.message());
  return net::HttpResponse::Json(status, body + "\n");
}

// RFC 3339, seconds since 1970, or a span before now such as 2h.
base::Result<base::Time> TimeParam(std::string_view name, std::string_view text, base::Time now) {
  if (auto time = base::ParseRfc3339(text)) return *time;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && seconds > 0 && seconds < 9e9) {
    return base::FromUnixMillis(static_cast<int64_t>(seconds * 1000));
  }
  if (auto span = base::ParseDuration(text)) return now - *span;
  return base::InvalidArgument(std::string(name) + "=" + std::string(text) +
                               ": not a time; write 2026-01-02T03:04:05Z, seconds since 1970, or a span before now such as 2h");
}

std::vector<model::AlertPtr> AlertsOf(const alertmanager::JournalPage& page, const alertmanager::Matchers& matchers) {
  std::map<uint64_t, model::AlertPtr> out;
  for (const alertmanager::JournalEntry& e : page.entries) {
    if (e.alert == nullptr || !alertmanager::MatchesAll(matchers, e.alert->labels)) continue;
    model::Alert alert;
    alert.labels = e.alert->labels;
    alert.annotations = e.alert->annotations;
    alert.starts_at = e.alert->starts_at;
    alert.generator_url = e.alert->generator_url;
    if (e.kind == alertmanager::JournalKind::kResolved) alert.ends_at = e.due;
    out[e.alert->fingerprint] = std::make_shared<const model::Alert>(std::move(alert));
    if (out.size() >= kMaxPreviewed) break;
  }
  std::vector<model::AlertPtr> list;
  for (auto& [fingerprint, alert] : out) list.push_back(std::move(alert));
  return list;
}

}  // namespace

class InsightApi::Impl : public std::enable_shared_from_this<InsightApi::Impl> {
 public:
  Impl(base::Executor* executor, alertmanager::Alertmanager* am, std::function<std::vector<alertmanager::RuleFact>()> rules)
      : executor_(executor), am_(am), rules_(std::move(rules)) {}

  void Register(Router* router) {
    auto self = shared_from_this();
    router->Add({"GET", "HEAD"}, "/api/v2/journal", [self](const ExchangePtr& x, const PathParams&) { self->GetJournal(x); });
    router->Add({"GET", "HEAD"}, "/api/v2/explain", [self](const ExchangePtr& x, const PathParams&) { self->GetExplain(x); });
    router->Add({"POST"}, "/api/v2/preview", [self](const ExchangePtr& x, const PathParams&) { self->PostPreview(x); });
    router->Add({"POST"}, "/api/v2/receivers/:name/test",
                [self](const ExchangePtr& x, const PathParams& path) { self->PostTest(x, std::string(path.Get("name"))); });
  }

 private:
  using Alerts = std::vector<model::AlertPtr>;

  void Answer(const ExchangePtr& x, net::HttpResponse response) {
    response.headers.Set("Cache-Control", "no-store");
    response.headers.Add("Vary", "Origin");
    if (!x->request().headers.Get("Origin").empty()) response.headers.Set("Access-Control-Allow-Origin", "*");
    x->Respond(std::move(response));
  }

  // Writes on a worker, answers on the loop.
  template <class Value, class Write>
  void AnswerWith(const ExchangePtr& x, Value value, Write write) {
    auto body = std::make_shared<std::string>();
    executor_->Offload(
        base::Lane::kQueries,
        [body, value = std::make_shared<const Value>(std::move(value)), write] {
          write(*value, body.get());
          *body += '\n';
        },
        [self = shared_from_this(), x, body] { self->Answer(x, net::HttpResponse::Json(200, std::move(*body))); });
  }

  base::Result<alertmanager::Matchers> ReadMatchers(const net::Params& query) const {
    alertmanager::Matchers out;
    for (const std::string& text : query.All("filter")) {
      // One matcher or a list of them.
      ASSIGN_OR_RETURN(alertmanager::Matchers some, alertmanager::ParseMatchers(text, am_->options().matcher_mode));
      std::ranges::move(some, std::back_inserter(out));
    }
    return out;
  }

  base::Result<alertmanager::JournalQuery> ReadJournalQuery(const net::Params& query) const {
    alertmanager::JournalQuery q;
    const base::Time now = executor_->Now();
    ASSIGN_OR_RETURN(q.matchers, ReadMatchers(query));
    q.from = now - std::chrono::hours(24);
    if (query.Has("from")) {
      ASSIGN_OR_RETURN(q.from, TimeParam("from", query.Get("from"), now));
    }
    if (query.Has("to")) {
      ASSIGN_OR_RETURN(q.to, TimeParam("to", query.Get("to"), now));
    }
    for (const std::string& list : query.All("kind")) {
      for (std::string_view name : base::Split(list, ',')) {
        alertmanager::JournalKind kind{};
        if (!alertmanager::ParseJournalKind(base::Trim(name), &kind)) {
          return base::InvalidArgument("kind=" + std::string(name) +
                                       ": there is received, resolved, grouped, suppressed, released, not_sent, request, unanswered, "
                                       "gave_up, recovered, silence and service");
        }
        q.kinds.push_back(kind);
      }
    }
    q.group = query.Get("group");
    q.receiver = query.Get("receiver");
    if (const std::string_view text = query.Get("fingerprint"); !text.empty()) {
      uint64_t fingerprint = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fingerprint, 16);
      if (error != std::errc() || end != text.data() + text.size()) {
        return base::InvalidArgument("fingerprint=" + std::string(text) + ": write 16 hexadecimal digits");
      }
      q.fingerprint = fingerprint;
    }
    if (const std::string_view text = query.Get("limit"); !text.empty()) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), q.limit);
      if (error != std::errc() || end != text.data() + text.size() || q.limit == 0 || q.limit > kMaxEvents) {
        return base::InvalidArgument("limit=" + std::string(text) + ": write a number from 1 to " + std::to_string(kMaxEvents));
      }
    }
    return q;
  }

  void GetJournal(const ExchangePtr& x) {
    auto query = ReadJournalQuery(x->request().query);
    if (!query) return Answer(x, Failure(query.error()));
    am_->journal().FlushSoon();
    alertmanager::SearchJournal(am_->store(), std::move(*query),
                                [self = shared_from_this(), x](base::Result<alertmanager::JournalPage> page) {
                                  if (!page) return self->Answer(x, Failure(page.error()));
                                  self->AnswerWith(x, std::move(*page), WriteJournal);
                                });
  }

  void GetExplain(const ExchangePtr& x) {
    const net::Params& params = x->request().query;
    alertmanager::ExplainQuery query{.rules = rules_};
    auto matchers = ReadMatchers(params);
    if (!matchers) return Answer(x, Failure(matchers.error()));
    query.matchers = std::move(*matchers);
    if (const std::string_view at = params.Get("at"); !at.empty()) {
      auto time = TimeParam("at", at, executor_->Now());
      if (!time) return Answer(x, Failure(time.error()));
      query.at = *time;
    }
    alertmanager::Explain(am_, executor_, std::move(query), [self = shared_from_this(), x](base::Result<alertmanager::Explanation> e) {
      if (!e) return self->Answer(x, Failure(e.error()));
      self->AnswerWith(x, std::move(*e), WriteExplanation);
    });
  }

  // The alerts a request is about: those of its body, of the journal at a time, or those known now.
  void WithAlerts(const ExchangePtr& x, std::function<void(Alerts)> then) {
    const net::Params& params = x->request().query;
    auto matchers = ReadMatchers(params);
    if (!matchers) return Answer(x, Failure(matchers.error()));
    const std::string& body = x->request().body;
    if (body.find_first_not_of(" \t\r\n") != std::string::npos) {
      auto decoded = DecodeAlerts(body);
      if (const auto* error = std::get_if<SchemaError>(&decoded)) return Answer(x, Failure({base::Code::kInvalidArgument, error->message}));
      Alerts alerts;
      for (const std::shared_ptr<model::Alert>& alert : std::get<0>(decoded)) {
        if (alert->starts_at == base::Time{}) alert->starts_at = executor_->Now();
        alerts.push_back(alert);
        if (alerts.size() > kMaxPreviewed) {
          return Answer(x, Failure({base::Code::kInvalidArgument, "at most " + std::to_string(kMaxPreviewed) + " alerts at once"}));
        }
      }
      return then(std::move(alerts));
    }
    if (const std::string_view text = params.Get("at"); !text.empty()) {
      auto at = TimeParam("at", text, executor_->Now());
      if (!at) return Answer(x, Failure(at.error()));
      alertmanager::JournalQuery query{.matchers = *matchers,
                                       .kinds = {alertmanager::JournalKind::kReceived, alertmanager::JournalKind::kResolved,
                                                 alertmanager::JournalKind::kGrouped},
                                       .from = *at - std::chrono::hours(24),
                                       .to = *at + base::Duration(1),
                                       .limit = kMaxEvents};
      am_->journal().FlushSoon();
      return alertmanager::SearchJournal(
          am_->store(), std::move(query),
          [self = shared_from_this(), x, then = std::move(then), matchers = *matchers](base::Result<alertmanager::JournalPage> page) {
            if (!page) return self->Answer(x, Failure(page.error()));
            then(AlertsOf(*page, matchers));
          });
    }
    then(matchers->empty() ? Alerts{} : am_->Known(*matchers, kMaxPreviewed));
  }

  void PostPreview(const ExchangePtr& x) {
    WithAlerts(x, [self = shared_from_this(), x](Alerts alerts) {
      if (alerts.empty()) {
        return self->Answer(x, Failure({base::Code::kNotFound, "no alert to preview: post some, or name known ones with filter=, also of "
                                                               "the past with at="}));
      }
      alertmanager::Preview(self->am_, self->executor_, std::move(alerts), std::string(x->request().query.Get("receiver")),
                            [self, x](std::vector<alertmanager::RoutePreview> routes) { self->AnswerWith(x, std::move(routes), WritePreview); });
    });
  }

  void PostTest(const ExchangePtr& x, const std::string& receiver) {
    WithAlerts(x, [self = shared_from_this(), x, receiver](Alerts alerts) {
      alertmanager::TestReceiver(self->am_, self->executor_, receiver, std::move(alerts),
                                 [self, x, receiver](base::Result<std::vector<alertmanager::IntegrationTest>> tests) {
                                   if (!tests) return self->Answer(x, Failure(tests.error()));
                                   self->AnswerWith(x, std::move(*tests), [receiver](const auto& t, std::string* out) {
                                     WriteReceiverTest(receiver, t, out);
                                   });
                                 });
    });
  }

  base::Executor* const executor_;
  alertmanager::Alertmanager* const am_;
  const std::function<std::vector<alertmanager::RuleFact>()> rules_;
};

InsightApi::InsightApi(base::Executor* executor, alertmanager::Alertmanager* am,
                       std::function<std::vector<alertmanager::RuleFact>()> rules)
    : impl_(std::make_shared<Impl>(executor, am, std::move(rules))) {}
InsightApi::~InsightApi() = default;
void InsightApi::Register(Router* router) { impl_->Register(router); }

}  // namespace tocsin::api
