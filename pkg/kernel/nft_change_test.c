/* SPDX-License-Identifier: Apache-2.0 */
/* What connections notice while the table changes: nothing. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <string.h>

#include "bpf/drop_reasons.h"
#include "testkit/netns_fixture.h"
#include "testkit/nft_lab.h"

#define FLOOD	 8000
#define PER_FLOW 20
#define TURNS	 100

/* A child that sends from the pod, a new connection every PER_FLOW packets, about 10 000 a second.
 */
static pid_t flood(struct lab *l)
{
	pid_t pid = fork();
	int fd = -1, i;

	if (pid != 0)
		return pid;
	for (i = 0; i < FLOOD; i++) {
		if (i % PER_FLOW == 0) {
			close(fd);
			fd = lab_socket(l->pod, SOCK_DGRAM, LAB_POD4, 0);
		}
		while (lab_send(fd, LAB_EXT4, 7, "x") == -ENOBUFS)
			;
		usleep(40);
	}
	_exit(0);
}

/*
 * How many arrive while each() changes something a hundred times, spread over the
 * whole flood; any other source fails the test.
 */
static unsigned int received_meanwhile(struct lab *l, void (*each)(struct lab *, unsigned int))
{
	int server = lab_socket(l->ext, SOCK_DGRAM, LAB_EXT4, 7), size = 64 << 20;
	unsigned int n = 0, turn = 0;
	const char *from;
	bool ended = false;
	pid_t pid;

	setsockopt(server, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	pid = flood(l);
	/* what it sent is here when it has ended */
	while ((from = lab_receive(server, LAB_NEVER, NULL)) || !ended) {
		if (!from)
			ended = waitpid(pid, NULL, WNOHANG) == pid;
		else if (strcmp(from, "203.0.113.10") != 0)
			fail_msg("turn %u: seen as %s", turn, from);
		if (from && n++ % (FLOOD / TURNS) == 0)
			each(l, turn++);
	}
	assert_in_range(turn, TURNS - 2, TURNS);
	close(server);
	return n;
}

static void change_elements(struct lab *l, unsigned int turn)
{
	l->m.n_addresses = 1 + turn % 3;
	l->m.n_nodes = turn % 3;
	l->m.n_inside = turn % 5;
	l->m.n_tunnel_ends = turn / 2 % 3;
	lab_apply(l);
}

static void a_hundred_changes_under_traffic_lose_nothing(void **state)
{
	struct lab *l = lab_fresh(state);

	lab_mark_pod(LAB_ID(16));
	assert_int_equal(received_meanwhile(l, change_elements), FLOOD);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 0);
}

static void build_anew(struct lab *l, unsigned int turn)
{
	if (turn % 10 != 0)
		return;
	sh("nft flush chain inet sluice service");
	lab_apply(l);
}

static void a_table_built_anew_under_traffic_leaks_nothing(void **state)
{
	struct lab *l = lab_fresh(state);

	lab_mark_pod(LAB_ID(16));
	assert_int_equal(received_meanwhile(l, build_anew), FLOOD);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 0);
}

/* As an update of Sluice does, when running pods have the chains of the one before. */
static void build_from_another(struct lab *l, unsigned int turn)
{
	if (turn % 10 != 0)
		return;
	sh("nft 'rename chain inet sluice prerouting_raw raw_before;"
	   " rename chain inet sluice prerouting_marks marks_before;"
	   " rename chain inet sluice postrouting_nat nat_before;"
	   " rename chain inet sluice postrouting_exit exit_before;"
	   " add chain inet sluice forward_before { type filter hook forward priority -150; };"
	   " add rule inet sluice forward_before udp dport 5347 drop'");
	lab_apply(l);
	sh("! nft list table inet sluice | grep before");
}

static void other_chains_give_way_to_ours_under_traffic(void **state)
{
	struct lab *l = lab_fresh(state);

	lab_mark_pod(LAB_ID(16));
	assert_int_equal(received_meanwhile(l, build_from_another), FLOOD);
	lab_expect_counted(l, SLU_DROP_EXIT_SOURCE, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_hundred_changes_under_traffic_lose_nothing),
		TEST(a_table_built_anew_under_traffic_leaks_nothing),
		TEST(other_chains_give_way_to_ours_under_traffic),
	};

	return cmocka_run_group_tests_name("nft changes", tests, NULL, NULL);
}
