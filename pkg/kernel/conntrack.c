/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list is filtered by the kernel where it can (CTA_FILTER, Linux 5.8), and here
 * in any case. Entries are collected first and deleted then, each by tuple,
 * zone and id: an entry that took the same tuple meanwhile is not the one meant.
 */
#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define BUFFER_SIZE (32 * 1024)
#define TUPLE_MAX   128
#define DUMP_TRIES  5

/* Linux 5.8; newer than some headers */
#define CTA_FILTER_ATTR		   25
#define CTA_FILTER_ORIG_FLAGS_ATTR 1
#define CTA_FILTER_F_IP_SRC	   (1u << 0)

struct entry {
	uint8_t family;
	bool has_id;
	uint16_t zone; /* of both directions */
	uint32_t id;
	uint16_t tuple_len;
	uint8_t tuple[TUPLE_MAX]; /* CTA_TUPLE_ORIG as it came; a zone of one direction is in it */
};

struct found {
	struct addr source;
	struct entry *entries;
	size_t n;
};

struct socket {
	struct mnl_socket *nl;
	uint32_t seq;
	char *buf;
};

static void socket_done(struct socket *s)
{
	if (s->nl)
		mnl_socket_close(s->nl);
	free(s->buf);
}

static int socket_open(struct socket *s, struct err *e)
{
	s->buf = mem_alloc0(BUFFER_SIZE);
	s->seq = (uint32_t)time(NULL);
	s->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!s->nl || mnl_socket_bind(s->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_sys(e, -errno, "ctnetlink socket");
	return 0;
}

static struct nlmsghdr *message(struct socket *s, uint16_t cmd, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(s->buf);
	struct nfgenmsg *nfg;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | cmd);
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++s->seq;
	nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return h;
}

/* Sends and takes the answers until the last. -errno of the kernel. */
static int exchange(struct socket *s, struct nlmsghdr *h, mnl_cb_t fn, void *data)
{
	unsigned int portid = mnl_socket_get_portid(s->nl);
	uint32_t seq = h->nlmsg_seq;
	int r = MNL_CB_OK;

	if (mnl_socket_sendto(s->nl, h, h->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(s->nl, s->buf, BUFFER_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = mnl_cb_run(s->buf, (size_t)n, seq, portid, fn, data);
	}
	return r < 0 ? -errno : 0;
}

struct wanted_attr {
	int type;
	const struct nlattr *found;
};

static int pick_attr(const struct nlattr *a, void *data)
{
	struct wanted_attr *w = data;

	if (mnl_attr_get_type(a) != w->type)
		return MNL_CB_OK;
	w->found = a;
	return MNL_CB_STOP;
}

static const struct nlattr *nested(const struct nlattr *nest, int type)
{
	struct wanted_attr w = {.type = type};

	if (nest)
		mnl_attr_parse_nested(nest, pick_attr, &w);
	return w.found;
}

static const struct nlattr *top(const struct nlmsghdr *h, int type)
{
	struct wanted_attr w = {.type = type};

	mnl_attr_parse(h, sizeof(struct nfgenmsg), pick_attr, &w);
	return w.found;
}

static bool source_is(const struct nlattr *tuple, struct addr source)
{
	const struct nlattr *ip = nested(tuple, CTA_TUPLE_IP);
	const struct nlattr *src = nested(ip, addr_is_v4(source) ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);

	return src && mnl_attr_get_payload_len(src) == addr_len(source) &&
	       memcmp(mnl_attr_get_payload(src), addr_bytes(&source), addr_len(source)) == 0;
}

static int on_entry(const struct nlmsghdr *h, void *data)
{
	struct found *found = data;
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(h);
	const struct nlattr *tuple = top(h, CTA_TUPLE_ORIG);
	const struct nlattr *zone = top(h, CTA_ZONE), *id = top(h, CTA_ID);
	struct entry *en;

	if (!tuple || !source_is(tuple, found->source) ||
	    mnl_attr_get_payload_len(tuple) > TUPLE_MAX)
		return MNL_CB_OK;
	MEM_GROW(found->entries, found->n);
	en = &found->entries[found->n++];
	*en = (struct entry){.family = nfg->nfgen_family};
	en->tuple_len = mnl_attr_get_payload_len(tuple);
	memcpy(en->tuple, mnl_attr_get_payload(tuple), en->tuple_len);
	if (zone)
		en->zone = ntohs(mnl_attr_get_u16(zone));
	en->has_id = id != NULL;
	if (id)
		en->id = mnl_attr_get_u32(id);
	return MNL_CB_OK;
}

static void put_filter(struct nlmsghdr *h, struct addr source)
{
	struct nlattr *tuple, *ip, *filter;

	tuple = mnl_attr_nest_start(h, CTA_TUPLE_ORIG);
	ip = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	mnl_attr_put(h, CTA_IP_V4_SRC, addr_len(source), addr_bytes(&source));
	mnl_attr_nest_end(h, ip);
	mnl_attr_nest_end(h, tuple);
	filter = mnl_attr_nest_start(h, CTA_FILTER_ATTR);
	mnl_attr_put_u32(h, CTA_FILTER_ORIG_FLAGS_ATTR, CTA_FILTER_F_IP_SRC);
	mnl_attr_nest_end(h, filter);
}

static int collect(struct socket *s, struct found *found, struct err *e)
{
	uint8_t family = (uint8_t)addr_family(found->source);
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		struct nlmsghdr *h = message(s, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);

		if (addr_is_v4(found->source)) /* for IPv6 it picks all others: seen on 6.18 */
			put_filter(h, found->source);
		found->n = 0;
		r = exchange(s, h, on_entry, found);
	}
	return r < 0 ? err_sys(e, r, "list connections of %s", addr_str(found->source)) : 0;
}

static int delete (struct socket *s, const struct entry *en)
{
	struct nlmsghdr *h = message(s, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, en->family);

	mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, en->tuple_len, en->tuple);
	if (en->zone)
		mnl_attr_put_u16(h, CTA_ZONE, htons(en->zone));
	if (en->has_id)
		mnl_attr_put_u32(h, CTA_ID, en->id);
	return exchange(s, h, NULL, NULL);
}

static int delete_all(struct socket *s, const struct found *found, size_t *ret_n, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < found->n; i++) {
		int r = delete (s, &found->entries[i]);

		if (r == -ENOENT) /* ended by itself */
			continue;
		if (r < 0)
			return err_sys(e, r, "forget a connection of %s", addr_str(found->source));
		n++;
	}
	*ret_n = n;
	return 0;
}

int conntrack_forget_source(struct addr addr, size_t *ret_n, struct err *e)
{
	__cleanup(socket_done) struct socket s = {0};
	struct found found = {.source = addr};
	int r = socket_open(&s, e);

	if (r == 0)
		r = collect(&s, &found, e);
	if (r == 0)
		r = delete_all(&s, &found, ret_n, e);
	free(found.entries);
	return r;
}
