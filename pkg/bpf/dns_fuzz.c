/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a resolver on their way to a pod, by UDP and, in segments of any size, by TCP:
 * slu_to_pod in the kernel learns what a reader written straight from RFC 1035 says. The input
 * either is the message, or chooses its names, records and damage. The kernel gives no coverage;
 * that of the reference and of what makes the messages leads the way.
 */
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testkit/dns_random.h"
#include "testkit/frame_script.h"

#define NEEDS_ROOT 69 /* scripts/fuzz */
#define FIRST	   0xfffff000u
#define CUTS	   4
#define SEGMENT	   1400 /* what a packet of the testkit has room for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct script s;
static uint8_t cuts[CUTS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (geteuid() != 0) {
		fprintf(stderr, "needs root\n");
		exit(NEEDS_ROOT);
	}
	return 0;
}

static uint32_t below(uint32_t n)
{
	uint32_t v = script_byte(&s);

	if (n > 256)
		v = v << 8 | script_byte(&s);
	return n > 65536 ? (v << 16 | (uint32_t)script_byte(&s) << 8 | script_byte(&s)) % n : v % n;
}

static void segment(uint16_t port, uint8_t flags, uint32_t seq, const uint8_t *b, size_t n)
{
	const struct names_segment seg = {RESOLVER_V6, port, flags, seq, b, n};

	if (names_see_segment(&seg) != (uint32_t)TC_ACT_UNSPEC)
		abort();
}

/* A new connection with this one message. */
static void tell_by_tcp(const struct dns_message *m)
{
	static uint8_t stream[2 + DNS_MESSAGE_MAX];
	static uint16_t port = 20000;
	size_t at = 0, len = 2 + m->n;

	stream[0] = (uint8_t)(m->n >> 8);
	stream[1] = (uint8_t)m->n;
	memcpy(stream + 2, m->b, m->n);
	port = port < 60000 ? port + 1 : 20000;
	segment(port, PACKET_TCP_SYN | PACKET_TCP_ACK, FIRST, NULL, 0);
	for (size_t i = 0; at < len; i++) {
		size_t n = i < CUTS && cuts[i] ? cuts[i] : SEGMENT;

		n = n < len - at ? n : len - at;
		segment(port, PACKET_TCP_ACK, FIRST + 1 + (uint32_t)at, stream + at, n);
		at += n;
	}
}

static void disagree(const char *how, const struct dns_message *m, const char *wrong)
{
	fprintf(stderr, "%s, message\n", how);
	for (size_t i = 0; i < m->n; i++)
		fprintf(stderr, "%02x%s", m->b[i], i + 1 == m->n ? "\n" : "");
	fprintf(stderr, "%s\n", wrong);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_message m;
	static bool ready;
	struct dns_judged judged;
	const char *wrong;
	bool tcp;
	int how;

	if (!ready)
		names_world();
	ready = true;
	s = (struct script){data, size};
	how = script_byte(&s);
	tcp = how & 1;
	for (size_t i = 0; tcp && i < CUTS; i++)
		cuts[i] = script_byte(&s);
	if (how & 2) {
		m = (struct dns_message){.n = s.left < SLU_DNS_MAX ? s.left : SLU_DNS_MAX};
		if (!m.n)
			return 0;
		memcpy(m.b, s.data, m.n);
	} else {
		dns_random_make(&m, below);
	}
	if (m.n > (tcp ? SLU_DNS_MAX : SEGMENT))
		return 0;
	wrong = dns_random_judge(&m, tcp ? tell_by_tcp : names_tell, &judged);
	if (wrong)
		disagree(tcp ? "by TCP" : "by UDP", &m, wrong);
	return 0;
}
