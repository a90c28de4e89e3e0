/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list is filtered by the kernel where it can (CTA_FILTER, Linux 5.8, one IPv4
 * source), and here in any case. Entries are collected first and deleted then, each by
 * tuple, zone and id: an entry that took the same tuple meanwhile is not the one meant.
 */
#include "kernel/conntrack_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "kernel/nlmsg.h"

#define TUPLE_MAX  128
#define DUMP_TRIES 5

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
	struct entry *entries;
	size_t n;
};

/* ---- the socket ---- */

void ct_socket_done(struct ct_socket *s)
{
	if (s->nl)
		mnl_socket_close(s->nl);
	free(s->buf);
}

int ct_socket_open(struct ct_socket *s, struct err *e)
{
	s->buf = mem_alloc0(CT_BUFFER);
	s->seq = (uint32_t)time(NULL);
	s->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!s->nl || mnl_socket_bind(s->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_sys(e, -errno, "ctnetlink socket");
	return 0;
}

struct nlmsghdr *ct_message(struct ct_socket *s, uint16_t cmd, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(s->buf + s->used);
	struct nfgenmsg *nfg;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | cmd);
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++s->seq;
	nfg = mnl_nlmsg_put_extra_header(h, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return h;
}

ssize_t ct_receive(struct ct_socket *s)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(s->nl, s->buf, CT_BUFFER);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return nlmsg_whole(s->buf, (size_t)n) == (size_t)n ? n : -EBADMSG;
}

/* Sends a request and runs fn over every answer to it. 0 or the kernel's -errno. */
static int exchange(struct ct_socket *s, struct nlmsghdr *h, mnl_cb_t fn, void *data)
{
	unsigned int portid = mnl_socket_get_portid(s->nl);
	uint32_t seq = h->nlmsg_seq;
	int r = MNL_CB_OK;

	if (mnl_socket_sendto(s->nl, h, h->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = ct_receive(s);

		if (n < 0)
			return (int)n;
		r = mnl_cb_run(s->buf, (size_t)n, seq, portid, fn, data);
	}
	return r < 0 ? nlmsg_refusal((int)-(unsigned int)errno) : 0;
}

/* ---- attributes ---- */

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

const struct nlattr *ct_nested(const struct nlattr *nest, int type)
{
	struct wanted_attr w = {.type = type};

	if (nest)
		mnl_attr_parse_nested(nest, pick_attr, &w);
	return w.found;
}

const struct nlattr *ct_top(const struct nlmsghdr *h, int type)
{
	struct wanted_attr w = {.type = type};

	mnl_attr_parse(h, sizeof(struct nfgenmsg), pick_attr, &w);
	return w.found;
}

bool ct_tuple_addr(const struct nlattr *tuple, bool source, struct addr *ret)
{
	const struct nlattr *ip = ct_nested(tuple, CTA_TUPLE_IP);
	const struct nlattr *a = ct_nested(ip, source ? CTA_IP_V4_SRC : CTA_IP_V4_DST);

	if (a && mnl_attr_get_payload_len(a) == 4) {
		*ret = addr_from_v4(mnl_attr_get_payload(a));
		return true;
	}
	a = ct_nested(ip, source ? CTA_IP_V6_SRC : CTA_IP_V6_DST);
	if (!a || mnl_attr_get_payload_len(a) != 16)
		return false;
	*ret = addr_from_v6(mnl_attr_get_payload(a));
	return true;
}

/* ---- the walk ---- */

static int on_message(const struct nlmsghdr *h, void *data)
{
	const struct ct_walk *w = data;
	const struct nlattr *tuple = ct_top(h, CTA_TUPLE_ORIG);
	struct addr source;

	if (tuple &&
	    ct_tuple_addr(w->seen ? ct_top(h, CTA_TUPLE_REPLY) : tuple, !w->seen, &source) &&
	    bsearch(&source, w->sources, w->n, sizeof(source), addr_order))
		w->entry(h, tuple, w->data);
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

static void put_mark(struct nlmsghdr *h, uint32_t mark)
{
	mnl_attr_put_u32(h, CTA_MARK, htonl(mark));
	mnl_attr_put_u32(h, CTA_MARK_MASK, htonl(mark));
}

/* Of all of them; AF_UNSPEC when they are of both. */
static uint8_t walk_family(const struct ct_walk *w)
{
	bool v4 = addr_is_v4(w->sources[0]);

	for (size_t i = 1; i < w->n; i++)
		if (addr_is_v4(w->sources[i]) != v4)
			return AF_UNSPEC;
	return (uint8_t)addr_family(w->sources[0]);
}

/*
 * One dump for both families: what it costs is that the kernel goes through all buckets of its
 * table, full or empty (20 ns each, 262,144 of them on a machine with much memory).
 */
int ct_walk(struct ct_socket *s, const struct ct_walk *w, struct err *e)
{
	struct ct_walk copy = *w;
	uint8_t family;
	int r = -EINTR;

	if (w->n == 0)
		return 0;
	family = walk_family(w);

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		struct nlmsghdr *h = ct_message(s, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);

		/* for IPv6 it picks all others: seen on 6.18 */
		if (w->n == 1 && !w->seen && addr_is_v4(w->sources[0]))
			put_filter(h, w->sources[0]);
		if (w->mark)
			put_mark(h, w->mark);
		r = exchange(s, h, on_message, &copy);
	}
	if (r < 0 && w->n == 1)
		return err_sys(e, r, "list connections of %s", addr_str(w->sources[0]));
	return r < 0 ? err_sys(e, r, "list connections") : 0;
}

/* ---- forgetting all of somebody ---- */

static void entry_found(const struct nlmsghdr *h, const struct nlattr *tuple, void *data)
{
	struct found *found = data;
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(h);
	const struct nlattr *zone = ct_top(h, CTA_ZONE), *id = ct_top(h, CTA_ID);
	struct entry *en;

	if (mnl_attr_get_payload_len(tuple) > TUPLE_MAX)
		return;
	MEM_GROW(found->entries, found->n);
	en = &found->entries[found->n++];
	*en = (struct entry){.family = nfg->nfgen_family};
	en->tuple_len = mnl_attr_get_payload_len(tuple);
	memcpy(en->tuple, mnl_attr_get_payload(tuple), en->tuple_len);
	if (zone && mnl_attr_get_payload_len(zone) >= sizeof(en->zone))
		en->zone = ntohs(mnl_attr_get_u16(zone));
	en->has_id = id && mnl_attr_get_payload_len(id) >= sizeof(en->id);
	if (en->has_id)
		en->id = mnl_attr_get_u32(id);
}

static struct nlmsghdr *entry_message(struct ct_socket *s, size_t i, const void *data)
{
	const struct entry *en = (const struct entry *)data + i;
	struct nlmsghdr *h = ct_message(s, IPCTNL_MSG_CT_DELETE, 0, en->family);

	mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, en->tuple_len, en->tuple);
	if (en->zone)
		mnl_attr_put_u16(h, CTA_ZONE, htons(en->zone));
	if (en->has_id)
		mnl_attr_put_u32(h, CTA_ID, en->id);
	return h;
}

bool ct_ended_by_itself(int r)
{
	return r == -ENOENT;
}

static int delete_all(struct ct_socket *s, const struct found *found, size_t *ret_n, struct err *e)
{
	const struct ct_batch b = {entry_message, ct_ended_by_itself, found->entries};
	int r = ct_batch(s, &b, found->n, ret_n);

	return r < 0 ? err_sys(e, r, "forget connections") : 0;
}

int conntrack_forget_sources(const struct addr *sources, size_t n, size_t *ret_n, struct err *e)
{
	__cleanup(ct_socket_done) struct ct_socket s = {0};
	struct found found = {0};
	const struct ct_walk w = {.sources = sources, .n = n, .entry = entry_found, .data = &found};
	int r = ct_socket_open(&s, e);

	if (r == 0)
		r = ct_walk(&s, &w, e);
	if (r == 0)
		r = delete_all(&s, &found, ret_n, e);
	free(found.entries);
	return r;
}
