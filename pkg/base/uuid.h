/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The uid of an API's object (RFC 4122, in lower case), in 16 bytes instead of 37. */
#include <stdbool.h>
#include <stdint.h>

#define UUID_STRLEN 37

/* False: s is none, or not what uuid_emit writes. */
bool uuid_parse(const char *s, uint8_t ret[16]);
const char *uuid_emit(const uint8_t uuid[16], char buf[UUID_STRLEN]); /* returns buf */
