/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct loop *l;
static struct err e;
static int refusals; /* so many times the kernel has no room for a timer */

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
	if (refusals-- > 0) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_timerfd_settime, fd, flags, when, old);
}
static int sticks; /* so many times it does not let go of a descriptor */

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev)
{
	if (op == EPOLL_CTL_DEL && sticks-- > 0) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, op, fd, ev);
}
static char trail[64]; /* what was called, in order */

static int start(void **state)
{
	trail[0] = '\0';
	return loop_new(&l, &e);
}

static int stop(void **state)
{
	loop_free(l);
	return 0;
}

static void quit(void *data)
{
	loop_quit(l);
}

static void leave_a_mark(void *data)
{
	strncat(trail, data, sizeof(trail) - strlen(trail) - 1);
}

static void timers_fire_in_order_of_time_and_once(void **state)
{
	struct loop_timer *a, *b, *never, *end;

	assert_int_equal(loop_timer_new(l, leave_a_mark, "a", &a, &e), 0);
	assert_int_equal(loop_timer_new(l, leave_a_mark, "b", &b, &e), 0);
	assert_int_equal(loop_timer_new(l, leave_a_mark, "x", &never, &e), 0);
	assert_int_equal(loop_timer_new(l, quit, NULL, &end, &e), 0);
	loop_timer_arm(a, 20);
	loop_timer_arm(b, 0);
	loop_timer_arm(never, 1);
	loop_timer_arm(never, -1);
	loop_timer_arm(end, 60);
	assert_int_equal(loop_run(l, &e), 0);
	assert_string_equal(trail, "ba");
	loop_timer_free(a);
	loop_timer_free(b);
	loop_timer_free(never);
	loop_timer_free(end);
}

static struct loop_timer *own;

static void free_own(void *data)
{
	leave_a_mark("f");
	loop_timer_free(own);
	loop_quit(l);
}

static void a_timer_may_free_itself(void **state)
{
	assert_int_equal(loop_timer_new(l, free_own, NULL, &own, &e), 0);
	loop_timer_arm(own, 0);
	assert_int_equal(loop_run(l, &e), 0);
	assert_string_equal(trail, "f");
}

/* Whoever waits for it would wait for ever. */
static void a_timer_that_is_refused_for_a_moment_fires(void **state)
{
	struct loop_timer *t, *end;

	assert_int_equal(loop_timer_new(l, leave_a_mark, "t", &t, &e), 0);
	assert_int_equal(loop_timer_new(l, quit, NULL, &end, &e), 0);
	loop_timer_arm(end, 1000);
	refusals = 2;
	loop_timer_arm(t, 1);
	assert_int_equal(loop_run(l, &e), 0);
	assert_string_equal(trail, "t");
	loop_timer_free(t);
	loop_timer_free(end);
}

static int pipes[2][2];

/* Whoever is first removes both; the other's event is in the same batch. */
static void remove_both(int fd, uint32_t events, void *data)
{
	leave_a_mark("r");
	loop_del_fd(l, pipes[0][0]);
	loop_del_fd(l, pipes[1][0]);
}

static void a_removed_descriptor_is_never_called(void **state)
{
	struct loop_timer *end;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
		assert_int_equal(loop_add_fd(l, pipes[i][0], EPOLLIN, remove_both, NULL, &e), 0);
	}
	assert_int_equal(loop_timer_new(l, quit, NULL, &end, &e), 0);
	loop_timer_arm(end, 20);
	assert_int_equal(loop_run(l, &e), 0);
	assert_string_equal(trail, "r");
	loop_timer_free(end);
	for (int i = 0; i < 2; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

static void what_the_kernel_keeps_for_a_moment_is_gone_all_the_same(void **state)
{
	struct loop_timer *end;
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(loop_add_fd(l, p[0], EPOLLIN, remove_both, NULL, &e), 0);
	sticks = 2;
	loop_del_fd(l, p[0]);
	assert_int_equal(loop_timer_new(l, quit, NULL, &end, &e), 0);
	loop_timer_arm(end, 20);
	assert_int_equal(loop_run(l, &e), 0);
	assert_string_equal(trail, "");
	assert_int_equal(loop_add_fd(l, p[0], EPOLLIN, remove_both, NULL, &e), 0);
	loop_timer_free(end);
	close(p[0]);
	close(p[1]);
}

static void quit_on_input(int fd, uint32_t events, void *data)
{
	loop_quit(l);
}

static void swap_callback(int fd, uint32_t events, void *data)
{
	leave_a_mark("s");
	loop_del_fd(l, fd);
	assert_int_equal(loop_add_fd(l, fd, EPOLLIN, quit_on_input, NULL, &e), 0);
}

static void a_descriptor_may_be_added_again_from_its_callback(void **state)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(loop_add_fd(l, p[0], EPOLLIN, swap_callback, NULL, &e), 0);
	assert_int_equal(loop_add_fd(l, p[0], EPOLLIN, swap_callback, NULL, &e), -EEXIST);
	assert_int_equal(loop_run(l, &e), 0);
	assert_string_equal(trail, "s");
	loop_del_fd(l, p[0]);
	loop_del_fd(l, p[0]);
	close(p[0]);
	close(p[1]);
}

static void on_signal(int signo, void *data)
{
	strncat(trail, signo == SIGUSR1 ? "1" : "2", 2);
	if (signo == SIGUSR2)
		loop_quit(l);
}

static void signals_arrive_as_calls(void **state)
{
	assert_int_equal(loop_add_signal(l, SIGUSR1, on_signal, NULL, &e), 0);
	assert_int_equal(loop_add_signal(l, SIGUSR2, on_signal, NULL, &e), 0);
	raise(SIGUSR1);
	raise(SIGUSR2);
	assert_int_equal(loop_run(l, &e), 0);
	assert_non_null(strchr(trail, '2'));
}

static void waiting_costs_no_time(void **state)
{
	struct loop_timer *end;
	struct timespec before, after;
	long ms;

	assert_int_equal(loop_timer_new(l, quit, NULL, &end, &e), 0);
	loop_timer_arm(end, 400);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	assert_int_equal(loop_run(l, &e), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	assert_in_range(ms, 0, 200); /* a loop that spins takes 400, a busy machine adds a few */
	loop_timer_free(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_in_order_of_time_and_once, start, stop),
		cmocka_unit_test_setup_teardown(a_timer_may_free_itself, start, stop),
		cmocka_unit_test_setup_teardown(a_timer_that_is_refused_for_a_moment_fires, start,
						stop),
		cmocka_unit_test_setup_teardown(a_removed_descriptor_is_never_called, start, stop),
		cmocka_unit_test_setup_teardown(
			what_the_kernel_keeps_for_a_moment_is_gone_all_the_same, start, stop),
		cmocka_unit_test_setup_teardown(a_descriptor_may_be_added_again_from_its_callback,
						start, stop),
		cmocka_unit_test_setup_teardown(signals_arrive_as_calls, start, stop),
		cmocka_unit_test_setup_teardown(waiting_costs_no_time, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
