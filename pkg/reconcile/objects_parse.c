/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object on its own, and what takes its place where it cannot be in force as it is. In a
 * folder somebody corrects a file that is refused; an object of an API was accepted by others,
 * and a mistake in one must not cost any other.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "inet/cidr.h"
#include "json/json.h"
#include "reconcile/objects_priv.h"

static const char *text_at(const struct json *j, const char *key)
{
	const char *s;

	return json_string(json_get(j, key), &s, NULL) == 0 ? s : NULL;
}

/* "EgressPolicy shop/bank", where files have their name. */
static char *place_of(enum collection c, const struct json *reduced)
{
	const struct json *meta = json_get(reduced, "metadata");
	const char *namespace = text_at(meta, "namespace");

	return mem_printf("%s %s%s%s", object_kinds[c].kind, namespace ?: "", namespace ? "/" : "",
			  text_at(meta, "name"));
}

/* An object of an API has no lines. */
static void lines_remove(char *msg, const char *place)
{
	size_t len = strlen(place);

	for (char *p = strstr(msg, place); p; p = strstr(p + len, place)) {
		char *end = p + len + 1;

		if (p[len] != ':' || !isdigit((unsigned char)*end))
			continue;
		while (isdigit((unsigned char)*end))
			end++;
		memmove(p + len, end, strlen(end) + 1);
	}
}

static int set_parse(enum collection c, const struct json *reduced, struct doc_set **ret,
		     struct err *e)
{
	__cleanup(doc_set_freep) struct doc_set *set = doc_set_new();
	__cleanup_free char *place = place_of(c, reduced);
	int r = doc_set_add(set, reduced, place, e);

	if (r == 0)
		r = doc_set_finish(set, e);
	if (r < 0) {
		lines_remove(e->msg, place);
		return r;
	}
	*ret = TAKE(set);
	return 0;
}

int object_parse(enum collection c, const struct json *reduced, struct doc_item **ret,
		 struct err *e)
{
	struct doc_set *set = NULL;
	int r = set_parse(c, reduced, &set, e);

	if (r == 0)
		*ret = doc_item_new(set);
	return r;
}

/* ---- never valid ---- */

static struct json *deny_everything(void)
{
	struct json *rules = json_new_array(), *rule = json_new_object();

	json_set(rule, "name", json_new_string("never-valid"));
	json_set(rule, "action", json_new_string("Deny"));
	json_append(rules, rule);
	return rules;
}

/*
 * In the tier that it asks for: what is said before that stands. In mode Audit it would have
 * denied nobody.
 */
struct doc_item *object_denying(enum collection c, const struct json *reduced)
{
	const struct json *from = json_get(reduced, "spec");
	__cleanup_json struct json *policy = NULL;
	struct doc_item *item = NULL;
	struct json *spec;
	const char *tier = text_at(from, "tier"), *mode = text_at(from, "mode");

	if ((c != OBJECTS_POLICIES && c != OBJECTS_CLUSTER_POLICIES) || !json_get(from, "subject"))
		return NULL;
	policy = json_dup(reduced);
	spec = json_new_object();
	json_set(spec, "priority", json_new_int(0));
	json_set(spec, "subject", json_dup(json_get(from, "subject")));
	json_set(spec, "rules", deny_everything());
	if (c == OBJECTS_CLUSTER_POLICIES && tier && strcmp(tier, "Baseline") == 0)
		json_set(spec, "tier", json_new_string(tier));
	if (mode && strcmp(mode, "Audit") == 0)
		json_set(spec, "mode", json_new_string(mode));
	json_set(policy, "spec", spec);
	return object_parse(c, policy, &item, &(struct err){0}) == 0 ? item : NULL;
}

/* ---- ranges that two gateways claim ---- */

static int older(const void *a, const void *b)
{
	const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;

	if (x->more->created != y->more->created)
		return x->more->created < y->more->created ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Who of the older ones has some of it. */
static const struct object *owner_of(struct object *const *older_ones, size_t n,
				     struct addr_range range)
{
	for (size_t i = 0; i < n; i++) {
		const struct doc_gateway *g = doc_item_gateway(older_ones[i]->good);

		for (size_t k = 0; g && k < g->n_ranges; k++)
			if (addr_range_overlaps(g->ranges[k].range, range))
				return older_ones[i];
	}
	return NULL;
}

static struct json *address_item(const char *range)
{
	struct json *o = json_new_object();

	json_set(o, "range", json_new_string(range));
	return o;
}

/* lost: by index of spec.addresses. One that lost them all is there, with no address. */
static struct doc_set *gateway_without(const struct object *obj, const bool *lost)
{
	__cleanup_json struct json *tree = NULL;
	struct json *spec, *kept = json_new_array();
	const struct json *list;
	struct doc_set *set = NULL;
	bool none;

	if (json_parse(obj->more->text, strlen(obj->more->text), &tree, NULL) < 0)
		return doc_set_new();
	spec = json_dup(json_get(tree, "spec"));
	list = json_get(spec, "addresses");
	for (size_t i = 0; i < json_len(list); i++)
		if (!lost[i])
			json_append(kept, json_dup(json_at(list, i)));
	none = json_len(kept) == 0;
	if (none)
		json_append(kept, address_item(text_at(json_at(list, 0), "range")));
	json_set(spec, "addresses", kept);
	json_set(tree, "spec", spec);
	if (set_parse(OBJECTS_GATEWAYS, tree, &set, &(struct err){0}) < 0)
		return doc_set_new(); /* not there at all, rather than with what is another's */
	if (none)
		set->gateways[0].n_ranges = 0; /* it has no selector: nothing to free */
	return set;
}

static bool claim_set(struct object *obj, char *conflict, struct doc_set *instead)
{
	const char *was = obj->more->conflict ?: "", *now = conflict ?: "";
	bool changed = strcmp(was, now) != 0 || instead;

	free(obj->more->conflict);
	object_more(obj)->conflict = conflict;
	object_take_instead(obj, instead ? doc_item_new(instead) : NULL);
	return changed;
}

static bool claim_resolve(struct object *obj, struct object *const *older_ones, size_t n)
{
	const struct doc_gateway *g = doc_item_gateway(obj->good);
	__cleanup_free bool *lost = mem_alloc0(g ? g->n_ranges : 0);
	char *conflict = NULL;

	for (size_t i = 0; g && i < g->n_ranges; i++) {
		const struct object *owner = owner_of(older_ones, n, g->ranges[i].range);

		if (!owner)
			continue;
		lost[i] = true;
		if (!conflict)
			conflict = mem_printf(
				"EgressGateway %s: spec.addresses[%zu].range: EgressGateway %s, "
				"which is older, has some of it: this range is not in force",
				obj->name, i, owner->name);
	}
	return claim_set(obj, conflict, conflict ? gateway_without(obj, lost) : NULL);
}

/* What an older one lost itself it still keeps from younger ones: one rule, no surprises. */
bool objects_resolve_claims(struct objects *o)
{
	struct objects_of *of = &o->of[OBJECTS_GATEWAYS];
	__cleanup_free struct object **list = mem_dup(of->list, of->n * sizeof(struct object *));
	bool changed = false;

	if (of->n)
		qsort(list, of->n, sizeof(struct object *), older);
	for (size_t i = 0; i < of->n; i++)
		changed |= claim_resolve(list[i], list, i);
	return changed;
}
