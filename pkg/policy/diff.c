/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "policy/diff_priv.h"

/* Both sets, compiled for one node. */
struct place {
	const char *node;
	struct compiled *c[2];
};

/* Pods with the same two programs, and the same place in spread Pod where that counts. */
struct cohort {
	const struct place *place;
	struct binding b[2];
	uint32_t spread;
	size_t *pods; /* in struct diff_pods */
	size_t n;
};

struct work {
	const struct diff_input *in;
	struct diff_pods pods;
	struct place **places;
	size_t n_places;
	struct cohort *cohorts;
	size_t n_cohorts;
	struct hash_index index; /* of cohorts */
};

static void work_done(struct work *w)
{
	for (size_t i = 0; i < w->n_cohorts; i++) {
		binding_done(&w->cohorts[i].b[0]);
		binding_done(&w->cohorts[i].b[1]);
		free(w->cohorts[i].pods);
	}
	free(w->cohorts);
	hash_index_done(&w->index);
	for (size_t i = 0; i < w->n_places; i++) {
		compiled_free(w->places[i]->c[0]);
		compiled_free(w->places[i]->c[1]);
		free(w->places[i]);
	}
	free(w->places);
	diff_pods_done(&w->pods);
}

/* ---- where ---- */

static bool asks_for_nodes(const struct doc_set *set)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (set->policies[i]->nodes.present)
			return true;
	return false;
}

/* A node counts for nothing but the policies that select nodes. */
static const char *node_of(const struct work *w, const struct diff_pod *pod)
{
	bool counts = pod->node &&
		      (asks_for_nodes(w->in->old_set) || asks_for_nodes(w->in->new_set));

	return counts ? pod->node : w->in->node.name;
}

static int place_get(struct work *w, const char *node, const struct place **ret, struct err *e)
{
	struct node_view view = w->in->node;
	struct place *p;
	int r;

	for (size_t i = 0; i < w->n_places; i++)
		if (strcmp(w->places[i]->node, node) == 0) {
			*ret = w->places[i];
			return 0;
		}
	p = mem_alloc0(sizeof(*p));
	MEM_GROW(w->places, w->n_places);
	w->places[w->n_places++] = p;
	p->node = view.name = node;
	r = policy_compile(w->in->old_set, &view, &p->c[0], e);
	if (r == 0)
		r = policy_compile(w->in->new_set, &view, &p->c[1], e);
	*ret = p;
	return r;
}

/* ---- who ---- */

static bool picks_by_pod(const struct compiled *c)
{
	for (size_t i = 0; i < c->n_identities; i++)
		if (c->identities[i].per_pod)
			return true;
	return false;
}

static struct cohort *cohort_get(struct work *w, const struct cohort *like)
{
	const uint64_t key[] = {like->b[0].key, like->b[1].key, like->spread};
	uint64_t hash = hash_bytes(key, sizeof(key), 0);
	uint32_t i;

	for (i = hash_index_first(&w->index, hash); i != HASH_INDEX_END;
	     i = hash_index_next(&w->index, i)) {
		struct cohort *k = &w->cohorts[i];

		if (k->place == like->place && k->spread == like->spread &&
		    k->b[0].key == like->b[0].key && k->b[1].key == like->b[1].key)
			return k;
	}
	hash_index_add(&w->index, hash);
	MEM_GROW(w->cohorts, w->n_cohorts);
	w->cohorts[w->n_cohorts] = *like;
	return &w->cohorts[w->n_cohorts++];
}

static int pod_resolve(struct work *w, size_t index, struct err *e)
{
	const struct diff_pod *pod = &w->pods.list[index];
	struct cohort like = {0}, *k;
	int r = place_get(w, node_of(w, pod), &like.place, e);

	for (int side = 0; r == 0 && side < 2; side++) {
		struct pod_info info = {pod->namespace, pod->name, pod->labels[side], true};

		r = policy_resolve(like.place->c[side], &info, &like.b[side]);
		if (r < 0)
			err_sys(e, r, "%s", pod->title);
	}
	if (r == 0 && (picks_by_pod(like.place->c[0]) || picks_by_pod(like.place->c[1])))
		like.spread = pod_spread(pod->namespace, pod->name);
	k = r == 0 ? cohort_get(w, &like) : NULL;
	if (!k || k->n) { /* not taken over */
		binding_done(&like.b[0]);
		binding_done(&like.b[1]);
	}
	if (!k)
		return r;
	MEM_GROW(k->pods, k->n);
	k->pods[k->n++] = index;
	return 0;
}

/* ---- what ---- */

static int cohort_compare(const struct cohort *k, struct diff *d, struct diff_group *g,
			  struct err *e)
{
	struct program *p[2] = {NULL, NULL};
	int r = 0;

	for (int i = 0; r == 0 && i < 2; i++) {
		r = policy_flatten(k->place->c[i], &k->b[i], &p[i]);
		if (r == -E2BIG)
			policy_too_large(k->place->c[i], &k->b[i], e);
		else if (r < 0)
			err_sys(e, r, "compile");
	}
	if (r == 0) {
		const struct diff_side sides[2] = {{k->place->c[0], p[0]}, {k->place->c[1], p[1]}};

		diff_compare(sides, k->spread, d, g);
	}
	program_free(p[0]);
	program_free(p[1]);
	return r;
}

static void group_add(struct diff *d, struct diff_group *g, const struct work *w,
		      const struct cohort *k)
{
	g->pods = mem_alloc0(k->n * sizeof(*g->pods));
	for (size_t i = 0; i < k->n; i++)
		g->pods[g->n_pods++] = mem_strdup(w->pods.list[k->pods[i]].title);
	MEM_GROW(d->groups, d->n);
	d->groups[d->n++] = *g;
}

static int work_run(struct work *w, struct diff *d, struct err *e)
{
	int r = 0;

	d->n_pods = w->pods.n;
	for (size_t i = 0; r == 0 && i < w->pods.n; i++)
		r = pod_resolve(w, i, e);
	for (size_t i = 0; r == 0 && i < w->n_cohorts; i++) {
		struct diff_group g = {0};

		r = cohort_compare(&w->cohorts[i], d, &g, e);
		if (r < 0)
			err_wrap(e, "%s", w->pods.list[w->cohorts[i].pods[0]].title);
		else if (g.n_changes)
			group_add(d, &g, w, &w->cohorts[i]);
	}
	return r;
}

int policy_diff(const struct diff_input *in, struct diff *ret, struct err *e)
{
	__cleanup(work_done) struct work w = {.in = in};
	int r;

	*ret = (struct diff){0};
	diff_pods_init(&w.pods, in);
	r = work_run(&w, ret, e);
	if (r < 0)
		diff_done(ret);
	return r;
}

void diff_done(struct diff *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct diff_group *g = &d->groups[i];

		for (size_t k = 0; k < g->n_pods; k++)
			free(g->pods[k]);
		free(g->pods);
		for (size_t k = 0; k < g->n_changes; k++)
			free(g->changes[k].prefixes);
		free(g->changes);
	}
	free(d->groups);
	for (size_t i = 0; i < d->n_texts; i++)
		free(d->texts[i]);
	free(d->texts);
	*d = (struct diff){0};
}
