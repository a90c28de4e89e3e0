/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOG_LINE 4096

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
	enum log_level level;
	enum log_format format;
	int fd;
	bool torn; /* the next line begins behind a part of one */
} log_state = {LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, STDERR_FILENO, false};

bool log_torn(const char *path)
{
	__cleanup_close int fd = -1;
	struct stat st;
	char last;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

int log_open(enum log_level level, enum log_format format, const char *path, struct err *e)
{
	int fd = STDERR_FILENO;

	if (path) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		if (fd < 0)
			return err_sys(e, -errno, "open log file %s", path);
	}
	log_state.level = level;
	log_state.format = format;
	log_state.fd = fd;
	log_state.torn = path && log_torn(path);
	return 0;
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (!strcmp(s, level_names[i])) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

int log_format_parse(const char *s, enum log_format *ret_format)
{
	if (!strcmp(s, "logfmt"))
		*ret_format = LOG_FORMAT_LOGFMT;
	else if (!strcmp(s, "json"))
		*ret_format = LOG_FORMAT_JSON;
	else
		return -EINVAL;
	return 0;
}

/* Appends one byte as it may stand inside a quoted value (logfmt and JSON agree on it). */
static size_t escape_byte(char *out, size_t room, unsigned char c)
{
	char tmp[8];
	int n;

	if (c == '"' || c == '\\')
		n = snprintf(tmp, sizeof(tmp), "\\%c", c);
	else if (c == '\n')
		n = snprintf(tmp, sizeof(tmp), "\\n");
	else if (c < 0x20 || c == 0x7f)
		n = snprintf(tmp, sizeof(tmp), "\\u%04x", c);
	else
		n = snprintf(tmp, sizeof(tmp), "%c", c);
	if ((size_t)n >= room)
		return 0;
	memcpy(out, tmp, (size_t)n);
	return (size_t)n;
}

static bool needs_quotes(const char *s)
{
	if (!*s)
		return true;
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= 0x20 || c == 0x7f || c == '"' || c == '=' || c == '\\')
			return true;
	}
	return false;
}

const char *log_quote(const char *s)
{
	static char ring[8][1024];
	static unsigned int next;
	char *out = ring[next++ % 8];
	size_t n = 0;

	if (!s)
		s = "";
	if (!needs_quotes(s) && strlen(s) < sizeof(ring[0]))
		return memcpy(out, s, strlen(s) + 1);
	out[n++] = '"';
	for (; *s && n < sizeof(ring[0]) - 10; s++)
		n += escape_byte(out + n, sizeof(ring[0]) - 2 - n, (unsigned char)*s);
	out[n++] = '"';
	out[n] = 0;
	return out;
}

struct line {
	char text[LOG_LINE];
	size_t n;
};

static void line_add(struct line *l, const char *s, size_t len)
{
	if (len > sizeof(l->text) - 2 - l->n)
		len = sizeof(l->text) - 2 - l->n;
	memcpy(l->text + l->n, s, len);
	l->n += len;
}

static void line_str(struct line *l, const char *s)
{
	line_add(l, s, strlen(s));
}

static void line_quoted(struct line *l, const char *s, size_t len)
{
	line_str(l, "\"");
	for (size_t i = 0; i < len && l->n < sizeof(l->text) - 16; i++)
		l->n += escape_byte(l->text + l->n, sizeof(l->text) - 2 - l->n,
				    (unsigned char)s[i]);
	line_str(l, "\"");
}

/* Length of the value at s: up to the blank, or to the closing quote. */
static size_t value_len(const char *s)
{
	size_t n = 0;

	if (*s != '"')
		return strcspn(s, " ");
	for (n = 1; s[n] && s[n] != '"'; n++) {
		if (s[n] == '\\' && s[n + 1])
			n++;
	}
	return s[n] ? n + 1 : n;
}

/* "a=1 b="x y"" → ,"a":"1","b":"x y" */
static void line_json_pairs(struct line *l, const char *pairs)
{
	while (*pairs) {
		size_t key = strcspn(pairs, "= ");
		size_t val;

		if (pairs[key] != '=')
			return;
		line_str(l, ",");
		line_quoted(l, pairs, key);
		line_str(l, ":");
		pairs += key + 1;
		val = value_len(pairs);
		if (*pairs == '"')
			line_add(l, pairs, val);
		else
			line_quoted(l, pairs, val);
		pairs += val;
		pairs += strspn(pairs, " ");
	}
}

static void format_time(char buf[40])
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(buf, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, 40 - n, ".%03ldZ", ts.tv_nsec / 1000000);
}

/* A disk that is full takes a part of a line, or nothing; and there is nowhere to say it. */
static void line_write(struct line *l)
{
	ssize_t n;

	l->text[l->n++] = '\n';
	n = write(log_state.fd, l->text, l->n);
	if (n > 0)
		log_state.torn = l->text[n - 1] != '\n';
}

void log_emit(enum log_level level, const char *event, const char *fmt, ...)
{
	struct line l = {.n = 0};
	char pairs[2048], now[40];
	va_list ap;

	if (level > log_state.level)
		return;
	va_start(ap, fmt);
	vsnprintf(pairs, sizeof(pairs), fmt, ap);
	va_end(ap);
	format_time(now);
	if (log_state.torn)
		line_str(&l, "\n");
	if (log_state.format == LOG_FORMAT_JSON) {
		line_str(&l, "{\"time\":");
		line_quoted(&l, now, strlen(now));
		line_str(&l, ",\"level\":");
		line_quoted(&l, level_names[level], strlen(level_names[level]));
		line_str(&l, ",\"msg\":");
		line_quoted(&l, event, strlen(event));
		line_json_pairs(&l, pairs);
		line_str(&l, "}");
	} else {
		line_str(&l, "time=");
		line_str(&l, now);
		line_str(&l, " level=");
		line_str(&l, level_names[level]);
		line_str(&l, " msg=");
		line_str(&l, log_quote(event));
		if (*pairs)
			line_str(&l, " ");
		line_str(&l, pairs);
	}
	line_write(&l);
}
