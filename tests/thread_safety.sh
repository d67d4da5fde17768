#!/usr/bin/env bash
# thread_safety.sh BUILD FILE...: clang's thread-safety analysis of each file, without making code.
# The project's headers are included from its root; library headers as the build finds them.
set -u
build=$1
shift
flags=$(pkg-config --cflags libuv yaml-cpp sqlite3 re2 libxxhash fmt libzstd simdjson)
status=0
for file in "$@"; do
  clang++-19 -std=c++23 -fsyntax-only -Wthread-safety -Werror=thread-safety \
    -Wno-deprecated-declarations -I. -I"$build/generated" -isystem /usr/share/include/llhttp \
    -DLLHTTP_STRICT_MODE=1 -DFMT_HEADER_ONLY=0 -DTOCSIN_SOURCE_DIR='""' -DTOCSIN_BINARY_DIR='""' $flags "$file" || status=1
done
exit $status
