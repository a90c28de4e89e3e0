/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a human reads about a failure. The caller owns a struct err and passes it
 * down; the place that knows what went wrong fills it, each layer above wraps it
 * with what it was doing: "policies.d/a.yaml:12: rules[3].to[0].cidr '10.0/8': …".
 * Functions return 0, a negative errno (mirrored in err.code), or a positive
 * outcome that only the direct caller understands.
 */

struct err {
	int code;      /* negative errno of the first failure, 0 = none */
	char msg[512]; /* one line, NUL-terminated */
};

/* Sets the message; returns code so that `return err_set(e, -EINVAL, …)` reads well. e may be NULL.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * As err_set, and appends ": " and the text of errno -code. Where that is EPERM or EACCES and the
 * process is not root's, " (run as root)" follows; after root's EPERM, what may have caused it.
 */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Removes an incomplete UTF-8 sequence from the end of a text that was cut to some length: in JSON
 * there must be none.
 */
void err_whole(char *text);

/* Prefixes "what: " to the message that is there; returns e->code (or -EIO when e is NULL). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
