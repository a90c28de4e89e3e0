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

#include "base/hash.h"
#include "base/mem.h"
#include "reconcile/priv.h"

struct prog *prog_get(struct reconcile *r, uint64_t key)
{
	for (size_t i = 0; i < r->n_progs; i++)
		if (r->progs[i].key == key)
			return &r->progs[i];
	MEM_GROW(r->progs, r->n_progs);
	r->progs[r->n_progs] = (struct prog){.key = key};
	return &r->progs[r->n_progs++];
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
		binding_done(&r->progs[i].binding);
		program_free(r->progs[i].program);
	}
	r->n_progs = kept;
}

/* ---- ids ---- */

static const struct dp_pod *pod_observed(const struct dp_model *observed, const struct pod *p)
{
	const struct dp_pod key = {.a = p->a};

	if (observed->n_pods == 0 || p->dead)
		return NULL;
	return bsearch(&key, observed->pods, observed->n_pods, sizeof(key), dp_pod_cmp);
}

/*
 * If all pods of a new program have one id now, and nobody else has it, the program can
 * take that id over: one switch for all of them.
 */
static void progs_propose(struct reconcile *r, const struct dp_model *observed)
{
	for (size_t i = 0; i < r->n_progs; i++)
		r->progs[i].proposed = 0;
	for (size_t i = 0; i < r->n_pods; i++) {
		const struct pod *p = &r->pods[i];
		const struct dp_pod *have = pod_observed(observed, p);
		uint32_t id = have ? have->a.pod.policy : 0;
		struct prog *prog = p->key && id ? prog_get(r, p->key) : NULL;

		if (!prog)
			continue;
		if (prog->proposed && prog->proposed != id)
			prog->proposed = UINT32_MAX; /* they have different ones: no id has that */
		else
			prog->proposed = id;
	}
	for (size_t i = 0; i < r->n_pods; i++) {
		const struct pod *p = &r->pods[i];
		const struct dp_pod *have = pod_observed(observed, p);

		for (size_t k = 0; have && k < r->n_progs; k++)
			if (r->progs[k].proposed == have->a.pod.policy && r->progs[k].key != p->key)
				r->progs[k].proposed = UINT32_MAX;
	}
}

static void prog_id_set(struct prog *p, uint32_t id)
{
	if (p->id != id)
		p->in_kernel = false;
	p->id = id;
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
	for (size_t i = 0; i < r->n_pods; i++)
		r->pods[i].a.pod.policy = r->pods[i].key ? prog_get(r, r->pods[i].key)->id : 0;
}

/* ---- into the kernel ---- */

static bool id_expired(const struct ids_policy *p, int64_t now)
{
	return p->unused_since && now - p->unused_since > PROG_RETIRE_AFTER;
}

static int prog_flatten(struct reconcile *r, struct prog *p, struct err *e)
{
	int rc;

	program_free(p->program);
	p->program = NULL;
	if (!p->binding.n)
		return err_set(e, -ENOENT, "policy %u: its rules are not known any more", p->id);
	rc = policy_flatten(r->compiled, &p->binding, &p->program);
	return rc < 0 ? err_sys(e, rc, "policy %u: compile", p->id) : 0;
}

struct wish {
	struct dp_program *items;
	size_t n;
	uint32_t *keep;
	size_t n_keep;
};

static void wish_done(struct wish *w)
{
	free(w->items);
	free(w->keep);
}

static int plan_make(struct reconcile *r, const struct wish *w, struct programs_plan **ret,
		     struct err *e)
{
	const struct dp_programs want = {
		.identities = r->desired->identities,
		.n_identities = r->desired->n_identities,
		.items = w->items,
		.n = w->n,
		.keep = w->keep,
		.n_keep = w->n_keep,
	};

	return programs_plan_new(r->tables, &want, ret, e);
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
	for (size_t i = 0; i < observed->n_pods; i++)
		wish_keep(w, observed->pods[i].a.pod.policy);
	if (w->n_keep)
		qsort(w->keep, w->n_keep, sizeof(*w->keep), id_cmp);
}

int progs_plan(struct reconcile *r, const struct dp_model *observed, struct programs_plan **ret,
	       struct err *e)
{
	__cleanup(wish_done) struct wish w = {0};

	for (size_t i = 0; i < r->n_progs; i++) {
		struct prog *p = &r->progs[i];
		int rc;

		if (p->in_kernel || (!p->wanted && !p->binding.n))
			continue;
		rc = prog_flatten(r, p, e);
		if (rc < 0)
			return rc;
		MEM_GROW(w.items, w.n);
		w.items[w.n++] = (struct dp_program){p->id, p->program};
	}
	wish_keeps(r, observed, &w);
	return plan_make(r, &w, ret, e);
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
		program_free(p->program);
		p->program = NULL;
	}
	ids_expire(r);
}

static int prog_apply(struct reconcile *r, struct prog *p, struct err *e)
{
	__cleanup(programs_plan_freep) struct programs_plan *plan = NULL;
	const struct dp_program item = {p->id, p->program};
	const struct dp_programs want = {
		.identities = r->desired->identities,
		.n_identities = r->desired->n_identities,
		.items = &item,
		.n = 1,
		.keep_all = true,
	};
	int rc = programs_plan_new(r->tables, &want, &plan, e);

	if (rc == 0)
		rc = programs_apply(r->k.pins, plan, e);
	if (rc < 0)
		return rc;
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
	if (!r->tables || !r->desired)
		return err_set(e, -EAGAIN, "no pass has succeeded yet");
	rc = ids_store(r->ids, journal_state_dirfd(r->journal), e);
	if (rc == 0)
		rc = prog_flatten(r, p, e);
	if (rc == 0)
		rc = prog_apply(r, p, e);
	program_free(p->program);
	p->program = NULL;
	return rc;
}
