// email: multipart/alternative with quoted-printable parts, over SMTP.

#include <fmt/format.h>

#include <algorithm>

#include "alertmanager/mime.h"
#include "alertmanager/receiver.h"
#include "base/digest.h"
#include "base/text.h"
#include "templates/go_time.h"

namespace tocsin::alertmanager {

namespace {

// A plain text for mails whose user asked for HTML only: readers without HTML still see the alerts.
constexpr std::string_view kPlainText =
    "{{ template \"email.default.subject\" . }}\n"
    "{{ range .Alerts }}\n{{ .Status | toUpper }}\n"
    "{{ range .Labels.SortedPairs }}  {{ .Name }} = {{ .Value }}\n{{ end }}"
    "{{ range .Annotations.SortedPairs }}  {{ .Name }}: {{ .Value }}\n{{ end }}"
    "{{ with .GeneratorURL }}  {{ . }}\n{{ end }}{{ end }}\n{{ .ExternalURL }}\n";

std::string MailDate(base::Time t) {
  return templates::GoTime::FromTime(t).Format("Mon, 02 Jan 2006 15:04:05 -0700");
}

class Email : public Receiver {
 public:
  Email(const IntegrationConfig& config, const ReceiverContext& context)
      : block_(config.block), context_(context) {}

  base::Result<Built> Build(const Notification& n, const Step&) const override {
    Expander expand(context_, n);
    net::SmtpMessage m{.smarthost = block_.Text("smarthost"), .hello = block_.Text("hello")};
    RETURN_IF_ERROR(SetAddresses(expand, &m));
    RETURN_IF_ERROR(SetSession(&m));
    m.data = Data(n, expand);
    return expand.Finish(std::move(m));
  }

 private:
  base::Status SetAddresses(Expander& expand, net::SmtpMessage* m) const {
    const std::string from = expand.Key(block_.Text("from"));
    const std::string to = expand.Key(block_.Text("to"));
    RETURN_IF_ERROR(expand.status());
    auto sender = ParseAddressList(from);
    if (!sender) return base::InvalidArgument("parse 'from' addresses: " + sender.error().message());
    if (sender->size() != 1) {
      return base::InvalidArgument(fmt::format("must be exactly one 'from' address (got: {})", sender->size()));
    }
    m->from = sender->front().address;
    auto recipients = ParseAddressList(to);
    if (!recipients) return base::InvalidArgument("parse 'to' addresses: " + recipients.error().message());
    for (const MailAddress& a : *recipients) m->recipients.push_back(a.address);
    return {};
  }

  base::Status SetSession(net::SmtpMessage* m) const {
    m->require_tls = block_.Flag("require_tls");
    m->implicit_tls = block_.IsSet("force_implicit_tls") ? block_.Flag("force_implicit_tls")
                                                         : m->smarthost.ends_with(":465");
    if (auto tls = block_.Tls()) m->tls = *tls;
    m->username = block_.Text("auth_username");
    m->identity = block_.Text("auth_identity");
    ASSIGN_OR_RETURN(m->password, SecretText(block_, "auth_password", "auth_password_file", context_.fs));
    ASSIGN_OR_RETURN(m->secret, SecretText(block_, "auth_secret", "auth_secret_file", context_.fs));
    return {};
  }

  bool HasHeader(std::string_view name) const {
    return std::ranges::any_of(block_.Map("headers"), [&](const auto& h) { return base::EqualsIgnoreCase(h.first, name); });
  }

  void AppendCommonHeaders(const Notification& n, std::string* out) const {
    if (!HasHeader("Message-Id")) {
      *out += fmt::format("Message-Id: <{}.{}@{}>\r\n", n.now.time_since_epoch().count(), n.random, n.hostname);
    }
    if (!context_.compat.bare_mail && !HasHeader("Auto-Submitted")) *out += "Auto-Submitted: auto-generated\r\n";
    if (!block_.Blocks("threading").empty() && block_.Blocks("threading").front().Flag("enabled")) {
      const std::string date = block_.Blocks("threading").front().Text("thread_by_date") == "none"
                                   ? ""
                                   : templates::GoTime::FromTime(n.now).Format("2006-01-02");
      const std::string id = fmt::format("<alert-{}-{}@alertmanager>", HashOfKey(n.group_key).substr(0, 16), date);
      *out += "References: " + id + "\r\nIn-Reply-To: " + id + "\r\n";
    }
    *out += "Date: " + MailDate(n.now) + "\r\n";
    *out += "MIME-Version: 1.0\r\n";
  }

  // Letters and digits only, as long as Go's: 60 characters.
  static std::string Boundary(const Notification& n) {
    const std::string hash = base::Hex(base::Sha256(fmt::format("{}/{}/{}", n.random, n.group_key, n.now.time_since_epoch().count())));
    return hash.substr(0, 60);
  }

  std::string Data(const Notification& n, Expander& expand) const {
    std::string out;
    for (const auto& [name, value] : block_.Map("headers")) {
      out += name + ": " + EncodeHeader(expand.Text(value)) + "\r\n";
    }
    AppendCommonHeaders(n, &out);
    const std::string boundary = Boundary(n);
    out += "Content-Type: multipart/alternative;  boundary=" + boundary + "\r\n\r\n";
    auto part = [&](std::string_view type, const std::string& body) {
      out += fmt::format("--{}\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: {}; charset=UTF-8\r\n\r\n", boundary, type);
      out += QuotedPrintable(body);
      out += "\r\n";
    };
    if (block_.Has("text")) {
      part("text/plain", expand.Text(block_.Text("text")));
    } else if (block_.Has("html") && !context_.compat.bare_mail) {
      part("text/plain", expand.Text(kPlainText));
    }
    if (block_.Has("html")) part("text/html", expand.Html(block_.Text("html")));
    return out + "--" + boundary + "--\r\n";
  }

  const Block block_;
  const ReceiverContext context_;
};

}  // namespace

std::unique_ptr<Receiver> MakeEmail(const IntegrationConfig& config, const ReceiverContext& context) {
  return std::make_unique<Email>(config, context);
}

}  // namespace tocsin::alertmanager
