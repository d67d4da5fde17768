#pragma once

// Strict YAML with positions; the door to yaml-cpp.  Parse() makes one tree that is sound to read:
// duplicate keys refused, merge keys (<<) applied, aliases bounded, UTF-8 checked, scalars as Go's
// decoder would convert them.  A Reader then turns a mapping into a struct and reports everything
// that is wrong with it, in file order, each as "file:line:column: message".
//
//   base::yaml::Errors errors(path);
//   ASSIGN_OR_RETURN(base::yaml::Document doc, base::yaml::Parse(text, path));
//   base::yaml::Reader r(doc.root(), &errors);
//   r.Duration("scrape_interval", &config.scrape_interval);
//   r.List("rule_files", &config.rule_files);
//   r.Finish();                          // unknown keys are errors
//   RETURN_IF_ERROR(errors.ToStatus());
//
// Positions are one-based.  Threads: a Document is immutable after Parse.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tocsin::base::yaml {

struct Position {
  int line = 0;  // 0: unknown
  int column = 0;
};

class Node {
 public:
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  enum class Style { kPlain, kQuoted, kLiteral, kFolded };  // kLiteral: |, kFolded: >
  struct Entry;

  Kind kind = Kind::kNull;
  Style style = Style::kPlain;
  Position position;
  std::string text;            // of a scalar, after unescaping
  // Where the first byte of `text` stands, if the text stands there as it is: a plain or quoted
  // scalar on one line, or a block scalar (then its first line).  Else line 0.
  Position content;
  std::vector<Node> items;     // of a sequence
  std::vector<Entry> entries;  // of a mapping, in file order
  std::string tag;             // an explicit tag such as !!str, else empty

  bool IsNull() const { return kind == Kind::kNull; }
  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsMapping() const { return kind == Kind::kMapping; }
  bool IsSequence() const { return kind == Kind::kSequence; }
  const Node* Find(std::string_view key) const;  // of a mapping; null if absent
  // The position of byte `offset` of the scalar's text, exact for one-line and | scalars, else the
  // scalar's own.
  Position PositionOfByte(size_t offset) const;
};

struct Node::Entry {
  Node key;
  Node value;
};

class Document {
 public:
  const Node& root() const { return *root_; }  // kNull for an empty file
  bool has_more_documents() const { return more_; }
  explicit Document(std::shared_ptr<const Node> root, bool more) : root_(std::move(root)), more_(more) {}

 private:
  std::shared_ptr<const Node> root_;
  bool more_;
};

// Limits: 10 MB of text, 100 levels of nesting, 1,000,000 nodes after aliases.
// Errors: kInvalidArgument, "file:line:column: yaml: ..."
Result<Document> Parse(std::string_view text, std::string_view file);

// Collects errors and warnings of one file.
class Errors {
 public:
  explicit Errors(std::string file) : file_(std::move(file)) {}
  const std::string& file() const { return file_; }
  void Add(Position position, std::string message);
  void Warn(Position position, std::string message);
  bool empty() const { return errors_.empty(); }
  size_t count() const { return errors_.size(); }
  struct Item {
    Position position;
    std::string message;
    std::string text;  // "file:line:column: message"
  };
  std::vector<Item> Sorted() const;  // by position
  const std::vector<Item>& warnings() const { return warnings_; }
  // OK, or kInvalidArgument with all errors, a line each.
  Status ToStatus() const;

 private:
  std::string file_;
  std::vector<Item> errors_;
  std::vector<Item> warnings_;
};

// Reads one mapping.  A getter returns whether the key was there with a value that could be read;
// an absent key or a null leaves the target as it is.  A wrong value is added to the errors.
class Reader {
 public:
  // `node` may be null (then everything is absent); a non-mapping is an error.  `what` names the
  // block in messages, such as "scrape_config".
  Reader(const Node& node, Errors* errors, std::string what = {});
  Reader(const Reader&) = delete;

  bool String(std::string_view key, std::string* out);
  bool Bool(std::string_view key, bool* out);
  bool Int(std::string_view key, int64_t* out);
  bool Uint(std::string_view key, uint64_t* out);
  bool Double(std::string_view key, double* out);
  bool Duration(std::string_view key, base::Duration* out);    // 1h30m; 0 allowed
  bool GoDuration(std::string_view key, base::Duration* out);  // 1.5h
  bool Bytes(std::string_view key, uint64_t* out);             // 10MB
  bool Strings(std::string_view key, std::vector<std::string>* out);
  bool StringMap(std::string_view key, std::vector<std::pair<std::string, std::string>>* out);
  // One of `choices`, by exact text.
  bool Choice(std::string_view key, std::span<const std::string_view> choices, std::string* out);
  // Calls `read` with the value (a mapping is not required).
  bool With(std::string_view key, const std::function<void(const Node&)>& read);
  // Calls `read` for each item of a sequence.
  bool Each(std::string_view key, const std::function<void(const Node&)>& read);
  // The value, or null if absent; marks the key as known.
  const Node* Take(std::string_view key);
  bool Has(std::string_view key) const;

  // Where a key's value (else the mapping) stands, for errors of the caller's own.
  Position At(std::string_view key) const;
  void Error(std::string_view key, std::string message);

  // Reports every key that no getter asked for: `field foo not found in type bar; known keys: ...`.
  void Finish();

 private:
  void Wrong(std::string_view key, const Node& value, std::string_view type, std::string_view hint);
  template <class T>
  bool Parsed(std::string_view key, T* out, Result<T> (*parse)(std::string_view));

  const Node& node_;
  Errors* const errors_;
  const std::string what_;
  std::vector<std::string> known_;
};

// A scalar as Go's decoder puts it into a string: `1` is "1", `true` is "true"; false for the rest.
bool ScalarText(const Node& node, std::string* out);

// How Go's decoder types a plain scalar: !!null, !!bool, !!int, !!float, !!str.
enum class ScalarType { kNull, kBool, kInt, kFloat, kString };
ScalarType ResolvePlain(std::string_view text);

// A string as a YAML scalar on one line, quoted where Go's encoder would: for status/config.
std::string QuoteScalar(std::string_view text);

// A tree as YAML text in blocks.  Scalars that are not plain are strings, quoted where they must be.
std::string Emit(const Node& node);

// What to call a node in messages, as Go does: "!!map", "!!str `text`".
std::string Describe(const Node& node);

// Puts a mapping together, to be emitted.  Add...() leaves out what is empty, Put...() never.
//
//   MapBuilder map;
//   map.PutString("scheme", "http").AddDuration("timeout", 0s);
//   std::string text = Emit(map.Take());
class MapBuilder {
 public:
  MapBuilder();
  MapBuilder& PutString(std::string_view key, std::string_view value);
  MapBuilder& AddString(std::string_view key, std::string_view value);
  MapBuilder& AddSecret(std::string_view key, std::string_view value);  // <secret> unless empty
  MapBuilder& PutBool(std::string_view key, bool value);
  MapBuilder& AddTrue(std::string_view key, bool value);                // left out if false
  MapBuilder& AddNumber(std::string_view key, double value);            // left out if 0
  MapBuilder& AddCount(std::string_view key, uint64_t value);
  MapBuilder& PutDuration(std::string_view key, base::Duration value);
  MapBuilder& AddDuration(std::string_view key, base::Duration value);
  MapBuilder& AddBytes(std::string_view key, uint64_t value);
  MapBuilder& AddStrings(std::string_view key, const std::vector<std::string>& values);
  MapBuilder& AddPairs(std::string_view key, const std::vector<std::pair<std::string, std::string>>& pairs);
  MapBuilder& Put(std::string_view key, Node value);
  MapBuilder& Add(std::string_view key, Node value);  // left out if it has no items and no entries
  bool empty() const { return node_.entries.empty(); }
  Node Take() { return std::move(node_); }

 private:
  Node node_;
};
Node MakeList(std::vector<Node> items);
Node MakeString(std::string_view text);

}  // namespace tocsin::base::yaml
