/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/flow_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define CAP_MIN 256

struct flow_addr {
	struct addr seen;
	struct flow_list list;
	size_t n;
};

static uint64_t hash_of(const struct move_flow *f)
{
	struct {
		struct addr dst, seen;
		uint16_t dport, seen_port;
		uint32_t proto;
	} key = {f->dst, f->seen, f->dport, f->seen_port, f->proto};

	return hash_bytes(&key, sizeof(key), 0);
}

static bool same(const struct move_flow *a, const struct move_flow *b)
{
	return a->seen_port == b->seen_port && a->dport == b->dport && a->proto == b->proto &&
	       addr_eq(a->dst, b->dst) && addr_eq(a->seen, b->seen);
}

void flow_table_init(struct flow_table *t, size_t max)
{
	*t = (struct flow_table){.max = max};
	TAILQ_INIT(&t->all);
	TAILQ_INIT(&t->queue);
}

void flow_table_done(struct flow_table *t)
{
	struct flow_entry *e;

	while ((e = TAILQ_FIRST(&t->all))) {
		TAILQ_REMOVE(&t->all, e, of_all);
		free(e);
	}
	for (size_t i = 0; i < t->n_addrs; i++)
		free(t->addrs[i]);
	free(t->addrs);
	free(t->heads);
	flow_table_init(t, t->max);
}

/* ---- by address ---- */

/* Where it is, or has to go. */
static size_t addr_place(const struct flow_table *t, struct addr seen)
{
	size_t lo = 0, hi = t->n_addrs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr_cmp(t->addrs[mid]->seen, seen) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct flow_addr *addr_find(const struct flow_table *t, struct addr seen)
{
	size_t i = addr_place(t, seen);

	return i < t->n_addrs && addr_eq(t->addrs[i]->seen, seen) ? t->addrs[i] : NULL;
}

static void addr_join(struct flow_table *t, struct flow_entry *e)
{
	struct flow_addr *a = addr_find(t, e->flow.seen);

	if (!a) {
		size_t i = addr_place(t, e->flow.seen);

		a = mem_alloc0(sizeof(*a));
		a->seen = e->flow.seen;
		TAILQ_INIT(&a->list);
		MEM_GROW(t->addrs, t->n_addrs);
		memmove(&t->addrs[i + 1], &t->addrs[i], (t->n_addrs - i) * sizeof(*t->addrs));
		t->addrs[i] = a;
		t->n_addrs++;
	}
	TAILQ_INSERT_TAIL(&a->list, e, of_addr);
	a->n++;
}

static void addr_leave(struct flow_table *t, struct flow_entry *e)
{
	size_t i = addr_place(t, e->flow.seen);
	struct flow_addr *a = t->addrs[i];

	TAILQ_REMOVE(&a->list, e, of_addr);
	if (--a->n)
		return;
	free(a);
	t->n_addrs--;
	memmove(&t->addrs[i], &t->addrs[i + 1], (t->n_addrs - i) * sizeof(*t->addrs));
}

/* ---- by connection ---- */

static struct flow_entry **head_of(const struct flow_table *t, const struct move_flow *f)
{
	return &t->heads[hash_of(f) & (t->cap - 1)];
}

struct flow_entry *flow_table_find(const struct flow_table *t, const struct move_flow *f)
{
	struct flow_entry *e = t->cap ? *head_of(t, f) : NULL;

	while (e && !same(&e->flow, f))
		e = e->next;
	return e;
}

static void grow(struct flow_table *t)
{
	struct flow_entry *e;

	if (t->n < t->cap)
		return;
	free(t->heads);
	t->cap = t->cap ? t->cap * 2 : CAP_MIN;
	t->heads = mem_alloc0(t->cap * sizeof(*t->heads));
	TAILQ_FOREACH(e, &t->all, of_all)
	{
		struct flow_entry **head = head_of(t, &e->flow);

		e->next = *head;
		*head = e;
	}
}

struct flow_entry *flow_table_put(struct flow_table *t, const struct move_flow *f, bool *ret_new)
{
	struct flow_entry *e = flow_table_find(t, f), **head;

	*ret_new = !e;
	if (e) {
		e->flow = *f;
		return e;
	}
	if (t->n >= t->max)
		return NULL;
	grow(t);
	e = mem_alloc0(sizeof(*e));
	e->flow = *f;
	head = head_of(t, f);
	e->next = *head;
	*head = e;
	TAILQ_INSERT_TAIL(&t->all, e, of_all);
	addr_join(t, e);
	t->n++;
	return e;
}

void flow_table_queue(struct flow_table *t, struct flow_entry *e)
{
	if (e->queued)
		return;
	e->queued = true;
	TAILQ_INSERT_TAIL(&t->queue, e, of_queue);
}

void flow_table_unqueue(struct flow_table *t, struct flow_entry *e)
{
	if (!e->queued)
		return;
	e->queued = false;
	TAILQ_REMOVE(&t->queue, e, of_queue);
}

void flow_table_remove(struct flow_table *t, struct flow_entry *e)
{
	struct flow_entry **at = head_of(t, &e->flow);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	flow_table_unqueue(t, e);
	TAILQ_REMOVE(&t->all, e, of_all);
	addr_leave(t, e);
	t->n--;
	free(e);
}

/* ---- of some addresses ---- */

void flow_table_forget(struct flow_table *t, const struct addr *seen, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct flow_addr *a = addr_find(t, seen[i]);

		for (size_t left = a ? a->n : 0; left; left--) /* a goes with its last one */
			flow_table_remove(t, TAILQ_FIRST(&a->list));
	}
}

void flow_table_unqueue_all(struct flow_table *t, const struct addr *seen, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct flow_addr *a = addr_find(t, seen[i]);
		struct flow_entry *e = a ? TAILQ_FIRST(&a->list) : NULL;

		for (; e; e = TAILQ_NEXT(e, of_addr))
			flow_table_unqueue(t, e);
	}
}

size_t flow_table_list(const struct flow_table *t, const struct addr *seen, size_t n,
		       struct move_flow **ret)
{
	struct move_flow *list;
	size_t room = 0, k = 0;

	for (size_t i = 0; i < n; i++) {
		const struct flow_addr *a = addr_find(t, seen[i]);

		room += a ? a->n : 0;
	}
	list = mem_resize(NULL, room, sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		const struct flow_addr *a = addr_find(t, seen[i]);
		const struct flow_entry *e = a ? TAILQ_FIRST(&a->list) : NULL;

		for (; e; e = TAILQ_NEXT(e, of_addr))
			list[k++] = e->flow;
	}
	*ret = list;
	return k;
}
