#pragma once

// The files that Alertmanager itself leaves in its --storage.path, read and written, so that one can be
// replaced by tocsin, and tocsin by one, without losing silences or notifying everything again:
//
//   silences  varint-length-delimited MeshSilence {1 Silence, 2 expires_at}
//   nflog     varint-length-delimited MeshEntry   {1 Entry, 2 expires_at}
//
// Format: Alertmanager's silence.proto and nflog.proto (0.15 to 0.34); unknown fields are skipped.
// Threads: pure functions.
// Errors:  kDataLoss, naming the byte of the first record that cannot be taken over; the others are in *out.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "state/store.h"

namespace tocsin::alertmanager {

base::Status ReadUpstreamSilences(std::string_view bytes, std::vector<state::SilenceRecord>* out);
base::Status ReadUpstreamNotifications(std::string_view bytes, std::vector<state::NotificationRecord>* out);

// What Alertmanager must not be told, because it would hold more back than was meant, is left out and
// named in *left_out: silences that recur or that are for some receivers only.  One of several sets of
// matchers is written whole; versions before 0.32 see its first set alone.
std::string WriteUpstreamSilences(std::span<const state::SilenceRecord> records, std::vector<std::string>* left_out);
std::string WriteUpstreamNotifications(std::span<const state::NotificationRecord> records, std::vector<std::string>* left_out);

// Adds what `folder` holds of these files to *contents and puts it into `store`; once it is there the
// files are renamed to <name>.imported.  Does nothing when *contents has silences or notifications
// of our own.  Loop only; what cannot be read is logged and left out.
void ImportUpstreamSnapshots(const std::string& folder, base::FileSystem* fs, state::Store* store,
                             state::Contents* contents);

}  // namespace tocsin::alertmanager
