/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Compiled programs as they stand in the maps "policies", "tree", "ranges", "rules",
 * "name_classes", "identities" and "picks". What a policy refers to never changes under
 * it (abi.h): a program whose content changed gets all of it anew in places nobody uses,
 * then its element of "policies" is switched, then the old places rest, and are free when
 * nobody can be reading them any more. Identities are shared between programs, and so are
 * large sets of destinations: one tree each, however many programs have it. PURE but for
 * load, apply, retire and settle.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "bpf/maps.h"
#include "policy/compile.h"

/* An identity with its addresses as ids. [0] IPv4, [1] IPv6 */
struct dp_identity {
	uint32_t *picks[2]; /* address ids, 0 = none was free */
	uint16_t n[2];
	uint8_t none[2];
	uint8_t or_node, by_flow;
};

/* Those of a compiled list; addr_ids: by compiled address. */
struct dp_identity *dp_identities_new(const struct compiled *c, const uint32_t *addr_ids,
				      size_t *ret_n);
void dp_identities_free(struct dp_identity *list, size_t n);

struct dp_program {
	uint32_t id;
	const struct program *program;
	const uint32_t *counters; /* by rule, 0 = not counted; NULL: none is */
};

struct dp_programs {			      /* desired; borrowed */
	const struct dp_identity *identities; /* by compiled identity index */
	size_t n_identities;
	const struct compiled_set *sets; /* compiled_sets */
	size_t n_sets;
	const uint32_t *names;		/* by index of compiled_names: its id, 0 = no room for it */
	const struct dp_program *items; /* ids unique */
	size_t n;
	const uint32_t *keep; /* ids that stay as they are, used or not; sorted */
	size_t n_keep;
	bool keep_all; /* whatever is there stays; items come on top */
};

struct dp_tables;
struct programs_plan;

struct dp_tables *tables_new(void);
void tables_free(struct dp_tables *t);
DEFINE_CLEANUP(struct dp_tables *, tables_free);
/* Reads what is in the kernel: at the start, and after an apply that failed. Settle it first. */
int tables_load(struct bpf_pins *pins, struct dp_tables **ret, struct err *e);
uint32_t tables_last(const struct dp_tables *t); /* the highest policy id, 0 = none */
bool tables_has(const struct dp_tables *t, uint32_t policy);
bool tables_resting(const struct dp_tables *t); /* something was let go since the last settle */
/*
 * Waits until no packet is under way that began before now (membarrier), and frees what
 * rests. Where the kernel cannot wait like that, what rests stays out of use.
 */
int tables_settle(struct bpf_pins *pins, struct dp_tables *t, struct err *e);
/* Counters and names that policies in the kernel refer to. */
typedef void (*number_fn)(uint32_t n, void *data);
void tables_numbers(const struct dp_tables *t, number_fn counter, number_fn name, void *data);

/*
 * Nothing to do: an empty plan. A program that a map has no room for is refused: what is there
 * under its id stays, and the others go on.
 */
int programs_plan_new(const struct dp_tables *t, const struct dp_programs *want,
		      struct programs_plan **ret, struct err *e);
void programs_plan_free(struct programs_plan *p);
DEFINE_CLEANUP(struct programs_plan *, programs_plan_free);
size_t programs_plan_sets(const struct programs_plan *p); /* policies that are written */
bool programs_plan_has(const struct programs_plan *p, uint32_t policy); /* it is one of those */
/* Which are refused, and why the first one is: -ENOSPC with the map's name. */
size_t programs_plan_refused(const struct programs_plan *p, struct err *e);
bool programs_plan_refuses(const struct programs_plan *p, uint32_t policy);
size_t programs_plan_retires(const struct programs_plan *p); /* policies that go */

/* What the policies refer to, then each policy, then the epoch. */
int programs_apply(struct bpf_pins *pins, const struct programs_plan *p, struct err *e);
/* Removes the policies that are not wanted any more. Call it when no pod refers to them. */
int programs_retire(struct bpf_pins *pins, const struct programs_plan *p, struct err *e);
/* Brings t up to date after both of the above have succeeded. Takes the plan's content; p is then
 * only good for programs_plan_free. */
void programs_commit(struct dp_tables *t, struct programs_plan *p);
