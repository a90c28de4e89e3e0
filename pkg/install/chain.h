/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which list of a folder the runtime uses, which one it would use without us (the main
 * one), and what our own file, which comes before it, must hold. PURE: a folder's files
 * in, a plan or a judgement out.
 *
 * The main list is the first file by name that is neither ours, nor a copy of ours that
 * somebody made to chain himself, nor Multus's. The last good copy stays where there is
 * none, and where it cannot be read: writers that truncate first are whole again in a
 * moment. One that vanished is waited for before another takes its place.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "json/json.h"

#define CHAIN_FILE "00-sluice.conflist" /* our own; its name comes first in the folder */

struct chain_file {
	char *name;
	char *text; /* NULL: it could not be read */
	size_t len;
	struct err err;
};

/* What libcni would look at, sorted as it sorts. */
struct chain_dir {
	struct chain_file *files;
	size_t n;
	bool taken_away; /* Cilium renamed ours */
};

struct chain_in {
	const struct chain_dir *dir;
	const struct json *entry; /* NULL: the one of our file, or the fallback */
	const struct json *fallback;
	const char *last; /* our file as we last wrote it; NULL: not known */
	bool settled;	  /* what is pending will not pass by itself */
};

struct chain_plan {
	char *text;	/* not NULL: our file must hold this */
	char main[256]; /* whose copy it is; "" = nobody's */
	bool lost;	/* our file is not what we last wrote */
	bool pending;	/* plan again in a moment, and settled if it stays so */
	struct err why; /* code 0: ours is the copy of main as it is now, or text makes it so */
};

void chain_plan(const struct chain_in *in, struct chain_plan *ret);
void chain_plan_done(struct chain_plan *p);

struct chain_verdict {
	bool in_force;
	const char *reason; /* CamelCase, static */
	char message[512];
};

void chain_say(struct chain_verdict *v, bool in_force, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Whether the list that the runtime will use calls our plugin, and is our file as it must be. */
void chain_judge(const struct chain_in *in, struct chain_verdict *ret);

void chain_dir_done(struct chain_dir *d);
