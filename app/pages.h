#pragma once

#include "api/http/router.h"

namespace tocsin::app {

// The browser pages of web/: one document under each address that people's links use, and its files.
void RegisterPages(api::Router* router);

}  // namespace tocsin::app
