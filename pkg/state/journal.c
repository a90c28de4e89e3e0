/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record is one file, replaced whole; its name is <container id>:<ifname>.json,
 * and neither part may hold a ':' or a '/' (the CNI rules for both), so a name
 * splits in one way only.
 *
 * Lock files are removed by the one who removes the attachment. Someone may be
 * waiting on the removed file then: after every flock the name is looked at
 * again, and if it no longer leads to the file that is locked, the lock is taken
 * anew. Two holders of one lock are thus impossible.
 */
#include "state/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/mem.h"

#define RECORD_MAX_BYTES (1u << 20)
#define RECORD_SUFFIX	 ".json"

struct journal {
	char *state_dir, *run_dir;
	int state_fd, records_fd, locks_fd;
};

/* What the one who reads the error can do about it. */
static int trouble(const struct journal *j, int r, struct err *e)
{
	static const struct {
		int code;
		const char *cure;
	} cures[] = {
		{ENOSPC, "make room there"},	 {EDQUOT, "make room there"},
		{EROFS, "mount it for writing"}, {EIO, "the disk fails, see the kernel's log"},
		{EACCES, "it must be root's"},
	};
	const char *cure = NULL;

	for (size_t i = 0; i < sizeof(cures) / sizeof(cures[0]); i++)
		if (cures[i].code == -r)
			cure = cures[i].cure;
	if (r < 0)
		err_wrap(e, cure ? "state folder %s (%s)" : "state folder %s", j->state_dir, cure);
	return r;
}

static int folder_open(const char *base, const char *sub, int *ret_fd, struct err *e)
{
	__cleanup_free char *path = sub ? mem_printf("%s/%s", base, sub) : mem_strdup(base);
	int fd, r;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		r = dir_make(path, 0700, e);
		if (r < 0)
			return r;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(e, -errno, "open %s", path);
	*ret_fd = fd;
	return 0;
}

int journal_open(const char *state_dir, const char *run_dir, struct journal **ret, struct err *e)
{
	struct journal *j = mem_alloc0(sizeof(*j));
	int r;

	j->state_fd = j->records_fd = j->locks_fd = -1;
	j->state_dir = mem_strdup(state_dir);
	j->run_dir = mem_strdup(run_dir);
	r = folder_open(state_dir, "attachments", &j->records_fd, e);
	if (r == 0)
		r = folder_open(state_dir, NULL, &j->state_fd, e);
	if (r == 0)
		r = folder_open(run_dir, "locks", &j->locks_fd, e);
	if (r < 0) {
		journal_close(j);
		return r;
	}
	*ret = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	cleanup_closep(&j->state_fd);
	cleanup_closep(&j->records_fd);
	cleanup_closep(&j->locks_fd);
	free(j->state_dir);
	free(j->run_dir);
	free(j);
}

int journal_state_dirfd(const struct journal *j)
{
	return j->state_fd;
}

/* ---- locks ---- */

/*
 * flock has no deadline of its own; a signal to interrupt it would be the process's business. The
 * last try comes after the deadline: who was not run for a while has not waited in vain.
 */
static int flock_until(int fd, int64_t deadline)
{
	struct timespec pause = {0, 1000000};
	bool last = clock_ms() >= deadline;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return -errno;
		if (last)
			return -ETIMEDOUT;
		last = clock_ms() >= deadline;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 16000000)
			pause.tv_nsec *= 2;
	}
	return 0;
}

/* 1 if name in dirfd is the file behind fd. */
static int same_file(int dirfd, const char *name, int fd)
{
	struct stat a, b;

	if (fstatat(dirfd, name, &a, AT_SYMLINK_NOFOLLOW) < 0 || fstat(fd, &b) < 0)
		return 0;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int lock_failed(const struct journal *j, int r, const char *name, int timeout_ms,
		       struct err *e)
{
	if (r == -ETIMEDOUT)
		return err_set(e, r, "%s/locks/%s: held by another process for longer than %d ms",
			       j->run_dir, name, timeout_ms);
	return err_sys(e, r, "%s/locks/%s", j->run_dir, name);
}

static int lock_take(struct journal *j, const char *name, int timeout_ms, int *ret_fd,
		     struct err *e)
{
	int64_t deadline = clock_ms() + timeout_ms;

	for (;;) {
		__cleanup_close int fd = -1;
		int r;

		fd = openat(j->locks_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return lock_failed(j, -errno, name, timeout_ms, e);
		r = flock_until(fd, deadline);
		if (r < 0)
			return lock_failed(j, r, name, timeout_ms, e);
		if (same_file(j->locks_fd, name, fd)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}

static int name_make(char buf[NAME_MAX + 1], const char *container_id, const char *ifname,
		     const char *suffix, struct err *e)
{
	int n;

	if (!*container_id || !*ifname || container_id[0] == '.' || strpbrk(container_id, ":/") ||
	    strpbrk(ifname, ":/"))
		return err_set(e, -EINVAL, "attachment '%s' '%s': not a file name", container_id,
			       ifname);
	n = snprintf(buf, NAME_MAX + 1, "%s:%s%s", container_id, ifname, suffix);
	if (n > NAME_MAX)
		return err_set(e, -ENAMETOOLONG, "attachment of a container id of %zu characters",
			       strlen(container_id));
	return 0;
}

int journal_lock(struct journal *j, const char *container_id, const char *ifname, int timeout_ms,
		 int *ret_fd, struct err *e)
{
	char name[NAME_MAX + 1];
	int r;

	r = name_make(name, container_id, ifname, "", e);
	return r < 0 ? r : lock_take(j, name, timeout_ms, ret_fd, e);
}

int journal_lock_node(struct journal *j, int timeout_ms, int *ret_fd, struct err *e)
{
	return lock_take(j, "node", timeout_ms, ret_fd, e);
}

void journal_lock_remove(struct journal *j, const char *container_id, const char *ifname)
{
	char name[NAME_MAX + 1];

	if (name_make(name, container_id, ifname, "", NULL) == 0)
		unlinkat(j->locks_fd, name, 0);
}

/* ---- records ---- */

int journal_store(struct journal *j, const struct record *rec, struct err *e)
{
	__cleanup_free char *text = NULL;
	char name[NAME_MAX + 1];
	int r;

	r = name_make(name, rec->container_id, rec->ifname, RECORD_SUFFIX, e);
	if (r < 0)
		return r;
	text = record_emit(rec);
	return trouble(j, atomic_file_store(j->records_fd, name, text, strlen(text), 0600, e), e);
}

static int record_load(struct journal *j, const char *name, struct record **ret, struct err *e)
{
	__cleanup_free char *text = NULL;
	size_t len;
	int r;

	r = atomic_file_load(j->records_fd, name, RECORD_MAX_BYTES, &text, &len, e);
	if (r == -EFBIG)
		return err_set(e, -EBADMSG, "record %s: longer than any record", name);
	if (r < 0)
		return r;
	r = record_parse(text, len, ret, e);
	if (r < 0) {
		err_wrap(e, "record %s", name);
		return r == -EPROTO ? r : -EBADMSG;
	}
	return 0;
}

int journal_load(struct journal *j, const char *container_id, const char *ifname,
		 struct record **ret, struct err *e)
{
	char name[NAME_MAX + 1];
	int r;

	r = name_make(name, container_id, ifname, RECORD_SUFFIX, e);
	return r < 0 ? r : record_load(j, name, ret, e);
}

int journal_remove(struct journal *j, const char *container_id, const char *ifname, struct err *e)
{
	char name[NAME_MAX + 1];
	int r;

	r = name_make(name, container_id, ifname, RECORD_SUFFIX, e);
	return r < 0 ? r : trouble(j, atomic_file_remove(j->records_fd, name, e), e);
}

/* A record's file name: visible, with a ':' and the suffix. */
static bool is_record_name(const char *name)
{
	size_t n = strlen(name), s = strlen(RECORD_SUFFIX);

	return name[0] != '.' && strchr(name, ':') && n > s &&
	       strcmp(name + n - s, RECORD_SUFFIX) == 0;
}

static int folder_iterate(int dirfd, DIR **ret, struct err *e)
{
	__cleanup_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;

	if (fd < 0)
		return err_sys(e, -errno, "open the records folder");
	d = fdopendir(fd);
	if (!d)
		return err_sys(e, -errno, "read the records folder");
	TAKE_FD(fd); /* the stream has it */
	*ret = d;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int c = strcmp(x->container_id, y->container_id);

	return c ? c : strcmp(x->ifname, y->ifname);
}

int journal_list(struct journal *j, struct record ***ret, size_t *ret_n,
		 void (*on_bad)(const char *name, const struct err *e, void *data), void *data,
		 struct err *e)
{
	struct record **list = NULL;
	struct dirent *de;
	size_t n = 0;
	DIR *dir = NULL;
	int r;

	r = folder_iterate(j->records_fd, &dir, e);
	if (r < 0)
		return r;
	while ((errno = 0, de = readdir(dir))) {
		struct err own = {0};
		struct record *rec;

		if (!is_record_name(de->d_name))
			continue;
		r = record_load(j, de->d_name, &rec, &own);
		if (r == 0) {
			MEM_GROW(list, n);
			list[n++] = rec;
		} else if (r != -ENOENT && on_bad) { /* ENOENT: a DEL was faster */
			own.code = r;
			on_bad(de->d_name, &own, data);
		}
	}
	r = -errno; /* not the whole list: worse than none */
	closedir(dir);
	if (r < 0) {
		records_free(list, n);
		return err_sys(e, r, "read the records folder");
	}
	if (n)
		qsort(list, n, sizeof(*list), by_name);
	*ret = list;
	*ret_n = n;
	return 0;
}

/* "<id>:<ifname>" of a lock file's name, or of a temp file's of its record; NULL = something else
 */
static char *attachment_of(const char *name)
{
	const char *end = strstr(name, RECORD_SUFFIX ".");

	if (!strchr(name, ':') || (name[0] == '.') != (end != NULL))
		return NULL;
	return end ? mem_printf("%.*s", (int)(end - name - 1), name + 1) : mem_strdup(name);
}

static void leftover_remove(struct journal *j, const char *container_id, const char *ifname,
			    const char *temp)
{
	__cleanup_close int lock = -1;
	char name[NAME_MAX + 1];

	if (name_make(name, container_id, ifname, RECORD_SUFFIX, NULL) < 0 ||
	    journal_lock(j, container_id, ifname, 0, &lock, NULL) < 0 ||
	    faccessat(j->records_fd, name, F_OK, 0) == 0 || errno != ENOENT)
		return;
	if (!temp || unlinkat(j->records_fd, temp, 0) == 0)
		journal_lock_remove(j, container_id, ifname);
}

static void folder_sweep(struct journal *j, int dirfd)
{
	struct dirent *de;
	DIR *dir = NULL;

	if (folder_iterate(dirfd, &dir, NULL) < 0)
		return;
	while ((de = readdir(dir))) {
		__cleanup_free char *id = attachment_of(de->d_name);
		char *ifname = id ? strchr(id, ':') : NULL;

		if (!ifname || (dirfd == j->records_fd && de->d_name[0] != '.'))
			continue;
		*ifname++ = 0;
		leftover_remove(j, id, ifname, dirfd == j->records_fd ? de->d_name : NULL);
	}
	closedir(dir);
}

static void temps_remove(int dirfd)
{
	struct dirent *de;
	DIR *dir = NULL;

	if (folder_iterate(dirfd, &dir, NULL) < 0)
		return;
	while ((de = readdir(dir))) {
		size_t n = strlen(de->d_name);

		if (de->d_name[0] == '.' && n > 4 && strcmp(de->d_name + n - 4, ".tmp") == 0)
			unlinkat(dirfd, de->d_name, 0);
	}
	closedir(dir);
}

void journal_sweep(struct journal *j, bool alone)
{
	if (alone)
		temps_remove(j->state_fd);
	folder_sweep(j, j->records_fd);
	folder_sweep(j, j->locks_fd);
}

void records_free(struct record **records, size_t n)
{
	for (size_t i = 0; i < n; i++)
		record_free(records[i]);
	free(records);
}

const char *journal_boot_id(void)
{
	static char id[37];
	__cleanup_close int fd = -1;
	size_t have = 0;
	ssize_t n;

	if (*id)
		return id;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && have < 36) {
		n = read(fd, id + have, 36 - have);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		have += n > 0 ? (size_t)n : 0;
	}
	id[have == 36 ? 36 : 0] = 0; /* and if not, the next one asks again */
	return id;
}
