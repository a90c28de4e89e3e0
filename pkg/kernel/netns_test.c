/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testkit/netns_fixture.h"

static void a_missing_path_is_gone(void **state)
{
	struct err e = {0};
	int fd = -1;

	expect_rc(netns_open("/nonexistent/ns", &fd, &e), -ENOENT, &e);
	assert_non_null(strstr(e.msg, "/nonexistent/ns"));
	assert_int_equal(fd, -1);
}

static void refuses_what_is_not_a_network_namespace(void **state)
{
	char fifo[] = "/tmp/netns-test-XXXXXX";
	const char *paths[] = {"/proc/self/ns/mnt", "/proc/self/status", "/dev/null", "/", fifo};
	struct err e = {0};
	int fd = -1;

	assert_non_null(mkdtemp(fifo));
	assert_int_equal(rmdir(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		expect_rc(netns_open(paths[i], &fd, &e), -EINVAL, &e);
	unlink(fifo);
}

static void the_identity_is_the_inode(void **state)
{
	struct err e = {0};
	uint64_t a = 0, b = 1;
	int self = -1, path = -1;

	expect_ok(netns_open_self(&self, &e), &e);
	expect_ok(netns_open("/proc/self/ns/net", &path, &e), &e);
	assert_int_equal(netns_id(self, &a), 0);
	assert_int_equal(netns_id(path, &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(fcntl(path, F_GETFD), FD_CLOEXEC);
	assert_int_equal(netns_id(-1, &a), -EBADF);
	close(self);
	close(path);
}

/* SIOCGIFNAME answers for the namespace of the socket, whoever asks. */
static void a_socket_stays_where_it_was_opened(void **state)
{
	struct ifreq ifr = {.ifr_name = "inner0"};
	int inner = -1, outer = -1, sock = -1;
	uint64_t a, b;
	struct err e = {0};

	netns_fresh();
	sh("ip link add inner0 type veth peer name inner1");
	expect_ok(netns_open_self(&inner, &e), &e);
	netns_fresh();
	expect_ok(netns_open_self(&outer, &e), &e);
	assert_true(netns_id(inner, &a) == 0 && netns_id(outer, &b) == 0 && a != b);

	expect_ok(netns_socket(inner, AF_INET, SOCK_DGRAM, 0, &sock, &e), &e);
	assert_int_equal(ioctl(sock, SIOCGIFINDEX, &ifr), 0);
	assert_int_equal(fcntl(sock, F_GETFD), FD_CLOEXEC);
	assert_int_equal(if_nametoindex("inner0"), 0); /* and we are home again */
	close(sock);

	expect_rc(netns_socket(inner, AF_INET, 99, 0, &sock, &e), -EINVAL, &e);
	assert_int_equal(if_nametoindex("inner0"), 0);
	close(inner);
	close(outer);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	struct err e = {0};
	int sock = -1;

	expect_rc(netns_socket(-1, AF_INET, SOCK_DGRAM, 0, &sock, &e), -EBADF, &e);
	assert_int_equal(sock, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_path_is_gone),
		cmocka_unit_test(refuses_what_is_not_a_network_namespace),
		cmocka_unit_test(the_identity_is_the_inode),
		cmocka_unit_test(a_socket_stays_where_it_was_opened),
		cmocka_unit_test(a_bad_descriptor_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
