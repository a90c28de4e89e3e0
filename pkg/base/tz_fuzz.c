/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of the tz database: refused, or a zone in which time goes on. Between one
 * change of the clocks and the next the offset stays what it was.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/tz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS	   40
#define OFFSET_MAX (14 * 86400) /* a rule may say 167 hours */

static void walk(const struct tz *z, int64_t t)
{
	for (int i = 0; i < STEPS; i++) {
		int32_t offset = tz_offset(z, t);
		int64_t next = tz_next(z, t);

		if (offset < -OFFSET_MAX || offset > OFFSET_MAX || next <= t)
			abort();
		if (next == INT64_MAX)
			break;
		if (tz_offset(z, next - 1) != offset || tz_offset(z, t + (next - t) / 2) != offset)
			abort();
		t = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t from[] = {-(1ll << 40), -1, 0, 1700000000, 4102444800, 1ll << 40};
	struct tz *z = NULL;

	if (tz_parse(data, size, &z) < 0)
		return z ? (abort(), 0) : 0;
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		walk(z, from[i]);
	tz_free(z);
	return 0;
}
