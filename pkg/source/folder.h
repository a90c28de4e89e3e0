/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A folder of policy files, read as one consistent whole: what changes while it
 * is read (Kubernetes swaps "..data", an editor saves) makes it read again. Which
 * names count is said by policy_file_name() (state/fingerprint.h); symlinks are
 * followed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FOLDER_MAX_FILES 4096
#define FOLDER_MAX_FILE	 (64u << 20) /* bytes: a million prefixes are some 25 MiB */
#define FOLDER_MAX_TOTAL (256u << 20)

/* What a file shows of itself without being read. All zero: not to be relied on. */
struct folder_stamp {
	uint64_t dev, ino, size;
	int64_t mtime, ctime; /* ns since 1970 */
};

struct folder_file {
	char *name; /* within the folder: "shop.yaml" */
	char *data; /* NUL-terminated behind len; NULL: as it was, see folder_read_after */
	size_t len;
	uint64_t hash; /* of the text; with len, as good as the text */
	struct folder_stamp stamp;
};

struct folder {
	bool exists;
	struct folder_file *files; /* sorted by name */
	size_t n;
	uint64_t fingerprint; /* policy_fingerprint() of exactly what was read */
};

/*
 * A missing folder is an empty one with exists = false. Errors name the file:
 * -EFBIG, -EINVAL (not a regular file), -EAGAIN (kept changing), -errno.
 */
int folder_read(const char *path, struct folder *ret, struct err *e);
/*
 * The same, but a file whose stamp is the one in seen (NULL: nothing was seen) is not read: its
 * data is NULL. A file that was changed just before it was read has no stamp, since it could be
 * changed once more within the same tick of the clock.
 */
int folder_read_after(const char *path, const struct folder *seen, struct folder *ret,
		      struct err *e);
/* Reads a file that folder_read_after left out into f->data. -ESTALE: it has changed since. */
int folder_fill(const char *path, struct folder_file *f, struct err *e);
/* Copies all but the texts, as `seen` for a later folder_read_after; ended by folder_done. */
void folder_remember(const struct folder *f, struct folder *ret);
void folder_done(struct folder *f);
#define __cleanup_folder __cleanup(folder_done) /* with base/cleanup.h; start from { 0 } */
