/* SPDX-License-Identifier: Apache-2.0 */
/* What conntrack(8) does to the table, as the kernel tells it. */
#include "kernel/conntrack_watch.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "testkit/netns_fixture.h"

#define OURS	 0xffe00000u
#define LIMIT_MS 30000

static struct seen {
	size_t told, gone, listed;
	struct ct_flow last;
} seen;

static void on_news(void *data, const struct ct_flow *f, bool gone)
{
	seen.told += !gone;
	seen.gone += gone;
	seen.last = *f;
}

static void on_listed(void *data, const struct ct_flow *f)
{
	seen.listed++;
	assert_true(f->assured);
}

static const struct ct_watch_ops ops = {on_news, on_listed};

static struct ct_watch *watch_new(void)
{
	struct ct_watch *w = NULL;
	struct err e = {0};

	netns_fresh();
	if (sh_status("conntrack -L >/dev/null 2>&1") != 0) {
		print_message("skipped: no conntrack tool, or no conntrack in this kernel\n");
		skip();
	}
	seen = (struct seen){0};
	expect_ok(ct_watch_new(OURS, &ops, NULL, &w, &e), &e);
	return w;
}

static void begin(int port, const char *mark, const char *status)
{
	sh("conntrack -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport %d --dport 53 -t 60"
	   " --orig-zone 17 --src-nat 203.0.113.9:%d -u %s -m %s",
	   port, 4000 + port, status, mark);
}

static void waits_for(struct ct_watch *w, const size_t *count, size_t n)
{
	struct pollfd p = {.fd = ct_watch_fd(w), .events = POLLIN};

	while (*count < n) {
		assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
		assert_int_equal(ct_watch_read(w), 0);
	}
}

static void tells_of_what_is_established_and_has_our_mark(void **state)
{
	__cleanup(ct_watch_freep) struct ct_watch *w = watch_new();

	begin(1, "2097152", "SEEN_REPLY,ASSURED");
	begin(2, "2097152", "SEEN_REPLY");
	begin(3, "5", "SEEN_REPLY,ASSURED");
	begin(4, "2147483648", "SEEN_REPLY,ASSURED");
	sh("conntrack -F >/dev/null");
	waits_for(w, &seen.gone, 2);
	assert_int_equal(ct_watch_read(w), 0);
	assert_int_equal(seen.gone, 2);
	assert_true(seen.last.zone == 17 && seen.last.seen_port > 4000 && seen.last.dport == 53);
}

static void lists_them_all_in_pieces(void **state)
{
	__cleanup(ct_watch_freep) struct ct_watch *w = watch_new();
	int r = 1;

	sh("for i in $(seq 600); do echo -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport $i --dport 2"
	   " -t 60 -u SEEN_REPLY,ASSURED -m 2097152; done >/tmp/ct-watch-$$ &&"
	   " conntrack -R /tmp/ct-watch-$$; rm /tmp/ct-watch-$$");
	begin(1000, "5", "SEEN_REPLY,ASSURED");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(ct_watch_list_begin(w), 0);
		assert_true(ct_watch_list_fd(w) >= 0);
		assert_int_equal(ct_watch_list_read(w), 1);
	}
	seen.listed = 0;
	assert_int_equal(ct_watch_list_begin(w), 0);
	for (int i = 0; i < 1000 && r > 0; i++)
		r = ct_watch_list_read(w);
	assert_int_equal(r, 0);
	assert_int_equal(seen.listed, 600);
}

static void says_that_news_were_lost(void **state)
{
	__cleanup(ct_watch_freep) struct ct_watch *w = watch_new();
	int r = 0;

	sh("for i in $(seq 20000); do echo -I -s 10.0.0.5 -d 192.0.2.1 -p udp --sport $i --dport 2"
	   " -t 60 -u SEEN_REPLY,ASSURED -m 2097152; done >/tmp/ct-watch-$$ &&"
	   " conntrack -R /tmp/ct-watch-$$; rm /tmp/ct-watch-$$; conntrack -F >/dev/null");
	for (int i = 0; i < 100 && r >= 0; i++)
		r = ct_watch_read(w);
	assert_int_equal(r, -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_of_what_is_established_and_has_our_mark),
		cmocka_unit_test(lists_them_all_in_pieces),
		cmocka_unit_test(says_that_news_were_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
