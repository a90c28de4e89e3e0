/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/rivals.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static struct rival *find(const struct rivals *r, struct addr a)
{
	for (size_t i = 0; i < r->n; i++)
		if (addr_eq(r->now[i].addr, a))
			return &r->now[i];
	return NULL;
}

const char *rivals_find(const struct rivals *r, struct addr a)
{
	const struct rival *k = find(r, a);

	return k ? k->node : NULL;
}

static struct rivalry *round_find(const struct rivals *r, const char *gateway, const char *node)
{
	for (size_t i = 0; i < r->n_rounds; i++)
		if (strcmp(r->rounds[i].gateway, gateway) == 0 &&
		    strcmp(r->rounds[i].node, node) == 0)
			return &r->rounds[i];
	return NULL;
}

/* There are as many as pairs of gateways and nodes: few, and no more than a list may have. */
static struct rivalry *round_get(struct rivals *r, const char *gateway, const char *node)
{
	struct rivalry *k = round_find(r, gateway, node);

	if (k || r->n_rounds == RIVALS_MAX)
		return k;
	MEM_GROW(r->rounds, r->n_rounds);
	k = &r->rounds[r->n_rounds++];
	*k = (struct rivalry){.gateway = mem_strdup(gateway), .node = mem_strdup(node)};
	return k;
}

void rivals_begin(struct rivals *r, struct addr a, const char *gateway, const char *node,
		  struct rivals_moment at)
{
	struct rivalry *k = round_get(r, gateway, node);

	r->total++;
	r->serial++;
	if (!k || r->n == RIVALS_MAX || find(r, a))
		return;
	MEM_GROW(r->now, r->n);
	r->now[r->n++] = (struct rival){a, mem_strdup(gateway), mem_strdup(node)};
	if (!k->open && (!k->n || at.now - k->began >= RIVALS_ROUND_MS)) {
		k->n = 0;
		k->addr = a;
		k->at_ms = at.wall_ms;
		k->began = at.now;
	}
	k->n++;
	k->open++;
}

static void rival_done(struct rival *k)
{
	free(k->gateway);
	free(k->node);
}

const struct rivalry *rivals_end(struct rivals *r, struct addr a, struct rivals_moment at)
{
	struct rival *one = find(r, a);
	struct rivalry *k = one ? round_find(r, one->gateway, one->node) : NULL;

	if (!one)
		return NULL;
	rival_done(one);
	*one = r->now[--r->n];
	r->serial++;
	k->open--;
	k->took_ms = at.now - k->began;
	return k;
}

const struct rivalry *rivals_latest(const struct rivals *r)
{
	const struct rivalry *latest = NULL;

	for (size_t i = 0; i < r->n_rounds; i++)
		if (!latest || r->rounds[i].at_ms > latest->at_ms)
			latest = &r->rounds[i];
	return latest;
}

void rivals_done(struct rivals *r)
{
	for (size_t i = 0; i < r->n; i++)
		rival_done(&r->now[i]);
	for (size_t i = 0; i < r->n_rounds; i++) {
		free(r->rounds[i].gateway);
		free(r->rounds[i].node);
	}
	free(r->now);
	free(r->rounds);
	*r = (struct rivals){0};
}
