#pragma once

// What mail needs beyond SMTP: address lists, encoded headers, quoted-printable.
// Threads: pure functions.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tocsin::alertmanager {

struct MailAddress {
  std::string name;
  std::string address;  // local@domain
};

// RFC 5322: a@b, Name <a@b>, "Q, N" <a@b>, separated by commas.
base::Result<std::vector<MailAddress>> ParseAddressList(std::string_view text);

// RFC 2047 Q encoding where the text is not plain ASCII; long texts become several words, folded.
std::string EncodeHeader(std::string_view text);

// Lines of at most 76 characters; line feeds become CRLF.
std::string QuotedPrintable(std::string_view text);

}  // namespace tocsin::alertmanager
