/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many entries with one system call there and, where all goes well, one answer back: a message
 * that is carried out is acknowledged only if it asks for that, which the last one does; one that
 * is refused is answered in any case. The kernel is done with all when send returns, so
 * the answers wait by then, and a batch is small enough for the socket to hold them all.
 */
#include <errno.h>
#include <linux/netlink.h>

#include "kernel/conntrack_priv.h"
#include "kernel/nlmsg.h"

#define BATCH	    64
#define MESSAGE_MAX 448 /* 316 with all that conntrack_make puts into one, in IPv6 */
_Static_assert(BATCH *MESSAGE_MAX <= CT_BUFFER, "a batch fits the buffer");

struct answers {
	const struct ct_batch *batch;
	uint32_t first; /* sequence number of the batch's first message */
	size_t n, refused;
	int r; /* the first refusal that concerns all of them */
	bool last;
};

static int on_answer(const struct nlmsghdr *h, void *data)
{
	struct answers *a = data;
	uint32_t i = h->nlmsg_seq - a->first;
	const struct nlmsgerr *said = mnl_nlmsg_get_payload(h);
	int r;

	if (h->nlmsg_len < mnl_nlmsg_size(sizeof(*said)) || i >= a->n) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	a->last |= i == a->n - 1;
	if (said->error == 0)
		return MNL_CB_OK;
	r = nlmsg_refusal(said->error);
	a->refused++;
	if (!a->batch->spares(r) && a->r == 0)
		a->r = r;
	return MNL_CB_OK;
}

static int answers_take(struct ct_socket *s, struct answers *a)
{
	mnl_cb_t control[] = {[NLMSG_ERROR] = on_answer};
	unsigned int portid = mnl_socket_get_portid(s->nl);

	while (!a->last) {
		ssize_t n = ct_receive(s);

		if (n < 0)
			return (int)n;
		if (mnl_cb_run2(s->buf, (size_t)n, 0, portid, NULL, a, control,
				sizeof(control) / sizeof(control[0])) < 0)
			return nlmsg_refusal((int)-(unsigned int)errno);
	}
	return a->refused <= a->n ? 0 : -EBADMSG;
}

static int batch_send(struct ct_socket *s, const struct ct_batch *b, size_t from, size_t n)
{
	struct nlmsghdr *h = NULL;
	int r;

	for (size_t i = 0; i < n; i++) {
		h = b->message(s, from + i, b->data);
		s->used += NLMSG_ALIGN(h->nlmsg_len);
	}
	h->nlmsg_flags |= NLM_F_ACK;
	r = mnl_socket_sendto(s->nl, s->buf, s->used) < 0 ? -errno : 0;
	s->used = 0;
	return r;
}

int ct_batch(struct ct_socket *s, const struct ct_batch *b, size_t n, size_t *ret_done)
{
	*ret_done = 0;
	for (size_t i = 0; i < n; i += BATCH) {
		struct answers a = {
			.batch = b, .first = s->seq + 1, .n = n - i < BATCH ? n - i : BATCH};
		int r = batch_send(s, b, i, a.n);

		if (r == 0)
			r = answers_take(s, &a);
		if (r < 0)
			return r;
		*ret_done += a.n - a.refused;
		if (a.r < 0)
			return a.r;
	}
	return 0;
}
