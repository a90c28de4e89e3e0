/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ids.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "state/ids_priv.h"

_Static_assert(SLU_ID_FIRST > 0 && SLU_ID_MAX <= UINT16_MAX,
	       "an id is a link of a chain, 0 its end");

struct ids *ids_new(void)
{
	struct ids *ids = mem_alloc0(sizeof(*ids));

	ids->next_addr = SLU_ID_FIRST;
	ids->next_node = 1;
	ids->next_policy = 1;
	return ids;
}

void ids_free(struct ids *ids)
{
	if (!ids)
		return;
	for (size_t i = 0; i < SLU_MAX_NODES; i++)
		free(ids->nodes[i].name);
	free(ids->policies);
	free(ids);
}

static bool address_eq(const struct ids_address *a, const struct ids_address *b)
{
	return addr_eq(a->addr, b->addr) && addr_eq(a->endpoint, b->endpoint) && a->vni == b->vni;
}

/* Each pass asks for all of them. */
static uint16_t *chain_of(struct ids *ids, const struct ids_address *a)
{
	uint64_t h = hash_bytes(a->addr.b, sizeof(a->addr.b), a->vni);

	return &ids->chains[hash_bytes(a->endpoint.b, sizeof(a->endpoint.b), h) % SLU_ID_MAX];
}

static void address_let_go(struct ids *ids, uint32_t id)
{
	uint16_t *at = chain_of(ids, &ids->addrs[id].a);

	while (*at != id)
		at = &ids->addrs[*at].next;
	*at = ids->addrs[id].next;
	ids->addrs[id].taken = false;
}

void ids_address_put(struct ids *ids, uint32_t id, const struct ids_address *a)
{
	uint16_t *first = chain_of(ids, a);

	if (ids->addrs[id].taken)
		address_let_go(ids, id);
	ids->addrs[id] = (struct address_slot){
		.a = *a, .taken = true, .used = true, .next = *first};
	*first = (uint16_t)id;
}

int ids_address_keep(struct ids *ids, const struct ids_address *a, uint32_t *ret_id)
{
	for (uint32_t i = *chain_of(ids, a); i; i = ids->addrs[i].next)
		if (address_eq(&ids->addrs[i].a, a)) {
			ids->addrs[i].used = true;
			*ret_id = i;
			return 0;
		}
	return -ENOENT;
}

int ids_address(struct ids *ids, const struct ids_address *a, uint32_t *ret_id)
{
	const uint32_t span = SLU_ID_MAX - SLU_ID_FIRST;

	if (ids_address_keep(ids, a, ret_id) == 0)
		return 0;
	for (uint32_t k = 0; k < span; k++) {
		uint32_t i = SLU_ID_FIRST + (ids->next_addr - SLU_ID_FIRST + k) % span;

		if (ids->addrs[i].taken)
			continue;
		ids_address_put(ids, i, a);
		ids->next_addr = i + 1 < SLU_ID_MAX ? i + 1 : SLU_ID_FIRST;
		ids->dirty = true;
		*ret_id = i;
		return 0;
	}
	return -ENOSPC;
}

int ids_node(struct ids *ids, const char *name, uint32_t *ret_index)
{
	const uint32_t span = SLU_MAX_NODES - 1;

	for (uint32_t i = 1; i < SLU_MAX_NODES; i++)
		if (ids->nodes[i].name && strcmp(ids->nodes[i].name, name) == 0) {
			ids->nodes[i].used = true;
			*ret_index = i;
			return 0;
		}
	for (uint32_t k = 0; k < span; k++) {
		uint32_t i = 1 + (ids->next_node - 1 + k) % span;

		if (ids->nodes[i].name)
			continue;
		ids->nodes[i] = (struct node_slot){.name = mem_strdup(name), .used = true};
		ids->next_node = i + 1 < SLU_MAX_NODES ? i + 1 : 1;
		ids->dirty = true;
		*ret_index = i;
		return 0;
	}
	return -ENOSPC;
}

void ids_begin(struct ids *ids)
{
	for (size_t i = 0; i < SLU_ID_MAX; i++)
		ids->addrs[i].used = false;
	for (size_t i = 0; i < SLU_MAX_NODES; i++)
		ids->nodes[i].used = false;
}

void ids_sweep(struct ids *ids)
{
	for (size_t i = 0; i < SLU_ID_MAX; i++)
		if (ids->addrs[i].taken && !ids->addrs[i].used) {
			address_let_go(ids, (uint32_t)i);
			ids->dirty = true;
		}
	for (size_t i = 0; i < SLU_MAX_NODES; i++)
		if (ids->nodes[i].name && !ids->nodes[i].used) {
			free(ids->nodes[i].name);
			ids->nodes[i].name = NULL;
			ids->dirty = true;
		}
}

/* ---- programs ---- */

const struct ids_policy *ids_policy_list(const struct ids *ids, size_t *ret_n)
{
	*ret_n = ids->n_policies;
	return ids->policies;
}

static struct ids_policy *policy_by_key(struct ids *ids, uint64_t key)
{
	for (size_t i = 0; i < ids->n_policies; i++)
		if (ids->policies[i].key == key)
			return &ids->policies[i];
	return NULL;
}

static void policy_append(struct ids *ids, uint64_t key)
{
	MEM_GROW(ids->policies, ids->n_policies);
	ids->policies[ids->n_policies++] = (struct ids_policy){
		.key = key,
		.id = ids->next_policy++,
	};
	ids->dirty = true;
}

uint32_t ids_policy_add(struct ids *ids, uint64_t key)
{
	struct ids_policy *p = policy_by_key(ids, key);

	if (p) {
		p->unused_since = 0;
		return p->id;
	}
	policy_append(ids, key);
	return ids->policies[ids->n_policies - 1].id;
}

void ids_policy_above(struct ids *ids, uint32_t id)
{
	if (ids->next_policy > id)
		return;
	ids->next_policy = id + 1;
	ids->dirty = true;
}

void ids_policy_drop(struct ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->n_policies; i++) {
		if (ids->policies[i].id != id)
			continue;
		memmove(&ids->policies[i], &ids->policies[i + 1],
			(ids->n_policies - i - 1) * sizeof(*ids->policies));
		ids->n_policies--;
		ids->dirty = true;
		return;
	}
}

static int policy_id_cmp(const void *a, const void *b)
{
	const struct ids_policy *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct ids_policy *policy_by_id(struct ids *ids, uint32_t id)
{
	const struct ids_policy key = {.id = id};

	if (!id || !ids->n_policies)
		return NULL;
	return bsearch(&key, ids->policies, ids->n_policies, sizeof(key), policy_id_cmp);
}

struct by_key {
	uint64_t key;
	size_t at;
};

static int by_key_cmp(const void *a, const void *b)
{
	const struct by_key *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/* All policies, for many look-ups. */
static struct by_key *policies_by_key(const struct ids *ids)
{
	struct by_key *list = mem_alloc0(ids->n_policies * sizeof(*list));

	for (size_t i = 0; i < ids->n_policies; i++)
		list[i] = (struct by_key){ids->policies[i].key, i};
	if (ids->n_policies)
		qsort(list, ids->n_policies, sizeof(*list), by_key_cmp);
	return list;
}

/* The id for a key that has none: the one proposed if nobody keeps it, else a new one. */
static struct ids_policy *policy_assign(struct ids *ids, const struct ids_policy *want,
					const bool *kept)
{
	struct ids_policy *p = policy_by_id(ids, want->id);

	if (p && !kept[p - ids->policies]) {
		p->key = want->key;
		ids->dirty = true;
		return p;
	}
	policy_append(ids, want->key);
	return &ids->policies[ids->n_policies - 1];
}

void ids_policies(struct ids *ids, struct ids_policy *want, size_t n, int64_t now)
{
	__cleanup_free bool *kept = mem_alloc0(ids->n_policies + n);
	__cleanup_free bool *done = mem_alloc0(n);
	__cleanup_free struct by_key *known = policies_by_key(ids);
	size_t n_known = ids->n_policies;

	for (size_t i = 0; i < n; i++) {
		const struct by_key key = {.key = want[i].key}, *p = NULL;

		if (n_known)
			p = bsearch(&key, known, n_known, sizeof(key), by_key_cmp);
		if (!p)
			continue;
		want[i].id = ids->policies[p->at].id;
		done[i] = kept[p->at] = true;
	}
	for (size_t i = 0; i < n; i++) {
		struct ids_policy *p;

		if (done[i])
			continue;
		p = policy_assign(ids, &want[i], kept);
		kept[p - ids->policies] = true;
		want[i].id = p->id;
	}
	for (size_t i = 0; i < ids->n_policies; i++) {
		struct ids_policy *p = &ids->policies[i];

		if (kept[i] == (p->unused_since == 0))
			continue;
		p->unused_since = kept[i] ? 0 : now;
		ids->dirty = true;
	}
}
