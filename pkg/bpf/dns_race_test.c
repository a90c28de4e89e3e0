/* SPDX-License-Identifier: Apache-2.0 */
/* Two processors that learn at the same time: about one address, and where there is no room. */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bpf/door.h"
#include "testkit/dns_world.h"
#include "testkit/netns_fixture.h"

#define ROUNDS 1000
#define BURST  8 /* answers of each side in a round */

static struct side {
	pthread_t thread;
	int cpu, fd;
	struct packet answer;
	int failed;
} sides[2];
static pthread_barrier_t begin, end;

static void *side_run(void *arg)
{
	struct side *s = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	s->failed = sched_setaffinity(0, sizeof(set), &set);
	for (int i = 0; i < ROUNDS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = s->answer.b,
			    .data_size_in = (uint32_t)s->answer.len, .repeat = BURST);

		pthread_barrier_wait(&begin);
		s->failed |= bpf_prog_test_run_opts(s->fd, &opts);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void side_start(struct side *s, int cpu, const char *name)
{
	struct dns_message m;
	struct err e = {0};

	s->cpu = cpu;
	dns_answer(&m, name);
	dns_addr(&m, NULL, "198.51.100.7", 300);
	names_udp(&s->answer, RESOLVER_V4, m.b, m.n);
	expect_ok(bpf_prog_fd(world_pins(), BPF_PROG_TO_POD, &s->fd, &e), &e);
	assert_int_equal(pthread_create(&s->thread, NULL, side_run, s), 0);
}

static bool two_cpus(int cpus[2])
{
	cpu_set_t set;
	int n = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	if (n == 2)
		return true;
	print_message("skipped: there is only one processor\n");
	return false;
}

static void neither_of_two_undoes_what_the_other_learned(void **state)
{
	int cpus[2];

	names_world();
	if (!two_cpus(cpus))
		skip();
	pthread_barrier_init(&begin, NULL, 3);
	pthread_barrier_init(&end, NULL, 3);
	side_start(&sides[0], cpus[0], "api.example.com");
	side_start(&sides[1], cpus[1], "edge.cdn.example.net");
	for (int i = 0; i < ROUNDS; i++) {
		names_forget();
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&end);
		if (names_of("198.51.100.7") != (1 | 2 | 8 | 16))
			fail_msg("round %d: %#x", i, names_of("198.51.100.7"));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(sides[i].thread, NULL);
		assert_int_equal(sides[i].failed, 0);
	}
}

/* ANSWERS times PER_ANSWER addresses, some of them over and over. */
#define ANSWERS	   700
#define PER_ANSWER 110

static struct crowd {
	pthread_t thread;
	int cpu, fd, failed;
	struct packet answers[ANSWERS];
} crowds[2];

static void *crowd_run(void *arg)
{
	struct crowd *c = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(c->cpu, &set);
	c->failed = sched_setaffinity(0, sizeof(set), &set);
	for (int i = 0; i < ANSWERS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = c->answers[i].b,
			    .data_size_in = (uint32_t)c->answers[i].len);

		c->failed |= bpf_prog_test_run_opts(c->fd, &opts);
	}
	return NULL;
}

/* The same addresses for both: what one puts there the other may just be pushing out. */
static void crowd_start(struct crowd *c, int cpu)
{
	struct err e = {0};

	c->cpu = cpu;
	for (uint32_t i = 0; i < ANSWERS; i++) {
		struct dns_message m;
		char text[32];

		dns_answer(&m, "n.example.net");
		for (uint32_t k = 0; k < PER_ANSWER; k++) {
			uint32_t nth = i % 7 ? i * PER_ANSWER + k : k;

			snprintf(text, sizeof(text), "101.%u.%u.%u", nth >> 16, nth >> 8 & 255,
				 nth & 255);
			dns_addr(&m, NULL, text, 300);
		}
		names_udp(&c->answers[i], RESOLVER_V4, m.b, m.n);
	}
	expect_ok(bpf_prog_fd(world_pins(), BPF_PROG_TO_POD, &c->fd, &e), &e);
	assert_int_equal(pthread_create(&c->thread, NULL, crowd_run, c), 0);
}

static void every_element_has_its_own_place_after_two_have_crowded(void **state)
{
	static bool taken[SLU_MAX_NAMED];
	__cleanup_free void *keys = NULL;
	__cleanup_free struct slu_named *values = NULL;
	uint64_t full;
	struct err e = {0};
	size_t n = 0;
	int cpus[2];

	names_world();
	if (!two_cpus(cpus))
		skip();
	full = names_counted(SLU_NAMES_FULL);
	for (int i = 0; i < 2; i++)
		crowd_start(&crowds[i], cpus[i]);
	for (int i = 0; i < 2; i++) {
		pthread_join(crowds[i].thread, NULL);
		assert_int_equal(crowds[i].failed, 0);
	}
	assert_int_equal(names_counted(SLU_NAMES_FULL), full);
	expect_ok(bpf_map_dump(world_pins(), BPF_MAP_NAMED, &keys, (void **)&values, &n, &e), &e);
	assert_in_range(n, SLU_MAX_NAMED / 2 - 1024, SLU_MAX_NAMED / 2);
	for (size_t i = 0; i < n; i++) {
		assert_in_range(values[i].place, 1, SLU_MAX_NAMED - 1);
		assert_false(taken[values[i].place]);
		taken[values[i].place] = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neither_of_two_undoes_what_the_other_learned),
		cmocka_unit_test(every_element_has_its_own_place_after_two_have_crowded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
