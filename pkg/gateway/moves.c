/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/moves_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/moves_wire.h"

#define UNASKED_MS (2 * MOVE_WAIT_MS)

static struct leaving *leaving_find(struct moves *m, struct addr a)
{
	for (size_t i = 0; i < m->n_leaving; i++)
		if (addr_eq(m->leaving[i].addr, a))
			return &m->leaving[i];
	return NULL;
}

static struct coming *coming_find(struct moves *m, struct addr a)
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

static void coming_remove(struct moves *m, struct coming *k)
{
	m->n_pending -= k->n;
	m->counts->came += k->taken;
	m->counts->came_alone += k->alone && !k->taken;
	free(k->flows);
	*k = m->coming[--m->n_coming];
}

static bool channel_used(const struct moves *m, const struct channel *c)
{
	for (size_t i = 0; i < m->n_leaving; i++)
		if (m->leaving[i].channel == c)
			return true;
	return false;
}

static void leaving_remove(struct moves *m, struct leaving *l)
{
	struct channel *c = l->channel;

	*l = m->leaving[--m->n_leaving];
	if (c && !channel_used(m, c))
		channel_close(c);
}

static void timer_arm(struct moves *m)
{
	int64_t first = INT64_MAX, now = clock_ms();

	for (size_t i = 0; i < m->n_leaving; i++)
		first = m->leaving[i].until < first ? m->leaving[i].until : first;
	for (size_t i = 0; i < m->n_coming; i++)
		first = m->coming[i].until < first ? m->coming[i].until : first;
	loop_timer_arm(m->timer, first == INT64_MAX ? -1 : first > now ? first - now : 0);
}

/* ---- leaving ---- */

static void leave_gone(struct moves *m, struct leaving *l)
{
	*(l->state == LEAVE_TAKEN ? &m->counts->left : &m->counts->left_alone) += 1;
	l->state = LEAVE_GONE;
	l->until = clock_ms() + MOVE_LINGER_MS;
}

static void tell_all(struct moves *m, struct channel *c)
{
	__cleanup_free struct addr *addrs = mem_alloc0(m->n_leaving * sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < m->n_leaving; i++) {
		struct leaving *l = &m->leaving[i];

		if (l->channel != c || l->state != LEAVE_OPENING)
			continue;
		l->state = LEAVE_TOLD;
		addrs[n++] = l->addr;
	}
	if (n && move_tell(m->ops, m->data, c, &(struct move_words){FRAME_READY, addrs, n}) < 0)
		log_warn("connections not told", "to=%s", addr_str(channel_peer(c)));
}

/* Those of one pass go together. */
static void on_tell(void *data)
{
	struct moves *m = data;

	for (size_t i = 0; i < m->n_leaving; i++) {
		struct leaving *l = &m->leaving[i];

		if (l->state == LEAVE_OPENING && l->channel && channel_opened(l->channel))
			tell_all(m, l->channel);
	}
}

/* The other one has them: what has begun meanwhile, and we let go. */
static int on_taken(struct moves *m, struct channel *c, const struct addr *addrs, size_t n)
{
	int r = move_tell(m->ops, m->data, c, &(struct move_words){FRAME_DONE, addrs, n});

	for (size_t i = 0; i < n; i++) {
		struct leaving *l = leaving_find(m, addrs[i]);

		if (l && l->channel == c && l->state == LEAVE_TOLD)
			l->state = LEAVE_TAKEN;
	}
	timer_arm(m);
	m->ops->changed(m->data);
	return r;
}

static struct channel *channel_towards(struct moves *m, struct addr to)
{
	struct channel *c = NULL;
	struct err e = {0};

	for (size_t i = 0; i < m->n_leaving; i++)
		if (m->leaving[i].channel && addr_eq(m->leaving[i].to, to))
			return m->leaving[i].channel;
	if (channel_open(m->channels, to, m->peer_port, &c, &e) < 0)
		log_warn("addresses go without their connections", "to=%s error=%s", addr_str(to),
			 log_quote(e.msg));
	return c;
}

static enum move_leaving leaving_as(const struct leaving *l)
{
	return l->state == LEAVE_GONE ? MOVE_GONE : l->state == LEAVE_TAKEN ? MOVE_LET : MOVE_KEEP;
}

void moves_let(struct moves *m, struct addr a)
{
	struct leaving *l = leaving_find(m, a);

	if (!l || l->state != LEAVE_TAKEN)
		return;
	leave_gone(m, l);
	timer_arm(m);
	m->ops->changed(m->data);
}

void moves_lost(struct moves *m, struct addr a)
{
	if (leaving_find(m, a))
		return;
	MEM_GROW(m->leaving, m->n_leaving);
	m->leaving[m->n_leaving++] = (struct leaving){a, .state = LEAVE_GONE,
						      .until = clock_ms() + MOVE_LINGER_MS};
	timer_arm(m);
}

enum move_leaving moves_leaving(struct moves *m, struct addr a, struct addr to)
{
	struct leaving *l = leaving_find(m, a);
	struct channel *c;

	if (l && addr_eq(l->to, to))
		return leaving_as(l);
	moves_drop(m, a);
	c = channel_towards(m, to);
	MEM_GROW(m->leaving, m->n_leaving);
	l = &m->leaving[m->n_leaving++];
	*l = (struct leaving){
		.addr = a, .to = to, .channel = c, .until = clock_ms() + MOVE_LEAVE_MS};
	loop_timer_arm(m->tell, 0);
	if (!c)
		leave_gone(m, l);
	timer_arm(m);
	return leaving_as(l);
}

/* ---- coming ---- */

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
		timer_arm(m);
	}
	if (k->ready && !k->made)
		coming_make(m, k);
	if (k->made)
		return MOVE_TAKE;
	return k->alone ? MOVE_PROBE : MOVE_WAIT;
}

void moves_taken(struct moves *m, struct addr a)
{
	struct coming *k = coming_find(m, a);

	if (!k || !k->made || k->taken)
		return;
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

static int on_flows(struct moves *m, struct channel *c, const uint8_t *p, size_t n)
{
	struct move_flow f;
	int r = 0;

	if (n % MOVE_FLOW_SIZE)
		return -EPROTO;
	for (size_t at = 0; r == 0 && at < n; at += MOVE_FLOW_SIZE)
		r = move_flow_get(p + at, &f) ? on_flow(m, c, &f) : -EPROTO;
	timer_arm(m);
	return r;
}

static void on_ready(struct moves *m, struct channel *c, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct coming *k = coming_get(m, addrs[i], UNASKED_MS);

		k->channel = c;
		k->ready = true;
	}
	timer_arm(m);
	m->ops->changed(m->data);
}

static void on_done(struct moves *m, struct channel *c, const struct addr *addrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct coming *k = coming_find(m, addrs[i]);

		if (k && k->made && k->channel == c) {
			coming_make(m, k);
			coming_remove(m, k);
		}
	}
}

/* ---- the channels ---- */

static void on_opened(void *data, struct channel *c)
{
	struct moves *m = data;

	if (m->more)
		m->more->ops->opened(m->more->data, c);
	if (channel_ours(c))
		on_tell(data);
}

static int on_frame(void *data, struct channel *c, uint8_t type, const void *payload, size_t n)
{
	struct moves *m = data;
	__cleanup_free struct addr *addrs = mem_dup(payload, n); /* aligned */
	size_t n_addrs = n / sizeof(*addrs);

	if (type >= FRAME_MORE && m->more)
		return m->more->ops->frame(m->more->data, c, type, payload, n);
	if ((type == FRAME_TAKEN) != channel_ours(c))
		return -EPROTO;
	if (type == FRAME_FLOWS)
		return on_flows(m, c, payload, n);
	if (n % sizeof(*addrs) || m->n_coming + n_addrs > MOVE_ADDRS_MAX)
		return -EPROTO;
	if (type == FRAME_TAKEN)
		return on_taken(m, c, addrs, n_addrs);
	if (type != FRAME_READY && type != FRAME_DONE)
		return -EPROTO;
	(type == FRAME_READY ? on_ready : on_done)(m, c, addrs, n_addrs);
	return 0;
}

static void on_closed(void *data, struct channel *c, const char *why)
{
	struct moves *m = data;
	bool lost = false;

	if (m->more)
		m->more->ops->closed(m->more->data, c, why);
	for (size_t i = 0; i < m->n_leaving; i++) {
		struct leaving *l = &m->leaving[i];

		if (l->channel != c)
			continue;
		l->channel = NULL;
		if (l->state != LEAVE_GONE) {
			leave_gone(m, l);
			lost = true;
		}
	}
	for (size_t i = 0; i < m->n_coming; i++) {
		struct coming *k = &m->coming[i];

		if (k->channel != c)
			continue;
		k->channel = NULL;
		if (!k->ready) /* what has been told is not all of it */
			k->alone = lost = true;
	}
	if (lost)
		log_warn("addresses move without all of their connections", "peer=%s reason=%s",
			 addr_str(channel_peer(c)), log_quote(why ? why : "it closed"));
	timer_arm(m);
	if (lost)
		m->ops->changed(m->data);
}

static const struct channel_ops channel_ops = {on_opened, on_frame, on_closed};

/* ---- time ---- */

/* True: some are let go. */
static bool leaving_expire(struct moves *m, int64_t now)
{
	__cleanup_free struct addr *gone = mem_alloc0((m->n_leaving + 1) * sizeof(*gone));
	bool changed = false;
	size_t n = 0;

	for (size_t i = m->n_leaving; i-- > 0;) {
		struct leaving *l = &m->leaving[i];

		if (l->until > now)
			continue;
		if (l->state != LEAVE_GONE) {
			leave_gone(m, l);
			changed = true;
			continue;
		}
		gone[n++] = l->addr;
		leaving_remove(m, l);
	}
	if (n)
		m->ops->forget(m->data, gone, n);
	return changed;
}

static void on_timer(void *data)
{
	struct moves *m = data;
	int64_t now = clock_ms();
	bool changed = leaving_expire(m, now);

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
	timer_arm(m);
	if (changed)
		m->ops->changed(m->data);
}

void moves_settle(struct moves *m, struct addr a, bool here)
{
	struct leaving *l = here ? leaving_find(m, a) : NULL;
	struct coming *k = here ? NULL : coming_find(m, a);

	if (l)
		leaving_remove(m, l);
	if (k && k->asked)
		coming_remove(m, k);
}

void moves_drop(struct moves *m, struct addr a)
{
	struct coming *k = coming_find(m, a);

	moves_settle(m, a, true);
	if (k)
		coming_remove(m, k);
}

int moves_new(const struct moves_in *in, struct moves **ret, struct err *e)
{
	static struct moves_counts nobodys;
	struct moves *m = mem_alloc0(sizeof(*m));
	const struct channels_in channels = {
		.loop = in->loop,
		.keys = in->keys,
		.port = in->port,
		.ops = &channel_ops,
		.data = m,
	};
	int r;

	*m = (struct moves){
		.ops = in->ops, .data = in->data, .peer_port = in->peer_port, .more = in->more};
	m->counts = in->counts ?: &nobodys;
	r = loop_timer_new(in->loop, on_timer, m, &m->timer, e);
	if (r == 0)
		r = loop_timer_new(in->loop, on_tell, m, &m->tell, e);
	if (r == 0)
		r = channels_new(&channels, &m->channels, e);
	if (r < 0) {
		moves_free(m);
		return r;
	}
	if (m->more)
		m->more->channels = m->channels;
	*ret = m;
	return 0;
}

void moves_free(struct moves *m)
{
	if (!m)
		return;
	channels_free(m->channels);
	loop_timer_free(m->timer);
	loop_timer_free(m->tell);
	for (size_t i = 0; i < m->n_coming; i++)
		free(m->coming[i].flows);
	free(m->coming);
	free(m->leaving);
	free(m);
}

const struct channels *moves_channels(const struct moves *m)
{
	return m->channels;
}
