#include "api/alertmanager/insight.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "alertmanager/journal_search.h"
#include "alertmanager/preview.h"
#include "api/alertmanager/insight_json.h"
#include "api/alertmanager/v2_json.h"
#include "base/duration.h"
#include "base/text.h"

namespace tocsin::api {
namespace {

constexpr size_t kMaxEvents = 10'000;
constexpr size_t kMaxPreviewed = 1000;

net::HttpResponse Failure(const base::Error& error) {
  const int status = error.code() == base::Code::kInvalidArgument ? 400 : error.code() == base::Code::kNotFound ? 404 : 500;
  return JsonText(status, error.message());
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

// The alerts that match and that the page speaks of, as its last word on each has them.
std::vector<model::AlertPtr> AlertsOf(const alertmanager::JournalPage& page, const alertmanager::Matchers& matchers) {
  std::map<uint64_t, model::AlertPtr> out;
  // A message tells of its alerts as they were at its tick.  Tried again, it is written after changes that it
  // knows nothing of.
  std::map<uint64_t, base::Time> changed;
  auto take = [&](const alertmanager::JournalAlertPtr& a, base::Time ends_at) {
    const bool known = a != nullptr && out.contains(a->fingerprint);
    if (a == nullptr || (!known && (out.size() >= kMaxPreviewed || !alertmanager::MatchesAll(matchers, a->labels)))) return;
    model::Alert alert;
    alert.labels = a->labels;
    alert.annotations = a->annotations;
    alert.starts_at = a->starts_at;
    alert.ends_at = ends_at;
    alert.generator_url = a->generator_url;
    out[a->fingerprint] = std::make_shared<const model::Alert>(std::move(alert));
  };
  auto take_told = [&](const alertmanager::JournalAlertPtr& a, base::Time tick, base::Time ends_at) {
    const auto since = changed.find(a->fingerprint);
    if (since == changed.end() || tick >= since->second) take(a, ends_at);
  };
  for (const alertmanager::JournalEntry& e : page.entries) {
    const bool resolved = e.kind == alertmanager::JournalKind::kResolved;
    if (e.alert != nullptr && (resolved || e.kind == alertmanager::JournalKind::kReceived)) {
      take(e.alert, resolved ? e.due : base::Time{});
      changed[e.alert->fingerprint] = e.at;
    } else if (e.kind == alertmanager::JournalKind::kGrouped && e.alert != nullptr && !out.contains(e.alert->fingerprint)) {
      take(e.alert, {});
    }
    for (const alertmanager::JournalAlertPtr& a : e.firing) take_told(a, e.tick, {});
    for (const alertmanager::JournalAlertPtr& a : e.resolved) take_told(a, e.tick, e.tick);
  }
  std::vector<model::AlertPtr> list;
  for (auto& [fingerprint, alert] : out) list.push_back(std::move(alert));
  return list;
}

}  // namespace

class InsightApi::Impl : public std::enable_shared_from_this<InsightApi::Impl> {
 public:
  Impl(base::Executor* executor, alertmanager::Alertmanager* am, std::shared_ptr<Replies> replies,
       std::function<std::vector<alertmanager::RuleFact>()> rules)
      : executor_(executor), am_(am), replies_(std::move(replies)), rules_(std::move(rules)) {}

  void Register(Router* router) {
    AddGet(router, "/api/v2/journal", &Impl::GetJournal);
    AddGet(router, "/api/v2/explain", &Impl::GetExplain);
    auto self = shared_from_this();
    router->Add({"POST"}, "/api/v2/preview", [self](const ExchangePtr& x, const PathParams&) {
      self->replies_->BoundTime(x);
      if (self->replies_->IsJson(x)) self->PostPreview(x);
    });
    router->Add({"POST"}, "/api/v2/receivers/:name/test", [self](const ExchangePtr& x, const PathParams& path) {
      self->replies_->BoundTime(x);
      if (self->replies_->IsJson(x)) self->PostTest(x, std::string(path.Get("name")));
    });
  }

 private:
  using Alerts = std::vector<model::AlertPtr>;

  void AddGet(Router* router, std::string_view path, void (Impl::*get)(const ExchangePtr&)) {
    router->Add({"GET", "HEAD"}, path, [self = shared_from_this(), get](const ExchangePtr& x, const PathParams&) {
      self->replies_->BoundTime(x);
      if (self->replies_->Enter(x)) (self.get()->*get)(x);
    });
  }

  void Answer(const ExchangePtr& x, net::HttpResponse response) { replies_->Answer(x, std::move(response)); }
  void AnswerGet(const ExchangePtr& x, net::HttpResponse response) { replies_->AnswerGet(x, std::move(response)); }

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
    if (!query) return AnswerGet(x, Failure(query.error()));
    am_->journal().FlushSoon();
    alertmanager::SearchJournal(am_->store(), std::move(*query),
                                [self = shared_from_this(), x](base::Result<alertmanager::JournalPage> page) {
                                  if (!page) return self->AnswerGet(x, Failure(page.error()));
                                  self->replies_->AnswerGetWith(x, std::make_shared<alertmanager::JournalPage>(std::move(*page)), WriteJournal);
                                });
  }

  void GetExplain(const ExchangePtr& x) {
    const net::Params& params = x->request().query;
    alertmanager::ExplainQuery query{.rules = rules_};
    auto matchers = ReadMatchers(params);
    if (!matchers) return AnswerGet(x, Failure(matchers.error()));
    query.matchers = std::move(*matchers);
    if (const std::string_view at = params.Get("at"); !at.empty()) {
      auto time = TimeParam("at", at, executor_->Now());
      if (!time) return AnswerGet(x, Failure(time.error()));
      query.at = *time;
    }
    alertmanager::Explain(am_, executor_, std::move(query), [self = shared_from_this(), x](base::Result<alertmanager::Explanation> e) {
      if (!e) return self->AnswerGet(x, Failure(e.error()));
      self->replies_->AnswerGetWith(x, std::make_shared<alertmanager::Explanation>(std::move(*e)), WriteExplanation);
    });
  }

  // The alerts a request is about: those of its body, of the journal at a time, or those known now.
  void WithAlerts(const ExchangePtr& x, std::function<void(Alerts)> then) {
    const net::Params& params = x->request().query;
    auto matchers = ReadMatchers(params);
    if (!matchers) return Answer(x, Failure(matchers.error()));
    if (x->request().body.find_first_not_of(" \t\r\n") != std::string::npos) {
      auto decoded = std::make_shared<Decoded<SharedAlerts>>();
      return executor_->Offload(
          base::Lane::kIntake, [x, decoded] { *decoded = DecodeAlerts(x->request().body); },
          [self = shared_from_this(), x, decoded, then = std::move(then)] {
            if (const auto* error = std::get_if<SchemaError>(decoded.get())) {
              return self->Answer(x, Failure({base::Code::kInvalidArgument, error->message}));
            }
            const SharedAlerts& posted = std::get<0>(*decoded);
            if (posted.size() > kMaxPreviewed) {
              return self->Answer(x, Failure({base::Code::kInvalidArgument, "at most " + std::to_string(kMaxPreviewed) + " alerts at once"}));
            }
            for (const std::shared_ptr<model::Alert>& alert : posted) {
              if (alert->starts_at == base::Time{}) alert->starts_at = self->executor_->Now();
            }
            then(Alerts(posted.begin(), posted.end()));
          });
    }
    if (const std::string_view text = params.Get("at"); !text.empty()) {
      auto at = TimeParam("at", text, executor_->Now());
      if (!at) return Answer(x, Failure(at.error()));
      alertmanager::JournalQuery query{.matchers = *matchers,
                                       .from = *at - std::chrono::hours(24),
                                       .to = *at + base::Duration(1),
                                       .limit = kMaxEvents};
      am_->journal().FlushSoon();
      return alertmanager::SearchJournal(
          am_->store(), std::move(query),
          [self = shared_from_this(), x, then = std::move(then), matchers = *matchers](base::Result<alertmanager::JournalPage> page) {
            if (!page) return self->Answer(x, Failure(page.error()));
            auto found = std::make_shared<Alerts>();
            self->executor_->Offload(
                base::Lane::kQueries,
                [found, page = std::make_shared<alertmanager::JournalPage>(std::move(*page)), matchers] { *found = AlertsOf(*page, matchers); },
                [found, then] { then(std::move(*found)); });
          });
    }
    if (matchers->empty()) return then({});
    am_->FindKnown(std::move(*matchers), kMaxPreviewed, std::move(then));
  }

  void PostPreview(const ExchangePtr& x) {
    WithAlerts(x, [self = shared_from_this(), x](Alerts alerts) {
      if (alerts.empty()) {
        return self->Answer(x, Failure({base::Code::kNotFound, "no alert to preview: post some, or name known ones with filter=, also of "
                                                               "the past with at="}));
      }
      alertmanager::Preview(self->am_, self->executor_, std::move(alerts), std::string(x->request().query.Get("receiver")),
                            [self, x](std::vector<alertmanager::RoutePreview> routes) {
                              self->replies_->AnswerWith(x, std::make_shared<std::vector<alertmanager::RoutePreview>>(std::move(routes)), WritePreview);
                            });
    });
  }

  void PostTest(const ExchangePtr& x, const std::string& receiver) {
    WithAlerts(x, [self = shared_from_this(), x, receiver](Alerts alerts) {
      alertmanager::TestReceiver(self->am_, self->executor_, receiver, std::move(alerts),
                                 [self, x, receiver](base::Result<std::vector<alertmanager::IntegrationTest>> tests) {
                                   if (!tests) return self->Answer(x, Failure(tests.error()));
                                   self->replies_->AnswerWith(x, std::make_shared<std::vector<alertmanager::IntegrationTest>>(std::move(*tests)), [receiver](const auto& t, std::string* out) {
                                     WriteReceiverTest(receiver, t, out);
                                   });
                                 });
    });
  }

  base::Executor* const executor_;
  alertmanager::Alertmanager* const am_;
  const std::shared_ptr<Replies> replies_;
  const std::function<std::vector<alertmanager::RuleFact>()> rules_;
};

InsightApi::InsightApi(base::Executor* executor, alertmanager::Alertmanager* am, std::shared_ptr<Replies> replies,
                       std::function<std::vector<alertmanager::RuleFact>()> rules)
    : impl_(std::make_shared<Impl>(executor, am, std::move(replies), std::move(rules))) {}
InsightApi::~InsightApi() = default;
void InsightApi::Register(Router* router) { impl_->Register(router); }

}  // namespace tocsin::api
