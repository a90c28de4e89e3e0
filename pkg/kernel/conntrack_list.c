/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections one by one. A zone that only the original direction has is told within
 * that direction's tuple, a zone of both beside it; to find an entry by its original
 * tuple either form will do, so deleting always uses the second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_sctp.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "kernel/conntrack_priv.h"

struct flows {
	struct ct_flow *items;
	size_t n;
};

static uint16_t attr_be16(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= sizeof(uint16_t) ? ntohs(mnl_attr_get_u16(a))
								    : 0;
}

static uint32_t attr_be32(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? ntohl(mnl_attr_get_u32(a))
								    : 0;
}

static uint8_t attr_u8(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= sizeof(uint8_t) ? mnl_attr_get_u8(a) : 0;
}

static uint8_t tcp_wscale(const struct nlattr *info, int type)
{
	const struct nlattr *a = ct_nested(info, type);

	return a ? attr_u8(a) : TCP_WSCALE_NONE;
}

static void flow_state(const struct nlmsghdr *h, struct ct_flow *f)
{
	const struct nlattr *info = ct_top(h, CTA_PROTOINFO);

	if (f->proto == IPPROTO_TCP) {
		info = ct_nested(info, CTA_PROTOINFO_TCP);
		f->tcp_state = attr_u8(ct_nested(info, CTA_PROTOINFO_TCP_STATE));
		f->tcp_wscale[0] = tcp_wscale(info, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL);
		f->tcp_wscale[1] = tcp_wscale(info, CTA_PROTOINFO_TCP_WSCALE_REPLY);
		f->ended = f->tcp_state == TCP_CONNTRACK_TIME_WAIT ||
			   f->tcp_state == TCP_CONNTRACK_CLOSE;
	} else if (f->proto == IPPROTO_SCTP) {
		info = ct_nested(info, CTA_PROTOINFO_SCTP);
		f->ended = attr_u8(ct_nested(info, CTA_PROTOINFO_SCTP_STATE)) ==
			   SCTP_CONNTRACK_CLOSED;
	}
}

bool ct_flow_parse(const struct nlmsghdr *h, struct ct_flow *ret)
{
	const struct nlattr *tuple = ct_top(h, CTA_TUPLE_ORIG);
	const struct nlattr *proto = ct_nested(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *zone = ct_nested(tuple, CTA_TUPLE_ZONE);
	const struct nlattr *reply = ct_top(h, CTA_TUPLE_REPLY);
	uint32_t status = attr_be32(ct_top(h, CTA_STATUS));
	struct ct_flow f = {.proto = attr_u8(ct_nested(proto, CTA_PROTO_NUM))};

	if (f.proto != IPPROTO_TCP && f.proto != IPPROTO_UDP && f.proto != IPPROTO_SCTP)
		return false;
	if (!ct_tuple_addr(tuple, true, &f.src) || !ct_tuple_addr(tuple, false, &f.dst) ||
	    !ct_tuple_addr(reply, false, &f.seen) || addr_is_v4(f.src) != addr_is_v4(f.dst) ||
	    addr_is_v4(f.src) != addr_is_v4(f.seen))
		return false;
	f.sport = attr_be16(ct_nested(proto, CTA_PROTO_SRC_PORT));
	f.dport = attr_be16(ct_nested(proto, CTA_PROTO_DST_PORT));
	f.zone = attr_be16(zone ? zone : ct_top(h, CTA_ZONE));
	f.mark = attr_be32(ct_top(h, CTA_MARK));
	f.id = attr_be32(ct_top(h, CTA_ID));
	f.timeout = attr_be32(ct_top(h, CTA_TIMEOUT));
	f.seen_port = attr_be16(ct_nested(ct_nested(reply, CTA_TUPLE_PROTO), CTA_PROTO_DST_PORT));
	f.dnat = status & IPS_DST_NAT;
	f.answered = status & IPS_SEEN_REPLY;
	f.assured = status & IPS_ASSURED;
	flow_state(h, &f);
	*ret = f;
	return true;
}

static void flow_found(const struct nlmsghdr *h, const struct nlattr *tuple, void *data)
{
	struct flows *list = data;
	struct ct_flow f;

	if (!ct_flow_parse(h, &f))
		return;
	MEM_GROW(list->items, list->n);
	list->items[list->n++] = f;
}

static int list(const struct addr *addrs, size_t n, bool seen, struct flows *ret, struct err *e)
{
	__cleanup(ct_socket_done) struct ct_socket s = {0};
	const struct ct_walk w = {
		.sources = addrs, .n = n, .seen = seen, .entry = flow_found, .data = ret};
	int r = ct_socket_open(&s, e);

	return r < 0 ? r : ct_walk(&s, &w, e);
}

/* Whose entries the walk found; *ret is the caller's. */
static int flows_take(int r, struct flows *found, struct ct_flow **ret, size_t *ret_n)
{
	if (r < 0) {
		free(found->items);
		return r;
	}
	*ret = found->items;
	*ret_n = found->n;
	return 0;
}

int conntrack_list(const struct addr *sources, size_t n, struct ct_flow **ret, size_t *ret_n,
		   struct err *e)
{
	struct flows found = {0};

	return flows_take(list(sources, n, false, &found, e), &found, ret, ret_n);
}

int conntrack_list_seen(const struct addr *seen, size_t n, struct ct_flow **ret, size_t *ret_n,
			struct err *e)
{
	struct flows found = {0};

	return flows_take(list(seen, n, true, &found, e), &found, ret, ret_n);
}

/* ---- who holds what ---- */

struct holdings {
	struct ct_holding *items;
	size_t n;
	bool by_pod; /* translated or not */
};

/* ICMP has type and code where others have the port. */
static uint16_t holding_port(const struct nlattr *proto, uint8_t number)
{
	bool v6 = number == IPPROTO_ICMPV6;

	if (number != IPPROTO_ICMP && !v6)
		return attr_be16(ct_nested(proto, CTA_PROTO_SRC_PORT));
	return (uint16_t)(attr_u8(ct_nested(proto,
					    v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE))
				  << 8 |
			  attr_u8(ct_nested(proto,
					    v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE)));
}

static void holding_found(const struct nlmsghdr *h, const struct nlattr *tuple, void *data)
{
	const struct nlattr *proto = ct_nested(tuple, CTA_TUPLE_PROTO);
	const struct nlattr *zone = ct_nested(tuple, CTA_TUPLE_ZONE);
	struct ct_flow state = {.proto = attr_u8(ct_nested(proto, CTA_PROTO_NUM))};
	struct ct_holding found = {.proto = state.proto};
	struct holdings *list = data;

	if (!ct_tuple_addr(tuple, true, &found.pod) ||
	    !ct_tuple_addr(ct_top(h, CTA_TUPLE_REPLY), false, &found.seen) ||
	    (!list->by_pod && addr_eq(found.pod, found.seen)))
		return;
	flow_state(h, &state);
	if (state.proto == IPPROTO_TCP && state.ended)
		return;
	found.id = attr_be32(ct_top(h, CTA_ID));
	found.zone = attr_be16(zone ? zone : ct_top(h, CTA_ZONE));
	found.port = holding_port(proto, found.proto);
	MEM_GROW(list->items, list->n);
	list->items[list->n++] = found;
}

static int holdings_list(struct ct_walk *w, bool by_pod, struct ct_holding **ret, size_t *ret_n,
			 struct err *e)
{
	__cleanup(ct_socket_done) struct ct_socket s = {0};
	struct holdings found = {.by_pod = by_pod};
	int r = ct_socket_open(&s, e);

	w->entry = holding_found;
	w->data = &found;
	if (r == 0)
		r = ct_walk(&s, w, e);
	if (r < 0) {
		free(found.items);
		return r;
	}
	*ret = found.items;
	*ret_n = found.n;
	return 0;
}

int conntrack_list_holdings(const struct addr *seen, size_t n, struct ct_holding **ret,
			    size_t *ret_n, struct err *e)
{
	struct ct_walk w = {.sources = seen, .n = n, .seen = true};

	return holdings_list(&w, false, ret, ret_n, e);
}

int conntrack_list_pods(const struct addr *pods, size_t n, uint32_t mark, struct ct_holding **ret,
			size_t *ret_n, struct err *e)
{
	struct ct_walk w = {.sources = pods, .n = n, .mark = mark};

	return holdings_list(&w, true, ret, ret_n, e);
}

void ct_put_tuple(struct nlmsghdr *h, const struct ct_flow *f, bool reply, uint16_t zone)
{
	bool v4 = addr_is_v4(f->src);
	const struct addr *src = reply ? &f->dst : &f->src, *dst = reply ? &f->src : &f->dst;
	struct nlattr *tuple, *nest;

	tuple = mnl_attr_nest_start(h, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG);
	nest = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	mnl_attr_put(h, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, addr_len(*src), addr_bytes(src));
	mnl_attr_put(h, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, addr_len(*dst), addr_bytes(dst));
	mnl_attr_nest_end(h, nest);
	nest = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, f->proto);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(reply ? f->dport : f->sport));
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(reply ? f->sport : f->dport));
	mnl_attr_nest_end(h, nest);
	if (zone)
		mnl_attr_put_u16(h, CTA_TUPLE_ZONE, htons(zone));
	mnl_attr_nest_end(h, tuple);
}

static struct nlmsghdr *forget_message(struct ct_socket *s, size_t i, const void *data)
{
	const struct ct_flow *f = (const struct ct_flow *)data + i;
	struct nlmsghdr *h = ct_message(s, IPCTNL_MSG_CT_DELETE, 0, (uint8_t)addr_family(f->src));

	ct_put_tuple(h, f, false, 0);
	if (f->zone)
		mnl_attr_put_u16(h, CTA_ZONE, htons(f->zone));
	if (f->id)
		mnl_attr_put_u32(h, CTA_ID, htonl(f->id));
	return h;
}

int conntrack_forget(const struct ct_flow *flows, size_t n, size_t *ret_n, struct err *e)
{
	__cleanup(ct_socket_done) struct ct_socket s = {0};
	const struct ct_batch b = {forget_message, ct_ended_by_itself, flows};
	int r = n ? ct_socket_open(&s, e) : 0;

	*ret_n = 0;
	if (r < 0 || n == 0)
		return r;
	r = ct_batch(&s, &b, n, ret_n);
	return r < 0 ? err_sys(e, r, "forget connections") : 0;
}
