#pragma once

// Hides a receiver's credentials in texts for people: those of the configuration and of the files it
// names, and those a receiver was given by a server, each also as URLs, JSON and HTML write it.
//
//   const SecretMask mask(*prepared, integration, notification, fs);   // reads files: on a worker
//   mask.Text(request.body)
//
// Threads: immutable.

#include <string>
#include <string_view>
#include <vector>

#include "alertmanager/prepared.h"
#include "alertmanager/receiver.h"
#include "base/file_system.h"

namespace tocsin::alertmanager {

class SecretMask {
 public:
  SecretMask() = default;
  // Texts that are templates are hidden as this notification expands them.
  SecretMask(const Prepared& prepared, const Integration& integration, const Notification& notification, base::FileSystem* fs);

  std::string Text(std::string text) const;
  // Of a text whose end may have been cut off: an end that a secret begins with is hidden too.
  std::string CutText(std::string text) const;
  // A header by its name or, failing that, its text.
  std::string Header(std::string_view name, std::string value) const;

 private:
  std::vector<std::string> forms_;  // longest first
};

}  // namespace tocsin::alertmanager
