/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folder + node → compiled policies. Compiled anew only when the folder, the node's
 * addresses or the cluster's prefixes changed; a compile that fails leaves the last
 * one, with the documents it was made of, in force.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/priv.h"

/*
 * Where objects come from. A run of --once by a plugin is not told of an API, and has no
 * time to ask it: it goes by what the daemon left.
 */
int origin_open(struct reconcile *r, struct err *e)
{
	int state_fd = journal_state_dirfd(r->journal);

	if (!daemon_conf_from_api(r->conf) && !objects_logged(state_fd))
		return 0;
	return objects_new(state_fd, true, &r->policies.objects, e);
}

struct objects *reconcile_objects(struct reconcile *r)
{
	return r->policies.objects;
}

struct image subjects_image(const struct reconcile *r)
{
	return image_of(r->compiled, !r->policies.fingerprint);
}

static bool cidrs_said(const struct reconcile *r)
{
	const struct doc_set *set = r->policies.set;

	if (r->conf->n_cluster_cidrs)
		return true;
	for (size_t i = 0; i < set->n_configs; i++)
		if (set->configs[i].n_cluster_cidrs)
			return true;
	for (size_t i = 0; i < set->n_nodes; i++)
		if (set->nodes[i].n_pod_cidrs)
			return true;
	return false;
}

static uint64_t hash_cidr_list(const struct cidr *list, size_t n, uint64_t h)
{
	for (size_t i = 0; i < n; i++) {
		h = hash_bytes(list[i].addr.b, sizeof(list[i].addr.b), h);
		h = hash_bytes(&list[i].len, sizeof(list[i].len), h);
	}
	return h;
}

/* Nobody said, nothing shows: sluice0's own address, which is inside for sure. */
static const struct cidr *nothing_inside(size_t *ret_n)
{
	static struct cidr own;

	cidr_parse("169.254.83.1/32", &own);
	*ret_n = 1;
	return &own;
}

/* To the second: time() may still tell the one before. */
static int64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

/* A schedule has begun or ended to hold, or the clock was set back. */
static bool schedule_due(const struct reconcile *r)
{
	int64_t now = clock_now();

	return now >= r->edge || now < r->compiled_at;
}

static void compiled_replace(struct reconcile *r, struct compiled *c)
{
	for (size_t i = 0; i < r->n_progs; i++) {
		binding_done(&r->progs[i].binding); /* its indexes were the old list's */
	}
	for (size_t i = 0; i < r->n_pods; i++)
		r->pods[i].resolved = false;
	free(r->name_ids);
	r->name_ids = NULL;
	compiled_free(r->compiled);
	r->compiled = c;
	r->compiled_serial++;
	doc_set_free(r->held_set);
	r->held_set = NULL;
}

static bool is_here(const struct reconcile *r, struct addr a)
{
	for (size_t i = 0; i < r->node->n_addrs; i++)
		if (addr_eq(r->node->addrs[i].addr, a) && !r->node->addrs[i].ours)
			return true;
	return false;
}

static bool node_is_here(const struct reconcile *r, const struct doc_node *n)
{
	for (size_t i = 0; i < n->n_addrs; i++)
		if (n->addrs[i].internal && is_here(r, n->addrs[i].addr))
			return true;
	return false;
}

/*
 * The Node object of the configured name. If there is none, the one whose InternalIP
 * this node has: a run of --once by the plugin knows no name but the host's.
 */
static const char *own_name(const struct reconcile *r)
{
	const struct doc_set *set = r->policies.set;
	const char *found = r->conf->node_name;
	size_t n = 0;

	for (size_t i = 0; i < set->n_nodes; i++)
		if (strcmp(set->nodes[i].meta.name, r->conf->node_name) == 0)
			return r->conf->node_name;
	for (size_t i = 0; i < set->n_nodes; i++)
		if (node_is_here(r, &set->nodes[i])) {
			found = set->nodes[i].meta.name;
			n++;
		}
	return n == 1 ? found : r->conf->node_name;
}

static void name_refresh(struct reconcile *r)
{
	const char *name = own_name(r);

	if (r->node_name && strcmp(r->node_name, name) == 0)
		return;
	if (strcmp(name, r->conf->node_name) != 0)
		log_info("node found by its address", "node=%s configured=%s", name,
			 r->conf->node_name);
	free(r->node_name);
	r->node_name = mem_strdup(name);
	r->compiled_inputs = 0;
}

static int compile_now(struct reconcile *r, const struct cidr *cidrs, size_t n, struct err *e)
{
	struct node_view view = {
		.name = r->node_name,
		.ifaces = r->node->ifaces,
		.n_ifaces = r->node->n_ifaces,
		.cluster_cidrs = cidrs,
		.n_cluster_cidrs = n,
		.now = clock_now(),
	};
	struct compiled *c = NULL;
	int rc;

	membership_view(r->membership, r->node, &view);
	view.holdings = r->holdings.list;
	view.n_holdings = r->holdings.n;
	rc = policy_compile_again(r->policies.set, &view, r->compiled, &c, e);
	if (rc < 0)
		return rc;
	compiled_replace(r, c);
	r->compiled_at = view.now;
	r->edge = compiled_next_edge(c);
	log_info("policies compiled", "policies=%zu digest=%016llx", compiled_policy_count(c),
		 (unsigned long long)compiled_digest(c));
	return 0;
}

/* A pod whose interface is there is who it was. */
static bool pod_is_here(void *data, const char *namespace, const char *name)
{
	const struct reconcile *r = data;

	for (size_t i = 0; i < r->n_pods; i++) {
		const struct record *rec = r->pods[i].rec;

		if (!r->pods[i].dead && rec->namespace && rec->pod &&
		    strcmp(rec->namespace, namespace) == 0 && strcmp(rec->pod, name) == 0)
			return true;
	}
	return false;
}

static int policies_look(struct reconcile *r, struct err *e)
{
	struct doc_set *old = NULL;
	int rc;

	if (r->policies.objects)
		objects_sweep(r->policies.objects, pod_is_here, r);
	rc = policies_refresh(&r->policies, r->conf->policy_dir, journal_state_dirfd(r->journal),
			      &old, e);

	if (rc <= 0)
		return rc;
	if (r->compiled && !r->held_set)
		r->held_set = old;
	else
		doc_set_free(old);
	r->compiled_inputs = 0;
	return 1;
}

static uint64_t inputs_digest(struct reconcile *r, const struct cidr *cidrs, size_t n)
{
	const uint64_t view[] = {membership_serial(r->membership), holdings_look(r)};
	uint64_t h = hash_bytes(&r->node->digest, sizeof(uint64_t), 1);

	return hash_cidr_list(cidrs, n, hash_bytes(view, sizeof(view), h)) | 1;
}

/* 0 = as it was, 1 = compiled anew. */
int compile_refresh(struct reconcile *r, struct err *e)
{
	__cleanup_free struct cidr *derived = NULL;
	const struct cidr *cidrs = r->conf->cluster_cidrs;
	size_t n = r->conf->n_cluster_cidrs, n_records = 0;
	__cleanup_free struct record **records = NULL;
	uint64_t inputs, held;
	int rc;

	rc = policies_look(r, e);
	if (rc < 0)
		return rc;
	if (!r->policies.set) {
		if (e)
			*e = r->policies.err;
		return -EINVAL;
	}
	name_refresh(r);
	r->cidrs_derived = !cidrs_said(r);
	if (r->cidrs_derived) {
		records = mem_alloc0(r->n_pods * sizeof(*records));
		for (size_t i = 0; i < r->n_pods; i++)
			if (!r->pods[i].dead)
				records[n_records++] = r->pods[i].rec;
		node_derive_cidrs(r->node, records, n_records, &derived, &n);
		cidrs = n ? derived : nothing_inside(&n);
	}
	inputs = inputs_digest(r, cidrs, n);
	if (r->compiled && inputs == r->compiled_inputs &&
	    r->compiled_fingerprint == r->policies.fingerprint && !schedule_due(r))
		return 0;
	rc = compile_now(r, cidrs, n, e);
	if (rc == 0 && membership_configure(r->membership, r->compiled, r->node_name, r->node))
		rc = compile_now(r, cidrs, n, e);
	held = r->holdings.digest;
	if (rc == 0 && holdings_look(r) != held) /* a gateway has just become not ready */
		rc = compile_now(r, cidrs, n, e);
	if (rc < 0)
		return rc;
	r->compiled_inputs = inputs_digest(r, cidrs, n);
	r->compiled_fingerprint = r->policies.fingerprint;
	return 1;
}

int64_t reconcile_edge(const struct reconcile *r)
{
	return r->compiled ? r->edge : INT64_MAX;
}
