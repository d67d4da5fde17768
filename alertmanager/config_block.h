#pragma once

// A block of alertmanager.yml that is read by a table: one row a key, with its kind, its default and
// how it prints.  A Block holds the values; receivers ask for them by key.
//
//   constexpr Field kFields[] = {{"channel", Kind::kText}, {"short_fields", Kind::kBool, "false", Show::kAlways}};
//   Block b(&kTable);
//   b.Read(node, &errors, context);
//   b.Text("channel"), b.Flag("short_fields")
//
// Threads: plain values; const from any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "base/yaml.h"
#include "net/http_config.h"

namespace tocsin::alertmanager {

enum class Kind {
  kText,         // plain or a template, as the receiver says
  kSecret,       // text that prints as <secret>
  kPath,         // a file; made absolute
  kUrl,          // absolute http or https
  kSecretUrl,    // the same, printed as <secret>
  kTemplateUrl,  // a URL or a template of one, printed as <secret> when it may hold one
  kHostPort,
  kBool,
  kInt,
  kDuration,     // 1h30m
  kGoDuration,   // 1.5h
  kTexts,
  kTextMap,
  kBlock,        // one block of `table`
  kBlocks,       // a list of them
  kHttp,
  kTls,
  kTree,         // any YAML
};

enum class Show {
  kNotEmpty,  // left out when empty, zero or false
  kAlways,    // printed even then
  kIfSet,     // printed when it was set, also to false or empty
  kIfWritten, // printed when the file has it: keys of newer versions, which older amtools refuse
};

struct Table;

struct Field {
  std::string_view key;
  Kind kind = Kind::kText;
  std::string_view fallback = {};  // the default, as the file would say it
  Show show = Show::kNotEmpty;
  const Table* table = nullptr;    // of kBlock and kBlocks
};

class Block;

// Two keys of which at most one may be set.
struct Exclusive {
  std::string_view first;
  std::string_view second;
};

struct ReadContext {
  std::string folder;  // relative paths are below it
  base::yaml::Errors* errors = nullptr;
};

struct Table {
  std::string_view name;  // in messages: "slack_config"
  std::span<const Field> fields;
  std::span<const Exclusive> exclusive = {};
  std::span<const std::string_view> required = {};
  std::string_view required_message = {};  // with {} for the key
  // Further checks once the block is read.
  void (*check)(const Block& block, const ReadContext& context) = nullptr;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

class Block {
 public:
  explicit Block(const Table* table);

  const Table& table() const { return *table_; }
  base::yaml::Position position() const { return position_; }

  // Reads a mapping over the defaults; wrong values and unknown keys go to the errors.
  void Read(const base::yaml::Node& node, const ReadContext& context);

  // Whether the file (or a setter) gave the key a value other than null.
  bool IsSet(std::string_view key) const;
  // Whether there is a value that is not empty, zero or false.
  bool Has(std::string_view key) const;

  const std::string& Text(std::string_view key) const;  // empty if unset
  bool Flag(std::string_view key) const;                // false if unset
  int64_t Number(std::string_view key) const;
  base::Duration Span(std::string_view key) const;
  const std::vector<std::string>& Texts(std::string_view key) const;
  const Pairs& Map(std::string_view key) const;
  const std::vector<Block>& Blocks(std::string_view key) const;  // one for kBlock
  const net::HttpConfigPtr& Http(std::string_view key = "http_config") const;  // null if unset
  std::shared_ptr<const net::TlsConfig> Tls(std::string_view key = "tls_config") const;
  const base::yaml::Node* Tree(std::string_view key) const;

  void SetText(std::string_view key, std::string value);
  void SetFlag(std::string_view key, bool value);
  void SetMap(std::string_view key, Pairs value);
  void SetHttp(net::HttpConfigPtr value);
  void SetTls(std::shared_ptr<const net::TlsConfig> value);
  // Takes `key` of `other` (whose key is `from`) if it is set there.
  void Inherit(std::string_view key, const Block& other, std::string_view from);

  // Where the key's value (else the block) stands.
  base::yaml::Position At(std::string_view key) const;

  // The block as YAML lines below `indent` spaces, secrets masked, in the table's order.
  void Print(int indent, std::string* out) const;

 private:
  struct Value {
    bool set = false;
    base::yaml::Position at;
    std::variant<std::monostate, std::string, bool, int64_t, base::Duration, std::vector<std::string>,
                 Pairs, std::vector<Block>, net::HttpConfigPtr, std::shared_ptr<const net::TlsConfig>,
                 std::shared_ptr<const base::yaml::Node>>
        data;
  };

  size_t Index(std::string_view key) const;  // REQUIRES: the table has it
  const Value& At(size_t i) const { return values_[i]; }
  template <class T>
  const T& Get(std::string_view key) const;
  bool IsEmpty(size_t i) const;
  void ReadField(size_t i, base::yaml::Reader& reader, const ReadContext& context);
  void Check(const ReadContext& context) const;
  void PrintField(size_t i, int indent, std::string* out) const;

  const Table* table_;
  base::yaml::Position position_;
  std::vector<Value> values_;  // one a field
};

// Printing of values that other files need too.
void PrintKey(int indent, std::string_view key, std::string* out);
void PrintText(int indent, std::string_view key, std::string_view value, std::string* out);
void PrintHttpConfig(int indent, const net::HttpConfig& config, std::string* out);
void PrintTlsConfig(int indent, const net::TlsConfig& config, std::string* out);

inline constexpr std::string_view kMaskedSecret = "<secret>";

}  // namespace tocsin::alertmanager
