/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open connections over an edit of identity, in the kernel:
 *
 *	before	the pods an edit is about to concern: what is open and would change is
 *		written to the map "kept", then their entries get SLU_POD_KEEP. Nothing
 *		has changed yet: they are kept as what they are
 *	the edit (dataplane/plan)
 *	after	the same look again: what began in between is kept, too, what is not
 *		needed goes, and what is to begin anew is forgotten
 *	later	every few seconds the same look for all that have something kept; and for
 *		all that have a policy when the table was built anew (keep.c says why)
 *
 * The map is the memory: a restart finds it there. Only a flagged pod's entries are
 * believed, since a pod that got the address later was never flagged. When a pod goes,
 * its connections are forgotten, so that nobody inherits what they began as. If
 * conntrack cannot be asked, the edit is made all the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "reconcile/keep_priv.h"

#define CHECK_MS 10000
#define SHARE \
	50 /* a table so large that a look takes long is looked at less often: 2 % of the time */
#define NFT_REBUILT 2	  /* what nft_observe says of a table that is missing, or not as ours is */
#define WATCH_MS    30000 /* after an edit: what was seen half may be seen whole the next time */

/* ---- what is there from before ---- */

static struct dp_pod *pod_in(const struct dp_model *m, const struct pod *p)
{
	const struct dp_pod key = {.a = p->a};

	return m->n_pods ? bsearch(&key, m->pods, m->n_pods, sizeof(key), dp_pod_cmp) : NULL;
}

static bool pod_flagged(const struct dp_model *m, const struct pod *p)
{
	const struct dp_pod *have = pod_in(m, p);

	return have && have->a.pod.flags & SLU_POD_KEEP;
}

static bool owner_stays(const struct kept *e, const void *data)
{
	const struct live *l = keep_live_find(data, slu_addr_get(e->flow.local));

	return l && !l->shared && !l->stranger;
}

/* The first pass: what is there from before, and of whom that is to be believed. */
static int keep_load(struct keep *k, const struct reconcile *r, const struct dp_model *observed)
{
	int rc = keep_map_load(k, r);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < k->n_live; i++)
		k->live[i].stranger = !pod_flagged(observed, &r->pods[k->live[i].pod]);
	k->loaded = true;
	return 0;
}

/* ---- a look at conntrack ---- */

struct look {
	struct reconcile *r;
	struct keep_pod *pods;
	struct addr *sources;
	size_t n;
	struct program **programs; /* made for this look */
	uint64_t *keys;
	size_t n_programs;
	struct keep_sets sets;
	uint32_t names[SLU_MAX_NAMES_AT];
};

static void look_done(struct look *l)
{
	for (size_t i = 0; i < l->n_programs; i++)
		program_free(l->programs[i]);
	free(l->programs);
	free(l->keys);
	free(l->pods);
	free(l->sources);
	keep_sets_done(&l->sets);
}

/* A program that is in the kernel already is made again from its binding. */
static int look_program(struct look *l, const struct pod *p, const struct program **ret)
{
	const struct prog *prog = prog_get(l->r, p->key);
	struct program *made = NULL;

	*ret = prog->program;
	if (*ret)
		return 0;
	for (size_t i = 0; i < l->n_programs; i++)
		if (l->keys[i] == p->key) {
			*ret = l->programs[i];
			return 0;
		}
	if (!prog->binding.n || policy_flatten(l->r->compiled, &prog->binding, &made) < 0)
		return -ENOENT;
	MEM_GROW(l->programs, l->n_programs);
	MEM_GROW(l->keys, l->n_programs);
	l->keys[l->n_programs] = p->key;
	l->programs[l->n_programs++] = made;
	*ret = made;
	return 0;
}

/* Names of an address, by the place of their pattern in compiled_names. */
static const uint32_t *look_names(void *data, uint32_t tenant, struct addr dst, size_t *ret_n)
{
	const struct slu_named_key key = {slu_addr_make(dst), tenant};
	struct look *l = data;
	struct slu_named found;
	size_t n_patterns, n = 0;

	*ret_n = 0;
	if (!l->r->name_ids || bpf_map_lookup(l->r->k.pins, BPF_MAP_NAMED, &key, &found, NULL) < 0)
		return NULL;
	compiled_names(l->r->compiled, &n_patterns);
	for (size_t i = 0; i < SLU_MAX_NAMES_AT; i++)
		for (uint32_t k = 0; found.at[i].name && k < n_patterns; k++)
			if (l->r->name_ids[k] == found.at[i].name)
				l->names[n++] = k;
	*ret_n = n;
	return l->names;
}

static void look_add(struct look *l, struct live *live)
{
	const struct pod *p = &l->r->pods[live->pod];
	struct keep_pod k = {.addr = live->addr,
			     .spread = p->spread,
			     .flags = p->flags,
			     .tenant = p->a.pod.tenant,
			     .stranger = live->stranger,
			     .gap = live->gap};

	if (p->key && look_program(l, p, &k.program) < 0) {
		live->look = false;
		return;
	}
	l->pods[l->n] = k;
	l->sources[l->n++] = live->addr;
}

/* Whether one of them is to go on as the node that was not known to. */
static bool new_as_node(const struct keep_sets *sets, const struct keep *k)
{
	for (size_t i = 0; i < sets->n_open; i++)
		if (sets->open[i].id == 0 && !keep_knows(k, &sets->open[i]))
			return true;
	return false;
}

/* Since this pass observed it; what conntrack told may be of the time after. */
static bool table_gone(struct look *l, const struct keep *k)
{
	const struct dp_model *m = l->r->desired->model;
	struct err e = {0};

	if (!m->nft || nft_observe(l->r->k.nft, &m->nft_model, &e) != NFT_REBUILT)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		struct live *live = keep_live_find(k, l->pods[i].addr);

		live->gap |= live->governed;
		l->pods[i].gap = live->gap;
	}
	return true;
}

/* What conntrack says of all addresses with `look`. */
static int look_make(struct look *l, struct keep *k, struct err *e)
{
	const struct doc_config *conf = compiled_config(l->r->compiled);
	struct keep_in in = {
		.compiled = l->r->compiled,
		.names = look_names,
		.data = l,
		.identities = l->r->desired->identities,
		.model = l->r->desired->model,
		.resolvers = conf ? conf->resolvers : NULL,
		.n_resolvers = conf ? conf->n_resolvers : 0,
		.kept = k->kept,
		.n_kept = k->n_kept,
	};
	__cleanup_free struct ct_flow *flows = NULL;
	size_t n = 0;
	int rc;

	l->pods = mem_alloc0(k->n_live * sizeof(*l->pods));
	l->sources = mem_alloc0(k->n_live * sizeof(*l->sources));
	for (size_t i = 0; i < k->n_live; i++)
		if (k->live[i].look)
			look_add(l, &k->live[i]);
	if (l->n == 0)
		return 0;
	rc = conntrack_list(l->sources, l->n, &flows, &n, e);
	if (rc < 0)
		return rc;
	in.pods = l->pods;
	in.n_pods = l->n;
	keep_select(&in, flows, n, &l->sets);
	if (new_as_node(&l->sets, k) && table_gone(l, k)) {
		keep_sets_done(&l->sets);
		keep_select(&in, flows, n, &l->sets);
	}
	return 0;
}

/* ---- the flag ---- */

static bool pod_has_kept(const struct keep *k, const struct pod *p)
{
	for (size_t i = 0; keep_pod_counts(p) && i < p->rec->n_addrs; i++)
		if (keep_has(k, p->rec->addrs[i]))
			return true;
	return false;
}

/* Never makes an entry: a pod's own DEL may have just removed it. */
static void flag_turn(const struct reconcile *r, struct dp_gate *gate, struct dp_pod *pod)
{
	const struct dp_step step = {.op = DP_POD_ATTACH, .arg = pod};
	struct slu_pod turned = pod->a.pod;
	struct err e = {0};
	int rc;

	if (gate->open(&step, gate->data) != 0)
		return;
	turned.flags ^= SLU_POD_KEEP;
	rc = bpf_map_change(r->k.pins, BPF_MAP_PODS, &pod->a.ifindex, &turned, &e);
	gate->close(gate->data);
	if (rc == 0)
		pod->a.pod = turned;
	else if (rc != -ENOENT)
		log_warn("pod not flagged", "interface=%u error=%s", pod->a.ifindex,
			 log_quote(e.msg));
}

/* Flags for those that have something kept; and, after the edit, for nobody else. */
static void flags_write(const struct keep *k, struct reconcile *r, struct dp_model *m, bool after)
{
	struct dp_gate gate;

	pods_gate(r, &gate);
	for (size_t i = 0; i < r->n_pods; i++) {
		struct dp_pod *have = pod_in(m, &r->pods[i]);
		bool wants = pod_has_kept(k, &r->pods[i]);

		if (have && (wants || after) && wants != !!(have->a.pod.flags & SLU_POD_KEEP))
			flag_turn(r, &gate, have);
	}
	pods_gate_done(&gate);
}

/* ---- before and after ---- */

static bool program_edited(const struct dp_model *observed, const struct programs_plan *programs,
			   const struct pod *p, const struct live *l)
{
	const struct dp_pod *have = pod_in(observed, p);
	uint32_t id = p->a.pod.policy;

	return have && (have->a.pod.policy != id || (id && programs_plan_has(programs, id)) ||
			(l->key && l->key != l->key_next));
}

/*
 * An edit of verdicts alone is none: nobody becomes somebody else by it. One from Keep to Reset
 * is, though the kernel's program stays what it was.
 */
static bool identity_edited(const struct live *l)
{
	return !l->identity || l->identity != l->identity_next;
}

static bool rule_rejects(const struct flat_rule *r)
{
	return (r->rule ? r->rule->action : r->policy->default_action) == ACTION_REJECT;
}

/* What is open through a Service may be rejected now. */
static bool rejects_services(struct reconcile *r, const struct pod *p)
{
	const struct prog *prog = p->key ? prog_get(r, p->key) : NULL;
	size_t n;

	compiled_services(r->compiled, &n);
	for (size_t i = 0; n && prog && i < prog->binding.n; i++) {
		const struct flat_rule *rules;
		size_t n_rules;

		rules = compiled_policy_rules(r->compiled, prog->binding.policies[i], &n_rules);
		for (size_t k = 0; k < n_rules; k++)
			if (rule_rejects(&rules[k]))
				return true;
	}
	return false;
}

/*
 * An edit that was made while no daemon ran is one, too. One of Services alone changes no program,
 * and what is open through them may be rejected all the same.
 */
static bool edits_look(struct keep *k, struct reconcile *r, const struct dp_model *observed,
		       const struct programs_plan *programs, bool first)
{
	int64_t until = clock_ms() + WATCH_MS;
	bool any = false, services = k->services != k->services_next;

	for (size_t i = 0; i < k->n_live; i++) {
		struct live *l = &k->live[i];
		const struct pod *p = &r->pods[l->pod];
		bool edited = !l->shared && program_edited(observed, programs, p, l);

		l->rejects |= (edited || (services && !l->shared)) && rejects_services(r, p);
		l->edited = edited && identity_edited(l);
		l->look = l->edited;
		if (l->edited) {
			l->watch_until = until;
			l->identity = 0; /* until it is carried out */
		}
		if (l->edited && first)
			l->stranger = false;
		any |= l->edited;
	}
	return any;
}

/* Whom the kernel knows a policy for sent into sluice0 what it sent while our table was gone. */
static void gaps_note(struct keep *k, const struct reconcile *r, const struct dp_model *observed)
{
	for (size_t i = 0; i < k->n_live; i++) {
		struct live *l = &k->live[i];
		const struct dp_pod *have = pod_in(observed, &r->pods[l->pod]);

		l->governed = have && have->a.pod.policy;
		l->gap |= l->governed && observed->nft_differs == NFT_REBUILT;
	}
}

/* What is open is kept as what it is, while it still is that. */
static void edits_keep(struct keep *k, struct reconcile *r, struct dp_model *observed)
{
	__cleanup(look_done) struct look look = {.r = r};
	struct err e = {0};

	if (look_make(&look, k, &e) < 0)
		keep_trouble(k, "open connections not known", &e);
	keep_map_add(k, r, look.sets.open, look.sets.n_open);
	flags_write(k, r, observed, false);
}

/* As long as the map could not be read, flags stay as they are. */
static void flags_want(const struct keep *k, struct reconcile *r, const struct dp_model *observed)
{
	for (size_t i = 0; i < r->n_pods; i++) {
		struct pod *p = &r->pods[i];

		p->a.pod.flags = p->flags; /* the pod may be as an earlier pass left it */
		if (k->loaded ? pod_has_kept(k, p) : pod_flagged(observed, p))
			p->a.pod.flags |= SLU_POD_KEEP;
	}
}

void keep_before(struct reconcile *r, struct dp_model *observed,
		 const struct programs_plan *programs)
{
	struct keep *k;
	bool first;

	if (!r->keep)
		r->keep = mem_alloc0(sizeof(*r->keep));
	k = r->keep;
	first = !k->loaded;
	keep_live_refresh(k, r);
	gaps_note(k, r, observed);
	if (!first || keep_load(k, r, observed) == 0) {
		keep_map_prune(k, r, owner_stays, k);
		if (edits_look(k, r, observed, programs, first))
			edits_keep(k, r, observed);
	}
	flags_want(k, r, observed);
}

static bool after_looks(struct keep *k, bool rebuilt)
{
	int64_t now = clock_ms();
	bool due = now >= k->check_at, any = false;

	for (size_t i = 0; i < k->n_live; i++) {
		struct live *l = &k->live[i];

		l->look = !l->shared && (l->edited || l->stranger || l->rejects || l->gap ||
					 (rebuilt && l->key_next) ||
					 (due && (l->watch_until > now || keep_has(k, l->addr))));
		any |= l->look;
	}
	if (due)
		k->check_at = now + CHECK_MS;
	return any;
}

struct wanted {
	const struct keep *k;
	const struct keep_sets *sets;
};

static bool wanted_stays(const struct kept *e, const void *data)
{
	const struct wanted *w = data;
	const struct live *l = keep_live_find(w->k, slu_addr_get(e->flow.local));

	if (l && !l->look)
		return true;
	return kept_find(w->sets->open, w->sets->n_open, &e->flow) != NULL;
}

static void anew_forget(struct keep *k, const struct keep_sets *sets)
{
	struct err e = {0};
	size_t n = 0;

	if (conntrack_forget(sets->anew, sets->n_anew, &n, &e) < 0)
		keep_trouble(k, "connections not reset", &e);
	else if (n)
		log_info("connections reset", "count=%zu", n);
}

void keep_after(struct reconcile *r)
{
	__cleanup(look_done) struct look look = {.r = r};
	struct keep *k = r->keep;
	struct err e = {0};
	size_t had = k->n_kept;
	int64_t began = clock_ms(), took;
	bool rebuilt = nft_built(r->k.nft) != k->built;
	int rc;

	k->built = nft_built(r->k.nft);
	if (!k->loaded || !after_looks(k, rebuilt))
		return;
	rc = look_make(&look, k, &e);
	took = clock_ms() - began;
	if (k->check_at < began + took * SHARE)
		k->check_at = began + took * SHARE;
	if (rc < 0) {
		keep_trouble(k, "open connections not known", &e);
		return;
	}
	k->trouble = false;
	keep_map_prune(k, r, wanted_stays, &(struct wanted){k, &look.sets});
	keep_map_add(k, r, look.sets.open, look.sets.n_open);
	flags_write(k, r, r->desired->model, true);
	anew_forget(k, &look.sets);
	for (size_t i = 0; i < k->n_live; i++)
		k->live[i].stranger = k->live[i].edited = k->live[i].rejects = k->live[i].gap =
			false;
	if (k->n_kept != had)
		log_info("open connections keep their identity", "count=%zu", k->n_kept);
}
