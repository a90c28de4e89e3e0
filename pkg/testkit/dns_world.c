/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/dns_world.h"

#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "testkit/netns_fixture.h"

static const char *const patterns[NAMES_N] = NAMES_PATTERNS;

void names_pattern(const char *pattern, uint32_t id)
{
	bool below = strncmp(pattern, "*.", 2) == 0;
	const char *name = below ? pattern + 2 : pattern;
	struct slu_name key = {.text = ""};
	struct slu_pattern value = {0};
	size_t n = strlen(name);
	struct err e = {0};

	for (size_t i = 0; i < n; i++)
		key.text[i] = name[n - 1 - i];
	bpf_map_lookup(world_pins(), BPF_MAP_PATTERNS, &key, &value, &e);
	*(below ? &value.below : &value.exact) = id;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PATTERNS, &key, &value, &e), &e);
}

void names_world(void)
{
	struct slu_config c;
	struct err e = {0};
	uint32_t zero = 0;

	world();
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_CONFIG, &zero, &c, &e), &e);
	c.dns_min_ttl = MIN_TTL;
	c.dns_grace = GRACE;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &c, &e), &e);
	for (uint32_t i = 0; i < NAMES_N; i++)
		names_pattern(patterns[i], i + 1);
	names_forget();
}

void names_forget(void)
{
	__cleanup_free void *keys = NULL;
	__cleanup_free void *values = NULL;
	struct err e = {0};
	size_t n = 0;

	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_NAMED, &keys, &values, &n, &e), &e);
	for (size_t i = 0; i < n; i++)
		expect_ok(bpf_map_delete(world_pins(), BPF_MAP_NAMED, (struct slu_addr *)keys + i,
					 &e),
			  &e);
}

void names_udp(struct packet *p, const char *from, const uint8_t *b, size_t n)
{
	*p = (struct packet){.len = 0};
	packet_eth(p, GATEWAY_MAC, POD_MAC, 0);
	packet_ip(p, from, strchr(from, ':') ? POD_V6 : POD_V4);
	packet_udp(p, 53, 40000, n);
	memcpy(p->b + p->l4 + 8, b, n);
	packet_finish(p);
}

uint32_t names_see(const struct packet *p)
{
	struct world_run r;

	world_run(BPF_PROG_TO_POD, p, 0, &r);
	return r.verdict;
}

void names_tell(const struct dns_message *m)
{
	struct packet p;

	names_udp(&p, RESOLVER_V4, m->b, m->n);
	assert_int_equal(names_see(&p), (uint32_t)TC_ACT_UNSPEC);
}

uint64_t names_counted(enum slu_names_count what)
{
	uint64_t counts[SLU_NAMES_MAX];
	struct err e = {0};

	expect_ok(bpf_name_counts(world_pins(), counts, &e), &e);
	return counts[what];
}

uint32_t names_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint32_t)t.tv_sec;
}

static bool named_get(const char *addr, struct slu_named *ret)
{
	struct slu_addr key = world_addr(addr);
	struct err e = {0};

	return bpf_map_lookup(world_pins(), BPF_MAP_NAMED, &key, ret, &e) == 0;
}

uint32_t names_left(const char *addr, uint32_t id)
{
	struct slu_named v;

	if (!named_get(addr, &v))
		return 0;
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++)
		if (v.at[i].name == id)
			return v.at[i].until > names_now() ? v.at[i].until - names_now() : 0;
	return 0;
}

uint32_t names_of(const char *addr)
{
	struct slu_named v;
	uint32_t bits = 0;

	if (!named_get(addr, &v))
		return 0;
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++)
		bits |= v.at[i].name ? 1u << (v.at[i].name - 1) : 0;
	return bits;
}
