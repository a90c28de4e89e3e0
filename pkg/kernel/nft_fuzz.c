/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any answers of nftables. The first byte chooses the question, the rest is what the
 * kernel says: our table as anybody may have left it, other people's chains, refusals
 * of a batch, events.
 */
#include <assert.h>
#include <dlfcn.h>
#include <setjmp.h>

#include "kernel/nft_priv.h"
#include "testkit/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * libnftnl 1.2.4 ends the process when an attribute has not the length that it should
 * have, and does not survive an expression without a name, a jump without a chain (it
 * takes the name from what the stack holds), or an element of a set with an
 * attribute that it does not know (it writes behind its table). None has been seen of any kernel;
 * here all are an answer that it refuses, and what it then leaks is no leak.
 */
static jmp_buf *refused;

static void too_short(void)
{
	if (!refused)
		abort();
	longjmp(*refused, 1);
}

#define ATTR_TOO_SHORT too_short
#include "kernel/fuzz_attrs.h"

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int mnl_attr_validate(const struct nlattr *a, enum mnl_attr_data_type type)
{
	static int (*real)(const struct nlattr *, enum mnl_attr_data_type);

	if (!real)
		real = dlsym(RTLD_NEXT, "mnl_attr_validate");
	if (real(a, type) == 0)
		return 0;
	if (refused)
		too_short();
	return -1;
}

static bool is_jump(const struct nlattr *a)
{
	return mnl_attr_get_type(a) == NFTA_VERDICT_CODE && mnl_attr_get_payload_len(a) == 4 &&
	       ((int32_t)ntohl(mnl_attr_get_u32(a)) == NFT_JUMP ||
		(int32_t)ntohl(mnl_attr_get_u32(a)) == NFT_GOTO);
}

/* Whatever could be read as a verdict, at any depth. */
static bool jumps_whole(const void *list, size_t len, int depth)
{
	const struct nlattr *a = list;
	bool jump = false, chain = false;

	for (; depth && mnl_attr_ok(a, (int)len); a = mnl_attr_next(a)) {
		size_t step = MNL_ALIGN(a->nla_len);

		jump |= is_jump(a);
		chain |= mnl_attr_get_type(a) == NFTA_VERDICT_CHAIN;
		if (!jumps_whole(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), depth - 1))
			return false;
		len -= step < len ? step : len;
	}
	return !jump || chain;
}

static int expr_named(const struct nlattr *a, void *data)
{
	const struct nlattr *x;
	bool named = false;

	mnl_attr_for_each_nested(x, a)
	{
		named |= mnl_attr_get_type(x) == NFTA_EXPR_NAME;
	}
	return named ? MNL_CB_OK : MNL_CB_ERROR;
}

static int rule_named(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) != NFTA_RULE_EXPRESSIONS)
		return MNL_CB_OK;
	return mnl_attr_parse_nested(a, expr_named, NULL);
}

typedef int (*parse_fn)(const struct nlmsghdr *h, void *object);

static int parse(const char *name, parse_fn *real, const struct nlmsghdr *h, void *object)
{
	size_t skip = sizeof(struct nfgenmsg), len = mnl_nlmsg_get_payload_len(h);
	jmp_buf here;
	int r = -1;

	if (len > skip && !jumps_whole(mnl_nlmsg_get_payload_offset(h, skip), len - skip, 8))
		return -1;
	if (!*real)
		*real = (parse_fn)dlsym(RTLD_NEXT, name);
	if (_setjmp(here) == 0) {
		refused = &here;
		r = (*real)(h, object);
	}
	refused = NULL;
	return r;
}

#define PARSE(kind, type)                                                 \
	int nftnl_##kind##_nlmsg_parse(const struct nlmsghdr *h, type *o) \
	{                                                                 \
		static parse_fn real;                                     \
                                                                          \
		return parse("nftnl_" #kind "_nlmsg_parse", &real, h, o); \
	}
PARSE(table, struct nftnl_table)
PARSE(chain, struct nftnl_chain)
PARSE(set, struct nftnl_set)
PARSE(obj, struct nftnl_obj)

static int attr_known(const struct nlattr *a, void *data)
{
	return mnl_attr_get_type(a) <= NFTA_SET_ELEM_EXPRESSIONS ? MNL_CB_OK : MNL_CB_ERROR;
}

static int elem_known(const struct nlattr *a, void *data)
{
	return mnl_attr_parse_nested(a, attr_known, NULL);
}

static int list_known(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
		return mnl_attr_get_type(a) <= NFTA_SET_ELEM_LIST_MAX ? MNL_CB_OK : MNL_CB_ERROR;
	return mnl_attr_parse_nested(a, elem_known, NULL);
}

int nftnl_set_elems_nlmsg_parse(const struct nlmsghdr *h, struct nftnl_set *s)
{
	static parse_fn real;

	if (mnl_attr_parse(h, sizeof(struct nfgenmsg), list_known, NULL) < 0)
		return -1;
	return parse("nftnl_set_elems_nlmsg_parse", &real, h, s);
}

int nftnl_rule_nlmsg_parse(const struct nlmsghdr *h, struct nftnl_rule *r)
{
	static parse_fn real;

	if (mnl_attr_parse(h, sizeof(struct nfgenmsg), rule_named, NULL) < 0)
		return -1;
	return parse("nftnl_rule_nlmsg_parse", &real, h, r);
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
	return (struct nft_model){SLU_MARK_MASK_DEFAULT,
				  5347,
				  addresses,
				  2,
				  nodes,
				  2,
				  inside,
				  2,
				  ends,
				  1,
				  governed,
				  1};
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

	if (nft_forward_drop(n, name, sizeof(name), NULL) == 0)
		assert(memchr(name, 0, sizeof(name)));
}

static void events(struct nft *n)
{
	assert(nft_events_read(-1, nft_portid(n), NULL) <= 2);
}

static void (*const questions[])(struct nft *n) = {observe, apply, counters, forward, events};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nft *n = NULL;

	if (!size || nft_open(&n, NULL) < 0)
		return 0;
	wire_feed(data + 1, size - 1, true);
	questions[*data % ARRAY_SIZE(questions)](n);
	nft_close(n);
	return 0;
}
