/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment of one veth pair: v0 is ours, v1 sits in a second namespace and has
 * 10.1.0.2 and fd00:1::2; its neighbour table shows what it heard.
 */
#include "gateway/announce.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"

static const uint8_t own[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer[6] = {2, 0, 0, 0, 0, 2};

static struct err e;
static int other = -1; /* the second namespace */
static struct announcer *an;
static uint32_t v0;
static useconds_t no_cpu_us; /* how long this process stands still after each frame it sends */

/* Stands in for the C library's: a busy machine, but one that is busy when we say so. */
ssize_t send(int fd, const void *frame, size_t len, int flags)
{
	ssize_t n = syscall(SYS_sendto, fd, frame, len, flags, NULL, 0);

	usleep(no_cpu_us);
	return n;
}

static int n_closed;

/* The same. */
int close(int fd)
{
	n_closed++;
	return (int)syscall(SYS_close, fd);
}

/* A command's exit status in the second namespace. */
static int there(const char *command)
{
	return sh_status("nsenter --net=/proc/%d/fd/%d sh -c '%s'", (int)getpid(), other, command);
}

static void start(void)
{
	netns_fresh();
	other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	netns_fresh();
	an = announcer_new();
	sh("ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 "
	   "address 02:00:00:00:00:02 netns /proc/%d/fd/%d && ip link set v0 up",
	   (int)getpid(), other);
	v0 = ifindex_of("v0");
	sh("nsenter --net=/proc/%d/fd/%d sh -c 'ip addr add 10.1.0.2/24 dev v1 && "
	   "ip addr add fd00:1::2/64 dev v1 nodad && ip link set v1 up'",
	   (int)getpid(), other);
	/* solicitations are heard once IPv6 has noticed that the link is up: it has a route then */
	assert_int_equal(there("for i in $(seq 1000); do ip -6 route show table local | "
			       "grep -q fd00:1::2 && exit 0; sleep 0.01; done; exit 1"),
			 0);
}

static int stop(void **state)
{
	if (other >= 0)
		close(other);
	other = -1;
	announcer_free(an);
	an = NULL;
	no_cpu_us = 0;
	return 0;
}

/* 0 = free, 1 = taken (ret_mac says by whom), -errno and what e says. */
static int probe(uint32_t ifindex, const uint8_t own_mac[6], struct addr addr, int timeout_ms,
		 uint8_t ret_mac[6])
{
	struct probe p = {.ifindex = ifindex, .addr = addr};

	memcpy(p.own_mac, own_mac, sizeof(p.own_mac));
	announce_probe_all(an, &(struct probe_round){&p, 1, timeout_ms, NULL, NULL});
	if (p.err.code) {
		e = p.err;
		return p.err.code;
	}
	if (p.taken)
		memcpy(ret_mac, p.mac, sizeof(p.mac));
	return p.taken;
}

static long probe_ms(const char *addr, int timeout_ms, uint8_t mac[6], int expected)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	expect_rc(probe(v0, own, addr_of(addr), timeout_ms, mac), expected, &e);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

static void an_address_in_use_answers_at_once(void **state)
{
	static const char *const addrs[] = {"10.1.0.2", "fd00:1::2"};

	start();
	for (size_t i = 0; i < 2; i++) {
		uint8_t mac[6] = {0};

		/* well before the time given is over, on the slowest machine too */
		assert_in_range(probe_ms(addrs[i], 60000, mac, 1), 0, 40000);
		assert_memory_equal(mac, peer, sizeof(mac));
	}
}

static void an_answer_counts_however_late_we_come_to_read_it(void **state)
{
	static const char *const addrs[] = {"10.1.0.2", "fd00:1::2"};

	start();
	no_cpu_us = 300 * 1000;
	for (size_t i = 0; i < 2; i++) {
		uint8_t mac[6] = {0};

		probe_ms(addrs[i], 90, mac, 1); /* it is over before we look */
		assert_memory_equal(mac, peer, sizeof(mac));
	}
}

static void silence_means_free_and_takes_the_time_given(void **state)
{
	static const char *const addrs[] = {"10.1.0.77", "fd00:1::77"};

	start();
	for (size_t i = 0; i < 2; i++) {
		uint8_t mac[6] = {9};

		assert_true(probe_ms(addrs[i], 120, mac, 0) >= 119);
		assert_int_equal(mac[0], 9);
	}
}

static void a_probe_puts_nothing_into_anybody_s_neighbour_table(void **state)
{
	uint8_t mac[6];

	start();
	probe_ms("10.1.0.2", 10000, mac, 1);
	probe_ms("10.1.0.77", 30, mac, 0);
	assert_int_not_equal(there("ip neigh show dev v1 | grep -q 10.1.0"), 0);
}

static void our_own_address_is_not_somebody_else_s(void **state)
{
	uint8_t mac[6];

	start();
	sh("ip addr add 10.1.0.77/32 dev v0 && ip addr add fd00:1::77/128 dev v0 nodad");
	probe_ms("10.1.0.77", 60, mac, 0);
	probe_ms("fd00:1::77", 60, mac, 0);
}

/*
 * The other one is a child in the second namespace, which probes again and again
 * until it is ended: of two that probe once, the first that is heard may have
 * stopped asking before the other began to listen, so only one of them need hear. It
 * writes to fd: 'h' each time it heard us, 'e' if it could not probe.
 */
static pid_t probe_from_there(const char *addr, int fd)
{
	pid_t pid = fork();
	uint32_t v1;
	int r = 0;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	v1 = setns(other, CLONE_NEWNET) < 0 ? 0 : if_nametoindex("v1");
	while (v1 != 0 && r >= 0) {
		uint8_t mac[6] = {0};

		r = probe(v1, peer, addr_of(addr), 600, mac);
		if (r == 1 && (memcmp(mac, own, sizeof(mac)) != 0 || write(fd, "h", 1) != 1))
			r = -1;
	}
	_exit(write(fd, "e", 1) != 1);
}

/* What the child wrote; 0 = nothing yet. */
static char said(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c = 0;

	if (poll(&p, 1, 0) > 0)
		assert_int_equal(read(fd, &c, 1), 1);
	return c;
}

static void two_that_probe_for_one_address_see_each_other(void **state)
{
	static const char *const addrs[] = {"10.1.0.88", "fd00:1::88"};

	start();
	for (size_t i = 0; i < 2; i++) {
		uint8_t mac[6] = {0};
		time_t patience = time(NULL) + 60;
		char heard = 0;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
		pid = probe_from_there(addrs[i], fds[1]);
		assert_true(pid > 0);
		probe_ms(addrs[i], 60000, mac, 1);
		assert_memory_equal(mac, peer, sizeof(mac));
		while (!heard && time(NULL) < patience) {
			probe(v0, own, addr_of(addrs[i]), 300, mac);
			heard = said(fds[0]);
		}
		assert_int_equal(heard, 'h');
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(fds[0]);
		close(fds[1]);
	}
}

static void neighbours_take_the_new_mac_from_an_announcement(void **state)
{
	static const char *const addrs[] = {"10.1.0.77", "fd00:1::77"};
	static const uint8_t virtual_mac[6] = {2, 0x53, 0x4c, 0, 0, 9};

	start();
	for (size_t i = 0; i < 2; i++) {
		char command[256];

		snprintf(command, sizeof(command),
			 "ip neigh add %s lladdr 02:00:00:00:00:99 dev v1 nud reachable", addrs[i]);
		assert_int_equal(there(command), 0);
		/* locktime (1 s) protects a fresh entry from replies, not from requests */
		expect_ok(announce_send(an, v0, virtual_mac, addr_of(addrs[i]), &e), &e);
		snprintf(command, sizeof(command),
			 "for i in $(seq 500); do ip neigh show %s dev v1 | "
			 "grep -q 02:53:4c:00:00:09 && exit 0; sleep 0.02; done; exit 1",
			 addrs[i]);
		assert_int_equal(there(command), 0);
	}
}

static void asks_for_a_thousand_at_once(void **state)
{
	enum { N = 500, EACH = 50 };
	static struct probe list[2 * N];
	size_t taken = 0;

	start();
	assert_int_equal(
		there("for i in $(seq 1 50); do echo addr add 10.1.7.$((i * 5))/16 dev v1; "
		      "echo addr add fd00:7::$((i * 5))/64 dev v1 nodad; done | "
		      "ip -batch -"),
		0);
	for (uint32_t i = 0; i < N; i++) {
		char v4[32], v6[32];

		snprintf(v4, sizeof(v4), "10.1.%u.%u", 7 + i / 250, i % 250 + 1);
		snprintf(v6, sizeof(v6), "fd00:7::%u", i + 1);
		list[i] = (struct probe){.ifindex = v0, .addr = addr_of(v4)};
		list[N + i] = (struct probe){.ifindex = v0, .addr = addr_of(v6)};
		memcpy(list[i].own_mac, own, sizeof(own));
		memcpy(list[N + i].own_mac, own, sizeof(own));
	}
	announce_probe_all(an, &(struct probe_round){list, 2 * N, 600, NULL, NULL});
	for (size_t i = 0; i < 2 * N; i++) {
		assert_int_equal(list[i].err.code, 0);
		if (list[i].taken)
			assert_memory_equal(list[i].mac, peer, sizeof(peer));
		taken += list[i].taken;
	}
	assert_int_equal(taken, 2 * EACH);
}

/* Each socket that is closed holds up whoever closes it for 10 to 20 ms. */
static void a_thousand_announcements_need_no_socket_each(void **state)
{
	start();
	n_closed = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), i % 2 ? "10.1.8.%u" : "fd00:8::%u", i / 4 + 1);
		expect_ok(announce_send(an, v0, own, addr_of(addr), &e), &e);
	}
	assert_int_equal(n_closed, 0);
}

static void says_where_it_cannot(void **state)
{
	uint8_t mac[6];

	start();
	expect_rc(announce_send(an, 4711, own, addr_of("10.1.0.77"), &e), -ENODEV, &e);
	assert_non_null(strstr(e.msg, "4711"));
	expect_rc(probe(4711, own, addr_of("fd00::1"), 30, mac), -ENODEV, &e);
	expect_rc(announce_send(an, 1, own, addr_of("10.1.0.77"), &e), -EOPNOTSUPP, &e);
	sh("ip link set v0 down");
	expect_rc(probe(v0, own, addr_of("10.1.0.77"), 30, mac), -ENETDOWN, &e);
	assert_non_null(strstr(e.msg, "10.1.0.77"));
}

#define TEST(f) cmocka_unit_test_teardown(f, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_in_use_answers_at_once),
		TEST(an_answer_counts_however_late_we_come_to_read_it),
		TEST(silence_means_free_and_takes_the_time_given),
		TEST(a_probe_puts_nothing_into_anybody_s_neighbour_table),
		TEST(our_own_address_is_not_somebody_else_s),
		TEST(two_that_probe_for_one_address_see_each_other),
		TEST(neighbours_take_the_new_mac_from_an_announcement),
		TEST(asks_for_a_thousand_at_once),
		TEST(a_thousand_announcements_need_no_socket_each),
		TEST(says_where_it_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
