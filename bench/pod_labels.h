#pragma once

// The label sets of the storage benchmarks: Kubernetes-like, eleven labels, 40 series a pod.

#include <string>

#include "model/labels.h"

namespace tocsin {

// Of series `i`; `generation` tells pods of one life from those of the next.
inline model::Labels PodLabels(int i, int generation = 0) {
  const std::string pod = "api-" + std::to_string(i / 40) + "-" + std::to_string(generation) + "x7k2p";
  return model::Labels::FromPairs({{"__name__", "metric_" + std::to_string(i % 40)},
                                   {"cluster", "prod-eu-1"},
                                   {"container", "app"},
                                   {"endpoint", "http"},
                                   {"instance", "10.0." + std::to_string(i / 40 / 250) + "." + std::to_string(i / 40 % 250) + ":8080"},
                                   {"job", "api"},
                                   {"namespace", "team-" + std::to_string(i / 4000)},
                                   {"node", "node-" + std::to_string(i / 1200)},
                                   {"pod", pod},
                                   {"prometheus", "monitoring/k8s"},
                                   {"service", "api"}});
}

}  // namespace tocsin
