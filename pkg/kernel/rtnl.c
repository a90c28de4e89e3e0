/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One exchange with the kernel at a time over a libnl socket. Three things are
 * ours rather than libnl's: errors stay errno (libnl folds several into one) and
 * bring the extended acknowledgement's text; a stale answer (wrong sequence) is
 * skipped, not fatal; and a dump that the kernel marks as torn (NLM_F_DUMP_INTR)
 * is asked for again, a few times, since half a list must never pass for the list.
 */
#include "kernel/rtnl.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "kernel/netns.h"
#include "kernel/nlmsg.h"
#include "kernel/rtnl_priv.h"

#define BUFFER_SIZE (64 * 1024) /* the kernel fills dumps up to 32 KiB at a time */
#define DUMP_TRIES  5

struct rtnl {
	struct nl_sock *sk;
	struct nl_cb *cb;
	/* the exchange under way */
	uint32_t seq;
	bool answered;
	bool done; /* acknowledged, finished, refused */
	int code;  /* -errno of the refusal or of parse */
	char text[160];
	rtnl_parse_fn parse;
	const void *arg;
	void *row; /* rtnl_ask */
	struct rtnl_rows *rows;
};

static int on_seq(struct nl_msg *m, void *data)
{
	const struct rtnl *r = data;

	return nlmsg_hdr(m)->nlmsg_seq == r->seq ? NL_OK : NL_SKIP;
}

static int on_ack(struct nl_msg *m, void *data)
{
	struct rtnl *r = data;

	r->done = true;
	return NL_STOP;
}

/* The end of a dump may carry an error of its own. */
static int on_finish(struct nl_msg *m, void *data)
{
	struct rtnl *r = data;
	struct nlmsghdr *h = nlmsg_hdr(m);
	int code = 0;

	if (nlmsg_datalen(h) >= (int)sizeof(code))
		memcpy(&code, nlmsg_data(h), sizeof(code));
	if (code && !r->code)
		r->code = nlmsg_refusal(code);
	r->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *ne, void *data)
{
	struct rtnl *r = data;
	struct nlmsghdr *h = (void *)((char *)ne - NLMSG_HDRLEN);
	size_t skip = sizeof(*ne);
	struct nlattr *text;

	if (h->nlmsg_seq != r->seq)
		return NL_SKIP;
	r->code = nlmsg_refusal(ne->error);
	r->done = true;
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(ne->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (skip > (size_t)nlmsg_datalen(h))
		return NL_STOP;
	text = nlmsg_find_attr(h, (int)skip, NLMSGERR_ATTR_MSG);
	if (text)
		nla_strlcpy(r->text, text, sizeof(r->text));
	return NL_STOP;
}

static int parse_into_rows(struct rtnl *r, struct nlmsghdr *h)
{
	struct rtnl_rows *rows = r->rows;
	char *slot;
	int kept;

	if ((rows->n & (rows->n - 1)) == 0)
		rows->rows = mem_resize(rows->rows, rows->n ? rows->n * 2 : 1, rows->row_size);
	slot = (char *)rows->rows + rows->n * rows->row_size;
	memset(slot, 0, rows->row_size);
	kept = r->parse(h, slot, r->arg);
	if (kept > 0)
		rows->n++;
	return kept;
}

static int on_valid(struct nl_msg *m, void *data)
{
	struct rtnl *r = data;
	int kept = 0;

	if (r->rows)
		kept = parse_into_rows(r, nlmsg_hdr(m));
	else if (r->parse)
		kept = r->parse(nlmsg_hdr(m), r->row, r->arg);
	if (kept < 0 && !r->code)
		r->code = kept;
	r->answered = true;
	return NL_OK;
}

/* libnl's own failures while receiving; what the kernel refuses comes through on_error. */
static int nle_to_errno(int nle)
{
	static const struct {
		int nle, code;
	} table[] = {
		{NLE_INTR, EINTR},	     {NLE_AGAIN, EAGAIN},     {NLE_NOMEM, ENOBUFS},
		{NLE_MSG_TRUNC, EMSGSIZE},   {NLE_BAD_SOCK, EBADF},   {NLE_PERM, EPERM},
		{NLE_MSG_TOOSHORT, EBADMSG}, {NLE_MSGSIZE, EMSGSIZE}, {NLE_DUMP_INTR, EAGAIN},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].nle == -nle)
			return -table[i].code;
	return -EIO;
}

static int socket_options(int fd)
{
	static const int on[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	int one = 1;

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		if (setsockopt(fd, SOL_NETLINK, on[i], &one, sizeof(one)) < 0)
			return -errno;
	return bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0 ? -errno : 0;
}

static int open_socket(int ns, int *ret_fd, struct err *e)
{
	__cleanup_close int fd = -1;
	int r;

	if (ns >= 0) {
		r = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &fd, e);
		if (r < 0)
			return r;
	} else {
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		if (fd < 0)
			return err_sys(e, -errno, "rtnetlink socket");
	}
	r = socket_options(fd);
	if (r < 0)
		return err_sys(e, r, "rtnetlink socket");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void set_callbacks(struct rtnl *r)
{
	nl_cb_set(r->cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_seq, r);
	nl_cb_set(r->cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, r);
	nl_cb_set(r->cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, r);
	nl_cb_set(r->cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, r);
	nl_cb_err(r->cb, NL_CB_CUSTOM, on_error, r);
}

int rtnl_open(int ns, struct rtnl **ret, struct err *e)
{
	struct rtnl *r;
	int fd = -1, rc;

	rc = open_socket(ns, &fd, e);
	if (rc < 0)
		return rc;
	r = mem_alloc0(sizeof(*r));
	r->sk = nl_socket_alloc();
	r->cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!r->sk || !r->cb)
		oom();
	rc = nl_socket_set_fd(r->sk, NETLINK_ROUTE, fd);
	if (rc < 0) {
		close(fd);
		rtnl_close(r);
		return err_set(e, nle_to_errno(rc), "rtnetlink socket: %s", nl_geterror(rc));
	}
	nl_socket_disable_auto_ack(r->sk);
	nl_socket_set_msg_buf_size(r->sk, BUFFER_SIZE); /* and with it no peeking: one read each */
	set_callbacks(r);
	*ret = r;
	return 0;
}

void rtnl_close(struct rtnl *r)
{
	if (!r)
		return;
	nl_cb_put(r->cb);
	nl_socket_free(r->sk);
	free(r);
}

/* Sends m and reads until the exchange is over. -EAGAIN: a dump was torn. */
static int exchange(struct rtnl *r, struct nl_msg *m, struct err *e)
{
	bool torn = false;
	int rc;

	r->done = false;
	r->answered = false;
	r->code = 0;
	r->text[0] = '\0';
	r->seq = nl_socket_use_seq(r->sk);
	nlmsg_hdr(m)->nlmsg_seq = r->seq;
	rc = nl_send_auto(r->sk, m);
	if (rc < 0)
		return err_set(e, nle_to_errno(rc), "rtnetlink send: %s", nl_geterror(rc));
	while (!r->done) {
		rc = nl_recvmsgs(r->sk, r->cb);
		if (rc == -NLE_DUMP_INTR)
			torn = true;
		else if (rc < 0 && rc != -NLE_INTR && !r->done)
			return err_set(e, nle_to_errno(rc), "rtnetlink receive: %s",
				       nl_geterror(rc));
	}
	if (r->code < 0)
		return err_set(e, r->code, "%s%s%s%s", strerror(-r->code), r->text[0] ? " (" : "",
			       r->text, r->text[0] ? ")" : "");
	return torn ? -EAGAIN : 0;
}

int rtnl_change(struct rtnl *r, struct nl_msg *m, struct err *e)
{
	int rc;

	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_ACK;
	r->parse = NULL;
	r->rows = NULL;
	rc = exchange(r, m, e);
	nlmsg_free(m);
	return rc;
}

int rtnl_ask(struct rtnl *r, struct nl_msg *m, rtnl_parse_fn parse, void *row, struct err *e)
{
	int rc;

	/* acknowledged too: to some questions the kernel's answer is silence */
	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_ACK;
	r->parse = parse;
	r->arg = NULL;
	r->row = row;
	r->rows = NULL;
	rc = exchange(r, m, e);
	nlmsg_free(m);
	if (rc == 0 && !r->answered)
		return err_set(e, -ENOENT, "%s", strerror(ENOENT));
	return rc;
}

int rtnl_dump(struct rtnl *r, struct nl_msg *m, rtnl_parse_fn parse, const void *arg,
	      struct rtnl_rows *rows, struct err *e)
{
	size_t before = rows->n;
	int rc = -EAGAIN;

	nlmsg_hdr(m)->nlmsg_flags |= NLM_F_DUMP;
	r->parse = parse;
	r->arg = arg;
	r->rows = rows;
	for (int i = 0; i < DUMP_TRIES && rc == -EAGAIN; i++) {
		rows->n = before;
		rc = exchange(r, m, e);
	}
	nlmsg_free(m);
	if (rc == -EAGAIN)
		return err_set(e, -EAGAIN, "the list changed %d times while it was read",
			       DUMP_TRIES);
	return rc;
}
