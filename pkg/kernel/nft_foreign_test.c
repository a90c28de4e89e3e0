/* SPDX-License-Identifier: Apache-2.0 */
/* Other people's tables: their forward policies, and news of what they do to ours. */
#include "kernel/nft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "bpf/abi.h"
#include "testkit/netns_fixture.h"

struct fixture {
	struct nft *n;
	struct nft_model m;
	struct addr end;
	uint32_t node;
	struct err e;
};

static struct fixture *fresh(void **state)
{
	struct fixture *f;

	netns_fresh();
	f = *state = mem_alloc0(sizeof(*f));
	f->node = 1;
	assert_int_equal(addr_parse("192.0.2.1", &f->end), 0);
	f->m = (struct nft_model){.mark_mask = SLU_MARK_MASK_DEFAULT,
				  .port = SLU_TUNNEL_PORT_DEFAULT,
				  .nodes = &f->node,
				  .n_nodes = 1,
				  .tunnel_ends = &f->end,
				  .n_tunnel_ends = 1};
	expect_ok(nft_open(&f->n, &f->e), &f->e);
	return f;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f)
		nft_close(f->n);
	free(f);
	return 0;
}

static void applies(struct fixture *f)
{
	expect_ok(nft_apply(f->n, &f->m, &f->e), &f->e);
}

static void events_are_those_of_others(void **state)
{
	struct fixture *f = fresh(state);
	int fd = -1, size = 4096;

	expect_ok(nft_events_open(&fd, &f->e), &f->e);
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 0);
	applies(f);
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 0);
	sh("nft delete element inet sluice ends4 '{ 192.0.2.1 }'");
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 1);
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 0);
	sh("nft add table inet other");
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 1);
	sh("nft add set inet other s '{ type mark; }'");
	sh("nft add chain inet other c '{ type filter hook input priority 0; }'");
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 0);
	sh("nft add chain inet other f '{ type filter hook forward priority 0; policy drop; }'");
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 1);
	sh("nft insert rule inet sluice node-1 accept");
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	sh("nft flush ruleset");
	assert_int_equal(nft_events_read(fd, nft_portid(f->n), &f->e), 2);
	close(fd);
}

static void finds_forward(struct fixture *f, const char *name)
{
	char buf[128];

	expect_ok(nft_forward_drop(f->n, 0, buf, sizeof(buf), &f->e), &f->e);
	assert_string_equal(buf, name);
}

static void a_forward_policy_of_drop_is_named(void **state)
{
	struct fixture *f = fresh(state);

	applies(f);
	finds_forward(f, "");
	/* asked for, a legacy table would have been made */
	sh("! grep -q . /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null");
	sh("nft add table ip t");
	sh("nft add chain ip t c '{ type filter hook forward priority 0; policy accept; }'");
	sh("nft add chain ip t d '{ type filter hook input priority 0; policy drop; }'");
	finds_forward(f, "");
	sh("nft 'chain ip t c { policy drop; }'");
	finds_forward(f, "ip t c");
	sh("nft delete table ip t");
	sh("iptables -P FORWARD DROP");
	finds_forward(f, "ip filter FORWARD");
	sh("iptables -P FORWARD ACCEPT");
	finds_forward(f, "");
}

static void legacy_iptables_is_asked_too(void **state)
{
	struct fixture *f = fresh(state);

	if (sh_status("iptables-legacy -P FORWARD ACCEPT") != 0) {
		print_message("skipped: no legacy iptables here\n");
		skip();
	}
	finds_forward(f, "");
	sh("iptables-legacy -A FORWARD -s 10.0.0.0/8 -j ACCEPT");
	sh("iptables-legacy -N mine && iptables-legacy -A INPUT -j mine");
	sh("iptables-legacy -P INPUT DROP");
	finds_forward(f, "");
	sh("iptables-legacy -P FORWARD DROP");
	finds_forward(f, "ip filter FORWARD (legacy iptables)");
	sh("iptables-legacy -P FORWARD ACCEPT");
	sh("ip6tables-legacy -A FORWARD -s fd00::/8 -j ACCEPT && ip6tables-legacy -P FORWARD DROP");
	finds_forward(f, "ip6 filter FORWARD (legacy iptables)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(events_are_those_of_others),
		TEST(a_forward_policy_of_drop_is_named),
		TEST(legacy_iptables_is_asked_too),
	};

	return cmocka_run_group_tests_name("nft foreign", tests, NULL, NULL);
}
