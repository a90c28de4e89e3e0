/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/nft_parse.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* ---- attributes ---- */

/* How an attribute must look; what is not in a table is not read. */
enum form { NOT_READ = 0, U32, U64, STRING, NEST, ANY };

static bool well_formed(const struct nlattr *a, enum form form)
{
	static const enum mnl_attr_data_type types[] = {
		[U32] = MNL_TYPE_U32,
		[U64] = MNL_TYPE_U64,
		[STRING] = MNL_TYPE_NUL_STRING,
		[NEST] = MNL_TYPE_NESTED,
	};

	return form == ANY || mnl_attr_validate(a, types[form]) == 0;
}

/* Those of len bytes at list whose numbers are below n, by number. */
static int attrs_get(const void *list, size_t len, const uint8_t *forms, uint16_t n,
		     const struct nlattr **ret)
{
	const struct nlattr *attr;

	memset(ret, 0, n * sizeof(*ret));
	mnl_attr_for_each_payload(list, len)
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type >= n || forms[type] == NOT_READ)
			continue;
		if (!well_formed(attr, forms[type])) {
			errno = EBADMSG;
			return -1;
		}
		ret[type] = attr;
	}
	return 0;
}

static int nest_get(const struct nlattr *nest, const uint8_t *forms, uint16_t n,
		    const struct nlattr **ret)
{
	return attrs_get(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), forms, n, ret);
}

/* Those of a message of nftables. */
static int message_get(const struct nlmsghdr *h, const uint8_t *forms, uint16_t n,
		       const struct nlattr **ret)
{
	size_t skip = sizeof(struct nfgenmsg), len = mnl_nlmsg_get_payload_len(h);

	if (len < skip) {
		errno = EBADMSG;
		return -1;
	}
	return attrs_get(mnl_nlmsg_get_payload_offset(h, skip), len - skip, forms, n, ret);
}

static uint32_t u32_of(const struct nlattr *a)
{
	return a ? ntohl(mnl_attr_get_u32(a)) : 0;
}

static uint64_t u64_of(const struct nlattr *a)
{
	return a ? be64toh(mnl_attr_get_u64(a)) : 0;
}

static const char *str_of(const struct nlattr *a)
{
	return a ? mnl_attr_get_str(a) : NULL;
}

/* ---- tables and chains ---- */

int nft_table_parse(const struct nlmsghdr *h, struct nft_table_said *ret)
{
	static const uint8_t forms[] = {[NFTA_TABLE_NAME] = STRING, [NFTA_TABLE_FLAGS] = U32};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (message_get(h, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	*ret = (struct nft_table_said){
		.name = str_of(tb[NFTA_TABLE_NAME]),
		.flags = u32_of(tb[NFTA_TABLE_FLAGS]),
	};
	return 0;
}

static int hook_parse(const struct nlattr *nest, struct nft_chain_said *ret)
{
	static const uint8_t forms[] = {[NFTA_HOOK_HOOKNUM] = U32, [NFTA_HOOK_PRIORITY] = U32};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (nest_get(nest, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	ret->hooked = tb[NFTA_HOOK_HOOKNUM];
	ret->hook = u32_of(tb[NFTA_HOOK_HOOKNUM]);
	ret->prio = (int32_t)u32_of(tb[NFTA_HOOK_PRIORITY]);
	return 0;
}

int nft_chain_parse(const struct nlmsghdr *h, struct nft_chain_said *ret)
{
	static const uint8_t forms[] = {
		[NFTA_CHAIN_TABLE] = STRING, [NFTA_CHAIN_NAME] = STRING, [NFTA_CHAIN_HOOK] = NEST,
		[NFTA_CHAIN_POLICY] = U32,   [NFTA_CHAIN_TYPE] = STRING,
	};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (message_get(h, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	*ret = (struct nft_chain_said){
		.table = str_of(tb[NFTA_CHAIN_TABLE]),
		.name = str_of(tb[NFTA_CHAIN_NAME]),
		.type = str_of(tb[NFTA_CHAIN_TYPE]),
		.family = ((const struct nfgenmsg *)mnl_nlmsg_get_payload(h))->nfgen_family,
		.policy = u32_of(tb[NFTA_CHAIN_POLICY]),
	};
	return tb[NFTA_CHAIN_HOOK] ? hook_parse(tb[NFTA_CHAIN_HOOK], ret) : 0;
}

/* ---- rules ---- */

int nft_rule_parse(const struct nlmsghdr *h, struct nft_rule_said *ret)
{
	static const uint8_t forms[] = {
		[NFTA_RULE_TABLE] = STRING,
		[NFTA_RULE_CHAIN] = STRING,
		[NFTA_RULE_EXPRESSIONS] = NEST,
	};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (message_get(h, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	*ret = (struct nft_rule_said){
		.table = str_of(tb[NFTA_RULE_TABLE]),
		.chain = str_of(tb[NFTA_RULE_CHAIN]),
		.exprs = tb[NFTA_RULE_EXPRESSIONS],
	};
	return 0;
}

#define EXPR_ATTRS 16
#define BIT(type)  (1u << (type))

/* What our rules are made of. The attributes named here say what an expression does; kernels add
 * others that follow from them. */
static const struct expr_def {
	const char *name;
	uint32_t values;  /* compared as bytes */
	uint32_t strings; /* up to their NUL, which libnftnl leaves out of some */
	uint32_t data;	  /* NFTA_DATA_VALUE or NFTA_DATA_VERDICT */
} exprs[] = {
	{"meta", BIT(NFTA_META_DREG) | BIT(NFTA_META_KEY) | BIT(NFTA_META_SREG), 0, 0},
	{"ct", BIT(NFTA_CT_DREG) | BIT(NFTA_CT_KEY) | BIT(NFTA_CT_DIRECTION) | BIT(NFTA_CT_SREG), 0,
	 0},
	{"cmp", BIT(NFTA_CMP_SREG) | BIT(NFTA_CMP_OP), 0, BIT(NFTA_CMP_DATA)},
	{"bitwise",
	 BIT(NFTA_BITWISE_SREG) | BIT(NFTA_BITWISE_DREG) | BIT(NFTA_BITWISE_LEN) |
		 BIT(NFTA_BITWISE_OP),
	 0, BIT(NFTA_BITWISE_MASK) | BIT(NFTA_BITWISE_XOR) | BIT(NFTA_BITWISE_DATA)},
	{"payload",
	 BIT(NFTA_PAYLOAD_DREG) | BIT(NFTA_PAYLOAD_BASE) | BIT(NFTA_PAYLOAD_OFFSET) |
		 BIT(NFTA_PAYLOAD_LEN) | BIT(NFTA_PAYLOAD_SREG) | BIT(NFTA_PAYLOAD_CSUM_TYPE) |
		 BIT(NFTA_PAYLOAD_CSUM_OFFSET) | BIT(NFTA_PAYLOAD_CSUM_FLAGS),
	 0, 0},
	{"lookup", BIT(NFTA_LOOKUP_SREG) | BIT(NFTA_LOOKUP_DREG) | BIT(NFTA_LOOKUP_FLAGS),
	 BIT(NFTA_LOOKUP_SET), 0},
	{"immediate", BIT(NFTA_IMMEDIATE_DREG), 0, BIT(NFTA_IMMEDIATE_DATA)},
	{"range", BIT(NFTA_RANGE_SREG) | BIT(NFTA_RANGE_OP), 0,
	 BIT(NFTA_RANGE_FROM_DATA) | BIT(NFTA_RANGE_TO_DATA)},
	{"nat",
	 BIT(NFTA_NAT_TYPE) | BIT(NFTA_NAT_FAMILY) | BIT(NFTA_NAT_REG_ADDR_MIN) |
		 BIT(NFTA_NAT_REG_ADDR_MAX) | BIT(NFTA_NAT_REG_PROTO_MIN) |
		 BIT(NFTA_NAT_REG_PROTO_MAX) | BIT(NFTA_NAT_FLAGS),
	 0, 0},
	{"fib", BIT(NFTA_FIB_DREG) | BIT(NFTA_FIB_RESULT) | BIT(NFTA_FIB_FLAGS), 0, 0},
	{"limit",
	 BIT(NFTA_LIMIT_RATE) | BIT(NFTA_LIMIT_UNIT) | BIT(NFTA_LIMIT_BURST) |
		 BIT(NFTA_LIMIT_TYPE) | BIT(NFTA_LIMIT_FLAGS),
	 0, 0},
	{"objref", BIT(NFTA_OBJREF_IMM_TYPE) | BIT(NFTA_OBJREF_SET_SREG),
	 BIT(NFTA_OBJREF_IMM_NAME) | BIT(NFTA_OBJREF_SET_NAME), 0},
	{"reject", BIT(NFTA_REJECT_TYPE) | BIT(NFTA_REJECT_ICMP_CODE), 0, 0},
	{"notrack", 0, 0, 0},
};

static const struct expr_def *expr_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(exprs); i++)
		if (strcmp(exprs[i].name, name) == 0)
			return &exprs[i];
	return NULL;
}

static void add_part(struct nft_entry *entry, uint16_t what, const void *bytes, size_t len)
{
	const uint16_t head[] = {what, (uint16_t)len};

	nft_entry_add(entry, head, sizeof(head));
	nft_entry_add(entry, bytes, len);
}

static void add_attr(struct nft_entry *entry, const struct nlattr *a, bool string)
{
	const void *bytes = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	add_part(entry, mnl_attr_get_type(a), bytes, string ? strnlen(bytes, len) : len);
}

static int verdict_get(const struct nlattr *nest, const struct nlattr **ret)
{
	static const uint8_t forms[] = {[NFTA_VERDICT_CODE] = U32, [NFTA_VERDICT_CHAIN] = STRING};

	return nest_get(nest, forms, ARRAY_SIZE(forms), ret);
}

static int data_get(const struct nlattr *nest, const struct nlattr **ret)
{
	static const uint8_t forms[] = {[NFTA_DATA_VALUE] = ANY, [NFTA_DATA_VERDICT] = NEST};

	return nest_get(nest, forms, ARRAY_SIZE(forms), ret);
}

static int add_data(struct nft_entry *entry, const struct nlattr *nest)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_CHAIN + 1];

	add_part(entry, mnl_attr_get_type(nest), NULL, 0);
	if (data_get(nest, tb) < 0)
		return -1;
	if (tb[NFTA_DATA_VALUE])
		add_attr(entry, tb[NFTA_DATA_VALUE], false);
	if (!tb[NFTA_DATA_VERDICT])
		return 0;
	if (verdict_get(tb[NFTA_DATA_VERDICT], verdict) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(verdict); i++)
		if (verdict[i])
			add_attr(entry, verdict[i], false);
	return 0;
}

static int add_expr(struct nft_entry *entry, const struct expr_def *def, const struct nlattr *nest)
{
	const struct nlattr *tb[EXPR_ATTRS];
	uint8_t forms[EXPR_ATTRS];

	for (unsigned int i = 0; i < EXPR_ATTRS; i++)
		forms[i] = def->data & BIT(i)			   ? NEST
			   : (def->values | def->strings) & BIT(i) ? ANY
								   : NOT_READ;
	if (nest_get(nest, forms, EXPR_ATTRS, tb) < 0)
		return -1;
	for (unsigned int i = 0; i < EXPR_ATTRS; i++) {
		if (tb[i] && forms[i] == ANY)
			add_attr(entry, tb[i], def->strings & BIT(i));
		else if (tb[i] && add_data(entry, tb[i]) < 0)
			return -1;
	}
	return 0;
}

int nft_entry_add_exprs(struct nft_entry *entry, const struct nlattr *list)
{
	static const uint8_t forms[] = {[NFTA_EXPR_NAME] = STRING, [NFTA_EXPR_DATA] = NEST};
	const struct nlattr *a, *tb[ARRAY_SIZE(forms)];

	add_part(entry, 'r', NULL, 0);
	if (!list)
		return 0;
	mnl_attr_for_each_nested(a, list)
	{
		const char *name;
		const struct expr_def *def;

		if (nest_get(a, forms, ARRAY_SIZE(forms), tb) < 0)
			return -1;
		name = str_of(tb[NFTA_EXPR_NAME]);
		def = name ? expr_find(name) : NULL;
		if (!def) {
			add_part(entry, '?', NULL, 0);
			continue;
		}
		add_part(entry, 'e', name, strlen(name));
		if (tb[NFTA_EXPR_DATA] && add_expr(entry, def, tb[NFTA_EXPR_DATA]) < 0)
			return -1;
	}
	return 0;
}

/* ---- sets ---- */

static int size_parse(const struct nlattr *nest, uint32_t *ret)
{
	static const uint8_t forms[] = {[NFTA_SET_DESC_SIZE] = U32};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (nest_get(nest, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	*ret = u32_of(tb[NFTA_SET_DESC_SIZE]);
	return 0;
}

int nft_set_parse(const struct nlmsghdr *h, struct nft_set_said *ret)
{
	static const uint8_t forms[] = {
		[NFTA_SET_TABLE] = STRING,    [NFTA_SET_NAME] = STRING,	  [NFTA_SET_FLAGS] = U32,
		[NFTA_SET_KEY_LEN] = U32,     [NFTA_SET_DATA_TYPE] = U32, [NFTA_SET_DESC] = NEST,
		[NFTA_SET_TIMEOUT] = ANY,     [NFTA_SET_OBJ_TYPE] = U32,  [NFTA_SET_EXPR] = ANY,
		[NFTA_SET_EXPRESSIONS] = ANY,
	};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (message_get(h, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	*ret = (struct nft_set_said){
		.table = str_of(tb[NFTA_SET_TABLE]),
		.name = str_of(tb[NFTA_SET_NAME]),
		.flags = u32_of(tb[NFTA_SET_FLAGS]),
		.key_len = u32_of(tb[NFTA_SET_KEY_LEN]),
		.data_type = u32_of(tb[NFTA_SET_DATA_TYPE]),
		.obj_type = u32_of(tb[NFTA_SET_OBJ_TYPE]),
		.timeout = tb[NFTA_SET_TIMEOUT],
		.expr = tb[NFTA_SET_EXPR] || tb[NFTA_SET_EXPRESSIONS],
	};
	return tb[NFTA_SET_DESC] ? size_parse(tb[NFTA_SET_DESC], &ret->size) : 0;
}

static void copy_bytes(uint8_t *to, size_t room, const struct nlattr *a, uint8_t *odd)
{
	size_t len = a ? mnl_attr_get_payload_len(a) : 0;

	if (len > room || !len)
		*odd = 1;
	else
		memcpy(to, mnl_attr_get_payload(a), len);
}

static void copy_name(struct nft_elem *e, const char *name)
{
	if (!name || strlen(name) >= sizeof(e->name))
		e->odd = 1;
	else
		memcpy(e->name, name, strlen(name));
}

static int key_parse(struct nft_elem *e, const struct nlattr *nest)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1];

	if (data_get(nest, tb) < 0)
		return -1;
	copy_bytes(e->key, sizeof(e->key), tb[NFTA_DATA_VALUE], &e->odd);
	return 0;
}

static int data_parse(struct nft_elem *e, const struct nlattr *nest)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_CHAIN + 1];

	if (data_get(nest, tb) < 0)
		return -1;
	if (!tb[NFTA_DATA_VERDICT]) {
		copy_bytes(e->data, sizeof(e->data), tb[NFTA_DATA_VALUE], &e->odd);
		return 0;
	}
	if (verdict_get(tb[NFTA_DATA_VERDICT], verdict) < 0)
		return -1;
	e->verdict = (int32_t)u32_of(verdict[NFTA_VERDICT_CODE]);
	copy_name(e, str_of(verdict[NFTA_VERDICT_CHAIN]));
	return 0;
}

static int elem_parse(struct nft_elem *e, const struct nlattr *nest)
{
	static const uint8_t forms[] = {
		[NFTA_SET_ELEM_KEY] = NEST,    [NFTA_SET_ELEM_DATA] = NEST,
		[NFTA_SET_ELEM_FLAGS] = U32,   [NFTA_SET_ELEM_TIMEOUT] = ANY,
		[NFTA_SET_ELEM_EXPR] = ANY,    [NFTA_SET_ELEM_OBJREF] = STRING,
		[NFTA_SET_ELEM_KEY_END] = ANY, [NFTA_SET_ELEM_EXPRESSIONS] = ANY,
	};
	const struct nlattr *tb[ARRAY_SIZE(forms)];
	uint32_t flags;

	if (nest_get(nest, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	flags = u32_of(tb[NFTA_SET_ELEM_FLAGS]);
	if (flags & NFT_SET_ELEM_INTERVAL_END)
		e->kind = NFT_ELEM_LONE_END;
	if (flags & NFT_SET_ELEM_CATCHALL)
		e->kind = NFT_ELEM_CATCHALL;
	e->odd = tb[NFTA_SET_ELEM_TIMEOUT] || tb[NFTA_SET_ELEM_EXPR] ||
		 tb[NFTA_SET_ELEM_EXPRESSIONS] || tb[NFTA_SET_ELEM_KEY_END];
	if (tb[NFTA_SET_ELEM_KEY] && key_parse(e, tb[NFTA_SET_ELEM_KEY]) < 0)
		return -1;
	if (tb[NFTA_SET_ELEM_DATA])
		return data_parse(e, tb[NFTA_SET_ELEM_DATA]);
	if (tb[NFTA_SET_ELEM_OBJREF])
		copy_name(e, str_of(tb[NFTA_SET_ELEM_OBJREF]));
	return 0;
}

int nft_elems_parse(struct nft_elems *l, const struct nlmsghdr *h)
{
	static const uint8_t forms[] = {[NFTA_SET_ELEM_LIST_ELEMENTS] = NEST};
	const struct nlattr *a, *tb[ARRAY_SIZE(forms)];

	if (message_get(h, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	if (!tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	mnl_attr_for_each_nested(a, tb[NFTA_SET_ELEM_LIST_ELEMENTS])
	{
		if (elem_parse(nft_elems_grow(l), a) < 0)
			return -1;
	}
	return 0;
}

/* ---- objects ---- */

static int count_parse(const struct nlattr *nest, struct nft_count *ret)
{
	static const uint8_t forms[] = {[NFTA_COUNTER_BYTES] = U64, [NFTA_COUNTER_PACKETS] = U64};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (nest_get(nest, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	ret->packets = u64_of(tb[NFTA_COUNTER_PACKETS]);
	ret->bytes = u64_of(tb[NFTA_COUNTER_BYTES]);
	return 0;
}

int nft_obj_parse(const struct nlmsghdr *h, struct nft_obj_said *ret)
{
	static const uint8_t forms[] = {
		[NFTA_OBJ_TABLE] = STRING,
		[NFTA_OBJ_NAME] = STRING,
		[NFTA_OBJ_TYPE] = U32,
		[NFTA_OBJ_DATA] = NEST,
	};
	const struct nlattr *tb[ARRAY_SIZE(forms)];

	if (message_get(h, forms, ARRAY_SIZE(forms), tb) < 0)
		return -1;
	*ret = (struct nft_obj_said){
		.table = str_of(tb[NFTA_OBJ_TABLE]),
		.name = str_of(tb[NFTA_OBJ_NAME]),
		.type = u32_of(tb[NFTA_OBJ_TYPE]),
	};
	if (ret->type != NFT_OBJECT_COUNTER || !tb[NFTA_OBJ_DATA])
		return 0;
	return count_parse(tb[NFTA_OBJ_DATA], &ret->count);
}
