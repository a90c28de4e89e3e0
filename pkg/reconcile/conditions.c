/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/conditions.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"
#include "policy/accept.h"
#include "reconcile/usage.h"

static const char *text_at(const struct json *j, const char *key)
{
	const char *s;

	return json_string(json_get(j, key), &s, NULL) == 0 ? s : "";
}

/* take: never "", which an old API server reads as null. */
static void add(struct conditions *c, const char *type, bool yes, const char *reason, char *take)
{
	c->list[c->n++] = (struct condition){
		.type = type, .reason = reason, .yes = yes, .message = take};
}

void conditions_done(struct conditions *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->list[i].message);
	json_free(TAKE(c->summary));
	c->n = 0;
}

/* ---- policies ---- */

static void policy_conditions(const struct object *obj, const struct doc_set *set,
			      const struct compiled *compiled, struct conditions *ret)
{
	const struct doc_policy *in_force = doc_item_policy(object_in_force(obj));
	struct acceptance a = {0};

	if (in_force && set)
		policy_accept(set, compiled, in_force, &a);
	if (obj->more->refused)
		add(ret, "Accepted", false, "Invalid", mem_strdup(obj->more->refused));
	else if (a.reason)
		add(ret, "Accepted", false, a.reason, TAKE(a.message));
	else
		add(ret, "Accepted", true, "Accepted", mem_strdup("in force as it is written"));
	if (obj->more->refused || a.reason)
		add(ret, "Ready", false, "NotAccepted", mem_strdup("see Accepted"));
	else if (a.late)
		add(ret, "Ready", false, a.late, TAKE(a.late_message));
	else
		add(ret, "Ready", true, "InForce", mem_strdup("nothing is missing"));
	acceptance_done(&a);
}

/* ---- gateways ---- */

/* Who says of itself that it has the address; NULL: nobody. */
static const char *told_by(const struct json *status, struct addr addr)
{
	const struct json *list = json_get(status, "addresses");
	const char *text = addr_str(addr);

	for (size_t i = 0; i < json_len(list); i++)
		if (strcmp(text_at(json_at(list, i), "address"), text) == 0)
			return text_at(json_at(list, i), "node");
	return NULL;
}

/* What the first address lacks that nobody carries; NULL: each is carried. */
static char *unassigned(const struct object *obj, const struct compiled *compiled)
{
	__cleanup_json struct json *status = NULL;
	const struct egress_addr *addrs;
	size_t n, seen = 0;

	addrs = compiled_addrs(compiled, &n);
	if (obj->more->status)
		json_parse(obj->more->status, strlen(obj->more->status), &status, NULL);
	for (size_t i = 0; i < n; i++) {
		const char *node = told_by(status, addrs[i].addr);

		if (strcmp(addrs[i].gateway, obj->name) != 0)
			continue;
		seen++;
		if (!addrs[i].owner)
			return mem_printf("%s: no node is a candidate, or has room for it",
					  addr_str(addrs[i].addr));
		if (!node || strcmp(node, addrs[i].owner) != 0)
			return mem_printf("%s: node %s is to carry it and does not yet",
					  addr_str(addrs[i].addr), addrs[i].owner);
	}
	return seen ? NULL : mem_strdup("it has no address");
}

static void gateway_conditions(const struct object *obj, const struct compiled *compiled,
			       struct conditions *ret)
{
	char *missing = compiled ? unassigned(obj, compiled) : mem_strdup("not compiled yet");
	bool accepted = !obj->more->refused && !obj->more->conflict;

	if (accepted)
		add(ret, "Accepted", true, "Accepted", mem_strdup("in force as it is written"));
	else
		add(ret, "Accepted", false, obj->more->refused ? "Invalid" : "Conflict",
		    mem_strdup(obj->more->refused ?: obj->more->conflict));
	add(ret, "Ready", accepted && !missing,
	    !accepted ? "NotAccepted"
	    : missing ? "AddressNotAssigned"
		      : "AllAddressesCarried",
	    !accepted ? mem_strdup("see Accepted")
		      : mem_strdup(missing ?: "every address is carried"));
	add(ret, "AddressAssigned", !missing, missing ? "NotCarried" : "AllAddressesCarried",
	    missing ?: mem_strdup("every address is carried"));
	ret->summary = gateway_summary(obj);
}

void conditions_of(enum collection c, const struct object *obj, const struct doc_set *set,
		   const struct compiled *compiled, struct conditions *ret)
{
	*ret = (struct conditions){0};
	if (c == OBJECTS_POLICIES || c == OBJECTS_CLUSTER_POLICIES)
		policy_conditions(obj, set, compiled, ret);
	else if (c == OBJECTS_GATEWAYS)
		gateway_conditions(obj, compiled, ret);
	else
		add(ret, "Accepted", !obj->more->refused,
		    obj->more->refused ? "Invalid" : "Accepted",
		    mem_strdup(obj->more->refused ?: "in force as it is written"));
}

/* ---- as JSON ---- */

static const struct json *condition_there(const struct json *status, const char *type)
{
	const struct json *list = json_get(status, "conditions");

	for (size_t i = 0; i < json_len(list); i++)
		if (strcmp(text_at(json_at(list, i), "type"), type) == 0)
			return json_at(list, i);
	return NULL;
}

static int64_t generation_of(const struct json *j)
{
	int64_t v;

	return json_int(json_get(j, "observedGeneration"), 0, INT64_MAX, &v, NULL) == 0 ? v : -1;
}

static const char *status_word(const struct condition *c)
{
	return c->yes ? "True" : "False";
}

static bool says_the_same(const struct condition *c, int64_t generation, const struct json *there)
{
	return there && strcmp(text_at(there, "status"), status_word(c)) == 0 &&
	       strcmp(text_at(there, "reason"), c->reason) == 0 &&
	       strcmp(text_at(there, "message"), c->message) == 0 &&
	       generation_of(there) == generation;
}

static struct json *condition_emit(const struct condition *c, int64_t generation,
				   const struct json *there, const char *now)
{
	struct json *o = json_new_object();
	const char *since = text_at(there, "lastTransitionTime");

	if (!*since || strcmp(text_at(there, "status"), status_word(c)) != 0)
		since = now;
	json_set(o, "type", json_new_string(c->type));
	json_set(o, "status", json_new_string(status_word(c)));
	json_set(o, "observedGeneration", json_new_int(generation));
	json_set(o, "lastTransitionTime", json_new_string(since));
	json_set(o, "reason", json_new_string(c->reason));
	json_set(o, "message", json_new_string(c->message));
	return o;
}

struct json *conditions_status(const struct conditions *want, int64_t generation, const char *there,
			       const char *now)
{
	__cleanup_json struct json *status = NULL;
	struct json *o, *list;
	bool same;

	if (there)
		json_parse(there, strlen(there), &status, NULL);
	same = generation_of(status) == generation &&
	       json_len(json_get(status, "conditions")) == want->n;
	list = json_new_array();
	for (size_t i = 0; i < want->n; i++) {
		const struct condition *c = &want->list[i];
		const struct json *t = condition_there(status, c->type);

		same &= says_the_same(c, generation, t);
		json_append(list, condition_emit(c, generation, t, now));
	}
	same &= want->summary ? json_equal(want->summary, json_get(status, "summary"))
			      : !json_get(status, "summary");
	if (same) {
		json_free(list);
		return NULL;
	}
	o = json_new_object();
	json_set(o, "observedGeneration", json_new_int(generation));
	json_set(o, "conditions", list);
	if (want->summary)
		json_set(o, "summary", json_dup(want->summary));
	return o;
}

/* ---- addresses ---- */

static const struct json *entry_there(const struct json *list, const char *address,
				      const char *node)
{
	for (size_t i = 0; i < json_len(list); i++)
		if (strcmp(text_at(json_at(list, i), "address"), address) == 0 &&
		    strcmp(text_at(json_at(list, i), "node"), node) == 0)
			return json_at(list, i);
	return NULL;
}

static size_t entries_of(const struct json *list, const char *node)
{
	size_t n = 0;

	for (size_t i = 0; i < json_len(list); i++)
		n += strcmp(text_at(json_at(list, i), "node"), node) == 0;
	return n;
}

static int64_t int_at(const struct json *j, const char *key)
{
	int64_t v;

	return json_int(json_get(j, key), 0, INT64_MAX, &v, NULL) == 0 ? v : 0;
}

static struct json *entry_emit(const struct address_told *a, const char *node, const char *since)
{
	struct json *o = json_new_object();

	json_set(o, "address", json_new_string(addr_str(a->addr)));
	json_set(o, "node", json_new_string(node));
	json_set(o, "since", json_new_string(since));
	json_set(o, "announced", json_new_bool(a->announced));
	json_set(o, "connections", json_new_int((int64_t)a->connections));
	json_set(o, "portsUsed", json_new_int((int64_t)a->ports));
	json_set(o, "portsLimit", json_new_int(USAGE_PORTS));
	if (a->also)
		json_set(o, "alsoOn", json_new_string(a->also));
	return o;
}

static bool entry_same(const struct address_told *a, const struct json *there)
{
	bool announced = false;

	json_bool(json_get(there, "announced"), &announced, NULL);
	return there && announced == a->announced &&
	       strcmp(text_at(there, "alsoOn"), a->also ?: "") == 0 &&
	       usage_near((uint64_t)int_at(there, "portsUsed"), USAGE_PORTS) ==
		       usage_near(a->ports, USAGE_PORTS);
}

static struct json *takeover_emit(const struct takeover *t, const char *node)
{
	struct json *o = json_new_object();
	__cleanup_free char *gap = mem_printf("%lldms", (long long)t->gap_ms);
	char at[32];

	moment_text(t->at_ms, at);
	json_set(o, "at", json_new_string(at));
	json_set(o, "gap", json_new_string(gap));
	json_set(o, "from", json_new_string(t->from));
	json_set(o, "to", json_new_string(node));
	json_set(o, "reason", json_new_string("NotHeard"));
	return o;
}

/* NULL: somebody took over later. True: there says something else. What this node told before it
 * was started again it goes on telling, or the server would take it away. */
static bool takeover_differs(const struct takeover *t, const char *node, const struct json *there,
			     struct json **ret)
{
	struct json *o = t ? takeover_emit(t, node) : NULL;

	*ret = NULL;
	if (!t && strcmp(text_at(there, "to"), node) == 0)
		*ret = json_dup(there);
	if (!o || strcmp(text_at(o, "at"), text_at(there, "at")) < 0) {
		json_free(o);
		return false;
	}
	*ret = o;
	return !there || !json_equal(o, there);
}

struct json *addresses_status(const struct addresses_told *told, const char *node,
			      const char *there, const char *now)
{
	__cleanup_json struct json *status = NULL;
	struct json *o = json_new_object(), *out = json_new_array(), *failover;
	const struct json *old;
	bool same;

	if (there)
		json_parse(there, strlen(there), &status, NULL);
	old = json_get(status, "addresses");
	same = entries_of(old, node) == told->n;
	for (size_t i = 0; i < told->n; i++) {
		const struct address_told *a = &told->list[i];
		const struct json *t = entry_there(old, addr_str(a->addr), node);
		const char *since = text_at(t, "since");

		same &= entry_same(a, t);
		json_append(out, entry_emit(a, node, *since ? since : now));
	}
	json_set(o, "addresses", out);
	same &= !takeover_differs(told->last, node, json_get(status, "lastFailover"), &failover);
	if (failover)
		json_set(o, "lastFailover", failover);
	if (same) {
		json_free(o);
		return NULL;
	}
	return o;
}

size_t addresses_beyond(const struct json *a, const struct json *b, const char *node, char ***ret)
{
	const struct json *list = json_get(a, "addresses"), *others = json_get(b, "addresses");
	size_t n = 0;

	*ret = NULL;
	for (size_t i = 0; i < json_len(list); i++) {
		const char *address = text_at(json_at(list, i), "address");

		if (strcmp(text_at(json_at(list, i), "node"), node) != 0 ||
		    entry_there(others, address, node))
			continue;
		MEM_GROW(*ret, n);
		(*ret)[n++] = mem_strdup(address);
	}
	return n;
}

void addresses_beyond_done(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}
