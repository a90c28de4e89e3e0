/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attachments in both modes. The programs are two instructions long: one lets
 * packets go on, one drops them; whether packets pass is the proof of being reached.
 */
#include "kernel/tc.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testkit/netns_fixture.h"

#define NAME "slu_test"

static struct err e;
static uint32_t v0;

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {0};

	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	assert_int_equal(syscall(__NR_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	return info.id;
}

static void start(void)
{
	netns_fresh();
	sh("ip link add v0 type veth peer name v1 && ip addr add 10.1.0.1/24 dev v0 && "
	   "ip link set v0 up && ip link set v1 up");
	v0 = ifindex_of("v0");
}

static struct tc_state query(enum tc_dir dir, int fd)
{
	struct tc_state st = {0};

	expect_ok(tc_query(v0, dir, prog_id(fd), NAME, &st, &e), &e);
	return st;
}

#define HAVE_TCX()                                                          \
	do {                                                                \
		if (tc_mode_detect() != TC_MODE_TCX) {                      \
			print_message("skipped: this kernel has no TCX\n"); \
			skip();                                             \
		}                                                           \
	} while (0)

static void attach_query_detach(enum tc_mode mode)
{
	for (enum tc_dir dir = TC_DIR_INGRESS; dir <= TC_DIR_EGRESS; dir++) {
		int one = tc_program(NAME, TC_ACT_UNSPEC), two = tc_program(NAME, TC_ACT_UNSPEC);
		struct tc_state st = query(dir, one);

		assert_false(st.attached || st.other_ours || st.reached);
		expect_ok(tc_attach(v0, dir, mode, one, &e), &e);
		expect_ok(tc_attach(v0, dir, mode, one, &e), &e);
		st = query(dir, one);
		assert_true(st.attached && st.reached && !st.other_ours);
		assert_int_equal(st.mode, mode);
		assert_int_equal(st.prog_id, prog_id(one));
		st = query(dir, two);
		assert_true(!st.attached && !st.reached && st.other_ours);
		assert_int_equal(st.prog_id, prog_id(one));

		expect_ok(tc_attach(v0, dir, mode, two, &e), &e);
		st = query(dir, two);
		assert_true(st.attached && st.reached && !st.other_ours);
		expect_ok(tc_detach(v0, dir, "slu_other", &e), &e);
		assert_true(query(dir, two).attached);
		expect_ok(tc_detach(v0, dir, NAME, &e), &e);
		expect_ok(tc_detach(v0, dir, NAME, &e), &e);
		assert_false(query(dir, two).attached);
		close(one);
		close(two);
	}
}

static void attaches_and_detaches_by_tcx(void **state)
{
	start();
	HAVE_TCX();
	attach_query_detach(TC_MODE_TCX);
	sh("test -z \"$(tc qdisc show dev v0 clsact)\"");
}

static void attaches_and_detaches_by_clsact_and_leaves_the_qdisc(void **state)
{
	start();
	attach_query_detach(TC_MODE_CLSACT);
	sh("tc qdisc show dev v0 | grep -q clsact");
}

static void the_program_sees_the_packets(void **state)
{
	const enum tc_mode modes[] = {TC_MODE_CLSACT, TC_MODE_AUTO};
	int drop;

	start();
	sh("ip neigh replace 10.1.0.99 lladdr 02:00:00:00:00:99 dev v0");
	drop = tc_program(NAME, TC_ACT_SHOT);
	for (size_t i = 0; i < 2; i++) {
		expect_ok(tc_attach(v0, TC_DIR_EGRESS, modes[i], drop, &e), &e);
		/* a packet dropped at tc egress is not counted as sent */
		sh("a=$(ip -s -j link show v0 | sed 's/.*\"tx\":{\"bytes\":\\([0-9]*\\).*/\\1/');"
		   "ping -c1 -W0.1 10.1.0.99 >/dev/null 2>&1;"
		   "b=$(ip -s -j link show v0 | sed 's/.*\"tx\":{\"bytes\":\\([0-9]*\\).*/\\1/');"
		   "test -n \"$a\" && test \"$a\" = \"$b\"");
		expect_ok(tc_detach(v0, TC_DIR_EGRESS, NAME, &e), &e);
	}
	close(drop);
}

static void tcx_goes_before_strangers_and_says_when_one_comes_before_it(void **state)
{
	int theirs, ours, newer, late;
	struct tc_state st;

	start();
	HAVE_TCX();
	theirs = tc_program("theirs", TC_ACT_UNSPEC);
	ours = tc_program(NAME, TC_ACT_UNSPEC);
	newer = tc_program(NAME, TC_ACT_UNSPEC);
	late = tc_program("late", TC_ACT_UNSPEC);
	expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_TCX, theirs, &e), &e);
	expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_TCX, ours, &e), &e);
	assert_true(query(TC_DIR_INGRESS, ours).reached);
	expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_TCX, late, &e), &e);
	st = query(TC_DIR_INGRESS, ours);
	assert_true(st.attached && !st.reached);
	expect_rc(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_TCX, ours, &e), -TC_UNREACHED, &e);
	assert_non_null(strstr(e.msg, "attached by somebody before slu_test"));
	/* a newer version goes to the head, then the older one behind is taken away */
	expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_TCX, newer, &e), &e);
	st = query(TC_DIR_INGRESS, newer);
	assert_true(st.attached && st.reached && !st.other_ours);
	expect_ok(tc_detach(v0, TC_DIR_INGRESS, NAME, &e), &e);
	expect_ok(tc_query(v0, TC_DIR_INGRESS, prog_id(theirs), "theirs", &st, &e), &e);
	assert_true(st.attached && !st.reached);
	close(theirs);
	close(ours);
	close(newer);
	close(late);
}

/* What the upstream bandwidth plugin does on the host side of a pod's veth. */
static void bandwidth_plugin(const char *qdisc)
{
	sh("ip link add ifb9 type ifb && ip link set ifb9 up");
	sh("tc qdisc add dev v0 %s", qdisc);
	sh("tc filter add dev v0 %s protocol all prio 1 u32 match u32 0 0 "
	   "action mirred egress redirect dev ifb9",
	   strcmp(qdisc, "clsact") == 0 ? "ingress" : "parent ffff:");
}

static void clsact_refuses_where_a_redirect_takes_the_packets_first(void **state)
{
	static const char *const qdiscs[] = {"ingress handle ffff:", "clsact"};
	int ours = -1;

	for (size_t i = 0; i < 2; i++) {
		start();
		bandwidth_plugin(qdiscs[i]);
		ours = tc_program(NAME, TC_ACT_UNSPEC);
		expect_rc(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_CLSACT, ours, &e), -TC_UNREACHED,
			  &e);
		assert_non_null(strstr(e.msg, "filter u32"));
		assert_non_null(strstr(e.msg, "redirects packets to ifb9 before slu_test"));
		assert_false(query(TC_DIR_INGRESS, ours).attached);
		if (tc_mode_detect() == TC_MODE_TCX) {
			expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_TCX, ours, &e), &e);
			assert_true(query(TC_DIR_INGRESS, ours).reached);
			expect_ok(tc_detach(v0, TC_DIR_INGRESS, NAME, &e), &e);
		}
		sh("tc filter show dev v0 ingress | grep -q mirred");
		close(ours);
	}
}

static void clsact_shares_the_qdisc_with_later_filters(void **state)
{
	int ours;

	start();
	ours = tc_program(NAME, TC_ACT_UNSPEC);
	sh("ip link add ifb9 type ifb && tc qdisc add dev v0 ingress && "
	   "tc filter add dev v0 parent ffff: protocol ip prio 5 u32 match u32 0 0 "
	   "action mirred egress redirect dev ifb9");
	expect_rc(tc_attach(v0, TC_DIR_EGRESS, TC_MODE_CLSACT, ours, &e), -TC_UNREACHED, &e);
	assert_non_null(strstr(e.msg, "ingress"));
	expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_CLSACT, ours, &e), &e);
	assert_true(query(TC_DIR_INGRESS, ours).reached);
	sh("tc filter show dev v0 parent ffff: | head -2 | grep -q 'pref 1 bpf.*0x534c " NAME
	   " direct-action'");
	expect_ok(tc_detach(v0, TC_DIR_INGRESS, NAME, &e), &e);
	sh("tc filter show dev v0 parent ffff: | grep -q 'pref 5 u32'");
	sh("test -z \"$(tc filter show dev v0 parent ffff: | grep bpf)\"");
	close(ours);
}

static void clsact_notices_an_equal_that_came_later(void **state)
{
	struct tc_state st;
	int ours;

	start();
	ours = tc_program(NAME, TC_ACT_UNSPEC);
	expect_ok(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_CLSACT, ours, &e), &e);
	sh("tc filter add dev v0 ingress protocol all prio 1 handle 7 bpf "
	   "bytecode '1,6 0 0 0'");
	st = query(TC_DIR_INGRESS, ours);
	assert_true(st.attached && !st.reached);
	expect_rc(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_CLSACT, ours, &e), -TC_UNREACHED, &e);
	sh("tc filter del dev v0 ingress protocol all prio 1 handle 7 bpf");
	assert_true(query(TC_DIR_INGRESS, ours).reached);
	close(ours);
}

static void a_missing_device_is_told_apart(void **state)
{
	struct tc_state st;
	int ours;

	start();
	ours = tc_program(NAME, TC_ACT_UNSPEC);
	for (enum tc_mode mode = TC_MODE_AUTO; mode <= TC_MODE_CLSACT; mode++) {
		if (mode == TC_MODE_TCX && tc_mode_detect() != TC_MODE_TCX)
			continue;
		expect_rc(tc_attach(4711, TC_DIR_INGRESS, mode, ours, &e), -ENODEV, &e);
		assert_non_null(strstr(e.msg, "4711"));
	}
	expect_rc(tc_query(4711, TC_DIR_INGRESS, 1, NAME, &st, &e), -ENODEV, &e);
	expect_ok(tc_detach(4711, TC_DIR_INGRESS, NAME, &e), &e);
	expect_rc(tc_attach(v0, TC_DIR_INGRESS, TC_MODE_AUTO, 0, &e), -EINVAL, &e);
	close(ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attaches_and_detaches_by_tcx),
		cmocka_unit_test(attaches_and_detaches_by_clsact_and_leaves_the_qdisc),
		cmocka_unit_test(the_program_sees_the_packets),
		cmocka_unit_test(tcx_goes_before_strangers_and_says_when_one_comes_before_it),
		cmocka_unit_test(clsact_refuses_where_a_redirect_takes_the_packets_first),
		cmocka_unit_test(clsact_shares_the_qdisc_with_later_filters),
		cmocka_unit_test(clsact_notices_an_equal_that_came_later),
		cmocka_unit_test(a_missing_device_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
