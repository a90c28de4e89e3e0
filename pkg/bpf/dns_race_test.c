/* SPDX-License-Identifier: Apache-2.0 */
/* Two processors that learn something about one address at the same time. */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void neither_of_two_undoes_what_the_other_learned(void **state)
{
	cpu_set_t set;
	int cpus[2], n = 0;

	names_world();
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	if (n < 2) {
		print_message("skipped: there is only one processor\n");
		skip();
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neither_of_two_undoes_what_the_other_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
