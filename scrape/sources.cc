#include "scrape/sources.h"

#include "scrape/created.h"
#include "scrape/nhcb.h"
#include "scrape/protobuf.h"

namespace tocsin::scrape {

std::unique_ptr<EntrySource> MakeSource(BodyFormat format, std::string_view body,
                                        const SourceOptions& options) {
  if (format == BodyFormat::kProtobuf) return MakeProtobufSource(body, options);
  const ExpositionFormat text =
      format == BodyFormat::kOpenMetrics ? ExpositionFormat::kOpenMetrics : ExpositionFormat::kText;
  std::unique_ptr<EntrySource> parser;
  if (options.starts && text == ExpositionFormat::kOpenMetrics) {
    parser = MakeCreatedSource(body);
  } else {
    parser = std::make_unique<ExpositionParser>(text, body);
  }
  if (!options.convert_to_nhcb) return parser;
  return MakeNhcbSource(std::move(parser), text, options.always_classic);
}

}  // namespace tocsin::scrape
