/* SPDX-License-Identifier: Apache-2.0 */
#include "install/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/version.h"
#include "install/folder.h"

#define MAX_BYTES (256u << 20)

struct bytes {
	char *p;
	size_t n;
};

static void bytes_done(struct bytes *b)
{
	free(b->p);
}

static int bytes_load(const char *path, struct bytes *b, struct err *e)
{
	return atomic_file_load(AT_FDCWD, path, MAX_BYTES, &b->p, &b->n, e);
}

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
	return a->p && b->p && a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

/* Programs that look for the mark have it once more, with nothing behind it. */
static void version_find(const struct bytes *b, char ret[64])
{
	static const char mark[] = VERSION_MARK;
	const char *p = b->p, *end = b->p + b->n;

	*ret = '\0';
	while (p && (p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1))) {
		p += sizeof(mark) - 1;
		if (*p > ' ' && *p < 0x7f) {
			snprintf(ret, 64, "%.63s", p);
			return;
		}
	}
}

int program_version(const char *path, char ret[64])
{
	__cleanup(bytes_done) struct bytes b = {0};
	int r = bytes_load(path, &b, NULL);

	if (r == 0)
		version_find(&b, ret);
	return r;
}

bool program_same(const char *a, const char *b)
{
	__cleanup(bytes_done) struct bytes x = {0};
	__cleanup(bytes_done) struct bytes y = {0};

	return bytes_load(a, &x, NULL) == 0 && bytes_load(b, &y, NULL) == 0 && bytes_equal(&x, &y);
}

static bool executable(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & 0111) == 0111;
}

static int store(int dirfd, const char *dir, const char *name, const struct bytes *b, struct err *e)
{
	struct err why = {0};
	int r = folder_lock(dirfd, dir, e);

	if (r < 0)
		return r;
	r = atomic_file_store(dirfd, name, b->p, b->n, 0755, &why);
	return r == 0 ? 0 : err_set(e, r, "%s: %s%s", dir, why.msg, folder_cure(r));
}

int program_install(const char *from, const char *dir, const char *name, bool dry,
		    struct program_report *ret, struct err *e)
{
	__cleanup(bytes_done) struct bytes now = {0};
	__cleanup(bytes_done) struct bytes new = {0};
	__cleanup_free char *path = mem_printf("%s/%s", dir, name);
	__cleanup_close int fd = -1;
	int r = bytes_load(from, &new, e);

	if (r < 0)
		return r;
	if (!dry && (r = dir_make(dir, 0755, e)) < 0)
		return r;
	*ret = (struct program_report){.checksum = hash_bytes(new.p, new.n, 0)};
	version_find(&new, ret->version);
	if (bytes_load(path, &now, NULL) == 0)
		version_find(&now, ret->before);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && !dry)
		return err_sys(e, -errno, "%s", dir);
	ret->changed = !bytes_equal(&now, &new) || !executable(fd, name);
	return ret->changed && !dry ? store(fd, dir, name, &new, e) : 0;
}
