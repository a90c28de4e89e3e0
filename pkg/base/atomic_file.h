/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Files that are there whole or not at all: temp name in the same folder, write,
 * fsync, rename, fsync of the folder. Temp names start with "." and end in
 * ".tmp", so that a reader of the folder never takes one for a record. There is one
 * writer of a file at a time: whoever stores or removes it holds its lock.
 */
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

/* Makes name in dirfd hold exactly data[0..len). 0 or -errno; on failure the old file stands. */
int atomic_file_store(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		      struct err *e);

/* The same, with the content in n pieces that stand one after the other in list. */
int atomic_file_store_pieces(int dirfd, const char *name, const struct iovec *list, size_t n,
			     mode_t mode, struct err *e);

/*
 * Reads a whole file of at most max bytes; *ret_data is malloc'd, NUL-terminated
 * behind *ret_len. -ENOENT, -EFBIG above max, -errno.
 */
int atomic_file_load(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len,
		     struct err *e);

/*
 * Removes name, and the temporary file of it that a store killed halfway may have left; then fsync
 * of the folder. 0, also when name is not there, or -errno.
 */
int atomic_file_remove(int dirfd, const char *name, struct err *e);

/* mkdir -p, each new component 0755 (the last with mode). */
int dir_make(const char *path, mode_t mode, struct err *e);
