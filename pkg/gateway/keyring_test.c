/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/members.h"

#define OLD_KEY	  "the key of last year"
#define NEW_KEY	  "the key of this year"
#define OTHER_KEY "the key of nobody at all"

static struct keyring ring_of(const char *text)
{
	struct keyring r;
	struct err e = {0};

	if (keyring_parse(text, strlen(text), &r, &e) < 0)
		fail_msg("%s", e.msg);
	return r;
}

static void expect_refused(const char *text, size_t len, const char *why)
{
	struct keyring r;
	struct err e = {0};

	assert_int_equal(keyring_parse(text, len, &r, &e), -EINVAL);
	if (!strstr(e.msg, why))
		fail_msg("'%s' does not say '%s'", e.msg, why);
}

/* ---- the file ---- */

static void each_line_is_a_key(void **state)
{
	struct keyring one = ring_of(NEW_KEY), two = ring_of(NEW_KEY "\r\n\n" OLD_KEY " \n\n");

	assert_int_equal(one.n, 1);
	assert_int_equal(two.n, 2);
	assert_int_equal(two.keys[0].id, one.keys[0].id);
	assert_int_equal(two.keys[1].key.len, strlen(OLD_KEY));
	assert_memory_equal(two.keys[1].key.bytes, OLD_KEY, strlen(OLD_KEY));
	two = ring_of(NEW_KEY "\n" NEW_KEY "\n");
	assert_int_equal(two.n, 1);
}

static void a_file_that_is_no_text_is_one_key(void **state)
{
	static const char bytes[32] = "\1234\n678\377\n0123456789";
	struct keyring r;

	assert_int_equal(keyring_parse(bytes, 20, &r, NULL), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.keys[0].key.len, 20);
	assert_memory_equal(r.keys[0].key.bytes, bytes, 20);
	expect_refused(bytes, 10, "expected a key of 16 to 256 bytes, found 10");
}

static void a_bad_file_is_refused_with_its_line_and_without_its_words(void **state)
{
	__cleanup_free char *lines = mem_strdup("");
	struct err e = {0};
	struct keyring r;

	expect_refused("", 0, "no key in it");
	expect_refused(" \n\n", 3, "no key in it");
	expect_refused("short\n", 6, "line 1: expected a key of 16 to 256 bytes, found 5");
	expect_refused(NEW_KEY "\nsecret", sizeof(NEW_KEY "\nsecret") - 1, "line 2");
	for (int i = 0; i <= KEYRING_MAX; i++) {
		char *more = mem_printf("%s%d: a key of some length\n", lines, i);

		free(lines);
		lines = more;
	}
	expect_refused(lines, strlen(lines), "line 5: more than 4 keys");
	assert_true(keyring_load("/nonexistent/key", &r, &e) < 0);
	assert_non_null(strstr(e.msg, "/nonexistent/key"));
}

static void what_is_in_a_file_is_read(void **state)
{
	char path[] = "/tmp/keyring_test.XXXXXX";
	int fd = mkstemp(path);
	struct keyring r;

	assert_int_equal(write(fd, NEW_KEY "\n", sizeof(NEW_KEY)), sizeof(NEW_KEY));
	close(fd);
	assert_int_equal(keyring_load(path, &r, NULL), 0);
	assert_int_equal(r.n, 1);
	unlink(path);
}

/* ---- over time ---- */

static void a_key_that_left_the_file_is_good_for_a_while(void **state)
{
	struct keyring r = ring_of(OLD_KEY), old = r, new = ring_of(NEW_KEY);

	assert_false(keyring_turn(&r, &old, 1000));
	assert_int_equal(keyring_due(&r), INT64_MAX);
	assert_true(keyring_turn(&r, &new, 1000));
	assert_false(keyring_turn(&r, &new, 2000));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.keys[0].id, new.keys[0].id);
	assert_int_equal(keyring_due(&r), 1000 + KEYRING_GRACE_MS);
	keyring_expire(&r, 999 + KEYRING_GRACE_MS);
	assert_non_null(keyring_find(&r, old.keys[0].id));
	keyring_expire(&r, 1000 + KEYRING_GRACE_MS);
	assert_null(keyring_find(&r, old.keys[0].id));
	assert_int_equal(r.n, 1);
}

static void a_key_that_is_back_in_the_file_stays(void **state)
{
	struct keyring r = ring_of(OLD_KEY), old = r, new = ring_of(NEW_KEY);

	keyring_turn(&r, &new, 0);
	assert_true(keyring_turn(&r, &old, 5));
	assert_int_equal(r.keys[0].id, old.keys[0].id);
	keyring_expire(&r, 5 + KEYRING_GRACE_MS);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.keys[0].id, old.keys[0].id);
}

static void however_often_it_is_changed_the_room_is_enough(void **state)
{
	struct keyring r = ring_of(OLD_KEY);

	for (int i = 0; i < 100; i++) {
		char text[400];
		struct keyring next;

		snprintf(text, sizeof(text), "first key %020d\nsecond key %020d\nthird key %020d\n",
			 i, i, i);
		next = ring_of(text);
		keyring_turn(&r, &next, i);
		assert_true(r.n <= 2 * KEYRING_MAX);
		assert_int_equal(r.keys[0].id, next.keys[0].id);
	}
	assert_int_equal(r.n, 2 * KEYRING_MAX);
	keyring_expire(&r, 100 + KEYRING_GRACE_MS);
	assert_int_equal(r.n, 3);
}

/* ---- three gateways, over the wire ---- */

#define NODES 3
#define STEP  10

static const struct member_conf list[NODES] = {
	{"a", 100, 500, 3}, {"b", 100, 500, 3}, {"c", 100, 500, 3}};

struct node {
	struct members *m;
	struct keyring ring;
};

struct world {
	struct node nodes[NODES];
	int64_t now;
	size_t sent; /* packets in the last second */
};

static size_t peer_index(size_t self, size_t peer)
{
	return peer < self ? peer : peer + 1;
}

static void deliver(struct world *w, size_t to, const uint8_t buf[HEARTBEAT_LEN])
{
	struct node *n = &w->nodes[to];
	struct heartbeat h;

	w->sent++;
	if (keyring_heartbeat(&n->ring, buf, HEARTBEAT_LEN, &h) == 0)
		members_receive(n->m, &h, w->now);
}

static void node_run(struct world *w, size_t self)
{
	struct node *n = &w->nodes[self];
	struct heartbeat h;
	size_t peer;

	members_tick(n->m, w->now);
	keyring_expire(&n->ring, w->now);
	while (members_send(n->m, w->now, &peer, &h)) {
		uint8_t buf[HEARTBEAT_LEN];

		for (size_t i = 0; i < keyring_tells(&n->ring, h.key); i++) {
			heartbeat_emit(&h, &n->ring.keys[i].key, buf);
			deliver(w, peer_index(self, peer), buf);
		}
	}
}

static bool all_hear_all(const struct world *w)
{
	for (size_t i = 0; i < NODES; i++)
		for (size_t k = 0; k < NODES - 1; k++) {
			struct member_view v;

			members_get(w->nodes[i].m, k, &v);
			if (!v.heard || v.state != HEARTBEAT_LIVE)
				return false;
		}
	return true;
}

static void run(struct world *w, int64_t ms, bool all)
{
	for (int64_t end = w->now + ms; w->now < end; w->now += STEP) {
		if (w->now % 1000 == 0)
			w->sent = 0;
		for (size_t i = 0; i < NODES; i++)
			node_run(w, i);
		if (all && !all_hear_all(w))
			fail_msg("somebody is lost at %lld ms", (long long)w->now);
	}
}

static void world_start(struct world *w, const char *text)
{
	const struct members_self self = {0};

	w->now = 1000;
	for (size_t i = 0; i < NODES; i++) {
		w->nodes[i] = (struct node){members_new(1, &self, w->now), ring_of(text)};
		members_configure(w->nodes[i].m, list[i].name, list, NODES, w->now);
	}
	run(w, 3000, false);
	assert_true(all_hear_all(w));
}

static void world_end(struct world *w)
{
	for (size_t i = 0; i < NODES; i++)
		members_free(w->nodes[i].m);
}

/* Each node's file in its turn, `gap` after the one before. */
static void replace_all(struct world *w, const char *text, int64_t gap)
{
	const struct keyring file = ring_of(text);

	for (size_t i = 0; i < NODES; i++) {
		assert_true(keyring_turn(&w->nodes[i].ring, &file, w->now));
		run(w, gap, true);
	}
}

static void expect_one_packet_each(struct world *w)
{
	run(w, 5000 - w->now % 1000 - STEP, true);
	assert_in_range(w->sent, 1, NODES * (NODES - 1) * 10);
}

static void keys_are_replaced_on_one_node_after_another_and_nobody_is_lost(void **state)
{
	static const int64_t gaps[] = {0, STEP, 50, 90, 300, 1000, 60000};

	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		struct world w;
		const struct keyring old = ring_of(OLD_KEY);

		world_start(&w, OLD_KEY);
		replace_all(&w, NEW_KEY, gaps[i]);
		expect_one_packet_each(&w);
		run(&w, KEYRING_GRACE_MS + 1000, true);
		for (size_t k = 0; k < NODES; k++)
			assert_null(keyring_find(&w.nodes[k].ring, old.keys[0].id));
		replace_all(&w, OLD_KEY, gaps[i]);
		world_end(&w);
	}
}

/* As an operator does it who has more time than the grace: add, turn round, remove. */
static void by_three_steps_it_may_take_as_long_as_it_likes(void **state)
{
	const int64_t gap = KEYRING_GRACE_MS + 5000;
	struct world w;

	world_start(&w, OLD_KEY);
	replace_all(&w, OLD_KEY "\n" NEW_KEY, gap);
	replace_all(&w, NEW_KEY "\n" OLD_KEY, gap);
	replace_all(&w, NEW_KEY, gap);
	expect_one_packet_each(&w);
	world_end(&w);
}

static void who_has_none_of_the_keys_is_not_heard(void **state)
{
	const struct keyring other = ring_of(OTHER_KEY);
	struct heartbeat h = {.state = HEARTBEAT_LIVE};
	uint8_t buf[HEARTBEAT_LEN];
	struct world w;

	world_start(&w, NEW_KEY "\n" OLD_KEY);
	heartbeat_emit(&h, &other.keys[0].key, buf);
	assert_int_equal(keyring_heartbeat(&w.nodes[0].ring, buf, sizeof(buf), &h), -EKEYREJECTED);
	assert_int_equal(keyring_heartbeat(&w.nodes[0].ring, buf, 5, &h), -EBADMSG);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_is_a_key),
		cmocka_unit_test(a_file_that_is_no_text_is_one_key),
		cmocka_unit_test(a_bad_file_is_refused_with_its_line_and_without_its_words),
		cmocka_unit_test(what_is_in_a_file_is_read),
		cmocka_unit_test(a_key_that_left_the_file_is_good_for_a_while),
		cmocka_unit_test(a_key_that_is_back_in_the_file_stays),
		cmocka_unit_test(however_often_it_is_changed_the_room_is_enough),
		cmocka_unit_test(keys_are_replaced_on_one_node_after_another_and_nobody_is_lost),
		cmocka_unit_test(by_three_steps_it_may_take_as_long_as_it_likes),
		cmocka_unit_test(who_has_none_of_the_keys_is_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
