/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ownership by attribute: a variable declared with __cleanup_x is released when
 * it goes out of scope; TAKE() hands it over. Destructors accept NULL (or -1).
 * Initialise such a variable where it is declared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define __cleanup(fn) __attribute__((cleanup(fn)))

/* DEFINE_CLEANUP(struct foo *, foo_free): defines foo_freep for the attribute. */
#define DEFINE_CLEANUP(type, fn)          \
	static inline void fn##p(type *p) \
	{                                 \
		if (*p)                   \
			fn(*p);           \
	}                                 \
	_Static_assert(1, "")

#define TAKE(p)                            \
	({                                 \
		__typeof__(p) take_ = (p); \
		(p) = NULL;                \
		take_;                     \
	})
#define TAKE_FD(fd)               \
	({                        \
		int take_ = (fd); \
		(fd) = -1;        \
		take_;            \
	})

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd); /* never retried on EINTR: Linux has closed it */
}

static inline void cleanup_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define __cleanup_free	__cleanup(cleanup_freep)
#define __cleanup_close __cleanup(cleanup_closep)
#define __cleanup_file	__cleanup(cleanup_fclosep)
