#include "alertmanager/config_block.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/duration.h"
#include "base/file_system.h"

namespace tocsin::alertmanager {

namespace {

const std::string kNoText;
const std::vector<std::string> kNoTexts;
const Pairs kNoPairs;
const std::vector<Block> kNoBlocks;
const net::HttpConfigPtr kNoHttp;

bool IsText(Kind kind) {
  switch (kind) {
    case Kind::kText:
    case Kind::kSecret:
    case Kind::kPath:
    case Kind::kUrl:
    case Kind::kSecretUrl:
    case Kind::kTemplateUrl:
    case Kind::kHostPort:
      return true;
    default:
      return false;
  }
}

// What is wrong with a URL; empty if nothing.
std::string UrlProblem(std::string_view text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) {
    return fmt::format("unsupported scheme \"{}\" for URL", text.substr(0, std::min(text.find(':'), text.size())));
  }
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme != "http" && scheme != "https") {
    return fmt::format("unsupported scheme \"{}\" for URL", scheme);
  }
  const std::string_view rest = text.substr(scheme_end + 3);
  if (rest.empty() || rest.front() == '/' || rest.front() == '?' || rest.front() == '#') {
    return "missing host for URL";
  }
  return {};
}

std::string HostPortProblem(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || (text.find(':') != colon && text.front() != '[')) {
    return fmt::format("address {}: missing port in address", text);
  }
  if (colon + 1 == text.size()) return fmt::format("address {}: port cannot be empty", text);
  return {};
}

}  // namespace

Block::Block(const Table* table) : table_(table), values_(table->fields.size()) {
  for (size_t i = 0; i < values_.size(); ++i) {
    const Field& f = table->fields[i];
    if (f.fallback.empty()) continue;
    if (IsText(f.kind)) {
      values_[i].data = std::string(f.fallback);
    } else if (f.kind == Kind::kBool) {
      values_[i].data = f.fallback == "true";
    } else if (f.kind == Kind::kInt) {
      values_[i].data = int64_t{std::stoll(std::string(f.fallback))};
    } else if (f.kind == Kind::kDuration || f.kind == Kind::kGoDuration) {
      auto d = base::ParseGoDuration(f.fallback);
      TOCSIN_CHECK(d.has_value()) << f.key << ": default " << f.fallback;
      values_[i].data = *d;
    } else if (f.kind == Kind::kTexts) {
      values_[i].data = std::vector<std::string>{std::string(f.fallback)};
    }
  }
}

size_t Block::Index(std::string_view key) const {
  for (size_t i = 0; i < table_->fields.size(); ++i) {
    if (table_->fields[i].key == key) return i;
  }
  TOCSIN_CHECK(false) << table_->name << " has no key " << key;
  return 0;
}

void Block::ReadField(size_t i, base::yaml::Reader& reader, const ReadContext& context) {
  const Field& f = table_->fields[i];
  Value& v = values_[i];
  auto fail = [&](const std::string& problem) {
    if (!problem.empty()) reader.Error(f.key, fmt::format("{}: {}", f.key, problem));
  };
  if (IsText(f.kind)) {
    std::string text;
    v.set = reader.String(f.key, &text);
    if (!v.set) return;
    const bool masked = text == kMaskedSecret;  // what we print is read back
    if (!masked && !text.empty()) {
      if (f.kind == Kind::kUrl || f.kind == Kind::kSecretUrl) fail(UrlProblem(text));
      if (f.kind == Kind::kTemplateUrl && text.find("{{") == std::string::npos) fail(UrlProblem(text));
      if (f.kind == Kind::kHostPort) fail(HostPortProblem(text));
      if (f.kind == Kind::kPath) text = base::JoinPath(context.folder, text);
    }
    if (masked && f.kind == Kind::kUrl) fail(UrlProblem(text));
    v.data = std::move(text);
  } else if (f.kind == Kind::kBool) {
    bool b = false;
    if ((v.set = reader.Bool(f.key, &b))) v.data = b;
  } else if (f.kind == Kind::kInt) {
    int64_t n = 0;
    if ((v.set = reader.Int(f.key, &n))) v.data = n;
  } else if (f.kind == Kind::kDuration || f.kind == Kind::kGoDuration) {
    base::Duration d{};
    v.set = f.kind == Kind::kDuration ? reader.Duration(f.key, &d) : reader.GoDuration(f.key, &d);
    if (v.set) v.data = d;
  } else if (f.kind == Kind::kTexts) {
    std::vector<std::string> list;
    if ((v.set = reader.Strings(f.key, &list))) v.data = std::move(list);
  } else if (f.kind == Kind::kTextMap) {
    Pairs pairs;
    if ((v.set = reader.StringMap(f.key, &pairs))) {
      std::ranges::sort(pairs);
      v.data = std::move(pairs);
    }
  } else if (f.kind == Kind::kBlock) {
    v.set = reader.With(f.key, [&](const base::yaml::Node& node) {
      std::vector<Block> blocks(1, Block(f.table));
      blocks[0].Read(node, context);
      v.data = std::move(blocks);
    });
  } else if (f.kind == Kind::kBlocks) {
    std::vector<Block> blocks;
    v.set = reader.Each(f.key, [&](const base::yaml::Node& node) {
      blocks.emplace_back(f.table);
      blocks.back().Read(node, context);
    });
    if (v.set) v.data = std::move(blocks);
  } else if (f.kind == Kind::kHttp) {
    v.set = reader.With(f.key, [&](const base::yaml::Node& node) {
      auto config = std::make_shared<net::HttpConfig>();
      net::ReadHttpConfig(node, context.errors, config.get());
      config->SetDirectory(context.folder);
      v.data = net::HttpConfigPtr(std::move(config));
    });
  } else if (f.kind == Kind::kTls) {
    v.set = reader.With(f.key, [&](const base::yaml::Node& node) {
      auto config = std::make_shared<net::TlsConfig>();
      net::ReadTlsConfig(node, context.errors, config.get());
      config->SetDirectory(context.folder);
      v.data = std::shared_ptr<const net::TlsConfig>(std::move(config));
    });
  } else {
    v.set = reader.With(f.key, [&](const base::yaml::Node& node) {
      v.data = std::make_shared<const base::yaml::Node>(node);
    });
  }
  if (v.set) v.at = reader.At(f.key);
}

void Block::Read(const base::yaml::Node& node, const ReadContext& context) {
  position_ = node.position;
  base::yaml::Reader reader(node, context.errors, std::string(table_->name));
  const size_t errors_before = context.errors->count();
  for (size_t i = 0; i < values_.size(); ++i) ReadField(i, reader, context);
  reader.Finish();
  // What is left out because it could not be read must not count as missing too.
  if (context.errors->count() == errors_before) Check(context);
}

void Block::Check(const ReadContext& context) const {
  for (std::string_view key : table_->required) {
    if (!Has(key)) {
      context.errors->Add(position_, fmt::format(fmt::runtime(table_->required_message), key));
    }
  }
  for (const Exclusive& pair : table_->exclusive) {
    if (Has(pair.first) && Has(pair.second)) {
      context.errors->Add(At(pair.second), fmt::format("at most one of {} & {} must be configured",
                                                       pair.first, pair.second));
    }
  }
  if (table_->check != nullptr) table_->check(*this, context);
}

bool Block::IsSet(std::string_view key) const { return values_[Index(key)].set; }
bool Block::Has(std::string_view key) const { return !IsEmpty(Index(key)); }

bool Block::IsEmpty(size_t i) const {
  return std::visit(
      [](const auto& v) -> bool {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          return true;
        } else if constexpr (std::is_same_v<T, bool>) {
          return !v;
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return v == 0;
        } else if constexpr (std::is_same_v<T, base::Duration>) {
          return v == base::Duration{};
        } else if constexpr (requires { v.empty(); }) {
          return v.empty();
        } else {
          return v == nullptr;
        }
      },
      values_[i].data);
}

namespace {
template <class T, class V>
const T* GetIf(const V& data) {
  return std::get_if<T>(&data);
}
}  // namespace

const std::string& Block::Text(std::string_view key) const {
  const auto* v = GetIf<std::string>(values_[Index(key)].data);
  return v ? *v : kNoText;
}
bool Block::Flag(std::string_view key) const {
  const auto* v = GetIf<bool>(values_[Index(key)].data);
  return v && *v;
}
int64_t Block::Number(std::string_view key) const {
  const auto* v = GetIf<int64_t>(values_[Index(key)].data);
  return v ? *v : 0;
}
base::Duration Block::Span(std::string_view key) const {
  const auto* v = GetIf<base::Duration>(values_[Index(key)].data);
  return v ? *v : base::Duration{};
}
const std::vector<std::string>& Block::Texts(std::string_view key) const {
  const auto* v = GetIf<std::vector<std::string>>(values_[Index(key)].data);
  return v ? *v : kNoTexts;
}
const Pairs& Block::Map(std::string_view key) const {
  const auto* v = GetIf<Pairs>(values_[Index(key)].data);
  return v ? *v : kNoPairs;
}
const std::vector<Block>& Block::Blocks(std::string_view key) const {
  const auto* v = GetIf<std::vector<Block>>(values_[Index(key)].data);
  return v ? *v : kNoBlocks;
}
const net::HttpConfigPtr& Block::Http(std::string_view key) const {
  const auto* v = GetIf<net::HttpConfigPtr>(values_[Index(key)].data);
  return v ? *v : kNoHttp;
}
std::shared_ptr<const net::TlsConfig> Block::Tls(std::string_view key) const {
  const auto* v = GetIf<std::shared_ptr<const net::TlsConfig>>(values_[Index(key)].data);
  return v ? *v : nullptr;
}
const base::yaml::Node* Block::Tree(std::string_view key) const {
  const auto* v = GetIf<std::shared_ptr<const base::yaml::Node>>(values_[Index(key)].data);
  return v ? v->get() : nullptr;
}

void Block::SetText(std::string_view key, std::string value) {
  Value& v = values_[Index(key)];
  v.set = true;
  v.data = std::move(value);
}
void Block::SetFlag(std::string_view key, bool value) {
  Value& v = values_[Index(key)];
  v.set = true;
  v.data = value;
}
void Block::SetMap(std::string_view key, Pairs value) {
  Value& v = values_[Index(key)];
  v.set = true;
  v.data = std::move(value);
}
void Block::SetHttp(net::HttpConfigPtr value) {
  Value& v = values_[Index("http_config")];
  v.set = true;
  v.data = std::move(value);
}
void Block::SetTls(std::shared_ptr<const net::TlsConfig> value) {
  Value& v = values_[Index("tls_config")];
  v.set = true;
  v.data = std::move(value);
}
void Block::Inherit(std::string_view key, const Block& other, std::string_view from) {
  const Value& source = other.values_[other.Index(from)];
  if (std::holds_alternative<std::monostate>(source.data)) return;
  Value& v = values_[Index(key)];
  v.data = source.data;
  v.set = true;
}

base::yaml::Position Block::At(std::string_view key) const {
  const Value& v = values_[Index(key)];
  return v.at.line > 0 ? v.at : position_;
}

}  // namespace tocsin::alertmanager
