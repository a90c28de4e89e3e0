/* SPDX-License-Identifier: Apache-2.0 */
#include "install/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "install/conflist.h"

#define MAX_FILES 1024
#define MAX_BYTES (1u << 20)

#define LOCK_PAUSE_MS 10
#define LOCK_TRIES    500 /* somebody else may hold one on the folder for reasons of his own */

const char *folder_cure(int code)
{
	switch (code) {
	case -EROFS:
		return " (mount it writable)";
	case -ENOSPC:
	case -EDQUOT:
		return " (make room)";
	default:
		return "";
	}
}

int folder_lock(int dirfd, const char *path, struct err *e)
{
	static const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

	for (int i = 0; flock(dirfd, LOCK_EX | LOCK_NB) < 0; i++) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || i == LOCK_TRIES)
			return err_sys(e, -errno, "lock %s", path);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int folder_open(const char *path, int *ret, struct err *e)
{
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, -errno, "%s", path) : 0;
}

/* Not by a pipe's other end, nor a device, is the reader to be held. */
static int regular(int dirfd, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, 0) < 0)
		return err_sys(e, -errno, "%s", name);
	return S_ISREG(st.st_mode) ? 0 : err_set(e, -EINVAL, "%s: not a file", name);
}

static void file_load(int dirfd, const char *name, struct chain_dir *d)
{
	struct chain_file f = {.name = mem_strdup(name)};

	if (regular(dirfd, name, &f.err) == 0)
		atomic_file_load(dirfd, name, MAX_BYTES, &f.text, &f.len, &f.err);
	if (f.err.code == -ENOENT && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		free(f.name); /* removed since the folder was listed */
		return;
	}
	MEM_GROW(d->files, d->n);
	d->files[d->n++] = f;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct chain_file *)a)->name, ((const struct chain_file *)b)->name);
}

static bool is_folder(int dirfd, const struct dirent *de)
{
	struct stat st;

	if (de->d_type != DT_UNKNOWN)
		return de->d_type == DT_DIR;
	return fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

int chain_dir_load(const char *path, struct chain_dir *ret, struct err *e)
{
	struct chain_dir found = {0};
	DIR *d = opendir(path);
	struct dirent *de;

	if (!d)
		return err_sys(e, -errno, "%s", path);
	while (found.n < MAX_FILES && (de = readdir(d))) {
		found.taken_away |= strcmp(de->d_name, CHAIN_FILE ".cilium_bak") == 0;
		if (conflist_name(de->d_name) && !is_folder(dirfd(d), de))
			file_load(dirfd(d), de->d_name, &found);
	}
	closedir(d);
	if (found.n)
		qsort(found.files, found.n, sizeof(*found.files), by_name);
	/* renamed over while it was listed, it may be seen twice */
	for (size_t i = 1; i < found.n;) {
		if (strcmp(found.files[i - 1].name, found.files[i].name) != 0) {
			i++;
			continue;
		}
		free(found.files[i].name);
		free(found.files[i].text);
		memmove(&found.files[i], &found.files[i + 1],
			(found.n - i - 1) * sizeof(*found.files));
		found.n--;
	}
	*ret = found;
	return 0;
}

int chain_file_store(const char *path, const char *text, struct err *e)
{
	__cleanup_close int fd = -1;
	struct err why = {0};
	int r = folder_open(path, &fd, e);

	if (r < 0)
		return r;
	r = folder_lock(fd, path, e);
	if (r < 0)
		return r;
	r = atomic_file_store(fd, CHAIN_FILE, text, strlen(text), 0600, &why);
	return r == 0 ? 0 : err_set(e, r, "%s: %s%s", path, why.msg, folder_cure(r));
}

int chain_file_remove(const char *path, struct err *e)
{
	__cleanup_close int fd = -1;
	struct err why = {0};
	int r = folder_open(path, &fd, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = folder_lock(fd, path, e);
	if (r < 0)
		return r;
	r = atomic_file_remove(fd, CHAIN_FILE, &why);
	return r == 0 ? 0 : err_set(e, r, "%s: %s%s", path, why.msg, folder_cure(r));
}
