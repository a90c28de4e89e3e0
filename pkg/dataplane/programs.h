/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Compiled programs as they stand in the maps "policies", "ranges", "identities" and
 * "picks". What a policy refers to never changes under it (abi.h): a program whose
 * content changed gets new ranges and identities in places nobody uses, then its
 * inner map is switched, then the old places are free. PURE but for load and apply.
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
	uint8_t or_node;
};

struct dp_program {
	uint32_t id;
	const struct program *program;
};

struct dp_programs {			      /* desired; borrowed */
	const struct dp_identity *identities; /* by compiled identity index */
	size_t n_identities;
	const struct dp_program *items; /* ids unique */
	size_t n;
	const uint32_t *keep; /* ids that stay as they are, used or not; sorted */
	size_t n_keep;
	bool keep_all; /* items are to be added to what there is */
};

struct dp_tables;
struct programs_plan;

struct dp_tables *tables_new(void);
void tables_free(struct dp_tables *t);
DEFINE_CLEANUP(struct dp_tables *, tables_free);
/* Reads what is in the kernel: at the start, and after an apply that failed. */
int tables_load(struct bpf_pins *pins, struct dp_tables **ret, struct err *e);
uint32_t tables_last(const struct dp_tables *t); /* the highest policy id, 0 = none */
bool tables_has(const struct dp_tables *t, uint32_t policy);

/* -ENOSPC when a map would be too small, with its name. Nothing to do: an empty plan. */
int programs_plan_new(const struct dp_tables *t, const struct dp_programs *want,
		      struct programs_plan **ret, struct err *e);
void programs_plan_free(struct programs_plan *p);
DEFINE_CLEANUP(struct programs_plan *, programs_plan_free);
size_t programs_plan_sets(const struct programs_plan *p); /* policies that are written */
bool programs_plan_has(const struct programs_plan *p, uint32_t policy); /* it is one of those */
size_t programs_plan_retires(const struct programs_plan *p);		/* policies that go */

/* Ranges, picks and identities first, then each inner map. */
int programs_apply(struct bpf_pins *pins, const struct programs_plan *p, struct err *e);
/* Policies that are wanted no more; when no pod refers to them. */
int programs_retire(struct bpf_pins *pins, const struct programs_plan *p, struct err *e);
/* The tables as they are when both of the above have succeeded. Consumes the plan's content. */
void programs_commit(struct dp_tables *t, struct programs_plan *p);
