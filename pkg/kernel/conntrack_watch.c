/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/conntrack_watch.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "kernel/conntrack_priv.h"
#include "kernel/nlmsg.h"

#define ROOM (8 << 20) /* bytes that news may wait in; each takes up about 1 KiB */
#define MOST 4096      /* messages at once */

struct ct_watch {
	struct ct_socket news, list;
	const struct ct_watch_ops *ops;
	void *data;
	uint32_t mark_mask;
};

/* ---- the filter ---- */

#define ATTRS	      ((uint32_t)(NLMSG_HDRLEN + sizeof(struct nfgenmsg)))
#define FIND_ATTR     ((uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR))
#define LOAD(a)	      BPF_STMT(BPF_LD | BPF_IMM, (a))
#define INDEX(x)      BPF_STMT(BPF_LDX | BPF_IMM, (x))
#define ATTR_AT(type) LOAD(ATTRS), INDEX(type), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIND_ATTR)

/* Only what is established, and has a mark of ours: an attribute of four bytes each. */
static int filter_set(int fd, uint32_t mark_mask, struct err *e)
{
	struct sock_filter code[] = {
		ATTR_AT(CTA_MARK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 10, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mark_mask, 0, 7),
		ATTR_AT(CTA_STATUS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, IPS_ASSURED, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(*code), .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		return err_sys(e, -errno, "filter connection events");
	return 0;
}

/* ---- the news ---- */

static int news_join(struct ct_watch *w, struct err *e)
{
	static const int groups[] = {NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY};
	int fd = mnl_socket_get_fd(w->news.nl), room = ROOM, r;

	r = filter_set(fd, w->mark_mask, e);
	if (r < 0)
		return r;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		return err_sys(e, -errno, "room for connection events");
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return err_sys(e, -errno, "hear of connections");
	return 0;
}

static int on_news(const struct nlmsghdr *h, void *data)
{
	const struct ct_watch *w = data;
	struct ct_flow f;

	if (h->nlmsg_type >> 8 == NFNL_SUBSYS_CTNETLINK && ct_flow_parse(h, &f))
		w->ops->news(w->data, &f, (h->nlmsg_type & 0xff) == IPCTNL_MSG_CT_DELETE);
	return MNL_CB_OK;
}

static int on_listed(const struct nlmsghdr *h, void *data)
{
	const struct ct_watch *w = data;
	struct ct_flow f;

	if (ct_flow_parse(h, &f) && f.assured && f.mark & w->mark_mask)
		w->ops->listed(w->data, &f);
	return MNL_CB_OK;
}

/* Bytes of whole messages; 0 = nothing waits. */
static ssize_t receive(struct ct_socket *s)
{
	ssize_t n;

	do
		n = recv(mnl_socket_get_fd(s->nl), s->buf, CT_BUFFER, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return nlmsg_whole(s->buf, (size_t)n) == (size_t)n ? n : -EBADMSG;
}

int ct_watch_read(struct ct_watch *w)
{
	for (int i = 0; i < MOST; i++) {
		ssize_t n = receive(&w->news);

		if (n <= 0)
			return (int)n;
		mnl_cb_run(w->news.buf, (size_t)n, 0, 0, on_news, w);
	}
	return 1;
}

/* ---- all of them ---- */

int ct_watch_list_begin(struct ct_watch *w)
{
	struct nlmsghdr *h;

	ct_socket_done(&w->list);
	w->list = (struct ct_socket){0};
	if (ct_socket_open(&w->list, NULL) < 0)
		return -errno;
	h = ct_message(&w->list, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
	return mnl_socket_sendto(w->list.nl, h, h->nlmsg_len) < 0 ? -errno : 0;
}

int ct_watch_list_read(struct ct_watch *w)
{
	ssize_t n = receive(&w->list);
	int r;

	if (n <= 0)
		return n < 0 ? (int)n : 1;
	r = mnl_cb_run(w->list.buf, (size_t)n, w->list.seq, mnl_socket_get_portid(w->list.nl),
		       on_listed, w);
	return r < 0 ? nlmsg_refusal((int)-(unsigned int)errno) : r > MNL_CB_STOP;
}

int ct_watch_fd(const struct ct_watch *w)
{
	return mnl_socket_get_fd(w->news.nl);
}

int ct_watch_list_fd(const struct ct_watch *w)
{
	return w->list.nl ? mnl_socket_get_fd(w->list.nl) : -1;
}

int ct_watch_new(uint32_t mark_mask, const struct ct_watch_ops *ops, void *data,
		 struct ct_watch **ret, struct err *e)
{
	__cleanup(ct_watch_freep) struct ct_watch *w = mem_alloc0(sizeof(*w));
	int r;

	*w = (struct ct_watch){.ops = ops, .data = data, .mark_mask = mark_mask};
	r = ct_socket_open(&w->news, e);
	if (r == 0)
		r = news_join(w, e);
	if (r < 0)
		return r;
	*ret = TAKE(w);
	return 0;
}

void ct_watch_free(struct ct_watch *w)
{
	if (!w)
		return;
	ct_socket_done(&w->news);
	ct_socket_done(&w->list);
	free(w);
}
