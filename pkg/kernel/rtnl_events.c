/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hearing of changes. What arrives is only a hint to look again, so the filter
 * below is generous, and drops just the two kinds of noise a busy node makes all
 * day: neighbours that come and go by themselves, and routes of others in tables
 * that nobody here reads.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netns.h"
#include "kernel/rtnl_priv.h"

#define RECEIVE_BUFFER (1024 * 1024)
#define READ_SIZE      (32 * 1024)

static int join_groups(int fd)
{
	static const int groups[] = {
		RTNLGRP_LINK,	     RTNLGRP_NEIGH,	 RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,	 RTNLGRP_TC,
	};
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	int size = RECEIVE_BUFFER;

	/* FORCE needs CAP_NET_ADMIN and is not bound by rmem_max; the other is better than nothing
	 */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

int rtnl_events_open(int ns, int *ret_fd, struct err *e)
{
	__cleanup_close int fd = -1;
	int r = 0;

	if (ns >= 0)
		r = netns_socket(ns, AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE, &fd, e);
	else
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (r < 0)
		return r;
	if (fd < 0)
		return err_sys(e, -errno, "rtnetlink events");
	r = join_groups(fd);
	if (r < 0)
		return err_sys(e, r, "rtnetlink events");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool route_concerns(struct nlmsghdr *h)
{
	const struct rtmsg *rtm = nlmsg_data(h);

	if (nlmsg_datalen(h) < (int)sizeof(*rtm))
		return false;
	return rtm->rtm_protocol == SLU_RTPROT || rtm->rtm_table == RT_TABLE_MAIN ||
	       rtm->rtm_table == RT_TABLE_COMPAT;
}

static bool neigh_concerns(struct nlmsghdr *h)
{
	struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *ndm = nlmsg_data(h);

	if (rtnl_attrs(h, sizeof(*ndm), tb, NDA_MAX) < 0)
		return false;
	return (ndm->ndm_state & NUD_PERMANENT) || rtnl_attr_u8(tb[NDA_PROTOCOL], 0) == SLU_RTPROT;
}

static bool concerns(struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return route_concerns(h);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return neigh_concerns(h);
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
		return true;
	}
	return false;
}

/* Reads to the end even when the answer is known: level-triggered epoll would call again. */
int rtnl_events_read(int fd, struct err *e)
{
	__attribute__((aligned(NLMSG_ALIGNTO))) char buf[READ_SIZE];
	int outcome = 0;

	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_TRUNC, (struct sockaddr *)&from,
				     &from_len);
		int left = (int)n;

		if (n < 0 && errno == EAGAIN)
			return outcome;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ENOBUFS)
			return err_sys(e, -errno, "rtnetlink events");
		if (n < 0 || n > (ssize_t)sizeof(buf)) { /* lost, or cut off: the same to us */
			outcome = 2;
			continue;
		}
		if (from.nl_pid != 0) /* not the kernel */
			continue;
		for (struct nlmsghdr *h = (void *)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
			if (outcome == 0 && concerns(h))
				outcome = 1;
	}
}
