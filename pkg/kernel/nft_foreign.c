/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other people's filters, as far as they decide about ours: a base chain at the
 * forward hook with policy drop swallows what a gateway forwards, and an accept in
 * our table cannot help. iptables-nft's chains are in nftables and are seen there;
 * those of legacy iptables only through its own socket options.
 */
#include "kernel/nft_parse.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/docker_user.h"
#include "kernel/nlmsg.h"

#define BUFFER	   (64 * 1024)
#define RCVBUF	   (1024 * 1024)
#define LEGACY_MAX (64u * 1024 * 1024)

/* ---- nftables ---- */

struct search {
	char *buf;
	size_t len;
	unsigned int accepted; /* DOCKER_USER_* */
};

/* Docker's FORWARD asks DOCKER-USER first, and there our rule accepts. */
static bool is_accepted(const struct search *s, const struct nft_chain_said *c)
{
	unsigned int bit = c->family == NFPROTO_IPV4   ? DOCKER_USER_NFT4
			   : c->family == NFPROTO_IPV6 ? DOCKER_USER_NFT6
						       : 0;

	return s->accepted & bit && strcmp(c->table, "filter") == 0 &&
	       strcmp(c->name, "FORWARD") == 0;
}

static const char *family_name(uint32_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
}

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	struct nft_chain_said c;
	struct search *s = data;

	if (nft_chain_parse(nlh, &c) < 0)
		return MNL_CB_ERROR;
	if (*s->buf || !c.table || !c.name || !c.hooked || c.hook != NF_INET_FORWARD ||
	    c.policy != NF_DROP)
		return MNL_CB_OK;
	if (c.family != NFPROTO_IPV4 && c.family != NFPROTO_IPV6 && c.family != NFPROTO_INET)
		return MNL_CB_OK;
	if ((c.family != NFPROTO_INET || strcmp(c.table, NFT_TABLE) != 0) && !is_accepted(s, &c))
		snprintf(s->buf, s->len, "%s %s %s", family_name(c.family), c.table, c.name);
	return MNL_CB_OK;
}

static int forward_nftables(struct nft *n, struct search *s)
{
	_Alignas(struct nlmsghdr) char buf[256];
	int rc = -EINTR, tries;

	for (tries = 0; tries < 8 && rc == -EINTR; tries++) {
		*s->buf = '\0';
		rc = nft_request(
			n, nft_request_put(n, buf, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NLM_F_DUMP),
			on_chain, s);
	}
	return rc;
}

/* ---- legacy iptables ---- */

/* struct ipt_* and ip6t_* differ in the entry alone, by where the target's offset stands. */
static const struct legacy {
	const char
		*names; /* of the namespace's tables: asking for one that is not there makes it */
	int family, level, get_info, get_entries;
	size_t offset_at;
	unsigned int accepted;
	const char *found;
} legacies[] = {
	{"/proc/thread-self/net/ip_tables_names", AF_INET, IPPROTO_IP, IPT_SO_GET_INFO,
	 IPT_SO_GET_ENTRIES, offsetof(struct ipt_entry, target_offset), DOCKER_USER_LEGACY4,
	 "ip filter FORWARD (legacy iptables)"},
	{"/proc/thread-self/net/ip6_tables_names", AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO,
	 IP6T_SO_GET_ENTRIES, offsetof(struct ip6t_entry, target_offset), DOCKER_USER_LEGACY6,
	 "ip6 filter FORWARD (legacy iptables)"},
};

bool nft_legacy_has_filter(const char *path)
{
	__cleanup_file FILE *f = fopen(path, "re");
	char line[64];

	while (f && fgets(line, sizeof(line), f))
		if (strcmp(line, "filter\n") == 0)
			return true;
	return false;
}

/* The policy is the verdict of the hook's last entry ("underflow"). */
static bool policy_is_drop(const struct legacy *l, const uint8_t *entry, size_t room)
{
	struct xt_standard_target t;
	uint16_t offset;

	if (room < l->offset_at + sizeof(offset))
		return false;
	memcpy(&offset, entry + l->offset_at, sizeof(offset));
	if (offset > room || room - offset < sizeof(t))
		return false;
	memcpy(&t, entry + offset, sizeof(t));
	return *t.target.u.user.name == '\0' && t.verdict == -NF_DROP - 1;
}

static int forward_legacy(const struct legacy *l, struct search *s)
{
	struct ipt_getinfo info = {.name = "filter"};
	__cleanup_free struct ipt_get_entries *all = NULL;
	__cleanup_close int fd = -1;
	socklen_t len = sizeof(info);

	if (s->accepted & l->accepted || !nft_legacy_has_filter(l->names))
		return 0;
	fd = socket(l->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0 || getsockopt(fd, l->level, l->get_info, &info, &len) < 0)
		return -errno;
	if (!(info.valid_hooks & 1u << NF_INET_FORWARD) || info.size > LEGACY_MAX ||
	    info.underflow[NF_INET_FORWARD] > info.size)
		return 0;
	all = mem_alloc0(sizeof(*all) + info.size);
	memcpy(all->name, info.name, sizeof(all->name));
	all->size = info.size;
	len = (socklen_t)(sizeof(*all) + info.size);
	if (getsockopt(fd, l->level, l->get_entries, all, &len) < 0)
		return errno == EAGAIN ? -EINTR : -errno; /* replaced between the two calls */
	if (policy_is_drop(l, (uint8_t *)all->entrytable + info.underflow[NF_INET_FORWARD],
			   info.size - info.underflow[NF_INET_FORWARD]))
		snprintf(s->buf, s->len, "%s", l->found);
	return 0;
}

int nft_forward_drop(struct nft *n, unsigned int accepted, char *buf, size_t len, struct err *e)
{
	struct search s = {.buf = buf, .len = len, .accepted = accepted};
	size_t i;
	int rc, tries;

	*buf = '\0';
	rc = forward_nftables(n, &s);
	if (rc < 0)
		return err_sys(e, rc, "read the forward chains");
	for (i = 0; i < ARRAY_SIZE(legacies) && !*buf; i++) {
		rc = -EINTR;
		for (tries = 0; tries < 4 && rc == -EINTR; tries++)
			rc = forward_legacy(&legacies[i], &s);
		if (rc < 0)
			return err_sys(e, rc, "read legacy iptables' filter table");
	}
	return 0;
}

/* ---- events ---- */

int nft_events_open(int *ret_fd, struct err *e)
{
	int group = NFNLGRP_NFTABLES, size = RCVBUF;
	struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	__cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
					NETLINK_NETFILTER);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return err_sys(e, -errno, "listen to nftables");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool is_forward_hook(const struct nlattr *hook)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, hook)
	{
		if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM &&
		    mnl_attr_validate(a, MNL_TYPE_U32) == 0)
			return ntohl(mnl_attr_get_u32(a)) == NF_INET_FORWARD;
	}
	return false;
}

/* Attribute 1 is the table's name in every message but those of generations. */
static bool concerns_us(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(nlh);
	uint8_t type = (uint8_t)NFNL_MSG_TYPE(nlh->nlmsg_type);
	const struct nlattr *a;

	if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || type == NFT_MSG_NEWGEN ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*g))
		return false;
	if (type == NFT_MSG_NEWTABLE || type == NFT_MSG_DELTABLE)
		return true; /* with all its chains, or made dormant */
	mnl_attr_for_each(a, nlh, sizeof(*g))
	{
		if (mnl_attr_get_type(a) == NFTA_CHAIN_TABLE &&
		    (g->nfgen_family == NFPROTO_INET || g->nfgen_family == NFPROTO_BRIDGE) &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 &&
		    strcmp(mnl_attr_get_str(a), NFT_TABLE) == 0)
			return true;
		if ((type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN) &&
		    mnl_attr_get_type(a) == NFTA_CHAIN_HOOK && is_forward_hook(a))
			return true;
	}
	return false;
}

int nft_events_read(int fd, uint32_t own_portid, struct err *e)
{
	__cleanup_free char *buf = mem_alloc0(BUFFER);
	int answer = 0;

	for (;;) {
		ssize_t got = recv(fd, buf, BUFFER, 0);
		const struct nlmsghdr *nlh = (const void *)buf;
		int len;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) {
			answer = 2;
			continue;
		}
		if (got < 0)
			return errno == EAGAIN ? answer : err_sys(e, -errno, "nftables events");
		len = (int)nlmsg_whole(buf, (size_t)got);
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			if (answer == 0 && nlh->nlmsg_pid != own_portid && concerns_us(nlh))
				answer = 1;
	}
}
