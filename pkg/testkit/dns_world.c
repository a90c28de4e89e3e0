/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/dns_world.h"

#include <arpa/inet.h>
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
static uint32_t tenant;

static struct slu_pod pod_get(void)
{
	struct slu_pod pod;
	struct err e = {0};
	uint32_t lo = 1;

	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_PODS, &lo, &pod, &e), &e);
	return pod;
}

static struct slu_policy policy_get(void)
{
	struct slu_pod pod = pod_get();
	struct slu_policy policy;
	struct err e = {0};

	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_POLICIES, &pod.policy, &policy, &e), &e);
	return policy;
}

void names_class(const struct slu_policy *policy, uint32_t id, uint32_t class)
{
	struct slu_name_class key = {policy->root, id};
	struct err e = {0};

	if (class)
		expect_ok(bpf_map_set(world_pins(), BPF_MAP_NAME_CLASSES, &key, &class, &e), &e);
	else
		expect_ok(bpf_map_delete(world_pins(), BPF_MAP_NAME_CLASSES, &key, &e), &e);
	world_epoch(); /* in a daemon's hands it would have been another policy */
}

void names_tenant(uint32_t t)
{
	struct slu_pod pod = pod_get();
	struct err e = {0};
	uint32_t lo = 1;

	tenant = pod.tenant = t;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &lo, &pod, &e), &e);
}

void names_pattern(const char *pattern, uint32_t id)
{
	bool below = strncmp(pattern, "*.", 2) == 0;
	const char *name = below ? pattern + 2 : pattern;
	struct slu_name key = {.text = ""};
	const struct slu_policy policy = policy_get();
	struct slu_pattern value = {0};
	size_t n = strlen(name);
	struct err e = {0};

	for (size_t i = 0; i < n; i++)
		key.text[i] = name[n - 1 - i];
	bpf_map_lookup(world_pins(), BPF_MAP_PATTERNS, &key, &value, &e);
	*(below ? &value.below : &value.exact) = id;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PATTERNS, &key, &value, &e), &e);
	names_class(&policy, id, world_class_one(world_cell(1, SLU_NO_RULE, SLU_NO_RULE)));
}

void names_world(void)
{
	struct slu_config c;
	struct err e = {0};
	uint32_t zero = 0;

	world();
	world_pod_set(POD_GOVERNED, 0);
	names_tenant(0);
	expect_ok(bpf_map_lookup(world_pins(), BPF_MAP_CONFIG, &zero, &c, &e), &e);
	c.dns_min_ttl = MIN_TTL;
	c.dns_grace = GRACE;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_CONFIG, &zero, &c, &e), &e);
	for (uint32_t i = 0; i < NAMES_N; i++)
		names_pattern(patterns[i], i + 1);
	names_forget();
}

/* The elements stay: their places in the kernel's order of them do, too. */
void names_forget(void)
{
	__cleanup_free struct slu_named_key *keys = NULL;
	__cleanup_free struct slu_named *values = NULL;
	struct err e = {0};
	size_t n = 0;

	expect_ok(
		bpf_map_dump(world_pins(), BPF_MAP_NAMED, (void **)&keys, (void **)&values, &n, &e),
		&e);
	for (size_t i = 0; i < n; i++) {
		struct slu_named v = {.place = values[i].place};

		if (memcmp(&v, &values[i], sizeof(v)))
			expect_ok(bpf_map_set(world_pins(), BPF_MAP_NAMED, &keys[i], &v, &e), &e);
	}
	world_epoch();
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

uint32_t names_see_segment(const struct names_segment *s)
{
	struct packet p = {.len = 0};
	uint32_t seq = htonl(s->seq);

	packet_eth(&p, GATEWAY_MAC, POD_MAC, 0);
	packet_ip(&p, s->from, strchr(s->from, ':') ? POD_V6 : POD_V4);
	packet_tcp(&p, 53, s->pod_port, s->flags);
	memcpy(p.b + p.l4 + 4, &seq, sizeof(seq));
	if (s->n)
		memcpy(p.b + p.len, s->b, s->n);
	p.len += s->n;
	packet_finish(&p);
	return names_see(&p);
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

bool names_known(const char *addr, struct slu_named *ret)
{
	struct slu_named_key key = {world_addr(addr), tenant};
	struct err e = {0};

	return bpf_map_lookup(world_pins(), BPF_MAP_NAMED, &key, ret, &e) == 0;
}

void names_known_set(const char *addr, const struct slu_named *v)
{
	struct slu_named_key key = {world_addr(addr), tenant};
	struct err e = {0};

	expect_ok(bpf_map_change(world_pins(), BPF_MAP_NAMED, &key, v, &e), &e);
	world_epoch(); /* the kernel itself counts on its own what it changes */
}

uint32_t names_left(const char *addr, uint32_t id)
{
	struct slu_named v;

	if (!names_known(addr, &v))
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

	if (!names_known(addr, &v))
		return 0;
	for (int i = 0; i < SLU_MAX_NAMES_AT; i++)
		bits |= v.at[i].name ? 1u << (v.at[i].name - 1) : 0;
	return bits;
}
