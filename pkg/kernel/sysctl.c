/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define VALUE_MAX 32

static int open_below(const char *path, int flags, int *ret_fd, struct err *e)
{
	char full[256];
	int n = snprintf(full, sizeof(full), "/proc/sys/%s", path);
	int fd;

	if (n < 0 || n >= (int)sizeof(full) || strstr(path, ".."))
		return err_set(e, -EINVAL, "sysctl '%s': not a path", path);
	fd = open(full, flags | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, -errno, "sysctl %s", path);
	*ret_fd = fd;
	return 0;
}

int sysctl_get(const char *path, int *ret, struct err *e)
{
	__cleanup_close int fd = -1;
	char text[VALUE_MAX + 1], *end;
	ssize_t n;
	long v;
	int r;

	r = open_below(path, O_RDONLY, &fd, e);
	if (r < 0)
		return r;
	n = read(fd, text, VALUE_MAX);
	if (n < 0)
		return err_sys(e, -errno, "sysctl %s", path);
	text[n] = '\0';
	errno = 0;
	v = strtol(text, &end, 10);
	if (end == text || *end != '\n' || errno || v < INT_MIN || v > INT_MAX)
		return err_set(e, -EINVAL, "sysctl %s: not one number", path);
	*ret = (int)v;
	return 0;
}
