#pragma once

// What amtool's verbs have in common: the flags that each takes, its configuration file, tables and
// times as amtool prints them, and calls of an Alertmanager's API.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tools/tool.h"

namespace tocsin::tools {

class Amtool {
 public:
  // Adds the common flags to `flags`.  Defaults come from ~/.config/amtool/config.yml and
  // /etc/amtool/config.yml.
  Amtool(const ToolIo& io, FlagSet* flags);

  const ToolIo& io() const { return io_; }
  // "author" of the configuration file, else the user's name.
  const std::string& author() const { return author_; }
  bool comment_required() const { return comment_required_; }
  const std::string& receiver() const { return receiver_; }
  const std::string& output() const { return output_; }  // simple, extended, json
  base::Time now() const;

  // kInvalidArgument unless --output is one that exists and an URL is there.
  base::Status Check() const;

  // Calls the API; `path` begins with /.  A status of 400 or more is an error with the server's words.
  base::Result<std::string> Get(const std::string& path) const;
  base::Result<std::string> Post(const std::string& path, const std::string& json) const;
  base::Result<std::string> Delete(const std::string& path) const;

  // --date.format applied to an RFC 3339 time; empty if that cannot be read.
  std::string Date(std::string_view rfc3339) const;

  // "error: ..." on err; returns 1.
  int Fail(std::string_view message) const;
  // Rows of cells, columns two blanks apart.
  void Table(const std::vector<std::vector<std::string>>& rows) const;

 private:
  base::Result<std::string> Call(const std::string& method, const std::string& path,
                                 const std::string& body) const;
  void ReadConfigFile(const std::string& path);

  const ToolIo& io_;
  std::string url_ = "http://localhost:9093";
  std::string output_ = "simple";
  std::string date_format_ = "2006-01-02 15:04:05 MST";
  std::string timeout_ = "30s";
  std::string http_config_file_;
  std::string author_;
  std::string receiver_;
  std::string feature_;
  bool comment_required_ = true;
  bool verbose_ = false;
  bool version_check_ = true;
};

// A matcher in the parts that the API takes.
struct ApiMatcher {
  std::string name;
  std::string value;
  bool is_regex = false;
  bool is_equal = true;
};

// Words to filters: where the first is no matcher it is the alert's name.
std::vector<std::string> FiltersOf(std::vector<std::string> words);

// JSON text with <, > and & in strings written as Go does (\u003c), which is what amtool prints.
std::string GoJson(std::string_view json);

// "simple" form of a time flag: RFC 3339.
base::Result<base::Time> ParseTimeFlag(std::string_view text);

int AlertVerb(const std::vector<std::string>& args, const ToolIo& io);
int SilenceVerb(const std::vector<std::string>& args, const ToolIo& io);
int ClusterVerb(const std::vector<std::string>& args, const ToolIo& io);
int AmtoolConfigVerb(const std::vector<std::string>& args, const ToolIo& io);  // config show, routes
int CheckConfigVerb(const std::vector<std::string>& args, const ToolIo& io);   // check-config

}  // namespace tocsin::tools
