// What depends on several keys of a mechanism's block, with upstream's words.

#include <algorithm>
#include <set>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"
#include "discovery/mechanisms.h"

namespace tocsin::discovery {
namespace {

bool HasHost(const std::string& url) {
  auto parsed = base::ParseUrl(url);
  return parsed && !parsed->scheme.empty() && !parsed->host.empty();
}

void Require(Block* block, std::string_view key, const std::string& message) {
  if (!block->Set(key)) block->Fail(key, message);
}

struct RoleSelectors {
  std::string_view role;
  std::string_view allowed;
};

constexpr RoleSelectors kSelectors[] = {
    {"pod", "pod, node"},
    {"service", "service"},
    {"endpointslice", "pod, service, endpointslice"},
    {"endpoints", "pod, service, endpoints"},
    {"node", "node"},
    {"ingress", "ingress"},
};

bool Lists(std::string_view list, std::string_view wanted) {
  for (std::string_view item : base::Split(list, ',')) {
    if (base::Trim(item) == wanted) return true;
  }
  return false;
}

// A field selector is a list of key=value, key==value or key!=value.
void CheckFieldSelector(const std::string& text, base::yaml::Reader* r) {
  if (text.empty()) return;
  for (std::string_view part : base::Split(text, ',')) {
    if (part.empty() || part.find('=') != part.npos) continue;
    r->Error("field", "invalid selector: '" + text + "'; can't understand '" + std::string(part) + "'");
  }
}

void CheckSelectors(Block* block) {
  const std::string& role = block->Text("role");
  const auto* row = std::find_if(std::begin(kSelectors), std::end(kSelectors),
                                 [&](const RoleSelectors& s) { return s.role == role; });
  std::set<std::string> seen;
  block->reader().Each("selectors", [&](const base::yaml::Node& item) {
    base::yaml::Reader r(item, block->errors(), "kubernetes.SelectorConfig");
    std::string own;
    std::string label;
    std::string field;
    r.String("role", &own);
    r.String("label", &label);
    r.String("field", &field);
    r.Finish();
    bool known = std::any_of(std::begin(kSelectors), std::end(kSelectors),
                             [&](const RoleSelectors& s) { return s.role == own; });
    if (!own.empty() && !known) {
      r.Error("role", "unknown Kubernetes SD role " + base::Quote(own));
      return;
    }
    if (!seen.insert(own).second) {
      r.Error("role", "duplicated selector role: " + own);
      return;
    }
    if (!Lists(row->allowed, own)) {
      r.Error("role", role + " role supports only " + std::string(row->allowed) + " selectors");
      return;
    }
    CheckFieldSelector(field, &r);
  });
}

}  // namespace

void CheckHttpUrl(Block* block) {
  auto url = base::ParseUrl(block->Text("url"));
  if (!url) return;  // told already
  if (!url->IsHttp()) {
    block->Fail("url", "URL scheme must be 'http' or 'https'");
  } else if (url->host.empty()) {
    block->Fail("url", "host is missing in URL");
  }
}

void CheckAzure(Block* block) {
  const std::string& method = block->Text("authentication_method");
  if (method == "OAuth") {
    for (std::string_view key : {"tenant_id", "client_id", "client_secret"}) {
      Require(block, key, "azure SD configuration requires a " + std::string(key));
    }
  } else if (method != "ManagedIdentity" && method != "SDK" && method != "WorkloadIdentity") {
    block->Fail("authentication_method",
                "unknown authentication_type " + base::Quote(method) +
                    R"(. Supported types are "OAuth", "ManagedIdentity", "SDK" or "WorkloadIdentity")");
  }
}

void CheckConsul(Block* block) {
  if (base::Trim(block->Text("server")).empty()) {
    block->Fail("server", "consul SD configuration requires a server address");
  }
  if ((block->Set("username") || block->Set("password")) && block->http().basic_auth) {
    block->Fail("username",
                "at most one of consul SD configuration username and password and basic auth can be configured");
  }
  if (block->Set("token") && (block->http().authorization || block->http().oauth2)) {
    block->Fail("token", "at most one of consul SD token, authorization, or oauth2 can be configured");
  }
}

void CheckDns(Block* block) {
  std::string type = base::ToUpper(block->Text("type"));
  if (type == "SRV") return;
  if (type != "A" && type != "AAAA" && type != "MX" && type != "NS") {
    block->Fail("type", "invalid DNS-SD records type " + block->Text("type") + "; use SRV, A, AAAA, MX or NS");
  } else if (block->Text("port") == "0") {
    block->Fail("port", "a port is required in DNS-SD configs for all record types except SRV");
  }
}

void CheckEc2(Block* block) {
  for (const std::string& filter : block->List("filters")) {
    if (filter.empty()) {
      block->Fail("filters", "EC2 SD configuration filter values cannot be empty");
      return;
    }
  }
}

void CheckEureka(Block* block) {
  if (!HasHost(block->Text("server"))) block->Fail("server", "eureka_sd: invalid eureka server URL");
}

void CheckKubernetes(Block* block) {
  base::yaml::Reader& r = block->reader();
  bool own_namespace = false;
  r.With("namespaces", [&](const base::yaml::Node& node) {
    base::yaml::Reader n(node, block->errors(), "kubernetes.plain");
    std::vector<std::string> names;
    n.Bool("own_namespace", &own_namespace);
    n.Strings("names", &names);
    n.Finish();
  });
  r.With("attach_metadata", [&](const base::yaml::Node& node) {
    base::yaml::Reader a(node, block->errors(), "kubernetes.AttachMetadataConfig");
    bool value = false;
    for (std::string_view key : {"node", "namespace", "deployment", "job", "cronjob"}) a.Bool(key, &value);
    a.Finish();
  });
  bool api_server = block->Set("api_server");
  bool kubeconfig = block->Set("kubeconfig_file");
  bool own_http = block->http() != net::HttpConfig();
  if (api_server && kubeconfig) {
    block->Fail("kubeconfig_file", "cannot use 'kubeconfig_file' and 'api_server' simultaneously");
  } else if (kubeconfig && own_http) {
    block->Fail("kubeconfig_file", "cannot use a custom HTTP client configuration together with 'kubeconfig_file'");
  } else if (!api_server && own_http) {
    block->Fail("", "to use custom HTTP client configuration please provide the 'api_server' URL explicitly");
  } else if (api_server && own_namespace) {
    block->Fail("namespaces", "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously");
  } else if (kubeconfig && own_namespace) {
    block->Fail("namespaces", "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously");
  }
  CheckSelectors(block);
}

void CheckKuma(Block* block) {
  if (!HasHost(block->Text("server"))) {
    block->Fail("server", "kuma SD server must not be empty and have a scheme: " + block->Text("server"));
  }
}

void CheckMarathon(Block* block) {
  bool token = block->Set("auth_token");
  bool file = block->Set("auth_token_file");
  base::yaml::Reader& r = block->reader();
  if (token && file) {
    block->Fail("auth_token", "marathon_sd: at most one of auth_token & auth_token_file must be configured");
  } else if (token || file) {
    if (block->http().basic_auth) {
      block->Fail("basic_auth",
                  "marathon_sd: at most one of basic_auth, auth_token & auth_token_file must be configured");
    } else if (r.Has("bearer_token") || r.Has("bearer_token_file")) {
      block->Fail("", "marathon_sd: at most one of bearer_token, bearer_token_file, auth_token & auth_token_file must "
                      "be configured");
    } else if (block->http().authorization) {
      block->Fail("authorization",
                  "marathon_sd: at most one of auth_token, auth_token_file & authorization must be configured");
    }
  }
}

void CheckOci(Block* block) {
  constexpr std::string_view kKeys[] = {"tenancy", "user", "fingerprint", "key_file"};
  const std::string& auth = block->Text("auth");
  if (auth == "api_key") {
    for (std::string_view key : kKeys) Require(block, key, "oci_sd: api_key auth requires " + std::string(key));
    if (block->Set("key_passphrase") && block->Set("key_passphrase_file")) {
      block->Fail("key_passphrase", "oci_sd: at most one of key_passphrase and key_passphrase_file must be configured");
    }
  } else if (auth == "instance_principal") {
    bool any = std::any_of(std::begin(kKeys), std::end(kKeys), [&](std::string_view key) { return block->Set(key); });
    if (any || block->Set("key_passphrase") || block->Set("key_passphrase_file")) {
      block->Fail("auth",
                  "oci_sd: instance_principal auth must not have tenancy, user, fingerprint, key_file, key_passphrase, "
                  "or key_passphrase_file set");
    }
  } else {
    block->Fail("auth", "oci_sd: unknown auth method " + base::Quote(auth) +
                            R"(, expected "api_key" or "instance_principal")");
  }
  const auto& compartments = block->List("compartments");
  for (size_t i = 0; i < compartments.size(); ++i) {
    if (compartments[i].empty()) {
      block->Fail("compartments", "oci_sd: compartments[" + std::to_string(i) + "] must not be empty");
    }
  }
  if (block->Text("refresh_interval") == "0s") {
    block->Fail("refresh_interval", "oci_sd: refresh_interval must be positive, got 0s");
  }
}

void CheckStackit(Block* block) {
  const std::string& endpoint = block->Text("endpoint");
  if (endpoint.empty() && !block->Set("region")) {
    block->Fail("", "stackit_sd: endpoint and region missing");
  }
  if (auto url = base::ParseUrl(endpoint); !url) {
    block->Fail("endpoint",
                "stackit_sd: invalid endpoint " + base::Quote(endpoint) + ": " + url.error().message());
  }
}

void CheckSecretPair(Block* block) {
  if (!block->Set("secret_key") && !block->Set("secret_key_file")) {
    block->Fail("", "one of secret_key & secret_key_file must be configured");
  }
  if (block->Set("secret_key") && block->Set("secret_key_file")) {
    block->Fail("secret_key", "at most one of secret_key & secret_key_file must be configured");
  }
}

void CheckZookeeper(Block* block) {
  for (const std::string& path : block->List("paths")) {
    if (!path.starts_with('/')) block->Fail("paths", "SD config paths must begin with '/': " + path);
  }
}

}  // namespace tocsin::discovery
