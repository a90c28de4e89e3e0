/* SPDX-License-Identifier: Apache-2.0 */
/* One pod's share of an address: real connections in the laboratory of testkit/nft_lab.h. */
#include "kernel/nft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/drop_reasons.h"
#include "testkit/netns_fixture.h"
#include "testkit/nft_lab.h"

#define PORT 7
#define ID4  16
#define ID6  18

struct limited {
	struct lab *l;
	struct nft_limit limits[2];
	struct nft_room rooms[4];
	int server[2]; /* IPv6, IPv4 */
};

static struct limited world;

static int teardown(void **state)
{
	lab_free(world.l);
	world = (struct limited){};
	return 0;
}

static void limit_to(uint32_t connections, uint32_t ports)
{
	world.limits[0] = (struct nft_limit){.id = ID4, .most = {connections, ports}};
	world.limits[1] = (struct nft_limit){.id = ID6, .most = {connections, ports}};
	world.l->m.limits = world.limits;
	world.l->m.n_limits = connections || ports ? 2 : 0;
	lab_apply(world.l);

	expect_rc(nft_observe(world.l->n, &world.l->m, &world.l->e), 0, &world.l->e);
}

static void begin(uint32_t connections, uint32_t ports)
{
	world.l = lab_new();
	world.server[1] = lab_socket(world.l->ext, SOCK_DGRAM, LAB_EXT4, PORT);
	world.server[0] = lab_socket(world.l->ext, SOCK_DGRAM, LAB_EXT6, PORT);
	limit_to(connections, ports);
}

/* Room for another comes when conntrack has forgotten one, and the kernel's list too. */
static int pod_socket(bool v4, uint16_t port)
{
	lab_mark_pod(LAB_ID(v4 ? ID4 : ID6));
	return lab_socket(world.l->pod, SOCK_DGRAM, v4 ? LAB_POD4 : LAB_POD6, port);
}

static void passes(bool v4, int fd)
{
	lab_datagram(fd, v4 ? LAB_EXT4 : LAB_EXT6, PORT, world.server[v4],
		     v4 ? "203.0.113.10" : "2001:db8::10");
}

static void is_refused(bool v4, int fd)
{
	lab_datagram(fd, v4 ? LAB_EXT4 : LAB_EXT6, PORT, world.server[v4], NULL);
}

static void a_pod_holds_so_many_connections_and_no_more(void **state)
{
	begin(3, 0);
	for (int v4 = 0; v4 < 2; v4++) {
		uint64_t before = lab_counted(world.l, SLU_DROP_POD_LIMIT);
		int fd[4];

		for (int i = 0; i < 4; i++)
			fd[i] = pod_socket(v4, 0);
		for (int i = 0; i < 3; i++)
			passes(v4, fd[i]);
		is_refused(v4, fd[3]);
		lab_expect_counted(world.l, SLU_DROP_POD_LIMIT, before + 1);
		for (int i = 0; i < 3; i++) /* those that it has go on */
			passes(v4, fd[i]);
		limit_to(5, 0);
		passes(v4, fd[3]);
		limit_to(3, 0);
		for (int i = 0; i < 4; i++)
			close(fd[i]);
	}
}

static void another_pod_and_another_address_are_not_concerned(void **state)
{
	int one, other;

	begin(1, 1);
	lab_sh(world.l->pod, "ip addr add 10.0.0.3/24 dev eth0");
	passes(true, one = pod_socket(true, 0));
	is_refused(true, other = pod_socket(true, 0));
	close(other);
	other = lab_socket(world.l->pod, SOCK_DGRAM, "10.0.0.3", 0);
	passes(true, other);
	close(other);
	lab_mark_pod(LAB_ID(17));
	other = lab_socket(world.l->pod, SOCK_DGRAM, LAB_POD4, 0);
	lab_datagram(other, LAB_EXT4, PORT, world.server[1], "203.0.113.11");
	close(other);
	close(one);
}

static void a_port_counts_once_however_many_connections_it_has(void **state)
{
	int more = 0;

	begin(0, 2);
	for (int v4 = 0; v4 < 2; v4++) {
		const char *to = v4 ? LAB_EXT4 : LAB_EXT6;
		const char *as = v4 ? "203.0.113.10" : "2001:db8::10";
		int first = pod_socket(v4, 4000), second = pod_socket(v4, 4001), third;

		passes(v4, first);
		passes(v4, second);
		for (uint16_t port = 8; port < 12; port++) {
			more = lab_socket(world.l->ext, SOCK_DGRAM, to, port);
			lab_datagram(first, to, port, more, as);
			close(more);
		}
		is_refused(v4, third = pod_socket(v4, 4002));
		close(first);
		close(second);
		close(third);
	}
}

static void what_conntrack_has_forgotten_counts_no_more(void **state)
{
	int one, other;

	begin(1, 1);
	passes(true, one = pod_socket(true, 0));
	is_refused(true, other = pod_socket(true, 0));
	sh("conntrack -D -s " LAB_POD4 " >/dev/null");
	for (int tries = 0; tries < LAB_SOON / 200; tries++) {
		lab_send(other, LAB_EXT4, PORT, "x");
		if (lab_receive(world.server[1], 200, NULL))
			break;
	}
	passes(true, other);
	close(one);
	close(other);
}

/* ---- rooms ---- */

static struct addr pod_addr(bool v4)
{
	struct addr a;

	assert_int_equal(addr_parse(v4 ? LAB_POD4 : LAB_POD6, &a), 0);
	return a;
}

/* Of both families: so many more in this slot. */
static void room_put(enum nft_limit_kind kind, uint32_t slot, uint32_t more, uint32_t serial)
{
	for (int v4 = 0; v4 < 2; v4++)
		world.rooms[2 * slot + (unsigned int)v4] = (struct nft_room){
			.pod = pod_addr(v4),
			.id = v4 ? ID4 : ID6,
			.more = more,
			.serial = serial,
			.kind = kind,
			.slot = slot,
		};
	world.l->m.rooms = world.rooms;
	world.l->m.n_rooms = 2 * (slot + 1);
}

/* So many more pass, and the next one does not. */
static void begins(bool v4, int *fd, int n)
{
	for (int i = 0; i < n; i++)
		passes(v4, fd[i] = pod_socket(v4, 0));
	is_refused(v4, fd[n] = pod_socket(v4, 0));
}

static void close_all(int *fd, int n)
{
	for (int i = 0; i < n; i++)
		close(fd[i]);
}

static void who_has_a_room_begins_so_many_more(void **state)
{
	int had[2], more[4];

	begin(0, 0);
	for (int v4 = 0; v4 < 2; v4++) {
		for (int i = 0; i < 2; i++)
			passes(v4, had[i] = pod_socket(v4, 0));
		room_put(NFT_CONNECTIONS, 0, 3, 7);
		limit_to(5, 0);
		begins(v4, more, 3);
		for (int i = 0; i < 2; i++) /* those that it has go on */
			passes(v4, had[i]);
		close_all(had, 2);
		close_all(more, 4);
		world.l->m.n_rooms = 0;
		limit_to(0, 0);
	}
}

static void of_two_rooms_the_narrower_one_holds(void **state)
{
	int fd[4];

	begin(0, 0);
	room_put(NFT_CONNECTIONS, 0, 1, 7);
	room_put(NFT_CONNECTIONS, 1, 3, 8);
	limit_to(5, 0);
	begins(true, fd, 1);
	close_all(fd, 2);
	room_put(NFT_CONNECTIONS, 0, 4, 9);
	room_put(NFT_CONNECTIONS, 1, 0, 10);
	limit_to(5, 0);
	begins(true, fd, 0);
	close(fd[0]);
}

static void a_room_of_ports_counts_those_that_are_new(void **state)
{
	int fd[3], server;

	begin(0, 0);
	room_put(NFT_PORTS, 0, 2, 7);
	limit_to(0, 5);
	for (int v4 = 0; v4 < 2; v4++) {
		begins(v4, fd, 2);
		server = lab_socket(world.l->ext, SOCK_DGRAM, v4 ? LAB_EXT4 : LAB_EXT6, 8);
		lab_datagram(fd[0], v4 ? LAB_EXT4 : LAB_EXT6, 8, server,
			     v4 ? "203.0.113.10" : "2001:db8::10");
		close(server);
		close_all(fd, 3);
	}
}

static void over_an_edit_both_numbers_hold(void **state)
{
	int fd[4], more[2];

	begin(3, 0);
	begins(true, fd, 2 + 1);
	for (size_t i = 0; i < 2; i++)
		world.limits[i] = (struct nft_limit){
			.id = i ? ID6 : ID4, .most = {5}, .before = {3}};
	lab_apply(world.l);
	begins(true, more, 0);
	close(more[0]);
	/* what is counted by the first from here on is all that began since */
	limit_to(5, 0);
	passes(true, more[0] = pod_socket(true, 0));
	close_all(fd, 4);
	close(more[0]);
}

static void what_is_in_force_is_read_back(void **state)
{
	struct nft_limits l;

	begin(0, 0);
	room_put(NFT_PORTS, 0, 3, NFT_ROOM_SERIALS);
	room_put(NFT_CONNECTIONS, 1, INT32_MAX, 8);
	limit_to(6, 5);
	world.limits[1].before[NFT_PORTS] = 4;
	lab_apply(world.l);
	expect_ok(nft_limits_load(world.l->n, world.l->m.mark_mask, &l, &world.l->e), &world.l->e);
	assert_int_equal(l.n_limits, 2);
	for (size_t i = 0; i < 2; i++)
		assert_memory_equal(&l.limits[i], &world.limits[l.limits[i].id == ID6],
				    sizeof(*l.limits));
	assert_int_equal(l.n_rooms, 4);
	for (size_t i = 0; i < 4; i++) {
		bool found = false;

		for (size_t k = 0; k < 4; k++)
			found |= memcmp(&l.rooms[i], &world.rooms[k], sizeof(*l.rooms)) == 0;
		assert_true(found);
	}
	nft_limits_done(&l);
	assert_int_equal(nft_built(world.l->n), 1);
	sh("nft delete table inet sluice");
	expect_ok(nft_limits_load(world.l->n, world.l->m.mark_mask, &l, &world.l->e), &world.l->e);
	assert_int_equal(l.n_limits + l.n_rooms, 0);
	lab_apply(world.l);
	assert_int_equal(nft_built(world.l->n), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_pod_holds_so_many_connections_and_no_more, teardown),
		cmocka_unit_test_teardown(another_pod_and_another_address_are_not_concerned,
					  teardown),
		cmocka_unit_test_teardown(a_port_counts_once_however_many_connections_it_has,
					  teardown),
		cmocka_unit_test_teardown(what_conntrack_has_forgotten_counts_no_more, teardown),
		cmocka_unit_test_teardown(who_has_a_room_begins_so_many_more, teardown),
		cmocka_unit_test_teardown(of_two_rooms_the_narrower_one_holds, teardown),
		cmocka_unit_test_teardown(a_room_of_ports_counts_those_that_are_new, teardown),
		cmocka_unit_test_teardown(over_an_edit_both_numbers_hold, teardown),
		cmocka_unit_test_teardown(what_is_in_force_is_read_back, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
