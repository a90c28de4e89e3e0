/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/flow_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define CAP_MIN 256

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
	free(t->heads);
	flow_table_init(t, t->max);
}

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
	t->n--;
	free(e);
}

static bool is_of(const struct flow_entry *e, const struct addr *seen, size_t n)
{
	return n && bsearch(&e->flow.seen, seen, n, sizeof(*seen), addr_order);
}

void flow_table_forget(struct flow_table *t, const struct addr *seen, size_t n)
{
	struct flow_entry *e = TAILQ_FIRST(&t->all), *next;

	for (; e; e = next) {
		next = TAILQ_NEXT(e, of_all);
		if (is_of(e, seen, n))
			flow_table_remove(t, e);
	}
}

void flow_table_unqueue_all(struct flow_table *t, const struct addr *seen, size_t n)
{
	struct flow_entry *e = TAILQ_FIRST(&t->queue), *next;

	for (; e; e = next) {
		next = TAILQ_NEXT(e, of_queue);
		if (is_of(e, seen, n))
			flow_table_unqueue(t, e);
	}
}

size_t flow_table_list(const struct flow_table *t, const struct addr *seen, size_t n,
		       struct move_flow **ret)
{
	struct move_flow *list = mem_alloc0((t->n + 1) * sizeof(*list));
	const struct flow_entry *e;
	size_t k = 0;

	TAILQ_FOREACH(e, &t->all, of_all)
	{
		if (is_of(e, seen, n))
			list[k++] = e->flow;
	}
	*ret = list;
	return k;
}
