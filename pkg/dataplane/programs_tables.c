/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/programs_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* ---- places ---- */

static bool space_free(const struct space *s, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (s->taken[first + i])
			return false;
	return true;
}

bool space_take(struct space *s, uint32_t n, uint32_t *ret_first)
{
	uint32_t at = s->next;

	if (n == 0 || n > s->size)
		return false;
	for (uint32_t tried = 0; tried <= s->size; tried++, at++) {
		if (at + n > s->size) {
			tried += s->size - at;
			at = 0;
		}
		if (s->taken[at] || !space_free(s, at, n))
			continue;
		space_mark(s, at, n);
		s->next = at + n < s->size ? at + n : 0;
		*ret_first = at;
		return true;
	}
	return false;
}

void space_mark(struct space *s, uint32_t first, uint32_t n)
{
	memset(s->taken + first, 1, n);
}

static struct space space_new(uint32_t size)
{
	return (struct space){.taken = mem_alloc0(size), .size = size};
}

static struct space space_dup(const struct space *s)
{
	return (struct space){mem_dup(s->taken, s->size), s->size, s->next};
}

void space_copy(struct table_space *to, const struct table_space *from)
{
	*to = (struct table_space){
		.ranges = space_dup(&from->ranges),
		.picks = space_dup(&from->picks),
		.identities = space_dup(&from->identities),
		.identity = mem_dup(from->identity, SLU_MAX_IDENTITIES * sizeof(*from->identity)),
		.identity_meaning = mem_dup(from->identity_meaning,
					    SLU_MAX_IDENTITIES * sizeof(*from->identity_meaning)),
	};
}

void space_done(struct table_space *s)
{
	free(s->ranges.taken);
	free(s->picks.taken);
	free(s->identities.taken);
	free(s->identity);
	free(s->identity_meaning);
	*s = (struct table_space){0};
}

uint32_t space_find_identity(const struct table_space *s, uint64_t meaning)
{
	for (uint32_t i = 1; i < s->identities.size; i++)
		if (s->identities.taken[i] && s->identity_meaning[i] == meaning)
			return i;
	return 0;
}

/* ---- tables ---- */

struct dp_tables *tables_new(void)
{
	struct dp_tables *t = mem_alloc0(sizeof(*t));

	t->space.ranges = space_new(SLU_MAX_RANGES);
	t->space.picks = space_new(SLU_MAX_PICKS);
	t->space.identities = space_new(SLU_MAX_IDENTITIES);
	t->space.identity = mem_alloc0(SLU_MAX_IDENTITIES * sizeof(*t->space.identity));
	t->space.identity_meaning = mem_alloc0(SLU_MAX_IDENTITIES *
					       sizeof(*t->space.identity_meaning));
	space_mark(&t->space.identities, 0, 1); /* 0 is "as the node" */
	t->space.identities.next = 1;
	return t;
}

void tables_free(struct dp_tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_policies; i++)
		free(t->policies[i].identities);
	free(t->policies);
	space_done(&t->space);
	free(t);
}

const struct table_policy *tables_find(const struct dp_tables *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_policies; i++)
		if (t->policies[i].id == id)
			return &t->policies[i];
	return NULL;
}

uint32_t tables_last(const struct dp_tables *t)
{
	uint32_t last = 0;

	for (size_t i = 0; i < t->n_policies; i++)
		if (t->policies[i].id > last)
			last = t->policies[i].id;
	return last;
}

bool tables_has(const struct dp_tables *t, uint32_t policy)
{
	return tables_find(t, policy) != NULL;
}

void tables_remove(struct dp_tables *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_policies; i++) {
		if (t->policies[i].id != id)
			continue;
		free(t->policies[i].identities);
		t->policies[i] = t->policies[--t->n_policies];
		return;
	}
}

static void identity_mark(struct table_space *s, uint32_t slot)
{
	const struct slu_identity *v = &s->identity[slot];

	space_mark(&s->identities, slot, 1);
	for (int f = 0; f < 2; f++)
		if ((uint64_t)v->first[f] + v->n[f] <= s->picks.size)
			space_mark(&s->picks, v->first[f], v->n[f]);
}

void tables_collect(struct dp_tables *t)
{
	struct table_space *s = &t->space;

	memset(s->ranges.taken, 0, s->ranges.size);
	memset(s->picks.taken, 0, s->picks.size);
	memset(s->identities.taken, 0, s->identities.size);
	space_mark(&s->identities, 0, 1);
	for (size_t i = 0; i < t->n_policies; i++) {
		const struct table_policy *p = &t->policies[i];

		space_mark(&s->ranges, p->first, p->n_ranges);
		for (size_t k = 0; k < p->n_identities; k++)
			identity_mark(s, p->identities[k]);
	}
}

/* ---- meaning ---- */

uint64_t table_identity_hash(const struct dp_identity *d)
{
	uint64_t h = hash_bytes(d->n, sizeof(d->n), 1);

	h = hash_bytes(d->none, sizeof(d->none), h);
	h = hash_bytes(&d->or_node, sizeof(d->or_node), h);
	for (int f = 0; f < 2; f++)
		h = hash_bytes(d->picks[f] ? d->picks[f] : (const void *)"",
			       d->n[f] * sizeof(uint32_t), h);
	return h ? h : 1;
}

uint64_t table_range_hash(uint64_t before, uint32_t lo, uint32_t verdict, uint64_t identity)
{
	const uint64_t v[3] = {lo, verdict, identity};

	return hash_bytes(v, sizeof(v), before);
}

uint64_t table_entry_hash(const struct slu_lpm_key *key, uint64_t class_hash)
{
	return hash_bytes(key, sizeof(*key), class_hash);
}

/* ---- reading back ---- */

static int identity_load(struct bpf_pins *pins, struct table_space *s, uint32_t slot, struct err *e)
{
	struct slu_identity *v = &s->identity[slot];
	__cleanup_free uint32_t *picks = NULL;
	struct dp_identity d = {0};
	int r;

	if (s->identity_meaning[slot])
		return 0;
	r = bpf_map_lookup(pins, BPF_MAP_IDENTITIES, &slot, v, e);
	if (r < 0)
		return r;
	picks = mem_alloc0(((size_t)v->n[0] + v->n[1]) * sizeof(uint32_t));
	d = (struct dp_identity){.picks = {picks, picks + v->n[0]},
				 .n = {v->n[0], v->n[1]},
				 .none = {v->none[0], v->none[1]},
				 .or_node = v->or_node};
	for (int f = 0; f < 2; f++)
		for (uint32_t k = 0; k < v->n[f]; k++) {
			uint32_t at = v->first[f] + k;

			r = bpf_map_lookup(pins, BPF_MAP_PICKS, &at, &d.picks[f][k], e);
			if (r < 0)
				return r;
		}
	s->identity_meaning[slot] = table_identity_hash(&d);
	return 0;
}

static void policy_refers(struct table_policy *p, uint32_t slot)
{
	for (size_t i = 0; i < p->n_identities; i++)
		if (p->identities[i] == slot)
			return;
	MEM_GROW(p->identities, p->n_identities);
	p->identities[p->n_identities++] = (uint16_t)slot;
}

static int range_load(struct bpf_pins *pins, struct dp_tables *t, struct table_policy *p,
		      const struct slu_range *v, uint64_t *hash, struct err *e)
{
	uint32_t slot = SLU_DECISION_IDENTITY(v->decision);

	if (slot >= SLU_MAX_IDENTITIES)
		return err_set(e, -EBADMSG, "identity %u is out of range", slot);
	if (slot) {
		int r = identity_load(pins, &t->space, slot, e);

		if (r < 0)
			return r;
		policy_refers(p, slot);
	}
	*hash = table_range_hash(*hash, v->lo, SLU_DECISION_VERDICT(v->decision),
				 slot ? t->space.identity_meaning[slot] : 0);
	return 0;
}

static void block_grow(struct table_policy *p, const struct slu_class *c)
{
	uint32_t end = p->first + p->n_ranges;

	if (p->n_ranges == 0) {
		p->first = c->first;
		p->n_ranges = c->n;
		return;
	}
	if (c->first + c->n > end)
		end = c->first + c->n;
	if (c->first < p->first)
		p->first = c->first;
	p->n_ranges = end - p->first;
}

static int class_load(struct bpf_pins *pins, struct dp_tables *t, struct table_policy *p,
		      const struct slu_class *c, uint64_t *ret_hash, struct err *e)
{
	struct slu_range v = {.lo = 0, .decision = c->first};
	uint64_t hash = 0;
	int r = 0;

	if (c->n == 0) {
		r = range_load(pins, t, p, &v, &hash, e);
	} else if (c->first >= SLU_MAX_RANGES || c->n > SLU_MAX_RANGES - c->first) {
		return err_set(e, -EBADMSG, "ranges %u+%u are out of range", c->first, c->n);
	} else {
		block_grow(p, c);
		for (uint32_t i = 0; r == 0 && i < c->n; i++) {
			uint32_t at = c->first + i;

			r = bpf_map_lookup(pins, BPF_MAP_RANGES, &at, &v, e);
			if (r == 0)
				r = range_load(pins, t, p, &v, &hash, e);
		}
	}
	*ret_hash = hash;
	return r;
}

struct seen_class {
	struct slu_class class;
	size_t at; /* where it came from */
	uint64_t hash;
};

static int seen_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct slu_class));
}

/* Each distinct class is read once: a policy may have a million prefixes and three classes. */
static int classes_load(struct bpf_pins *pins, struct dp_tables *t, struct table_policy *p,
			struct seen_class *seen, size_t n, struct err *e)
{
	int r = 0;

	qsort(seen, n, sizeof(*seen), seen_cmp);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (i > 0 && seen_cmp(&seen[i - 1], &seen[i]) == 0)
			seen[i].hash = seen[i - 1].hash;
		else
			r = class_load(pins, t, p, &seen[i].class, &seen[i].hash, e);
	return r;
}

static int policy_load(struct bpf_pins *pins, struct dp_tables *t, struct table_policy *p,
		       struct err *e)
{
	__cleanup_free struct slu_lpm_key *keys = NULL;
	__cleanup_free struct slu_class *classes = NULL;
	__cleanup_free struct seen_class *seen = NULL;
	size_t n = 0;
	int r;

	r = bpf_policy_dump(pins, p->id, &keys, &classes, &n, e);
	if (r < 0)
		return r;
	seen = mem_alloc0(n * sizeof(*seen));
	for (size_t i = 0; i < n; i++)
		seen[i] = (struct seen_class){.class = classes[i], .at = i};
	r = classes_load(pins, t, p, seen, n, e);
	for (size_t i = 0; r == 0 && i < n; i++)
		p->meaning += table_entry_hash(&keys[seen[i].at], seen[i].hash);
	return r;
}

int tables_load(struct bpf_pins *pins, struct dp_tables **ret, struct err *e)
{
	__cleanup(tables_freep) struct dp_tables *t = tables_new();
	__cleanup_free void *keys = NULL;
	__cleanup_free void *values = NULL;
	size_t n = 0;
	int r;

	r = bpf_map_dump(pins, BPF_MAP_POLICIES, &keys, &values, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct err own = {0};
		struct table_policy p = {.id = ((const uint32_t *)keys)[i]};

		r = policy_load(pins, t, &p, &own);
		if (r < 0 && r != -EBADMSG) {
			free(p.identities);
			if (e)
				*e = own;
			err_wrap(e, "policy %u", p.id);
			return r;
		}
		if (r < 0)
			p.meaning = 0; /* whatever it is, it is not what we want there */
		MEM_GROW(t->policies, t->n_policies);
		t->policies[t->n_policies++] = p;
	}
	tables_collect(t);
	*ret = TAKE(t);
	return 0;
}
