/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The whole of a program's answers, for those who compare programs and not packets: all
 * addresses, cut where anything changes, and for a stretch of them all ports, cut likewise.
 * PURE.
 */
#include "policy/compile.h"

struct span {
	struct addr
		first;	 /* holds up to the next one's, the last to the end; v4 as ::ffff:0:0/96 */
	uint32_t class;	 /* of the own layer */
	uint16_t sets;	 /* that hold it: bits by place in program.sets */
	bool outside;	 /* governed: neither inside nor multicast, loopback and the like */
	bool link_local; /* gets a verdict, never an identity */
};

struct spans {
	struct span *list; /* malloc'd */
	size_t n;	   /* >= 1 */
};

/* Neighbours differ, and none is of both families. */
struct spans program_spans(const struct program *p, const struct compiled *c);

/* Both lists at once, cut where either is cut. */
struct span_pair {
	struct addr first, last;
	const struct span *a, *b;
};
typedef void span_pair_fn(const struct span_pair *pair, void *data);
void spans_pair(const struct spans *a, const struct spans *b, span_pair_fn *fn, void *data);

struct port_cell {
	uint32_t lo; /* holds up to the next one's, the last up to L4_MAX */
	struct cell cell;
};

struct port_cells {
	struct port_cell *list; /* malloc'd */
	size_t n;		/* >= 1, list[0].lo == 0 */
};

/* The merged layers of a span, and of the names (of the compiled) its addresses are known under. */
struct port_cells span_cells(const struct program *p, const struct span *s, const uint32_t *names,
			     size_t n_names);
