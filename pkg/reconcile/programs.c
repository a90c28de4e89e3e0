/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which programs are in the kernel, under which id. A program that no pod needs any
 * more stays for a minute: an ADD at work may have been told its id. It leaves the
 * snapshot first, the kernel later, and never while an interface
 * still refers to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "reconcile/counters.h"
#include "reconcile/priv.h"

struct prog *prog_get(struct reconcile *r, uint64_t key)
{
	uint32_t at = hash_index_first(&r->prog_index, key);

	if (at != HASH_INDEX_END)
		return &r->progs[at];
	hash_index_add(&r->prog_index, key);
	MEM_GROW(r->progs, r->n_progs);
	r->progs[r->n_progs] = (struct prog){.key = key};
	return &r->progs[r->n_progs++];
}

static void prog_drop_program(struct prog *p)
{
	program_free(p->program);
	free(p->counters);
	p->program = NULL;
	p->counters = NULL;
}

void prog_done(struct prog *p)
{
	prog_drop_program(p);
	binding_done(&p->binding);
}

void progs_flush(struct reconcile *r)
{
	for (size_t i = 0; i < r->n_progs; i++)
		r->progs[i].in_kernel = false;
}

static bool prog_needed(const struct prog *p, int64_t now)
{
	return p->wanted || (p->wanted_until > now && (p->in_kernel || p->binding.n));
}

static void progs_sweep(struct reconcile *r)
{
	int64_t now = clock_ms();
	size_t kept = 0;

	for (size_t i = 0; i < r->n_progs; i++) {
		if (prog_needed(&r->progs[i], now)) {
			r->progs[kept++] = r->progs[i];
			continue;
		}
		prog_done(&r->progs[i]);
	}
	if (kept == r->n_progs)
		return;
	r->n_progs = kept;
	hash_index_done(&r->prog_index);
	for (size_t i = 0; i < kept; i++)
		hash_index_add(&r->prog_index, r->progs[i].key);
}

/* ---- ids ---- */

static const struct dp_pod *pod_observed(const struct dp_model *observed, const struct pod *p)
{
	const struct dp_pod key = {.a = p->a};

	if (observed->n_pods == 0 || p->dead)
		return NULL;
	return bsearch(&key, observed->pods, observed->n_pods, sizeof(key), dp_pod_cmp);
}

/* Who has a policy id now: the key of its pods, if they all have the same one. */
struct holder {
	uint32_t id;
	bool shared;
	uint64_t key;
};

static int holder_cmp(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static size_t holders_make(const struct reconcile *r, const struct dp_model *observed,
			   struct holder *ret)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < r->n_pods; i++) {
		const struct dp_pod *have = pod_observed(observed, &r->pods[i]);

		if (have && have->a.pod.policy)
			ret[n++] = (struct holder){.id = have->a.pod.policy, .key = r->pods[i].key};
	}
	if (n)
		qsort(ret, n, sizeof(*ret), holder_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept && ret[kept - 1].id == ret[i].id)
			ret[kept - 1].shared |= ret[kept - 1].key != ret[i].key;
		else
			ret[kept++] = ret[i];
	}
	return kept;
}

/*
 * If all pods of a new program have one id now, and nobody else has it, the program can
 * take that id over: one switch for all of them.
 */
static void progs_propose(struct reconcile *r, const struct dp_model *observed)
{
	__cleanup_free struct holder *holders = mem_alloc0(r->n_pods * sizeof(*holders));
	size_t n = holders_make(r, observed, holders);

	for (size_t i = 0; i < r->n_progs; i++)
		r->progs[i].proposed = 0;
	for (size_t i = 0; i < n; i++) {
		struct prog *prog;

		if (holders[i].shared || !holders[i].key)
			continue;
		prog = prog_get(r, holders[i].key);
		/* if its pods have different ones, no id is */
		prog->proposed = prog->proposed ? UINT32_MAX : holders[i].id;
	}
}

static void prog_id_set(struct prog *p, uint32_t id)
{
	if (p->id != id)
		p->in_kernel = false;
	p->id = id;
}

/* Some rule of it is about names, in force just now or not. */
static bool prog_has_names(const struct reconcile *r, const struct prog *p)
{
	for (size_t i = 0; i < p->binding.n; i++) {
		size_t n;
		const struct flat_rule *rules = compiled_policy_rules(r->compiled,
								      p->binding.policies[i], &n);

		for (size_t k = 0; k < n; k++)
			if (rules[k].n_names)
				return true;
	}
	return false;
}

static uint32_t pod_assign(struct reconcile *r, struct pod *p, uint64_t key)
{
	struct prog *prog = key ? prog_get(r, key) : NULL;

	if (!prog)
		return 0;
	p->a.names = p->a.names || (prog->names && !p->a.macvlan);
	return prog->id;
}

void progs_assign(struct reconcile *r, const struct dp_model *observed)
{
	__cleanup_free struct ids_policy *want = NULL;

	progs_sweep(r);
	progs_propose(r, observed);
	want = mem_alloc0(r->n_progs * sizeof(*want));
	for (size_t i = 0; i < r->n_progs; i++)
		want[i] = (struct ids_policy){.key = r->progs[i].key, .id = r->progs[i].proposed};
	ids_policies(r->ids, want, r->n_progs, time(NULL));
	for (size_t i = 0; i < r->n_progs; i++)
		prog_id_set(&r->progs[i], want[i].id);
	for (size_t i = 0; i < r->n_progs; i++)
		r->progs[i].names = prog_has_names(r, &r->progs[i]);
	for (size_t i = 0; i < r->n_pods; i++) {
		struct pod *p = &r->pods[i];

		p->a.names = false;
		p->a.pod.policy = pod_assign(r, p, p->key);
		p->a.pod.audit = pod_assign(r, p, p->audit_key);
	}
}

/* ---- into the kernel ---- */

static bool id_expired(const struct ids_policy *p, int64_t now)
{
	return p->unused_since && now - p->unused_since > PROG_RETIRE_AFTER;
}

/* "policy 7, of 3 that begin with default/web r1: why; cure" */
static int prog_fail(const struct reconcile *r, const struct prog *p, int code, const char *why,
		     struct err *e)
{
	__cleanup_free char *name = NULL;
	const struct flat_rule *rules;
	size_t n;

	rules = compiled_policy_rules(r->compiled, p->binding.policies[0], &n);
	name = n ? counter_name(&rules[0]) : mem_strdup("");
	return err_set(e, code, "policy %u, of %zu that begin with %s: %s", p->id, p->binding.n,
		       name, why);
}

/* Tried once: what a key stands for does not change. */
static int prog_too_large(struct reconcile *r, struct prog *p, struct err *e)
{
	struct err why = {0};

	p->too_large = true;
	policy_too_large(r->compiled, &p->binding, &why);
	return prog_fail(r, p, why.code, why.msg, e);
}

static int prog_flatten(struct reconcile *r, struct prog *p, struct err *e)
{
	int rc;

	prog_drop_program(p);
	if (!p->binding.n)
		return err_set(e, -ENOENT, "policy %u: its rules are not known any more", p->id);
	rc = p->too_large ? -E2BIG : policy_flatten(r->compiled, &p->binding, &p->program);
	if (rc == -E2BIG)
		return prog_too_large(r, p, e);
	if (rc < 0)
		return err_sys(e, rc, "policy %u: compile", p->id);
	p->counters = counters_get(r, p->program);
	return 0;
}

struct wish {
	struct dp_program *items;
	size_t n;
	uint32_t *keep;
	size_t n_keep;
	bool keep_all;
};

static void wish_done(struct wish *w)
{
	free(w->items);
	free(w->keep);
}

static int plan_make(struct reconcile *r, const struct wish *w, struct programs_plan **ret,
		     struct err *e)
{
	struct dp_programs want = {
		.identities = r->desired->identities,
		.n_identities = r->desired->n_identities,
		.names = r->name_ids,
		.items = w->items,
		.n = w->n,
		.keep = w->keep,
		.n_keep = w->n_keep,
		.keep_all = w->keep_all,
	};
	int rc;

	want.sets = compiled_sets(r->compiled, &want.n_sets);
	rc = programs_plan_new(r->tables, &want, ret, e);
	if (rc < 0 || !programs_plan_refused(*ret, NULL) || !tables_resting(r->tables))
		return rc;
	programs_plan_free(TAKE(*ret));
	rc = tables_settle(r->k.pins, r->tables, e);
	return rc < 0 ? rc : programs_plan_new(r->tables, &want, ret, e);
}

static void wish_keep(struct wish *w, uint32_t id)
{
	MEM_GROW(w->keep, w->n_keep);
	w->keep[w->n_keep++] = id;
}

static int id_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void wish_keeps(struct reconcile *r, const struct dp_model *observed, struct wish *w)
{
	const struct ids_policy *list;
	int64_t now = time(NULL);
	size_t n;

	list = ids_policy_list(r->ids, &n);
	for (size_t i = 0; i < n; i++)
		if (!id_expired(&list[i], now))
			wish_keep(w, list[i].id);
	for (size_t i = 0; i < observed->n_pods; i++) {
		wish_keep(w, observed->pods[i].a.pod.policy);
		wish_keep(w, observed->pods[i].a.pod.audit);
	}
	if (w->n_keep)
		qsort(w->keep, w->n_keep, sizeof(*w->keep), id_cmp);
}

/* What would only be counted stops nothing. */
static void audit_fails(struct reconcile *r, struct prog *p, const struct err *e)
{
	if (!p->failed)
		log_error("audit not possible", "error=%s", log_quote(e->msg));
	p->failed = true;
	for (size_t i = 0; i < r->n_pods; i++)
		if (r->pods[i].audit_key == p->key)
			r->pods[i].a.pod.audit = 0;
}

/* One policy's fault: its pods keep what they have, and the others go on. */
static void prog_refuse(struct reconcile *r, const struct prog *p, const struct dp_model *observed,
			const struct err *e)
{
	refusals_add(r, p, e);
	for (size_t i = 0; i < r->n_pods && !tables_has(r->tables, p->id); i++) {
		const struct dp_pod *have = pod_observed(observed, &r->pods[i]);

		if (r->pods[i].key == p->key && have && tables_has(r->tables, have->a.pod.policy))
			r->pods[i].a.pod.policy = have->a.pod.policy;
	}
}

static void progs_refuse(struct reconcile *r, const struct dp_model *observed,
			 const struct programs_plan *plan)
{
	struct err why = {0}, e = {0};
	size_t n = programs_plan_refused(plan, &why);

	for (size_t i = 0; n && i < r->n_progs; i++) {
		struct prog *p = &r->progs[i];

		if (!p->program || !programs_plan_refuses(plan, p->id))
			continue;
		prog_fail(r, p, why.code, why.msg, &e);
		if (p->enforced)
			prog_refuse(r, p, observed, &e);
		else
			audit_fails(r, p, &e);
		prog_drop_program(p);
	}
}

int progs_plan(struct reconcile *r, const struct dp_model *observed, struct programs_plan **ret,
	       struct err *e)
{
	__cleanup(wish_done) struct wish w = {0};
	int made;

	refusals_done(r);
	for (size_t i = 0; i < r->n_progs; i++) {
		struct prog *p = &r->progs[i];
		int rc;

		if (p->in_kernel || (!p->wanted && !p->binding.n))
			continue;
		rc = prog_flatten(r, p, e);
		if (rc == -E2BIG && p->enforced) {
			prog_refuse(r, p, observed, e);
			continue;
		}
		if (rc < 0 && p->enforced)
			return rc;
		if (rc < 0) {
			audit_fails(r, p, e);
			continue;
		}
		MEM_GROW(w.items, w.n);
		w.items[w.n++] = (struct dp_program){p->id, p->program, p->counters};
	}
	wish_keeps(r, observed, &w);
	made = plan_make(r, &w, ret, e);
	if (made == 0)
		progs_refuse(r, observed, *ret);
	return made;
}

/* An id is forgotten when the kernel has let it go. */
static void ids_expire(struct reconcile *r)
{
	int64_t now = time(NULL);
	const struct ids_policy *list;
	size_t n;

	list = ids_policy_list(r->ids, &n);
	for (size_t i = n; i-- > 0;)
		if (id_expired(&list[i], now) && !tables_has(r->tables, list[i].id)) {
			ids_policy_drop(r->ids, list[i].id);
			list = ids_policy_list(r->ids, &n);
		}
}

void progs_commit(struct reconcile *r, struct programs_plan *plan)
{
	programs_commit(r->tables, plan);
	for (size_t i = 0; i < r->n_progs; i++) {
		struct prog *p = &r->progs[i];

		if (p->program)
			p->in_kernel = true;
		prog_drop_program(p);
	}
	ids_expire(r);
	counters_sweep(r);
}

static int prog_apply(struct reconcile *r, struct prog *p, struct err *e)
{
	__cleanup(programs_plan_freep) struct programs_plan *plan = NULL;
	struct dp_program item = {p->id, p->program, p->counters};
	const struct wish w = {.items = &item, .n = 1, .keep_all = true};
	int rc = plan_make(r, &w, &plan, e);

	if (rc < 0)
		return rc;
	if (programs_plan_refused(plan, e))
		return -ENOSPC;
	rc = programs_apply(r->k.pins, plan, e);
	if (rc < 0) {
		tables_free(r->tables); /* how far it came is to be read */
		r->tables = NULL;
		return rc;
	}
	programs_commit(r->tables, plan);
	p->in_kernel = true;
	return 0;
}

int prog_now(struct reconcile *r, struct prog *p, struct err *e)
{
	int rc;

	prog_id_set(p, ids_policy_add(r->ids, p->key));
	if (p->in_kernel)
		return 0;
	if (!r->tables || !r->desired || !r->name_ids)
		return err_set(e, -EAGAIN, "no pass has succeeded yet");
	rc = ids_store(r->ids, journal_state_dirfd(r->journal), e);
	if (rc == 0)
		rc = prog_flatten(r, p, e);
	if (rc == 0)
		rc = prog_apply(r, p, e);
	prog_drop_program(p);
	return rc;
}
