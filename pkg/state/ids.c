/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "json/json.h"

#define IDS_FILE     "ids.json"
#define IDS_VERSION  1
#define IDS_MAX_FILE (8u << 20)

struct address_slot {
	struct ids_address a;
	bool taken, used;
};

struct node_slot {
	char *name;
	bool used;
};

struct ids {
	struct address_slot addrs[SLU_ID_MAX];
	struct node_slot nodes[SLU_MAX_NODES];
	uint32_t next_addr, next_node, next_policy; /* where the search for a free one begins */
	struct ids_policy *policies;		    /* sorted by id */
	size_t n_policies;
	bool dirty;
};

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

int ids_address_keep(struct ids *ids, const struct ids_address *a, uint32_t *ret_id)
{
	for (uint32_t i = SLU_ID_FIRST; i < SLU_ID_MAX; i++)
		if (ids->addrs[i].taken && address_eq(&ids->addrs[i].a, a)) {
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
		ids->addrs[i] = (struct address_slot){.a = *a, .taken = true, .used = true};
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
			ids->addrs[i].taken = false;
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

/* ---- the file ---- */

static struct json *addresses_emit(const struct ids *ids)
{
	struct json *list = json_new_array();

	for (uint32_t i = SLU_ID_FIRST; i < SLU_ID_MAX; i++) {
		const struct ids_address *a = &ids->addrs[i].a;
		struct json *o;

		if (!ids->addrs[i].taken)
			continue;
		o = json_new_object();
		json_set(o, "id", json_new_int(i));
		json_set(o, "address", json_new_string(addr_str(a->addr)));
		if (!addr_is_zero(a->endpoint))
			json_set(o, "endpoint", json_new_string(addr_str(a->endpoint)));
		json_set(o, "vni", json_new_int(a->vni));
		json_append(list, o);
	}
	return list;
}

static struct json *nodes_emit(const struct ids *ids)
{
	struct json *list = json_new_array();

	for (uint32_t i = 1; i < SLU_MAX_NODES; i++) {
		struct json *o;

		if (!ids->nodes[i].name)
			continue;
		o = json_new_object();
		json_set(o, "index", json_new_int(i));
		json_set(o, "name", json_new_string(ids->nodes[i].name));
		json_append(list, o);
	}
	return list;
}

static struct json *hex_new(uint64_t v)
{
	char buf[17];

	snprintf(buf, sizeof(buf), "%016" PRIx64, v);
	return json_new_string(buf);
}

static struct json *policies_emit(const struct ids *ids)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < ids->n_policies; i++) {
		const struct ids_policy *p = &ids->policies[i];
		struct json *o = json_new_object();

		json_set(o, "id", json_new_int(p->id));
		json_set(o, "key", hex_new(p->key));
		if (p->unused_since)
			json_set(o, "unusedSince", json_new_int(p->unused_since));
		json_append(list, o);
	}
	return list;
}

int ids_store(struct ids *ids, int dirfd, struct err *e)
{
	__cleanup_json struct json *root = NULL;
	__cleanup_free char *text = NULL;
	int r;

	if (!ids->dirty)
		return 0;
	root = json_new_object();
	json_set(root, "version", json_new_int(IDS_VERSION));
	json_set(root, "nextAddress", json_new_int(ids->next_addr));
	json_set(root, "nextNode", json_new_int(ids->next_node));
	json_set(root, "nextPolicy", json_new_int(ids->next_policy));
	json_set(root, "addresses", addresses_emit(ids));
	json_set(root, "nodes", nodes_emit(ids));
	json_set(root, "policies", policies_emit(ids));
	text = json_emit(root, 1);
	r = atomic_file_store(dirfd, IDS_FILE, text, strlen(text), 0644, e);
	if (r == 0)
		ids->dirty = false;
	return r;
}

static int field_int(const struct json *o, const char *key, int64_t min, int64_t max, int64_t *ret,
		     struct err *e)
{
	const struct json *v = json_get(o, key);

	if (!v)
		return err_set(e, -EINVAL, "%s: '%s' is missing", json_path(o), key);
	return json_int(v, min, max, ret, e);
}

static int field_string(const struct json *o, const char *key, const char **ret, struct err *e)
{
	const struct json *v = json_get(o, key);

	if (!v)
		return err_set(e, -EINVAL, "%s: '%s' is missing", json_path(o), key);
	return json_string(v, ret, e);
}

static int field_hex(const struct json *o, const char *key, uint64_t *ret, struct err *e)
{
	const char *s;
	char *end;
	int r = field_string(o, key, &s, e);

	if (r < 0)
		return r;
	errno = 0;
	*ret = strtoull(s, &end, 16);
	return *s && !*end && errno == 0 ? 0 : err_set(e, -EINVAL, "%s: '%s' is no number", key, s);
}

static int field_addr(const struct json *o, const char *key, struct addr *ret, struct err *e)
{
	const char *s;
	int r = field_string(o, key, &s, e);

	if (r < 0)
		return r;
	return addr_parse(s, ret) == 0 ? 0 : err_set(e, -EINVAL, "%s: '%s' is no address", key, s);
}

static int address_parse(struct ids *ids, const struct json *o, struct err *e)
{
	struct ids_address a = {0};
	int64_t id, vni;
	int r;

	r = field_int(o, "id", SLU_ID_FIRST, SLU_ID_MAX - 1, &id, e);
	if (r == 0)
		r = field_addr(o, "address", &a.addr, e);
	if (r == 0 && json_get(o, "endpoint"))
		r = field_addr(o, "endpoint", &a.endpoint, e);
	if (r == 0)
		r = field_int(o, "vni", 0, UINT32_MAX, &vni, e);
	if (r < 0)
		return r;
	a.vni = (uint32_t)vni;
	ids->addrs[id] = (struct address_slot){.a = a, .taken = true, .used = true};
	return 0;
}

static int node_parse(struct ids *ids, const struct json *o, struct err *e)
{
	const char *name;
	int64_t index;
	int r;

	r = field_int(o, "index", 1, SLU_MAX_NODES - 1, &index, e);
	if (r == 0)
		r = field_string(o, "name", &name, e);
	if (r < 0)
		return r;
	if (ids->nodes[index].name)
		return err_set(e, -EINVAL, "index %d is given twice", (int)index);
	ids->nodes[index] = (struct node_slot){.name = mem_strdup(name), .used = true};
	return 0;
}

static int policy_parse(struct ids *ids, const struct json *o, struct err *e)
{
	struct ids_policy p = {0};
	int64_t id;
	int r;

	r = field_int(o, "id", 1, UINT32_MAX - 1, &id, e);
	if (r == 0)
		r = field_hex(o, "key", &p.key, e);
	if (r == 0 && json_get(o, "unusedSince"))
		r = field_int(o, "unusedSince", 0, INT64_MAX, &p.unused_since, e);
	if (r < 0)
		return r;
	p.id = (uint32_t)id;
	if (ids->n_policies && ids->policies[ids->n_policies - 1].id >= p.id)
		return err_set(e, -EINVAL, "policy ids are not in order");
	if (p.id >= ids->next_policy)
		return err_set(e, -EINVAL, "policy id %u is beyond nextPolicy", p.id);
	MEM_GROW(ids->policies, ids->n_policies);
	ids->policies[ids->n_policies++] = p;
	return 0;
}

typedef int (*item_parse_fn)(struct ids *ids, const struct json *o, struct err *e);

static int list_parse(struct ids *ids, const struct json *list, item_parse_fn parse, struct err *e)
{
	int r = json_expect(list, JSON_ARRAY, e);

	for (size_t i = 0; r == 0 && i < json_len(list); i++)
		r = parse(ids, json_at(list, i), e);
	return r;
}

static int ids_parse(struct ids *ids, const struct json *root, struct err *e)
{
	int64_t version, addr, node, policy;
	int r;

	r = field_int(root, "version", IDS_VERSION, IDS_VERSION, &version, e);
	if (r == 0)
		r = field_int(root, "nextAddress", SLU_ID_FIRST, SLU_ID_MAX - 1, &addr, e);
	if (r == 0)
		r = field_int(root, "nextNode", 1, SLU_MAX_NODES - 1, &node, e);
	if (r == 0)
		r = field_int(root, "nextPolicy", 1, UINT32_MAX - 1, &policy, e);
	if (r < 0)
		return r;
	ids->next_addr = (uint32_t)addr;
	ids->next_node = (uint32_t)node;
	ids->next_policy = (uint32_t)policy;
	r = list_parse(ids, json_get(root, "addresses"), address_parse, e);
	if (r == 0)
		r = list_parse(ids, json_get(root, "nodes"), node_parse, e);
	if (r == 0)
		r = list_parse(ids, json_get(root, "policies"), policy_parse, e);
	return r;
}

int ids_load(int dirfd, struct ids **ret, struct err *e)
{
	__cleanup(ids_freep) struct ids *ids = ids_new();
	__cleanup_json struct json *root = NULL;
	__cleanup_free char *text = NULL;
	size_t len;
	int r;

	r = atomic_file_load(dirfd, IDS_FILE, IDS_MAX_FILE, &text, &len, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		r = json_parse(text, len, &root, e);
		if (r == 0)
			r = ids_parse(ids, root, e);
		if (r < 0) {
			err_wrap(e, IDS_FILE);
			return -EBADMSG;
		}
	}
	*ret = TAKE(ids);
	return 0;
}
