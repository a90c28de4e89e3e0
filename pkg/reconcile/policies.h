/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The objects in force, from a folder or from an API.
 *
 *	folder	those of the policy folder when all of it is valid, else the last ones that
 *		were (in memory, or stateDir/last-good.log after a restart). One bad file
 *		changes nothing at all; what is wrong with it is said until it is mended. A
 *		folder that is gone is wrong, if there were any: an empty one says that there
 *		are none
 *	API	objects.h: there, each object is good or bad on its own
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "policy/doc.h"
#include "reconcile/last_good.h"
#include "reconcile/objects.h"
#include "reconcile/policy_files.h"

struct policies {
	struct objects *objects; /* of an API; NULL: those of a folder */
	struct doc_set *set;	 /* NULL: never was there a valid one */
	uint64_t fingerprint;	 /* of the folder as it was read last; 0: from an API */
	bool last_good;		 /* set is not what the folder says now */
	bool unread;		 /* for what it says could not be read: a matter of trying again */
	struct err err;		 /* why not: "file:line: …" */
	struct policy_files files;
	struct last_good *kept; /* NULL: not written yet */
	int64_t keep_at; /* ms: what could not be written is not tried again before; 0: it could */
	struct folder
		unkept; /* what set was made of, until policies_keep; fingerprint 0: nothing */
};

/*
 * Looks at the folder again if it changed. 0 = as it was, 1 = p->set is another one
 * now; p->err tells the folder's state. -errno when even that could not be found out.
 * old_set, if not NULL, receives the set that was replaced: for the caller to free when
 * nothing refers to it any more.
 */
int policies_refresh(struct policies *p, const char *dir, int state_fd, struct doc_set **old_set,
		     struct err *e);
/* There is something that the set in force does not have. */
bool policies_stale(const struct policies *p, const char *dir);
/*
 * Writes last-good.log, if the objects are others than it says. Not part of the way to the kernel:
 * who ends in between has the ones before to fall back to, should the folder be bad by then. What
 * cannot be written now is tried again after a while. With an API: its log.
 */
void policies_keep(struct policies *p, const char *dir, int state_fd);
/*
 * The same question without being the daemon: writes and logs nothing. Where a daemon works from
 * an API, its objects are those of the log that it leaves. state_fd -1 = no last good ones. 0 when
 * p->set is there (p->err tells the folder's state), else -errno.
 */
int policies_read(struct policies *p, const char *dir, int state_fd, struct err *e);
void policies_done(struct policies *p);
