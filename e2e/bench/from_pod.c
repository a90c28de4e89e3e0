/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one run of from_pod costs, by BPF_PROG_TEST_RUN in a world of its own: a line
 * "POLICIESxPREFIXESxRANGES RECURRING-NS RANDOM-NS" for each such argument (100000 alone is
 * 1x100000x1): so many policies, each with so many prefixes of its own, for so many ranges of
 * ports, whose rule gives an identity, and counts. The ranges of all are equal, so they share one
 * class, as the daemon would write it; with "own" behind the numbers each policy has others.
 *
 * Recurring: the same packet again and again, caches warm. Random: a new destination
 * in every run, taken from all prefixes, and a pod of another policy. The kernel repeats one
 * packet only, so random packets take a system call each, with cold caches and a clock that
 * costs something too; both are in single runs of one and the same packet as well, so
 * random = recurring + (single random - single recurring).
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define FIRST_POLICY 1000
#define PORTS	     65536
#define SLICES	     61
#define REPEAT	     5000
#define SINGLE	     300

static uint64_t seed = 88172645463325252u;

static uint32_t random_u32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

/* Of 11.0.0.0/8 to 94.0.0.0/8, where nothing of the world's own lies; /24 to /32. */
static uint32_t prefix_make(uint32_t *ret_len)
{
	uint32_t r = random_u32();

	*ret_len = 24 + random_u32() % 9;
	return ((11 + r % 84) << 24 | (r >> 8)) & (*ret_len == 32 ? ~0u : ~0u << (32 - *ret_len));
}

struct shape {
	uint32_t policies, prefixes, ranges;
	bool own; /* each policy has ranges of its own */
};

struct sample {
	uint32_t policy;
	struct packet packet;
};

/*
 * The ports of the rule: every other one of 2 * ranges equal parts, but all for 1; from `first` on,
 * which is not to be larger than a tenth of a part.
 */
static uint32_t class_write(uint32_t ranges, uint32_t first)
{
	struct slu_cell hit = world_cell(1, NET_REMOTE, NET_REMOTE), miss;
	uint32_t n = 0, step = PORTS / (2 * ranges);
	struct slu_range *v;
	uint32_t class;

	if (ranges == 1)
		return world_class_one(hit);
	memset(&miss, 0xff, sizeof(miss));
	v = calloc(2 * ranges + 1, sizeof(*v));
	v[n++] = (struct slu_range){0, miss};
	for (uint32_t i = 0; i < ranges; i++) {
		v[n++] = (struct slu_range){17 << 16 | (2 * i * step + first), hit};
		v[n++] = (struct slu_range){17 << 16 | ((2 * i + 1) * step), miss};
	}
	class = world_class(v, n);
	free(v);
	return class;
}

/* A rule for the prefixes and ports; everything else is allowed as the node. */
static void policy_write(uint32_t id, const struct shape *s, uint32_t class, uint32_t *addrs)
{
	struct world_prefix *v = calloc(s->prefixes, sizeof(*v));
	struct slu_rule rules[NET_REMOTE + 1] = {};
	struct slu_policy policy = {.n_rules = NET_REMOTE + 1};

	rules[NET_REMOTE] = (struct slu_rule){SLU_ALLOW, SLU_RULE_VIA, NET_REMOTE, id};
	for (uint32_t i = 0; i < s->prefixes; i++) {
		uint32_t len;

		addrs[i] = prefix_make(&len);
		v[i].prefix = (struct slu_lpm_key){96 + len,
						   {{0, 0, htonl(0xffff), htonl(addrs[i])}}};
		v[i].value = class;
	}
	policy.root = world_tree(v, s->prefixes);
	policy.first_rule = world_rules(rules, NET_REMOTE + 1);
	world_policy(id, &policy);
	free(v);
}

static uint32_t *policies_write(const struct shape *s)
{
	uint32_t *addrs = calloc((size_t)s->policies * s->prefixes, sizeof(*addrs));
	uint32_t class = class_write(s->ranges, 0);

	for (uint32_t i = 0; i < s->policies; i++) {
		if (s->own)
			class = class_write(s->ranges, i % (PORTS / (20 * s->ranges)));
		policy_write(FIRST_POLICY + i, s, class, addrs + (size_t)i * s->prefixes);
	}
	return addrs;
}

static void sample_make(struct sample *sample, const struct shape *s, const uint32_t *addrs)
{
	uint32_t policy = random_u32() % s->policies, step = PORTS / (2 * s->ranges);
	char text[INET_ADDRSTRLEN];
	struct in_addr a = {
		htonl(addrs[(size_t)policy * s->prefixes + random_u32() % s->prefixes])};

	inet_ntop(AF_INET, &a, text, sizeof(text));
	sample->policy = FIRST_POLICY + policy;
	world_udp(&sample->packet, POD_V4, text,
		  (uint16_t)(2 * (random_u32() % s->ranges) * step + step / 2));
}

static void pod_of(uint32_t policy)
{
	struct slu_pod pod = world_pod_make(POD_GOVERNED, 0);
	uint32_t lo = 1;
	struct err e = {0};

	pod.policy = policy;
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_PODS, &lo, &pod, &e), &e);
}

static int prog_fd(void)
{
	struct err e = {0};
	int fd;

	expect_ok(bpf_prog_fd(world_pins(), BPF_PROG_FROM_POD, &fd, &e), &e);
	return fd;
}

/* What the kernel counted for the program so far. */
static uint64_t run_time_ns(void)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {0};

	attr.info.bpf_fd = (uint32_t)prog_fd();
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)))
		fail_msg("program info: %m");
	return info.run_time_ns;
}

static void once(const struct packet *p)
{
	union bpf_attr attr = {0};

	attr.test.prog_fd = (uint32_t)prog_fd();
	attr.test.data_in = (uintptr_t)p->b;
	attr.test.data_size_in = (uint32_t)p->len;
	attr.test.repeat = 1;
	if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)))
		fail_msg("test run: %m");
}

static double single_ns(const struct sample *samples, size_t n)
{
	uint64_t before = run_time_ns();

	for (size_t i = 0; i < SINGLE; i++) {
		pod_of(samples[i % n].policy);
		once(&samples[i % n].packet);
	}
	return (double)(run_time_ns() - before) / SINGLE;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A slice in which somebody else had the processor counts as much as any other. */
static double median(double *v)
{
	qsort(v, SLICES, sizeof(*v), by_value);
	return v[SLICES / 2];
}

static void measure(const struct shape *s)
{
	struct sample *samples = calloc(SLICES * SINGLE, sizeof(*samples));
	double recurring[SLICES], same[SLICES], random[SLICES], more;
	uint32_t *addrs = policies_write(s);
	union bpf_attr attr = {0};
	int stats;

	for (size_t i = 0; i < SLICES * SINGLE; i++)
		sample_make(&samples[i], s, addrs);
	for (size_t i = 0; i < SLICES; i++) {
		pod_of(samples[i].policy);
		recurring[i] = world_time(BPF_PROG_FROM_POD, &samples[i].packet, 0, REPEAT);
	}
	stats = (int)syscall(SYS_bpf, BPF_ENABLE_STATS, &attr, sizeof(attr));
	if (stats < 0)
		fail_msg("enable statistics: %m");
	for (size_t i = 0; i < SLICES; i++) {
		same[i] = single_ns(&samples[i], 1);
		random[i] = single_ns(samples + i * SINGLE, SINGLE);
	}
	close(stats);
	more = median(random) - median(same);
	printf(" %.0f %.0f\n", median(recurring), median(recurring) + (more > 0 ? more : 0));
	fflush(stdout);
	free(samples);
	free(addrs);
}

int main(int argc, char **argv)
{
	world();
	for (int i = 1; i < argc; i++) {
		struct shape s = {1, 1, 1, false};

		if (strchr(argv[i], 'x'))
			sscanf(argv[i], "%ux%ux%u", &s.policies, &s.prefixes, &s.ranges);
		else
			s.prefixes = (uint32_t)strtoul(argv[i], NULL, 10);
		s.own = strstr(argv[i], "own") != NULL;
		printf("%s", argv[i]);
		measure(&s);
	}
	return 0;
}
