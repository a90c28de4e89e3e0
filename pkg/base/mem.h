/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory never runs out halfway: every input is bounded where it is parsed, and
 * what still fails to allocate ends the process through oom(). A program that
 * must say something first (the plugin's CNI error on stdout) sets oom_hook.
 */
#include <stddef.h>
#include <stdint.h>

extern void (*oom_hook)(void); /* called once before abort; must not allocate */

void oom(void) __attribute__((noreturn));

void *mem_alloc0(size_t size);			  /* zeroed, never NULL */
void *mem_resize(void *p, size_t n, size_t size); /* n elements; overflow is oom() */
char *mem_strdup(const char *s);		  /* NULL stays NULL */
void *mem_dup(const void *p, size_t size);	  /* size 0 gives a 1-byte block */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Grows the array *v (of elements of its own type) so that index n is valid:
 *	MEM_GROW(list->items, list->n);
 *	list->items[list->n++] = x;
 * Capacity is the next power of two, so no field is needed for it.
 */
#define MEM_GROW(v, n)                                                        \
	do {                                                                  \
		size_t n_ = (n);                                              \
		if ((n_ & (n_ - 1)) == 0)                                     \
			(v) = mem_resize((v), n_ ? n_ * 2 : 1, sizeof(*(v))); \
	} while (0)
