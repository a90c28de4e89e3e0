/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a kernel that says more than we know, or says it badly. Needs no kernel. */
#include "kernel/nft_parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LATER 17 /* an attribute of a kernel to come: libnftnl wrote it behind its table */

struct message {
	_Alignas(struct nlmsghdr) char buf[2048];
	struct nlmsghdr *h;
};

static struct nlmsghdr *message(struct message *m)
{
	memset(m->buf, 0, sizeof(m->buf));
	m->h = mnl_nlmsg_put_header(m->buf);
	mnl_nlmsg_put_extra_header(m->h, sizeof(struct nfgenmsg));
	return m->h;
}

static void put_value(struct nlmsghdr *h, uint16_t type, const void *bytes, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, len, bytes);
	mnl_attr_nest_end(h, nest);
}

static void put_verdict(struct nlmsghdr *h, uint16_t type, int code, const char *chain)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);

	mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)code));
	if (chain)
		mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_nest_end(h, nest);
}

/* An answer with one element, in which put(h) puts its attributes. */
static int element(void (*put)(struct nlmsghdr *h), struct nft_elem *ret)
{
	struct nft_elems l = {0};
	struct message m;
	struct nlattr *list, *one;
	int r;

	message(&m);
	mnl_attr_put_strz(m.h, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	list = mnl_attr_nest_start(m.h, NFTA_SET_ELEM_LIST_ELEMENTS);
	one = mnl_attr_nest_start(m.h, NFTA_LIST_ELEM);
	put(m.h);
	mnl_attr_nest_end(m.h, one);
	mnl_attr_nest_end(m.h, list);
	errno = 0;
	r = nft_elems_parse(&l, m.h);
	if (r == 0) {
		assert_int_equal(l.n, 1);
		*ret = l.v[0];
	}
	free(l.v);
	return r;
}

static const uint8_t key4[] = {192, 0, 2, 1};

static void put_plain(struct nlmsghdr *h)
{
	put_value(h, NFTA_SET_ELEM_KEY, key4, sizeof(key4));
}

static void put_later(struct nlmsghdr *h)
{
	put_plain(h);
	mnl_attr_put(h, LATER, 8, "whatever");
	mnl_attr_put(h, LATER + 1000, 8, "whatever");
}

static void an_attribute_of_a_newer_kernel_changes_no_element(void **state)
{
	struct nft_elem plain, later;

	assert_int_equal(element(put_plain, &plain), 0);
	assert_memory_equal(plain.key, key4, sizeof(key4));
	assert_int_equal(plain.odd, 0);
	assert_int_equal(element(put_later, &later), 0);
	assert_memory_equal(&plain, &later, sizeof(plain));
}

static void put_timeout(struct nlmsghdr *h)
{
	put_plain(h);
	mnl_attr_put_u64(h, NFTA_SET_ELEM_TIMEOUT, 1);
}

static void put_long_key(struct nlmsghdr *h)
{
	put_value(h, NFTA_SET_ELEM_KEY, "one byte longer than any key that a set has .", 45);
}

static void put_empty_key(struct nlmsghdr *h)
{
	put_value(h, NFTA_SET_ELEM_KEY, NULL, 0);
}

static void put_jump_nowhere(struct nlmsghdr *h)
{
	put_plain(h);
	put_verdict(h, NFTA_SET_ELEM_DATA, NFT_JUMP, NULL);
}

static void put_long_name(struct nlmsghdr *h)
{
	put_plain(h);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_OBJREF, "a counter with a very long name");
}

static void an_element_that_is_none_of_ours_is_odd(void **state)
{
	void (*const puts[])(struct nlmsghdr *) = {put_timeout, put_long_key, put_empty_key,
						   put_jump_nowhere, put_long_name};

	for (size_t i = 0; i < ARRAY_SIZE(puts); i++) {
		struct nft_elem e;

		assert_int_equal(element(puts[i], &e), 0);
		assert_int_equal(e.odd, 1);
	}
}

static void put_short_flags(struct nlmsghdr *h)
{
	mnl_attr_put_u16(h, NFTA_SET_ELEM_FLAGS, 1);
}

static void put_open_name(struct nlmsghdr *h)
{
	mnl_attr_put_str(h, NFTA_SET_ELEM_OBJREF, "r1"); /* no NUL */
}

static void put_short_verdict(struct nlmsghdr *h)
{
	struct nlattr *nest = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);

	mnl_attr_put_u8(h, NFTA_VERDICT_CODE, 1);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_nest_end(h, nest);
}

static void an_attribute_of_a_wrong_length_is_a_bad_message(void **state)
{
	void (*const puts[])(struct nlmsghdr *) = {put_short_flags, put_open_name,
						   put_short_verdict};

	for (size_t i = 0; i < ARRAY_SIZE(puts); i++) {
		struct nft_elem e;

		assert_int_equal(element(puts[i], &e), -1);
		assert_int_equal(errno, EBADMSG);
	}
}

/* What an entry has of a rule with one expression. */
static struct nft_entry rule_with(const char *name, void (*put)(struct nlmsghdr *h), int *ret)
{
	struct nft_entry entry = {0};
	struct nft_rule_said said;
	struct nlattr *list, *one, *data;
	struct message m;

	message(&m);
	list = mnl_attr_nest_start(m.h, NFTA_RULE_EXPRESSIONS);
	one = mnl_attr_nest_start(m.h, NFTA_LIST_ELEM);
	if (name)
		mnl_attr_put_strz(m.h, NFTA_EXPR_NAME, name);
	data = mnl_attr_nest_start(m.h, NFTA_EXPR_DATA);
	if (put)
		put(m.h);
	mnl_attr_nest_end(m.h, data);
	mnl_attr_nest_end(m.h, one);
	mnl_attr_nest_end(m.h, list);
	assert_int_equal(nft_rule_parse(m.h, &said), 0);
	*ret = nft_entry_add_exprs(&entry, said.exprs);
	return entry;
}

static bool same_rule(const char *a, void (*put_a)(struct nlmsghdr *), const char *b,
		      void (*put_b)(struct nlmsghdr *))
{
	int ra, rb;
	struct nft_entry x = rule_with(a, put_a, &ra), y = rule_with(b, put_b, &rb);
	bool same = x.len == y.len && memcmp(x.bytes, y.bytes, x.len) == 0;

	assert_int_equal(ra, 0);
	assert_int_equal(rb, 0);
	free(x.bytes);
	free(y.bytes);
	return same;
}

static void put_meta(struct nlmsghdr *h)
{
	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(NFT_META_MARK));
	mnl_attr_put_u32(h, NFTA_META_DREG, htonl(NFT_REG_1));
}

static void put_meta_later(struct nlmsghdr *h)
{
	mnl_attr_put_u32(h, NFTA_META_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(h, 99, 0);
	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(NFT_META_MARK));
}

static void put_meta_other(struct nlmsghdr *h)
{
	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(NFT_META_PRIORITY));
	mnl_attr_put_u32(h, NFTA_META_DREG, htonl(NFT_REG_1));
}

static void put_meta_less(struct nlmsghdr *h)
{
	mnl_attr_put_u32(h, NFTA_META_KEY, htonl(NFT_META_MARK));
}

static void put_name_open(struct nlmsghdr *h)
{
	mnl_attr_put_str(h, NFTA_OBJREF_IMM_NAME, "r1");
}

static void put_name(struct nlmsghdr *h)
{
	mnl_attr_put_strz(h, NFTA_OBJREF_IMM_NAME, "r1");
}

static void expressions_are_compared_by_what_they_do(void **state)
{
	assert_true(same_rule("meta", put_meta, "meta", put_meta_later));
	assert_true(same_rule("objref", put_name_open, "objref", put_name));
	assert_true(same_rule("notrack", NULL, "notrack", put_meta));
	assert_false(same_rule("meta", put_meta, "meta", put_meta_other));
	assert_false(same_rule("meta", put_meta, "meta", put_meta_less));
	assert_false(same_rule("meta", put_meta, "payload", put_meta));
}

static void an_expression_that_is_none_of_ours_is_no_error(void **state)
{
	assert_false(same_rule("osf", put_meta, "meta", put_meta));
	assert_false(same_rule(NULL, put_meta, "meta", put_meta));
	assert_false(same_rule(NULL, NULL, "notrack", NULL));
}

static void put_jump(struct nlmsghdr *h)
{
	put_verdict(h, NFTA_IMMEDIATE_DATA, NFT_JUMP, "own");
}

static void put_jump_elsewhere(struct nlmsghdr *h)
{
	put_verdict(h, NFTA_IMMEDIATE_DATA, NFT_JUMP, "owned");
}

static void put_jump_without(struct nlmsghdr *h)
{
	put_verdict(h, NFTA_IMMEDIATE_DATA, NFT_JUMP, NULL);
}

static void a_jump_is_where_it_goes(void **state)
{
	assert_true(same_rule("immediate", put_jump, "immediate", put_jump));
	assert_false(same_rule("immediate", put_jump, "immediate", put_jump_elsewhere));
	assert_false(same_rule("immediate", put_jump, "immediate", put_jump_without));
}

static void put_broken_data(struct nlmsghdr *h)
{
	mnl_attr_put_u16(h, NFTA_CMP_DATA, 7); /* no nest */
}

static void a_broken_expression_is_a_bad_message(void **state)
{
	int r;
	struct nft_entry x = rule_with("cmp", put_broken_data, &r);

	free(x.bytes);
	assert_int_equal(r, -1);
	assert_int_equal(errno, EBADMSG);
}

/* libnftnl had room for 16 of them, and did not count. */
static void a_set_of_any_number_of_fields_is_read(void **state)
{
	struct nft_set_said said;
	struct nlattr *desc, *concat, *one;
	struct message m;

	message(&m);
	mnl_attr_put_strz(m.h, NFTA_SET_TABLE, NFT_TABLE);
	mnl_attr_put_strz(m.h, NFTA_SET_NAME, "owned4");
	desc = mnl_attr_nest_start(m.h, NFTA_SET_DESC);
	mnl_attr_put_u32(m.h, NFTA_SET_DESC_SIZE, htonl(7));
	concat = mnl_attr_nest_start(m.h, NFTA_SET_DESC_CONCAT);
	for (int i = 0; i < 64; i++) {
		one = mnl_attr_nest_start(m.h, NFTA_LIST_ELEM);
		mnl_attr_put_u32(m.h, NFTA_SET_FIELD_LEN, htonl(4));
		mnl_attr_nest_end(m.h, one);
	}
	mnl_attr_nest_end(m.h, concat);
	mnl_attr_nest_end(m.h, desc);
	assert_int_equal(nft_set_parse(m.h, &said), 0);
	assert_string_equal(said.name, "owned4");
	assert_int_equal(said.size, 7);
	assert_false(said.timeout || said.expr);
}

static void names_that_were_not_said_are_null(void **state)
{
	struct nft_chain_said chain;
	struct nft_rule_said rule;
	struct nft_table_said table;
	struct nft_set_said set;
	struct nft_obj_said obj;
	struct message m;

	message(&m);
	assert_int_equal(nft_table_parse(m.h, &table) | nft_chain_parse(m.h, &chain) |
				 nft_rule_parse(m.h, &rule) | nft_set_parse(m.h, &set) |
				 nft_obj_parse(m.h, &obj),
			 0);
	assert_null(table.name);
	assert_null(chain.table);
	assert_false(chain.hooked);
	assert_null(rule.exprs);
	assert_null(set.name);
	assert_null(obj.name);
}

static void a_message_without_its_header_is_a_bad_message(void **state)
{
	struct nft_chain_said chain;
	struct nft_elems l = {0};
	struct message m;

	message(&m)->nlmsg_len = NLMSG_HDRLEN + 2;
	assert_int_equal(nft_chain_parse(m.h, &chain), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(nft_elems_parse(&l, m.h), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attribute_of_a_newer_kernel_changes_no_element),
		cmocka_unit_test(an_element_that_is_none_of_ours_is_odd),
		cmocka_unit_test(an_attribute_of_a_wrong_length_is_a_bad_message),
		cmocka_unit_test(expressions_are_compared_by_what_they_do),
		cmocka_unit_test(an_expression_that_is_none_of_ours_is_no_error),
		cmocka_unit_test(a_jump_is_where_it_goes),
		cmocka_unit_test(a_broken_expression_is_a_bad_message),
		cmocka_unit_test(a_set_of_any_number_of_fields_is_read),
		cmocka_unit_test(names_that_were_not_said_are_null),
		cmocka_unit_test(a_message_without_its_header_is_a_bad_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
