/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is in force here and what has happened, as Events: each is said again and again while it is
 * so, which api_events.h makes one of. */
#include "reconcile/api_events.h"
#include "reconcile/reconcile.h"

struct api_say {
	const struct reconcile *r;
	const struct objects *objects;
	struct api_events *events;
};

void api_say(const struct api_say *t);
