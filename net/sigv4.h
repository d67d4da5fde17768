#pragma once

// Amazon's request signatures and where their keys come from.
//
//   ASSIGN_OR_RETURN(net::AwsIdentity id, net::FindAwsIdentity({.profile = "alerts"}, fs, net::ProcessEnvironment));
//   RETURN_IF_ERROR(net::SignAws(id.credentials, id.region, "sns", now, &request));
//
// Source: AWS General Reference, "Signature Version 4 signing process"; the shared credentials and
//         config files of Amazon's command line.
// Threads: plain functions; FindAwsIdentity reads files and belongs on a worker.
// Errors:  kInvalidArgument when keys are missing, and which were looked for; a file that cannot be
//          read is kUnavailable.

#include <functional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/result.h"
#include "base/time.h"
#include "net/http_client.h"

namespace tocsin::net {

struct AwsCredentials {
  std::string access_key, secret_key, session_token;
  bool empty() const { return access_key.empty() || secret_key.empty(); }
};

// What a configuration says itself; all may be empty.
struct AwsSettings {
  std::string region;
  AwsCredentials credentials;
  std::string profile;
};

struct AwsIdentity {
  std::string region;
  AwsCredentials credentials;
};

using Environment = std::function<std::string(const char* name)>;  // "" for what is not set
std::string ProcessEnvironment(const char* name);

// Keys in the order of Amazon's tools: the settings', the profile's, AWS_ACCESS_KEY_ID..., the default
// profile's.  The region: the settings', AWS_REGION, AWS_DEFAULT_REGION, the profile's.
base::Result<AwsIdentity> FindAwsIdentity(const AwsSettings& settings, base::FileSystem* fs,
                                          const Environment& environment);

// Adds the Authorization and X-Amz-* headers.  REQUIRES: Content-Type and the body are as sent.
base::Status SignAws(const AwsCredentials& credentials, std::string_view region, std::string_view service,
                     base::Time now, FetchRequest* request);

}  // namespace tocsin::net
