#pragma once

// The service discovery mechanisms of Prometheus 3.14 as tables: the keys of each *_sd_configs
// block, what they hold, their defaults and what is required.  Only for discovery/config.cc.

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "net/http_config.h"

namespace tocsin::discovery {

enum class FieldType {
  kString, kSecret, kBool, kInt, kDuration, kStrings, kStringMap,
  kUrl,      // as Go's url.Parse takes it
  kFilters,  // [{name, values}]
  kTls,      // a tls_config block
  kBlock,    // read by the mechanism's own check
};

struct Field {
  std::string_view name;
  FieldType type = FieldType::kString;
  std::string_view fallback = {};
  std::string_view missing = {};  // the error when it is empty; else it need not be there
  std::string_view choices = {};  // what it may be, separated by spaces
  std::string_view unknown = {};  // the error for anything else; {} stands for it quoted, {raw} as it is
};

// A block that has been read by its table, for what the table cannot say.
class Block {
 public:
  Block(base::yaml::Reader* reader, base::yaml::Errors* errors) : reader_(reader), errors_(errors) {}

  const std::string& Text(std::string_view key) const { return texts_.find(key)->second; }
  bool Set(std::string_view key) const { return !Text(key).empty(); }
  const std::vector<std::string>& List(std::string_view key) const { return lists_.find(key)->second; }
  const net::HttpConfig& http() const { return http_; }
  base::yaml::Reader& reader() { return *reader_; }
  base::yaml::Errors* errors() { return errors_; }
  void Fail(std::string_view key, std::string_view message);

 private:
  friend void ReadBlock(const struct Mechanism& mechanism, Block* block);
  base::yaml::Reader* const reader_;
  base::yaml::Errors* const errors_;
  std::map<std::string, std::string, std::less<>> texts_;
  std::map<std::string, std::vector<std::string>, std::less<>> lists_;
  net::HttpConfig http_;
};

struct Mechanism {
  std::string_view key;   // kubernetes_sd_configs
  std::string_view type;  // as Go calls the block in messages: kubernetes.plain
  bool has_http = false;  // http_config keys stand among its own
  std::span<const Field> fields;
  void (*check)(Block*) = nullptr;
};

std::span<const Mechanism> Mechanisms();

// Reads all keys of a mechanism's block, unknown ones as errors.
void ReadBlock(const Mechanism& mechanism, Block* block);

// Whether a key holds a secret in any mechanism or in http_config.
bool IsSecretKey(std::string_view key);

// The checks, in mechanism_checks.cc.
void CheckHttpUrl(Block* block);
void CheckAzure(Block* block);
void CheckConsul(Block* block);
void CheckDns(Block* block);
void CheckEc2(Block* block);
void CheckEureka(Block* block);
void CheckKubernetes(Block* block);
void CheckKuma(Block* block);
void CheckMarathon(Block* block);
void CheckOci(Block* block);
void CheckStackit(Block* block);
void CheckSecretPair(Block* block);  // secret_key, secret_key_file
void CheckZookeeper(Block* block);

}  // namespace tocsin::discovery
