#include "tools/check_web_config.h"

#include "net/web_config.h"

namespace tocsin::tools {

int CheckWebConfig(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool check web-config FILE...", "Checks files of --web.config.file, with the certificates they name.");
  flags.Examples("  promtool check web-config web.yml\n");
  std::vector<std::string> files;
  if (auto exit = flags.Parse(args, io, &files)) return *exit;
  if (files.empty()) {
    io.err("error: required argument 'web-config-files' not provided\n");
    return 1;
  }
  bool failed = false;
  for (const std::string& file : files) {
    if (auto config = net::LoadWebConfig(file, io.fs); config) {
      io.err(file + " SUCCESS\n");
    } else {
      io.err(file + " FAILED: " + config.error().message() + "\n");
      failed = true;
    }
  }
  return failed ? 1 : 0;
}

}  // namespace tocsin::tools
