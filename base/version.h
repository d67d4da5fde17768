#pragma once

#include <string_view>

namespace tocsin::base {

inline constexpr std::string_view kVersion = "0.1.0";
// Whose semantics and APIs this version has: clients switch features by them.
inline constexpr std::string_view kPrometheusVersion = "3.14.0";
inline constexpr std::string_view kAlertmanagerVersion = "0.34.0";

}  // namespace tocsin::base
