/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/gateway_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>

#include "testkit/addr_fixture.h"

struct keyring gateway_ring(const char *text)
{
	struct keyring ring = {0};
	struct err e = {0};

	if (keyring_parse(text, strlen(text), &ring, &e) < 0)
		fail_msg("%s", e.msg);
	return ring;
}

struct move_flow gateway_flow(const char *seen, uint16_t port)
{
	bool v4 = !strchr(seen, ':');

	return (struct move_flow){
		.src = addr_of(v4 ? "10.244.1.5" : "fd00::5"),
		.dst = addr_of(v4 ? "198.51.100.7" : "2001:db8:1::7"),
		.seen = addr_of(seen),
		.node = addr_of("172.31.7.11"),
		.sport = port,
		.dport = 443,
		.seen_port = port,
		.proto = IPPROTO_TCP,
		.tcp_state = 3,
		.tcp_wscale = {7, 8},
		.answered = true,
		.assured = true,
		.timeout = 600,
	};
}
