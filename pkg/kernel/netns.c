/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define SELF_PATH "/proc/thread-self/ns/net"

/*
 * A path that runtimes leave behind may be an ordinary file (the mount is gone)
 * or worse, a FIFO: O_NONBLOCK keeps open() from waiting for anybody.
 */
int netns_open(const char *path, int *ret_fd, struct err *e)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct statfs fs;

	if (fd < 0)
		return err_sys(e, -errno, "network namespace %s", path);
	if (fstatfs(fd, &fs) < 0)
		return err_sys(e, -errno, "network namespace %s", path);
	if (fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(e, -EINVAL, "%s is not a network namespace", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int netns_open_self(int *ret_fd, struct err *e)
{
	int fd = open(SELF_PATH, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, -errno, SELF_PATH);
	*ret_fd = fd;
	return 0;
}

int netns_id(int fd, uint64_t *ret_ino)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_ino = st.st_ino;
	return 0;
}

/*
 * Whatever came next would touch the pod's network instead of the node's. It needs
 * memory; nothing else can be wrong with the way back.
 */
static void home_again(int home)
{
	for (int tries = 3; setns(home, CLONE_NEWNET) < 0; tries--)
		if (tries == 0)
			oom();
}

int netns_socket(int ns, int family, int type, int protocol, int *ret_fd, struct err *e)
{
	__cleanup_close int home = -1;
	int fd, r, code = 0;

	r = netns_open_self(&home, e);
	if (r < 0)
		return r;
	if (setns(ns, CLONE_NEWNET) < 0)
		return err_sys(e, -errno, "enter network namespace");
	/* the window: one system call, and home again */
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		code = -errno;
	home_again(home);
	if (code < 0)
		return err_sys(e, code, "socket in network namespace");
	*ret_fd = fd;
	return 0;
}
