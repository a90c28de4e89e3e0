/* SPDX-License-Identifier: Apache-2.0 */
/* What several layers and steps make of a packet, and what is kept of the answer. */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "testkit/bpf_fixture.h"
#include "testkit/netns_fixture.h"

#define POLICY 200
#define OTHER  201
#define CHECK  world_mark(SLU_ID_CHECK)
#define DENIED world_mark(SLU_DROP_DENIED)
#define NONE   SLU_NO_RULE
#define REMOTE 1000 /* the identity's id of the family */

static const char *const outside[] = {"198.18.77.1", "2001:db8:77::1"};
static const char *const pod_addr[] = {POD_V4, POD_V6};

/* A letter for each step: the number of its rule, or '-'. */
static struct slu_cell cell_of(const char *verdict, uint16_t via)
{
	struct slu_cell cell = {.identity = via};

	for (int step = 0; step < SLU_STEPS; step++)
		cell.verdict[step] = verdict[step] == '-' ? NONE : (uint16_t)(verdict[step] - '0');
	return cell;
}

static struct slu_set_ref set_of(const char *v4, const char *v6, struct slu_cell cell)
{
	struct world_prefix v[] = {{world_prefix(v4, 24), 1}, {world_prefix(v6, 48), 1}};

	return (struct slu_set_ref){world_tree(v, 2), world_class_one(cell)};
}

/* 4 actions x 5 steps x 2 families, with an identity and without, and what comes after it. */
static void carries_out_each_action_in_each_step(void **state)
{
	static const char actions[] = "adrp";
	static const uint32_t marks[] = {SLU_ID_CHECK, SLU_DROP_DENIED, SLU_DROP_REJECTED};

	world();
	world_pod_of(POLICY, 0);
	for (unsigned int step = 0; step < SLU_STEPS; step++) {
		for (size_t a = 0; a < 4; a++) {
			for (int via = 0; via < 2; via++) {
				/* a later step denies: reached by Pass alone */
				char rules[] = {actions[a], 'd', via ? 'P' : 0, 0};
				struct slu_cell cell = world_cell(step, 0, via ? 2 : NONE);
				bool passed = actions[a] == 'p', last = step == SLU_STEPS - 1;
				char what[64];

				if (!last)
					cell.verdict[SLU_STEPS - 1] = 1;
				world_policy_one(POLICY, rules, cell);
				for (int v6 = 0; v6 < 2; v6++) {
					uint32_t allow = via ? world_remote(v6) : CHECK;
					uint32_t mark = passed ? (last ? allow : DENIED)
							: a    ? world_mark(marks[a])
							       : allow;

					snprintf(what, sizeof(what), "%c in step %u, v%d, %s",
						 actions[a], step, v6 ? 6 : 4,
						 via ? "with via" : "plain");
					pod_udp(outside[v6], mark, what);
				}
			}
		}
	}
}

static void allows_what_no_rule_matches(void **state)
{
	world();
	world_pod_of(POLICY, 0);
	world_policy_one(POLICY, "d", world_no_rule());
	for (int v6 = 0; v6 < 2; v6++)
		pod_udp(outside[v6], CHECK, "no rule");
}

/* The earlier step decides whatever the numbers of the rules are; within a step the lower number.
 */
static const struct {
	const char *rules, *own;
	uint16_t own_via;
	const char *set;
	uint16_t set_via;
	uint32_t mark, mark_set; /* outside of the set, and in it. id, or REMOTE */
} merges[] = {
	/* one step: the first rule, from whichever layer */
	{"ad", "-0---", NONE, "-1---", NONE, SLU_ID_CHECK, SLU_ID_CHECK},
	{"da", "-1---", NONE, "-0---", NONE, SLU_ID_CHECK, SLU_DROP_DENIED},
	/* a Pass in one layer: the same step's verdict in another counts no more */
	{"pd", "-1---", NONE, "-0---", NONE, SLU_DROP_DENIED, SLU_ID_CHECK},
	{"pdr", "-1--2", NONE, "-0---", NONE, SLU_DROP_DENIED, SLU_DROP_REJECTED},
	{"dp", "-1---", NONE, "-0---", NONE, SLU_ID_CHECK, SLU_DROP_DENIED},
	/* another step's does */
	{"par", "02---", NONE, "--1--", NONE, SLU_DROP_REJECTED, SLU_DROP_REJECTED},
	{"rd", "---1-", NONE, "0----", NONE, SLU_DROP_DENIED, SLU_DROP_REJECTED},
	{"ppppa", "0-2-4", NONE, "-1-3-", NONE, SLU_ID_CHECK, SLU_ID_CHECK},
	/* the first via, whichever layer the verdict is from */
	{"aP", "-0---", NONE, "-1---", 1, SLU_ID_CHECK, REMOTE},
	{"Ad", "-1---", NONE, "-0---", 0, SLU_DROP_DENIED, REMOTE},
};

static void merges_what_layers_say(void **state)
{
	world();
	world_pod_of(POLICY, 0);
	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
		struct slu_policy policy = world_policy_of(
			merges[i].rules, 0, cell_of(merges[i].own, merges[i].own_via));
		char what[64];

		policy.n_sets = 1;
		policy.sets[0] = set_of("198.18.77.0",
					"2001:db8:77::", cell_of(merges[i].set, merges[i].set_via));
		world_policy(POLICY, &policy);
		for (int v6 = 0; v6 < 2; v6++) {
			uint32_t in = merges[i].mark_set;

			snprintf(what, sizeof(what), "row %zu, v%d", i, v6 ? 6 : 4);
			pod_udp(outside[v6], in == REMOTE ? world_remote(v6) : world_mark(in),
				what);
			pod_udp(v6 ? "2a00::1" : "198.18.78.1", world_mark(merges[i].mark), what);
		}
	}
}

/* Eight sets, each with a rule of its own, and the classes with ports. */
static void looks_into_every_set(void **state)
{
	struct slu_policy policy;

	world();
	world_pod_of(POLICY, 0);
	policy = world_policy_of("dddddddda", 0, world_cell(1, 8, NONE));
	policy.n_sets = SLU_MAX_SETS;
	for (uint16_t i = 0; i < SLU_MAX_SETS; i++) {
		struct slu_range ranges[] = {{0, world_no_rule()},
					     {17 << 16 | (400 + i), world_cell(1, i, NONE)},
					     {17 << 16 | (401 + i), world_no_rule()}};
		struct world_prefix in[2];
		char text[48];

		snprintf(text, sizeof(text), "198.19.%u.0", i);
		in[0] = (struct world_prefix){world_prefix(text, 24), 1};
		snprintf(text, sizeof(text), "2001:db8:aaaa:%x::", i);
		in[1] = (struct world_prefix){world_prefix(text, 64), 1};
		policy.sets[i] = (struct slu_set_ref){world_tree(in, 2), world_class(ranges, 3)};
	}
	world_policy(POLICY, &policy);
	for (uint16_t i = 0; i <= SLU_MAX_SETS; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			char dst[48];

			snprintf(dst, sizeof(dst), v6 ? "2001:db8:aaaa:%x::1" : "198.19.%u.1", i);
			for (uint16_t port = 399; port < 410; port++) {
				struct packet p;

				world_udp(&p, pod_addr[v6], dst, port);
				pod_passes(&p, port == 400 + i && i < SLU_MAX_SETS ? DENIED : CHECK,
					   dst);
			}
		}
	}
}

/* An answer is kept, but never beyond a change, and never for another policy. */
static void keeps_answers_until_something_changes(void **state)
{
	struct slu_policy allow, deny;
	uint32_t id = POLICY;
	struct err e = {};

	world();
	world_pod_of(POLICY, 0);
	allow = world_policy_of("a", 0, world_cell(1, 0, NONE));
	deny = world_policy_of("d", 0, world_cell(1, 0, NONE));
	for (int round = 0; round < 3; round++) {
		world_policy(POLICY, &allow);
		pod_udp(outside[0], CHECK, "allowed");
		pod_udp(outside[0], CHECK, "allowed, again");
		expect_ok(bpf_map_set(world_pins(), BPF_MAP_POLICIES, &id, &deny, &e), &e);
		pod_udp(outside[0], CHECK, "the epoch is the same");
		world_epoch();
		pod_udp(outside[0], DENIED, "denied");
		pod_udp(outside[0], DENIED, "denied, again");
	}
	world_policy_delete(POLICY);
	pod_udp(outside[0], world_mark(SLU_DROP_NO_POLICY), "gone");
}

/* What is inside is kept as well, and ends with the epoch. */
static void keeps_what_is_inside(void **state)
{
	struct slu_lpm_key key = world_prefix("198.18.77.0", 24);
	uint32_t flags = SLU_INSIDE_ALL;
	struct err e = {};

	world();
	world_pod_of(POLICY, 0);
	world_policy_one(POLICY, "d", world_cell(1, 0, NONE));
	pod_udp(outside[0], DENIED, "outside");
	expect_ok(bpf_map_set(world_pins(), BPF_MAP_INSIDE, &key, &flags, &e), &e);
	world_epoch();
	pod_udp(outside[0], CHECK, "inside");
	pod_udp(outside[0], CHECK, "inside, again");
	expect_ok(bpf_map_delete(world_pins(), BPF_MAP_INSIDE, &key, &e), &e);
	world_epoch();
	pod_udp(outside[0], DENIED, "outside again");
}

/* Far more flows than places, in two policies: each gets its own answer, whoever was before. */
static void never_takes_the_answer_to_another_question(void **state)
{
	const struct slu_range ranges[] = {{0, world_cell(1, 0, NONE)},
					   {17 << 16 | 1000, world_cell(1, 1, NONE)}};
	struct world_prefix v[] = {{world_prefix("::", 0), 0}, {world_prefix("198.19.0.0", 16), 0}};
	struct slu_policy policy;
	uint32_t seed = 11;

	world();
	world_policy_one(POLICY, "a", world_cell(1, 0, NONE));
	policy = world_policy_of("dr", 0, world_no_rule());
	v[0].value = world_class(ranges, 2);
	policy.root = world_tree(v, 2);
	world_policy(OTHER, &policy);
	for (int i = 0; i < 6000; i++) {
		bool second, v6, open;
		uint16_t port;
		struct packet p;
		char dst[48];

		seed = seed * 1103515245 + 12345;
		second = seed >> 30 & 1;
		v6 = seed >> 29 & 1;
		open = !v6 && (seed >> 28 & 1);
		port = (uint16_t)(999 + (seed >> 27 & 1));
		if (v6)
			snprintf(dst, sizeof(dst), "2001:db8:%x:%x::1", seed >> 20 & 7,
				 seed >> 12 & 0xff);
		else
			snprintf(dst, sizeof(dst), "198.%d.%u.%u", open ? 19 : 18, seed >> 20 & 7,
				 seed >> 12 & 0xff);
		world_pod_of(second ? OTHER : POLICY, 0);
		world_udp(&p, pod_addr[v6], dst, port);
		pod_passes(&p,
			   !second || open ? CHECK
			   : port == 999   ? DENIED
					   : world_mark(SLU_DROP_REJECTED),
			   dst);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_out_each_action_in_each_step),
		cmocka_unit_test(allows_what_no_rule_matches),
		cmocka_unit_test(merges_what_layers_say),
		cmocka_unit_test(looks_into_every_set),
		cmocka_unit_test(keeps_answers_until_something_changes),
		cmocka_unit_test(keeps_what_is_inside),
		cmocka_unit_test(never_takes_the_answer_to_another_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
