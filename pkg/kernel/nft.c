/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket, its requests and batches, and what the header promises: observe is a
 * comparison of two pictures, apply is the batch that turns one into the other.
 * A batch is one message to the kernel and one transaction there.
 *
 * apply never asks whether somebody else changes the table at the same moment: a
 * batch that meets such a change fails as a whole, and is made again from a new
 * picture; the last attempt builds the table anew.
 */
#include "kernel/nft_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <libnftnl/common.h>

#include "base/log.h"
#include "kernel/nlmsg.h"

#define MESSAGE_MAX (80 * 1024) /* attributes end at 64 KiB */
#define BUFFER	    (64 * 1024)
#define MAX_TRIES   6

/* ---- socket ---- */

int nft_open(struct nft **ret, struct err *e)
{
	struct nft *n = mem_alloc0(sizeof(*n));
	int one = 1;

	n->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!n->sock || mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int rc = -errno;

		nft_close(n);
		return err_sys(e, rc, "open nftables socket");
	}
	mnl_socket_setsockopt(n->sock, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(n->sock, NETLINK_CAP_ACK, &one, sizeof(one));
	n->portid = mnl_socket_get_portid(n->sock);
	*ret = n;
	return 0;
}

void nft_close(struct nft *n)
{
	if (!n)
		return;
	if (n->sock)
		mnl_socket_close(n->sock);
	free(n);
}

uint32_t nft_portid(const struct nft *n)
{
	return n->portid;
}

/* ---- requests ---- */

struct nlmsghdr *nft_request_put(struct nft *n, void *buf, uint16_t type, uint16_t family,
				 uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(buf, type, family,
				     flags & NLM_F_DUMP ? flags : flags | NLM_F_ACK, ++n->seq);
}

/* What an abandoned answer left in the socket must not meet the next question. */
static void drain(struct nft *n, void *buf)
{
	while (recv(mnl_socket_get_fd(n->sock), buf, BUFFER, MSG_DONTWAIT) >= 0 || errno == EINTR ||
	       errno == ENOBUFS)
		;
}

int nft_request(struct nft *n, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	__cleanup_free char *buf = mem_alloc0(BUFFER);
	uint32_t seq = nlh->nlmsg_seq;
	int rc;

	if (mnl_socket_sendto(n->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t len;

		do
			len = mnl_socket_recvfrom(n->sock, buf, BUFFER);
		while (len < 0 && errno == EINTR);
		if (len >= 0)
			errno = nlmsg_whole(buf, (size_t)len) == (size_t)len ? 0 : EBADMSG;
		rc = len < 0 || errno ? -1 : mnl_cb_run(buf, (size_t)len, seq, n->portid, cb, data);
	} while (rc > 0);
	if (rc < 0) {
		rc = errno ? nlmsg_refusal((int)-(unsigned int)errno) : -EPROTO;
		drain(n, buf);
	}
	return rc;
}

/* ---- batches ---- */

static void *batch_room(struct nft_batch *b)
{
	if (b->cap - b->len < MESSAGE_MAX) {
		b->cap = b->cap * 2 + MESSAGE_MAX;
		b->buf = mem_resize(b->buf, b->cap, 1);
	}
	return b->buf + b->len;
}

static struct nlmsghdr *batch_last(struct nft_batch *b)
{
	return (void *)(b->buf + b->last);
}

struct nlmsghdr *nft_batch_open(struct nft_batch *b, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(batch_room(b), type, b->family, flags,
						     ++b->seq);

	b->last = b->len;
	return nlh;
}

void nft_batch_close(struct nft_batch *b)
{
	b->len += MNL_ALIGN(batch_last(b)->nlmsg_len);
}

void nft_batch_begin(struct nft *n, struct nft_batch *b, uint8_t family)
{
	b->family = family;
	b->seq = n->seq + 1;
	b->len = MNL_ALIGN(nftnl_batch_begin(batch_room(b), b->seq)->nlmsg_len);
}

struct answer {
	uint32_t last;	  /* seq of the message that asked for an acknowledgement */
	uint32_t first;	  /* seq of the beginning */
	uint32_t refused; /* which message, counted from the beginning */
	bool done;
	int rc;
	char text[128];
};

static int ext_ack(const struct nlattr *a, void *data)
{
	struct answer *ans = data;

	if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
		snprintf(ans->text, sizeof(ans->text), ": %.*s", (int)mnl_attr_get_payload_len(a),
			 mnl_attr_get_str(a));
	return MNL_CB_OK;
}

static void answer_parse(struct answer *ans, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*err))
		return;
	if (err->error == 0 && nlh->nlmsg_seq == ans->last)
		ans->done = true;
	if (err->error == 0 || ans->rc < 0)
		return;
	ans->rc = nlmsg_refusal(err->error);
	ans->refused = nlh->nlmsg_seq - ans->first;
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(nlh, sizeof(*err), ext_ack, ans);
}

/* The kernel answers before send returns: an empty socket means that all is said. */
static void answers_read(struct nft *n, struct answer *ans)
{
	__cleanup_free char *buf = mem_alloc0(BUFFER);

	for (;;) {
		ssize_t got = recv(mnl_socket_get_fd(n->sock), buf, BUFFER, MSG_DONTWAIT);
		const struct nlmsghdr *nlh = (const void *)buf;
		int len;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) { /* so many errors */
			if (ans->rc == 0)
				ans->rc = -ENOBUFS;
			continue;
		}
		if (got < 0)
			return;
		len = (int)nlmsg_whole(buf, (size_t)got);
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			answer_parse(ans, nlh);
	}
}

/* Only the last message asks for an acknowledgement; it arrives after the commit. */
int nft_batch_send(struct nft *n, struct nft_batch *b, struct err *e)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	struct answer ans = {.first = n->seq + 1, .last = batch_last(b)->nlmsg_seq};
	int fd = mnl_socket_get_fd(n->sock), size;

	batch_last(b)->nlmsg_flags |= NLM_F_ACK;
	b->len += MNL_ALIGN(nftnl_batch_end(batch_room(b), ++b->seq)->nlmsg_len);
	n->seq = b->seq;
	size = (int)b->len + BUFFER; /* a message must fit into the send buffer */
	if (size > 128 * 1024 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		return err_sys(e, -errno, "nftables: a batch of %zu bytes", b->len);
	if (sendto(fd, b->buf, b->len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(e, -errno, "nftables: send %zu bytes", b->len);
	answers_read(n, &ans);
	if (ans.rc < 0)
		return err_sys(e, ans.rc, "nftables refused message %u of %u%s", ans.refused,
			       b->seq - ans.first, ans.text);
	if (!ans.done)
		return err_set(e, -EIO, "nftables did not answer");
	return 0;
}

/* ---- observe and apply ---- */

enum { EQUAL = 0, ELEMENTS = 1, STATIC = 2 };

static const char *chain_name(const struct nft_entry *entry)
{
	return strchr(entry->name, ' ') + 1;
}

/* Those that come and go with the model's elements. */
static bool is_small_chain(const struct nft_entry *entry)
{
	return strncmp(entry->name, "chain ", 6) == 0 &&
	       (strncmp(chain_name(entry), NFT_NODE_NAME, strlen(NFT_NODE_NAME)) == 0 ||
		nft_limits_is_chain(chain_name(entry)));
}

typedef void (*differ_fn)(const struct nft_entry *have, const struct nft_entry *want, void *data);

/* Calls fn for every entry that is on one side only, or not the same on both. */
static void each_difference(const struct nft_picture *have, const struct nft_picture *want,
			    differ_fn fn, void *data)
{
	size_t i = 0, k = 0;

	while (i < have->n || k < want->n) {
		const struct nft_entry *a = i < have->n ? &have->entries[i] : NULL;
		const struct nft_entry *b = k < want->n ? &want->entries[k] : NULL;
		int d = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);

		if (d < 0)
			fn(a, NULL, data);
		else if (d > 0)
			fn(NULL, b, data);
		else if (a->len != b->len || (a->len && memcmp(a->bytes, b->bytes, a->len) != 0))
			fn(a, b, data);
		i += d <= 0;
		k += d >= 0;
	}
}

static void judge(const struct nft_entry *have, const struct nft_entry *want, void *data)
{
	int *level = data;
	const struct nft_entry *any = have ?: want;
	int now = is_small_chain(any) ? ELEMENTS : STATIC;

	log_debug("nftables differ", "what=%s state=%s", log_quote(any->name),
		  !have	  ? "missing"
		  : !want ? "foreign"
			  : "changed");
	if (now > *level)
		*level = now;
}

static int compare(const struct nft_picture *have, const struct nft_picture *want)
{
	int level = nft_sets_equal(have, want) ? EQUAL : ELEMENTS;

	if (!have->exists)
		return STATIC;
	each_difference(have, want, judge, &level);
	return level;
}

/* Both sides of one table. */
static int look(struct nft *n, uint8_t family, const struct nft_model *m, struct nft_picture *have,
		struct nft_picture *want, struct err *e)
{
	int rc = nft_picture_of(want, family, m, e);

	return rc < 0 ? rc : nft_picture_load(n, family, have, e);
}

static const uint8_t families[] = {NFPROTO_INET, NFPROTO_BRIDGE};

int nft_observe(struct nft *n, const struct nft_model *m, struct err *e)
{
	uint32_t generation = 0;
	bool settled = true;
	int level = EQUAL;

	if (nft_known_equal(n, m))
		return EQUAL;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		__cleanup_picture struct nft_picture have = {0};
		__cleanup_picture struct nft_picture want = {0};
		int rc = look(n, families[i], m, &have, &want, e);

		if (rc < 0)
			return rc;
		rc = compare(&have, &want);
		level = rc > level ? rc : level;
		settled = i == 0 || have.generation == generation;
		generation = have.generation;
	}
	if (level == EQUAL && settled)
		nft_known_set(n, m, generation);
	return level;
}

static void put_table(struct nft_batch *b, uint16_t type, uint16_t flags)
{
	mnl_attr_put_strz(nft_batch_open(b, type, flags), NFTA_TABLE_NAME, NFT_TABLE);
	nft_batch_close(b);
}

struct rebuild {
	struct nft_batch *b;
	const struct nft_model *m;
};

static uint32_t node_of(const struct nft_entry *entry)
{
	return (uint32_t)strtoul(strrchr(entry->name, '-') + 1, NULL, 10);
}

static void mend_chain(const struct nft_entry *have, const struct nft_entry *want, void *data)
{
	struct rebuild *r = data;

	if (!want)
		return;
	if (nft_limits_is_chain(chain_name(want)))
		nft_limits_put_chain(r->b, r->m, chain_name(want));
	else
		nft_rules_put_node(r->b, r->m, node_of(want));
}

static void drop_chain(const struct nft_entry *have, const struct nft_entry *want, void *data)
{
	struct rebuild *r = data;

	if (!want)
		nft_rules_put_chain_del(r->b, chain_name(have));
}

/* Chains before the elements that lead to them, and after them when they go. */
static void put_elements(struct nft_batch *b, const struct nft_model *m,
			 const struct nft_picture *have, const struct nft_picture *want)
{
	struct rebuild r = {b, m};

	each_difference(have, want, mend_chain, &r);
	nft_sets_put_dels(b, have, want);
	nft_sets_put_adds(b, have, want);
	each_difference(have, want, drop_chain, &r);
}

static void put_all(struct nft_batch *b, const struct nft_model *m, const struct nft_picture *have,
		    const struct nft_picture *want)
{
	const struct nft_picture nothing = {0};
	size_t i;

	if (have->exists)
		put_table(b, NFT_MSG_DELTABLE, 0);
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	nft_rules_put_objects(b, have->counts);
	nft_sets_put(b);
	nft_rules_put_chains(b);
	for (i = 0; i < m->n_nodes; i++)
		nft_rules_put_node(b, m, m->nodes[i]);
	for (i = 0; i < want->n; i++)
		if (is_small_chain(&want->entries[i]) &&
		    nft_limits_is_chain(chain_name(&want->entries[i])))
			nft_limits_put_chain(b, m, chain_name(&want->entries[i]));
	nft_sets_put_adds(b, &nothing, want);
	nft_rules_put_rules(b, m);
}

static void put_bridge(struct nft_batch *b, const struct nft_model *m,
		       const struct nft_picture *have)
{
	if (have->exists)
		put_table(b, NFT_MSG_DELTABLE, 0);
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	nft_bridge_put(b, m, have->counts);
}

static int apply_once(struct nft *n, uint8_t family, const struct nft_model *m, bool anew,
		      struct err *e)
{
	__cleanup_picture struct nft_picture have = {0};
	__cleanup_picture struct nft_picture want = {0};
	__cleanup_batch struct nft_batch b = {0};
	int rc, level;

	rc = look(n, family, m, &have, &want, e);
	if (rc < 0)
		return rc;
	level = compare(&have, &want);
	if (level == EQUAL)
		return 0;
	nft_batch_begin(n, &b, family);
	if (family == NFPROTO_BRIDGE)
		put_bridge(&b, m, &have);
	else if (level == STATIC || anew)
		put_all(&b, m, &have, &want);
	else
		put_elements(&b, m, &have, &want);
	rc = nft_batch_send(n, &b, e);
	n->built += rc == 0 && family == NFPROTO_INET && (level == STATIC || anew);
	return rc;
}

unsigned int nft_built(const struct nft *n)
{
	return n->built;
}

static int apply_table(struct nft *n, uint8_t family, const struct nft_model *m, struct err *e)
{
	struct err last = {0};
	int rc = -EAGAIN, tries;

	for (tries = 0; tries < MAX_TRIES && rc < 0; tries++) {
		rc = apply_once(n, family, m, tries == MAX_TRIES - 1, &last);
		if (rc == -EPERM || rc == -EINVAL || rc == -EOPNOTSUPP)
			break;
	}
	return rc < 0 ? err_set(e, rc, "%s", last.msg) : 0;
}

int nft_apply(struct nft *n, const struct nft_model *m, struct err *e)
{
	int rc = apply_table(n, NFPROTO_INET, m, e);

	if (rc == 0) {
		rc = apply_table(n, NFPROTO_BRIDGE, m, e);
		if (rc < 0)
			err_wrap(e, "table bridge " NFT_TABLE " (CONFIG_NF_TABLES_BRIDGE)");
	}
	return rc;
}

static int delete_table(struct nft *n, uint8_t family, struct err *e)
{
	__cleanup_batch struct nft_batch b = {0};
	struct err mine = {0};
	int rc;

	nft_batch_begin(n, &b, family);
	put_table(&b, NFT_MSG_DELTABLE, 0);
	rc = nft_batch_send(n, &b, &mine);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? err_set(e, rc, "%s", mine.msg) : 0;
}

int nft_delete(struct nft *n, struct err *e)
{
	int rc = delete_table(n, NFPROTO_BRIDGE, e);

	return rc < 0 ? rc : delete_table(n, NFPROTO_INET, e);
}
