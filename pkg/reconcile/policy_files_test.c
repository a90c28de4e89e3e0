/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of policies, read again when one file of it changed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "reconcile/policies.h"
#include "testkit/policy_fixture.h"

#define FILES 20
#ifdef __SANITIZE_ADDRESS__
#define POLICIES 20 /* in each */
#else
#define POLICIES 100
#endif

static char dir[] = "/tmp/policies-XXXXXX", state_dir[] = "/tmp/policies-state-XXXXXX";
static int state_fd;

static void write_file(int i, const char *action)
{
	char path[64], next[72];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%02d.yaml", dir, i);
	snprintf(next, sizeof(next), "%s.new", path);
	f = fopen(next, "w");
	assert_non_null(f);
	for (int j = 0; j < POLICIES; j++) {
		fprintf(f,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\nmetadata: "
			"{name: "
			"p%d, namespace: n%d}\nspec:\n  subject: {podSelector: {}}\n  rules:\n",
			j, i);
		for (int k = 0; k < 10; k++)
			fprintf(f, "  - {name: r%d, action: %s, to: [{cidr: 198.51.%d.0/24}]}\n", k,
				action, k);
	}
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(next, path), 0);
}

static int setup(void **state)
{
	if (!mkdtemp(dir) || !mkdtemp(state_dir))
		return -1;
	state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < FILES; i++)
		write_file(i, "Deny");
	return state_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char *rm = mem_printf("rm -rf %s %s", dir, state_dir);
	int r = system(rm);

	free(rm);
	close(state_fd);
	return r;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void only_the_file_that_changed_is_read_again(void **state)
{
	struct policies p = {0};
	struct doc_set *old = NULL;
	struct err e = {0};
	struct doc_rule *rules[FILES];
	double start = seconds(), first;

	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	first = seconds() - start;
	assert_int_equal(p.set->n_policies, FILES * POLICIES);
	for (int i = 0; i < FILES; i++)
		rules[i] = p.set->policies[i * POLICIES].rules;
	write_file(7, "Allow");
	start = seconds();
	assert_int_equal(policies_refresh(&p, dir, state_fd, &old, &e), 1);
	print_message("%d policies: %.3f s, one of %d files again: %.3f s\n", FILES * POLICIES,
		      first, FILES, seconds() - start);
	assert_int_equal(p.set->n_policies, FILES * POLICIES);
	for (int i = 0; i < FILES; i++) { /* by whom the rules are held shows who was read */
		bool same = false;

		for (size_t j = 0; j < p.set->n_policies; j++)
			same = same || p.set->policies[j].rules == rules[i];
		assert_int_equal(same,
				 strcmp(old->policies[i * POLICIES].meta.namespace, "n7") != 0);
	}
	/* the old one is whole as long as somebody has it */
	assert_int_equal(old->n_policies, FILES * POLICIES);
	for (size_t i = 0; i < old->n_policies; i++)
		assert_int_equal(old->policies[i].rules[0].action, ACTION_DENY);
	doc_set_free(old);
	for (size_t i = 0; i < p.set->n_policies; i++)
		assert_int_equal(p.set->policies[i].rules[9].action,
				 strcmp(p.set->policies[i].meta.namespace, "n7") == 0
					 ? ACTION_ALLOW
					 : ACTION_DENY);
	policies_done(&p);
}

static void a_bad_file_changes_nothing_and_the_next_good_one_does(void **state)
{
	struct policies p = {0};
	struct doc_set *before;
	struct err e = {0};

	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	before = p.set;
	write_file(3, "Perhaps");
	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 0);
	assert_true(p.last_good);
	assert_non_null(strstr(p.err.msg, "03.yaml:"));
	assert_ptr_equal(p.set, before);
	write_file(3, "Reject");
	assert_int_equal(policies_refresh(&p, dir, state_fd, NULL, &e), 1);
	assert_false(p.last_good);
	for (size_t i = 0; i < p.set->n_policies; i++)
		if (strcmp(p.set->policies[i].meta.namespace, "n3") == 0)
			assert_int_equal(p.set->policies[i].rules[0].action, ACTION_REJECT);
	policies_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_file_that_changed_is_read_again),
		cmocka_unit_test(a_bad_file_changes_nothing_and_the_next_good_one_does),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
