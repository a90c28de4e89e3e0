/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "tar.h"

static int output_open(struct bundle *b, struct err *e)
{
	int fd;

	if (strcmp(b->path, "-") == 0)
		fd = isatty(STDOUT_FILENO) ? -EINVAL : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(b->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -EINVAL)
		return err_set(e, fd, "standard output is a terminal: no place for an archive");
	return fd < 0 ? err_sys(e, -errno, "%s", b->path) : fd;
}

int bundle_open(struct bundle *b, const char *name, const char *path, struct err *e)
{
	time_t now = time(NULL);
	char when[32];
	struct tm tm;
	int r;

	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	b->folder = mem_printf("sluice-support-%.40s-%s", name, when);
	b->path = path ? mem_strdup(path) : mem_printf("%s.tar.gz", b->folder);
	b->contents = json_new_array();
	r = output_open(b, e);
	return r < 0 ? r : tar_open(r, &b->tar, e);
}

static void note(struct bundle *b, const char *name, const char *key, struct json *take_value)
{
	struct json *o = json_new_object();

	json_set(o, "name", json_new_string(name));
	json_set(o, key, take_value);
	json_append(b->contents, o);
}

void bundle_missing(struct bundle *b, const char *name, const char *why)
{
	__cleanup_free char *line = mem_printf("%.*s", (int)strcspn(why, "\n"), why);

	note(b, name, "missing", json_new_string(line));
	b->missing++;
	fprintf(stderr, "  %-28s not read: %s\n", name, line);
}

/* The end of a log is what matters, and the beginning of everything else. */
void bundle_add(struct bundle *b, const char *name, const char *text, size_t len)
{
	__cleanup_free char *path = mem_printf("%s/%s", b->folder, name), *clean = NULL;
	size_t n = 0, ext = strlen(name);
	bool is_log = ext > 4 && strcmp(name + ext - 4, ".log") == 0;
	bool cut = len > BUNDLE_FILE_MAX;

	if (b->total >= BUNDLE_TOTAL_MAX) {
		bundle_missing(b, name, "the bundle has its full size");
		return;
	}
	if (cut && is_log)
		text += len - BUNDLE_FILE_MAX;
	if (cut)
		len = BUNDLE_FILE_MAX;
	clean = redact(&b->redactor, text, len, &n);
	tar_add(b->tar, path, clean, n);
	b->total += n;
	note(b, name, "bytes", json_new_int((int64_t)n));
	fprintf(stderr, "  %-28s %zu KiB%s\n", name, (n + 1023) / 1024, cut ? ", cut" : "");
}

void bundle_add_json(struct bundle *b, const char *name, struct json *take_tree)
{
	__cleanup_free char *text = json_emit(take_tree, 2);

	json_free(take_tree);
	bundle_add(b, name, text, strlen(text));
}

int bundle_close(struct bundle *b)
{
	bool begun = b->tar, to_file = begun && strcmp(b->path, "-") != 0;
	struct err e = {0};
	int r = 0;

	if (begun) {
		bundle_add_json(b, "contents.json", json_dup(b->contents));
		r = tar_close(TAKE(b->tar), &e);
	}
	if (r < 0 && to_file)
		unlink(b->path);
	if (r < 0)
		err_wrap(&e, "%s", b->path);
	else if (to_file)
		printf("%s\n", b->path);
	if (r == 0 && b->missing)
		fprintf(stderr, "%zu parts could not be read: contents.json says why\n",
			b->missing);
	json_free(b->contents);
	redactor_done(&b->redactor);
	free(b->folder);
	free(b->path);
	return r < 0 ? ctl_fail(&e) : CTL_OK;
}
