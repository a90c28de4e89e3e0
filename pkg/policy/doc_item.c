/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object by itself. A pod or a policy lies in one block with all that it says; what many have
 * in common (namespaces, labels, nodes, gateways) is kept once for all of them. An object of
 * another kind stays in the set it was parsed into: there are few.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shared.h"
#include "policy/doc_priv.h"

struct doc_item {
	uint32_t n_shared;	/* who else frees it */
	bool packed;		/* the object is behind this, else */
	struct doc_set *from[]; /* … one: it is that one's */
};

/* ---- one block ---- */

/* Filled twice: without a place, to know how long it gets, and then in its place. */
struct block {
	char *at;
	size_t len;
};

static void *block_put(struct block *b, const void *p, size_t size, size_t align)
{
	char *to;

	b->len = (b->len + align - 1) & ~(align - 1);
	to = b->at ? b->at + b->len : NULL;
	b->len += size;
	return to && size ? memcpy(to, p, size) : to;
}

#define BLOCK_PUT(b, from, n) \
	block_put((b), (from), (n) * sizeof(*(from)), _Alignof(__typeof__(*(from))))

static char *block_text(struct block *b, const char *s)
{
	return s ? block_put(b, s, strlen(s) + 1, 1) : NULL;
}

static char *block_shared(const struct block *b, const char *s)
{
	return b->at ? (char *)(uintptr_t)shared_text(s) : NULL;
}

/* ---- labels ---- */

static struct label *labels_share(const struct labels *labels)
{
	size_t len = 0, room = labels->n * sizeof(struct label);
	__cleanup_free char *texts = NULL;
	struct label *shared;
	bool is_new;
	char *p;

	for (size_t i = 0; i < labels->n; i++)
		len += strlen(labels->items[i].key) + strlen(labels->items[i].value) + 2;
	p = texts = mem_alloc0(len);
	for (size_t i = 0; i < labels->n; i++)
		p = stpcpy(stpcpy(p, labels->items[i].key) + 1, labels->items[i].value) + 1;
	shared = shared_bytes(texts, len, room, &is_new);
	p = (char *)shared + room;
	for (size_t i = 0; is_new && i < labels->n; i++) {
		shared[i].key = p;
		shared[i].value = p + strlen(p) + 1;
		p = shared[i].value + strlen(shared[i].value) + 1;
	}
	return shared;
}

static void pack_meta(struct block *b, struct doc_meta *m)
{
	m->namespace = block_shared(b, m->namespace);
	m->name = block_text(b, m->name);
	m->labels.items = b->at && m->labels.n ? labels_share(&m->labels) : NULL;
}

/* ---- pods ---- */

static void pack_pod(struct block *b, const struct doc_pod *from)
{
	struct doc_pod pod = *from, *to = BLOCK_PUT(b, from, 1);

	pod.meta.src = (struct doc_src){0}; /* nobody shows where a pod was read */
	pack_meta(b, &pod.meta);
	if (pod.uid_kind == POD_UID_TEXT)
		pod.uid_text = block_text(b, pod.uid_text);
	pod.node_name = block_shared(b, pod.node_name);
	if (to)
		*to = pod;
}

static void pod_drop(const struct doc_pod *pod)
{
	shared_drop(pod->node_name);
}

/* ---- policies ---- */

static void pack_texts(struct block *b, char ***list, size_t n)
{
	char **from = *list, **to = BLOCK_PUT(b, from, n);

	for (size_t i = 0; i < n; i++) {
		char *text = block_text(b, from[i]);

		if (to)
			to[i] = text;
	}
	*list = to;
}

static void pack_selector(struct block *b, struct selector *s)
{
	struct selector_req *from = s->reqs, *to = BLOCK_PUT(b, from, s->n);

	for (size_t i = 0; i < s->n; i++) {
		struct selector_req req = from[i];

		req.key = block_text(b, req.key);
		pack_texts(b, &req.values, req.n_values);
		if (to)
			to[i] = req;
	}
	s->reqs = to;
}

static void pack_to(struct block *b, struct doc_to *to)
{
	to->except = BLOCK_PUT(b, to->except, to->n_except);
	switch (to->kind) {
	case TO_CIDR:
		break;
	case TO_FQDN:
		to->fqdn = block_text(b, to->fqdn);
		break;
	case TO_DESTINATION:
		to->destination = block_text(b, to->destination);
		break;
	case TO_NODES:
		pack_selector(b, &to->nodes);
		break;
	case TO_DESTINATION_SELECTOR:
		pack_selector(b, &to->destinations);
		break;
	}
}

static void pack_via(struct block *b, struct doc_via *via, const struct doc_file *file)
{
	via->gateway = block_shared(b, via->gateway);
	via->addrs = BLOCK_PUT(b, via->addrs, via->n_addrs);
	via->src.in = file;
}

static void pack_rule(struct block *b, struct doc_rule *rule, const struct doc_file *file)
{
	struct doc_to *from = rule->to, *to = BLOCK_PUT(b, from, rule->n_to);

	for (size_t i = 0; i < rule->n_to; i++) {
		struct doc_to item = from[i];

		pack_to(b, &item);
		if (to)
			to[i] = item;
	}
	rule->to = to;
	rule->ports = BLOCK_PUT(b, rule->ports, rule->n_ports);
	rule->name = block_text(b, rule->name);
	pack_via(b, &rule->via, file);
	rule->src.in = file;
}

static struct doc_rule *pack_rules(struct block *b, const struct doc_policy *p,
				   const struct doc_file *file)
{
	struct doc_rule *to = BLOCK_PUT(b, p->rules, p->n_rules);

	for (size_t i = 0; i < p->n_rules; i++) {
		struct doc_rule rule = p->rules[i];

		pack_rule(b, &rule, file);
		if (to)
			to[i] = rule;
	}
	return to;
}

static const struct doc_file *pack_file(struct block *b, const struct doc_file *from)
{
	struct doc_file *to = BLOCK_PUT(b, from, 1);
	char *name = block_text(b, from->name);

	if (to)
		to->name = name;
	return to;
}

static void pack_policy(struct block *b, const struct doc_policy *from)
{
	struct doc_policy p = *from, *to = BLOCK_PUT(b, from, 1);
	const struct doc_file *file = pack_file(b, from->meta.src.in);

	pack_meta(b, &p.meta);
	p.meta.src.in = file;
	pack_texts(b, &p.services, p.n_services);
	pack_selector(b, &p.pods);
	pack_selector(b, &p.namespaces);
	pack_selector(b, &p.nodes);
	p.rules = pack_rules(b, from, file);
	pack_via(b, &p.default_via, file);
	p.default_src.in = file;
	if (to)
		*to = p;
}

static void policy_drop(const struct doc_policy *p)
{
	shared_drop(p->default_via.gateway);
	for (size_t i = 0; i < p->n_rules; i++)
		shared_drop(p->rules[i].via.gateway);
}

/* Time zones are the set's, and few policies have a schedule. */
static bool policy_packs(const struct doc_set *set)
{
	const struct doc_policy *p = set->n_policies ? set->policies[0] : NULL;

	for (size_t i = 0; p && i < p->n_rules; i++)
		if (p->rules[i].schedule)
			return false;
	return p && set->n_files == 1;
}

/* ---- items ---- */

static const struct doc_meta *first_object(const struct doc_set *set)
{
	for (size_t i = 0; i < DOC_KINDS; i++) {
		struct doc_array a = doc_array_get(set, &doc_kinds[i]);

		if (a.n)
			return doc_array_at(a, &doc_kinds[i], 0);
	}
	return NULL;
}

static bool packs(const struct doc_set *set)
{
	return set->n_pods || policy_packs(set);
}

static void pack(struct block *b, const struct doc_set *set)
{
	if (set->n_pods)
		pack_pod(b, set->pods[0]);
	else
		pack_policy(b, set->policies[0]);
}

struct doc_item *doc_item_new(struct doc_set *take)
{
	struct block b = {.len = sizeof(struct doc_item)};
	struct doc_item *item;

	if (!packs(take)) {
		item = mem_alloc0(sizeof(*item) + sizeof(item->from[0]));
		item->from[0] = take;
		return item;
	}
	pack(&b, take);
	item = mem_alloc0(b.len);
	b = (struct block){(char *)item, sizeof(*item)};
	pack(&b, take);
	item->packed = true;
	doc_set_free(take);
	return item;
}

const struct doc_meta *doc_item_meta(const struct doc_item *item)
{
	return item->packed ? (const void *)item->from : first_object(item->from[0]);
}

static void packed_drop(const struct doc_meta *m)
{
	shared_drop(m->namespace);
	shared_drop(m->labels.items);
	if (m->kind == DOC_POD)
		pod_drop((const void *)m);
	else
		policy_drop((const void *)m);
}

void doc_item_free(struct doc_item *item)
{
	if (!item || item->n_shared) {
		if (item)
			item->n_shared--;
		return;
	}
	if (item->packed)
		packed_drop(doc_item_meta(item));
	else
		doc_set_free(item->from[0]);
	free(item);
}

void doc_set_add_item(struct doc_set *set, struct doc_item *item)
{
	const struct doc_meta *object = doc_item_meta(item);

	if (!object)
		return;
	item->n_shared++;
	MEM_GROW(set->items, set->n_items);
	set->items[set->n_items++] = item;
	doc_array_lend(set, &doc_kinds[object->kind], object);
}

/* ---- by kind ---- */

static const void *of_kind(const struct doc_item *item, enum doc_kind kind)
{
	const struct doc_meta *object = item ? doc_item_meta(item) : NULL;

	return object && object->kind == kind ? object : NULL;
}

const struct doc_pod *doc_item_pod(const struct doc_item *item)
{
	return of_kind(item, DOC_POD);
}

const struct doc_policy *doc_item_policy(const struct doc_item *item)
{
	return of_kind(item, DOC_EGRESS_POLICY) ?: of_kind(item, DOC_CLUSTER_EGRESS_POLICY);
}

const struct doc_gateway *doc_item_gateway(const struct doc_item *item)
{
	return of_kind(item, DOC_EGRESS_GATEWAY);
}

const struct doc_config *doc_item_config(const struct doc_item *item)
{
	return of_kind(item, DOC_SLUICE_CONFIG);
}

const struct doc_node *doc_item_node(const struct doc_item *item)
{
	return of_kind(item, DOC_NODE);
}

const struct doc_slice *doc_item_slice(const struct doc_item *item)
{
	return of_kind(item, DOC_ENDPOINT_SLICE);
}
