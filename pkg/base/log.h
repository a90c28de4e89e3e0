/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Logs are logfmt or JSON lines on stderr or a file; the plugin's stdout is CNI
 * JSON alone. Library code logs at debug at most; what matters travels in struct
 * err and is logged by the program. One line per event, stable wording:
 *	log_info("address claimed", "address=%s interface=%s", a, ifname);
 * The second string is logfmt key=value text; values with blanks are quoted by
 * the caller with %s of log_quote(). In JSON the pairs become members.
 */
#include <stdbool.h>

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* path NULL = stderr. Opens append, O_CLOEXEC, 0640. */
int log_open(enum log_level level, enum log_format format, const char *path, struct err *e);
/* Its last line has no end: whoever wrote it last had no room for all of it. */
bool log_torn(const char *path);
/* "error", "warn", "info" or "debug", else -EINVAL. */
int log_level_parse(const char *s, enum log_level *ret_level);
/* "logfmt" or "json", else -EINVAL. */
int log_format_parse(const char *s, enum log_format *ret_format);
/* s as a logfmt value, in quotes and with escapes where it needs them; in one of 8 static buffers.
 */
const char *log_quote(const char *s);

void log_emit(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_emit(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_emit(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_emit(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_emit(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
