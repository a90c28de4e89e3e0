/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";
static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

bool uuid_parse(const char *s, uint8_t ret[16])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < UUID_STRLEN; i++) {
		const char *digit = s[i] ? strchr(digits, s[i]) : NULL;

		if (shape[i] != 'x') {
			if (s[i] != shape[i])
				return false;
			continue;
		}
		if (!digit)
			return false;
		ret[n / 2] = (uint8_t)((n % 2 ? ret[n / 2] << 4 : 0) | (digit - digits));
		n++;
	}
	return true;
}

const char *uuid_emit(const uint8_t uuid[16], char buf[UUID_STRLEN])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < UUID_STRLEN; i++) {
		buf[i] = shape[i];
		if (shape[i] == 'x') {
			buf[i] = digits[n % 2 ? uuid[n / 2] & 15 : uuid[n / 2] >> 4];
			n++;
		}
	}
	return buf;
}
