/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/programs_priv.h"

static const enum bpf_map maps[PLACE_COUNT] = {
	[PLACE_RANGE] = BPF_MAP_RANGES,
	[PLACE_RULE] = BPF_MAP_RULES,
	[PLACE_PICK] = BPF_MAP_PICKS,
	[PLACE_IDENTITY] = BPF_MAP_IDENTITIES,
};

static int run_write(struct bpf_pins *pins, enum place_kind kind, struct run run,
		     const void *values, struct err *e)
{
	if (kind == PLACE_NODE)
		return bpf_tree_write(pins, run.first, values, run.n, e);
	return bpf_map_write(pins, maps[kind], run.first, values, run.n, e);
}

static int places_write(struct bpf_pins *pins, enum place_kind kind, const struct writes *w,
			struct err *e)
{
	const uint8_t *values = w->values;
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->runs.n; i++) {
		r = run_write(pins, kind, w->runs.items[i], values, e);
		values += w->runs.items[i].n * w->size;
	}
	return r;
}

/*
 * The epoch counts up after each single one: the kernel uses the element that was replaced again
 * for the next, and a packet that still reads it must be able to tell (bpf/judge.bpf.h).
 */
static int policy_write(struct bpf_pins *pins, const struct table_policy *p, struct err *e)
{
	int r = bpf_map_set(pins, BPF_MAP_POLICIES, &p->id, &p->v, e);

	if (r < 0) {
		err_wrap(e, "policy %u", p->id);
		return r;
	}
	return bpf_epoch_bump(pins, e);
}

int programs_apply(struct bpf_pins *pins, const struct programs_plan *p, struct err *e)
{
	int r = 0;

	for (int i = 0; r == 0 && i < PLACE_COUNT; i++)
		r = places_write(pins, (enum place_kind)i, &p->writes[i], e);
	for (size_t i = 0; r == 0 && i < p->n_names; i++)
		r = bpf_map_set(pins, BPF_MAP_NAME_CLASSES, &p->names[i].key, &p->names[i].class,
				e);
	for (size_t i = 0; r == 0 && i < p->n_sets; i++)
		r = policy_write(pins, p->sets[i], e);
	return r;
}

int programs_retire(struct bpf_pins *pins, const struct programs_plan *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->n_retires; i++) {
		r = bpf_map_delete(pins, BPF_MAP_POLICIES, &p->retires[i], e);
		if (r == 0)
			r = bpf_epoch_bump(pins, e);
	}
	return r;
}

/* False: the kernel has no such thing, or not now (nohz_full). */
static bool packets_ended(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0;
}

int tables_settle(struct bpf_pins *pins, struct dp_tables *t, struct err *e)
{
	bool ended = packets_ended();
	int r = 0;

	/* a policy that still looks for them finds none: closed, for one packet at worst */
	while (r == 0 && t->n_old_names) {
		r = bpf_map_delete(pins, BPF_MAP_NAME_CLASSES, &t->old_names[t->n_old_names - 1],
				   e);
		t->n_old_names -= r == 0;
	}
	if (r < 0 || !ended)
		return r;
	for (int i = 0; i < PLACE_COUNT; i++)
		space_wake(&t->spaces[i]);
	return 0;
}
