/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/moves_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/moves_wire.h"

void moves_timer_arm(struct moves *m)
{
	int64_t first = INT64_MAX, now = clock_ms();

	for (size_t i = 0; i < m->n_leaving; i++)
		first = m->leaving[i].until < first ? m->leaving[i].until : first;
	for (size_t i = 0; i < m->n_coming; i++)
		first = m->coming[i].until < first ? m->coming[i].until : first;
	loop_timer_arm(m->timer, first == INT64_MAX ? -1 : first > now ? first - now : 0);
}

/* ---- the channels ---- */

static void on_opened(void *data, struct channel *c)
{
	struct moves *m = data;

	if (m->more)
		m->more->ops->opened(m->more->data, c);
	if (channel_ours(c))
		leaving_tell(data);
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
		return coming_flows(m, c, payload, n);
	if (n % sizeof(*addrs) || m->n_coming + n_addrs > MOVE_ADDRS_MAX)
		return -EPROTO;
	if (type == FRAME_TAKEN)
		return leaving_taken(m, c, addrs, n_addrs);
	if (type != FRAME_READY && type != FRAME_DONE)
		return -EPROTO;
	(type == FRAME_READY ? coming_ready : coming_done)(m, c, addrs, n_addrs);
	return 0;
}

static void on_closed(void *data, struct channel *c, const char *why)
{
	struct moves *m = data;
	bool lost;

	if (m->more)
		m->more->ops->closed(m->more->data, c, why);
	lost = leaving_closed(m, c);
	lost |= coming_closed(m, c);
	if (lost)
		log_warn("addresses move without all of their connections", "peer=%s reason=%s",
			 addr_str(channel_peer(c)), log_quote(why ? why : "it closed"));
	moves_timer_arm(m);
	if (lost)
		m->ops->changed(m->data);
}

static const struct channel_ops channel_ops = {on_opened, on_frame, on_closed};

/* ---- time ---- */

static void on_timer(void *data)
{
	struct moves *m = data;
	int64_t now = clock_ms();
	bool changed = leaving_expire(m, now);

	changed |= coming_expire(m, now);
	moves_timer_arm(m);
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
		r = loop_timer_new(in->loop, leaving_tell, m, &m->tell, e);
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
