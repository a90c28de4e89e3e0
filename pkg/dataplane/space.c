/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/space.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WORD 64

static size_t words(uint32_t size)
{
	return (size + WORD - 1) / WORD;
}

void space_init(struct space *s, uint32_t size, uint32_t max)
{
	*s = (struct space){
		.taken = mem_alloc0(words(size) * sizeof(*s->taken)),
		.size = size,
		.max = max,
	};
}

void space_done(struct space *s)
{
	free(s->taken);
	free(s->resting.items);
	*s = (struct space){0};
}

struct space space_plan(const struct space *s)
{
	struct space copy = *s;

	copy.taken = mem_dup(s->taken, words(s->size) * sizeof(*s->taken));
	copy.resting = (struct runs){0};
	return copy;
}

void space_adopt(struct space *to, struct space *from)
{
	struct runs resting = to->resting;

	free(to->taken);
	*to = *from;
	to->resting = resting;
	*from = (struct space){0};
}

/* ---- bits ---- */

static void bits_turn(struct space *s, uint32_t first, uint32_t n, bool on)
{
	for (uint32_t i = first; i < first + n; i++) {
		uint64_t bit = 1ull << i % WORD;

		if (on == !!(s->taken[i / WORD] & bit))
			continue;
		s->taken[i / WORD] ^= bit;
		s->used += on ? 1 : -1;
	}
}

void space_mark(struct space *s, uint32_t first, uint32_t n)
{
	bits_turn(s, first, n, true);
}

void space_give_back(struct space *s, uint32_t first, uint32_t n)
{
	bits_turn(s, first, n, false);
}

/* The first place from `at` on that is taken, or is free; end when there is none before it. */
static uint32_t seek(const struct space *s, uint32_t at, uint32_t end, bool taken)
{
	while (at < end) {
		uint64_t w = s->taken[at / WORD];

		w = (taken ? w : ~w) >> at % WORD;
		if (w) {
			at += (uint32_t)__builtin_ctzll(w);
			return at < end ? at : end;
		}
		at += WORD - at % WORD;
	}
	return end;
}

/* ---- taking ---- */

static bool take_between(struct space *s, uint32_t at, uint32_t end, uint32_t n, uint32_t *ret)
{
	while (true) {
		uint32_t stop;

		at = seek(s, at, end, false);
		if (end - at < n)
			return false;
		stop = seek(s, at, at + n, true);
		if (stop == at + n) {
			*ret = at;
			return true;
		}
		at = stop;
	}
}

bool space_take(struct space *s, uint32_t n, uint32_t *ret_first)
{
	uint32_t at;

	if (n == 0 || n > s->size - s->used ||
	    (!take_between(s, s->next, s->size, n, &at) && !take_between(s, 0, s->size, n, &at)))
		return false;
	space_mark(s, at, n);
	s->next = at + n < s->size ? at + n : 0;
	*ret_first = at;
	return true;
}

bool space_take_some(struct space *s, uint32_t n, struct runs *ret)
{
	if (n > s->size - s->used)
		return false;
	while (n) {
		uint32_t at = seek(s, s->next, s->size, false), stop;

		if (at == s->size) {
			s->next = 0;
			continue;
		}
		stop = seek(s, at, n < s->size - at ? at + n : s->size, true);
		space_mark(s, at, stop - at);
		runs_add(ret, at, stop - at);
		n -= stop - at;
		s->next = stop < s->size ? stop : 0;
	}
	return true;
}

bool space_grow(struct space *s, uint32_t n, uint32_t step)
{
	uint32_t size = s->size;
	size_t had = words(size);

	while (n > size - s->used) {
		if (s->max - size < step)
			return false;
		size += step;
	}
	if (size == s->size)
		return true;
	s->taken = mem_resize(s->taken, words(size), sizeof(*s->taken));
	memset(s->taken + had, 0, (words(size) - had) * sizeof(*s->taken));
	s->size = size;
	return true;
}

/* ---- letting go ---- */

void space_rest(struct space *s, uint32_t first, uint32_t n)
{
	if (n)
		runs_add(&s->resting, first, n);
}

void space_wake(struct space *s)
{
	for (size_t i = 0; i < s->resting.n; i++)
		bits_turn(s, s->resting.items[i].first, s->resting.items[i].n, false);
	free(s->resting.items);
	s->resting = (struct runs){0};
}

void runs_add(struct runs *r, uint32_t first, uint32_t n)
{
	struct run *last = r->n ? &r->items[r->n - 1] : NULL;

	if (last && last->first + last->n == first) {
		last->n += n;
		return;
	}
	MEM_GROW(r->items, r->n);
	r->items[r->n++] = (struct run){first, n};
}
