/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "gateway/heartbeat.h"

static const struct heartbeat_key key = {{1, 2, 3}, 32}, other_key = {{1, 2, 4}, 32};
static const struct heartbeat one = {
	.from = 0x1122334455667788,
	.to = 2,
	.incarnation = 3,
	.seq = 4,
	.echo_incarnation = 5,
	.echo_seq = 6,
	.time_ms = 7,
	.config = 9,
	.interval_ms = 100,
	.state = HEARTBEAT_LIVE,
	.flags = HEARTBEAT_HEARD,
	.n_macs = 1,
	.macs = {{2, 0, 0, 0, 0, 1}},
};

static void what_is_sent_is_read(void **state)
{
	struct heartbeat got;
	uint8_t buf[HEARTBEAT_LEN];

	heartbeat_emit(&one, &key, buf);
	memset(&got, 0xff, sizeof(got));
	assert_int_equal(heartbeat_parse(buf, sizeof(buf), &key, &got), 0);
	assert_int_equal(got.from, one.from);
	assert_int_equal(got.echo_seq, 6);
	assert_int_equal(got.config, 9);
	assert_int_equal(got.interval_ms, 100);
	assert_int_equal(got.state, HEARTBEAT_LIVE);
	assert_memory_equal(got.macs, one.macs, sizeof(got.macs));
}

/* nodes of different versions and byte orders talk to each other: the bytes are the format */
static void the_bytes_are_the_same_for_ever(void **state)
{
	static const uint8_t head[] = {'S',  'L',  'H',	 'B',  1,    2,	   1,	 1,
				       0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
	static const uint8_t tag[] = {0x71, 0x12, 0x61, 0x3a, 0x55, 0xbb, 0xa8, 0x72,
				      0xad, 0x0d, 0x77, 0x87, 0xad, 0x7a, 0x7f, 0xdf};
	uint8_t buf[HEARTBEAT_LEN];

	heartbeat_emit(&one, &key, buf);
	assert_memory_equal(buf, head, sizeof(head));
	assert_memory_equal(buf + HEARTBEAT_LEN - sizeof(tag), tag, sizeof(tag));
}

static void a_changed_bit_anywhere_is_refused(void **state)
{
	struct heartbeat got;
	uint8_t buf[HEARTBEAT_LEN];

	heartbeat_emit(&one, &key, buf);
	for (size_t bit = 0; bit < sizeof(buf) * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(heartbeat_parse(buf, sizeof(buf), &key, &got) < 0);
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(heartbeat_parse(buf, sizeof(buf), &key, &got), 0);
}

static void another_key_and_another_length_are_refused(void **state)
{
	struct heartbeat got, odd = one;
	uint8_t buf[HEARTBEAT_LEN + 1] = {0};

	heartbeat_emit(&one, &other_key, buf);
	assert_int_equal(heartbeat_parse(buf, HEARTBEAT_LEN, &key, &got), -EKEYREJECTED);
	heartbeat_emit(&one, &key, buf);
	for (size_t len = 0; len <= sizeof(buf); len++)
		assert_int_equal(heartbeat_parse(buf, len, &key, &got),
				 len == HEARTBEAT_LEN ? 0 : -EBADMSG);
	odd.state = 0;
	heartbeat_emit(&odd, &key, buf);
	assert_int_equal(heartbeat_parse(buf, HEARTBEAT_LEN, &key, &got), -EBADMSG);
	odd = one;
	odd.n_macs = HEARTBEAT_MACS + 1;
	heartbeat_emit(&odd, &key, buf);
	assert_int_equal(heartbeat_parse(buf, HEARTBEAT_LEN, &key, &got), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_is_read),
		cmocka_unit_test(the_bytes_are_the_same_for_ever),
		cmocka_unit_test(a_changed_bit_anywhere_is_refused),
		cmocka_unit_test(another_key_and_another_length_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
