/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which elements of an array map are taken. Places are given out next-fit, so one that
 * was let go stays as it was for long; and it rests, taken by nobody and given to
 * nobody, until every packet that was under way has ended (abi.h). PURE.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run {
	uint32_t first, n;
};

struct runs {
	struct run *items;
	size_t n;
};

struct space { /* places 0..size-1 */
	uint64_t *taken;
	uint32_t size, max; /* it can grow up to max */
	uint32_t used, next;
	struct runs resting; /* these are taken, too */
};

void space_init(struct space *s, uint32_t size, uint32_t max);
void space_done(struct space *s);
/* A copy for a plan, without the list of what rests; space_adopt makes it the space, or it is
 * dropped. */
struct space space_plan(const struct space *s);
/* Replaces to by from, which is empty then; to keeps its list of what rests. */
void space_adopt(struct space *to, struct space *from);

/* n places in a row. */
bool space_take(struct space *s, uint32_t n, uint32_t *ret_first);
/* n places, wherever they are, appended to ret; all of them or none. */
bool space_take_some(struct space *s, uint32_t n, struct runs *ret);
/* Adds places, step at a time, until n are free. False, and nothing is added: max is too low. */
bool space_grow(struct space *s, uint32_t n, uint32_t step);
void space_mark(struct space *s, uint32_t first, uint32_t n);
void space_give_back(struct space *s, uint32_t first, uint32_t n); /* nobody has seen them */

void space_rest(struct space *s, uint32_t first, uint32_t n);
void space_wake(struct space *s); /* what rests is free */

void runs_add(struct runs *r, uint32_t first, uint32_t n);
