/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void err_whole(char *text)
{
	size_t n = strlen(text), at = n, len;
	unsigned char first;

	while (at && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (!at--)
		return;
	first = (unsigned char)text[at];
	len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
	if (n - at < len)
		text[at] = '\0';
}

/* Whatever stands in what it quotes: a message is one line, whole characters and no others. */
static void tidy(char *msg)
{
	err_whole(msg);
	for (; *msg; msg++)
		if ((unsigned char)*msg < ' ' || *msg == 0x7f)
			*msg = '?';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	tidy(e->msg);
	return code;
}

/* What whoever reads it lacks most often. */
static const char *cure(int code)
{
	if (code != -EACCES && code != -EPERM)
		return "";
	if (geteuid() != 0)
		return " (run as root)";
	return code == -EPERM ? " (to root: a capability is missing, or seccomp, AppArmor or "
				"SELinux forbids it)"
			      : ""; /* EACCES is also what the BPF verifier says */
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s%s", strerror(-code), cure(code));
	tidy(e->msg);
	return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char inner[sizeof(e->msg)];
	va_list ap;
	size_t n;

	if (!e)
		return -EIO;
	memcpy(inner, e->msg, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", inner);
	tidy(e->msg);
	return e->code;
}
