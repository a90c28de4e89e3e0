/* SPDX-License-Identifier: Apache-2.0 */
/* A Service's address that leads outside is judged as the endpoints behind it. */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "testkit/bpf_fixture.h"

#define PROG	BPF_PROG_FROM_POD
#define SERVICE "10.96.0.10"
#define CHECK	world_mark(SLU_ID_CHECK)
#define REMOTE	(WORLD_DIVERT | world_mark(18))

static struct slu_endpoint udp(const char *addr, uint16_t port)
{
	return (struct slu_endpoint){world_addr(addr), (uint32_t)IPPROTO_UDP << 16 | port};
}

static struct slu_endpoint udp_in(enum world_net net, uint16_t port)
{
	char addr[48];

	world_net(net, 0, addr);
	return udp(addr, port);
}

/* By SERVICE, port 53. */
static void service_set(const struct slu_endpoint *to, uint32_t n)
{
	const struct slu_lpm_key host = world_prefix(SERVICE, 32);
	const uint32_t flags = SLU_INSIDE_ALL | SLU_INSIDE_POD | SLU_INSIDE_SERVICE;
	const struct slu_endpoint at = udp(SERVICE, 53);
	struct slu_service s = {.n = n};
	struct err e = {0};

	memcpy(s.at, to, n * sizeof(*to));
	assert_int_equal(bpf_map_set(world_pins(), BPF_MAP_SERVICES, &at, &s, &e), 0);
	assert_int_equal(bpf_map_set(world_pins(), BPF_MAP_INSIDE, &host, &flags, &e), 0);
	world_epoch();
}

static void expect_mark(uint16_t port, uint32_t mark, const char *what)
{
	struct packet p;

	world_udp(&p, POD_V4, SERVICE, port);
	world_expect_mark(PROG, &p, mark, what);
	world_expect_mark(PROG, &p, mark, what); /* and once more, from what is remembered */
}

static void expect_drop(enum slu_reason reason, const char *what)
{
	struct packet p;

	world_udp(&p, POD_V4, SERVICE, 53);
	world_expect_drop(PROG, &p, reason, what);
	world_expect_drop(PROG, &p, reason, what);
}

static void judges_a_service_as_its_endpoint_outside(void **state)
{
	static const struct {
		enum world_net net;
		uint32_t id;
		bool divert;
	} rows[] = {
		{NET_AS_NODE, SLU_ID_CHECK, false},
		{NET_DENIED, SLU_DROP_DENIED, false},
		{NET_LOCAL, 16, false},
		{NET_REMOTE, 18, true},
		{NET_REJECTED, SLU_DROP_REJECTED, false},
	};
	struct slu_endpoint to;

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		to = udp_in(rows[i].net, 5353);
		service_set(&to, 1);
		expect_mark(53, (rows[i].divert ? WORLD_DIVERT : 0) | world_mark(rows[i].id),
			    "its endpoint decides");
		expect_mark(54, CHECK, "another port is no port of the Service");
	}
	/* by the endpoint's port and not the Service's: NET_PORTS allows UDP 53 alone */
	to = udp_in(NET_PORTS, 53);
	service_set(&to, 1);
	expect_mark(53, CHECK, "allowed port");
	to = udp_in(NET_PORTS, 54);
	service_set(&to, 1);
	expect_mark(53, world_mark(SLU_DROP_DENIED), "denied port");
}

static void endpoints_that_are_judged_differently_close_a_service(void **state)
{
	struct slu_endpoint to[SLU_MAX_ENDPOINTS];

	world();
	world_pod_set(POD_GOVERNED, 0);
	for (size_t i = 0; i < SLU_MAX_ENDPOINTS; i++)
		to[i] = udp_in(NET_REMOTE, (uint16_t)(5000 + i));
	service_set(to, SLU_MAX_ENDPOINTS);
	expect_mark(53, REMOTE, "all alike");
	to[SLU_MAX_ENDPOINTS - 1] = udp_in(NET_DENIED, 5353);
	service_set(to, SLU_MAX_ENDPOINTS);
	expect_drop(SLU_DROP_SERVICE_OUTSIDE, "one is denied");
	to[SLU_MAX_ENDPOINTS - 1] = udp_in(NET_LOCAL, 5353);
	service_set(to, SLU_MAX_ENDPOINTS);
	expect_drop(SLU_DROP_SERVICE_OUTSIDE, "one leaves as another address");
	service_set(to, SLU_MAX_ENDPOINTS - 1);
	expect_mark(53, REMOTE, "without it");
	service_set(to, 0);
	expect_drop(SLU_DROP_SERVICE_OUTSIDE, "more of them than fit");
}

static void what_nobody_may_judge_does_not_pass_by_a_service(void **state)
{
	struct slu_endpoint to;
	struct packet p;

	world();
	to = udp_in(NET_AS_NODE, 5353);
	service_set(&to, 1);
	world_pod_set(POD_QUARANTINED, 0);
	expect_mark(53, world_mark(SLU_DROP_QUARANTINE), "quarantined");
	expect_mark(54, CHECK, "no port of the Service");
	world_udp(&p, POD_V4, "10.96.0.11", 53);
	world_expect_mark(PROG, &p, CHECK, "a Service that stays inside");
	world_pod_set(POD_FREE, 0);
	expect_mark(53, 0, "no policy");
	world_pod_set(POD_WITHOUT_MAP, 0);
	expect_mark(53, world_mark(SLU_DROP_NO_POLICY), "its policy is not there");
}

/* By the Service's address and port, as the pod sends it and conntrack knows it. */
static void keeps_what_is_open_to_a_service_that_leads_outside(void **state)
{
	struct slu_endpoint to[2] = {udp_in(NET_LOCAL, 5353), udp_in(NET_LOCAL, 5354)};
	struct packet p;

	world();
	service_set(to, 2);
	world_udp(&p, POD_V4, SERVICE, 53);
	world_keep(IPPROTO_UDP, WORLD_UDP_SPORT, SERVICE, 53, 18);
	world_pod_set(POD_GOVERNED, 0);
	expect_mark(53, world_mark(16), "the pod is not flagged");
	world_pod_kept(POD_GOVERNED, 1);
	expect_mark(53, REMOTE, "what it began as");
	expect_mark(54, CHECK, "no port of the Service");
	to[1] = udp_in(NET_DENIED, 5354);
	service_set(to, 2);
	expect_drop(SLU_DROP_SERVICE_OUTSIDE, "its endpoints do not agree any more");
	service_set(&to[1], 1);
	expect_mark(53, world_mark(SLU_DROP_DENIED), "a verdict counts at once");
	world_pod_kept(POD_FREE, 0);
	expect_mark(53, REMOTE, "no policy selects the pod any more");
	expect_mark(54, CHECK, "nor what is inside");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_a_service_as_its_endpoint_outside),
		cmocka_unit_test(endpoints_that_are_judged_differently_close_a_service),
		cmocka_unit_test(keeps_what_is_open_to_a_service_that_leads_outside),
		cmocka_unit_test(what_nobody_may_judge_does_not_pass_by_a_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
