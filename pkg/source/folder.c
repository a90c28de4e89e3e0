/* SPDX-License-Identifier: Apache-2.0 */
#include "source/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "state/fingerprint.h"

#define TRIES 8
/* ns. Clocks of file systems tick every few milliseconds. */
#define STAMP_AGE 1000000000

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int by_name(const void *a, const void *b)
{
	const struct folder_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void folder_done(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->files[i].name);
		free(f->files[i].data);
	}
	free(f->files);
	*f = (struct folder){0};
}

void folder_remember(const struct folder *f, struct folder *ret)
{
	*ret = (struct folder){.exists = f->exists,
			       .files = mem_alloc0(f->n * sizeof(*f->files)),
			       .n = f->n,
			       .fingerprint = f->fingerprint};
	for (size_t i = 0; i < f->n; i++)
		ret->files[i] = (struct folder_file){.name = mem_strdup(f->files[i].name),
						     .len = f->files[i].len,
						     .hash = f->files[i].hash,
						     .stamp = f->files[i].stamp};
}

/* ---- stamps ---- */

static int64_t ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct folder_stamp stamp_of(const struct stat *st)
{
	return (struct folder_stamp){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime = ns(st->st_mtim),
		.ctime = ns(st->st_ctim),
	};
}

static bool stamp_equal(const struct folder_stamp *a, const struct folder_stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* That of the file which is there under the name now. */
static struct folder_stamp stamp_get(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 ? stamp_of(&st) : (struct folder_stamp){0};
}

static bool stamp_is_old(const struct folder_stamp *s, int64_t now)
{
	return now - s->ctime > STAMP_AGE && now - s->mtime > STAMP_AGE;
}

/* Equal ones, and not the one that says nothing. */
static bool stamp_says(const struct folder_stamp *s, const struct folder_stamp *as)
{
	return s->ino && stamp_equal(s, as);
}

/* ---- reading ---- */

static int list_names(const char *path, DIR *d, struct folder *f, struct err *e)
{
	struct dirent *de;

	while ((errno = 0, de = readdir(d))) {
		struct folder_file file = {0};
		struct stat st;

		if (!policy_file_name(de->d_name))
			continue;
		/* a folder called x.yaml is not a file; what cannot be told is for open to say */
		if (fstatat(dirfd(d), de->d_name, &st, 0) == 0) {
			if (S_ISDIR(st.st_mode))
				continue;
			if (!S_ISREG(st.st_mode)) /* opening a FIFO would wait for a writer */
				return err_set(e, -EINVAL, "%s/%s: not a regular file", path,
					       de->d_name);
			file.stamp = stamp_of(&st);
		}
		if (f->n == FOLDER_MAX_FILES)
			return err_set(e, -EFBIG, "%s/%s: more than %d files", path, de->d_name,
				       FOLDER_MAX_FILES);
		MEM_GROW(f->files, f->n);
		file.name = mem_strdup(de->d_name);
		f->files[f->n++] = file;
	}
	if (errno)
		return err_sys(e, -errno, "read %s", path);
	if (f->n)
		qsort(f->files, f->n, sizeof(f->files[0]), by_name);
	return 0;
}

static bool file_seen(const struct folder *seen, struct folder_file *f)
{
	const struct folder_file *was = seen && seen->n ? bsearch(f, seen->files, seen->n,
								  sizeof(seen->files[0]), by_name)
							: NULL;

	if (!was || !stamp_says(&was->stamp, &f->stamp))
		return false;
	f->len = was->len;
	f->hash = was->hash;
	return true;
}

static int file_load(int dirfd, struct folder_file *f, struct err *e)
{
	struct timespec now;
	struct folder_stamp after;
	int r;

	clock_gettime(CLOCK_REALTIME, &now); /* before: what is old by then, a change would show */
	r = atomic_file_load(dirfd, f->name, FOLDER_MAX_FILE, &f->data, &f->len, e);
	if (r < 0)
		return r;
	f->hash = hash_bytes(f->data, f->len, 0);
	after = stamp_get(dirfd, f->name);
	if (!stamp_equal(&f->stamp, &after) || !stamp_is_old(&f->stamp, ns(now)))
		f->stamp = (struct folder_stamp){0};
	return 0;
}

static int load_files(const char *path, DIR *d, const struct folder *seen, struct folder *f,
		      struct err *e)
{
	size_t total = 0;

	for (size_t i = 0; i < f->n; i++) {
		struct folder_file *file = &f->files[i];
		int r = 0;

		if (!file_seen(seen, file))
			r = file_load(dirfd(d), file, e);
		if (r < 0) {
			err_wrap(e, "%s/%s", path, file->name);
			return r;
		}
		total += file->len;
		if (total > FOLDER_MAX_TOTAL)
			return err_set(e, -EFBIG, "%s/%s: the files together exceed %u bytes", path,
				       file->name, FOLDER_MAX_TOTAL);
	}
	return 0;
}

static int read_once(const char *path, const struct folder *seen, struct folder *f, struct err *e)
{
	__cleanup(close_dir) DIR *d = opendir(path);
	int r;

	if (!d && errno == ENOENT)
		return 0;
	if (!d)
		return err_sys(e, -errno, "open %s", path);
	f->exists = true;
	r = list_names(path, d, f, e);
	return r < 0 ? r : load_files(path, d, seen, f, e);
}

int folder_fill(const char *path, struct folder_file *f, struct err *e)
{
	__cleanup(close_dir) DIR *d = opendir(path);
	struct folder_stamp now = {0};
	int r;

	if (!d)
		return err_sys(e, -errno, "open %s", path);
	now = stamp_get(dirfd(d), f->name);
	if (!stamp_says(&f->stamp, &now))
		return err_set(e, -ESTALE, "%s/%s: has changed", path, f->name);
	r = file_load(dirfd(d), f, e);
	if (r == 0 && !stamp_equal(&f->stamp, &now)) {
		free(f->data);
		f->data = NULL;
		f->stamp = now;
		return err_set(e, -ESTALE, "%s/%s: changes", path, f->name);
	}
	return r;
}

/* The fingerprint before and after: if they are equal, it is that of what was read. */
int folder_read_after(const char *path, const struct folder *seen, struct folder *ret,
		      struct err *e)
{
	uint64_t before, after;
	int r = policy_fingerprint(path, &before, e);

	for (int i = 0; r == 0 && i < TRIES; i++) {
		struct folder f = {0};
		int code = read_once(path, seen, &f, e);

		r = policy_fingerprint(path, &after, code < 0 ? NULL : e);
		if (r == 0 && before == after && code == 0) {
			f.fingerprint = after;
			*ret = f;
			return 0;
		}
		folder_done(&f);
		if (r == 0 && before == after)
			return code;
		before = after;
	}
	return r < 0 ? r : err_set(e, -EAGAIN, "%s: kept changing while it was read", path);
}

int folder_read(const char *path, struct folder *ret, struct err *e)
{
	return folder_read_after(path, NULL, ret, e);
}
