/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that are under way while policies are exchanged: no policy's answer for another's. */
#include <linux/pkt_cls.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "bpf/door.h"
#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define DENIES	 210
#define ALLOWS	 211
#define EXCHANGE 150000 /* times: two seconds */
#define PREFIXES 512

struct edits {
	uint32_t id[2];
	struct slu_policy policy[2];
	int failed;
	atomic_bool done;
};

/* The same content again and again: the kernel uses the element it replaced for the next one. */
static void *exchange(void *arg)
{
	struct edits *e = arg;

	for (int i = 0; !e->failed && i < 2 * EXCHANGE; i++) {
		e->failed = bpf_map_set(world_pins(), BPF_MAP_POLICIES, &e->id[i & 1],
					&e->policy[i & 1], NULL);
		if (!e->failed)
			e->failed = bpf_epoch_bump(world_pins(), NULL);
	}
	atomic_store(&e->done, true);
	return NULL;
}

/* Denies by the last of its sets alone, so that its element is read for a long time. */
static struct slu_policy denies(void)
{
	struct slu_cell none = world_cell(0, SLU_NO_RULE, SLU_NO_RULE);
	struct slu_policy p = world_policy_of("d", 0, none);
	struct world_prefix set[PREFIXES];

	for (int i = 0; i < PREFIXES; i++) {
		char text[32];

		snprintf(text, sizeof(text), "198.%d.%d.0", 18 + i / 256, i % 256);
		set[i] = (struct world_prefix){world_prefix(text, 24), 1};
	}
	p.n_sets = SLU_MAX_SETS;
	for (int i = 0; i < SLU_MAX_SETS; i++) {
		bool last = i == SLU_MAX_SETS - 1;

		p.sets[i] = (struct slu_set_ref){
			world_tree(set, PREFIXES),
			world_class_one(last ? world_cell(0, 0, SLU_NO_RULE) : none),
		};
	}
	return p;
}

static void a_packet_is_judged_by_its_own_policy_while_all_are_exchanged(void **state)
{
	struct edits e = {.id = {DENIES, ALLOWS}};
	struct world_run run;
	pthread_t thread;
	struct packet p;

	world();
	e.policy[0] = denies();
	e.policy[1] = world_policy_of("a", 0, world_cell(0, 0, SLU_NO_RULE));
	world_policy(DENIES, &e.policy[0]);
	world_policy(ALLOWS, &e.policy[1]);
	world_pod_of(DENIES, 0);
	assert_int_equal(pthread_create(&thread, NULL, exchange, &e), 0);
	for (uint16_t port = 1; !atomic_load(&e.done); port++) {
		world_udp(&p, POD_V4, "198.18.77.1", port);
		world_run(BPF_PROG_FROM_POD, &p, 0, &run);
		if (run.verdict != TC_ACT_SHOT &&
		    (run.mark & ~WORLD_DIVERT & SLU_MARK_MASK_DEFAULT) !=
			    world_mark(SLU_DROP_DENIED))
			break;
	}
	pthread_join(thread, NULL);
	assert_int_equal(e.failed, 0);
	assert_true(run.verdict == TC_ACT_SHOT ||
		    (run.mark & ~WORLD_DIVERT & SLU_MARK_MASK_DEFAULT) ==
			    world_mark(SLU_DROP_DENIED));
}

struct moves {
	struct slu_pod pod[2];
	int failed;
	atomic_bool done;
};

static void *move(void *arg)
{
	struct moves *m = arg;

	for (uint32_t i = 0; !m->failed && i < 4 * EXCHANGE; i++) {
		const uint32_t ifindex = 1 + (i & 1);

		m->failed = bpf_map_set(world_pins(), BPF_MAP_PODS, &ifindex, &m->pod[i & 1], NULL);
	}
	atomic_store(&m->done, true);
	return NULL;
}

static void a_packet_is_judged_as_of_its_own_pod_while_all_are_written(void **state)
{
	struct moves m = {.failed = 0};
	struct slu_policy denied, allowed;
	bool passed = false;
	struct world_run run;
	pthread_t thread;
	struct packet p;

	world();
	denied = denies();
	allowed = world_policy_of("a", 0, world_cell(0, 0, SLU_NO_RULE));
	world_policy(DENIES, &denied);
	world_policy(ALLOWS, &allowed);
	world_pod_of(DENIES, 0);
	for (int i = 0; i < 2; i++)
		m.pod[i] = world_pod_make(POD_GOVERNED, 0);
	m.pod[0].policy = DENIES;
	m.pod[1].policy = ALLOWS;
	m.pod[1].mac[5] ^= 0x40;
	assert_int_equal(pthread_create(&thread, NULL, move, &m), 0);
	for (uint16_t port = 1; !passed && !atomic_load(&m.done); port++) {
		world_udp(&p, POD_V4, "198.18.77.1", port);
		world_run(BPF_PROG_FROM_POD, &p, 0, &run);
		passed = run.verdict != TC_ACT_SHOT &&
			 (run.mark & ~WORLD_DIVERT & SLU_MARK_MASK_DEFAULT) !=
				 world_mark(SLU_DROP_DENIED);
	}
	pthread_join(thread, NULL);
	assert_int_equal(m.failed, 0);
	assert_false(passed);
}

/* As the kernel would leave it half written, or written for another device: not by bpf_map_set. */
static void entry_write(const struct slu_pod *pod)
{
	uint32_t ifindex = 1;
	int fd;

	assert_int_equal(bpf_map_fd(world_pins(), BPF_MAP_PODS, &fd, NULL), 0);
	assert_int_equal(bpf_map_update_elem(fd, &ifindex, pod, BPF_ANY), 0);
}

static struct slu_pod entry_read(uint32_t ifindex)
{
	struct slu_pod pod;
	int fd;

	assert_int_equal(bpf_map_fd(world_pins(), BPF_MAP_PODS, &fd, NULL), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &ifindex, &pod), 0);
	return pod;
}

static void a_pod_s_entry_that_is_not_of_one_piece_is_not_believed(void **state)
{
	static const struct {
		const char *what;
		size_t at;
	} parts[] = {
		{"policy", offsetof(struct slu_pod, policy)},
		{"audit", offsetof(struct slu_pod, audit)},
		{"flags", offsetof(struct slu_pod, flags)},
		{"spread", offsetof(struct slu_pod, spread)},
		{"check", offsetof(struct slu_pod, check)},
	};
	const uint32_t other = 2;
	struct slu_pod good, bad;
	struct packet p;

	world();
	world_pod_set(POD_GOVERNED, 0);
	world_udp(&p, POD_V4, "198.18.1.7", 53);
	world_expect_mark(BPF_PROG_FROM_POD, &p, world_mark(SLU_DROP_DENIED), "as it was written");
	good = entry_read(1);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		bad = good;
		((uint8_t *)&bad)[parts[i].at] ^= 1;
		entry_write(&bad);
		world_expect_drop(BPF_PROG_FROM_POD, &p, SLU_DROP_NO_POLICY, parts[i].what);
	}
	assert_int_equal(bpf_map_set(world_pins(), BPF_MAP_PODS, &other, &good, NULL), 0);
	bad = entry_read(other);
	entry_write(&bad);
	world_expect_drop(BPF_PROG_FROM_POD, &p, SLU_DROP_NO_POLICY, "another device's");
	entry_write(&good);
	world_expect_mark(BPF_PROG_FROM_POD, &p, world_mark(SLU_DROP_DENIED), "as it was");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_is_judged_by_its_own_policy_while_all_are_exchanged),
		cmocka_unit_test(a_packet_is_judged_as_of_its_own_pod_while_all_are_written),
		cmocka_unit_test(a_pod_s_entry_that_is_not_of_one_piece_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
