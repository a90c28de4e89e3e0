/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/replicate.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/mem.h"
#include "kernel/conntrack_watch.h"
#include "reconcile/moving.h"
#include "reconcile/priv.h"

#define GATHER_MS    50	   /* news are taken together: one by one each would wake us */
#define LIST_MS	     30000 /* between two looks at all of them, and at least … */
#define LIST_SHARE   50	   /* … so many times as long as a look takes */
#define SETTLE_MS    1000  /* that somebody else must have been next */
#define LIST_SOON_MS 100   /* some news were lost */

/* Who is told of an address. */
struct choice {
	struct addr addr, to;
	struct addr want; /* who is next by now; zero: nobody */
	int64_t since;	  /* ms */
};

struct replicate {
	struct reconcile *r;
	struct loop *loop;
	struct replica *replica;
	struct ct_watch *watch; /* NULL: this node has nothing to tell */
	struct loop_timer *gather, *list;
	struct choice *choices; /* sorted */
	size_t n_choices;
	bool listing, again;
	int64_t list_began;
	uint64_t lists, overruns, made;
};

static const struct dp_model *model_of(const struct replicate *p)
{
	return p->r->desired ? p->r->desired->model : NULL;
}

/* ---- what the kernel says ---- */

static void on_flow(struct replicate *p, const struct ct_flow *f)
{
	const struct dp_model *m = model_of(p);
	struct move_flow flow;

	/* half closed, it goes on as it was told before */
	if (f->proto == IPPROTO_TCP && f->tcp_state != TCP_CONNTRACK_ESTABLISHED)
		return;
	if (m && moving_from_flow(m, f, &flow))
		replica_flow(p->replica, &flow);
}

static void on_news(void *data, const struct ct_flow *f, bool gone)
{
	struct replicate *p = data;
	const struct move_flow ends = {
		.dst = f->dst,
		.seen = f->seen,
		.dport = f->dport,
		.seen_port = f->seen_port,
		.proto = f->proto,
	};
	const struct dp_model *m = model_of(p);

	if (!gone && !f->ended)
		on_flow(p, f);
	else if (m && moving_is_ours(m, f))
		replica_gone(p->replica, &ends);
}

static void on_listed(void *data, const struct ct_flow *f)
{
	on_flow(data, f);
}

static const struct ct_watch_ops watch_ops = {on_news, on_listed};

static void on_readable(int fd, uint32_t events, void *data)
{
	struct replicate *p = data;

	loop_del_fd(p->loop, fd);
	loop_timer_arm(p->gather, GATHER_MS);
}

static void on_gather(void *data)
{
	struct replicate *p = data;
	int r;

	if (!p->watch)
		return;
	r = ct_watch_read(p->watch);
	if (r == -ENOBUFS) {
		p->overruns++;
		p->again = true;
		if (!p->listing)
			loop_timer_arm(p->list, LIST_SOON_MS);
	}
	if (r != 0)
		loop_timer_arm(p->gather, 0);
	else
		loop_add_fd(p->loop, ct_watch_fd(p->watch), EPOLLIN, on_readable, p, NULL);
}

/* ---- all of them ---- */

static void list_end(struct replicate *p, int r)
{
	int64_t took = clock_ms() - p->list_began, wait = took * LIST_SHARE;

	loop_del_fd(p->loop, ct_watch_list_fd(p->watch));
	p->listing = false;
	p->lists++;
	if (r == 0)
		replica_listed(p->replica);
	if (r < 0 || p->again)
		wait = wait < LIST_SOON_MS ? LIST_SOON_MS : wait;
	else
		wait = wait < LIST_MS ? LIST_MS : wait;
	loop_timer_arm(p->list, wait);
}

/* One piece at a time: the heartbeats must not wait for a large table. */
static void on_piece(int fd, uint32_t events, void *data)
{
	struct replicate *p = data;
	int r = ct_watch_list_read(p->watch);

	if (r <= 0)
		list_end(p, r);
}

static void on_list(void *data)
{
	struct replicate *p = data;
	int r;

	if (!p->watch || p->listing)
		return;
	p->again = false;
	p->list_began = clock_ms();
	replica_list(p->replica);
	r = ct_watch_list_begin(p->watch);
	if (r == 0)
		r = loop_add_fd(p->loop, ct_watch_list_fd(p->watch), EPOLLIN, on_piece, p, NULL);
	p->listing = r == 0;
	if (r < 0)
		loop_timer_arm(p->list, LIST_SOON_MS);
}

static void on_again(void *data)
{
	struct replicate *p = data;

	p->again = true;
	if (!p->listing)
		loop_timer_arm(p->list, 0);
}

/* ---- who has what ---- */

static void watch_close(struct replicate *p)
{
	if (!p->watch)
		return;
	loop_del_fd(p->loop, ct_watch_fd(p->watch));
	if (p->listing)
		loop_del_fd(p->loop, ct_watch_list_fd(p->watch));
	ct_watch_free(TAKE(p->watch));
	p->listing = false;
	loop_timer_arm(p->gather, -1);
	loop_timer_arm(p->list, -1);
}

static void watch_open(struct replicate *p)
{
	struct err e = {0};
	int r = ct_watch_new(p->r->desired->model->config.mark_mask, &watch_ops, p, &p->watch, &e);

	if (r == 0)
		r = loop_add_fd(p->loop, ct_watch_fd(p->watch), EPOLLIN, on_readable, p, &e);
	if (r < 0) {
		log_warn("connections not replicated", "error=%s", log_quote(e.msg));
		ct_watch_free(TAKE(p->watch));
	}
}

static struct addr node_addr_of(const struct replicate *p, const char *name)
{
	const struct compiled_node *nodes;
	size_t n;

	nodes = compiled_nodes(p->r->compiled, &n);
	for (size_t i = 0; name && i < n; i++)
		if (strcmp(nodes[i].name, name) == 0)
			return addr_is_zero(nodes[i].v4) ? nodes[i].v6 : nodes[i].v4;
	return (struct addr){};
}

static int choice_cmp(const void *a, const void *b)
{
	return addr_cmp(((const struct choice *)a)->addr, ((const struct choice *)b)->addr);
}

/* Whoever misses a heartbeat is not worth telling all of it to somebody else. */
static struct choice choose(const struct replicate *p, struct addr a, struct addr want)
{
	const struct choice key = {.addr = a};
	const struct choice *was = p->n_choices ? bsearch(&key, p->choices, p->n_choices,
							  sizeof(key), choice_cmp)
						: NULL;
	int64_t now = clock_ms();
	struct choice c = {.addr = a, .to = want, .want = want, .since = now};

	if (!was || addr_eq(was->to, want))
		return c;
	if (addr_eq(was->want, want) && now - was->since >= SETTLE_MS)
		return c;
	c.to = was->to;
	if (addr_eq(was->want, want))
		c.since = was->since;
	return c;
}

static void choices_update(struct replicate *p)
{
	const struct egress_addr *addrs;
	struct choice *list;
	size_t n, kept = 0;

	addrs = compiled_addrs(p->r->compiled, &n);
	list = mem_alloc0((n + 1) * sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		const struct claim *k = addrs[i].assign ? claims_find(&p->r->claims, addrs[i].addr)
							: NULL;

		if (!k || k->state != CLAIM_HELD || k->leaves)
			continue;
		list[kept] = choose(p, addrs[i].addr, node_addr_of(p, addrs[i].next));
		kept += !addr_is_zero(list[kept].to);
	}
	if (kept)
		qsort(list, kept, sizeof(*list), choice_cmp);
	free(p->choices);
	p->choices = list;
	p->n_choices = kept;
}

void replicate_look(struct replicate *p)
{
	__cleanup_free struct replica_target *list = NULL;

	if (!p->r->desired)
		return;
	choices_update(p);
	list = mem_alloc0((p->n_choices + 1) * sizeof(*list));
	for (size_t i = 0; i < p->n_choices; i++)
		list[i] = (struct replica_target){p->choices[i].addr, p->choices[i].to};
	if (p->n_choices && !p->watch)
		watch_open(p);
	replica_targets(p->replica, list, p->n_choices);
	if (!p->n_choices)
		watch_close(p);
}

void replicate_seize(struct replicate *p, struct addr a)
{
	__cleanup_free struct move_flow *flows = NULL;
	const struct dp_model *m = model_of(p);
	int64_t began = clock_ms();
	struct err e = {0};
	size_t n, made = 0;

	n = m ? replica_take(p->replica, a, &flows) : 0;
	if (!n)
		return;
	remains_made(&p->r->remains, a);
	if (moving_make(m, flows, n, &made, &e) < 0)
		log_warn("connections not restored", "error=%s", log_quote(e.msg));
	p->made += made;
	limits_made(p->r, flows, n);
	log_info("connections restored", "address=%s known=%zu made=%zu ms=%lld", addr_str(a), n,
		 made, (long long)(clock_ms() - began));
}

void replicate_own(struct replicate *p, struct addr a)
{
	__cleanup_free struct move_flow *flows = NULL;

	replica_take(p->replica, a, &flows);
}

void replicate_counts(const struct replicate *p, struct replica_stats *ret, uint64_t *ret_restored,
		      uint64_t *ret_overruns)
{
	replica_stats(p->replica, ret);
	*ret_restored = p->made;
	*ret_overruns = p->overruns;
}

struct json *replicate_status(const struct replicate *p)
{
	struct json *o = json_new_object();
	struct replica_stats s;

	replica_stats(p->replica, &s);
	json_set(o, "addresses", json_new_int((int64_t)s.addrs));
	json_set(o, "inSync", json_new_int((int64_t)s.whole));
	json_set(o, "told", json_new_int((int64_t)s.told));
	json_set(o, "waiting", json_new_int((int64_t)s.waiting));
	json_set(o, "kept", json_new_int((int64_t)s.kept));
	json_set(o, "restored", json_new_int((int64_t)p->made));
	json_set(o, "leftOut", json_new_int((int64_t)s.no_room));
	json_set(o, "lists", json_new_int((int64_t)p->lists));
	json_set(o, "overruns", json_new_int((int64_t)p->overruns));
	return o;
}

struct moves_more *replicate_more(struct replicate *p)
{
	return replica_more(p->replica);
}

int replicate_new(struct loop *loop, struct reconcile *r, uint16_t port, struct replicate **ret,
		  struct err *e)
{
	__cleanup(replicate_freep) struct replicate *p = mem_alloc0(sizeof(*p));
	const struct replica_in in = {
		.loop = loop, .peer_port = port, .again = on_again, .data = p};
	int rc;

	*p = (struct replicate){.r = r, .loop = loop};
	rc = replica_new(&in, &p->replica, e);
	if (rc == 0)
		rc = loop_timer_new(loop, on_gather, p, &p->gather, e);
	if (rc == 0)
		rc = loop_timer_new(loop, on_list, p, &p->list, e);
	if (rc < 0)
		return rc;
	*ret = TAKE(p);
	return 0;
}

void replicate_free(struct replicate *p)
{
	if (!p)
		return;
	watch_close(p);
	loop_timer_free(p->gather);
	loop_timer_free(p->list);
	replica_free(p->replica);
	free(p->choices);
	free(p);
}
