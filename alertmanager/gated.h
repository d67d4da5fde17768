#pragma once

// Callbacks with an argument and steps of slices, made harmless once a Gate is closed (base::Gate wraps
// plain tasks).  Loop only.

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

// A step for Executor::Slice() that is the last one once the gate is closed.
template <class Fn>
auto GatedStep(base::Gate& gate, Fn step) {
  auto more = std::make_shared<bool>(false);
  return [more, task = gate.Wrap([more, step = std::move(step)]() mutable { *more = step(); })]() mutable {
    *more = false;
    task();
    return *more;
  };
}

}  // namespace tocsin::alertmanager
