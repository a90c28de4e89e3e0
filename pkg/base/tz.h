/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Time zones as values. The tz database is read by ourselves (RFC 8536): libc's tzset() is
 * one zone for the whole process and for all threads. Only tz_load does I/O; after it
 * everything is arithmetic, also in times far ahead, for which the file has a rule. Leap
 * seconds are left out, as in the kernel's clock.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct tz;

/*
 * "Europe/Berlin" from the folder TZDIR names, else /usr/share/zoneinfo. "UTC" needs no file.
 * -ENOENT: no such zone, -EINVAL: not a name or not a file of zones; err has name and cure.
 */
int tz_load(const char *name, struct tz **ret, struct err *e);
/* A TZif file of version 2 or later. 0 or -EINVAL. */
int tz_parse(const void *data, size_t len, struct tz **ret);
void tz_free(struct tz *z);
DEFINE_CLEANUP(struct tz *, tz_free);
#define __cleanup_tz __cleanup(tz_freep)

int32_t tz_offset(const struct tz *z, int64_t t); /* seconds east of UTC; NULL is UTC */
int64_t tz_next(const struct tz *z, int64_t t); /* when the clocks change next; INT64_MAX: never */
