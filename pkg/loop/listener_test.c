/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the kernel: it may have no room ---- */

static int refuses_with; /* errno; 0: it does not */
static int n_refused;

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	if (refuses_with) {
		n_refused++;
		errno = refuses_with;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, from, len, flags);
}

/* ---- who listens, and who connects ---- */

static struct loop *loop;
static struct loop_timer *end;
static struct listener *l;
static struct sockaddr_in at;
static int listening, n_accepted;

static void quit(void *data)
{
	loop_quit(loop);
}

static void on_accepted(void *data, int fd, const struct sockaddr_storage *from)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

	assert_int_equal(v4->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	n_accepted++;
	close(fd);
	loop_quit(loop);
}

static int start(void **state)
{
	socklen_t len = sizeof(at);

	refuses_with = n_refused = n_accepted = 0;
	at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listening, 8), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(loop_new(&loop, NULL), 0);
	assert_int_equal(loop_timer_new(loop, quit, NULL, &end, NULL), 0);
	assert_int_equal(listener_new(&(struct listener_in){.loop = loop,
							    .fd = listening,
							    .what = "tests",
							    .accepted = on_accepted},
				      &l, NULL),
			 0);
	return 0;
}

static int stop(void **state)
{
	listener_free(l);
	loop_timer_free(end);
	loop_free(loop);
	close(listening);
	return 0;
}

static int connects(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void run(int64_t ms)
{
	loop_timer_arm(end, ms);
	assert_int_equal(loop_run(loop, NULL), 0);
}

static void who_connects_is_taken_in(void **state)
{
	int fd = connects();

	run(60000);
	assert_int_equal(n_accepted, 1);
	close(fd);
}

static void without_room_it_is_asked_once_a_second_and_nobody_is_lost(void **state)
{
	static const int errors[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS};

	for (size_t i = 0; i < 4; i++) {
		int fd = connects();

		refuses_with = errors[i];
		n_refused = n_accepted = 0;
		run(1500);
		assert_in_range(n_refused, 1, 2);
		refuses_with = 0;
		run(60000);
		assert_int_equal(n_accepted, 1);
		close(fd);
	}
}

static void who_has_gone_before_is_no_reason_to_rest(void **state)
{
	int fd = connects();

	refuses_with = ECONNABORTED;
	run(50);
	assert_true(n_refused > 0);
	refuses_with = 0;
	run(60000);
	assert_int_equal(n_accepted, 1);
	close(fd);
}

static void it_may_be_freed_while_it_rests(void **state)
{
	int fd = connects();

	refuses_with = EMFILE;
	run(50);
	assert_int_equal(n_refused, 1);
	close(fd); /* and stop() frees it */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(who_connects_is_taken_in),
		TEST(without_room_it_is_asked_once_a_second_and_nobody_is_lost),
		TEST(who_has_gone_before_is_no_reason_to_rest),
		TEST(it_may_be_freed_while_it_rests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
