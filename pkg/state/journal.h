/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The state folder:
 *	attachments/<container id>:<ifname>.json   records (record.h)
 *	snapshot				   image (policy/image.h), replaced whole
 *	last-good.log, objects.log		   the objects in force (daemon)
 *	ids.json				   address → id, node → index (daemon)
 * and the rest of what state_clear() in retired.c names. Indexes of interfaces in a record mean
 * something only while its boot_id is journal_boot_id().
 *
 * Locks live in runDir: locks/<container id>:<ifname> (flock, per attachment),
 * locks/node (one `sluiced --once` at a time). Order: attachment, then node. No
 * lock is held across another container's work.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "state/record.h"

struct journal;

/* Creates the folders. */
int journal_open(const char *state_dir, const char *run_dir, struct journal **ret, struct err *e);
void journal_close(struct journal *j);
int journal_state_dirfd(const struct journal *j);

/* flock, waits at most timeout_ms (-ETIMEDOUT). *ret_fd is closed to unlock. */
int journal_lock(struct journal *j, const char *container_id, const char *ifname, int timeout_ms,
		 int *ret_fd, struct err *e);
int journal_lock_node(struct journal *j, int timeout_ms, int *ret_fd, struct err *e);
/* Removes the lock file of an attachment that is gone; call with the lock held. */
void journal_lock_remove(struct journal *j, const char *container_id, const char *ifname);

int journal_store(struct journal *j, const struct record *r, struct err *e);
/* -ENOENT; -EBADMSG for a corrupt record (the caller may still remove it); -EPROTO newer version.
 */
int journal_load(struct journal *j, const char *container_id, const char *ifname,
		 struct record **ret, struct err *e);
int journal_remove(struct journal *j, const char *container_id, const char *ifname, struct err *e);
/* All records; those that cannot be read are left and passed to on_bad (may be NULL), with the
 * code of journal_load(). */
int journal_list(struct journal *j, struct record ***ret, size_t *ret_n,
		 void (*on_bad)(const char *name, const struct err *e, void *data), void *data,
		 struct err *e);
/* Whether the record itself is at fault: then it will be no better next time. */
static inline bool record_is_bad(int code)
{
	return code == -EBADMSG || code == -EPROTO;
}
/*
 * Removes what was cut short: files that were being written, lock files of attachments
 * that have no record. Only those that nobody is at work on. alone: nobody writes the
 * other files of the state folder either (the caller is the only daemon).
 */
void journal_sweep(struct journal *j, bool alone);
void records_free(struct record **records, size_t n);
/* This boot's id, 36 characters; "" when unreadable. Static. */
const char *journal_boot_id(void);
