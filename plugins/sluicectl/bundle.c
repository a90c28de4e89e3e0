/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "capture.h"
#include "json/cut.h"
#include "tar.h"

/* What Ctrl-C would leave behind half written. */
static const char *volatile unfinished;

static void broken_off(int signal)
{
	if (unfinished)
		unlink(unfinished);
	raise(signal); /* as it would have ended without us: SA_RESETHAND */
}

static void unfinished_remember(const char *path)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	const struct sigaction ours = {.sa_handler = broken_off, .sa_flags = SA_RESETHAND};
	struct sigaction theirs;

	unfinished = path;
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (sigaction(signals[i], NULL, &theirs) == 0 && theirs.sa_handler == SIG_DFL)
			sigaction(signals[i], &ours, NULL);
}

static int output_open(struct bundle *b, struct err *e)
{
	bool to_file = strcmp(b->path, "-") != 0;
	int fd;

	if (!to_file && isatty(STDOUT_FILENO))
		return err_set(e, -EINVAL,
			       "standard output is a terminal: no place for an archive");
	fd = to_file ? open(b->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
		     : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && to_file)
		unfinished_remember(b->path);
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

/* One of contents.json; what more is to be said of it is the caller's. */
static struct json *note(struct bundle *b, const char *name, const char *key,
			 struct json *take_value)
{
	struct json *o = json_new_object();

	json_set(o, "name", json_new_string(name));
	json_set(o, key, take_value);
	json_append(b->contents, o);
	return o;
}

void bundle_missing(struct bundle *b, const char *name, const char *why)
{
	__cleanup_free char *line = mem_printf("%.*s", (int)strcspn(why, "\n"), why);

	note(b, name, "missing", json_new_string(line));
	b->missing++;
	fprintf(stderr, "  %-28s not read: %s\n", name, line);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && strcmp(s + n - k, end) == 0;
}

/* left_out: NULL, all of it is here. */
static void add(struct bundle *b, const char *name, const char *text, size_t len,
		const char *left_out)
{
	__cleanup_free char *path = mem_printf("%s/%s", b->folder, name), *clean = NULL;
	struct json *o;
	size_t n = 0;

	clean = redact(&b->redactor, text, len, &n);
	tar_add(b->tar, path, clean, n);
	b->total += n;
	o = note(b, name, "bytes", json_new_int((int64_t)n));
	if (left_out)
		json_set(o, "leftOut", json_new_string(left_out));
	fprintf(stderr, "  %-28s %zu KiB%s%s\n", name, (n + 1023) / 1024,
		left_out ? ", without " : "", left_out ?: "");
}

/* Of a list its first elements, so that it is JSON still. */
static void add_list(struct bundle *b, const char *name, const char *text, size_t len)
{
	__cleanup(json_cut_done) struct json_cut cut = {0};
	__cleanup_free char *left_out = NULL;

	json_cut(text, len, BUNDLE_FILE_MAX, &cut);
	if (cut.text)
		left_out = mem_printf("what follows the first %zu of %s", cut.kept,
				      *cut.where ? cut.where : "its list");
	add(b, name, cut.text ?: text, cut.text ? cut.len : len, left_out);
}

/* The end of a log is what matters, and the beginning of everything else. */
static void add_part(struct bundle *b, const char *name, const char *text, size_t len)
{
	bool is_log = ends_with(name, ".log");
	size_t beyond = len - BUNDLE_FILE_MAX;
	__cleanup_free char *left_out = mem_printf("its %s %zu bytes", is_log ? "first" : "last",
						   beyond);

	add(b, name, is_log ? text + beyond : text, BUNDLE_FILE_MAX, left_out);
}

static bool is_full(struct bundle *b, const char *name)
{
	if (b->total < BUNDLE_TOTAL_MAX)
		return false;
	bundle_missing(b, name, "the bundle has its full size");
	return true;
}

void bundle_add(struct bundle *b, const char *name, const char *text, size_t len)
{
	if (is_full(b, name))
		return;
	if (len <= BUNDLE_FILE_MAX)
		add(b, name, text, len, NULL);
	else if (ends_with(name, ".json"))
		add_list(b, name, text, len);
	else
		add_part(b, name, text, len);
}

void bundle_add_said(struct bundle *b, const char *name, const struct captured *c)
{
	if (!c->out_len)
		bundle_missing(b, name, *c->err ? c->err : "it was ended before it said anything");
	else if (!is_full(b, name))
		add_list(b, name, c->out, c->out_len);
}

void bundle_add_json(struct bundle *b, const char *name, struct json *take_tree)
{
	__cleanup_free char *text = json_emit(take_tree, 2);

	json_free(take_tree);
	bundle_add(b, name, text, strlen(text));
}

static void say_done(const struct bundle *b)
{
	__cleanup_json struct json *o = NULL;

	if (!b->json) {
		printf("%s\n", b->path);
		return;
	}
	o = json_new_object();
	json_set(o, "file", json_new_string(b->path));
	json_set(o, "contents", json_dup(b->contents));
	ctl_print_json(o);
}

int bundle_close(struct bundle *b)
{
	bool begun = b->tar, to_file = begun && strcmp(b->path, "-") != 0;
	struct err e = {0};
	int r = 0;

	if (begun) {
		__cleanup_free char *contents = json_emit(b->contents, 2);

		add(b, "contents.json", contents, strlen(contents), NULL); /* in a full one, too */
		r = tar_close(TAKE(b->tar), &e);
	}
	if (r < 0 && to_file)
		unlink(b->path);
	unfinished = NULL;
	if (r < 0)
		err_wrap(&e, "%s", b->path);
	else if (to_file)
		say_done(b);
	if (r == 0 && b->missing)
		fprintf(stderr, "%zu parts could not be read: contents.json says why\n",
			b->missing);
	json_free(b->contents);
	redactor_done(&b->redactor);
	free(b->folder);
	free(b->path);
	return r < 0 ? ctl_fail(&e) : CTL_OK;
}
