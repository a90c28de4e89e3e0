/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fuzz_wire.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct {
	const uint8_t *data;
	size_t left;
	bool netlink, one;
	uint32_t seq; /* of the last question */
} wire;

void wire_feed(const uint8_t *data, size_t size, bool netlink)
{
	wire.data = data;
	wire.left = size;
	wire.netlink = netlink;
	wire.one = false;
}

void wire_feed_one(const uint8_t *data, size_t size)
{
	wire_feed(data, size, false);
	wire.one = true;
}

size_t wire_left(void)
{
	return wire.left;
}

static uint8_t take_byte(void)
{
	if (!wire.left)
		return 0;
	wire.left--;
	return *wire.data++;
}

static uint32_t port_of(int fd)
{
	struct sockaddr_nl self = {0};
	socklen_t len = sizeof(self);

	return getsockname(fd, (struct sockaddr *)&self, &len) == 0 ? self.nl_pid : 0;
}

/* A message whose length is no length takes what is left. */
static void dress(uint8_t *b, size_t len, uint8_t control, int fd)
{
	uint32_t pid = port_of(fd);

	while (len >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr *h = (void *)b;
		size_t step;

		if (!(control & WIRE_LENGTH) && (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > len))
			h->nlmsg_len = (uint32_t)len;
		if (!(control & WIRE_SEQ)) {
			h->nlmsg_seq = wire.seq;
			h->nlmsg_pid = pid;
		}
		step = NLMSG_ALIGN((size_t)h->nlmsg_len);
		if (step < sizeof(*h) || step > len)
			return;
		b += step;
		len -= step;
	}
}

static ssize_t take(void *buf, size_t room, size_t len)
{
	if (len > wire.left)
		len = wire.left;
	memcpy(buf, wire.data, len < room ? len : room);
	wire.data += len;
	wire.left -= len;
	return (ssize_t)len;
}

/* One record into buf; the control byte too. */
static ssize_t receive(int fd, void *buf, size_t room, uint8_t *ret_control)
{
	static const int errors[] = {EINTR, ENOBUFS, EIO, ENOMEM, ECONNRESET};
	size_t len;

	if (!wire.left) {
		errno = EAGAIN;
		return -1;
	}
	if (wire.one)
		return take(buf, room, wire.left);
	*ret_control = take_byte();
	len = take_byte();
	if (*ret_control & WIRE_ERROR) {
		errno = errors[len % (sizeof(errors) / sizeof(errors[0]))];
		return -1;
	}
	len |= (size_t)take_byte() << 8;
	len = (size_t)take(buf, room, len);
	if (wire.netlink)
		dress(buf, len < room ? len : room, *ret_control, fd);
	return (ssize_t)(*ret_control & WIRE_LONG ? room + 1 : len);
}

/* ---- in place of the C library's ---- */

static void sent(const void *buf, size_t len)
{
	struct nlmsghdr h;

	if (len < sizeof(h))
		return;
	memcpy(&h, buf, sizeof(h));
	wire.seq = h.nlmsg_seq;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return 0;
}

int setns(int fd, int type)
{
	return 0;
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	sent(buf, len);
	return (ssize_t)len;
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	return send(fd, buf, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	size_t len = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		len += m->msg_iov[i].iov_len;
	sent(m->msg_iov[0].iov_base, m->msg_iov[0].iov_len);
	return (ssize_t)len;
}

static ssize_t clip(ssize_t n, size_t room, int flags)
{
	return n > (ssize_t)room && !(flags & MSG_TRUNC) ? (ssize_t)room : n;
}

ssize_t recv(int fd, void *buf, size_t room, int flags)
{
	uint8_t control = 0;

	return clip(receive(fd, buf, room, &control), room, flags);
}

static socklen_t fill_from(void *from, socklen_t len, uint8_t control)
{
	struct sockaddr_nl k = {.nl_family = AF_NETLINK,
				.nl_pid = control & WIRE_STRANGER ? 77 : 0};

	memcpy(from, &k, len < sizeof(k) ? len : sizeof(k));
	return sizeof(k);
}

ssize_t recvfrom(int fd, void *buf, size_t room, int flags, struct sockaddr *from, socklen_t *len)
{
	uint8_t control = 0;
	ssize_t n = receive(fd, buf, room, &control);

	if (n >= 0 && from)
		*len = fill_from(from, *len, control);
	return clip(n, room, flags);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	uint8_t control = 0;
	size_t room = m->msg_iov[0].iov_len;
	ssize_t n = receive(fd, m->msg_iov[0].iov_base, room, &control);

	m->msg_flags = n > (ssize_t)room ? MSG_TRUNC : 0;
	m->msg_controllen = 0;
	if (n >= 0 && m->msg_name)
		m->msg_namelen = fill_from(m->msg_name, m->msg_namelen, control);
	return clip(n, room, flags);
}
