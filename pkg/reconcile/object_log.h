/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A log of JSON objects in the state folder, from which a start goes on where the last one ended:
 * what an API said (objects.h), the texts of a policy folder (last_good.h). One line an entry,
 * appended: "HASH {json}\n". Written anew when most of it is out of date. The tail of a write that
 * was cut short is left out; anything else that is damaged ends the reading, and says so.
 *
 * A log is lost when somebody removed or cut its file, or when so much could not be written that
 * it was let go of: it must not grow in memory for as long as a disk is full. From then on nothing
 * is appended until it is rewritten.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct object_log;
struct json;

/* Where a line stands, in as little as it needs: there may be very many. */
struct object_log_line {
	uint64_t at : 34;
	uint64_t len : 30; /* 0: not there */
};

struct object_log_in {
	int dirfd; /* -1: an empty log */
	const char *name;
	bool writable;
	/* Called for each line that stands, with where it stands. */
	void (*entry)(void *data, const struct json *j, struct object_log_line line);
	void *data;
};

/* *ret_damaged: something that stood before the end could not be read. No file: an empty log. */
int object_log_open(const struct object_log_in *in, struct object_log **ret, bool *ret_damaged,
		    struct err *e);
void object_log_free(struct object_log *l);
DEFINE_CLEANUP(struct object_log *, object_log_free);

/* JSON on one line. Where it will stand; safely after object_log_sync. */
struct object_log_line object_log_append(struct object_log *l, const char *text);
int object_log_sync(struct object_log *l, struct err *e);
/* True: lines that stand at *ret_from or behind are nowhere any more. */
bool object_log_lost(const struct object_log *l, uint64_t *ret_from);
int64_t object_log_size(const struct object_log *l);

/*
 * The log with these lines only, in this order; each is changed to where it stands now. Call
 * after a sync, or when it is lost, with what is left. On failure the old one stands, and so does
 * every line.
 */
int object_log_rewrite(struct object_log *l, struct object_log_line **lines, size_t n,
		       struct err *e);
