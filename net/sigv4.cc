#include "net/sigv4.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/digest.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"

namespace tocsin::net {

namespace {

std::string Hmac(std::string_view key, std::string_view data) {
  const auto mac = base::HmacSha256(key, data);
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

std::string Sha256Hex(std::string_view data) { return base::Hex(base::Sha256(data)); }

// "20260102T030405Z".
std::string BasicTime(base::Time now) {
  std::string text = base::FormatRfc3339(std::chrono::floor<std::chrono::seconds>(now));
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

// The keys of one section of an INI file, as the two files of Amazon's tools are.
using Section = std::map<std::string, std::string, std::less<>>;

base::Result<Section> ReadSection(base::FileSystem* fs, const std::string& file, std::string_view name) {
  Section section;
  auto text = fs->ReadFile(file);
  if (!text) {
    if (text.error().code() == base::Code::kNotFound) return section;
    return base::Unavailable(fmt::format("{}: {}", file, text.error().message()));
  }
  bool inside = false;
  for (std::string_view line : base::Split(*text, '\n')) {
    line = base::Trim(line);
    if (line.starts_with('[') && line.ends_with(']')) {
      line = base::Trim(line.substr(1, line.size() - 2));
      inside = line == name || line == fmt::format("profile {}", name);
    } else if (const size_t equals = line.find('='); inside && equals != std::string_view::npos && line[0] != '#') {
      section[std::string(base::Trim(line.substr(0, equals)))] = base::Trim(line.substr(equals + 1));
    }
  }
  return section;
}

struct Profile {
  std::string credentials_file;
  AwsCredentials credentials;
  std::string region;
};

base::Result<Profile> ReadProfile(base::FileSystem* fs, const Environment& environment, std::string_view name) {
  auto file = [&](const char* variable, const char* usual) {
    const std::string given = environment(variable);
    return given.empty() ? base::JoinPath(environment("HOME"), usual) : given;
  };
  Profile profile{.credentials_file = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), .credentials = {}, .region = {}};
  ASSIGN_OR_RETURN(Section keys, ReadSection(fs, profile.credentials_file, name));
  ASSIGN_OR_RETURN(Section config, ReadSection(fs, file("AWS_CONFIG_FILE", ".aws/config"), name));
  // The config file may hold keys too; the credentials file goes first.
  keys.merge(config);
  profile.credentials = {.access_key = keys["aws_access_key_id"],
                         .secret_key = keys["aws_secret_access_key"],
                         .session_token = keys["aws_session_token"]};
  profile.region = keys["region"];
  return profile;
}

}  // namespace

std::string ProcessEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

base::Result<AwsIdentity> FindAwsIdentity(const AwsSettings& settings, base::FileSystem* fs,
                                          const Environment& environment) {
  AwsIdentity identity{.region = settings.region, .credentials = settings.credentials};
  std::string name = settings.profile.empty() ? environment("AWS_PROFILE") : settings.profile;
  if (identity.credentials.empty() && settings.profile.empty()) {
    identity.credentials = {.access_key = environment("AWS_ACCESS_KEY_ID"),
                            .secret_key = environment("AWS_SECRET_ACCESS_KEY"),
                            .session_token = environment("AWS_SESSION_TOKEN")};
  }
  for (const char* variable : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (identity.region.empty()) identity.region = environment(variable);
  }
  if (!identity.credentials.empty() && !identity.region.empty()) return identity;
  if (name.empty()) name = "default";
  ASSIGN_OR_RETURN(const Profile profile, ReadProfile(fs, environment, name));
  if (identity.credentials.empty()) identity.credentials = profile.credentials;
  if (identity.region.empty()) identity.region = profile.region;
  if (identity.credentials.empty()) {
    return base::InvalidArgument(fmt::format(
        "no AWS credentials: neither the configuration's keys{} nor the profile {} of {}",
        settings.profile.empty() ? ", nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY," : "", base::Quote(name),
        profile.credentials_file));
  }
  if (identity.region.empty()) {
    return base::InvalidArgument("no AWS region: set region in sigv4, or AWS_REGION, or the profile's region");
  }
  return identity;
}

base::Status SignAws(const AwsCredentials& credentials, std::string_view region, std::string_view service,
                     base::Time now, FetchRequest* request) {
  ASSIGN_OR_RETURN(const base::Url url, base::ParseUrl(request->url));
  const std::string stamp = BasicTime(now), date = stamp.substr(0, 8);
  request->headers.Set("X-Amz-Date", stamp);
  std::string headers = fmt::format("content-type:{}\nhost:{}\nx-amz-date:{}\n", request->headers.Get("Content-Type"),
                                    url.host, stamp);
  std::string names = "content-type;host;x-amz-date";
  if (!credentials.session_token.empty()) {
    request->headers.Set("X-Amz-Security-Token", credentials.session_token);
    headers += "x-amz-security-token:" + credentials.session_token + "\n";
    names += ";x-amz-security-token";
  }
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request->method, url.path.empty() ? "/" : url.path,
                                            url.query, headers, names, Sha256Hex(request->body));
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", date, region, service);
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp, scope, Sha256Hex(canonical));
  std::string key = "AWS4" + credentials.secret_key;
  for (const std::string_view part : {std::string_view(date), region, service, std::string_view("aws4_request")}) {
    key = Hmac(key, part);
  }
  const std::string signature = Hmac(key, to_sign);
  request->headers.Set("Authorization",
                       fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                                   credentials.access_key, scope, names, base::Hex(signature.data(), signature.size())));
  return {};
}

}  // namespace tocsin::net
