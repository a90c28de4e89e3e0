/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other people's chains between ours do to packets, and what becomes of them: marks and
 * priorities that are written over.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/drop_reasons.h"
#include "testkit/netns_fixture.h"
#include "testkit/nft_lab.h"

#define EXT4 LAB_EXT4
#define POD4 LAB_POD4

/* An identity is a property of the connection: what lost its mark must not leave without it. */
static void a_mark_that_others_wrote_over_costs_the_packet(void **state)
{
	struct lab *l = lab_fresh(state);

	sh("nft add chain inet t clobber '{ type filter hook prerouting priority -150; }' && "
	   "nft add rule inet t clobber meta mark set 1");
	lab_mark_pod(LAB_ID(16));
	lab_pod_is_seen_as(l, true, NULL);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 1);
}

/* A verdict is written in the priority as well, so it outlives such a tool, as what is allowed
 * does. */
static void a_verdict_outlives_the_mark(void **state)
{
	struct lab *l = lab_fresh(state);

	sh("nft add chain inet t clobber '{ type filter hook prerouting priority -150; }' && "
	   "nft add rule inet t clobber meta mark set 0x%x",
	   LAB_FOREIGN);
	sh("nft add chain inet t cni '{ type nat hook postrouting priority 100; }' && "
	   "nft add rule inet t cni oifname e0 masquerade");
	lab_mark_pod(LAB_ID(SLU_DROP_DENIED));
	lab_pod_is_seen_as(l, true, NULL);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 1);
	lab_mark_pod(LAB_ID(SLU_ID_CHECK));
	lab_pod_is_seen_as(l, true, "203.0.113.1");
}

/* Who classifies packets in mangle writes over the priority: then the mark says it all. */
static void a_mark_outlives_the_priority(void **state)
{
	struct lab *l = lab_fresh(state);
	int far = lab_socket(l->tun, SOCK_DGRAM, EXT4, 7);
	int c = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);

	sh("nft add chain inet t clobber '{ type filter hook prerouting priority -150; }' && "
	   "nft add rule inet t clobber meta priority set 1:2");
	sh("nft add chain inet t cni '{ type nat hook postrouting priority 100; }' && "
	   "nft add rule inet t cni oifname e0 masquerade");
	lab_mark_pod(LAB_ID(16));
	lab_pod_is_seen_as(l, true, "203.0.113.10");
	lab_mark_pod(LAB_ID(SLU_ID_CHECK));
	lab_pod_is_seen_as(l, true, "203.0.113.1");
	lab_mark_pod(LAB_ID(SLU_DROP_DENIED));
	lab_pod_is_seen_as(l, true, NULL);
	lab_expect_counted(l, SLU_DROP_DENIED, 1);
	lab_mark_pod(LAB_DIVERT | LAB_ID(900));
	lab_datagram(c, EXT4, 7, far, POD4);
	close(far), close(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_mark_that_others_wrote_over_costs_the_packet),
		TEST(a_verdict_outlives_the_mark),
		TEST(a_mark_outlives_the_priority),
	};

	return cmocka_run_group_tests_name("nft and others", tests, NULL, NULL);
}
