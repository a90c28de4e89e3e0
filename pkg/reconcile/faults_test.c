/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that fail in the middle of a pass: what could not be found out, or not be done, is
 * tried again or said, and never called done. The calls that fail are this file's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "kernel/tc.h"
#include "reconcile/daemon.h"
#include "testkit/netns_fixture.h"
#include "testkit/reconcile_fixture.h"

enum { FLOCK, READ, BPF, ATTACH, LISTEN, N_CALLS };

/* The first-th call of a kind fails, and as many more. */
static struct {
	int first, more, met;
} plan[N_CALLS];

static int flock_error = EIO;

static bool fails(int kind)
{
	int n = ++plan[kind].met;

	return plan[kind].first && n >= plan[kind].first && n - plan[kind].first <= plan[kind].more;
}

static void fail_at(int kind, int first, int more)
{
	plan[kind].first = first;
	plan[kind].more = more;
	plan[kind].met = 0;
}

int flock(int fd, int operation)
{
	if (fails(FLOCK)) {
		errno = flock_error;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, operation);
}

ssize_t read(int fd, void *buf, size_t len)
{
	if (fails(READ)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_read, fd, buf, len);
}

/* ---- the program of a pod, as each call of bpf meets it ---- */

static struct {
	int fd; /* of the map, -1: nobody looks */
	uint32_t pod, policy;
	int changes;
} seen = {.fd = -1};

static long (*real_syscall(void))(long nr, ...)
{
	static long (*real)(long nr, ...);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return real;
}

static void see(void)
{
	struct slu_pod p = {0};
	union bpf_attr attr = {
		.map_fd = (uint32_t)seen.fd, .key = (uintptr_t)&seen.pod, .value = (uintptr_t)&p};

	if (seen.fd < 0 || real_syscall()(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)))
		return;
	seen.changes += p.policy != seen.policy;
	seen.policy = p.policy;
}

static void see_begin(uint32_t pod, uint32_t policy)
{
	__cleanup_free char *path = mem_printf(RNODE "/bpf/v%d/pods", SLU_ABI);
	union bpf_attr attr = {.pathname = (uintptr_t)path};

	seen.fd = (int)real_syscall()(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
	assert_true(seen.fd >= 0);
	seen.pod = pod;
	seen.policy = policy;
	seen.changes = 0;
}

static void see_end(void)
{
	see();
	close(seen.fd);
	seen.fd = -1;
}

/* As libbpf makes its calls. */
long syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_bpf) {
		see();
		if (fails(BPF) || (a[0] == BPF_PROG_ATTACH && fails(ATTACH))) {
			errno = ENOMEM;
			return -1;
		}
	}
	return real_syscall()(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
		 socklen_t *from_len)
{
	int domain = 0;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof(domain)});
	if (domain == AF_PACKET && fails(LISTEN)) {
		errno = ENOBUFS;
		return -1;
	}
	return syscall(SYS_recvfrom, fd, buf, len, flags, from, from_len);
}

static int setup(void **state)
{
	memset(plan, 0, sizeof(plan));
	return rnode_setup(state);
}

static uint32_t policy_of(uint32_t pod)
{
	struct slu_pod p = {0};

	assert_true(rnode_entry(pod, &p));
	return p.policy;
}

#define NO_X                                                \
	"apiVersion: sluice.dev/v1alpha1\n"                 \
	"kind: ClusterEgressPolicy\n"                       \
	"metadata: {name: x}\n"                             \
	"spec:\n"                                           \
	"  subject: {podSelector: {matchLabels: {x: y}}}\n" \
	"  rules: [{name: no, action: Deny}]\n"

/* The pod changes its program's number to and fro; each time the next call of the kind fails. */
static void gets_its_program_whatever_fails(int kind)
{
	uint32_t pod, id;
	bool failed = true;
	int n;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", AS_OFFICE));
	rnode_pod("p1", 5, WEB);
	pod = rnode_pod("p2", 6, "{\"app\":\"web\",\"x\":\"y\"}");
	rnode_settle();
	for (n = 1; failed; n++) {
		bool denied = n % 2;

		rnode_policy("x.yaml", denied ? NO_X : NULL);
		see_begin(pod, policy_of(pod));
		fail_at(kind, n, 0);
		while (rnode_pass() < 0)
			;
		failed = plan[kind].met >= n;
		fail_at(kind, 0, 0);
		see_end();
		if (seen.changes != 1)
			fail_msg("its program changed %d times after a fault in call %d",
				 seen.changes, n);
		if (rnode_decision(policy_of(pod), "203.0.113.9", &id) !=
		    (denied ? SLU_DENY : SLU_ALLOW))
			fail_msg("another program than its own after a fault in call %d", n);
	}
	assert_true(n > 2);
}

static void a_pod_gets_its_program_though_its_lock_fails(void **state)
{
	gets_its_program_whatever_fails(FLOCK);
}

static void a_pod_gets_its_program_though_its_lock_is_held_for_a_moment(void **state)
{
	flock_error = EWOULDBLOCK;
	gets_its_program_whatever_fails(FLOCK);
	flock_error = EIO;
}

static void a_pod_gets_its_program_though_its_record_cannot_be_read(void **state)
{
	gets_its_program_whatever_fails(READ);
}

/* It goes from one to the other, and not back in between. */
static void a_pod_gets_its_program_though_a_call_of_bpf_fails(void **state)
{
	gets_its_program_whatever_fails(BPF);
}

static bool claimed(const char *addr)
{
	return sh_status("ip addr show dev eth0 | grep -q %s", addr) == 0;
}

static void once_asks_again_for_an_address_that_it_could_not_ask_for(void **state)
{
	struct err e = {0};

	rnode_cluster("n1");
	fail_at(LISTEN, 1, 0);
	expect_ok(daemon_once(rnode_conf(), &e), &e);
	assert_true(claimed("192.0.2.50") && claimed("2001:db8::50"));
}

static void once_fails_when_it_could_not_ask_for_an_address(void **state)
{
	struct err e = {0};

	rnode_cluster("n1");
	fail_at(LISTEN, 1, 1000);
	assert_int_equal(daemon_once(rnode_conf(), &e), -EIO);
	assert_non_null(strstr(e.msg, "is not claimed: probe "));
	assert_non_null(strstr(e.msg, "No buffer space available"));
	assert_false(claimed("192.0.2.50") || claimed("2001:db8::50"));
}

static bool sluice0_is_up(void)
{
	return sh_status("ip link show sluice0 2>&1 | grep -q '[<,]UP[,>]'") == 0;
}

/* Up without from_tunnel it would take what anybody sends to it for packets of its own. */
static void sluice0_is_not_up_while_it_lacks_a_program(void **state)
{
	rnode_cluster("n1");
	rnode_settle();
	for (int n = 1; n <= 2; n++) {
		sh("ip link del sluice0");
		fail_at(ATTACH, n, 1000);
		assert_int_not_equal(rnode_pass(), 0);
		if (!plan[ATTACH].met)
			skip(); /* they are filters of clsact here, and come by netlink */
		assert_false(sluice0_is_up());
		assert_int_not_equal(rnode_pass(), 0);
		assert_false(sluice0_is_up());
		fail_at(ATTACH, 0, 0);
		rnode_settle();
		assert_true(sluice0_is_up());
	}
}

static void sluice0_goes_down_when_a_program_cannot_be_put_back(void **state)
{
	static const struct {
		enum tc_dir dir;
		const char *name;
	} programs[] = {{TC_DIR_EGRESS, "slu_to_tunnel"}, {TC_DIR_INGRESS, "slu_from_tunnel"}};
	struct err e = {0};

	rnode_cluster("n1");
	rnode_settle();
	for (size_t i = 0; i < 2; i++) {
		uint32_t ifindex = if_nametoindex("sluice0");

		expect_ok(tc_detach(ifindex, programs[i].dir, programs[i].name, &e), &e);
		fail_at(ATTACH, 1, 1000);
		assert_int_not_equal(rnode_pass(), 0);
		if (!plan[ATTACH].met)
			skip();
		assert_false(sluice0_is_up());
		fail_at(ATTACH, 0, 0);
		rnode_settle();
		assert_true(sluice0_is_up());
		sh("ip route show table 5347 | grep -q '^default .*dev sluice0'");
		sh("ip -6 route show table 5347 | grep -q '^default .*dev sluice0'");
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rnode_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_pod_gets_its_program_though_its_lock_fails),
		TEST(a_pod_gets_its_program_though_its_lock_is_held_for_a_moment),
		TEST(a_pod_gets_its_program_though_its_record_cannot_be_read),
		TEST(a_pod_gets_its_program_though_a_call_of_bpf_fails),
		TEST(sluice0_is_not_up_while_it_lacks_a_program),
		TEST(sluice0_goes_down_when_a_program_cannot_be_put_back),
		TEST(once_asks_again_for_an_address_that_it_could_not_ask_for),
		TEST(once_fails_when_it_could_not_ask_for_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
