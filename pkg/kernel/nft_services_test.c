/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of packets that were translated, in the laboratory of testkit/nft_lab.h. */
#include "kernel/nft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/drop_reasons.h"
#include "testkit/addr_fixture.h"
#include "testkit/netns_fixture.h"
#include "testkit/nft_lab.h"

#define EXT4 LAB_EXT4
#define POD4 LAB_POD4

/* Services: 198.51.100.1 leads to the outside server, .2 to 10.9.0.5, which is inside. */
static void services(struct lab *l)
{
	sh("ip route add 10.9.0.0/16 via 10.99.0.2");
	sh("nft add chain inet t svc '{ type nat hook prerouting priority -100; }' && "
	   "nft add rule inet t svc ip daddr 198.51.100.1 dnat ip to " EXT4 " && "
	   "nft add rule inet t svc ip daddr 198.51.100.2 dnat ip to 10.9.0.5");
	sh("nft add chain inet t cni '{ type nat hook postrouting priority 100; }' && "
	   "nft add rule inet t cni oifname e0 masquerade");
}

static void destinations_are_judged_again_behind_a_service(void **state)
{
	struct lab *l = lab_fresh(state);
	int outside = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	int inside = lab_socket(l->tun, SOCK_DGRAM, "10.9.0.5", 7);
	static const uint32_t marks[] = {LAB_ID(SLU_ID_CHECK), LAB_ID(16), LAB_DIVERT | LAB_ID(16)};
	size_t i;

	services(l);
	for (i = 0; i < 3; i++) {
		int c = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);

		lab_mark_pod(marks[i]);
		lab_datagram(c, "198.51.100.1", 7, outside, NULL);
		lab_expect_counted(l, SLU_DROP_SERVICE_OUTSIDE, i + 1);
		/* the second belongs to a connection that has an answer */
		lab_datagram(c, "198.51.100.2", 7, inside, POD4);
		lab_datagram(c, "198.51.100.2", 7, inside, POD4);
		close(c);
	}
	lab_mark_pod(LAB_ID(SLU_ID_CHECK)); /* no service: allowed, as the node */
	close(outside);
	outside = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	{
		int c = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);

		lab_datagram(c, EXT4, 7, outside, "203.0.113.1");
		close(c);
	}
	lab_expect_counted(l, SLU_DROP_SERVICE_OUTSIDE, 3);
	assert_false(lab_foreign_lost());
	close(inside), close(outside);
}

/* The Service is known, and who judged the packet judged it as its endpoint. */
static void a_service_passes_as_the_endpoint_it_was_judged_as(void **state)
{
	struct lab *l = lab_fresh(state);
	int outside = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	int c = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);
	struct nft_service known[] = {
		{addr_of("198.51.100.1"), addr_of(EXT4), 7, 7, IPPROTO_UDP},
		{addr_of("fd00:96::1"), addr_of("2001:db8::100"), 7, 7, IPPROTO_UDP},
	};
	static const struct {
		uint16_t port, endpoint_port;
		uint8_t proto;
	} others[] = {{7, 8, IPPROTO_UDP}, {8, 7, IPPROTO_UDP}, {7, 7, IPPROTO_TCP}};

	services(l);
	l->m.services = known, l->m.n_services = 2;
	lab_apply(l);
	assert_int_equal(nft_observe(l->n, &l->m, &l->e), 0);
	lab_mark_pod(LAB_ID(SLU_ID_CHECK));
	lab_datagram(c, "198.51.100.1", 7, outside, "203.0.113.1");
	lab_mark_pod(LAB_ID(16));
	close(c), c = lab_socket(l->pod, SOCK_DGRAM, POD4, 0);
	lab_datagram(c, "198.51.100.1", 7, outside, "203.0.113.10");
	lab_expect_counted(l, SLU_DROP_SERVICE_OUTSIDE, 0);
	/* closed beforehand, twice: what is gone is no error, and the others stay */
	for (int i = 0; i < 2; i++)
		assert_int_equal(nft_services_close(l->n, known, 1, &l->e), 0);
	assert_int_equal(nft_observe(l->n, &l->m, &l->e), 1);
	lab_datagram(c, "198.51.100.1", 7, outside, NULL);
	lab_expect_counted(l, SLU_DROP_SERVICE_OUTSIDE, 1);
	l->m.services = known + 1, l->m.n_services = 1;
	assert_int_equal(nft_observe(l->n, &l->m, &l->e), 0);
	l->m.services = known, l->m.n_services = 2;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		known[0].port = others[i].port;
		known[0].endpoint_port = others[i].endpoint_port;
		known[0].proto = others[i].proto;
		lab_apply(l);
		lab_datagram(c, "198.51.100.1", 7, outside, NULL);
		lab_expect_counted(l, SLU_DROP_SERVICE_OUTSIDE, i + 2);
	}
	assert_false(lab_foreign_lost());
	close(c), close(outside);
}

/* And so is what comes by the tunnel, where a gateway translates it. */
static void a_request_by_the_tunnel_is_judged_behind_a_service_too(void **state)
{
	struct lab *l = lab_fresh(state);
	int outside = lab_socket(l->ext, SOCK_DGRAM, EXT4, 7);
	int inside = lab_socket(l->pod, SOCK_DGRAM, POD4, 7);
	int c = lab_socket(l->tun, SOCK_DGRAM, "10.9.0.5", 0);

	services(l);
	sh("nft add rule inet t svc ip daddr 198.51.100.3 dnat ip to " POD4);
	lab_mark_tunnel(LAB_ID(16), 14);
	for (unsigned int i = 1; i <= 2; i++) {
		lab_datagram(c, "198.51.100.1", 7, outside, NULL);
		lab_expect_counted(l, SLU_DROP_SERVICE_OUTSIDE, i);
		lab_datagram(c, "198.51.100.3", 7, inside, "10.9.0.5");
	}
	close(outside), close(inside), close(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(destinations_are_judged_again_behind_a_service),
		TEST(a_request_by_the_tunnel_is_judged_behind_a_service_too),
		TEST(a_service_passes_as_the_endpoint_it_was_judged_as),
	};

	return cmocka_run_group_tests_name("nft services", tests, NULL, NULL);
}
