/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

void kept_init(struct kept *k, size_t max)
{
	*k = (struct kept){};
	flow_table_init(&k->flows, max);
}

void kept_done(struct kept *k)
{
	flow_table_done(&k->flows);
	free(k->addrs);
	k->addrs = NULL;
	k->n = 0;
}

static int kept_order(const void *a, const void *b)
{
	return addr_cmp(((const struct kept_addr *)a)->addr, ((const struct kept_addr *)b)->addr);
}

static struct kept_addr *find(const struct kept *k, struct addr a)
{
	const struct kept_addr key = {.addr = a};

	return k->n ? bsearch(&key, k->addrs, k->n, sizeof(key), kept_order) : NULL;
}

static void slot_free(struct kept *k, struct kept_addr *a)
{
	memmove(a, a + 1, (--k->n - (size_t)(a - k->addrs)) * sizeof(*a));
}

static void drop(struct kept *k, struct kept_addr *a)
{
	flow_table_forget(&k->flows, &a->addr, 1);
	slot_free(k, a);
}

/* The last one who tells of an address is its owner: of another one there may be frames still. */
static int begin(struct kept *k, struct channel *c, struct addr *addrs, size_t n)
{
	if (n)
		qsort(addrs, n, sizeof(*addrs), addr_order);
	flow_table_forget(&k->flows, addrs, n);
	for (size_t i = 0; i < n; i++) {
		struct kept_addr *a = find(k, addrs[i]);

		if (a)
			slot_free(k, a);
	}
	if (k->n + n > MOVE_ADDRS_MAX)
		return -ENOBUFS;
	for (size_t i = 0; i < n; i++) {
		if (i && addr_eq(addrs[i], addrs[i - 1]))
			continue;
		MEM_GROW(k->addrs, k->n);
		k->addrs[k->n++] = (struct kept_addr){.addr = addrs[i], .channel = c};
	}
	if (k->n)
		qsort(k->addrs, k->n, sizeof(*k->addrs), kept_order);
	return 0;
}

static void end(struct kept *k, const struct channel *c, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct kept_addr *a = find(k, addrs[i]);

		if (a && a->channel == c)
			drop(k, a);
	}
}

static void one(struct kept *k, const struct channel *c, uint8_t type, const struct move_flow *f)
{
	const struct kept_addr *a = find(k, f->seen);
	struct flow_entry *e;
	bool new;

	if (!a || a->channel != c)
		return;
	if (type == FRAME_KEEP) {
		k->no_room += !flow_table_put(&k->flows, f, &new);
		return;
	}
	e = flow_table_find(&k->flows, f);
	if (e)
		flow_table_remove(&k->flows, e);
}

static int flows(struct kept *k, const struct channel *c, uint8_t type, const uint8_t *p, size_t n)
{
	struct move_flow f;

	if (n % MOVE_FLOW_SIZE)
		return -EPROTO;
	for (size_t at = 0; at < n; at += MOVE_FLOW_SIZE) {
		if (!move_flow_get(p + at, &f))
			return -EPROTO;
		one(k, c, type, &f);
	}
	return 0;
}

static int pong(const struct kept *k, struct channel *c)
{
	__cleanup_free struct addr *addrs = mem_alloc0((k->n + 1) * sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++)
		if (k->addrs[i].channel == c)
			addrs[n++] = k->addrs[i].addr;
	return channel_send(c, FRAME_PING, addrs, n * sizeof(*addrs));
}

int kept_frame(struct kept *k, struct channel *c, uint8_t type, const void *payload, size_t n)
{
	__cleanup_free struct addr *addrs = NULL;

	if (type == FRAME_KEEP || type == FRAME_GONE)
		return flows(k, c, type, payload, n);
	if (n % sizeof(*addrs))
		return -EPROTO;
	addrs = mem_dup(payload, n); /* aligned */
	switch (type) {
	case FRAME_OF:
		return begin(k, c, addrs, n / sizeof(*addrs));
	case FRAME_NOT:
		end(k, c, addrs, n / sizeof(*addrs));
		return 0;
	case FRAME_PING:
		return pong(k, c);
	default:
		return -EPROTO;
	}
}

bool kept_closed(struct kept *k, const struct channel *c, int64_t until)
{
	bool any = false;

	for (size_t i = 0; i < k->n; i++) {
		if (k->addrs[i].channel != c)
			continue;
		k->addrs[i].channel = NULL;
		k->addrs[i].until = until;
		any = true;
	}
	return any;
}

void kept_expire(struct kept *k, int64_t now)
{
	for (size_t i = k->n; i-- > 0;)
		if (!k->addrs[i].channel && k->addrs[i].until <= now)
			drop(k, &k->addrs[i]);
}

size_t kept_take(struct kept *k, struct addr addr, struct move_flow **ret)
{
	struct kept_addr *a = find(k, addr);
	size_t n;

	*ret = NULL;
	if (!a)
		return 0;
	n = flow_table_list(&k->flows, &addr, 1, ret);
	drop(k, a);
	return n;
}
