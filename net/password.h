#pragma once

// Passwords against bcrypt hashes; the door to libcrypt's.
//
// Threads: any.  Costs what the hash asks for: 60 ms at cost 10, twice as much with each step.

#include <string>
#include <string_view>

namespace tocsin::net {

// Whether `hash` is one: $2a$, $2b$ or $2y$ with a cost from 4 to 31 and 53 characters.
bool IsBcryptHash(std::string_view hash);

// REQUIRES: IsBcryptHash(hash).  A password of more than 72 bytes or with a NUL never matches.
bool MatchesBcrypt(const std::string& password, const std::string& hash);

}  // namespace tocsin::net
