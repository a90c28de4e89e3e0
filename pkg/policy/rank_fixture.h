/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Random cases for the tests of rank.c. Include after cmocka.h. */
#include <stdio.h>
#include <string.h>

#include "policy/rank.h"

#define MAX_ADDRS   120
#define MAX_NODES   12
#define MAX_CLASSES 4

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

static struct addr nth(uint32_t i)
{
	uint8_t b[4] = {203, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	return addr_from_v4(b);
}

/* A random case, small enough for an oracle. */
struct world {
	struct addr addrs[MAX_ADDRS];
	uint32_t classes[MAX_ADDRS];
	char text[MAX_NODES][8];
	const char *names[MAX_NODES];
	uint8_t tiers[MAX_NODES];
	bool eligible[MAX_CLASSES * MAX_NODES], prefers[MAX_CLASSES * MAX_NODES];
	struct rank_in in;
	uint32_t home[MAX_ADDRS], owner[MAX_ADDRS];
};

static void world_init(struct world *w, bool pinned, bool all_live)
{
	struct rank_in *in = &w->in;

	*in = (struct rank_in){.addrs = w->addrs,
			       .names = w->names,
			       .tiers = w->tiers,
			       .n_addrs = below(MAX_ADDRS),
			       .n_nodes = 1 + below(MAX_NODES)};
	if (pinned) {
		in->classes = w->classes;
		in->eligible = w->eligible;
		in->n_classes = 1 + below(MAX_CLASSES);
	}
	for (uint32_t i = 0; i < in->n_addrs; i++) {
		w->addrs[i] = nth(i);
		w->classes[i] = pinned ? below((uint32_t)in->n_classes) : 0;
	}
	for (uint32_t i = 0; i < in->n_nodes; i++) {
		snprintf(w->text[i], sizeof(w->text[i]), "n%u", i);
		w->names[i] = w->text[i];
		w->tiers[i] = all_live || below(3) ? RANK_LIVE : (uint8_t)below(2);
	}
	for (size_t i = 0; i < MAX_CLASSES * MAX_NODES; i++)
		w->eligible[i] = below(2);
}

static void assign(struct world *w)
{
	rank_assign(&w->in, w->home, w->owner);
}

static bool may_go(const struct world *w, size_t addr, size_t node)
{
	return !w->in.classes || w->eligible[w->classes[addr] * w->in.n_nodes + node];
}

/* The best tier that addr may go to. */
static uint8_t best_tier(const struct world *w, size_t addr)
{
	uint8_t best = RANK_AWAY;

	for (size_t n = 0; n < w->in.n_nodes; n++)
		if (may_go(w, addr, n) && w->tiers[n] > best)
			best = w->tiers[n];
	return best;
}

static bool open_to(const struct world *w, size_t addr, size_t node)
{
	return may_go(w, addr, node) && w->tiers[node] != RANK_AWAY &&
	       w->tiers[node] == best_tier(w, addr);
}

/* Some that classes prefer, and a bound that may be less than what there is. */
static void world_more(struct world *w)
{
	for (size_t i = 0; i < MAX_CLASSES * MAX_NODES; i++)
		w->prefers[i] = !below(4);
	if (w->in.classes && below(2))
		w->in.prefers = w->prefers;
	if (below(2))
		w->in.most = 1 + below(MAX_ADDRS / 2);
}
