/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which daemon writes what only one should: whoever holds the Lease "sluiced"
 * (coordination.k8s.io/v1). The rules are those of Kubernetes' own components: it is held for
 * 15 s, renewed every 2 s, given up by who could not renew it for 10 s, and taken by another only
 * after it did not change for its whole duration by that one's own clock: what the clocks of two
 * machines say is never compared.
 *
 * Thousands of nodes that all look every 2 s would be a load, so who is further back in a
 * ranking of the nodes looks less often: the k-th every 2k s, up to 5 minutes. If all of the
 * first are down, one further back finds the Lease expired.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;

#define LEASE_NAME	  "sluiced"
#define LEASE_DURATION_MS 15000
#define LEASE_DEADLINE_MS 10000
#define LEASE_RETRY_MS	  2000
#define LEASE_RETRY_MAX	  300000
#define LEASE_PLACE_LAST  1000000 /* behind everybody */

/* What one knows of the Lease. PURE: times are ms of CLOCK_MONOTONIC. */
struct lease {
	const char *self; /* borrowed */
	char *holder, *renewed, *version;
	int64_t duration; /* ms, as its holder says */
	int64_t transitions;
	int64_t seen_at;    /* when it was seen to say something else last */
	int64_t renewed_at; /* by us; 0: we do not hold it */
};

void lease_done(struct lease *l);
/* The Lease as it was read now. */
void lease_seen(struct lease *l, const struct json *object, int64_t now);
/* It may be taken, or is ours and is to be renewed. */
bool lease_may_take(const struct lease *l, int64_t now);
/* We may act: we renewed it not long ago. */
bool lease_is_ours(const struct lease *l, int64_t now);
/* What to write to take or renew it, or, without a holder, to let it go. time:
 * "2026-01-31T09:00:00.000000Z". */
struct json *lease_emit(const struct lease *l, bool hold, const char *namespace, const char *time);
/* It was written: object is what the server made of it. asked_at: before it was sent. */
void lease_taken(struct lease *l, const struct json *object, int64_t asked_at);

/* The place of self among the nodes, from 0: equal on every node that knows the same nodes. */
size_t lease_place(const char *self, const char *const *nodes, size_t n);
/* How long to wait before the next look or renewal; chance: 0..1023. */
int64_t lease_wait_ms(bool ours, size_t place, uint32_t chance);
