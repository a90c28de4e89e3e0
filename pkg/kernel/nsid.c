/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question, one answer of fixed form: written by hand, since libnl 3.7 does
 * not know the message.
 */
#include "kernel/nsid.h"

#include <errno.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "kernel/netns.h"

struct question {
	struct nlmsghdr h;
	struct rtgenmsg g;
	char pad[NLMSG_ALIGN(sizeof(struct rtgenmsg)) - sizeof(struct rtgenmsg)];
	struct rtattr a;
	int fd;
};

static int ask(int sock, int of)
{
	struct question q = {
		.h = {.nlmsg_len = sizeof(q),
		      .nlmsg_type = RTM_GETNSID,
		      .nlmsg_flags = NLM_F_REQUEST},
		.g = {.rtgen_family = AF_UNSPEC},
		.a = {.rta_len = RTA_LENGTH(sizeof(q.fd)), .rta_type = NETNSA_FD},
		.fd = of,
	};

	return send(sock, &q, sizeof(q), 0) < 0 ? -errno : 0;
}

static int answer_parse(const struct nlmsghdr *h, int len, int *ret)
{
	const struct rtattr *a;
	int rest;

	if (!NLMSG_OK(h, (unsigned int)len))
		return -EBADMSG;
	if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return ((const struct nlmsgerr *)NLMSG_DATA(h))->error ?: -EBADMSG;
	if (h->nlmsg_type != RTM_NEWNSID)
		return -EBADMSG;
	rest = (int)h->nlmsg_len - (int)NLMSG_SPACE(sizeof(struct rtgenmsg));
	a = (const void *)((const char *)h + NLMSG_SPACE(sizeof(struct rtgenmsg)));
	for (; RTA_OK(a, rest); a = RTA_NEXT(a, rest)) {
		if (a->rta_type != NETNSA_NSID || RTA_PAYLOAD(a) < sizeof(*ret))
			continue;
		memcpy(ret, RTA_DATA(a), sizeof(*ret));
		return *ret == NETNSA_NSID_NOT_ASSIGNED ? -ENOENT : 0;
	}
	return -EBADMSG;
}

int nsid_get(int in, int of, int *ret, struct err *e)
{
	union {
		struct nlmsghdr h;
		char bytes[512];
	} buf;
	__cleanup_close int sock = -1;
	int r, id = -1;
	ssize_t n;

	r = netns_socket(in, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &sock, e);
	if (r < 0)
		return r;
	r = ask(sock, of);
	if (r < 0)
		return err_sys(e, r, "RTM_GETNSID");
	do {
		n = recv(sock, &buf, sizeof(buf), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, -errno, "RTM_GETNSID");
	r = answer_parse(&buf.h, (int)n, &id);
	if (r < 0)
		return err_sys(e, r, "RTM_GETNSID");
	*ret = id;
	return 0;
}
