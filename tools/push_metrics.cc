#include "tools/push_metrics.h"

#include <algorithm>
#include <map>
#include <protozero/pbf_writer.hpp>

#include "base/compress.h"
#include "base/duration.h"
#include "base/text.h"
#include "tools/server.h"

namespace tocsin::tools {
namespace {

using protozero::pbf_writer;

constexpr std::string_view kV1 = "prometheus.WriteRequest";
constexpr std::string_view kV2 = "io.prometheus.write.v2.Request";
constexpr size_t kMaxAnswerBytes = 64 << 10;

template <class Write>
std::string Message(Write write) {
  std::string out;
  pbf_writer w(out);
  write(w);
  return out;
}

std::string SampleMessage(const PushedMetrics::Series& s) {
  return Message([&](pbf_writer& w) {
    w.add_double(1, s.value);
    w.add_int64(2, s.t);
  });
}

// The family of a series: its name, or that without what a histogram's and a summary's series add to it.
size_t FamilyOf(const std::map<std::string, size_t>& families, const PushedMetrics& metrics, const std::string& name) {
  if (const auto it = families.find(name); it != families.end()) return it->second;
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    if (!name.ends_with(suffix)) continue;
    const auto it = families.find(name.substr(0, name.size() - suffix.size()));
    if (it == families.end()) continue;
    const model::MetricType type = metrics.families[it->second].metadata.type;
    if (type == model::MetricType::kHistogram || (type == model::MetricType::kSummary && suffix != "_bucket")) return it->second;
  }
  return SIZE_MAX;
}

}  // namespace

base::Result<PushedMetrics> ReadPushedMetrics(std::string_view text, const scrape::LabelPairs& labels, model::Timestamp now) {
  PushedMetrics out;
  std::map<std::string, size_t> families;
  const auto family = [&](const std::string& name) -> model::Metadata* {
    const auto [it, added] = families.try_emplace(name, out.families.size());
    if (added) out.families.push_back({name, {}});
    return &out.families[it->second].metadata;
  };
  scrape::ExpositionParser parser(scrape::ExpositionFormat::kText, text);
  scrape::Entry entry;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, parser.Next(&entry));
    if (!more) return out;
    if (entry.kind == scrape::EntryKind::kHelp) family(entry.metric)->help = entry.text;
    if (entry.kind == scrape::EntryKind::kType) family(entry.metric)->type = entry.type;
    if (entry.kind != scrape::EntryKind::kSeries) continue;
    PushedMetrics::Series s{.value = entry.value, .t = entry.has_timestamp ? entry.t : now};
    // Blanks before a name, which a scrape takes for part of it, are not sent, as promtool does not.
    RETURN_IF_ERROR(scrape::ParseSeries(base::Trim(entry.series), scrape::ExpositionFormat::kText, model::MetricType::kUnknown, &s.labels));
    const auto has = [&](const std::string& name) {
      return std::any_of(s.labels.begin(), s.labels.end(), [&](const auto& l) { return l.first == name; });
    };
    for (const auto& l : labels) {
      if (!has(l.first)) s.labels.push_back(l);
    }
    std::sort(s.labels.begin(), s.labels.end());
    for (const auto& [name, value] : s.labels) {
      if (name == model::kMetricName) s.family = FamilyOf(families, out, value);
    }
    out.series.push_back(std::move(s));
  }
}

std::string WriteRequestV1(const PushedMetrics& metrics) {
  return Message([&](pbf_writer& request) {
    for (const PushedMetrics::Series& s : metrics.series) {
      request.add_message(1, Message([&](pbf_writer& w) {
        for (const auto& [name, value] : s.labels) {
          w.add_message(1, Message([&](pbf_writer& label) {
            label.add_string(1, name);
            label.add_string(2, value);
          }));
        }
        w.add_message(2, SampleMessage(s));
      }));
    }
    for (const PushedMetrics::Family& f : metrics.families) {
      request.add_message(3, Message([&](pbf_writer& w) {
        w.add_enum(1, static_cast<int>(f.metadata.type));
        w.add_string(2, f.name);
        w.add_string(4, f.metadata.help);
      }));
    }
  });
}

std::string WriteRequestV2(const PushedMetrics& metrics) {
  std::vector<std::string_view> symbols = {""};  // number 0 is the empty text
  std::map<std::string_view, uint32_t> numbers = {{"", 0}};
  const auto number = [&](std::string_view text) {
    const auto [it, added] = numbers.try_emplace(text, static_cast<uint32_t>(symbols.size()));
    if (added) symbols.push_back(text);
    return it->second;
  };
  std::vector<std::string> series;
  for (const PushedMetrics::Series& s : metrics.series) {
    series.push_back(Message([&](pbf_writer& w) {
      std::vector<uint32_t> refs;
      for (const auto& [name, value] : s.labels) {
        refs.push_back(number(name));
        refs.push_back(number(value));
      }
      w.add_packed_uint32(1, refs.begin(), refs.end());
      w.add_message(2, SampleMessage(s));
      if (s.family == SIZE_MAX) return;
      const model::Metadata& m = metrics.families[s.family].metadata;
      w.add_message(5, Message([&](pbf_writer& metadata) {
        metadata.add_enum(1, static_cast<int>(m.type));
        metadata.add_uint32(3, number(m.help));
      }));
    }));
  }
  return Message([&](pbf_writer& request) {
    for (const std::string_view s : symbols) request.add_string(4, s.data(), s.size());
    for (const std::string& s : series) request.add_message(5, s);
  });
}

namespace {

struct Target {
  std::string url;
  bool v2 = false;
  base::Duration timeout{};
  scrape::LabelPairs labels;
};

base::Status Push(const Server& server, const Target& target, std::string_view text) {
  ASSIGN_OR_RETURN(const PushedMetrics metrics, ReadPushedMetrics(text, target.labels, base::ToUnixMillis(ProcessNow())));
  net::FetchRequest request{.method = "POST", .url = target.url};
  request.timeout = target.timeout;
  request.max_response_bytes = kMaxAnswerBytes;
  request.headers.Set("Content-Encoding", "snappy");
  request.headers.Set("Content-Type", "application/x-protobuf" + (target.v2 ? ";proto=" + std::string(kV2) : std::string()));
  request.headers.Set("X-Prometheus-Remote-Write-Version", target.v2 ? "2.0.0" : "0.1.0");
  request.body = base::SnappyEncode(target.v2 ? WriteRequestV2(metrics) : WriteRequestV1(metrics));
  ASSIGN_OR_RETURN(const net::FetchResponse response, server.Send(std::move(request)));
  if (response.status / 100 == 2) return {};
  return base::FailedPrecondition("server returned HTTP status " + std::to_string(response.status) + " " +
                                  std::string(net::StatusText(response.status)) + ": " +
                                  std::string(base::Split(base::Trim(response.body), '\n')[0]));
}

bool PushOne(const ToolIo& io, const Server& server, const Target& target, std::string_view text) {
  const base::Status status = Push(server, target, text);
  if (!status) io.err("  FAILED: " + status.error().message() + "\n");
  return status.has_value();
}

}  // namespace

int PushMetrics(const std::vector<std::string>& args, const ToolIo& io) {
  FlagSet flags("promtool push metrics [FLAGS] REMOTE-WRITE-URL [FILE...]",
                "Sends the samples of expositions (text format; standard input without files) by remote write, for tests.  Samples\n"
                "without a time are of now.");
  Server server(io);
  server.AddFlags(&flags);
  std::vector<std::string> labels = {"job=promtool"};
  std::string timeout = "30s", proto(kV1), path;
  flags.Strings("label", &labels, "Label for all series without it, as name=value; may be repeated.");
  flags.String("timeout", &timeout, "How long to wait for the answer.");
  flags.String("protobuf_message", &proto, "prometheus.WriteRequest or io.prometheus.write.v2.Request.");
  flags.String("remote-write.path", &path, "Path put behind the URL.");
  flags.Examples("  echo 'deploys_total{app=\"x\"} 3' | promtool push metrics --label=job=ci http://127.0.0.1:9090/api/v1/write\n");
  std::vector<std::string> words;
  if (auto exit = flags.Parse(args, io, &words)) return *exit;
  if (words.empty()) return Fail(io, "error: give the URL of a remote-write receiver; try --help");
  if (proto != kV1 && proto != kV2) return Fail(io, "error: --protobuf_message=" + proto + ": write prometheus.WriteRequest or io.prometheus.write.v2.Request");
  Target target{.v2 = proto == kV2};
  const auto limit = base::ParseGoDuration(timeout);
  if (!limit) return Fail(io, "error: --timeout: " + limit.error().message());
  target.timeout = *limit;
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) return Fail(io, "error: --label=" + label + ": write name=value");
    target.labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
  }
  server.set_url(words[0]);
  target.url = path.empty() ? server.url() : server.UrlOf(path);
  if (words.size() == 1) {
    const std::string text = io.read_input();
    io.out("Parsing standard input\n");
    if (!PushOne(io, server, target, text)) return 1;
    io.out("  SUCCESS: metrics pushed to remote write.\n");
    return 0;
  }
  bool failed = false;
  for (size_t i = 1; i < words.size(); ++i) {
    const auto text = io.fs->ReadFile(words[i]);
    if (!text) {
      io.err("  FAILED: " + text.error().message() + "\n");
      failed = true;
      continue;
    }
    io.out("Parsing metrics file " + words[i] + "\n");
    if (PushOne(io, server, target, *text)) {
      io.out("  SUCCESS: metrics file " + words[i] + " pushed to remote write.\n");
    } else {
      failed = true;
    }
  }
  return failed ? 1 : 0;
}

}  // namespace tocsin::tools
