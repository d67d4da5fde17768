// The deliberate deviations from Alertmanager, and how to undo them.

#include "alertmanager/alertmanager.h"

namespace tocsin::alertmanager {

namespace {
struct Row {
  bool Compat::* flag;
  std::string_view name;
  std::string_view upstream;
};
constexpr Row kRows[] = {
    {&Compat::drop_resolved_while_suppressed, "drop-resolved-while-suppressed",
     "alerts that resolve while silenced, inhibited or muted are never reported as resolved"},
    {&Compat::repeat_from_end_of_send, "repeat-from-end-of-send",
     "repeat_interval counts from the end of a send, so an exact multiple of group_interval comes one interval late"},
    {&Compat::cancel_sends_on_reload, "cancel-sends-on-reload", "a reload cancels sends that are under way"},
    {&Compat::ignore_retry_after, "ignore-retry-after", "Slack's 429 waits for the next group_interval"},
    {&Compat::no_fallback_text, "no-fallback-text",
     "a template that fails means no notification, instead of a plain text that names the error"},
    {&Compat::retry_refused_mail, "retry-refused-mail", "a mail that the server refuses for good is tried again"},
    {&Compat::bare_mail, "bare-mail", "HTML mails get no text part, and mails no Auto-Submitted header"},
    {&Compat::forget_told_firing, "forget-told-firing",
     "a receiver that fails for two repeat intervals is never told of the end of alerts it was told of"},
    {&Compat::forget_alerts_at_restart, "forget-alerts-at-restart",
     "alerts are unknown after a restart until their senders repeat them"},
};
}  // namespace

Compat Compat::Upstream() {
  Compat c;
  for (const Row& row : kRows) c.*row.flag = true;
  return c;
}

std::vector<std::pair<std::string_view, std::string_view>> Compat::Describe() {
  std::vector<std::pair<std::string_view, std::string_view>> out;
  for (const Row& row : kRows) out.emplace_back(row.name, row.upstream);
  return out;
}

}  // namespace tocsin::alertmanager
