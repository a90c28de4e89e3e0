/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which egress address, as each owner writes it to status.addresses of its gateway. It is
 * asked for one thing only: a gateway whose Node is not ready, and that is heard, keeps what it
 * has, but gets nothing that is new. Its own heartbeats do not say what it has, and what each node
 * remembers of the past would be another thing on each; what stands in the API is the same for
 * all. Without an API, and until it has told all, nobody knows: then it has what it is home of.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "reconcile/priv.h"

static void list_clear(struct holdings *h)
{
	for (size_t i = 0; i < h->n; i++)
		free((char *)(uintptr_t)h->list[i].node);
	free(h->list);
	h->list = NULL;
	h->n = 0;
	h->digest = 0;
}

void holdings_done(struct holdings *h)
{
	list_clear(h);
	*h = (struct holdings){0};
}

static int order(const void *a, const void *b)
{
	const struct node_holding *x = a, *y = b;
	int c = addr_cmp(x->addr, y->addr);

	return c ? c : strcmp(x->node, y->node);
}

static void entries_take(struct holdings *h, const struct json *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *entry = json_at(list, i);
		const char *address, *node;
		struct addr a;

		if (json_string(json_get(entry, "address"), &address, NULL) < 0 ||
		    json_string(json_get(entry, "node"), &node, NULL) < 0 ||
		    addr_parse(address, &a) < 0)
			continue;
		MEM_GROW(h->list, h->n);
		h->list[h->n++] = (struct node_holding){a, mem_strdup(node)};
	}
}

static void list_read(struct holdings *h, const struct objects *o)
{
	list_clear(h);
	for (size_t i = 0; i < objects_count(o, OBJECTS_GATEWAYS); i++) {
		const char *text = objects_at(o, OBJECTS_GATEWAYS, i)->more->status;
		__cleanup_json struct json *status = NULL;

		if (text && json_parse(text, strlen(text), &status, NULL) == 0)
			entries_take(h, json_get(status, "addresses"));
	}
	MEM_GROW(h->list, h->n); /* never NULL: that nobody has anything is known, too */
	if (h->n)
		qsort(h->list, h->n, sizeof(*h->list), order);
	h->digest = 1;
	for (size_t i = 0; i < h->n; i++)
		h->digest = hash_bytes(h->list[i].addr.b, sizeof(h->list[i].addr.b),
				       hash_str(h->list[i].node, h->digest));
}

/* Is there one of whom it matters? */
static bool is_asked(const struct reconcile *r)
{
	struct compiled_peer *peers = NULL;
	bool asked = false;
	size_t n = 0;

	if (!r->membership || !r->compiled)
		return false;
	compiled_peers(r->compiled, &peers, &n);
	for (size_t i = 0; i < n; i++)
		asked = asked || peers[i].not_ready;
	free(peers);
	return asked;
}

uint64_t holdings_look(struct reconcile *r)
{
	struct holdings *h = &r->holdings;
	const struct objects *o = r->policies.objects;

	if (h->of_compiled != r->compiled_serial) {
		h->of_compiled = r->compiled_serial;
		h->asked = is_asked(r);
	}
	if (!h->asked || !o || !objects_all_synced(o)) {
		list_clear(h);
		return 0;
	}
	if (!h->list || h->of_status != objects_status_serial(o)) {
		h->of_status = objects_status_serial(o);
		list_read(h, o);
	}
	return h->digest;
}
