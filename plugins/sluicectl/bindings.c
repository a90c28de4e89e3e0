/* SPDX-License-Identifier: Apache-2.0 */
/* pod → policies → addresses → gateways, for the attachments on record. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "bpf/maps.h"
#include "bindings.h"
#include "ctl.h"
#include "daemon_ask.h"
#include "reconcile/pod_subject.h"
#include "text.h"

#define POLICIES_WIDTH 24

/* One identity that a pod may appear as, in one family. */
struct appearance {
	const char *gateway;
	const struct egress_addr *addr; /* NULL: reason */
	uint8_t reason;
};

struct appearances {
	struct appearance items[64];
	size_t n;
};

static void appearance_add(struct appearances *list, struct appearance a)
{
	if (list->n < sizeof(list->items) / sizeof(*list->items))
		list->items[list->n++] = a;
}

/* Each address of a table of slots, once. */
static void slots_add(struct appearances *list, const struct egress_addr *addrs,
		      const struct identity *id, size_t f)
{
	for (uint32_t i = 0; i < id->n_picks[f]; i++) {
		const struct egress_addr *a = &addrs[id->picks[f][i]];
		bool there = false;

		for (size_t k = 0; k < list->n; k++)
			there |= list->items[k].addr == a;
		if (!there)
			appearance_add(list, (struct appearance){id->gateway, a, 0});
	}
}

static void identity_add(struct appearances *list, const struct compiled *c,
			 const struct identity *id, const struct pod_info *pod)
{
	size_t n;
	const struct egress_addr *addrs = compiled_addrs(c, &n);

	for (size_t f = 0; f < 2; f++) {
		uint32_t slot = id->n_picks[f]
					? pod_spread(pod->namespace, pod->name) % id->n_picks[f]
					: 0;

		if (id->per_flow)
			slots_add(list, addrs, id, f);
		else if (id->n_picks[f])
			appearance_add(list, (struct appearance){id->gateway,
								 &addrs[id->picks[f][slot]], 0});
	}
	if (!id->n_picks[0] && !id->n_picks[1])
		appearance_add(list, (struct appearance){id->gateway, NULL, id->none[0]});
}

/* Every via in the pod's policies, each identity once, in evaluation order. */
static void appearances_get(struct appearances *list, const struct compiled *c,
			    const struct binding *b, const struct pod_info *pod)
{
	size_t n_ids, n;
	const struct identity *ids = compiled_identities(c, &n_ids);
	__cleanup_free bool *seen = mem_alloc0(n_ids);

	for (size_t i = 0; i < b->n; i++) {
		const struct flat_rule *rules = compiled_policy_rules(c, b->policies[i], &n);

		for (size_t j = 0; j < n; j++) {
			uint32_t id = rules[j].identity;

			if (id == IDENTITY_NONE || id == 0 || seen[id])
				continue;
			seen[id] = true;
			identity_add(list, c, &ids[id], pod);
		}
	}
}

static const char *appearance_state(const struct view *v, const struct appearance *a)
{
	if (!a->addr)
		return a->reason ? drop_reason_name(a->reason) : "as the node";
	if (v->carriers)
		return view_owner(v, a->addr) ? "carried" : "not carried";
	if (a->addr->problem)
		return drop_reason_name(a->addr->problem);
	return a->addr->local ? "local" : "remote";
}

/* ---- what it holds of it ---- */

static bool is_limited(const struct egress_addr *a)
{
	return a->limits.connections || a->limits.ports;
}

static bool any_limits(const struct view *v)
{
	size_t n;
	const struct egress_addr *addrs = compiled_addrs(v->compiled, &n);

	for (size_t i = 0; i < n; i++)
		if (is_limited(&addrs[i]))
			return true;
	return false;
}

static bool is_addr(const struct json *share, const char *key, struct addr a)
{
	const char *text = text_of(share, key);

	return text && strcmp(text, addr_str(a)) == 0;
}

/* NULL: nothing. */
static const struct json *share_of(const struct json *shares, const struct record *rec,
				   const struct egress_addr *a)
{
	for (size_t i = 0; i < json_len(shares); i++) {
		const struct json *s = json_at(shares, i);

		for (size_t k = 0; is_addr(s, "address", a->addr) && k < rec->n_addrs; k++)
			if (is_addr(s, "podAddress", rec->addrs[k]))
				return s;
	}
	return NULL;
}

/* "16/20 connections, 3/50 ports"; NULL: not known, or there are no limits. */
static char *holds_text(const struct bindings *out, const struct record *rec,
			const struct egress_addr *a)
{
	const struct json *share;
	char connections[48] = "", ports[48] = "";

	if (!out->shares || !a || !is_limited(a))
		return NULL;
	share = share_of(out->shares, rec, a);
	if (a->limits.connections)
		snprintf(connections, sizeof(connections), "%" PRId64 "/%u connections",
			 int_of(share, "connections"), a->limits.connections);
	if (a->limits.ports)
		snprintf(ports, sizeof(ports), "%" PRId64 "/%u ports", int_of(share, "ports"),
			 a->limits.ports);
	return mem_printf("%s%s%s", connections, *connections && *ports ? ", " : "", ports);
}

static void holds_json(const struct bindings *out, const struct record *rec,
		       const struct egress_addr *a, struct json *to)
{
	struct json *limits;
	const struct json *share;

	if (!a || !is_limited(a))
		return;
	limits = json_new_object();
	if (a->limits.connections)
		json_set(limits, "connectionsPerPod", json_new_int(a->limits.connections));
	if (a->limits.ports)
		json_set(limits, "portsPerPod", json_new_int(a->limits.ports));
	json_set(to, "limits", limits);
	if (!out->shares)
		return;
	share = share_of(out->shares, rec, a);
	json_set(to, "connections", json_new_int(int_of(share, "connections")));
	json_set(to, "ports", json_new_int(int_of(share, "ports")));
}

static struct json *appearances_json(const struct bindings *to, const struct record *rec,
				     const struct appearances *list)
{
	const struct view *v = to->view;
	struct json *out = json_new_array();

	for (size_t i = 0; i < list->n; i++) {
		const struct appearance *a = &list->items[i];
		struct json *o = json_new_object();

		json_set(o, "gateway", json_new_string(a->gateway));
		json_set(o, "address", json_new_string(a->addr ? addr_str(a->addr->addr) : NULL));
		json_set(o, "owner", json_new_string(a->addr ? view_owner(v, a->addr) : NULL));
		json_set(o, "state", json_new_string(appearance_state(v, a)));
		holds_json(to, rec, a->addr, o);
		json_append(out, o);
	}
	return out;
}

static char *policies_text(const struct compiled *c, const struct binding *b)
{
	char *text = mem_strdup("");

	for (size_t i = 0; i < b->n; i++) {
		const struct doc_meta *m = &compiled_policy(c, b->policies[i])->meta;
		char *longer = mem_printf("%s%s%s%s%s", text, i ? "," : "", m->namespace,
					  *m->namespace ? "/" : "", m->name);

		free(text);
		text = longer;
	}
	return text;
}

static const char *owner_text(const struct view *v, const struct appearance *a)
{
	const char *owner = a->addr ? view_owner(v, a->addr) : NULL;
	bool here = a->addr && !v->carriers && (a->addr->local || a->addr->problem);

	return owner && !here ? owner : appearance_state(v, a);
}

static void rows_add(struct bindings *out, const struct record *rec, const char *place,
		     const struct binding *b, const struct appearances *list)
{
	const struct view *v = out->view;
	__cleanup_free char *pod = mem_printf("%s/%s", rec->namespace, rec->pod);
	__cleanup_free char *policies = policies_text(v->compiled, b);
	__cleanup_free char *cut = out->ctl->wide ? mem_strdup(policies)
						  : text_cut(policies, POLICIES_WIDTH);
	const char *cells[7] = {pod, place, cut};

	if (!list->n)
		table_row(out->table, cells);
	for (size_t i = 0; i < list->n; i++) {
		const struct appearance *a = &list->items[i];
		__cleanup_free char *holds = holds_text(out, rec, a->addr);

		cells[3] = a->addr ? addr_str(a->addr->addr) : NULL;
		cells[4] = a->gateway;
		cells[5] = owner_text(v, a);
		cells[6] = holds;
		table_row(out->table, cells);
		cells[0] = cells[1] = cells[2] = "\"";
	}
}

static struct json *object_of(const struct bindings *out, const struct record *rec,
			      const struct binding *b, const struct appearances *list)
{
	const struct view *v = out->view;
	struct json *o = json_new_object(), *policies = json_new_array(), *addrs = json_new_array();

	for (size_t i = 0; i < b->n; i++)
		json_append(policies, json_new_string(policy_title(
					      compiled_policy(v->compiled, b->policies[i]))));
	for (size_t i = 0; i < rec->n_addrs; i++)
		json_append(addrs, json_new_string(addr_str(rec->addrs[i])));
	json_set(o, "namespace", json_new_string(rec->namespace));
	json_set(o, "pod", json_new_string(rec->pod));
	json_set(o, "interface", json_new_string(rec->ifname));
	json_set(o, "containerID", json_new_string(rec->container_id));
	json_set(o, "hostInterface", json_new_string(rec->host_ifname));
	json_set(o, "addresses", addrs);
	json_set(o, "policies", policies);
	json_set(o, "identities", appearances_json(out, rec, list));
	return o;
}

void bindings_open(struct bindings *out, const struct ctl *ctl, const struct view *v,
		   const char *place, const struct json *shares)
{
	const char *const head[] = {"POD",     place,	"POLICIES", "ADDRESS",
				    "GATEWAY", "OWNER", "HOLDS"};

	*out = (struct bindings){.ctl = ctl,
				 .view = v,
				 .table = table_new(head, shares ? 7 : 6),
				 .list = json_new_array(),
				 .shares = shares};
}

void bindings_add(struct bindings *out, const struct record *rec, const char *node)
{
	__cleanup(pod_subject_done) struct pod_info pod = {0};
	__cleanup(binding_done) struct binding b = {0};
	struct appearances list = {.n = 0};
	struct json *o;

	pod_subject(&out->view->image, rec, &pod);
	if (policy_resolve(out->view->compiled, &pod, &b) < 0)
		return;
	out->n++;
	out->n_bound += b.n > 0;
	appearances_get(&list, out->view->compiled, &b, &pod);
	if (!node || b.n || out->ctl->wide)
		rows_add(out, rec, node ?: rec->ifname, &b, &list);
	o = object_of(out, rec, &b, &list);
	if (node)
		json_set(o, "node", json_new_string(node));
	json_append(out->list, o);
}

void bindings_print(struct bindings *out)
{
	if (out->ctl->json)
		ctl_print_json(out->list);
	else
		table_print(out->table);
}

void bindings_done(struct bindings *out)
{
	table_free(out->table);
	json_free(out->list);
}

/* NULL: there are no limits, or nobody says what is held of them. */
static struct json *shares_ask(const struct ctl *ctl, const struct view *v)
{
	struct json *answer = NULL;
	struct err e = {0};

	if (!any_limits(v))
		return NULL;
	if (daemon_ask_op(ctl, "shares", &answer, &e) == 0)
		return answer;
	fprintf(stderr, "sluicectl: what pods hold of their limits is not known: %s\n", e.msg);
	return NULL;
}

static int run(struct ctl *ctl)
{
	__cleanup_json struct json *shares = NULL;
	__cleanup(bindings_done) struct bindings out = {0};
	__cleanup(view_done) struct view v = {0};
	struct err e = {0};

	if (view_open(&ctl->conf, time(NULL), &v, &e) < 0)
		return ctl_fail(&e);
	if (v.records_err.code && v.records_err.code != -ENOENT)
		return ctl_fail(&v.records_err);
	view_warn(&v, &ctl->conf);
	shares = shares_ask(ctl, &v);
	bindings_open(&out, ctl, &v, "INTERFACE", json_get(shares, "shares"));
	for (size_t i = 0; i < v.n_records; i++)
		if (!ctl->namespace || strcmp(v.records[i]->namespace, ctl->namespace) == 0)
			bindings_add(&out, v.records[i], NULL);
	bindings_print(&out);
	return CTL_OK;
}

const struct verb verb_bindings = {
	.name = "bindings",
	.run = run,
	.help = "bindings [OPTION]…\n"
		"pods, their policies, and the egress addresses they use\n"
		"\n"
		"  -n, --namespace NS   only pods of that namespace\n"
		"\n"
		"OWNER is the node that carries the address, \"local\" for this one, or why "
		"nobody\n"
		"does. A pod without policies uses the node's address; for a cluster only -o wide\n"
		"lists those. HOLDS, where gateways have limits and the daemon answers, is what\n"
		"the pod has of an address, and what it may have.\n"
		"\n",
};
