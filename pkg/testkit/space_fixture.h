/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "dataplane/space.h"

static inline bool space_has(const struct space *s, uint32_t place)
{
	return s->taken[place / 64] >> place % 64 & 1;
}
