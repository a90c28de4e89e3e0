/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status, of a cluster: a line for each node, from what the API has: the nodes, the DaemonSet's
 * pods, what gateways say in their status, and who holds the Lease by which status is written.
 * What may not be read is left out and said.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../sluicectl/text.h"
#include "base/mem.h"
#include "cluster.h"
#include "conditions.h"
#include "nodes.h"
#include "policy/doc.h"

#define NAMESPACE	"sluice-system" /* where no pod of the daemon says another one */
#define LEASE_FRESH_S	20
#define ADDRESSES_SHOWN 2

/* The objects of a kind: how many there are, and what is wrong with some. */
struct kind {
	const char *name;
	struct node_lines *nodes; /* that have its addresses; NULL: it has none */
	size_t n, good, unjudged;
	struct json *problems; /* {object, reason, message} */
};

enum { GATEWAYS, CLUSTER_POLICIES, POLICIES, N_KINDS };
/* What is asked, in this order. */
enum { ASK_NODES = N_KINDS, ASK_PODS, N_ASKS };

struct seen {
	struct node_lines nodes;
	struct kind kinds[N_KINDS];
	struct json *lease;
	bool may_pods;
};

static void seen_done(struct seen *s)
{
	node_lines_done(&s->nodes);
	for (size_t i = 0; i < N_KINDS; i++)
		json_free(s->kinds[i].problems);
	json_free(s->lease);
}

/* ---- reading ---- */

static void on_node(void *data, const struct json *o)
{
	nodes_add_node(data, o);
}

static void on_pod(void *data, const struct json *o)
{
	nodes_add_pod(data, o);
}

static void on_begin(void *data)
{
	struct kind *k = data;

	json_free(k->problems);
	k->problems = json_new_array();
	k->n = k->good = k->unjudged = 0;
	if (k->nodes)
		nodes_forget_addresses(k->nodes);
}

static void problem_add(struct kind *k, const struct json *o, const struct json *c)
{
	const struct json *meta = json_get(o, "metadata");
	const char *namespace = text_of(meta, "namespace");
	__cleanup_free char *title = mem_printf("%s %s%s%s", k->name, namespace ?: "",
						namespace ? "/" : "", text_of(meta, "name"));
	struct json *problem = json_new_object();

	json_set(problem, "object", json_new_string(title));
	json_set(problem, "reason", json_new_string(text_of(c, "reason")));
	json_set(problem, "message", json_new_string(text_of(c, "message")));
	json_append(k->problems, problem);
}

static void on_object(void *data, const struct json *o)
{
	const struct json *accepted = condition_of(o, "Accepted"),
			  *ready = condition_of(o, "Ready");
	struct kind *k = data;

	k->n++;
	if (k->nodes)
		nodes_add_gateway(k->nodes, o);
	if (!accepted || !ready || condition_is_stale(o, accepted))
		k->unjudged++;
	else if (!condition_is(accepted, "True"))
		problem_add(k, o, accepted);
	else if (!condition_is(ready, "True"))
		problem_add(k, o, ready);
	else
		k->good++;
}

static const char *daemon_namespace(const struct seen *s)
{
	for (size_t i = 0; i < s->nodes.n; i++)
		if (s->nodes.list[i].namespace)
			return s->nodes.list[i].namespace;
	return NAMESPACE;
}

static void lease_read(struct api *a, struct seen *s)
{
	__cleanup_free char *path = mem_printf(
		"/apis/coordination.k8s.io/v1/namespaces/%s/leases/sluiced", daemon_namespace(s));
	struct err e = {0};

	if (api_get(a, path, &s->lease, &e) < 0 && e.code != -ENOENT)
		ctl_warn("not known who writes status: %s", e.msg);
}

/* Gateways are needed; without nodes and pods there is less to be told. */
static int seen_read(struct api *a, struct seen *s)
{
	static const char *const paths[N_KINDS] = {API_OURS "egressgateways",
						   API_OURS "clusteregresspolicies",
						   API_OURS "egresspolicies"};
	static const char *const names[N_KINDS] = {"EgressGateway", "ClusterEgressPolicy",
						   "EgressPolicy"};
	struct api_ask asks[N_ASKS] = {
		[ASK_NODES] = {.path = "/api/v1/nodes", .object = on_node, .data = &s->nodes},
		[ASK_PODS] = {.path = "/api/v1/pods",
			      .query = API_DAEMONS,
			      .object = on_pod,
			      .data = &s->nodes},
	};
	struct err e = {0};
	int r;

	for (size_t i = 0; i < N_KINDS; i++) {
		s->kinds[i] = (struct kind){.name = names[i], .problems = json_new_array()};
		asks[i] = (struct api_ask){.path = paths[i],
					   .begin = on_begin,
					   .object = on_object,
					   .data = &s->kinds[i]};
	}
	s->kinds[GATEWAYS].nodes = &s->nodes;
	r = api_ask(a, asks, N_ASKS, &e);
	if (r < 0 && (r != -EACCES || asks[GATEWAYS].code))
		return api_fail(asks, N_ASKS, &e);
	if (r < 0)
		api_fail(asks, N_ASKS, &e);
	s->may_pods = !asks[ASK_PODS].code;
	node_lines_sort(&s->nodes);
	lease_read(a, s);
	return CTL_OK;
}

/* ---- judging ---- */

/* Its holder; NULL: nobody holds it. *ret_age: seconds since it was renewed. */
static const char *leader_of(const struct seen *s, int64_t *ret_age)
{
	const struct json *spec = json_get(s->lease, "spec");
	const char *renewed = text_of(spec, "renewTime"), *holder = text_of(spec, "holderIdentity");
	char seconds[32];
	int64_t t;

	/* "2026-01-31T09:00:00.123456Z" */
	snprintf(seconds, sizeof(seconds), "%.19sZ", renewed ?: "");
	*ret_age = doc_moment(seconds, &t) ? time(NULL) - t : INT64_MAX;
	return holder && *holder ? holder : NULL;
}

static bool is_leader(const struct seen *s, const char *node)
{
	int64_t age;
	const char *leader = leader_of(s, &age);

	return leader && strcmp(leader, node) == 0;
}

static bool all_good(const struct seen *s)
{
	int64_t age;
	bool good = leader_of(s, &age) && age < LEASE_FRESH_S;

	for (size_t i = 0; i < N_KINDS; i++)
		good = good && s->kinds[i].good == s->kinds[i].n;
	for (size_t i = 0; s->may_pods && i < s->nodes.n; i++)
		good = good && node_line_good(&s->nodes.list[i]);
	return good;
}

/* ---- telling ---- */

static struct json *count_json(const struct kind *k, size_t n)
{
	struct json *o = json_new_object();
	size_t all = 0, good = 0;

	for (size_t i = 0; i < n; i++) {
		all += k[i].n;
		good += k[i].good;
	}
	json_set(o, "count", json_new_int((int64_t)all));
	json_set(o, "inForce", json_new_int((int64_t)good));
	return o;
}

static struct json *status_json(const struct seen *s, const char *server)
{
	struct json *o = json_new_object(), *nodes = json_new_array(), *problems = json_new_array();
	const char *leader;
	int64_t age;

	for (size_t i = 0; i < s->nodes.n; i++)
		json_append(nodes, node_line_json(&s->nodes.list[i], s->may_pods,
						  is_leader(s, s->nodes.list[i].name)));
	for (size_t i = 0; i < N_KINDS; i++)
		for (size_t k = 0; k < json_len(s->kinds[i].problems); k++)
			json_append(problems, json_dup(json_at(s->kinds[i].problems, k)));
	leader = leader_of(s, &age);
	json_set(o, "server", json_new_string(server));
	json_set(o, "ready", json_new_bool(all_good(s)));
	json_set(o, "statusWrittenBy", json_new_string(leader));
	json_set(o, "statusRenewedSecondsAgo",
		 leader && age != INT64_MAX ? json_new_int(age) : json_new_null());
	json_set(o, "gateways", count_json(&s->kinds[GATEWAYS], 1));
	json_set(o, "policies", count_json(&s->kinds[CLUSTER_POLICIES], 2));
	json_set(o, "nodes", nodes);
	json_set(o, "problems", problems);
	return o;
}

static char *addresses_text(const struct node_line *n, bool all)
{
	char *s = mem_strdup("");

	for (size_t i = 0; i < n->n_addresses; i++) {
		size_t left = n->n_addresses - i;
		bool cut = !all && i == ADDRESSES_SHOWN && left > 1;
		char *longer = cut ? mem_printf("%s and %zu more", s, left)
				   : mem_printf("%s%s%s", s, i ? "," : "", n->addresses[i]);

		free(s);
		s = longer;
		if (cut)
			break;
	}
	return s;
}

static char *daemon_text(const struct node_line *n)
{
	if (!n->daemon)
		return mem_strdup(n->other_system ? "not on its system" : "none");
	return n->daemon_ready ? mem_strdup("ready")
			       : mem_printf("not ready: %s", n->reason ?: "?");
}

static void node_print(struct table *t, const struct seen *s, const struct node_line *n, bool wide)
{
	__cleanup_free char *addresses = addresses_text(n, wide), *daemon = daemon_text(n);
	__cleanup_free char *restarts = mem_printf("%lld", (long long)n->restarts);
	__cleanup_free char *version = text_cut(n->version ?: "", wide ? 100 : 16);
	const char *cells[8] = {n->name,
				!n->listed	 ? "?"
				: !n->ready	 ? "not ready"
				: n->schedulable ? "ready"
						 : "cordoned",
				s->may_pods ? daemon : "?", version};
	size_t i = 4;

	if (wide) {
		cells[i++] = n->image;
		cells[i++] = n->pod;
		cells[i++] = restarts;
	}
	cells[i] = addresses;
	table_row(t, cells);
}

static void nodes_print(const struct seen *s, bool wide)
{
	static const char *const narrow[] = {"NODE", "STATE", "DAEMON", "VERSION", "ADDRESSES"};
	static const char *const all[] = {"NODE",  "STATE", "DAEMON",	"VERSION",
					  "IMAGE", "POD",   "RESTARTS", "ADDRESSES"};
	__cleanup(table_freep) struct table *t = wide ? table_new(all, 8) : table_new(narrow, 5);

	for (size_t i = 0; i < s->nodes.n; i++)
		node_print(t, s, &s->nodes.list[i], wide);
	if (s->nodes.n) {
		putchar('\n');
		table_print(t);
	}
}

static void count_print(const char *what, const struct kind *k, size_t n)
{
	size_t all = 0, good = 0, unjudged = 0;

	for (size_t i = 0; i < n; i++) {
		all += k[i].n;
		good += k[i].good;
		unjudged += k[i].unjudged;
	}
	printf("%s%zu, %zu in force", what, all, good);
	if (unjudged)
		printf(", %zu not judged yet", unjudged);
	putchar('\n');
}

static void print(const struct seen *s, const char *server, bool wide)
{
	const char *leader;
	char ago[AGO_MAX];
	bool first = true;
	int64_t age;

	leader = leader_of(s, &age);
	printf("cluster     %s\nready       %s\n", server, all_good(s) ? "yes" : "no");
	count_print("gateways    ", &s->kinds[GATEWAYS], 1);
	count_print("policies    ", &s->kinds[CLUSTER_POLICIES], 2);
	if (!leader)
		puts("status      nobody writes it");
	else
		printf("status      written by %s, who said so %s ago%s\n", leader,
		       age == INT64_MAX ? "?" : ago_text(age, ago),
		       age < LEASE_FRESH_S ? "" : ": it is not to be relied on");
	nodes_print(s, wide);
	for (size_t i = 0; i < N_KINDS; i++)
		for (size_t k = 0; k < json_len(s->kinds[i].problems); k++) {
			const struct json *p = json_at(s->kinds[i].problems, k);

			printf("%s%s: %s: %s\n", first ? "\n" : "", text_of(p, "object"),
			       text_of(p, "reason") ?: "?", text_of(p, "message") ?: "?");
			first = false;
		}
}

int cluster_status(struct ctl *ctl)
{
	__cleanup(seen_done) struct seen s = {0};
	__cleanup_json struct json *o = NULL;
	__cleanup_api struct api *a = NULL;
	struct err e = {0};
	int r;

	if (api_open(ctl, &a, &e) < 0)
		return ctl_fail(&e);
	r = seen_read(a, &s);
	if (r != CTL_OK)
		return r;
	if (ctl->json) {
		o = status_json(&s, api_server(a));
		ctl_print_json(o);
	} else {
		print(&s, api_server(a), ctl->wide);
	}
	return all_good(&s) ? CTL_OK : CTL_NOT_READY;
}
