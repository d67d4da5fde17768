# Flags for every target.  -ffp-contract=off: PromQL results must not depend on fused multiply-add.
add_library(tocsin_options INTERFACE)
target_compile_options(tocsin_options INTERFACE
  -Wall -Wextra -Wshadow -Wno-missing-field-initializers -ffp-contract=off -fno-omit-frame-pointer)
target_include_directories(tocsin_options INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}
  ${CMAKE_CURRENT_BINARY_DIR}/generated)

set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_C_FLAGS_RELEASE "-O2")

set(TOCSIN_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
if(TOCSIN_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
  set(CMAKE_C_FLAGS_RELEASE "-O1 -g1")
  add_compile_options(-fsanitize=${TOCSIN_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TOCSIN_SANITIZE})
endif()

option(TOCSIN_LIBFUZZER "Build tests/fuzz with clang's libFuzzer" OFF)
if(TOCSIN_LIBFUZZER)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "TOCSIN_LIBFUZZER needs clang: -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
