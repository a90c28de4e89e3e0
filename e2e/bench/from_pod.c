/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one run of from_pod costs, by BPF_PROG_TEST_RUN in a world of its own: a line
 * "PREFIXES RECURRING-NS RANDOM-NS" for each number of prefixes given.
 *
 * Recurring: the same packet again and again, caches warm. Random: a new destination
 * in every run, taken from all prefixes. The kernel repeats one packet only, so
 * random packets take a system call each, with cold caches and a clock that costs
 * something too; both are in single runs of one and the same packet as well, so
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

#define POLICY 1
#define SLICES 61
#define REPEAT 5000
#define SINGLE 300

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

/* The n prefixes, and everything else allowed as the node. Returns their addresses. */
static uint32_t *policy_write(size_t n)
{
	struct slu_lpm_key *keys = calloc(n + 1, sizeof(*keys));
	struct slu_class *classes = calloc(n + 1, sizeof(*classes));
	uint32_t *addrs = calloc(n, sizeof(*addrs));
	struct err e = {0};

	for (size_t i = 0; i < n; i++) {
		uint32_t len;

		addrs[i] = prefix_make(&len);
		keys[i] = (struct slu_lpm_key){96 + len, {{0, 0, htonl(0xffff), htonl(addrs[i])}}};
		classes[i] = (struct slu_class){SLU_DECISION(SLU_ALLOW, NET_REMOTE), 0};
	}
	keys[n] = (struct slu_lpm_key){96, {{0, 0, htonl(0xffff), 0}}};
	expect_ok(bpf_policy_set(world_pins(), POLICY, keys, classes, n + 1, &e), &e);
	free(keys);
	free(classes);
	return addrs;
}

static void packet_to(struct packet *p, uint32_t addr)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr a = {htonl(addr)};

	inet_ntop(AF_INET, &a, text, sizeof(text));
	world_udp(p, POD_V4, text, 443);
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

static double single_ns(const struct packet *packets, size_t n)
{
	uint64_t before = run_time_ns();

	for (size_t i = 0; i < SINGLE; i++)
		once(&packets[i % n]);
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

static void measure(size_t n)
{
	struct packet *packets = calloc(SLICES * SINGLE, sizeof(*packets));
	double recurring[SLICES], same[SLICES], random[SLICES], more;
	uint32_t *addrs = policy_write(n);
	union bpf_attr attr = {0};
	int stats;

	for (size_t i = 0; i < SLICES * SINGLE; i++)
		packet_to(&packets[i], addrs[random_u32() % n]);
	for (size_t i = 0; i < SLICES; i++)
		recurring[i] = world_time(BPF_PROG_FROM_POD, &packets[i], 0, REPEAT);
	stats = (int)syscall(SYS_bpf, BPF_ENABLE_STATS, &attr, sizeof(attr));
	if (stats < 0)
		fail_msg("enable statistics: %m");
	for (size_t i = 0; i < SLICES; i++) {
		same[i] = single_ns(&packets[i], 1);
		random[i] = single_ns(packets + i * SINGLE, SINGLE);
	}
	close(stats);
	more = median(random) - median(same);
	printf("%zu %.0f %.0f\n", n, median(recurring), median(recurring) + (more > 0 ? more : 0));
	fflush(stdout);
	free(packets);
	free(addrs);
}

int main(int argc, char **argv)
{
	world();
	world_pod_set(POD_GOVERNED, 0);
	for (int i = 1; i < argc; i++)
		measure(strtoul(argv[i], NULL, 10));
	return 0;
}
