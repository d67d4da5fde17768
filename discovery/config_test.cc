#include "discovery/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "discovery/mechanisms.h"

namespace tocsin::discovery {
namespace {

using ::testing::HasSubstr;

DiscoveryConfig Read(const std::string& text, base::yaml::Errors* errors) {
  auto doc = base::yaml::Parse(text, "f.yml");
  EXPECT_TRUE(doc) << text;
  base::yaml::Reader r(doc->root(), errors, "config.plain");
  DiscoveryConfig config;
  ReadDiscoveryKeys(&r, errors, &config);
  r.Finish();
  return config;
}

TEST(DiscoveryConfigTest, StaticFileAndHttpBlocksAreReadWithTheirDefaults) {
  base::yaml::Errors errors("f.yml");
  DiscoveryConfig c = Read(
      "static_configs: [{targets: [a, b], labels: {x: y}}]\n"
      "file_sd_configs: [{files: [t/*.yml, /abs.json]}]\n"
      "http_sd_configs: [{url: 'http://h/sd', refresh_interval: 5s}]\n",
      &errors);
  EXPECT_TRUE(errors.empty()) << errors.ToStatus().error().message();
  ASSERT_EQ(c.static_groups.size(), 1u);
  EXPECT_EQ(c.static_groups[0]->targets.size(), 2u);
  EXPECT_EQ(c.static_groups[0]->labels.ToString(), "{x=\"y\"}");
  c.SetDirectory("/etc/p");
  EXPECT_EQ(c.files[0].files[0], "/etc/p/t/*.yml");
  EXPECT_EQ(c.files[0].files[1], "/abs.json");
  EXPECT_EQ(c.files[0].refresh_interval, std::chrono::minutes(5));
  EXPECT_EQ(c.http[0].refresh_interval, std::chrono::seconds(5));
  EXPECT_TRUE(c.unsupported.empty());
  EXPECT_TRUE(c.SameAs(c));
}

TEST(DiscoveryConfigTest, OtherMechanismsAreCheckedAndMarked) {
  base::yaml::Errors errors("f.yml");
  DiscoveryConfig c = Read(
      "kubernetes_sd_configs: [{role: pod, namespaces: {names: [a]}}]\n"
      "consul_sd_configs: [{server: 'c:8500', token: hush, basic_auth: {username: u, password: pw}}]\n",
      &errors);
  EXPECT_TRUE(errors.empty()) << errors.ToStatus().error().message();
  ASSERT_EQ(c.unsupported.size(), 2u);
  EXPECT_EQ(c.unsupported[0].key, "consul_sd_configs");
  EXPECT_EQ(c.unsupported[0].position.line, 2);
  EXPECT_EQ(c.unsupported[0].block.Find("token")->text, "<secret>");
  EXPECT_EQ(c.unsupported[0].block.Find("basic_auth")->Find("password")->text, "<secret>");
  EXPECT_EQ(c.unsupported[0].block.Find("basic_auth")->Find("username")->text, "u");
}

TEST(DiscoveryConfigTest, ABadBlockSaysWhatIsWrongWithIt) {
  struct Row {
    const char *text, *error;
  };
  for (const Row& row : {
           Row{"static_configs: [~]", "empty or null section in static_configs"},
           {"static_configs: [{targets: [a], label: {}}]", "field label not found in type targetgroup.Group"},
           {"static_configs: [{targets: a}]", "targets: cannot unmarshal !!str `a` into a list"},
           {"file_sd_configs: [{files: []}]", "must contain at least one path name"},
           {"file_sd_configs: [{files: [x.txt]}]", "path name \"x.txt\" is not valid for file discovery"},
           {"file_sd_configs: [{files: ['*/x.yml']}]", "is not valid for file discovery"},
           {"http_sd_configs: [{url: ftp://x}]", "URL scheme must be 'http' or 'https'"},
           {"http_sd_configs: [{url: 'http://'}]", "host is missing in URL"},
           {"http_sd_configs: [{}]", "URL is missing"},
           {"aws_sd_configs: [{role: s3}]", "unknown AWS SD role \"s3\""},
           {"azure_sd_configs: [{subscription_id: x}]", "azure SD configuration requires a tenant_id"},
           {"consul_sd_configs: [{server: ' '}]", "consul SD configuration requires a server address"},
           {"digitalocean_sd_configs: [{role: x}]", "unknown DigitalOcean SD role \"x\""},
           {"dns_sd_configs: [{names: [a], type: A}]", "a port is required in DNS-SD configs"},
           {"dns_sd_configs: [{names: [a], type: TXT}]", "invalid DNS-SD records type TXT"},
           {"docker_sd_configs: [{}]", "host missing"},
           {"dockerswarm_sd_configs: [{host: x, role: x}]", "expected tasks, services, or nodes"},
           {"ec2_sd_configs: [{filters: [{name: a}]}]", "filter values cannot be empty"},
           {"eureka_sd_configs: [{server: x}]", "invalid eureka server URL"},
           {"gce_sd_configs: [{project: x}]", "GCE SD configuration requires a zone"},
           {"kubernetes_sd_configs: [{role: pod, kubeconfig_file: x, api_server: 'http://x'}]",
            "cannot use 'kubeconfig_file' and 'api_server' simultaneously"},
           {"kuma_sd_configs: [{server: x}]", "kuma SD server must not be empty and have a scheme: x"},
           {"marathon_sd_configs: [{}]", "must contain at least one Marathon server"},
           {"nerve_sd_configs: [{servers: [a], paths: [b]}]", "paths must begin with '/': b"},
           {"nomad_sd_configs: [{server: ''}]", "nomad SD configuration requires a server address"},
           {"oci_sd_configs: [{region: x}]", "api_key auth requires tenancy"},
           {"openstack_sd_configs: [{role: instance}]", "openstack SD configuration requires a region"},
           {"triton_sd_configs: [{account: a}]", "requires a dns_suffix"},
           {"uyuni_sd_configs: [{server: x}]", "requires a username"},
           {"vultr_sd_configs: [{port: x}]", "port: cannot unmarshal !!str `x` into int"},
           {"linode_sd_configs: [{refresh_interval: x}]", "not a valid duration string"},
           {"hetzner_sd_configs: [~]", "empty or null section in hetzner_sd_configs"},
           {"consult_sd_configs: []", "field consult_sd_configs not found in type config.plain"},
       }) {
    base::yaml::Errors errors("f.yml");
    Read(row.text, &errors);
    ASSERT_FALSE(errors.empty()) << row.text;
    EXPECT_THAT(errors.ToStatus().error().message(), HasSubstr(row.error));
  }
}

TEST(DiscoveryConfigTest, TheTablesAreSound) {
  std::string last;
  for (const Mechanism& mechanism : Mechanisms()) {
    EXPECT_LT(last, mechanism.key) << "in order, each once";
    last = mechanism.key;
    EXPECT_TRUE(mechanism.key.ends_with("_sd_configs"));
    for (const Field& field : mechanism.fields) {
      EXPECT_EQ(field.choices.empty(), field.unknown.empty()) << mechanism.key << " " << field.name;
    }
  }
}

}  // namespace
}  // namespace tocsin::discovery
