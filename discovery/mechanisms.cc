#include "discovery/mechanisms.h"

#include <algorithm>

#include "base/duration.h"
#include "base/number.h"
#include "base/text.h"
#include "base/url.h"

namespace tocsin::discovery {
namespace {

constexpr Field kAws[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"role", FieldType::kString, "", "unknown AWS SD role \"\"", "ec2 ecs elasticache lightsail msk rds", "unknown AWS SD role {}"},
    {"port", FieldType::kInt},
    {"filters", FieldType::kFilters},
    {"clusters", FieldType::kStrings},
};

constexpr Field kAzure[] = {
    {"environment", FieldType::kString, "AzurePublicCloud"},
    {"port", FieldType::kInt, "80"},
    {"subscription_id", FieldType::kString, "", "azure SD configuration requires a subscription_id"},
    {"tenant_id"},
    {"client_id"},
    {"client_secret", FieldType::kSecret},
    {"refresh_interval", FieldType::kDuration, "5m"},
    {"authentication_method", FieldType::kString, "OAuth"},
    {"resource_group"},
};

constexpr Field kConsul[] = {
    {"server", FieldType::kString, "localhost:8500", "consul SD configuration requires a server address"},
    {"path_prefix"},
    {"token", FieldType::kSecret},
    {"datacenter"},
    {"namespace"},
    {"partition"},
    {"tag_separator", FieldType::kString, ","},
    {"scheme", FieldType::kString, "http"},
    {"username"},
    {"password", FieldType::kSecret},
    {"allow_stale", FieldType::kBool, "true"},
    {"refresh_interval", FieldType::kDuration, "30s"},
    {"services", FieldType::kStrings},
    {"tags", FieldType::kStrings},
    {"node_meta", FieldType::kStringMap},
    {"filter"},
    {"health_filter"},
};

constexpr Field kDigitalocean[] = {
    {"port", FieldType::kInt, "80"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"role", FieldType::kString, "droplets", "role missing (one of: droplets, databases)", "droplets databases", "unknown DigitalOcean SD role {}"},
};

constexpr Field kDns[] = {
    {"names", FieldType::kStrings, "", "DNS-SD config must contain at least one SRV record name"},
    {"refresh_interval", FieldType::kDuration, "30s"},
    {"type", FieldType::kString, "SRV"},
    {"port", FieldType::kInt},
};

constexpr Field kDocker[] = {
    {"host", FieldType::kUrl, "", "host missing"},
    {"port", FieldType::kInt, "80"},
    {"filters", FieldType::kFilters},
    {"host_networking_host", FieldType::kString, "localhost"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"match_first_network", FieldType::kBool, "true"},
};

constexpr Field kDockerswarm[] = {
    {"host", FieldType::kUrl, "", "host missing"},
    {"port", FieldType::kInt, "80"},
    {"filters", FieldType::kFilters},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"role", FieldType::kString, "", "role missing (one of: tasks, services, nodes)", "services nodes tasks", "invalid role {raw}, expected tasks, services, or nodes"},
};

constexpr Field kEc2[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"filters", FieldType::kFilters},
};

constexpr Field kEcs[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"clusters", FieldType::kStrings},
    {"request_concurrency", FieldType::kInt, "20"},
};

constexpr Field kElasticache[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"clusters", FieldType::kStrings},
    {"request_concurrency", FieldType::kInt, "10"},
};

constexpr Field kEureka[] = {
    {"server", FieldType::kUrl, "", "eureka_sd: empty or null eureka server"},
    {"refresh_interval", FieldType::kDuration, "30s"},
};

constexpr Field kGce[] = {
    {"project", FieldType::kString, "", "GCE SD configuration requires a project"},
    {"zone", FieldType::kString, "", "GCE SD configuration requires a zone"},
    {"filter"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"tag_separator", FieldType::kString, ","},
};

constexpr Field kHetzner[] = {
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"role", FieldType::kString, "", "role missing (one of: robot, hcloud)", "robot hcloud", "unknown role {}"},
    {"label_selector"},
};

constexpr Field kIonos[] = {
    {"datacenter_id", FieldType::kString, "", "datacenter id can't be empty"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
};

constexpr Field kKubernetes[] = {
    {"api_server", FieldType::kUrl},
    {"role", FieldType::kString, "", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)", "node pod service endpoints endpointslice ingress", "unknown Kubernetes SD role {}"},
    {"kubeconfig_file"},
    {"namespaces", FieldType::kBlock},
    {"selectors", FieldType::kBlock},
    {"attach_metadata", FieldType::kBlock},
};

constexpr Field kKuma[] = {
    {"server", FieldType::kUrl, "", "kuma SD server must not be empty: "},
    {"refresh_interval", FieldType::kDuration, "15s"},
    {"fetch_timeout", FieldType::kDuration, "2m"},
    {"client_id"},
};

constexpr Field kLightsail[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
};

constexpr Field kLinode[] = {
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"tag_separator", FieldType::kString, ","},
    {"region"},
};

constexpr Field kMarathon[] = {
    {"servers", FieldType::kStrings, "", "marathon_sd: must contain at least one Marathon server"},
    {"refresh_interval", FieldType::kDuration, "30s"},
    {"auth_token", FieldType::kSecret},
    {"auth_token_file"},
};

constexpr Field kMsk[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"clusters", FieldType::kStrings},
    {"request_concurrency", FieldType::kInt, "10"},
};

constexpr Field kNerve[] = {
    {"servers", FieldType::kStrings, "", "nerve SD config must contain at least one Zookeeper server"},
    {"paths", FieldType::kStrings, "", "nerve SD config must contain at least one path"},
    {"timeout", FieldType::kDuration, "10s"},
};

constexpr Field kNomad[] = {
    {"allow_stale", FieldType::kBool, "true"},
    {"namespace", FieldType::kString, "default"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"region", FieldType::kString, "global"},
    {"server", FieldType::kString, "http://localhost:4646", "nomad SD configuration requires a server address"},
    {"tag_separator", FieldType::kString, ","},
};

constexpr Field kOci[] = {
    {"auth", FieldType::kString, "api_key"},
    {"tenancy"},
    {"user"},
    {"fingerprint"},
    {"key_file"},
    {"key_passphrase", FieldType::kSecret},
    {"key_passphrase_file"},
    {"region", FieldType::kString, "", "oci_sd: region is required"},
    {"compartments", FieldType::kStrings},
    {"port", FieldType::kInt, "80"},
    {"refresh_interval", FieldType::kDuration, "60s"},
};

constexpr Field kOpenstack[] = {
    {"identity_endpoint"},
    {"username"},
    {"userid"},
    {"password", FieldType::kSecret},
    {"project_name"},
    {"project_id"},
    {"domain_name"},
    {"domain_id"},
    {"application_credential_name"},
    {"application_credential_id"},
    {"application_credential_secret", FieldType::kSecret},
    {"role", FieldType::kString, "", "role missing (one of: instance, hypervisor, loadbalancer)", "hypervisor instance loadbalancer", "unknown OpenStack SD role {}"},
    {"region", FieldType::kString, "", "openstack SD configuration requires a region"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"all_tenants", FieldType::kBool},
    {"tls_config", FieldType::kTls},
    {"availability", FieldType::kString, "public", "unknown availability , must be one of admin, internal or public", "public internal admin", "unknown availability {raw}, must be one of admin, internal or public"},
};

constexpr Field kOutscale[] = {
    {"endpoint"},
    {"region", FieldType::kString, "eu-west-2", "outscale SD configuration requires a region"},
    {"access_key", FieldType::kString, "", "outscale SD configuration requires access_key"},
    {"secret_key", FieldType::kSecret},
    {"secret_key_file"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
};

constexpr Field kOvhcloud[] = {
    {"endpoint", FieldType::kString, "ovh-eu", "endpoint can not be empty"},
    {"application_key", FieldType::kString, "", "application key can not be empty"},
    {"application_secret", FieldType::kSecret, "", "application secret can not be empty"},
    {"consumer_key", FieldType::kSecret, "", "consumer key can not be empty"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"service", FieldType::kString, "", "unknown service: ", "dedicated_server vps", "unknown service: {raw}"},
};

constexpr Field kPuppetdb[] = {
    {"url", FieldType::kUrl, "", "URL is missing"},
    {"query", FieldType::kString, "", "query missing"},
    {"include_parameters", FieldType::kBool},
    {"port", FieldType::kInt, "80"},
    {"refresh_interval", FieldType::kDuration, "60s"},
};

constexpr Field kRds[] = {
    {"region"},
    {"endpoint"},
    {"access_key"},
    {"secret_key", FieldType::kSecret},
    {"profile"},
    {"role_arn"},
    {"external_id"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"filters", FieldType::kFilters},
    {"clusters", FieldType::kStrings},
    {"request_concurrency", FieldType::kInt, "10"},
};

constexpr Field kScaleway[] = {
    {"project_id", FieldType::kString, "", "project_id is mandatory"},
    {"api_url", FieldType::kString, "https://api.scaleway.com"},
    {"zone", FieldType::kString, "fr-par-1"},
    {"access_key", FieldType::kString, "", "access_key is mandatory"},
    {"secret_key", FieldType::kSecret},
    {"secret_key_file"},
    {"name_filter"},
    {"tags_filter", FieldType::kStrings},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"role", FieldType::kString, "", "role missing (one of: instance, baremetal)", "instance baremetal", "unknown role {}"},
};

constexpr Field kServerset[] = {
    {"servers", FieldType::kStrings, "", "serverset SD config must contain at least one Zookeeper server"},
    {"paths", FieldType::kStrings, "", "serverset SD config must contain at least one path"},
    {"timeout", FieldType::kDuration, "10s"},
};

constexpr Field kStackit[] = {
    {"project"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
    {"region", FieldType::kString, "eu01"},
    {"endpoint"},
    {"service_account_key", FieldType::kSecret},
    {"private_key", FieldType::kSecret},
    {"service_account_key_path"},
    {"private_key_path"},
    {"credentials_file_path"},
};

constexpr Field kTriton[] = {
    {"account", FieldType::kString, "", "triton SD configuration requires an account"},
    {"role", FieldType::kString, "container", "triton SD configuration requires role to be 'container' or 'cn'", "container cn", "triton SD configuration requires role to be 'container' or 'cn'"},
    {"dns_suffix", FieldType::kString, "", "triton SD configuration requires a dns_suffix"},
    {"endpoint", FieldType::kString, "", "triton SD configuration requires an endpoint"},
    {"groups", FieldType::kStrings},
    {"port", FieldType::kInt, "9163"},
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"tls_config", FieldType::kTls},
    {"version", FieldType::kInt, "1"},
};

constexpr Field kUyuni[] = {
    {"server", FieldType::kUrl, "", "Uyuni SD configuration requires server host"},
    {"username", FieldType::kString, "", "Uyuni SD configuration requires a username"},
    {"password", FieldType::kSecret, "", "Uyuni SD configuration requires a password"},
    {"entitlement", FieldType::kString, "monitoring_entitled"},
    {"separator", FieldType::kString, ","},
    {"refresh_interval", FieldType::kDuration, "1m"},
};

constexpr Field kVultr[] = {
    {"refresh_interval", FieldType::kDuration, "60s"},
    {"port", FieldType::kInt, "80"},
};

constexpr Mechanism kMechanisms[] = {
    {"aws_sd_configs", "aws.SDConfig", true, kAws},
    {"azure_sd_configs", "azure.plain", true, kAzure, &CheckAzure},
    {"consul_sd_configs", "consul.plain", true, kConsul, &CheckConsul},
    {"digitalocean_sd_configs", "digitalocean.plain", true, kDigitalocean},
    {"dns_sd_configs", "dns.plain", false, kDns, &CheckDns},
    {"docker_sd_configs", "moby.plain", true, kDocker},
    {"dockerswarm_sd_configs", "moby.plain", true, kDockerswarm},
    {"ec2_sd_configs", "aws.plain", true, kEc2, &CheckEc2},
    {"ecs_sd_configs", "aws.plain", true, kEcs},
    {"elasticache_sd_configs", "aws.plain", true, kElasticache},
    {"eureka_sd_configs", "eureka.plain", true, kEureka, &CheckEureka},
    {"gce_sd_configs", "gce.plain", false, kGce},
    {"hetzner_sd_configs", "hetzner.plain", true, kHetzner},
    {"ionos_sd_configs", "ionos.plain", true, kIonos},
    {"kubernetes_sd_configs", "kubernetes.plain", true, kKubernetes, &CheckKubernetes},
    {"kuma_sd_configs", "xds.plain", true, kKuma, &CheckKuma},
    {"lightsail_sd_configs", "aws.plain", true, kLightsail},
    {"linode_sd_configs", "linode.plain", true, kLinode},
    {"marathon_sd_configs", "marathon.plain", true, kMarathon, &CheckMarathon},
    {"msk_sd_configs", "aws.plain", true, kMsk},
    {"nerve_sd_configs", "zookeeper.plain", false, kNerve, &CheckZookeeper},
    {"nomad_sd_configs", "nomad.plain", true, kNomad},
    {"oci_sd_configs", "oci.plain", true, kOci, &CheckOci},
    {"openstack_sd_configs", "openstack.plain", false, kOpenstack},
    {"outscale_sd_configs", "outscale.plain", true, kOutscale, &CheckSecretPair},
    {"ovhcloud_sd_configs", "ovhcloud.plain", false, kOvhcloud},
    {"puppetdb_sd_configs", "puppetdb.plain", true, kPuppetdb, &CheckHttpUrl},
    {"rds_sd_configs", "aws.plain", true, kRds},
    {"scaleway_sd_configs", "scaleway.plain", true, kScaleway, &CheckSecretPair},
    {"serverset_sd_configs", "zookeeper.plain", false, kServerset, &CheckZookeeper},
    {"stackit_sd_configs", "stackit.plain", true, kStackit, &CheckStackit},
    {"triton_sd_configs", "triton.plain", false, kTriton},
    {"uyuni_sd_configs", "uyuni.plain", true, kUyuni},
    {"vultr_sd_configs", "vultr.plain", true, kVultr},
};

std::string Filled(std::string_view message, const std::string& value) {
  return base::ReplaceAll(base::ReplaceAll(message, "{}", base::Quote(value)), "{raw}", value);
}

void ReadFilters(std::string_view key, Block* block, std::vector<std::string>* out) {
  block->reader().Each(key, [&](const base::yaml::Node& item) {
    base::yaml::Reader r(item, block->errors(), "filter");
    std::string name;
    std::vector<std::string> values;
    r.String("name", &name);
    r.Strings("values", &values);
    r.Finish();
    // Kept as name, to be checked by the mechanism: an empty text is a filter without values.
    out->push_back(values.empty() ? std::string() : name);
  });
}

void CheckText(const Field& field, const std::string& value, Block* block) {
  if (value.empty()) {
    if (!field.missing.empty()) block->Fail(field.name, field.missing);
    return;
  }
  if (field.type == FieldType::kUrl) {
    if (auto url = base::ParseUrl(value); !url) block->Fail(field.name, url.error().message());
  }
  if (field.choices.empty()) return;
  auto choices = base::Split(field.choices, ' ');
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    block->Fail(field.name, Filled(field.unknown, value) + "; use one of " +
                                base::ReplaceAll(field.choices, " ", ", "));
  }
}

}  // namespace

std::span<const Mechanism> Mechanisms() { return kMechanisms; }

void Block::Fail(std::string_view key, std::string_view message) {
  errors_->Add(reader_->At(key), std::string(message));
}

void ReadBlock(const Mechanism& mechanism, Block* block) {
  base::yaml::Reader& r = block->reader();
  size_t before = block->errors()->count();
  for (const Field& field : mechanism.fields) {
    switch (field.type) {
      case FieldType::kString:
      case FieldType::kSecret:
      case FieldType::kUrl: {
        std::string& value = block->texts_.emplace(field.name, field.fallback).first->second;
        size_t count = block->errors()->count();
        r.String(field.name, &value);
        if (count == block->errors()->count()) CheckText(field, value, block);
        break;
      }
      case FieldType::kBool: {
        bool value = field.fallback == "true";
        r.Bool(field.name, &value);
        block->texts_.emplace(field.name, value ? "true" : "");
        break;
      }
      case FieldType::kInt: {
        int64_t value = field.fallback.empty() ? 0 : std::stol(std::string(field.fallback));
        r.Int(field.name, &value);
        block->texts_.emplace(field.name, std::to_string(value));
        break;
      }
      case FieldType::kDuration: {
        base::Duration value = base::ParseDuration(field.fallback).value_or(base::Duration(0));
        r.Duration(field.name, &value);
        block->texts_.emplace(field.name, base::FormatDuration(value));
        break;
      }
      case FieldType::kStrings: {
        auto& list = block->lists_[std::string(field.name)];
        r.Strings(field.name, &list);
        if (list.empty() && !field.missing.empty()) block->Fail(field.name, field.missing);
        break;
      }
      case FieldType::kStringMap: {
        std::vector<std::pair<std::string, std::string>> value;
        r.StringMap(field.name, &value);
        break;
      }
      case FieldType::kFilters: ReadFilters(field.name, block, &block->lists_[std::string(field.name)]); break;
      case FieldType::kTls:
        r.With(field.name, [&](const base::yaml::Node& node) {
          net::TlsConfig tls;
          net::ReadTlsConfig(node, block->errors(), &tls);
        });
        break;
      case FieldType::kBlock: r.Take(field.name); break;
    }
  }
  if (mechanism.has_http) net::ReadHttpConfigKeys(&r, block->errors(), &block->http_);
  // Duplicated advice helps nobody: what depends on several keys is checked when each is sound.
  if (mechanism.check != nullptr && before == block->errors()->count()) mechanism.check(block);
  r.Finish();
}

bool IsSecretKey(std::string_view key) {
  constexpr std::string_view kOfHttpConfig[] = {"password", "credentials", "client_secret", "bearer_token", "secrets",
                                                "client_certificate_key"};
  if (std::find(std::begin(kOfHttpConfig), std::end(kOfHttpConfig), key) != std::end(kOfHttpConfig)) return true;
  for (const Mechanism& mechanism : kMechanisms) {
    for (const Field& field : mechanism.fields) {
      if (field.type == FieldType::kSecret && field.name == key) return true;
    }
  }
  return false;
}

}  // namespace tocsin::discovery
