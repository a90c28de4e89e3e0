/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any answers of nftables. The first byte chooses the question. For most the rest is what the
 * kernel says (testkit/fuzz_wire.h): our table as anybody may have left it, other people's chains,
 * refusals of a batch, events. For the last two the kernel says what the model wants, all of it,
 * and the rest of the input is where it says something else.
 */
#include <assert.h>
#include <libnftnl/common.h>

#include "kernel/fuzz_attrs.h"
#include "kernel/nft_priv.h"
#include "testkit/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the kernel, with our tables in it ---- */

#define RECORD_MAX 16000 /* the kernel's answers to a dump are about so long */

static struct stream {
	uint8_t *bytes; /* records of testkit/fuzz_wire.h */
	size_t len, cap;
	size_t record; /* where the last one begins */
} whole;

static void record_open(struct stream *s)
{
	s->record = s->len;
	s->len += 3;
}

static void record_close(struct stream *s)
{
	size_t len = s->len - s->record - 3;

	s->bytes[s->record] = 0;
	s->bytes[s->record + 1] = (uint8_t)len;
	s->bytes[s->record + 2] = (uint8_t)(len >> 8);
}

static void message_add(struct stream *s, const struct nlmsghdr *h)
{
	size_t len = MNL_ALIGN(h->nlmsg_len);

	if (s->cap < s->len + len + 1024) {
		s->cap = s->cap * 2 + len + 1024;
		s->bytes = mem_resize(s->bytes, s->cap, 1);
	}
	if (s->len - s->record + len > RECORD_MAX) {
		record_close(s);
		record_open(s);
	}
	memcpy(s->bytes + s->len, h, len);
	s->len += len;
}

/* What ends an answer: an acknowledgement, or the end of a list. */
static void end_add(struct stream *s, bool list)
{
	_Alignas(struct nlmsghdr) char buf[64] = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = list ? NLMSG_DONE : NLMSG_ERROR;
	h->nlmsg_flags = list ? NLM_F_MULTI : 0;
	mnl_nlmsg_put_extra_header(h, list ? sizeof(int) : sizeof(struct nlmsgerr));
	message_add(s, h);
}

static void generation_add(struct stream *s)
{
	_Alignas(struct nlmsghdr) char buf[64] = {0};
	struct nlmsghdr *h = nftnl_nlmsg_build_hdr(buf, NFT_MSG_NEWGEN, NFPROTO_UNSPEC, 0, 0);

	mnl_attr_put_u32(h, NFTA_GEN_ID, htonl(7));
	record_open(s);
	message_add(s, h);
	end_add(s, false);
	record_close(s);
}

static bool is_of(const struct nlmsghdr *h, uint16_t type, const char *set)
{
	const struct nlattr *attr;

	if ((h->nlmsg_type & 0xff) != type)
		return false;
	mnl_attr_for_each(attr, h, sizeof(struct nfgenmsg))
	{
		if (set && mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_SET)
			return strcmp(mnl_attr_get_payload(attr), set) == 0;
	}
	return !set;
}

/* The same of a table that is not ours: not every kernel leaves those out. */
static void foreign_add(struct stream *s, const struct nlmsghdr *h)
{
	char *copy = mem_dup(h, MNL_ALIGN(h->nlmsg_len));

	copy[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct nfgenmsg)) + MNL_ATTR_HDRLEN] = 'b';
	message_add(s, (struct nlmsghdr *)copy);
	free(copy);
}

/* Of a batch that makes a table, what the kernel would answer to a question about it. */
static void answer_add(struct stream *s, struct nft_batch *b, uint16_t type, const char *set)
{
	bool list = type != NFT_MSG_NEWTABLE;
	int left = (int)b->len;

	record_open(s);
	for (const struct nlmsghdr *h = (void *)b->buf; mnl_nlmsg_ok(h, left);
	     h = mnl_nlmsg_next(h, &left)) {
		if (!is_of(h, type, set))
			continue;
		message_add(s, h);
		if (list && !set)
			foreign_add(s, h);
	}
	end_add(s, list);
	record_close(s);
}

static void table_add(struct stream *s, struct nft_batch *b)
{
	static const uint16_t types[] = {NFT_MSG_NEWTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE,
					 NFT_MSG_NEWSET, NFT_MSG_NEWOBJ};

	generation_add(s);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		answer_add(s, b, types[i], NULL);
	for (size_t i = 0; b->family == NFPROTO_INET && i < NFT_SET_N; i++)
		if (!nft_set_is_dynamic(i)) /* nobody asks */
			answer_add(s, b, NFT_MSG_NEWSETELEM, nft_set_name(i));
	generation_add(s);
}

static void put_table(struct nft_batch *b)
{
	mnl_attr_put_strz(nft_batch_open(b, NFT_MSG_NEWTABLE, 0), NFTA_TABLE_NAME, NFT_TABLE);
	nft_batch_close(b);
}

static void whole_make(struct stream *s, const struct nft_model *m)
{
	static const struct nft_count counts[SLU_REASON_MAX];
	const struct nft_picture nothing = {0};
	__cleanup_picture struct nft_picture want = {0};
	__cleanup_batch struct nft_batch b = {.family = NFPROTO_INET};
	__cleanup_batch struct nft_batch bridge = {.family = NFPROTO_BRIDGE};

	s->bytes = mem_alloc0(s->cap = 1024);
	assert(nft_picture_of(&want, NFPROTO_INET, m, NULL) == 0);
	put_table(&b);
	nft_rules_put_objects(&b, counts);
	nft_sets_put(&b);
	nft_rules_put_chains(&b);
	for (size_t i = 0; i < m->n_nodes; i++)
		nft_rules_put_node(&b, m, m->nodes[i]);
	nft_sets_put_adds(&b, &nothing, &want);
	nft_rules_put_rules(&b, m);
	table_add(s, &b);
	put_table(&bridge);
	nft_bridge_put(&bridge, m, counts);
	table_add(s, &bridge);
}

/* An edit is where (three bytes, low first), how, and what. */
static void edit(uint8_t *bytes, size_t *len, const uint8_t how[5])
{
	size_t at = (how[0] | (size_t)how[1] << 8 | (size_t)how[2] << 16) % *len;

	switch (how[3] % 5) {
	case 0:
		bytes[at] = how[4];
		break;
	case 1:
		bytes[at] ^= (uint8_t)(1 << (how[4] & 7));
		break;
	case 2: /* an attribute's length, or its number */
		bytes[at & ~1u] = how[4];
		bytes[at | 1] = 0;
		break;
	case 3: /* something else of what was said */
		memmove(bytes + at, bytes + how[4] * (*len / 256), *len - at < 16 ? *len - at : 16);
		break;
	default:
		*len = at + 1;
	}
}

static struct nft_model model_make(void)
{
	static struct nft_address addresses[2] = {{16, {{0}}, true}, {17, {{0}}, false}};
	static const uint32_t nodes[] = {2, 7};
	static struct cidr inside[2];
	static struct addr ends[1], governed[1];

	addr_parse("203.0.113.1", &addresses[0].addr);
	addr_parse("2001:db8:e::1", &addresses[1].addr);
	cidr_parse("10.0.0.0/8", &inside[0]);
	cidr_parse("fd00::/8", &inside[1]);
	addr_parse("10.0.0.1", &ends[0]);
	addr_parse("10.244.1.5", &governed[0]);
	return (struct nft_model){
		.mark_mask = SLU_MARK_MASK_DEFAULT,
		.port = 5347,
		.addresses = addresses,
		.n_addresses = 2,
		.nodes = nodes,
		.n_nodes = 2,
		.inside = inside,
		.n_inside = 2,
		.tunnel_ends = ends,
		.n_tunnel_ends = 1,
		.governed = governed,
		.n_governed = 1,
	};
}

/* Feeds what the model wants but for the edits; whether there were any. */
static bool feed_edited(const uint8_t *data, size_t size)
{
	const struct nft_model m = model_make();
	static uint8_t *edited;
	size_t len;

	if (!edited) {
		whole_make(&whole, &m);
		edited = mem_alloc0(whole.len + 16);
	}
	len = whole.len;
	memcpy(edited, whole.bytes, len);
	for (size_t i = 0; i + 5 <= size; i += 5)
		edit(edited, &len, data + i);
	wire_feed(edited, len, true);
	return size >= 5;
}

static void observe(struct nft *n)
{
	const struct nft_model m = model_make();

	assert(nft_observe(n, &m, NULL) <= 2);
}

static void apply(struct nft *n)
{
	const struct nft_model m = model_make();
	struct err e = {0};

	if (nft_apply(n, &m, &e) < 0)
		assert(*e.msg);
}

static void counters(struct nft *n)
{
	struct nft_count counts[SLU_REASON_MAX];

	nft_counters(n, counts, NULL);
	nft_delete(n, NULL);
}

static void forward(struct nft *n)
{
	char name[64];

	if (nft_forward_drop(n, 0, name, sizeof(name), NULL) == 0)
		assert(memchr(name, 0, sizeof(name)));
}

static void events(struct nft *n)
{
	assert(nft_events_read(-1, nft_portid(n), NULL) <= 2);
}

static void (*const questions[])(struct nft *n) = {observe, apply, counters, forward, events};

static void ask(struct nft *n, uint8_t question, const uint8_t *data, size_t size)
{
	const struct nft_model m = model_make();

	question %= ARRAY_SIZE(questions) + 2;
	if (question < ARRAY_SIZE(questions)) {
		wire_feed(data, size, true);
		questions[question](n);
	} else if (question == ARRAY_SIZE(questions)) {
		if (!feed_edited(data, size))
			assert(nft_observe(n, &m, NULL) == 0 && wire_left() == 0);
		else
			observe(n);
	} else {
		feed_edited(data, size);
		apply(n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nft *n = NULL;

	if (!size || nft_open(&n, NULL) < 0)
		return 0;
	ask(n, *data, data + 1, size - 1);
	nft_close(n);
	return 0;
}
