/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass:
 *	look	node, records, folder → compiled policies
 *	want	who owns what, whom policies select → the desired model, programs
 *	see	the kernel as it is
 *	do	the plan of the difference; then the snapshot, and the last good policies
 * A pass that fails has done what it could; nothing of it is remembered, and the next
 * one looks at everything.
 */
#include "reconcile/reconcile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "bpf/loader.h"
#include "bpf/maps.h"
#include "reconcile/drain.h"
#include "reconcile/priv.h"

#define FULL_LOOK_MS 10000 /* maps that only we write are read this often all the same */

static void files_allow_many(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int kernel_open(struct reconcile *r, struct err *e)
{
	int rc;

	rc = bpf_load(r->conf->bpffs, e);
	if (rc == 0)
		rc = bpf_pins_open(r->conf->bpffs, &r->k.pins, e);
	if (rc == 0)
		rc = rtnl_open(-1, &r->k.rtnl, e);
	if (rc == 0)
		rc = nft_open(&r->k.nft, e);
	return rc;
}

static int ids_open(struct reconcile *r, struct err *e)
{
	int rc = ids_load(journal_state_dirfd(r->journal), &r->ids, e);

	if (rc != -EBADMSG)
		return rc;
	log_warn("ids not read, new ones are given out", "error=%s", log_quote(e->msg));
	r->ids = ids_new();
	return 0;
}

int reconcile_new(const struct daemon_conf *conf, struct reconcile **ret, struct err *e)
{
	__cleanup(reconcile_freep) struct reconcile *r = mem_alloc0(sizeof(*r));
	int rc;

	files_allow_many();
	r->conf = conf;
	rc = journal_open(conf->state_dir, conf->run_dir, &r->journal, e);
	if (rc < 0)
		return rc;
	journal_sweep(r->journal, true);
	r->drained = drain_load(journal_state_dirfd(r->journal));
	rc = origin_open(r, e);
	if (rc == 0)
		rc = ids_open(r, e);
	if (rc == 0)
		rc = counters_open(r, e);
	if (rc == 0)
		rc = kernel_open(r, e);
	if (rc < 0)
		return rc;
	*ret = TAKE(r);
	return 0;
}

void reconcile_forget(struct reconcile *r)
{
	tables_free(r->tables);
	r->tables = NULL;
	dp_model_free(r->known);
	r->known = NULL;
	names_free(r->names);
	r->names = NULL;
	free(r->name_ids);
	r->name_ids = NULL;
	r->records_mtime = 0;
	r->policies.fingerprint = 0;
}

void reconcile_free(struct reconcile *r)
{
	if (!r)
		return;
	pods_forget(r);
	for (size_t i = 0; i < r->n_progs; i++)
		prog_done(&r->progs[i]);
	free(r->progs);
	hash_index_done(&r->prog_index);
	names_free(r->names);
	free(r->name_ids);
	numbers_free(r->counters);
	refusals_done(r);
	claims_done(&r->claims);
	remains_done(&r->remains);
	free(r->arrivals.list);
	gateways_forget(r);
	keep_free(r->keep);
	limits_free(r->limits);
	desired_free(r->desired);
	dp_model_free(r->known);
	tables_free(r->tables);
	compiled_free(r->compiled);
	policies_done(&r->policies);
	doc_set_free(r->held_set);
	free(r->node_name);
	node_free(r->node);
	ids_free(r->ids);
	nft_close(r->k.nft);
	rtnl_close(r->k.rtnl);
	bpf_pins_close(r->k.pins);
	journal_close(r->journal);
	free(r);
}

/* ---- want ---- */

/* Programs hold address ids: if one stands for something else now, they are looked at again. */
static void ids_verify(struct reconcile *r)
{
	const struct egress_addr *addrs;
	uint64_t h = 0;
	size_t n;

	addrs = compiled_addrs(r->compiled, &n);
	for (size_t i = 0; i < n; i++) {
		h = hash_bytes(addrs[i].addr.b, sizeof(addrs[i].addr.b), h);
		h = hash_bytes(addrs[i].endpoint.b, sizeof(addrs[i].endpoint.b), h);
		h = hash_bytes(&r->desired->addr_ids[i], sizeof(uint32_t), h);
	}
	if (h != r->addr_digest)
		progs_flush(r);
	r->addr_digest = h;
}

static void want(struct reconcile *r)
{
	__cleanup_free struct place *places = NULL;
	const struct egress_addr *addrs;
	struct desired_in in = {
		.compiled = r->compiled,
		.node = r->node,
		.node_name = r->node_name,
		.ids = r->ids,
	};
	struct desired *d;
	size_t n;

	addrs = compiled_addrs(r->compiled, &n);
	in.places = places = mem_alloc0((n + 1) * sizeof(*places));
	claims_update(&r->claims, addrs, n, r->node, places);
	in.path_mtu = path_mtu(r);
	in.ways = ways_get(r, places);
	ids_begin(r->ids);
	desired_build(&in, &d);
	ids_sweep(r->ids);
	desired_free(r->desired);
	r->desired = d;
	if (d->n_without_id)
		log_error("no free id for addresses", "count=%zu", d->n_without_id);
	ids_verify(r);
	pods_resolve(r);
	pods_mark_governed(r);
	limits_before(r);
}

/* ---- see and do ---- */

static int tables_open(struct reconcile *r, struct err *e)
{
	/* whoever wrote them may have ended before it counted the epoch up */
	int rc = bpf_epoch_bump(r->k.pins, e);

	if (rc == 0)
		rc = tables_load(r->k.pins, &r->tables, e);
	if (rc == 0) /* what the one before let go is free, too */
		rc = tables_settle(r->k.pins, r->tables, e);
	if (rc < 0) {
		tables_free(r->tables);
		r->tables = NULL;
		return rc;
	}
	ids_policy_above(r->ids, tables_last(r->tables));
	progs_flush(r);
	return 0;
}

static int see(struct reconcile *r, struct dp_model **ret, struct err *e)
{
	struct dp_observe_in in = {
		.want = r->desired->model,
		.known = clock_ms() - r->known_at < FULL_LOOK_MS ? r->known : NULL,
		.addrs = r->node->addrs,
		.n_addrs = r->node->n_addrs,
	};
	int rc;

	if (!r->tables) {
		rc = tables_open(r, e);
		if (rc < 0)
			return rc;
	}
	if (!r->names) {
		rc = names_load(r->k.pins, &r->names, e);
		if (rc < 0)
			return rc;
	}
	if (!in.known)
		nft_forget(r->k.nft);
	rc = dp_observe(&r->k, &in, ret, e);
	if (rc == 0 && !in.known) {
		r->known_at = clock_ms();
		forward_look(r);
	}
	return rc;
}

static void pods_want(struct reconcile *r)
{
	struct dp_model *m = r->desired->model;

	for (size_t i = 0; i < r->n_pods; i++) {
		const struct pod *p = &r->pods[i];

		if (p->dead || p->rec->kind == ATTACH_NONE || !p->rec->ifindex)
			continue;
		MEM_GROW(m->pods, m->n_pods);
		m->pods[m->n_pods++] = (struct dp_pod){.a = p->a, .attached = true};
	}
	dp_model_sort(m);
}

static void plan_log(const struct dp_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		log_debug("step", "op=%s index=%u done=%d", dp_op_name(p->steps[i].op),
			  p->steps[i].index, p->steps[i].done);
}

/* What was planned for the programs is in the kernel, all of it. */
static bool programs_done(const struct dp_plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->steps[i].done &&
		    (p->steps[i].op == DP_PROGRAMS || p->steps[i].op == DP_PROGRAMS_RETIRE))
			return false;
	return true;
}

static int carry_out(struct reconcile *r, struct dp_plan *plan, struct programs_plan *programs,
		     struct err *e)
{
	struct dp_gate gate;
	struct dp_outcome out;
	bool late;
	int rc;

	pods_gate(r, &gate);
	plan->gate = &gate;
	rc = dp_apply(&r->k, plan, &out);
	late = pods_gate_done(&gate);
	plan->gate = NULL;
	plan_log(plan);
	r->changes += out.done;
	r->carried = (struct carried){true, programs_done(plan), rc == 0, rc == 0 && !late};
	if (r->carried.programs)
		progs_commit(r, programs);
	arrivals_note(r, plan, rc == 0);
	if (rc < 0 || !r->carried.programs) { /* read anew, with an epoch of their own */
		tables_free(r->tables);
		r->tables = NULL;
	}
	if (rc == 0) {
		remains_note(r);
		return late;
	}
	if (e)
		*e = out.err;
	return rc;
}

/* When kernel and snapshot have it: nobody waits for this, and a table of connections is large. */
static void look_back(struct reconcile *r)
{
	if (!r->carried.begun)
		return;
	if (r->carried.programs)
		keep_after(r);
	dp_model_free(r->known); /* what we left in the maps need not be read next time */
	r->known = r->carried.all ? dp_model_maps(r->desired->model) : NULL;
	if (r->carried.pods)
		keep_done(r);
}

static int act(struct reconcile *r, struct err *e)
{
	__cleanup(dp_model_freep) struct dp_model *observed = NULL;
	__cleanup(programs_plan_freep) struct programs_plan *programs = NULL;
	__cleanup(dp_plan_freep) struct dp_plan *plan = NULL;
	bool idle;
	int rc;

	r->carried = (struct carried){0};
	rc = see(r, &observed, e);
	if (rc < 0)
		return rc;
	limits_seen(r, observed);
	progs_assign(r, observed);
	rc = ids_store(r->ids, journal_state_dirfd(r->journal), e);
	if (rc == 0)
		rc = progs_names(r, e);
	if (rc == 0)
		rc = progs_plan(r, observed, &programs, e);
	if (rc < 0)
		return rc;
	idle = !programs_plan_sets(programs) && !programs_plan_retires(programs);
	keep_before(r, observed, programs);
	pods_want(r);
	plan = dp_plan_new(r->desired->model, observed, programs);
	rc = carry_out(r, plan, programs, e);
	progs_names_warn(r);
	if (rc >= 0 && idle) { /* it waits, and an edit or an ADD should not */
		int settled = progs_settle(r, e);

		rc = settled < 0 ? settled : rc;
	}
	return rc;
}

/*
 * Somebody removed the pins, or all of the bpffs. What is attached runs on with its old
 * maps; new ones are loaded and filled like those of a new node, pods last.
 */
static int pins_refresh(struct reconcile *r, struct err *e)
{
	struct bpf_pins *pins = NULL;
	int rc;

	if (bpf_pins_whole(r->conf->bpffs))
		return 0;
	log_warn("pinned maps or programs are gone", "bpffs=%s", log_quote(r->conf->bpffs));
	rc = bpf_load(r->conf->bpffs, e);
	if (rc == 0)
		rc = bpf_pins_open(r->conf->bpffs, &pins, e);
	if (rc < 0)
		return rc;
	bpf_pins_close(r->k.pins);
	r->k.pins = pins;
	r->pins_opened++;
	reconcile_forget(r);
	return 0;
}

static int look(struct reconcile *r, struct err *e)
{
	struct node_state *node = NULL;
	int rc;

	rc = pins_refresh(r, e);
	if (rc == 0)
		rc = pods_read(r, e);
	if (rc == 0)
		rc = node_observe(r->k.rtnl, &node, e);
	if (rc < 0)
		return rc;
	node_free(r->node);
	r->node = node;
	pods_look(r);
	return 0;
}

static int pass(struct reconcile *r, struct err *e)
{
	struct err compile_err = {0};
	int rc, more, compiled;

	rc = look(r, e);
	if (rc < 0)
		return rc;
	compiled = compile_refresh(r, &compile_err);
	if (!r->compiled) {
		*e = compile_err;
		return compiled;
	}
	want(r);
	rc = act(r, e);
	more = rc > 0;
	if (rc >= 0)
		rc = counters_store(r, e);
	if (rc >= 0)
		rc = publish(r, e);
	look_back(r);
	if (rc < 0)
		return rc;
	pods_collect(r);
	more |= pods_adopt(r);
	more |= limits_after(r);
	if (compiled < 0) {
		*e = compile_err;
		return compiled;
	}
	rc = refusals_say(r, e);
	if (rc < 0)
		return rc;
	if (r->policies.unread) {
		*e = r->policies.err;
		return r->policies.err.code;
	}
	return more;
}

/* All pods have our programs now: nobody needs what a version before or after us has pinned. */
static void others_forget(struct reconcile *r, int rc)
{
	struct err e = {0};

	if (rc || r->others_forgotten)
		return;
	r->others_forgotten = true;
	if (bpf_unload_others(r->conf->bpffs, &e) < 0)
		log_warn("pins of another version stay", "error=%s", log_quote(e.msg));
}

int reconcile_pass(struct reconcile *r, struct err *e)
{
	struct err own = {0};
	int64_t began = clock_us();
	int rc;

	r->changes = 0;
	rc = pass(r, &own);
	policies_keep(&r->policies, r->conf->policy_dir, journal_state_dirfd(r->journal));
	if (rc < 0 && own.code == 0)
		err_sys(&own, rc, "pass");
	if (rc < 0 && strcmp(own.msg, r->err.msg) != 0)
		log_error("pass failed", "error=%s", log_quote(own.msg));
	if (rc >= 0) {
		if (r->err.code)
			log_info("pass succeeded again", "changes=%zu", r->changes);
		r->last_ok_at = clock_ms();
		gateways_note(r);
	}
	others_forget(r, rc);
	pass_note(r, rc, clock_us() - began);
	r->err = rc < 0 ? own : (struct err){0};
	if (e)
		*e = own;
	return rc;
}

int64_t reconcile_timers(struct reconcile *r)
{
	int64_t now = clock_ms(), arrives = arrivals_run(r), next = claims_run(&r->claims, now);
	int64_t forget = remains_run(r, now);

	claims_rest(&r->claims);
	next = !next || (forget && forget < next) ? forget : next;
	next = !next || (arrives && arrives < next) ? arrives : next;
	return !next ? -1 : next > now ? next - now : 0;
}

uint32_t reconcile_nft_portid(const struct reconcile *r)
{
	return nft_portid(r->k.nft);
}
