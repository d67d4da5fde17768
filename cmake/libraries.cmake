# The libraries of the field, each behind one door (see ARCHITECTURE.md).  All are Debian packages;
# the list to install is in packages.txt.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(GTest REQUIRED)
find_package(absl REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(YAMLCPP REQUIRED IMPORTED_TARGET yaml-cpp)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(FMT REQUIRED IMPORTED_TARGET fmt)
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(SIMDJSON REQUIRED IMPORTED_TARGET simdjson)
find_library(SNAPPY_LIBRARY snappy REQUIRED)

# llhttp comes as C sources.  Without strict mode obsolete header forms would pass.
find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share/llhttp /usr/share/nodejs/llhttp /usr/share
  PATH_SUFFIXES src native/src llhttp REQUIRED)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp /usr/share/include
  PATH_SUFFIXES llhttp REQUIRED)
file(GLOB LLHTTP_SOURCES ${LLHTTP_SOURCE}/*.c)
add_library(llhttp STATIC ${LLHTTP_SOURCES})
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_compile_options(llhttp PRIVATE -w)

# What a room needs beyond other rooms.
set(TOCSIN_LIBS_base PkgConfig::YAMLCPP PkgConfig::RE2 PkgConfig::XXHASH PkgConfig::FMT OpenSSL::Crypto
  PkgConfig::LIBDEFLATE PkgConfig::ZSTD ${SNAPPY_LIBRARY} absl::flat_hash_map Threads::Threads)
set(TOCSIN_LIBS_state PkgConfig::SQLITE)
set(TOCSIN_LIBS_templates absl::time)
set(TOCSIN_LIBS_net PkgConfig::LIBUV llhttp CURL::libcurl OpenSSL::SSL crypt)
set(TOCSIN_LIBS_alertmanager PkgConfig::SIMDJSON absl::flat_hash_map absl::time)
set(TOCSIN_LIBS_api PkgConfig::SIMDJSON)
set(TOCSIN_LIBS_api_alertmanager PkgConfig::SIMDJSON)
