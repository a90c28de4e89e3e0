/* SPDX-License-Identifier: Apache-2.0 */
/* slu_exit at its hook: datagrams of a process that marks them, over lo. */
#include "bpf/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bpf/loader.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define PINS WORLD_DIR ABI_FOLDER "/exit_v*"

#define ID_V4 40
#define ID_V6 41

static enum guard_state looked(void)
{
	enum guard_state state;
	struct err e = {};

	expect_ok(bpf_guard_look(world_pins(), &state, &e), &e);
	return state;
}

static size_t pinned(void)
{
	glob_t g = {};
	size_t n;

	glob(PINS, 0, NULL, &g);
	n = g.gl_pathc;
	globfree(&g);
	return n;
}

static void address_set(uint32_t id, const char *text)
{
	struct slu_egress a = {.state = SLU_ADDR_LOCAL, .addr = world_addr(text)};
	struct err e = {};

	expect_ok(bpf_map_set(world_pins(), BPF_MAP_ADDRS, &id, &a, &e), &e);
}

static void guarded(void)
{
	struct err e = {};

	world();
	if (looked() == GUARD_UNSUPPORTED) {
		print_message("skipped: no programs of netfilter on this kernel\n");
		skip();
	}
	expect_ok(bpf_guard_apply(world_pins(), &e), &e);
	assert_int_equal(looked(), GUARD_IN_FORCE);
	address_set(ID_V4, "127.0.0.1");
	address_set(ID_V6, "::1");
	sh("ip -6 addr replace 2001:db8:9::1/128 dev lo nodad");
}

static socklen_t end_of(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	*ret = (struct sockaddr_storage){.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};
	assert_int_equal(inet_pton(ret->ss_family, text,
				   ret->ss_family == AF_INET6 ? (void *)&v6->sin6_addr
							      : (void *)&v4->sin_addr),
			 1);
	return ret->ss_family == AF_INET6 ? sizeof(*v6) : sizeof(*v4);
}

static int sent(const char *from, uint32_t mark)
{
	struct sockaddr_storage a, to;
	socklen_t len = end_of(from, &a);
	__cleanup_close int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	end_of(a.ss_family == AF_INET6 ? "2001:db8:9::1" : "127.0.0.3", &to);
	((struct sockaddr_in *)&to)->sin_port = htons(9); /* where IPv6 has it, too */
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&to, len) == 1 ? 0 : -errno;
}

static void lets_out_what_has_the_address_of_its_mark(void **state)
{
	guarded();
	assert_int_equal(sent("127.0.0.1", world_mark(ID_V4)), 0);
	assert_int_equal(sent("::1", world_mark(ID_V6)), 0);
	assert_int_equal(sent("127.0.0.2", 0), 0);
	assert_int_equal(sent("127.0.0.2", 0xffff), 0);
	assert_int_equal(sent("2001:db8:9::1", 0), 0);
}

static void drops_and_counts_any_other_source(void **state)
{
	uint64_t before;

	guarded();
	before = world_drops(SLU_DROP_EXIT_SOURCE);
	assert_int_equal(sent("127.0.0.2", world_mark(ID_V4)), -EPERM);
	assert_int_equal(sent("127.0.0.1", world_mark(ID_V6)), -EPERM);
	assert_int_equal(sent("127.0.0.1", world_mark(ID_V4 + 2)), -EPERM);
	assert_int_equal(sent("2001:db8:9::1", world_mark(ID_V6)), -EPERM);
	assert_int_equal(sent("::1", world_mark(ID_V4)), -EPERM);
	assert_int_equal(world_drops(SLU_DROP_EXIT_SOURCE), before + 5);
}

static void drops_what_should_have_gone_into_the_tunnel(void **state)
{
	uint64_t before;

	guarded();
	before = world_drops(SLU_DROP_EXIT_DEVICE);
	assert_int_equal(sent("127.0.0.1", WORLD_DIVERT | world_mark(ID_V4)), -EPERM);
	assert_int_equal(sent("::1", WORLD_DIVERT | world_mark(ID_V6)), -EPERM);
	assert_int_equal(world_drops(SLU_DROP_EXIT_DEVICE), before + 2);
}

static void leaves_alone_what_a_process_marks_with_no_address(void **state)
{
	guarded();
	assert_int_equal(sent("127.0.0.2", world_mark(1)), 0);
	assert_int_equal(sent("127.0.0.2", world_mark(SLU_ID_CHECK)), 0);
}

static void is_there_once_however_often_it_is_applied(void **state)
{
	struct err e = {};

	guarded();
	for (int i = 0; i < 40; i++)
		expect_ok(bpf_guard_apply(world_pins(), &e), &e);
	assert_int_equal(looked(), GUARD_IN_FORCE);
	assert_int_equal(pinned(), 2);
}

static void is_missed_when_a_pin_is_gone_or_a_link_detached(void **state)
{
	struct err e = {};

	guarded();
	sh("rm " WORLD_DIR ABI_FOLDER "/exit_v6_*");
	assert_int_equal(looked(), GUARD_MISSING);
	expect_ok(bpf_guard_apply(world_pins(), &e), &e);
	sh("for pin in " PINS "; do bpftool link detach pinned $pin; done");
	assert_int_equal(sent("127.0.0.2", world_mark(ID_V4)), 0);
	assert_int_equal(looked(), GUARD_MISSING);
	expect_ok(bpf_guard_apply(world_pins(), &e), &e);
	assert_int_equal(looked(), GUARD_IN_FORCE);
	assert_int_equal(sent("127.0.0.2", world_mark(ID_V4)), -EPERM);
}

static void goes_with_the_pins(void **state)
{
	struct err e = {};

	guarded();
	sh("for pin in " PINS "; do mv $pin ${pin%%_*}_00000000; done");
	assert_int_equal(looked(), GUARD_MISSING);
	expect_ok(bpf_guard_apply(world_pins(), &e), &e);
	assert_int_equal(pinned(), 2);
	sh("rm " PINS);
	assert_int_equal(sent("127.0.0.2", world_mark(ID_V4)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_out_what_has_the_address_of_its_mark),
		cmocka_unit_test(drops_and_counts_any_other_source),
		cmocka_unit_test(drops_what_should_have_gone_into_the_tunnel),
		cmocka_unit_test(leaves_alone_what_a_process_marks_with_no_address),
		cmocka_unit_test(is_there_once_however_often_it_is_applied),
		cmocka_unit_test(is_missed_when_a_pin_is_gone_or_a_link_detached),
		cmocka_unit_test(goes_with_the_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
