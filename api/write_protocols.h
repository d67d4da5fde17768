#pragma once

// The two protocols of remote write: their bodies, decompressed, into a WriteBatch.  Internal to api/.
//
// Threads: an object belongs to one request.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/write_batch.h"
#include "base/digest.h"
#include "base/result.h"

namespace tocsin::api {

// 1.0, prometheus.WriteRequest.
class WriteV1 : public WriteProtocol {
 public:
  explicit WriteV1(uint64_t seed) : seed_(seed) {}

  base::Status Take(std::string_view body, WriteBatch* batch) override;
  base::Status ReadLabels(std::string_view message, std::vector<model::Label>* labels) const override;
  SeriesKey KeyOf(std::string_view message) const override;

 private:
  base::Status TakeSeries(std::string_view message, WriteBatch* batch) const;

  const uint64_t seed_;
};

// 2.0, io.prometheus.write.v2.Request.
class WriteV2 : public WriteProtocol {
 public:
  explicit WriteV2(uint64_t seed) : seed_(seed) {}

  base::Status Take(std::string_view body, WriteBatch* batch) override;
  base::Status ReadLabels(std::string_view message, std::vector<model::Label>* labels) const override;
  SeriesKey KeyOf(std::string_view message) const override;

 private:
  // The references of a series' labels (name, value, name, value, ...).
  base::Status ReadRefs(std::string_view message, std::vector<uint32_t>* refs) const;
  // `hashes`: room for those of the texts.
  SeriesKey KeyOf(std::span<const uint32_t> refs, std::vector<base::Hash128>* hashes) const;
  base::Status TakeSeries(std::string_view message, const SeriesKey& key, WriteBatch* batch) const;
  model::Exemplar ReadExemplar(std::string_view message) const;
  model::Metadata ReadMetadata(std::string_view message) const;
  std::string Text(uint32_t ref) const;

  const uint64_t seed_;
  // The strings of the request, and their hashes, which stand for them in the keys of series.
  std::vector<std::string_view> texts_;
  std::vector<base::Hash128> hashes_;
};

}  // namespace tocsin::api
