/* SPDX-License-Identifier: Apache-2.0 */
#include "base/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One name for each file, so that what a killed process left is found again. */
static void temp_name(const char *name, char *tmp, size_t size)
{
	snprintf(tmp, size, ".%.180s.%08x.tmp", name, (unsigned int)hash_str(name, 0));
}

static int temp_open(int dirfd, const char *tmp, mode_t mode)
{
	int fd;

	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 && errno == EEXIST && !unlinkat(dirfd, tmp, 0))
		fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	return fd < 0 ? -errno : fd;
}

static int store_temp(int fd, const struct iovec *list, size_t n, const char *name, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = write_all(fd, list[i].iov_base, list[i].iov_len);
	if (r < 0)
		return err_sys(e, r, "write %s", name);
	if (fsync(fd) < 0)
		return err_sys(e, -errno, "fsync %s", name);
	return 0;
}

int atomic_file_store_pieces(int dirfd, const char *name, const struct iovec *list, size_t n,
			     mode_t mode, struct err *e)
{
	__cleanup_close int fd = -1;
	char tmp[256];
	int r;

	temp_name(name, tmp, sizeof(tmp));
	fd = temp_open(dirfd, tmp, mode);
	if (fd < 0)
		return err_sys(e, fd, "create %s", tmp);
	r = store_temp(fd, list, n, name, e);
	close(TAKE_FD(fd)); /* a program still open for writing cannot be run (ETXTBSY) */
	if (!r && renameat(dirfd, tmp, dirfd, name) < 0)
		r = err_sys(e, -errno, "rename %s to %s", tmp, name);
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return r;
	}
	if (fsync(dirfd) < 0)
		return err_sys(e, -errno, "fsync folder of %s", name);
	return 0;
}

int atomic_file_store(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		      struct err *e)
{
	const struct iovec all = {(void *)(uintptr_t)data, len};

	return atomic_file_store_pieces(dirfd, name, &all, 1, mode, e);
}

static int read_all(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	__cleanup_free char *buf = NULL;
	size_t n = 0, room = 4096;
	struct stat st;

	if (!fstat(fd, &st) && st.st_size > 0)
		room = (size_t)st.st_size + 1;
	if (room > max + 1)
		room = max + 1;
	buf = mem_resize(NULL, room + 1, 1);
	for (;;) {
		ssize_t got = read(fd, buf + n, room - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		n += (size_t)got;
		if (n > max)
			return -EFBIG;
		if (!got)
			break;
		if (n == room) {
			room = room * 2 > max + 1 ? max + 1 : room * 2;
			buf = mem_resize(buf, room + 1, 1);
		}
	}
	buf[n] = 0;
	*ret_data = TAKE(buf);
	*ret_len = n;
	return 0;
}

/* A folder of ours, or of others' files: what lies in it must not make us wait. A path that
 * somebody gave may be a pipe. */
static int folder_file_open(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int atomic_file_load(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len,
		     struct err *e)
{
	__cleanup_close int fd = dirfd == AT_FDCWD ? open(name, O_RDONLY | O_CLOEXEC)
						   : folder_file_open(dirfd, name);
	int r;

	if (fd == -EINVAL)
		return err_set(e, fd, "%s: not a file", name);
	if (fd < 0)
		return err_sys(e, dirfd == AT_FDCWD ? -errno : fd, "open %s", name);
	r = read_all(fd, max, ret_data, ret_len);
	if (r < 0)
		return err_sys(e, r, "read %s", name);
	return 0;
}

int atomic_file_remove(int dirfd, const char *name, struct err *e)
{
	char tmp[256];

	temp_name(name, tmp, sizeof(tmp));
	if (unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT && errno != EROFS)
		return err_sys(e, -errno, "remove %s", tmp);
	if (unlinkat(dirfd, name, 0) < 0) {
		/* where nothing can be written that is asked first */
		if (errno == ENOENT ||
		    (errno == EROFS && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0))
			return 0;
		return err_sys(e, -errno, "remove %s", name);
	}
	if (fsync(dirfd) < 0)
		return err_sys(e, -errno, "fsync folder of %s", name);
	return 0;
}

static int dir_make_one(const char *path, mode_t mode, struct err *e)
{
	struct stat st;

	if (!mkdir(path, mode))
		return 0;
	if (errno != EEXIST)
		return err_sys(e, -errno, "mkdir %s", path);
	if (stat(path, &st) < 0)
		return err_sys(e, -errno, "stat %s", path);
	return S_ISDIR(st.st_mode) ? 0 : err_set(e, -ENOTDIR, "%s is not a folder", path);
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	__cleanup_free char *copy = mem_strdup(path);
	int r;

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		r = dir_make_one(copy, 0755, e);
		if (r < 0)
			return r;
		*p = '/';
	}
	return dir_make_one(copy, mode, e);
}
