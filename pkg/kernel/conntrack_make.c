/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that another gateway has had so far. The kernel is told the tuples as they are
 * without translation, and the translation beside them: given the translated reply, it would
 * make an entry that translates nothing. It has seen no window, so it must not judge any
 * (BE_LIBERAL).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "kernel/conntrack_priv.h"

static void put_translation(struct nlmsghdr *h, const struct ct_flow *f)
{
	bool v4 = addr_is_v4(f->seen);
	struct nlattr *nat = mnl_attr_nest_start(h, CTA_NAT_SRC), *ports;

	mnl_attr_put(h, v4 ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP, addr_len(f->seen),
		     addr_bytes(&f->seen));
	mnl_attr_put(h, v4 ? CTA_NAT_V4_MAXIP : CTA_NAT_V6_MAXIP, addr_len(f->seen),
		     addr_bytes(&f->seen));
	ports = mnl_attr_nest_start(h, CTA_NAT_PROTO);
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MIN, htons(f->seen_port));
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MAX, htons(f->seen_port));
	mnl_attr_nest_end(h, ports);
	mnl_attr_nest_end(h, nat);
}

static void put_tcp(struct nlmsghdr *h, const struct ct_flow *f)
{
	static const int scale_attr[] = {CTA_PROTOINFO_TCP_WSCALE_ORIGINAL,
					 CTA_PROTOINFO_TCP_WSCALE_REPLY};
	static const int flags_attr[] = {CTA_PROTOINFO_TCP_FLAGS_ORIGINAL,
					 CTA_PROTOINFO_TCP_FLAGS_REPLY};
	struct nlattr *info = mnl_attr_nest_start(h, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(h, CTA_PROTOINFO_TCP);

	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_STATE, f->tcp_state);
	for (int i = 0; i < 2; i++) {
		struct nf_ct_tcp_flags flags = {.flags = IP_CT_TCP_FLAG_BE_LIBERAL};

		if (f->tcp_wscale[i] != TCP_WSCALE_NONE) {
			flags.flags |= IP_CT_TCP_FLAG_WINDOW_SCALE;
			mnl_attr_put_u8(h, (uint16_t)scale_attr[i], f->tcp_wscale[i]);
		}
		flags.mask = flags.flags;
		mnl_attr_put(h, (uint16_t)flags_attr[i], sizeof(flags), &flags);
	}
	mnl_attr_nest_end(h, tcp);
	mnl_attr_nest_end(h, info);
}

static struct nlmsghdr *make_message(struct ct_socket *s, size_t i, const void *data)
{
	const struct ct_flow *f = (const struct ct_flow *)data + i;
	struct nlmsghdr *h = ct_message(s, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL,
					(uint8_t)addr_family(f->src));
	uint32_t status = IPS_CONFIRMED;

	if (f->answered)
		status |= IPS_SEEN_REPLY;
	if (f->assured)
		status |= IPS_ASSURED;
	ct_put_tuple(h, f, false, f->zone);
	ct_put_tuple(h, f, true, 0);
	put_translation(h, f);
	mnl_attr_put_u32(h, CTA_STATUS, htonl(status));
	mnl_attr_put_u32(h, CTA_TIMEOUT, htonl(f->timeout));
	mnl_attr_put_u32(h, CTA_MARK, htonl(f->mark));
	if (f->proto == IPPROTO_TCP)
		put_tcp(h, f);
	return h;
}

/* What one connection is like is the matter, not the table. */
static bool refuses_one(int r)
{
	return r == -EEXIST || r == -EINVAL || r == -EOPNOTSUPP || r == -EBUSY;
}

int conntrack_make(const struct ct_flow *flows, size_t n, size_t *ret_n, struct err *e)
{
	__cleanup(ct_socket_done) struct ct_socket s = {0};
	const struct ct_batch b = {make_message, refuses_one, flows};
	int r = n ? ct_socket_open(&s, e) : 0;

	*ret_n = 0;
	if (r < 0 || n == 0)
		return r;
	r = ct_batch(&s, &b, n, ret_n);
	return r < 0 ? err_sys(e, r, "take over connections") : 0;
}
