/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that another node has, and this one is to have. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "gateway/moves_priv.h"
#include "gateway/moves_wire.h"

#define UNASKED_MS (2 * MOVE_WAIT_MS)

struct coming *coming_find(struct moves *m, struct addr a)
{
	for (size_t i = 0; i < m->n_coming; i++)
		if (addr_eq(m->coming[i].addr, a))
			return &m->coming[i];
	return NULL;
}

/* NULL: there are too many of them. */
static struct coming *coming_get(struct moves *m, struct addr a, int64_t wait)
{
	struct coming *k = coming_find(m, a);

	if (k || m->n_coming >= MOVE_ADDRS_MAX)
		return k;
	MEM_GROW(m->coming, m->n_coming);
	k = &m->coming[m->n_coming++];
	*k = (struct coming){.addr = a, .until = clock_ms() + wait};
	return k;
}

void coming_remove(struct moves *m, struct coming *k)
{
	m->n_pending -= k->n;
	m->counts->came += k->taken;
	m->counts->came_alone += k->alone && !k->taken;
	if (k->twice)
		m->ops->twice(m->data, k->addr, k->from, false);
	free(k->flows);
	*k = m->coming[--m->n_coming];
}

/* What is there of those that come now is of the last time that they were here. */
static void coming_clean(struct moves *m)
{
	__cleanup_free struct addr *addrs = mem_alloc0(m->n_coming * sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < m->n_coming; i++) {
		struct coming *k = &m->coming[i];

		if (!k->asked || !k->ready || k->clean)
			continue;
		k->clean = true;
		addrs[n++] = k->addr;
	}
	m->ops->forget(m->data, addrs, n);
}

static void coming_make(struct moves *m, struct coming *k)
{
	if (!k->clean)
		coming_clean(m);
	k->made = true;
	k->until = clock_ms() + UNASKED_MS;
	m->ops->make(m->data, k->flows, k->n);
	m->n_pending -= k->n;
	free(k->flows);
	k->flows = NULL;
	k->n = 0;
}

enum move_coming moves_coming(struct moves *m, struct addr a, bool expected)
{
	struct coming *k = coming_find(m, a);

	k = k || expected ? coming_get(m, a, MOVE_WAIT_MS) : NULL;
	if (!k)
		return MOVE_PROBE;
	moves_settle(m, a, true); /* it is back before it was forgotten */
	if (!k->asked) {
		k->asked = true;
		k->until = clock_ms() + MOVE_WAIT_MS;
		moves_timer_arm(m);
	}
	if (k->ready && !k->made)
		coming_make(m, k);
	if (k->made)
		return MOVE_TAKE;
	return k->alone ? MOVE_PROBE : MOVE_WAIT;
}

enum move_coming moves_coming_joining(struct moves *m, struct addr a)
{
	struct coming *k = coming_find(m, a);

	moves_settle(m, a, true);
	if (!k || !k->ready)
		return MOVE_PROBE;
	if (!k->asked) {
		k->asked = true;
		k->until = clock_ms() +
			   MOVE_PATIENCE_MS; /* then it is alone, and there is a pass */
		moves_timer_arm(m);
	}
	return k->alone || k->made ? moves_coming(m, a, false) : MOVE_WAIT;
}

void moves_taken(struct moves *m, struct addr a)
{
	struct coming *k = coming_find(m, a);

	if (!k || !k->ready || k->taken)
		return;
	if (!k->made) { /* it was here before it was told of: so are connections of our own */
		k->clean = true;
		coming_make(m, k);
		k->twice = m->ops->twice;
		if (k->twice)
			m->ops->twice(m->data, a, k->from, true);
	}
	k->taken = true;
	if (k->channel)
		move_addrs_send(k->channel, FRAME_TAKEN, &a, 1);
}

static int on_flow(struct moves *m, struct channel *c, const struct move_flow *f)
{
	struct coming *k = coming_get(m, f->seen, UNASKED_MS);

	if (!k || m->n_pending >= MOVE_FLOWS_MAX)
		return -ENOBUFS;
	k->channel = c;
	if (k->asked && !k->made)
		k->until = clock_ms() + MOVE_LEAVE_MS;
	MEM_GROW(k->flows, k->n);
	k->flows[k->n++] = *f;
	m->n_pending++;
	return 0;
}

int coming_flows(struct moves *m, struct channel *c, const uint8_t *p, size_t n)
{
	struct move_flow f;
	int r = 0;

	if (n % MOVE_FLOW_SIZE)
		return -EPROTO;
	for (size_t at = 0; r == 0 && at < n; at += MOVE_FLOW_SIZE)
		r = move_flow_get(p + at, &f) ? on_flow(m, c, &f) : -EPROTO;
	moves_timer_arm(m);
	return r;
}

void coming_ready(struct moves *m, struct channel *c, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct coming *k = coming_get(m, addrs[i], UNASKED_MS);

		/* who asks again has not heard that we took it: it was started anew, or we were */
		if (k->taken)
			k->until = clock_ms() + UNASKED_MS;
		k->taken = false;
		k->channel = c;
		k->from = channel_peer(c);
		k->ready = true;
	}
	moves_timer_arm(m);
	m->ops->changed(m->data);
}

void coming_done(struct moves *m, struct channel *c, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct coming *k = coming_find(m, addrs[i]);

		if (k && k->made && k->channel == c) {
			coming_make(m, k);
			coming_remove(m, k);
		}
	}
}

bool coming_closed(struct moves *m, const struct channel *c)
{
	bool lost = false;

	for (size_t i = 0; i < m->n_coming; i++) {
		struct coming *k = &m->coming[i];

		if (k->channel != c)
			continue;
		k->channel = NULL;
		if (!k->ready) /* what has been told is not all of it */
			k->alone = lost = true;
	}
	return lost;
}

bool coming_expire(struct moves *m, int64_t now)
{
	bool changed = false;

	for (size_t i = m->n_coming; i-- > 0;) {
		struct coming *k = &m->coming[i];

		if (k->until > now)
			continue;
		if (!k->asked || k->made || k->alone) {
			coming_remove(m, k);
			continue;
		}
		k->alone = changed = true; /* to be probed; asked for again later, it waits again */
		k->until = now + MOVE_LINGER_MS;
	}
	return changed;
}
