/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes by what they say: policies whose rules have the same ports in the same places, as
 * those of many teams do, stand on one list of ranges.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dataplane/programs_tables.h"

static struct table_class **class_table_head(const struct class_table *c, uint64_t meaning)
{
	return &c->heads[meaning & (c->cap - 1)];
}

static void class_table_grow(struct class_table *c)
{
	struct class_table more = {.cap = c->cap ? c->cap * 4 : 256, .n = c->n};

	more.heads = mem_alloc0(more.cap * sizeof(struct table_class *));
	for (size_t i = 0; i < c->cap; i++)
		while (c->heads[i]) {
			struct table_class *v = c->heads[i];
			struct table_class **head = class_table_head(&more, v->meaning);

			c->heads[i] = v->next;
			v->next = *head;
			*head = v;
		}
	free(c->heads);
	*c = more;
}

struct table_class *class_table_find(const struct class_table *c, uint64_t meaning, uint32_t n)
{
	struct table_class *v = c->cap ? *class_table_head(c, meaning) : NULL;

	while (v && (v->meaning != meaning || v->n != n))
		v = v->next;
	return v;
}

void class_table_add(struct class_table *c, struct table_class *take)
{
	struct table_class **head;

	if (c->n >= c->cap)
		class_table_grow(c);
	head = class_table_head(c, take->meaning);
	take->next = *head;
	*head = take;
	c->n++;
}

void class_table_remove(struct class_table *c, struct table_class *v)
{
	struct table_class **at = class_table_head(c, v->meaning);

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	v->next = NULL;
	c->n--;
}

void class_table_each(const struct class_table *c, void (*fn)(struct table_class *v, void *data),
		      void *data)
{
	for (size_t i = 0; i < c->cap; i++)
		for (struct table_class *v = c->heads[i], *next; v; v = next) {
			next = v->next; /* fn may free it */
			fn(v, data);
		}
}

static void class_free(struct table_class *v, void *data)
{
	free(v);
}

void class_table_done(struct class_table *c)
{
	class_table_each(c, class_free, NULL);
	free(c->heads);
	*c = (struct class_table){0};
}

int class_read(struct bpf_pins *pins, uint32_t first, struct table_class **ret, struct err *e)
{
	__cleanup_free struct slu_range *v = NULL;
	struct table_class c = {.first = first};
	struct slu_range head;
	int r = bpf_map_read(pins, BPF_MAP_RANGES, first, &head, 1, e);

	if (r < 0)
		return r;
	c.n = head.lo;
	if (c.n == 0 || c.n > SLU_MAX_RANGES - first)
		return err_set(e, -EBADMSG, "ranges %u+%u are out of range", first, c.n);
	v = mem_alloc0(c.n * sizeof(*v));
	r = bpf_map_read(pins, BPF_MAP_RANGES, first, v, c.n, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < c.n; i++)
		c.meaning = meaning_range(c.meaning, i ? v[i].lo : 0, &v[i].cell);
	*ret = mem_dup(&c, sizeof(c));
	return 0;
}
