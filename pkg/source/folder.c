/* SPDX-License-Identifier: Apache-2.0 */
#include "source/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "state/fingerprint.h"

#define TRIES 8

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

static int list_names(const char *path, DIR *d, struct folder *f, struct err *e)
{
	struct dirent *de;

	while ((errno = 0, de = readdir(d))) {
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
		}
		if (f->n == FOLDER_MAX_FILES)
			return err_set(e, -EFBIG, "%s/%s: more than %d files", path, de->d_name,
				       FOLDER_MAX_FILES);
		MEM_GROW(f->files, f->n);
		f->files[f->n++] = (struct folder_file){.name = mem_strdup(de->d_name)};
	}
	if (errno)
		return err_sys(e, -errno, "read %s", path);
	if (f->n)
		qsort(f->files, f->n, sizeof(f->files[0]), by_name);
	return 0;
}

static int load_files(const char *path, DIR *d, struct folder *f, struct err *e)
{
	size_t total = 0;

	for (size_t i = 0; i < f->n; i++) {
		struct folder_file *file = &f->files[i];
		int r = atomic_file_load(dirfd(d), file->name, FOLDER_MAX_FILE, &file->data,
					 &file->len, e);

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

static int read_once(const char *path, struct folder *f, struct err *e)
{
	__cleanup(close_dir) DIR *d = opendir(path);
	int r;

	if (!d && errno == ENOENT)
		return 0;
	if (!d)
		return err_sys(e, -errno, "open %s", path);
	f->exists = true;
	r = list_names(path, d, f, e);
	return r < 0 ? r : load_files(path, d, f, e);
}

/* The fingerprint before and after: if they are equal, it is that of what was read. */
int folder_read(const char *path, struct folder *ret, struct err *e)
{
	uint64_t before, after;
	int r = policy_fingerprint(path, &before, e);

	for (int i = 0; r == 0 && i < TRIES; i++) {
		struct folder f = {0};
		int code = read_once(path, &f, e);

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
