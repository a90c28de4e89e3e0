/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/replica.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/kept.h"

/* Towards one who is next for something. */
struct link {
	struct addr to;
	struct channel *channel; /* NULL: none now */
	int64_t retry_at, ping_at, pinged_at;
	bool used;
	struct move_flow *batch; /* of this tick */
	size_t n;
};

struct target {
	struct addr addr, to;
	bool synced; /* the other one has what the table has, or will */
	int64_t synced_at;
};

struct replica {
	struct moves_more more;
	struct loop_timer *timer;
	void (*again)(void *data);
	void *data;
	uint16_t peer_port;
	uint32_t tick, round;
	struct flow_table own;
	struct kept kept;	/* of other owners */
	struct target *targets; /* sorted */
	struct link *links;
	struct move_flow *gone; /* to be told in the next tick */
	size_t n_targets, n_links, n_gone;
	uint64_t no_room;
};

/* ---- finding ---- */

static int target_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct target *)a)->addr, ((const struct target *)b)->addr);
}

static struct target *target_find(const struct replica *r, struct addr a)
{
	const struct target key = {.addr = a};

	return r->n_targets ? bsearch(&key, r->targets, r->n_targets, sizeof(key), target_cmp)
			    : NULL;
}

static struct link *link_find(const struct replica *r, struct addr to)
{
	for (size_t i = 0; i < r->n_links; i++)
		if (addr_eq(r->links[i].to, to))
			return &r->links[i];
	return NULL;
}

static struct link *link_of(const struct replica *r, const struct channel *c)
{
	for (size_t i = 0; i < r->n_links; i++)
		if (r->links[i].channel == c)
			return &r->links[i];
	return NULL;
}

static bool link_ready(const struct link *l)
{
	return l && l->channel && channel_opened(l->channel);
}

/* ---- telling ---- */

static void unsync(struct replica *r, const struct link *l)
{
	for (size_t i = 0; i < r->n_targets; i++)
		if (addr_eq(r->targets[i].to, l->to))
			r->targets[i].synced = false;
}

/* It takes no more for now: all of it again, later. */
static void link_slow(struct replica *r, struct link *l)
{
	unsync(r, l);
	l->retry_at = clock_ms() + REPLICA_RETRY_MS;
	l->n = 0;
}

static void link_open(struct replica *r, struct link *l, int64_t now)
{
	struct err e = {0};

	l->retry_at = now + REPLICA_RETRY_MS;
	if (channel_open(r->more.channels, l->to, r->peer_port, &l->channel, &e) < 0) {
		log_warn("connections not replicated", "to=%s error=%s", addr_str(l->to),
			 log_quote(e.msg));
		l->channel = NULL;
	}
}

static int tell_all(struct replica *r, struct link *l, const struct addr *addrs, size_t n)
{
	__cleanup_free struct move_flow *flows = NULL;
	size_t n_flows = flow_table_list(&r->own, addrs, n, &flows);
	int rc = move_addrs_send(l->channel, FRAME_OF, addrs, n);

	if (rc == 0)
		rc = move_frames_send(l->channel, FRAME_KEEP, flows, n_flows);
	flow_table_unqueue_all(&r->own, addrs, n); /* told, so their end is to be told, too */
	if (rc == 0)
		log_info("connections replicated", "to=%s addresses=%zu connections=%zu",
			 addr_str(l->to), n, n_flows);
	return rc;
}

static void sync_targets(struct replica *r, struct link *l)
{
	__cleanup_free struct addr *addrs = mem_alloc0((r->n_targets + 1) * sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < r->n_targets; i++) {
		struct target *t = &r->targets[i];

		if (t->synced || !addr_eq(t->to, l->to))
			continue;
		t->synced = true;
		t->synced_at = clock_ms();
		addrs[n++] = t->addr;
	}
	if (n && tell_all(r, l, addrs, n) < 0)
		link_slow(r, l);
}

static void batch_put(struct replica *r, const struct move_flow *f)
{
	const struct target *t = target_find(r, f->seen);
	struct link *l = t && t->synced ? link_find(r, t->to) : NULL;

	if (!link_ready(l))
		return;
	MEM_GROW(l->batch, l->n);
	l->batch[l->n++] = *f;
}

static void batches_send(struct replica *r, uint8_t type)
{
	for (size_t i = 0; i < r->n_links; i++) {
		struct link *l = &r->links[i];

		if (l->n && move_frames_send(l->channel, type, l->batch, l->n) < 0)
			link_slow(r, l);
		l->n = 0;
	}
}

/* Those that ended before those that began: the same two ends may do both. */
static void tell_news(struct replica *r)
{
	struct flow_entry *e;

	for (size_t i = 0; i < r->n_gone; i++)
		batch_put(r, &r->gone[i]);
	batches_send(r, FRAME_GONE);
	r->n_gone = 0;
	while ((e = TAILQ_FIRST(&r->own.queue)) && e->since != r->tick) {
		batch_put(r, &e->flow);
		flow_table_unqueue(&r->own, e);
	}
	batches_send(r, FRAME_KEEP);
}

static void links_run(struct replica *r, int64_t now)
{
	for (size_t i = 0; i < r->n_links; i++) {
		struct link *l = &r->links[i];

		if (!l->channel && l->retry_at <= now)
			link_open(r, l, now);
		if (!link_ready(l))
			continue;
		if (l->ping_at <= now) {
			l->ping_at = now + REPLICA_PING_MS;
			l->pinged_at = now;
			channel_send(l->channel, FRAME_PING, NULL, 0);
		}
		if (link_ready(l) && l->retry_at <= now)
			sync_targets(r, l);
	}
}

static void on_tick(void *data)
{
	struct replica *r = data;
	int64_t now = clock_ms();

	tell_news(r);
	r->tick++;
	links_run(r, now);
	kept_expire(&r->kept, now);
	if (r->n_targets)
		loop_timer_arm(r->timer, REPLICA_TICK_MS);
	else if (r->kept.n)
		loop_timer_arm(r->timer, REPLICA_PING_MS);
}

/* ---- whom ---- */

static void target_leave(struct replica *r, const struct target *t)
{
	struct link *l = link_find(r, t->to);

	if (t->synced && link_ready(l))
		move_addrs_send(l->channel, FRAME_NOT, &t->addr, 1);
}

static void links_update(struct replica *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_links; i++)
		r->links[i].used = false;
	for (size_t i = 0; i < r->n_targets; i++) {
		struct link *l = link_find(r, r->targets[i].to);

		if (!l) {
			MEM_GROW(r->links, r->n_links);
			l = &r->links[r->n_links++];
			*l = (struct link){.to = r->targets[i].to};
		}
		l->used = true;
	}
	for (size_t i = 0; i < r->n_links; i++) {
		struct link *l = &r->links[i];

		if (l->used) {
			r->links[kept++] = *l;
			continue;
		}
		if (l->channel)
			channel_close(l->channel);
		free(l->batch);
	}
	r->n_links = kept;
}

/* Of those that are told no more. */
static void forget_left(struct replica *r, const struct target *old, size_t n)
{
	__cleanup_free struct addr *left = mem_alloc0((n + 1) * sizeof(*left));
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (!target_find(r, old[i].addr))
			left[k++] = old[i].addr;
	if (k)
		flow_table_forget(&r->own, left, k);
}

void replica_targets(struct replica *r, const struct replica_target *list, size_t n)
{
	struct target *old = r->targets, *now = mem_alloc0((n + 1) * sizeof(*now));
	size_t n_old = r->n_targets;
	bool added = false;

	for (size_t i = 0; i < n; i++) {
		struct target *t = target_find(r, list[i].addr);
		bool as_before = t && addr_eq(t->to, list[i].to);

		added |= !t;
		now[i] = (struct target){.addr = list[i].addr, .to = list[i].to};
		if (as_before)
			now[i] = *t;
		if (as_before)
			t->synced = false; /* what is left of these has to be said */
	}
	for (size_t i = 0; i < n_old; i++)
		target_leave(r, &old[i]);
	r->targets = now;
	r->n_targets = n;
	forget_left(r, old, n_old);
	free(old);
	links_update(r);
	if (n && !n_old)
		loop_timer_arm(r->timer, REPLICA_TICK_MS);
	if (added)
		r->again(r->data);
}

/* ---- what the owner knows ---- */

void replica_flow(struct replica *r, const struct move_flow *f)
{
	struct flow_entry *e;
	bool new;

	if (!target_find(r, f->seen))
		return;
	e = flow_table_find(&r->own, f);
	if (e) {
		e->round = r->round;
		e->flow = *f;
		return;
	}
	e = flow_table_put(&r->own, f, &new);
	if (!e) {
		r->no_room++;
		return;
	}
	e->round = r->round;
	e->since = r->tick;
	flow_table_queue(&r->own, e);
}

static void own_gone(struct replica *r, struct flow_entry *e)
{
	if (!e->queued) {
		MEM_GROW(r->gone, r->n_gone);
		r->gone[r->n_gone++] = e->flow;
	}
	flow_table_remove(&r->own, e);
}

void replica_gone(struct replica *r, const struct move_flow *f)
{
	struct flow_entry *e = flow_table_find(&r->own, f);

	if (e)
		own_gone(r, e);
}

void replica_list(struct replica *r)
{
	r->round++;
}

void replica_listed(struct replica *r)
{
	struct flow_entry *e = TAILQ_FIRST(&r->own.all), *next;

	for (; e; e = next) {
		next = TAILQ_NEXT(e, of_all);
		if (e->round != r->round)
			own_gone(r, e);
	}
}

/* ---- the channels ---- */

static void on_opened(void *data, struct channel *c)
{
	struct replica *r = data;
	struct link *l = link_of(r, c);

	if (!l)
		return;
	l->retry_at = 0;
	l->ping_at = clock_ms() + REPLICA_PING_MS;
	sync_targets(r, l);
}

/* What it says it keeps, of what it was told before it was asked. */
static void on_pong(struct replica *r, struct channel *c, struct addr *addrs, size_t n)
{
	const struct link *l = link_of(r, c);

	if (n)
		qsort(addrs, n, sizeof(*addrs), addr_order);
	for (size_t i = 0; l && i < r->n_targets; i++) {
		struct target *t = &r->targets[i];

		if (addr_eq(t->to, l->to) && t->synced_at < l->pinged_at &&
		    !(n && bsearch(&t->addr, addrs, n, sizeof(*addrs), addr_order)))
			t->synced = false;
	}
}

static int on_frame(void *data, struct channel *c, uint8_t type, const void *payload, size_t n)
{
	struct replica *r = data;
	__cleanup_free struct addr *addrs = mem_dup(payload, n); /* aligned */

	if (!channel_ours(c))
		return kept_frame(&r->kept, c, type, payload, n);
	if (type != FRAME_PING || n % sizeof(*addrs))
		return -EPROTO;
	on_pong(r, c, addrs, n / sizeof(*addrs));
	return 0;
}

static void on_closed(void *data, struct channel *c, const char *why)
{
	struct replica *r = data;
	struct link *l = link_of(r, c);
	int64_t now = clock_ms();

	if (l) {
		unsync(r, l);
		l->channel = NULL;
		l->retry_at = now + REPLICA_RETRY_MS;
		l->n = 0;
	}
	if (kept_closed(&r->kept, c, now + REPLICA_KEEP_MS) && !r->n_targets)
		loop_timer_arm(r->timer, REPLICA_PING_MS);
}

static const struct channel_ops channel_ops = {on_opened, on_frame, on_closed};

/* ---- ---- */

size_t replica_take(struct replica *r, struct addr addr, struct move_flow **ret)
{
	return kept_take(&r->kept, addr, ret);
}

void replica_stats(const struct replica *r, struct replica_stats *ret)
{
	const struct flow_entry *e;

	*ret = (struct replica_stats){.told = r->own.n,
				      .kept = r->kept.flows.n,
				      .addrs = r->n_targets,
				      .no_room = r->no_room + r->kept.no_room};
	for (size_t i = 0; i < r->n_targets; i++)
		ret->whole += r->targets[i].synced;
	TAILQ_FOREACH(e, &r->own.queue, of_queue)
	ret->waiting++;
}

struct moves_more *replica_more(struct replica *r)
{
	return &r->more;
}

int replica_new(const struct replica_in *in, struct replica **ret, struct err *e)
{
	struct replica *r = mem_alloc0(sizeof(*r));
	int rc;

	*r = (struct replica){
		.more = {.ops = &channel_ops, .data = r},
		.again = in->again,
		.data = in->data,
		.peer_port = in->peer_port,
	};
	flow_table_init(&r->own, REPLICA_FLOWS_MAX);
	kept_init(&r->kept, REPLICA_FLOWS_MAX);
	rc = loop_timer_new(in->loop, on_tick, r, &r->timer, e);
	if (rc < 0) {
		replica_free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	loop_timer_free(r->timer);
	flow_table_done(&r->own);
	kept_done(&r->kept);
	for (size_t i = 0; i < r->n_links; i++)
		free(r->links[i].batch);
	free(r->links);
	free(r->targets);
	free(r->gone);
	free(r);
}
