/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic_file.h"
#include "base/mem.h"
#include "json/json.h"
#include "state/ids_priv.h"

#define IDS_FILE     "ids.json"
#define IDS_VERSION  1
#define IDS_MAX_FILE (8u << 20)

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

#define POLICY_TEXT 96 /* at most, of one */

/* Written by hand: there may be thousands, and an ADD with a new one waits for it. */
static size_t policies_emit(const struct ids *ids, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < ids->n_policies; i++) {
		const struct ids_policy *p = &ids->policies[i];

		len += (size_t)snprintf(to + len, POLICY_TEXT,
					"%s\n{\"id\":%u,\"key\":\"%016" PRIx64
					"\",\"unusedSince\":%" PRId64 "}",
					i ? "," : "", p->id, p->key, p->unused_since);
	}
	return len;
}

/* The object of all the rest, opened again at its end for the policies. */
static char *ids_emit(const struct ids *ids, const struct json *rest)
{
	static const char list[] = ",\"policies\":[";
	__cleanup_free char *head = json_emit(rest, 0);
	size_t len = strlen(head) - 1; /* without the brace */
	char *text = mem_alloc0(len + sizeof(list) + ids->n_policies * POLICY_TEXT + 4);

	memcpy(text, head, len);
	memcpy(text + len, list, sizeof(list) - 1);
	len += sizeof(list) - 1;
	len += policies_emit(ids, text + len);
	memcpy(text + len, "]}\n", 4);
	return text;
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
	text = ids_emit(ids, root);
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
	ids_address_put(ids, (uint32_t)id, &a);
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
