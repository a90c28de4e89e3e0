/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/object_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#define LOG_MAX	 (1 << 30)
#define READ_AT	 (128 * 1024)
#define HASH_LEN 16
/* Bytes: a first list of very many need not be held until its end. */
#define WRITE_AT (128 * 1024)
#define WAIT_MAX (4 << 20) /* for a disk that is full */

struct object_log {
	const char *name;
	char temp[64];
	int dirfd, fd; /* fd -1: not being written */
	bool writable;
	int64_t size; /* of what is in the file */
	char *buf;
	size_t n, cap;
	bool unsynced; /* some of it was written since the last sync */
	bool lost;     /* what would stand behind size is nowhere */
};

/* ---- reading ---- */

static int line_parse(const char *line, size_t len, struct json **ret)
{
	char hex[HASH_LEN + 1];

	if (len < HASH_LEN + 2 || line[HASH_LEN] != ' ')
		return -EBADMSG;
	snprintf(hex, sizeof(hex), "%016" PRIx64,
		 hash_bytes(line + HASH_LEN + 1, len - HASH_LEN - 1, 0));
	if (memcmp(hex, line, HASH_LEN) != 0)
		return -EBADMSG;
	return json_parse(line + HASH_LEN + 1, len - HASH_LEN - 1, ret, NULL);
}

/* Line by line: the whole may be larger than all that is kept of it. */
struct log_scan {
	const struct object_log_in *in;
	int64_t good; /* where the first line stands that cannot be read */
	bool bad;     /* there is one */
	bool damaged; /* … and a good one behind it: it was no write that was cut short */
	char *buf;
	size_t n, cap;
};

static void line_scan(struct log_scan *s, const char *line, size_t len)
{
	__cleanup_json struct json *j = NULL;
	bool good = line_parse(line, len, &j) == 0;

	s->damaged |= s->bad && good;
	s->bad |= !good;
	if (s->bad)
		return;
	s->in->entry(s->in->data, j,
		     (struct object_log_line){.at = (uint64_t)s->good, .len = (uint32_t)len + 1});
	s->good += (int64_t)len + 1;
}

/* What it has whole lines of; the rest waits for more. */
static void lines_scan(struct log_scan *s)
{
	size_t at = 0;

	while (at < s->n && !s->damaged) {
		const char *end = memchr(s->buf + at, '\n', s->n - at);

		if (!end)
			break;
		line_scan(s, s->buf + at, (size_t)(end - s->buf) - at);
		at = (size_t)(end - s->buf) + 1;
	}
	memmove(s->buf, s->buf + at, s->n - at);
	s->n -= at;
}

static int file_scan(struct log_scan *s, int fd)
{
	while (!s->damaged) {
		ssize_t n;

		if (s->n == s->cap) {
			s->cap = s->cap ? s->cap * 2 : READ_AT;
			s->buf = mem_resize(s->buf, s->cap, 1);
		}
		n = read(fd, s->buf + s->n, s->cap - s->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		s->n += (size_t)n;
		lines_scan(s);
	}
	return 0;
}

static int log_load(struct object_log *l, const struct object_log_in *in, bool *damaged,
		    struct err *e)
{
	struct log_scan s = {.in = in};
	__cleanup_close int fd = l->dirfd < 0 ? -1
					      : openat(l->dirfd, l->name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (l->dirfd < 0 || (fd < 0 && errno == ENOENT))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "open %s", l->name);
	r = st.st_size > LOG_MAX ? -EFBIG : file_scan(&s, fd);
	free(s.buf);
	if (r < 0)
		return err_sys(e, r, "read %s", l->name);
	*damaged = s.damaged;
	if (s.good < st.st_size && l->writable)
		log_warn("end of a log left out", "file=%s bytes=%lld of=%lld damaged=%d", l->name,
			 (long long)(st.st_size - s.good), (long long)st.st_size, s.damaged);
	l->size = s.good;
	return 0;
}

static void buffer_drop(struct object_log *l)
{
	free(l->buf); /* most often there is little to write */
	l->buf = NULL;
	l->n = l->cap = 0;
}

static void lose(struct object_log *l, int64_t size)
{
	buffer_drop(l);
	l->size = size;
	l->lost = true;
}

static void file_close(struct object_log *l)
{
	cleanup_closep(&l->fd);
	l->fd = -1;
}

/* Open while it is written, and no longer: else its file system could not be made read-only. */
static int file_open(struct object_log *l)
{
	struct stat st;
	int r = 0;

	if (l->fd >= 0)
		return 0;
	l->fd = openat(l->dirfd, l->name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		r = -errno;
	else if (st.st_size < l->size) { /* somebody removed it, and this one is new */
		lose(l, 0);
		r = -ENOENT;
	} else if (st.st_size > l->size && ftruncate(l->fd, l->size) < 0)
		r = -errno;
	else if (st.st_size == 0 && fsync(l->dirfd) < 0)
		r = -errno;
	if (r < 0)
		file_close(l);
	return r;
}

int object_log_open(const struct object_log_in *in, struct object_log **ret, bool *ret_damaged,
		    struct err *e)
{
	__cleanup(object_log_freep) struct object_log *l = mem_alloc0(sizeof(*l));
	int r;

	l->name = in->name;
	snprintf(l->temp, sizeof(l->temp), ".%s.tmp", in->name);
	l->dirfd = in->dirfd;
	l->fd = -1;
	l->writable = in->writable;
	*ret_damaged = false;
	r = log_load(l, in, ret_damaged, e);
	if (r < 0)
		return r;
	if (in->writable)
		r = file_open(l);
	file_close(l);
	if (r < 0)
		return err_sys(e, r, "open %s", l->name);
	*ret = TAKE(l);
	return 0;
}

void object_log_free(struct object_log *l)
{
	if (!l)
		return;
	file_close(l);
	free(l->buf);
	free(l);
}

/* ---- writing ---- */

static int write_all(int fd, const char *p, size_t n, int64_t at)
{
	while (n) {
		ssize_t done = pwrite(fd, p, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
		at += done;
	}
	return 0;
}

static int buffer_write(struct object_log *l)
{
	int r = file_open(l);

	if (r == 0)
		r = write_all(l->fd, l->buf, l->n, l->size);
	if (r < 0)
		return r;
	l->unsynced |= l->n > 0;
	l->size += (int64_t)l->n;
	l->n = 0;
	return 0;
}

struct object_log_line object_log_append(struct object_log *l, const char *text)
{
	size_t len = strlen(text), need = l->n + HASH_LEN + 1 + len + 1;
	struct object_log_line line = {.at = (uint64_t)object_log_size(l)};

	if (!l->writable || l->lost)
		return (struct object_log_line){0};
	if (need + 1 > l->cap) {
		l->cap = (need + 1) * 2;
		l->buf = mem_resize(l->buf, l->cap, 1);
	}
	snprintf(l->buf + l->n, HASH_LEN + 2, "%016" PRIx64 " ", hash_bytes(text, len, 0));
	memcpy(l->buf + l->n + HASH_LEN + 1, text, len);
	l->buf[need - 1] = '\n';
	line.len = (uint32_t)(need - l->n);
	l->n = need;
	/* if it cannot be, the sync says so */
	if (l->n >= WRITE_AT && buffer_write(l) < 0 && l->n >= WAIT_MAX)
		lose(l, l->size);
	return l->lost ? (struct object_log_line){0} : line;
}

/* What was written before: somebody may have removed or cut it. */
static void file_look(struct object_log *l)
{
	struct stat st;

	if (fstatat(l->dirfd, l->name, &st, 0) < 0 ? errno == ENOENT && l->size > 0
						   : st.st_size < l->size)
		lose(l, 0);
}

int object_log_sync(struct object_log *l, struct err *e)
{
	int r = 0;

	if (!l->writable)
		return 0;
	file_look(l);
	if (!l->lost && !l->n && !l->unsynced)
		return 0;
	if (!l->lost)
		r = buffer_write(l);
	if (l->lost)
		return err_set(e, -ENOENT, "write %s: some of it is lost", l->name);
	if (r == 0 && fdatasync(l->fd) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(e, r, "write %s", l->name);
	file_close(l);
	l->unsynced = false;
	buffer_drop(l);
	return 0;
}

bool object_log_lost(const struct object_log *l, uint64_t *ret_from)
{
	*ret_from = (uint64_t)l->size;
	return l->lost;
}

int64_t object_log_size(const struct object_log *l)
{
	return l->size + (int64_t)l->n;
}

/* ---- anew ---- */

static int line_copy(const struct object_log *l, const struct object_log_line *line, FILE *to)
{
	__cleanup_free char *buf = mem_resize(NULL, line->len, 1);
	ssize_t n = pread(l->fd, buf, line->len, line->at);

	if (n != (ssize_t)line->len)
		return n < 0 ? -errno : -EIO;
	return fwrite(buf, line->len, 1, to) == 1 ? 0 : -EIO;
}

static int lines_copy(const struct object_log *l, struct object_log_line *const *lines, size_t n)
{
	int fd = openat(l->dirfd, l->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	__cleanup_file FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int r = 0;

	if (!f) {
		r = -errno;
		cleanup_closep(&fd);
		return r;
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		r = line_copy(l, lines[i], f);
	if (r == 0 && (fflush(f) != 0 || fsync(fileno(f)) < 0))
		r = -errno;
	return r;
}

int object_log_rewrite(struct object_log *l, struct object_log_line **lines, size_t n,
		       struct err *e)
{
	uint64_t size = 0;
	int r = file_open(l);

	if (r == 0)
		r = lines_copy(l, lines, n);
	file_close(l);
	if (r == 0 && renameat(l->dirfd, l->temp, l->dirfd, l->name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(l->dirfd, l->temp, 0);
		return err_sys(e, r, "write %s anew", l->name);
	}
	fsync(l->dirfd);
	for (size_t i = 0; i < n; i++) {
		lines[i]->at = size;
		size += lines[i]->len;
	}
	l->size = (int64_t)size;
	l->lost = l->unsynced = false;
	return 0;
}
