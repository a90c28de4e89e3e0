/* SPDX-License-Identifier: Apache-2.0 */
/* What people and sluicectl are told. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bpf/maps.h"
#include "install/install.h"
#include "reconcile/priv.h"

static void condition_add(struct json *list, const char *type, bool yes, const char *reason,
			  const char *message)
{
	struct json *o = json_new_object();

	json_set(o, "type", json_new_string(type));
	json_set(o, "status", json_new_string(yes ? "True" : "False"));
	json_set(o, "reason", json_new_string(reason));
	json_set(o, "message", json_new_string(message));
	json_append(list, o);
}

enum { LOCAL, PENDING, CONFLICT, LEAVING, REMOTE, UNASSIGNED };

const char *const address_states[ADDRESS_STATES] = {
	[LOCAL] = "Local",     [PENDING] = "Pending", [CONFLICT] = "Conflict",
	[LEAVING] = "Leaving", [REMOTE] = "Remote",   [UNASSIGNED] = "Unassigned",
};

static const struct claim *claim_of(const struct reconcile *r, const struct egress_addr *a)
{
	return a->assign || !a->local ? claims_find(&r->claims, a->addr) : NULL;
}

const char *address_state(const struct reconcile *r, const struct egress_addr *a)
{
	const struct claim *k = claim_of(r, a);

	if (a->problem || !a->owner)
		return address_states[UNASSIGNED];
	if (!a->local)
		return address_states[k && k->leaves ? LEAVING : REMOTE];
	if (k && k->state == CLAIM_CONFLICT)
		return address_states[CONFLICT];
	return address_states[!k || k->state == CLAIM_HELD ? LOCAL : PENDING];
}

static struct json *limits_emit(const struct doc_limits *l)
{
	struct json *o = json_new_object();

	if (l->connections)
		json_set(o, "connectionsPerPod", json_new_int(l->connections));
	if (l->ports)
		json_set(o, "portsPerPod", json_new_int(l->ports));
	return o;
}

static struct json *address_emit(const struct reconcile *r, const struct egress_addr *a)
{
	const struct claim *k = claim_of(r, a);
	const char *state = address_state(r, a), *also = rivals_find(&r->rivals, a->addr);
	__cleanup_free char *twice = also ? mem_printf("%s has it, too, and lets go", also) : NULL;
	struct json *o = json_new_object();

	json_set(o, "address", json_new_string(addr_str(a->addr)));
	json_set(o, "gateway", json_new_string(a->gateway));
	json_set(o, "owner", json_new_string(a->owner));
	json_set(o, "state", json_new_string(state));
	if (a->interface)
		json_set(o, "interface", json_new_string(a->interface));
	if (a->limits.connections || a->limits.ports)
		json_set(o, "limits", limits_emit(&a->limits));
	address_tenure_emit(r, a, o);
	if (also)
		json_set(o, "alsoOn", json_new_string(also));
	if (a->problem)
		json_set(o, "problem",
			 json_new_string(a->owner ? "no interface of this node is in its subnet"
						  : "no node is a candidate, or has room for it"));
	else if (twice || (k && k->problem[0]))
		json_set(o, "problem", json_new_string(twice ?: k->problem));
	return o;
}

static struct json *addresses_emit(const struct reconcile *r)
{
	struct json *list = json_new_array();
	const struct egress_addr *addrs;
	size_t n = 0;

	addrs = r->compiled ? compiled_addrs(r->compiled, &n) : NULL;
	for (size_t i = 0; i < n; i++)
		if (!addrs[i].spare)
			json_append(list, address_emit(r, &addrs[i]));
	return list;
}

static bool addresses_conflict(const struct reconcile *r)
{
	const struct egress_addr *addrs;
	size_t n = 0;

	addrs = r->compiled ? compiled_addrs(r->compiled, &n) : NULL;
	for (size_t i = 0; i < n; i++) {
		const struct claim *k = addrs[i].assign && !addrs[i].spare
						? claims_find(&r->claims, addrs[i].addr)
						: NULL;

		if (k && k->state == CLAIM_CONFLICT)
			return true;
	}
	return false;
}

/* Not a matter of being ready: what is open goes on, and there is room elsewhere. */
static void room_emit(const struct reconcile *r, struct json *list)
{
	const struct usage *u = &r->usage;
	char text[160] = "less than 80 % of ports and of the kernel's table are in use";
	bool full = u->max && usage_near((uint64_t)u->count, (uint64_t)u->max);

	if (full)
		snprintf(text, sizeof(text),
			 "%" PRId64 " of %" PRId64 " connections that the kernel has room for",
			 u->count, u->max);
	for (size_t i = 0; i < u->n && !full; i++) {
		const struct usage_addr *a = &u->list[i];

		full = usage_near(a->ports, USAGE_PORTS);
		if (full)
			snprintf(text, sizeof(text), "%" PRIu64 " of %d ports of %s towards %s",
				 a->ports, USAGE_PORTS, addr_str(a->addr), addr_str(a->remote));
	}
	condition_add(list, "RoomForConnections", !full, full ? "NearlyFull" : "Enough", text);
}

static void way_emit(const struct reconcile *r, struct json *list)
{
	char name[32] = "", text[160] = "no other way out than the default route's is checked";
	bool strict = ways_strict(r, name, sizeof(name));

	if (strict)
		snprintf(text, sizeof(text),
			 "rp_filter of %s is strict: answers that come there are dropped; set "
			 "net.ipv4.conf.%s.rp_filter=2",
			 name, name);
	condition_add(list, "AnswersAccepted", !strict, strict ? "StrictReversePath" : "Accepted",
		      text);
}

/* What has no room is dropped, whatever else there is; never sent as somebody else. */
static void numbers_emit(const struct reconcile *r, struct json *list)
{
	char text[256] = "every address, and every table of spread: Connection, has its place";
	const struct identity *ids, *none = NULL;
	size_t n = 0, without = r->desired ? r->desired->n_without_id : 0, left = 0;

	ids = r->compiled ? compiled_identities(r->compiled, &n) : NULL;
	for (size_t i = 0; i < n; i++)
		if (identity_has_no_room(&ids[i])) {
			none = none ?: &ids[i];
			left++;
		}
	if (none)
		snprintf(text, sizeof(text),
			 "%zu policies have no room for their addresses, the first one those of "
			 "gateway %.64s: more than %d places in tables of gateways with spread: "
			 "Pod or Connection; what needs them is dropped (no-id)",
			 left, none->gateway, SLU_MAX_PICKS);
	else if (without)
		snprintf(text, sizeof(text),
			 "%zu addresses beyond the %d that a node can tell apart: what needs them "
			 "is dropped (no-id)",
			 without, SLU_ID_MAX - SLU_ID_FIRST);
	condition_add(list, "RoomForAddresses", !none && !without,
		      none || without ? "Full" : "Enough", text);
}

static void keys_emit(const struct reconcile *r, struct json *list)
{
	const char *problem = membership_keys_problem(r->membership);

	if (r->membership && r->conf->gateway_key_file)
		condition_add(list, "GatewayKeysRead", !problem,
			      problem ? "KeysOfBeforeInForce" : "Read",
			      problem ?: "the keys of gatewayKeyFile are in force");
}

/*
 * The device on which kube-proxy has Services' addresses in ipvs mode: packets to them are
 * delivered here and translated then, behind the rules that hold translations to what was judged.
 */
#define IPVS_DEVICE "kube-ipvs0"

static void proxy_emit(const struct reconcile *r, struct json *list)
{
	if (r->node && node_link_name(r->node, IPVS_DEVICE))
		condition_add(list, "ServicesJudged", false, "Ipvs",
			      "kube-proxy is in ipvs mode (" IPVS_DEVICE "): what pods send to a "
			      "Service whose endpoints lie outside is held to no policy; use its "
			      "iptables or nftables mode, or have no such Services");
}

/* Where the daemon keeps the list, a node is ready only when new pods go through it. */
static bool chain_emit(const struct reconcile *r, struct json *list)
{
	struct chain_verdict v;

	if (!r->conf->cni_conf_dir)
		return true;
	install_in_force(r->conf, &v);
	condition_add(list, "ChainInForce", v.in_force, v.reason, v.message);
	return v.in_force;
}

/* What an API said stays in force without it; but nobody knows what it would say now. */
static bool api_emit(const struct reconcile *r, struct json *list)
{
	const struct objects *o = r->policies.objects;
	const char *trouble = o ? objects_troubled(o) : NULL;
	bool told = o && objects_all_synced(o);

	if (!o)
		return true;
	condition_add(list, "ObjectsTold", told,
		      trouble ? "NotReached"
		      : told  ? "Told"
			      : "Waiting",
		      trouble
			      ?: told ? "the API tells all that happens"
				      : "the API has not told all objects since the start");
	return told;
}

struct json *node_conditions(const struct reconcile *r, bool *ret_ready)
{
	struct json *list = json_new_array();
	bool conflict = addresses_conflict(r);
	const char *why = "every object of the node is as it must be";
	bool kernel = r->last_ok_at && r->err.code == 0;
	bool policies = r->policies.set && !r->policies.err.code;
	bool chain, told;

	condition_add(list, "PoliciesAccepted", policies,
		      policies		? "Valid"
		      : r->policies.set ? "LastGoodInForce"
					: "Invalid",
		      policies ? "all objects are valid" : r->policies.err.msg);
	condition_add(list, "KernelInSync", kernel, kernel ? "InSync" : "Failed",
		      kernel ? why : r->err.msg);
	condition_add(list, "ClusterCIDRsKnown", !r->cidrs_derived,
		      r->cidrs_derived ? "Derived" : "Said",
		      r->cidrs_derived
			      ? "from bridges and pods of this node: set clusterCIDRs where pods "
				"of other nodes use its gateways"
			      : "set by configuration or objects");
	condition_add(list, "AddressesHeld", !conflict, conflict ? "Conflict" : "Held",
		      conflict ? "somebody else has an address of this node" : "no conflict");
	room_emit(r, list);
	way_emit(r, list);
	numbers_emit(r, list);
	keys_emit(r, list);
	proxy_emit(r, list);
	condition_add(list, "ForwardAccepted", !r->forward_drop[0],
		      r->forward_drop[0] ? "PolicyDrop" : "Accept", r->forward_drop);
	chain = chain_emit(r, list);
	told = api_emit(r, list);
	*ret_ready = kernel && policies && !conflict && !r->forward_drop[0] && chain && told;
	return list;
}

bool condition_counts(const char *type)
{
	static const char *const types[] = {
		"KernelInSync",	   "PoliciesAccepted", "AddressesHeld",
		"ForwardAccepted", "ChainInForce",     "ObjectsTold",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

bool reconcile_takes_pods(const struct reconcile *r)
{
	struct chain_verdict v = {.in_force = true};

	if (r->conf->cni_conf_dir)
		install_in_force(r->conf, &v);
	return v.in_force && r->last_ok_at && r->err.code == 0 &&
	       (!r->policies.objects || objects_all_synced(r->policies.objects));
}

void pods_count(const struct reconcile *r, struct pods_count *ret)
{
	*ret = (struct pods_count){0};
	for (size_t i = 0; i < r->n_pods; i++) {
		const struct pod *p = &r->pods[i];

		if (p->dead)
			continue;
		ret->all++;
		ret->governed += p->key != 0;
		ret->quarantined += p->key == 0 && (p->flags & SLU_POD_QUARANTINE);
	}
}

struct json *reconcile_status(struct reconcile *r)
{
	struct json *o = json_new_object(), *conditions;
	struct pods_count pods;
	bool ready;

	pods_count(r, &pods);
	conditions = node_conditions(r, &ready);
	json_set(o, "v", json_new_int(1));
	json_set(o, "ok", json_new_bool(true));
	json_set(o, "node", json_new_string(r->node_name ? r->node_name : r->conf->node_name));
	json_set(o, "version", json_new_string(SLUICE_VERSION));
	json_set(o, "ready", json_new_bool(ready));
	json_set(o, "generation", json_new_int((int64_t)r->generation));
	json_set(o, "policies",
		 json_new_int(r->compiled ? (int64_t)compiled_policy_count(r->compiled) : 0));
	json_set(o, "pods", json_new_int((int64_t)pods.all));
	json_set(o, "governed", json_new_int((int64_t)pods.governed));
	json_set(o, "programs", json_new_int((int64_t)r->n_progs));
	json_set(o, "conditions", conditions);
	if (r->policies.objects)
		json_set(o, "api", objects_status(r->policies.objects));
	json_set(o, "lastError", r->err.code ? json_new_string(r->err.msg) : json_new_null());
	json_set(o, "addresses", addresses_emit(r));
	json_set(o, "gateways", gateways_status(r));
	return o;
}

void pass_note(struct reconcile *r, int rc, int64_t us)
{
	r->passes.ok += rc >= 0;
	r->passes.failed += rc < 0;
	r->passes.changes += r->changes;
	r->passes.us += us;
	r->passes.last_us = us;
}
