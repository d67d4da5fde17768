#pragma once

// A callback with an argument, made harmless once a Gate is closed (base::Gate wraps tasks without
// one).  Loop only.

#include <memory>
#include <utility>

#include "base/executor.h"

namespace tocsin::alertmanager {

template <class Argument, class Fn>
auto Gated(base::Gate& gate, Fn fn) {
  auto argument = std::make_shared<std::unique_ptr<Argument>>();
  return [argument, task = gate.Wrap([argument, fn = std::move(fn)]() mutable {
            fn(std::move(**argument));
          })](Argument value) mutable {
    *argument = std::make_unique<Argument>(std::move(value));
    task();
  };
}

}  // namespace tocsin::alertmanager
